//! Where the chunk or completion stands inside of what was sent.
//!
//! Relays put each one into an envelope of their own (`{"code": 0, "data": {…}}`), some servers into a
//! list. A few levels are looked through.

use crate::repair::sse::one_line;
use crate::wire::json::cursor::{self, Value};
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

/// How many objects may stand around what is meant.
const MAX_LEVELS: u8 = 3;

/// What has choices inside of `value`, which has none itself.
pub(in super::super) fn inside<'a>(value: &Value<'a>) -> Vec<Value<'a>> {
    within(value, MAX_LEVELS)
}

fn within<'a>(value: &Value<'a>, levels: u8) -> Vec<Value<'a>> {
    if value.kind == Kind::BeginArray {
        return value.elements().filter(has_choice).collect();
    }
    let Some(levels) = levels.checked_sub(1) else { return Vec::new() };
    let held = NAMES.into_iter().filter_map(|name| value.get(name));
    held.map(|held| match held.kind {
        Kind::BeginObject if has_choice(&held) => vec![held],
        Kind::BeginObject | Kind::BeginArray => within(&held, levels),
        _ => Vec::new(),
    })
    .find(|found| !found.is_empty())
    .unwrap_or_default()
}

/// The JSON with choices that was made a text, on one line: `value` itself, or what stands inside of it.
pub(in super::super) fn text_inside(value: &Value<'_>) -> Option<Vec<u8>> {
    text_within(value, MAX_LEVELS)
}

fn text_within(value: &Value<'_>, levels: u8) -> Option<Vec<u8>> {
    match value.kind {
        Kind::String => {
            let text = value.as_str()?;
            let json = text.trim();
            // Nothing else has both, so that no good text is parsed for nothing.
            (json.starts_with(['{', '[']) && json.contains("choices")).then_some(())?;
            let json = one_line(json.as_bytes());
            let root = cursor::parse(&json).ok()?;
            if has_choice(&root) || !inside(&root).is_empty() {
                return Some(json);
            }
            text_within(&root, levels.checked_sub(1)?)
        }
        Kind::BeginObject => {
            let levels = levels.checked_sub(1)?;
            let mut held = NAMES.into_iter().filter_map(|name| value.get(name));
            held.find_map(|held| text_within(&held, levels))
        }
        _ => None,
    }
}
