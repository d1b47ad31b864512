//! What an error says besides OpenAI's four fields, and what of it never leaves.

use serde_json::{Map, Value};

use super::members::{CODE, CONTAINER, ECHO, KIND, MESSAGE, PARAM};

/// The longest extra field, in bytes of JSON.
const MAX_EXTRA_BYTES: usize = 16_384;

/// What a nested error object says besides OpenAI's four fields: kept as it is.
pub(super) fn extras(map: &Map<String, Value>, known: &[&str]) -> Map<String, Value> {
    map.iter()
        .filter(|(name, _)| !known.contains(&name.as_str()) && !is_internal(name))
        .filter_map(|(name, value)| {
            let value = without_echo(value);
            // Only a pathological field is measured to the end: texts tell their length at once.
            let size = value.as_str().map_or_else(|| value.to_string().len(), str::len);
            (size <= MAX_EXTRA_BYTES).then(|| (name.clone(), value))
        })
        .collect()
}

/// Of a flat error body only plain values that were not used for anything else, such as a request id.
pub(super) fn flat_extras(map: &Map<String, Value>) -> Map<String, Value> {
    let used = |name: &str| {
        [&MESSAGE[..], &KIND, &CODE, &PARAM, &CONTAINER, &ECHO]
            .iter()
            .any(|list| list.contains(&name))
            || matches!(
                name,
                "object"
                    | "success"
                    | "isSuccess"
                    | "is_success"
                    | "ok"
                    | "loc"
                    | "timestamp"
                    | "path"
            )
            || is_internal(name)
    };
    map.iter()
        .filter(|(name, value)| {
            !used(name)
                && match value {
                    Value::String(text) => text.len() <= 1_024,
                    Value::Number(_) | Value::Bool(_) => true,
                    _ => false,
                }
        })
        .map(|(name, value)| (name.clone(), value.clone()))
        .collect()
}

/// Members that say where in the server's own source it happened.
fn is_internal(name: &str) -> bool {
    matches!(
        name,
        "file"
            | "line"
            | "trace"
            | "stack"
            | "stacktrace"
            | "stackTrace"
            | "stack_trace"
            | "traceback"
            | "exc_info"
    )
}

/// `value` without the `input` and `ctx` of FastAPI's findings, which repeat the request.
fn without_echo(value: &Value) -> Value {
    match value {
        Value::Array(items) => items.iter().map(without_echo).collect(),
        Value::Object(map) => {
            let finding = map.contains_key("loc") && map.contains_key("msg");
            map.iter()
                .filter(|(name, _)| {
                    let is_echo = finding && matches!(name.as_str(), "input" | "ctx");
                    !is_echo && !is_internal(name)
                })
                .map(|(name, value)| (name.clone(), without_echo(value)))
                .collect::<Map<_, _>>()
                .into()
        }
        _ => value.clone(),
    }
}
