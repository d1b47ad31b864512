//! The members of the Response object that repeat the request.

use std::borrow::Cow;
use std::cell::Cell;

use super::params::ResponseParams;
use crate::wire::json::cursor::Value;
use crate::wire::json::string;

/// Bytes that the values may have together. They are kept as long as their answer lasts, and all
/// streams of a worker share one memory: what a client may send once it may not leave here many times.
const MAX_BYTES: usize = 1024 * 1024;

/// Name and JSON of each, in the order in which the API shows them.
///
/// Which there are is what the SDK's type `Response` and answers of the API show; where the request is
/// silent it is the default of the API reference. `store` is false then, unlike there: nothing is
/// kept here, and a client that reads `true` may ask for it later. A value for which [`MAX_BYTES`] leaves
/// no room is not repeated: its default stands there.
pub(super) fn members(params: &ResponseParams<'_>) -> Vec<(&'static str, Cow<'static, [u8]>)> {
    let room = Cell::new(MAX_BYTES);
    let fits = |value: &Value<'_>| {
        let left = room.get().checked_sub(value.raw().len());
        room.set(left.unwrap_or(room.get()));
        left.is_some()
    };
    let or = |value: Option<Value<'_>>, default: &'static str| match value.filter(fits) {
        Some(value) => {
            let mut out = Vec::with_capacity(value.raw().len());
            one_line(value, &mut out);
            Cow::Owned(out)
        }
        None => Cow::Borrowed(default.as_bytes()),
    };
    vec![
        ("background", Cow::Borrowed(b"false")),
        ("instructions", or(params.instructions, "null")),
        ("max_output_tokens", or(params.max_output_tokens, "null")),
        ("max_tool_calls", or(params.max_tool_calls, "null")),
        ("parallel_tool_calls", or(params.parallel_tool_calls, "true")),
        ("previous_response_id", Cow::Borrowed(b"null")),
        ("prompt_cache_key", or(params.prompt_cache_key, "null")),
        (
            "reasoning",
            match params.reasoning.filter(fits) {
                None => Cow::Borrowed(br#"{"effort":null,"summary":null}"#),
                Some(given) => with_defaults(given, &[("effort", "null"), ("summary", "null")]),
            },
        ),
        ("safety_identifier", or(params.safety_identifier, "null")),
        ("service_tier", or(params.service_tier, r#""auto""#)),
        ("store", or(params.store, "false")),
        ("temperature", or(params.temperature, "1.0")),
        (
            "text",
            match params.text.filter(fits) {
                None => Cow::Borrowed(br#"{"format":{"type":"text"}}"#),
                Some(given) => with_defaults(given, &[("format", r#"{"type":"text"}"#)]),
            },
        ),
        ("tool_choice", or(params.tool_choice, r#""auto""#)),
        ("tools", or(params.tools, "[]")),
        ("top_logprobs", or(params.top_logprobs, "0")),
        ("top_p", or(params.top_p, "1.0")),
        ("truncation", or(params.truncation, r#""disabled""#)),
        ("user", or(params.user, "null")),
        ("metadata", or(params.metadata, "{}")),
    ]
}

/// `object` as it is, with what it lacks of `defaults` in front.
fn with_defaults(object: Value<'_>, defaults: &[(&str, &str)]) -> Cow<'static, [u8]> {
    let mut out = vec![b'{'];
    for (name, json) in defaults {
        let mut members = object.members();
        if !members.any(|(key, value)| key.is(name) && !value.is_null()) {
            comma(&mut out);
            out.push(b'"');
            out.extend_from_slice(name.as_bytes());
            out.extend_from_slice(b"\":");
            out.extend_from_slice(json.as_bytes());
        }
    }
    for (key, value) in object.members() {
        // A member that is null gave way to its default.
        if let (Some(name), false) = (key.as_str(), value.is_null()) {
            comma(&mut out);
            out.extend_from_slice(&string::encode(&name));
            out.push(b':');
            one_line(value, &mut out);
        }
    }
    out.push(b'}');
    Cow::Owned(out)
}

/// Between two members of the object in `out`.
fn comma(out: &mut Vec<u8>) {
    if out.len() > 1 {
        out.push(b',');
    }
}

/// Writes a value without line ends, which would end the line of an event, and without the white space
/// behind them. In JSON both stand between tokens only.
fn one_line(value: Value<'_>, out: &mut Vec<u8>) {
    for line in value.raw().split(|byte| matches!(byte, b'\n' | b'\r')) {
        out.extend_from_slice(line.trim_ascii_start());
    }
}
