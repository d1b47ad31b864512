//! Where the chunk or completion stands inside of what was sent.
//!
//! Relays put each one into an envelope of their own (`{"code": 0, "data": {…}}`), some servers into a
//! list. One level is looked through.

use crate::wire::json::cursor::Value;
use crate::wire::json::tokenizer::Kind;

/// Members that hold what was meant.
const NAMES: [&str; 9] =
    ["data", "result", "response", "body", "output", "completion", "chunk", "payload", "content"];

/// Whether an object has a choice.
pub(in super::super) fn has_choice(value: &Value<'_>) -> bool {
    let Some(choices) = value.get("choices") else { return false };
    match choices.kind {
        Kind::BeginArray => choices.elements().any(|choice| choice.kind == Kind::BeginObject),
        Kind::BeginObject => choices.members().next().is_some(),
        _ => false,
    }
}

/// What has choices one level inside of `value`, which has none itself.
pub(in super::super) fn inside<'a>(value: &Value<'a>) -> Vec<Value<'a>> {
    if value.kind == Kind::BeginArray {
        return value.elements().filter(has_choice).collect();
    }
    let held = NAMES.into_iter().filter_map(|name| value.get(name));
    held.map(|held| match held.kind {
        Kind::BeginObject if has_choice(&held) => vec![held],
        Kind::BeginArray => held.elements().filter(has_choice).collect(),
        _ => Vec::new(),
    })
    .find(|found| !found.is_empty())
    .unwrap_or_default()
}
