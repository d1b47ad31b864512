//! Content that is no string.
//!
//! Mistral, Databricks and proxies of Anthropic's API send a list of typed parts, some servers an object
//! (JSON mode). Clients of chat completions read a string: text is joined, thinking goes into
//! `reasoning_content`, and what is no text becomes its JSON text.

use std::borrow::Cow;

use crate::wire::json::cursor::Value;
use crate::wire::json::string;
use crate::wire::json::tokenizer::Kind;

/// How deep text is looked for.
const MAX_NESTING: u8 = 4;

/// What content says: what stands between the quotes of JSON strings.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct ContentTexts<'a> {
    pub(super) text: Cow<'a, [u8]>,
    pub(super) reasoning: Cow<'a, [u8]>,
    pub(super) refusal: Cow<'a, [u8]>,
}

/// Reads content of any kind.
pub(super) fn read<'a>(content: &Value<'a>) -> ContentTexts<'a> {
    let mut said = ContentTexts::default();
    let parts = match content.kind {
        Kind::Null => return said,
        Kind::String => {
            said.text = Cow::Borrowed(content.inner());
            return said;
        }
        Kind::BeginArray => Some(*content),
        Kind::BeginObject => content.get("parts").filter(|parts| parts.kind == Kind::BeginArray),
        _ => None,
    };
    match parts {
        Some(parts) if parts.elements().all(|part| is_part(&part)) => {
            parts.elements().for_each(|part| said.part(&part));
        }
        _ if content.kind == Kind::BeginObject && is_typed(content) => said.part(content),
        _ => said.text = json_text(content).into(),
    }
    said
}

/// Reasoning that is no string: the texts in it.
pub(super) fn reasoning(told: &Value<'_>) -> Vec<u8> {
    let names = ["text", "content", "thinking", "reasoning", "reasoning_content", "summary"];
    let mut found = Vec::new();
    texts(told, &names, MAX_NESTING, &mut found);
    found
}

/// A refusal that is no string: the texts in it.
pub(super) fn refusal(told: &Value<'_>) -> Vec<u8> {
    let mut found = Vec::new();
    texts(told, &["refusal", "text", "content"], MAX_NESTING, &mut found);
    found
}

impl ContentTexts<'_> {
    fn part(&mut self, part: &Value<'_>) {
        let kind = part.get("type").and_then(|kind| kind.as_str());
        match kind.as_deref() {
            Some("thinking" | "reasoning" | "reasoning_text" | "reasoning_content") => {
                self.reasoning.to_mut().extend(reasoning(part));
            }
            Some("redacted_thinking") => {}
            Some("refusal") => self.refusal.to_mut().extend(refusal(part)),
            _ => {
                let before = self.text.len();
                texts(part, &["text", "content", "value"], MAX_NESTING, self.text.to_mut());
                let is_text = matches!(kind.as_deref(), None | Some("text" | "output_text"));
                if self.text.len() == before && !is_text {
                    self.text.to_mut().extend(json_text(part));
                }
            }
        }
    }
}

/// A text, or an object that says what it is or has a text.
fn is_part(value: &Value<'_>) -> bool {
    match value.kind {
        // Nothing was said in this part.
        Kind::String | Kind::Null => true,
        Kind::BeginObject => is_typed(value) || value.get("text").is_some(),
        _ => false,
    }
}

fn is_typed(value: &Value<'_>) -> bool {
    value.get("type").is_some_and(|kind| kind.kind == Kind::String)
}

/// The strings in a value: its own, its elements', or those of the first member in `names` that has
/// some.
fn texts(value: &Value<'_>, names: &[&str], nesting: u8, found: &mut Vec<u8>) {
    let Some(deeper) = nesting.checked_sub(1) else { return };
    match value.kind {
        Kind::String => found.extend_from_slice(value.inner()),
        Kind::BeginArray => {
            value.elements().for_each(|element| texts(&element, names, deeper, found));
        }
        Kind::BeginObject => {
            let before = found.len();
            for name in names {
                if let Some(value) = value.get(name)
                    && found.len() == before
                {
                    texts(&value, names, deeper, found);
                }
            }
        }
        _ => {}
    }
}

/// The value's JSON as the inside of a string.
pub(super) fn json_text(value: &Value<'_>) -> Vec<u8> {
    let quoted = quoted_json(value);
    quoted.get(1..quoted.len().saturating_sub(1)).unwrap_or_default().to_vec()
}

/// The value's JSON as a string.
pub(super) fn quoted_json(value: &Value<'_>) -> Vec<u8> {
    string::encode(&String::from_utf8_lossy(value.raw()))
}
