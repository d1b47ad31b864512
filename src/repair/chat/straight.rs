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

use crate::wire::json::cursor::{self, Key, Value};
use crate::wire::json::string;
use crate::wire::json::tokenizer::Kind;

use super::silent::{is_foreign, is_thinking};

/// OpenAI's names of what stands beside choices, in a choice, in its message, in a call and in the token counts.
const ROOT: [&str; 6] = ["id", "object", "created", "model", "choices", "usage"];
const CHOICE: [&str; 5] = ["index", "message", "delta", "text", "finish_reason"];
const BODY: [&str; 6] =
    ["role", "content", "refusal", "reasoning_content", "tool_calls", "function_call"];
const CALL: [&str; 6] = ["index", "id", "type", "function", "name", "arguments"];
const COUNTS: [&str; 3] = ["prompt_tokens", "completion_tokens", "total_tokens"];

/// `root` as the readers of choices know it; `None` where it is so already, or no answer.
pub(in super::super) fn straightened(root: &Value<'_>) -> Option<Vec<u8>> {
    let choices =
        || root.members().filter(|(key, value)| is_named(key, "choices") && !is_null(value));
    let (key, choices) =
        choices().find(|(key, _)| key.is("choices")).or_else(|| choices().next())?;
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
    for (name, key, value) in Names::of(root, &ROOT).members(root) {
        match name {
            Some(name @ "choices") => {
                let choices = listed(&list).map(|choice| choice_of(&choice, beside));
                out.known(name, &array(choices));
            }
            Some(name @ "usage") => out.known(name, &renamed(&value, &COUNTS)),
            Some(name) => out.known(name, value.raw()),
            None if beside.is_some() && is_calls(&key) => {}
            None => out.other(&key, value.raw()),
        }
    }
    out.end()
}

/// A choice with OpenAI's names. `beside`: calls that stand beside the choices.
fn choice_of(choice: &Value<'_>, beside: Option<MisplacedCalls<'_>>) -> Vec<u8> {
    if choice.kind != Kind::BeginObject {
        return choice.raw().to_vec();
    }
    let moved = calls(choice).or(beside);
    // The message that the calls are put into, where the choice has none, and its text.
    let mut made = Some(("message", None));
    let mut out = Writer::new();
    for (name, key, value) in Names::of(choice, &CHOICE).members(choice) {
        match name {
            Some(name @ ("message" | "delta")) => {
                let unpacked = unpacked(&value, |inner| is_message(inner, name));
                let own = unpacked.as_deref().and_then(|text| cursor::parse(text).ok());
                let body = own.or_else(|| last_of(&value, name)).unwrap_or(value);
                if body.kind == Kind::BeginObject {
                    made = None;
                    out.known(name, &body_of(&body, moved));
                } else if moved.is_none() {
                    out.known(name, body.raw());
                } else if made.is_some() {
                    let text = (body.kind == Kind::String).then(|| body.raw().to_vec());
                    made = Some((name, text));
                }
            }
            Some(name) => out.known(name, value.raw()),
            None if moved.is_some() && is_calls(&key) => {}
            None => out.other(&key, value.raw()),
        }
    }
    if let (Some(moved), Some((name, text))) = (moved, made) {
        let mut body = Writer::new();
        body.known("role", b"\"assistant\"");
        if let Some(text) = text {
            body.known("content", &text);
        }
        body.known(moved.name, &moved.written());
        out.known(name, &body.end());
    }
    out.end()
}

fn body_of(body: &Value<'_>, moved: Option<MisplacedCalls<'_>>) -> Vec<u8> {
    let mut out = Writer::new();
    let has_own = calls(body).is_some();
    let thoughts = thoughts(body);
    for (name, key, value) in Names::of(body, &BODY).members(body) {
        match name {
            // Empty, since there are thoughts under another name.
            Some("reasoning_content") if thoughts.is_some() => {}
            Some("tool_calls" | "function_call") if moved.is_some() && !has_own => {}
            Some(name @ "tool_calls") if value.kind == Kind::BeginArray => {
                out.known(name, &array(value.elements().map(|call| call_of(&call))));
            }
            Some(name) => out.known(name, value.raw()),
            None if is_thinking_key(&key)
                && thoughts.is_some_and(|found| found.raw() == value.raw()) =>
            {
                out.known("reasoning_content", value.raw());
            }
            None => out.other(&key, value.raw()),
        }
    }
    if let Some(moved) = moved.filter(|_| !has_own) {
        out.known(moved.name, &moved.written());
    }
    out.end()
}

fn call_of(call: &Value<'_>) -> Vec<u8> {
    if call.kind != Kind::BeginObject || !call.members().any(|(key, _)| is_strange(&key)) {
        return call.raw().to_vec();
    }
    let mut out = Writer::new();
    for (name, key, value) in Names::of(call, &CALL).members(call) {
        match name {
            Some(name @ "function") => out.known(name, &renamed(&value, &CALL)),
            Some(name) => out.known(name, value.raw()),
            None => out.other(&key, value.raw()),
        }
    }
    out.end()
}

fn renamed(value: &Value<'_>, table: &'static [&'static str]) -> Vec<u8> {
    if value.kind != Kind::BeginObject {
        return value.raw().to_vec();
    }
    let mut out = Writer::new();
    for (name, key, value) in Names::of(value, table).members(value) {
        match name {
            Some(name) => out.known(name, value.raw()),
            None => out.other(&key, value.raw()),
        }
    }
    out.end()
}

fn array(elements: impl Iterator<Item = Vec<u8>>) -> Vec<u8> {
    let elements: Vec<_> = elements.collect();
    [b"[", &elements.join(&b","[..])[..], b"]"].concat()
}

/// The choices of a list, or the only one.
fn listed<'a>(choices: &Value<'a>) -> impl Iterator<Item = Value<'a>> {
    let only = Some(*choices).filter(|only| only.kind == Kind::BeginObject);
    only.into_iter().chain(choices.elements())
}

/// Whether there is one choice, and no other.
fn is_only(choices: &Value<'_>) -> bool {
    let mut choices = listed(choices);
    choices.next().is_some_and(|choice| choice.kind == Kind::BeginObject)
        && choices.next().is_none()
}

/// Whether a member has one of these names in another spelling, and none says anything under the name itself.
fn is_renamed(value: &Value<'_>, table: &'static [&'static str]) -> bool {
    let names = Names::of(value, table);
    names.foreign & !names.own != 0
}

fn is_odd_choice(choice: &Value<'_>) -> bool {
    is_renamed(choice, &CHOICE)
        || choice.members().any(|(key, value)| {
            let is_odd_body = |name| match value.kind {
                Kind::BeginObject => is_renamed(&value, &BODY) || thoughts(&value).is_some(),
                Kind::BeginArray => last_of(&value, name).is_some(),
                _ => unpacked(&value, |inner| is_message(inner, name)).is_some(),
            };
            (is_calls(&key) && says(&value))
                || ["message", "delta"]
                    .into_iter()
                    .any(|name| is_named(&key, name) && is_odd_body(name))
        })
}

/// What a message tells of its reasoning under a name that clients don't know, where it tells nothing under one that they do.
fn thoughts<'a>(body: &Value<'a>) -> Option<Value<'a>> {
    let mut found = None;
    for (key, value) in body.members() {
        let says = value.kind == Kind::String && !value.inner().is_empty();
        if says && is_thinking_key(&key) {
            found = found.or(Some(value));
        } else if says && (is_named(&key, "reasoning_content") || key.is("reasoning")) {
            return None;
        }
    }
    found
}

fn is_thinking_key(key: &Key<'_>) -> bool {
    key.as_str().is_some_and(|name| is_thinking(name.as_bytes()))
}

/// The last message of a list of them that says something.
fn last_of<'a>(list: &Value<'a>, name: &str) -> Option<Value<'a>> {
    (list.kind == Kind::BeginArray).then_some(())?;
    let tells = |message: &Value<'_>| {
        message.members().any(|(key, value)| {
            let text = value.kind == Kind::String && !value.inner().is_empty();
            !is_named(&key, "role") && (text || says(&value))
        })
    };
    let messages = || list.elements().filter(|message| is_message(message, name));
    messages().filter(tells).last().or_else(|| messages().last())
}

/// Whether a value is what `name` holds, a message or a delta: parts of a content are none. A delta may be a text alone.
fn is_message(value: &Value<'_>, name: &str) -> bool {
    let has = |name: &str| value.members().any(|(key, _)| is_named(&key, name));
    let is_body = |(key, _): (Key<'_>, Value<'_>)| BODY.iter().any(|name| is_named(&key, name));
    value.kind == Kind::BeginObject
        && (has("role")
            || has("tool_calls")
            || (name == "delta" && has("content") && value.members().all(is_body)))
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

/// Calls that may stand in the wrong place.
#[derive(Clone, Copy)]
struct MisplacedCalls<'a> {
    name: &'static str,
    calls: Value<'a>,
}

impl MisplacedCalls<'_> {
    fn written(&self) -> Vec<u8> {
        match self.calls.kind {
            Kind::BeginArray => array(self.calls.elements().map(|call| call_of(&call))),
            _ => renamed(&self.calls, &CALL),
        }
    }
}

/// Names of members that hold calls.
const CALLS: [&str; 2] = ["tool_calls", "function_call"];

fn is_calls(key: &Key<'_>) -> bool {
    CALLS.iter().any(|name| is_named(key, name))
}

fn calls<'a>(value: &Value<'a>) -> Option<MisplacedCalls<'a>> {
    value.members().find_map(|(key, calls)| {
        let name = CALLS.into_iter().find(|name| is_named(&key, name))?;
        says(&calls).then_some(MisplacedCalls { name, calls })
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

/// Under which names of a table an object says something: a bit for each, in the table's order.
#[derive(Clone, Copy)]
struct Names {
    table: &'static [&'static str],
    own: u32,
    /// In another spelling.
    foreign: u32,
}

impl Names {
    fn of(object: &Value<'_>, table: &'static [&'static str]) -> Self {
        let mut names = Self { table, own: 0, foreign: 0 };
        for (key, _) in object.members().filter(|(_, value)| !is_null(value)) {
            if let Some(bit) = names.bit(&key) {
                let is_own = names.at(bit).is_some_and(|name| key.is(name));
                *(if is_own { &mut names.own } else { &mut names.foreign }) |= 1 << bit;
            }
        }
        names
    }

    fn bit(&self, key: &Key<'_>) -> Option<usize> {
        self.table.iter().position(|name| is_named(key, name))
    }

    fn at(&self, bit: usize) -> Option<&'static str> {
        self.table.get(bit).copied()
    }

    /// The members of that object, each with the name that it gets if that is one of the table's.
    fn members<'a>(
        self,
        object: &Value<'a>,
    ) -> impl Iterator<Item = (Option<&'static str>, Key<'a>, Value<'a>)> {
        object
            .members()
            .filter(move |(key, value)| !self.is_replaced(key, value))
            .map(move |(key, value)| (self.known(&key, &value), key, value))
    }

    /// The name that a member gets, if it is one of the table's. What stands under the name itself counts before other
    /// spellings, and what says something before null.
    fn known(&self, key: &Key<'_>, value: &Value<'_>) -> Option<&'static str> {
        let bit = self.bit(key)?;
        let name = self.at(bit)?;
        (key.is(name) || (self.own >> bit & 1 == 0 && !is_null(value))).then_some(name)
    }

    /// Whether a member is null in the place of one that says something in another spelling.
    fn is_replaced(&self, key: &Key<'_>, value: &Value<'_>) -> bool {
        is_null(value)
            && self.bit(key).is_some_and(|bit| {
                self.at(bit).is_some_and(|name| key.is(name))
                    && (self.foreign & !self.own) >> bit & 1 == 1
            })
    }
}

fn is_null(value: &Value<'_>) -> bool {
    value.kind == Kind::Null
}

/// An object that is being written. Of members that mean the same the first one counts.
struct Writer {
    out: Vec<u8>,
    /// OpenAI's names that are there.
    names: Vec<&'static str>,
}

impl Writer {
    fn new() -> Self {
        Self { out: vec![b'{'], names: Vec::new() }
    }

    /// A member with one of OpenAI's names, of which there are few.
    fn known(&mut self, name: &'static str, value: &[u8]) {
        if !self.names.contains(&name) {
            self.names.push(name);
            self.member(name, value);
        }
    }

    /// Any other, as it is.
    fn other(&mut self, key: &Key<'_>, value: &[u8]) {
        self.member(&key.as_str().unwrap_or_default(), value);
    }

    fn member(&mut self, name: &str, value: &[u8]) {
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

    /// The time that an answer takes grows with its length alone.
    #[test]
    fn many_members_are_written_as_quickly() {
        let mut text = String::from(r#"{"Choices":[{"Message":{"Content":"x"}}]"#);
        for count in 0..200_000 {
            text.push_str(&format!(r#","a{count}":0"#));
        }
        text.push('}');
        let straight = straight(&text).unwrap();
        assert!(straight.starts_with(r#"{"choices":[{"message":{"content":"x"}}],"a0":0"#));
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
            // Calls that nothing stands beside, or a text.
            (
                r#"{"choices":[{"index":0,"message":null,"tool_calls":[{"id":"c"}]}]}"#,
                r#"{"choices":[{"index":0,"message":{"role":"assistant","tool_calls":[{"id":"c"}]}}]}"#,
            ),
            (
                r#"{"choices":[{"delta":"hi","tool_calls":[{"id":"c"}]}]}"#,
                r#"{"choices":[{"delta":{"role":"assistant","content":"hi","tool_calls":[{"id":"c"}]}}]}"#,
            ),
            (
                r#"{"Choices":[{"Delta":{"Content":"hi"}}],"ToolCalls":[{"Id":"c","Function":{"Name":"f"}}]}"#,
                r#"{"choices":[{"delta":{"content":"hi","tool_calls":[{"id":"c","function":{"name":"f"}}]}}]}"#,
            ),
            // A later delta names no role.
            (
                r#"{"choices":[{"delta":[{"content":" there"}]}]}"#,
                r#"{"choices":[{"delta":{"content":" there"}}]}"#,
            ),
            (
                r#"{"choices":[{"delta":"{\"content\":\" there\"}"}]}"#,
                r#"{"choices":[{"delta":{"content":" there"}}]}"#,
            ),
            (
                r#"{"choices":[{"message":[{"role":"assistant","content":"hi"},{"role":"assistant"}]}]}"#,
                r#"{"choices":[{"message":{"role":"assistant","content":"hi"}}]}"#,
            ),
            // Thoughts under a known name that is empty.
            // What says something counts, and what stands under the name itself.
            (
                r#"{"Choices":null,"choices":[{"message":{"content":null,"Content":"hi","Role":"x","role":"assistant"}}]}"#,
                r#"{"Choices":null,"choices":[{"message":{"content":"hi","Role":"x","role":"assistant"}}]}"#,
            ),
            (
                r#"{"choices":[{"delta":{"reasoning_content":null,"reasoning_text":"t"}}]}"#,
                r#"{"choices":[{"delta":{"reasoning_content":"t"}}]}"#,
            ),
            (
                r#"{"choices":[{"delta":{"thought":"","thinking":"t","reasoning_content":""}}]}"#,
                r#"{"choices":[{"delta":{"thought":"","reasoning_content":"t"}}]}"#,
            ),
        ] {
            assert_eq!(straight(text).as_deref(), Some(want), "{text}");
        }
        for text in [
            r#"{"choices":[{"message":{"role":"assistant","content":"{\"role\":\"x\"}"}}]}"#,
            r#"{"choices":[{"Foo":1,"message":{"Bar":2,"content":"hi"}}],"Baz":[3]}"#,
            r#"{"choices":[{"message":{}},{"message":{}}],"tool_calls":[{"id":"c"}]}"#,
            r#"{"choices":"none"}"#,
            // Good as they are.
            r#"{"choices":[{"index":0,"delta":{"content":null,"thinking":"","reasoning_content":"Let me"}}]}"#,
            r#"{"choices":[{"index":0,"delta":{"thinking":"x","reasoning":"Let me"}}]}"#,
            r#"{"choices":[{"message":"{\"content\":\"hi\"}"}]}"#,
            r#"{"choices":[],"tool_calls":[{"id":"c"}]}"#,
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
