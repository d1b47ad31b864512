//! What a message or a delta says: its content, reasoning and refusal.

use std::borrow::Cow;

use crate::repair::chat::content::{self, ContentTexts};
use crate::wire::json::cursor::{Key, Value};
use crate::wire::json::tokenizer::Kind;

/// What a message or a delta says, and where it stands.
#[derive(Default)]
pub(super) struct Said<'v> {
    pub(super) content: Option<Value<'v>>,
    /// What stands for content where that says nothing.
    pub(super) text: Option<(Key<'v>, Value<'v>)>,
    pub(super) refusal: Option<Value<'v>>,
    /// The refusal's own text.
    pub(super) refused: Cow<'v, [u8]>,
    /// The first reasoning that says something, and its name.
    pub(super) reasoning: Cow<'v, [u8]>,
    pub(super) reasoning_key: Option<Key<'v>>,
}

impl<'v> Said<'v> {
    pub(super) fn read(body: &Value<'v>) -> Self {
        let mut this = Self::default();
        for (key, value) in body.members() {
            if let Some(name) = key.as_str() {
                this.member(&name, key, value);
            }
        }
        this
    }

    pub(super) fn member(&mut self, name: &str, key: Key<'v>, value: Value<'v>) {
        let text = |read: fn(&Value<'v>) -> Vec<u8>| match value.kind {
            Kind::String => Cow::Borrowed(value.inner()),
            _ => Cow::Owned(read(&value)),
        };
        match name {
            "content" => self.content = Some(value),
            "text" if says_something(&value) => self.text = Some((key, value)),
            "refusal" => {
                self.refusal = Some(value);
                self.refused = text(content::refusal);
            }
            _ if is_reasoning(name) && self.reasoning.is_empty() => {
                self.reasoning = text(content::reasoning);
                self.reasoning_key = Some(key);
            }
            _ => {}
        }
    }

    /// What stands for content, which says nothing.
    pub(super) fn stand_in(&self) -> Option<(Key<'v>, Value<'v>)> {
        let is_silent = |given: Value<'v>| content::read(&given).text.is_empty();
        self.text.filter(|_| self.content.is_none_or(is_silent))
    }

    pub(super) fn texts(&self) -> ContentTexts<'v> {
        let mut texts = self.content.map(|given| content::read(&given)).unwrap_or_default();
        if let Some((_, text)) = self.stand_in() {
            let more = content::read(&text);
            texts.text = more.text;
            texts.reasoning.to_mut().extend_from_slice(&more.reasoning);
            texts.refusal.to_mut().extend_from_slice(&more.refusal);
        }
        // What has a member of its own is not said again by content.
        if !self.reasoning.is_empty() {
            texts.reasoning = self.reasoning.clone();
        }
        if !self.refused.is_empty() {
            texts.refusal = self.refused.clone();
        }
        texts
    }
}

pub(super) fn is_reasoning(name: &str) -> bool {
    matches!(name, "reasoning_content" | "reasoning")
}

pub(super) fn is_container(value: &Value<'_>) -> bool {
    matches!(value.kind, Kind::BeginArray | Kind::BeginObject)
}

/// A text, or parts of one.
pub(super) fn says_something(value: &Value<'_>) -> bool {
    (value.kind == Kind::String || is_container(value)) && value.raw().len() > 2
}

/// The text as a string.
pub(super) fn quoted(inner: &[u8]) -> Vec<u8> {
    [b"\"", inner, b"\""].concat()
}

pub(super) fn is_object(value: &Value<'_>) -> bool {
    value.kind == Kind::BeginObject
}

/// The text as a string; null where there is none.
pub(super) fn quoted_or_null(inner: &[u8]) -> Vec<u8> {
    if inner.is_empty() { b"null".to_vec() } else { quoted(inner) }
}

/// Members of a message that were said already when a stream ends with all of it.
pub(super) fn is_said(key: &Key<'_>) -> bool {
    let name = key.as_str();
    let texts = ["content", "text", "reasoning_content", "reasoning"];
    let others = ["role", "reasoning_details", "function_call", "refusal", "audio"];
    texts.iter().chain(&others).any(|said| name.as_deref() == Some(said))
}

/// Whether a delta or message says something.
pub(super) fn says(body: &Value<'_>) -> bool {
    body.members().any(|(key, value)| {
        !key.is("role")
            && (matches!(value.kind, Kind::String | Kind::BeginArray | Kind::BeginObject))
            && value.raw().len() > 2
    })
}
