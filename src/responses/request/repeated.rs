//! The members of the Response object that repeat the request.

use super::params::Params;
use crate::json::cursor::Value;

/// Name and JSON of each, in the order in which the API shows them.
///
/// Which there are is what the SDK's type `Response` and answers of the API show; where the request is
/// silent it is the default of the API reference. `store` is false then, unlike there: nothing is
/// kept here, and a client that reads `true` may ask for it later.
pub(super) fn members(params: &Params<'_>) -> Vec<(&'static str, Vec<u8>)> {
    let or = |value: Option<Value<'_>>, default: &str| match value {
        Some(value) => value.raw().to_vec(),
        None => default.as_bytes().to_vec(),
    };
    vec![
        ("background", b"false".to_vec()),
        ("instructions", or(params.instructions, "null")),
        ("max_output_tokens", or(params.max_output_tokens, "null")),
        ("max_tool_calls", or(params.max_tool_calls, "null")),
        ("parallel_tool_calls", or(params.parallel_tool_calls, "true")),
        ("previous_response_id", b"null".to_vec()),
        ("prompt_cache_key", or(params.prompt_cache_key, "null")),
        ("reasoning", with_defaults(params.reasoning, &[("effort", "null"), ("summary", "null")])),
        ("safety_identifier", or(params.safety_identifier, "null")),
        ("service_tier", or(params.service_tier, r#""auto""#)),
        ("store", or(params.store, "false")),
        ("temperature", or(params.temperature, "1.0")),
        ("text", with_defaults(params.text, &[("format", r#"{"type":"text"}"#)])),
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
fn with_defaults(object: Option<Value<'_>>, defaults: &[(&str, &str)]) -> Vec<u8> {
    let mut out = vec![b'{'];
    for (name, json) in defaults {
        let mut members = object.iter().flat_map(Value::members).map_while(Result::ok);
        if !members.any(|(key, value)| key.is(name) && !value.is_null()) {
            member(&mut out, name.as_bytes(), json.as_bytes());
        }
    }
    for (key, value) in object.iter().flat_map(Value::members).map_while(Result::ok) {
        // A member that is null gave way to its default.
        if let (Some(name), false) = (key.as_str(), value.is_null()) {
            let name = crate::json::string::encode(&name);
            out.extend_from_slice(if out.len() > 1 { b"," } else { b"" });
            out.extend_from_slice(&name);
            out.push(b':');
            out.extend_from_slice(value.raw());
        }
    }
    out.push(b'}');
    out
}

fn member(out: &mut Vec<u8>, name: &[u8], json: &[u8]) {
    out.extend_from_slice(if out.len() > 1 { b",\"" } else { b"\"" });
    out.extend_from_slice(name);
    out.extend_from_slice(b"\":");
    out.extend_from_slice(json);
}
