//! The error inside of an error: gateways put a sentence of their own outside, and what their upstream said in a member.

use serde_json::{Map, Value};

use super::limit::ReadingLimit;
use super::{Draft, read_within};
use crate::repair::error::context_length;
use crate::repair::error::text::clean;

/// Members in which an error holds the one that it passes on, as an object, a list or the text of a body.
const DEEPER: [&str; 29] = [
    "value",
    "cause",
    "causes",
    "caused_by",
    "causedBy",
    "innererror",
    "innerError",
    "inner_error",
    "inner",
    "inner_exception",
    "InnerException",
    "original_error",
    "originalError",
    "upstream_error",
    "upstreamError",
    "provider_error",
    "providerError",
    "underlying_error",
    "root_cause",
    // SageMaker's.
    "OriginalMessage",
    "originalMessage",
    "original_message",
    "raw",
    "raw_error",
    "rawError",
    "detail",
    "details",
    "error_details",
    "errorDetails",
];

/// Members that hold one of these among facts of another kind: OpenRouter's `metadata.raw`.
const AROUND: [&str; 4] = ["metadata", "meta", "extensions", "additionalInfo"];

/// Whether a member of this name holds an error that is passed on.
pub(super) fn is_one(name: &str) -> bool {
    DEEPER.contains(&name)
}

/// Adds to the draft of `map` what the errors inside of it say: their words behind its own, and what else it does not say
/// itself.
pub(super) fn add(map: &Map<String, Value>, draft: &mut Draft, budget: &mut ReadingLimit) {
    let around = AROUND.iter().filter_map(|name| map.get(*name)?.as_object());
    for object in std::iter::once(map).chain(around) {
        for value in DEEPER.iter().filter_map(|name| object.get(*name)) {
            add_one(value, draft, budget);
        }
    }
}

fn add_one(value: &Value, draft: &mut Draft, budget: &mut ReadingLimit) {
    let Some(found) = read_within(value, budget) else { return };
    draft.hints.extend(found.hints);
    draft.param = draft.param.take().or(found.param);
    if !value.is_array() {
        // The types and codes of findings are not the error's.
        draft.kind = draft.kind.take().or(found.kind);
        draft.code = draft.code.take().or(found.code);
    }
    let Some(deeper) = found.message else { return };
    draft.message = Some(match draft.message.take() {
        None => deeper,
        // Said already, as by this reader itself.
        Some(outer) if outer.contains(&deeper) => outer,
        // A text that is no body may be anything, and a word alone is a label: they count for what they mean.
        Some(outer) if is_plain(value, &deeper) || !deeper.contains(char::is_whitespace) => {
            if context_length::is_told(&deeper) {
                draft.hints.push(Value::from(context_length::CODE));
            }
            outer
        }
        Some(outer) if deeper.contains(&outer) => deeper,
        Some(outer) => clean(&format!("{outer}: {deeper}")),
    });
}

fn is_plain(value: &Value, read: &str) -> bool {
    value.as_str().is_some_and(|text| clean(text) == read)
}
