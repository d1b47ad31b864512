//! Shapes of choices that no reader looks for, turned into the ones that they do.
//!
//! | sent | read as |
//! | --- | --- |
//! | `Choices`, `FinishReason`, `toolCalls` (a serialiser's own style) | OpenAI's names |
//! | choices, a message or a delta as JSON that was made a text | what the text says |
//! | a message or a delta as a list of them | its last one that says something |
//! | `reasoning_text`, `thinking` and the like | `reasoning_content` |
//! | `tool_calls` beside the message, or beside the only choice | a member of the message |
//!
//! What is right already is looked at once, and only where an answer is read member by member anyway.

use std::borrow::Cow;

use crate::wire::json::cursor::{self, Key, Value};
use crate::wire::json::string;
use crate::wire::json::tokenizer::Kind;

use super::silent::{is_calls, is_foreign, is_thinking};

/// OpenAI's names of what stands beside choices, in a choice, in its message, in a call and in the token counts.
const ROOT: [&str; 6] = ["id", "object", "created", "model", "choices", "usage"];
const CHOICE: [&str; 5] = ["index", "message", "delta", "text", "finish_reason"];
const BODY: [&str; 6] =
    ["role", "content", "refusal", "reasoning_content", "tool_calls", "function_call"];
const CALL: [&str; 6] = ["index", "id", "type", "function", "name", "arguments"];
const COUNTS: [&str; 3] = ["prompt_tokens", "completion_tokens", "total_tokens"];

/// `root` as the readers of choices know it; `None` where it is so already, or no answer.
pub(in super::super) fn straightened(root: &Value<'_>) -> Option<Vec<u8>> {
    let choices = root.members().find(|(key, _)| is_named(key, "choices"));
    let (key, choices) = choices?;
    let unpacked = unpacked(&choices, |inner| first_object(inner).is_some());
    let is_odd = unpacked.is_some()
        || !key.is("choices")
        || (calls(root).is_some() && is_only(&choices))
        || is_renamed(root, &ROOT)
        || listed(&choices).any(|choice| is_odd_choice(&choice));
    is_odd.then(|| written(root, &choices, unpacked.as_deref()))
}

fn written(root: &Value<'_>, choices: &Value<'_>, unpacked: Option<&[u8]>) -> Vec<u8> {
    let list = unpacked.and_then(|text| cursor::parse(text).ok()).unwrap_or(*choices);
    let beside = calls(root).filter(|_| is_only(&list));
    let mut out = Writer::new();
    for (key, value) in root.members() {
        let name = name(&key, &ROOT);
        match &*name {
            "choices" => {
                let written: Vec<_> =
                    listed(&list).map(|choice| choice_of(&choice, beside)).collect();
                out.member("choices", &[b"[", &written.join(&b","[..])[..], b"]"].concat());
            }
            "usage" => out.member("usage", &renamed(&value, &COUNTS)),
            other if beside.is_some() && is_calls(other.as_bytes()) => {}
            other => out.member(other, value.raw()),
        }
    }
    out.end()
}

/// A choice with OpenAI's names. `beside`: calls that stand beside the choices.
fn choice_of(choice: &Value<'_>, beside: Option<(&'static str, Value<'_>)>) -> Vec<u8> {
    if choice.kind != Kind::BeginObject {
        return choice.raw().to_vec();
    }
    let moved = calls(choice).or(beside);
    let mut has_body = false;
    let mut out = Writer::new();
    for (key, value) in choice.members() {
        let name = name(&key, &CHOICE);
        match &*name {
            "message" | "delta" => {
                let (unpacked, listed) = (unpacked(&value, is_message), last_of(&value));
                let own = unpacked.as_deref().and_then(|text| cursor::parse(text).ok());
                let body = own.or(listed).unwrap_or(value);
                let said = match body.kind {
                    Kind::BeginObject => {
                        has_body = true;
                        body_of(&body, moved)
                    }
                    _ => body.raw().to_vec(),
                };
                out.member(&name, &said);
            }
            other if moved.is_some() && is_calls(other.as_bytes()) => {}
            other => out.member(other, value.raw()),
        }
    }
    if let Some((name, calls)) = moved.filter(|_| !has_body) {
        let mut body = Writer::new();
        body.member("role", b"\"assistant\"");
        body.member(name, calls.raw());
        out.member("message", &body.end());
    }
    out.end()
}

fn body_of(body: &Value<'_>, moved: Option<(&'static str, Value<'_>)>) -> Vec<u8> {
    let mut out = Writer::new();
    let has_own = calls(body).is_some();
    for (key, value) in body.members() {
        match &*name(&key, &BODY) {
            other if is_thinking(other.as_bytes()) && value.kind == Kind::String => {
                out.member("reasoning_content", value.raw());
            }
            "tool_calls" | "function_call" if moved.is_some() && !has_own => {}
            "tool_calls" if value.kind == Kind::BeginArray => {
                let calls: Vec<_> = value.elements().map(|call| call_of(&call)).collect();
                out.member("tool_calls", &[b"[", &calls.join(&b","[..])[..], b"]"].concat());
            }
            other => out.member(other, value.raw()),
        }
    }
    if let Some((name, calls)) = moved.filter(|_| !has_own) {
        out.member(name, calls.raw());
    }
    out.end()
}

fn call_of(call: &Value<'_>) -> Vec<u8> {
    if call.kind != Kind::BeginObject || !call.members().any(|(key, _)| is_strange(&key)) {
        return call.raw().to_vec();
    }
    let mut out = Writer::new();
    for (key, value) in call.members() {
        match &*name(&key, &CALL) {
            "function" => out.member("function", &renamed(&value, &CALL)),
            other => out.member(other, value.raw()),
        }
    }
    out.end()
}

fn renamed(value: &Value<'_>, names: &'static [&'static str]) -> Vec<u8> {
    if value.kind != Kind::BeginObject {
        return value.raw().to_vec();
    }
    let mut out = Writer::new();
    for (key, value) in value.members() {
        out.member(&name(&key, names), value.raw());
    }
    out.end()
}

/// The choices of a list, or the only one.
fn listed<'a>(choices: &Value<'a>) -> impl Iterator<Item = Value<'a>> {
    let only = Some(*choices).filter(|only| only.kind == Kind::BeginObject);
    only.into_iter().chain(choices.elements())
}

/// Whether there is no other choice.
fn is_only(choices: &Value<'_>) -> bool {
    listed(choices).nth(1).is_none()
}

/// Whether a member has one of these names in another spelling.
fn is_renamed(value: &Value<'_>, names: &[&str]) -> bool {
    value
        .members()
        .any(|(key, _)| is_strange(&key) && names.iter().any(|name| is_named(&key, name)))
}

fn is_odd_choice(choice: &Value<'_>) -> bool {
    is_renamed(choice, &CHOICE)
        || choice.members().any(|(key, value)| {
            key.as_str().is_some_and(|name| is_calls(name.as_bytes()) && says(&value))
                || ((is_named(&key, "message") || is_named(&key, "delta"))
                    && match value.kind {
                        Kind::BeginObject => is_renamed(&value, &BODY) || thinks(&value),
                        Kind::BeginArray => last_of(&value).is_some(),
                        _ => unpacked(&value, is_message).is_some(),
                    })
        })
}

/// Whether a message tells its reasoning under a name that clients don't know.
fn thinks(body: &Value<'_>) -> bool {
    body.members().any(|(key, value)| {
        value.kind == Kind::String && key.as_str().is_some_and(|name| is_thinking(name.as_bytes()))
    })
}

/// The last message of a list of them that says something.
fn last_of<'a>(list: &Value<'a>) -> Option<Value<'a>> {
    (list.kind == Kind::BeginArray).then_some(())?;
    list.elements().filter(is_message).last()
}

fn is_message(value: &Value<'_>) -> bool {
    value.kind == Kind::BeginObject
        && value
            .members()
            .any(|(key, _)| ["role", "tool_calls"].iter().any(|name| is_named(&key, name)))
}

fn first_object<'a>(value: &Value<'a>) -> Option<Value<'a>> {
    listed(value).find(|choice| choice.kind == Kind::BeginObject)
}

/// The JSON that was made a text, if it is what is meant.
fn unpacked(value: &Value<'_>, is_meant: impl Fn(&Value<'_>) -> bool) -> Option<Vec<u8>> {
    if value.kind != Kind::String || !matches!(value.inner().first(), Some(b'{' | b'[')) {
        return None;
    }
    let text = value.as_str()?;
    let json = crate::repair::sse::one_line(text.as_bytes());
    cursor::parse(&json).ok().filter(|inner| is_meant(inner))?;
    Some(json)
}

/// Calls that stand in the wrong place.
fn calls<'a>(value: &Value<'a>) -> Option<(&'static str, Value<'a>)> {
    value.members().find_map(|(key, value)| {
        let name = ["tool_calls", "function_call"].into_iter().find(|name| is_named(&key, name))?;
        says(&value).then_some((name, value))
    })
}

fn says(value: &Value<'_>) -> bool {
    matches!(value.kind, Kind::BeginArray | Kind::BeginObject) && value.raw().len() > 2
}

/// Whether a name may be one of OpenAI's in another spelling.
fn is_strange(key: &Key<'_>) -> bool {
    key.as_str().is_some_and(|name| is_foreign(name.as_bytes()))
}

/// Whether a name is this one, whatever its case and what joins its words.
fn is_named(key: &Key<'_>, name: &str) -> bool {
    key.is(name) || (is_strange(key) && key.as_str().is_some_and(|own| is_same(&own, name)))
}

fn is_same(own: &str, name: &str) -> bool {
    let letters = |text: &str| -> Vec<u8> {
        let letters = text.bytes().filter(u8::is_ascii_alphanumeric);
        letters.map(|letter| letter.to_ascii_lowercase()).collect()
    };
    own.len() <= 2 * name.len() && letters(own) == letters(name)
}

/// A name as OpenAI spells it, if it is one of `names`.
fn name<'a>(key: &Key<'a>, names: &'static [&'static str]) -> Cow<'a, str> {
    let known = names.iter().find(|name| is_named(key, name)).map(|name| Cow::Borrowed(*name));
    known.or_else(|| key.as_str()).unwrap_or_default()
}

/// An object that is being written: the first of members with equal names counts.
struct Writer {
    out: Vec<u8>,
    names: Vec<String>,
}

impl Writer {
    fn new() -> Self {
        Self { out: vec![b'{'], names: Vec::new() }
    }

    fn member(&mut self, name: &str, value: &[u8]) {
        if self.names.iter().any(|known| known == name) {
            return;
        }
        self.names.push(name.to_owned());
        if self.out.len() > 1 {
            self.out.push(b',');
        }
        self.out.extend_from_slice(&string::encode(name));
        self.out.push(b':');
        self.out.extend_from_slice(value);
    }

    fn end(mut self) -> Vec<u8> {
        self.out.push(b'}');
        self.out
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::test;

    fn straight(text: &str) -> Option<String> {
        let straight = straightened(&cursor::parse(text.as_bytes()).unwrap())?;
        // Once is enough: who reads it asks again.
        assert_eq!(straightened(&cursor::parse(&straight).unwrap()), None, "{text}");
        Some(String::from_utf8(straight).unwrap())
    }

    #[test]
    fn shapes() {
        for (text, want) in [
            (
                r#"{"Id":"x","Choices":[{"Index":0,"Message":{"Role":"assistant","Content":"hi"},"FinishReason":"stop"}],"Usage":{"PromptTokens":1}}"#,
                r#"{"id":"x","choices":[{"index":0,"message":{"role":"assistant","content":"hi"},"finish_reason":"stop"}],"usage":{"prompt_tokens":1}}"#,
            ),
            (
                r#"{"choices":[{"message":{"role":"assistant","toolCalls":[{"Id":"c","Function":{"Name":"f","Arguments":"{}"}}]}}]}"#,
                r#"{"choices":[{"message":{"role":"assistant","tool_calls":[{"id":"c","function":{"name":"f","arguments":"{}"}}]}}]}"#,
            ),
            (
                r#"{"choices":[{"delta":{"reasoning_text":"t","content":""}}]}"#,
                r#"{"choices":[{"delta":{"reasoning_content":"t","content":""}}]}"#,
            ),
            (
                r#"{"choices":"[{\"delta\":{\"content\":\"hi\"}}]"}"#,
                r#"{"choices":[{"delta":{"content":"hi"}}]}"#,
            ),
            (
                r#"{"choices":[{"message":"{\"role\":\"assistant\",\"content\":\"hi\"}"}]}"#,
                r#"{"choices":[{"message":{"role":"assistant","content":"hi"}}]}"#,
            ),
            (
                r#"{"choices":[{"delta":[{"role":"assistant","content":"hi"}],"index":0}]}"#,
                r#"{"choices":[{"delta":{"role":"assistant","content":"hi"},"index":0}]}"#,
            ),
            (
                r#"{"choices":[{"message":{"role":"assistant","content":null},"tool_calls":[{"id":"c"}]}]}"#,
                r#"{"choices":[{"message":{"role":"assistant","content":null,"tool_calls":[{"id":"c"}]}}]}"#,
            ),
            (
                r#"{"choices":[{"delta":{"tool_calls":null},"tool_calls":[{"id":"c"}]}]}"#,
                r#"{"choices":[{"delta":{"tool_calls":[{"id":"c"}]}}]}"#,
            ),
            (
                r#"{"choices":[{"index":0}],"tool_calls":[{"id":"c"}]}"#,
                r#"{"choices":[{"index":0,"message":{"role":"assistant","tool_calls":[{"id":"c"}]}}]}"#,
            ),
            (
                r#"{"choices":[{"message":{"tool_calls":[{"id":"a"}]},"tool_calls":[{"id":"b"}]}]}"#,
                r#"{"choices":[{"message":{"tool_calls":[{"id":"a"}]}}]}"#,
            ),
        ] {
            assert_eq!(straight(text).as_deref(), Some(want), "{text}");
        }
        for text in [
            r#"{"choices":[{"message":{"role":"assistant","content":"{\"role\":\"x\"}"}}]}"#,
            r#"{"choices":[{"Foo":1,"message":{"Bar":2,"content":"hi"}}],"Baz":[3]}"#,
            r#"{"choices":[{"message":{}},{"message":{}}],"tool_calls":[{"id":"c"}]}"#,
            r#"{"choices":"none"}"#,
            r#"{"choices":[{"message":"{\"a\":1}"}]}"#,
            r#"{"choices":[{"message":[{"type":"text","text":"hi"}]}]}"#,
            r#"{"choices":[],"tool_calls":[]}"#,
            r#"[{"Choices":[]}]"#,
            "{}",
        ] {
            assert_eq!(straight(text), None, "{text}");
        }
    }
}
