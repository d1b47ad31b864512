//! Where the chunk or completion stands inside of what was sent.
//!
//! Relays put each one into an envelope of their own (`{"code": 0, "data": {…}}`), some servers into a
//! list. A few levels are looked through.

use super::usage;
use crate::repair::sse::one_line;
use crate::wire::json::cursor::{self, Value};
use crate::wire::json::string;
use crate::wire::json::tokenizer::Kind;

/// Members that hold what was meant.
const NAMES: [&str; 9] =
    ["data", "result", "response", "body", "output", "completion", "chunk", "payload", "content"];

/// Whether members of this name hold what was meant.
pub(in super::super) fn is_name(name: &str) -> bool {
    NAMES.contains(&name)
}

/// Whether an object has a choice.
pub(in super::super) fn has_choice(value: &Value<'_>) -> bool {
    let Some(choices) = value.get("choices") else { return false };
    match choices.kind {
        Kind::BeginArray => {
            choices.elements().any(|choice| choice.kind == Kind::BeginObject)
                || is_other_list(&choices)
        }
        Kind::BeginObject => choices.members().next().is_some(),
        _ => false,
    }
}

/// Whether choices are a list in another form: a map whose keys are indices, or a list of lists.
pub(super) fn is_other_list(choices: &Value<'_>) -> bool {
    let is_object = |value: &Value<'_>| value.kind == Kind::BeginObject;
    match choices.kind {
        Kind::BeginObject => {
            let is_index =
                |name: &str| !name.is_empty() && name.bytes().all(|b| b.is_ascii_digit());
            choices.members().next().is_some()
                && choices.members().all(|(key, value)| {
                    is_object(&value) && key.as_str().is_some_and(|name| is_index(&name))
                })
        }
        Kind::BeginArray => choices.elements().any(|inner| inner.elements().any(|c| is_object(&c))),
        _ => false,
    }
}

/// The choices of such a list.
pub(super) fn listed<'a>(choices: &Value<'a>) -> Vec<Value<'a>> {
    let is_object = |value: &Value<'a>| value.kind == Kind::BeginObject;
    if choices.kind == Kind::BeginObject {
        return choices.members().map(|(_, choice)| choice).collect();
    }
    let inner = |value: Value<'a>| match value.kind {
        Kind::BeginObject => vec![value],
        _ => value.elements().filter(is_object).collect(),
    };
    choices.elements().flat_map(inner).collect()
}

/// How many objects may stand around what is meant.
const MAX_LEVELS: u8 = 3;

/// How many members of an object are looked into.
const MAX_OTHERS: usize = 32;

/// What stands inside of `outer` as an answer of its own: with the token counts, and the id, that stand around it.
pub(in super::super) fn completed(outer: &Value<'_>, inner: &Value<'_>) -> Vec<u8> {
    let mut out = inner.raw().to_vec();
    let is_outside = |value: &Value<'_>| {
        inner.span().start < value.span().start || value.span().end <= inner.span().start
    };
    let mut add = |name: &str, value: Option<Value<'_>>| {
        if let Some(value) = value.filter(is_outside)
            && inner.get(name).is_none()
            && out.pop().is_some()
        {
            out.extend_from_slice(format!(",\"{name}\":").as_bytes());
            out.extend_from_slice(value.raw());
            out.push(b'}');
        }
    };
    add("usage", outer.get("usage").filter(usage::counts));
    let id = ["id", "request_id", "requestId"].iter().find_map(|name| outer.get(name));
    add("id", id.filter(|id| id.kind == Kind::String));
    out
}

/// What has choices inside of `value`, which has none itself.
pub(in super::super) fn inside<'a>(value: &Value<'a>) -> Vec<Value<'a>> {
    within(value, MAX_LEVELS)
}

fn within<'a>(value: &Value<'a>, levels: u8) -> Vec<Value<'a>> {
    if value.kind == Kind::BeginArray {
        return value.elements().filter(has_choice).collect();
    }
    let Some(levels) = levels.checked_sub(1) else { return Vec::new() };
    // The usual names first, and then whatever else may be around it.
    let named = NAMES.into_iter().filter_map(|name| value.get(name));
    let others = value.members().take(MAX_OTHERS).map(|(_, held)| held);
    named
        .chain(others)
        .map(|held| match held.kind {
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

/// One answer whose message was taken apart, a choice for each part (GitHub's Copilot: the text in one, the calls in
/// the next): the chunks of a stream that says the same. `None` where there is one choice, or where two of them say
/// something in the same way: those are two answers.
pub(in super::super) fn parts_of_one(root: &Value<'_>) -> Option<Vec<u8>> {
    let choices = root.get("choices").filter(|choices| choices.kind == Kind::BeginArray)?;
    choices.elements().nth(1)?;
    let says = |message: &Value<'_>, name: &str| {
        message.get(name).is_some_and(|said| !said.is_null() && said.raw().len() > 2)
    };
    let (mut texts, mut calls) = (0, 0);
    let mut out = vec![b'['];
    for choice in choices.elements() {
        let message = choice.get("message").filter(|said| said.kind == Kind::BeginObject)?;
        texts += u32::from(says(&message, "content"));
        calls += u32::from(says(&message, "tool_calls"));
        out.extend_from_slice(if out.len() > 1 { b",{" } else { b"{" });
        if out.len() == 2 {
            for (key, value) in root.members().filter(|(key, _)| !key.is("choices")) {
                let name = key.as_str()?;
                out.extend(string::encode(&name));
                out.push(b':');
                out.extend_from_slice(value.raw());
                out.push(b',');
            }
        }
        out.extend_from_slice(b"\"choices\":[{\"index\":0,\"delta\":");
        out.extend_from_slice(message.raw());
        out.extend_from_slice(b",\"finish_reason\":");
        let reason = choice.get("finish_reason");
        out.extend_from_slice(reason.map_or(b"null", |reason| reason.raw()));
        out.extend_from_slice(b"}]}");
    }
    out.push(b']');
    (texts <= 1 && calls >= 1).then_some(out)
}
