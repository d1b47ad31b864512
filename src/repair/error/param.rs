//! The parameter at fault, as the client wrote it. Frameworks name a place in their own model of the request:
//! where it was sent (`body.temperature`), and which of several types they tried (`input.list[str].0`).

use serde_json::Value;

use super::text::clean;

/// The longest name, in characters.
const MAX_CHARS: usize = 256;

/// Where FastAPI says that a parameter was sent.
const SENT_IN: [&str; 6] = ["body", "query", "path", "header", "cookie", "form"];

/// Tags of a union of whole requests, which stand before a member of the request that was tried.
const KINDS: [&str; 9] =
    ["text", "image", "audio", "chat", "completion", "embedding", "rerank", "json", "input_text"];

/// Members that any request may have: behind one of [`KINDS`] the tag is no member itself.
const MEMBERS: [&str; 10] = [
    "input",
    "model",
    "messages",
    "prompt",
    "query",
    "documents",
    "user",
    "dimensions",
    "encoding_format",
    "stream",
];

/// Types that pydantic writes into a place when it tried several.
const TYPES: [&str; 11] = [
    "str",
    "int",
    "float",
    "bool",
    "list",
    "dict",
    "bytes",
    "none",
    "literal",
    "nullable",
    "constrained-str",
];

/// FastAPI's `loc`, a list or the same with dots between: the whole place, and the parameter.
pub(super) fn location(loc: &Value) -> Option<(String, Option<String>)> {
    let steps: Vec<String> = match loc {
        Value::String(place) => clean(place).split('.').map(str::to_owned).collect(),
        _ => loc
            .as_array()?
            .iter()
            .filter_map(|step| match step {
                Value::String(name) => Some(clean(name)),
                Value::Number(index) => Some(index.to_string()),
                _ => None,
            })
            .collect(),
    };
    let place = steps.join(".");
    let named = given(&place);
    (!place.is_empty()).then_some((place, named))
}

/// A `param` that an upstream gave.
pub(super) fn given(param: &str) -> Option<String> {
    let param: String = clean(param).chars().take(MAX_CHARS).collect();
    parameter(param.split('.').map(str::trim))
}

fn parameter<'a>(steps: impl Iterator<Item = &'a str>) -> Option<String> {
    let mut steps: Vec<&str> = steps.collect();
    if steps.first().is_some_and(|first| SENT_IN.contains(first)) {
        steps.remove(0);
    }
    if let [kind, member, ..] = steps.as_slice()
        && KINDS.contains(kind)
        && MEMBERS.contains(member)
    {
        steps.remove(0);
    }
    // From a type on the place is inside of what was tried, not of what was sent.
    let sent = steps.iter().position(|step| is_type(step)).unwrap_or(steps.len());
    let named: Vec<&str> =
        steps.into_iter().take(sent).filter(|step| !is_class(step) && !step.is_empty()).collect();
    (!named.is_empty()).then(|| named.join("."))
}

/// `list[str]`, `constrained-str`, `function-after[check(), str]`; not an index like `[0]`.
fn is_type(step: &str) -> bool {
    let generic = step
        .split_once('[')
        .is_some_and(|(_, inside)| inside.starts_with(|c: char| !c.is_ascii_digit()));
    generic || TYPES.contains(&step)
}

/// The name of a class of the server's: `ChatCompletionUserMessageParam`.
fn is_class(step: &str) -> bool {
    let capitals = step.chars().filter(char::is_ascii_uppercase).count();
    capitals > 1
        && step.starts_with(|c: char| c.is_ascii_uppercase())
        && step.contains(|c: char| c.is_ascii_lowercase())
        && step.chars().all(|c| c.is_ascii_alphanumeric())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::test;
    use serde_json::json;

    #[test]
    fn what_the_client_wrote() {
        for (loc, want) in [
            (json!(["body", "temperature"]), Some("temperature")),
            (json!("body.temperature"), Some("temperature")),
            (json!(["body", "text", "input", "list[constrained-str]", 0]), Some("input")),
            (json!(["body", "text", "input", "constrained-str"]), Some("input")),
            (
                json!(["body", "messages", 0, "ChatCompletionUserMessageParam", "content", "str"]),
                Some("messages.0.content"),
            ),
            (json!(["body", "text", "format"]), Some("text.format")),
            (json!(["body", "tools", 1, "function", "name"]), Some("tools.1.function.name")),
            (json!(["query", "limit"]), Some("limit")),
            (json!(["body"]), None),
            (json!(["body", "function-after[check(), str]"]), None),
        ] {
            assert_eq!(location(&loc).unwrap().1.as_deref(), want, "{loc}");
        }
        assert_eq!(location(&json!([])), None);
        for (param, want) in [
            ("body.temperature", Some("temperature")),
            ("text.input.list[constrained-str].0", Some("input")),
            ("messages.[0].content", Some("messages.[0].content")),
            ("messages[0].content", Some("messages[0].content")),
            ("response_format.json_schema", Some("response_format.json_schema")),
            ("Authorization", Some("Authorization")),
            (" ", None),
        ] {
            assert_eq!(given(param).as_deref(), want, "{param}");
        }
    }
}
