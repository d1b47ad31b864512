//! What the members of an answer say of it.

use std::borrow::Cow;

use serde_json::{Map, Value};

use super::MAX_MEMBER_BYTES;
use crate::repair::chat::container;
use crate::repair::chat::finish::{self, FinishReading};
use crate::repair::error::names;
use crate::repair::error::shape::truthy;
use crate::wire::failure::means_failure;
use crate::wire::json::cursor;
use crate::wire::json::tokenizer::Kind;

/// How many members of an answer are looked at.
const MAX_MEMBERS: usize = 256;

/// Members that are results, whose content is never an error's.
fn is_result(name: &str) -> bool {
    matches!(
        name,
        "choices"
            | "data"
            | "results"
            | "output"
            | "outputs"
            | "embeddings"
            | "embedding"
            | "models"
            | "predictions"
            | "segments"
            | "images"
            | "output_text"
            | "generated_text"
            | "usage"
    )
}

/// Whether an object has a result: a list with elements, or a text.
fn holds_result(value: &cursor::Value<'_>) -> bool {
    let is_said = |value: cursor::Value<'_>| match value.kind {
        Kind::BeginArray => value.elements().next().is_some(),
        Kind::String => value.raw().len() > 2,
        _ => false,
    };
    value.kind == Kind::BeginObject
        && value.members().take(MAX_MEMBERS).any(|(key, value)| {
            key.as_str().is_some_and(|name| is_result(&name) || &*name == "text") && is_said(value)
        })
}

/// Why a choice was broken off.
#[derive(Default)]
pub(super) struct AnswerFailure {
    /// Its finish reason, if that says it.
    pub(super) reason: Option<String>,
    /// What it has under `error`, as JSON.
    pub(super) cause: Option<Vec<u8>>,
}

/// What an answer's members say.
#[derive(Default)]
pub(super) struct AnswerFacts {
    /// `choices` has an element.
    pub(super) choices: bool,
    /// A choice was broken off.
    pub(super) failed: Option<AnswerFailure>,
    /// Another result that is a list with elements (or, for `text`, any string).
    pub(super) result: bool,
    /// A result that is an object, as in `{"code":0,"data":{…}}`.
    pub(super) wrapped: bool,
    /// An object under a name of a container has a result in it.
    pub(super) holds_result: bool,
    /// Every other member that is small enough to be one of an error.
    pub(super) rest: Map<String, Value>,
}

impl AnswerFacts {
    pub(super) fn read(top: &cursor::Value<'_>) -> Self {
        let mut seen = Self::default();
        for (key, value) in top.members().take(MAX_MEMBERS) {
            let Some(name) = key.as_str() else { continue };
            match &*name {
                "choices" => seen.choices(&value),
                "usage" => {}
                _ if is_result(&name) => match value.kind {
                    Kind::BeginArray => seen.result |= value.elements().next().is_some(),
                    Kind::BeginObject => {
                        seen.holds_result |= holds_result(&value);
                        seen.wrapper(&value);
                    }
                    Kind::String => seen.result |= value.raw().len() > 2,
                    _ => {}
                },
                _ if names::ERRORS.contains(&&*name) && !means_failure(&value) => {}
                // What tells an error there is read below, as any other member.
                _ if container::is_name(&name) && holds_result(&value) => {
                    seen.holds_result = true;
                    seen.wrapper(&value);
                }
                _ if value.raw().len() <= MAX_MEMBER_BYTES => {
                    let text = String::from_utf8_lossy(value.raw());
                    if let Ok(value) = serde_json::from_str(&text) {
                        seen.rest.insert(name.into_owned(), value);
                    }
                }
                _ => {}
            }
        }
        seen
    }

    fn choices(&mut self, choices: &cursor::Value<'_>) {
        for choice in choices.elements() {
            self.choices = true;
            let mut failure = AnswerFailure::default();
            for (key, value) in choice.members() {
                if ["finish_reason", "finishReason", "native_finish_reason"]
                    .iter()
                    .any(|name| key.is(name))
                {
                    let word = finish::word(&value);
                    let failed = word.filter(|word| finish::meaning(word) == FinishReading::Failed);
                    failure.reason = failure.reason.or(failed.map(Cow::into_owned));
                } else if key.is("error")
                    && means_failure(&value)
                    && value.raw().len() <= MAX_MEMBER_BYTES
                {
                    failure.cause = Some(value.raw().to_vec());
                }
            }
            if failure.reason.is_some() || failure.cause.is_some() {
                self.failed.get_or_insert(failure);
            }
        }
    }

    /// A result that is an object; an error in it stands for one beside it: `{"code":500,"data":{"error":…}}`.
    fn wrapper(&mut self, value: &cursor::Value<'_>) {
        self.wrapped |= value.members().next().is_some();
        let error = value.get("error").filter(|error| error.raw().len() <= MAX_MEMBER_BYTES);
        let error = error.filter(means_failure);
        let error = error.and_then(|error| serde_json::from_slice::<Value>(error.raw()).ok());
        if let Some(error) = error
            && !self.truthy("error")
        {
            self.rest.insert("error".to_owned(), error);
        }
    }

    pub(super) fn get(&self, name: &str) -> Option<&Value> {
        self.rest.get(name)
    }

    pub(super) fn truthy(&self, name: &str) -> bool {
        self.get(name).is_some_and(truthy)
    }

    pub(super) fn text(&self, name: &str) -> Option<&str> {
        self.get(name).and_then(Value::as_str)
    }
}
