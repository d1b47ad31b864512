//! Reads chat completions and their chunks into the builder, member by member.

use std::ops::Range;

use crate::repair::error::{Event, from_event};
use crate::wire::json::cursor::{self, Value};
use crate::wire::json::tokenizer::Kind;

use super::builder::Builder;
use super::memo::What;
use super::message::{self, Form};
use super::response::Reason;
use super::usage::Usage;

/// The members of a chat completion, or of a chunk, that matter.
#[derive(Default)]
struct Root<'a> {
    created: Option<u64>,
    model: Option<Value<'a>>,
    service_tier: Option<Value<'a>>,
    choices: Option<Value<'a>>,
    usage: Option<Value<'a>>,
    error: Option<Value<'a>>,
}

impl<'a> Root<'a> {
    fn read(root: &Value<'a>) -> Self {
        let mut this = Self::default();
        for (key, value) in root.members() {
            let Some(name) = key.as_str() else { continue };
            match &*name {
                "created" => this.created = whole_number(&value),
                "model" => this.model = Some(value).filter(is_filled),
                "service_tier" => this.service_tier = Some(value).filter(is_filled),
                "choices" => this.choices = Some(value),
                "usage" => this.usage = Some(value),
                "error" => this.error = Some(value).filter(is_told),
                _ => {}
            }
        }
        this
    }

    fn head(&self, builder: &mut Builder) {
        let head = &mut builder.head;
        head.created = head.created.or(self.created.filter(|created| *created > 0));
        if head.model.is_none() {
            head.model = self.model.map(|model| model.raw().to_vec());
        }
        if let Some(tier) = self.service_tier {
            head.service_tier = Some(tier.raw().to_vec());
        }
        head.usage = self.usage.as_ref().and_then(Usage::read).or(head.usage);
    }
}

/// The members of a choice that matter.
#[derive(Default)]
struct Choice<'a> {
    index: u64,
    delta: Option<Value<'a>>,
    message: Option<Value<'a>>,
    finish_reason: Option<Value<'a>>,
    logprobs: Option<Value<'a>>,
}

impl<'a> Choice<'a> {
    fn read(choice: &Value<'a>, position: usize) -> Self {
        let mut this = Self { index: position as u64, ..Self::default() };
        let object = |value: Value<'a>| Some(value).filter(|v| v.kind == Kind::BeginObject);
        for (key, value) in choice.members() {
            let Some(name) = key.as_str() else { continue };
            match &*name {
                "index" => this.index = whole_number(&value).unwrap_or(this.index),
                "delta" => this.delta = object(value),
                "message" => this.message = object(value),
                "finish_reason" => this.finish_reason = Some(value).filter(is_filled),
                "logprobs" => this.logprobs = object(value),
                _ => {}
            }
        }
        this
    }

    /// Returns the one string that was said, where it was no more.
    fn say(
        &self,
        said: Option<Value<'_>>,
        form: Form,
        builder: &mut Builder,
    ) -> Option<(Range<usize>, What)> {
        builder.answered();
        let told = message::read(&said?, self.logprobs.as_ref(), form, builder);
        told.filter(|_| self.finish_reason.is_none())
    }

    fn finish(&self, builder: &mut Builder) {
        if let Some(reason) = self.finish_reason {
            let reason = reason.as_str().unwrap_or_default();
            builder.finish(incomplete(&reason));
        }
    }
}

/// One payload of a stream. Where all it says is one string, returns its place and what it is: then a
/// payload that has another string there, and is the same around it, says no more either.
pub(super) fn chunk(payload: &[u8], builder: &mut Builder) -> Option<(Range<usize>, What)> {
    let Ok(value) = cursor::parse(payload) else {
        builder.invalid("The upstream sent an event that is not JSON.");
        return None;
    };
    let root = Root::read(&value);
    if root.error.is_some()
        && let Some(answer) = from_event(payload, Event { marked: true, status: None })
    {
        builder.fail(answer);
        return None;
    }
    root.head(builder);
    builder.begin();
    let (mut told, mut count) = (None, 0);
    for (position, choice) in root.choices?.elements().enumerate() {
        count += 1;
        if choice.kind != Kind::BeginObject {
            continue;
        }
        let choice = Choice::read(&choice, position);
        // `n` is never asked for: a Response has one answer.
        if choice.index == 0 {
            told = choice.say(choice.delta.or(choice.message), Form::Delta, builder);
            choice.finish(builder);
        }
    }
    told.filter(|_| count == 1)
}

/// A whole chat completion. Says why it is none.
pub(super) fn completion(chat: &[u8], builder: &mut Builder) {
    let Ok(value) = cursor::parse(chat) else {
        return builder.invalid("The upstream's answer is not JSON.");
    };
    let root = Root::read(&value);
    root.head(builder);
    builder.begin();
    let choices = root.choices.iter().flat_map(Value::elements);
    let choice = choices
        .filter(|choice| choice.kind == Kind::BeginObject)
        .enumerate()
        .map(|(position, choice)| Choice::read(&choice, position))
        .min_by_key(|choice| choice.index);
    let Some(choice) = choice else {
        return builder.invalid("The upstream's answer has no choices.");
    };
    let said = choice.message.or(choice.delta);
    if said.is_none() {
        return builder.invalid("The upstream's answer has no message.");
    }
    choice.say(said, Form::Whole, builder);
    choice.finish(builder);
}

/// Why an answer with this finish reason is not complete, also by other servers' names.
fn incomplete(reason: &str) -> Option<Reason> {
    match reason.to_ascii_lowercase().as_str() {
        "length" | "max_tokens" | "max_output_tokens" | "model_length" => {
            Some(Reason::MaxOutputTokens)
        }
        "content_filter" | "safety" => Some(Reason::ContentFilter),
        _ => None,
    }
}

pub(super) fn whole_number(value: &Value<'_>) -> Option<u64> {
    const MAX_SAFE: f64 = 9_007_199_254_740_991.0;
    value.as_f64().filter(|number| (0.0..=MAX_SAFE).contains(number)).map(|number| number as u64)
}

/// A string that is not empty.
fn is_filled(value: &Value<'_>) -> bool {
    value.kind == Kind::String && value.raw().len() > 2
}

/// Not null, false or empty.
pub(super) fn is_told(value: &Value<'_>) -> bool {
    !matches!(value.raw(), b"null" | b"false" | b"\"\"" | b"{}" | b"[]" | b"0")
}
