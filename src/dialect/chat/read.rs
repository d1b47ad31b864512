//! Reads chat completions and their chunks, member by member, for whoever builds an answer of them.

use std::ops::Range;

use crate::repair::error::Event;
use crate::repair::sse::in_canonical_event;
use crate::wire::json::cursor::{self, Value};
use crate::wire::json::tokenizer::Kind;

use super::memo::What;
use super::message::{self, WholeOrDelta};
use super::usage::Usage;
use super::values::{is_filled, is_told, whole_number};
use super::{Answer, Finish};

/// The members of a chat completion, or of a chunk, that matter.
#[derive(Default)]
struct ChatMembers<'a> {
    created: Option<u64>,
    model: Option<Value<'a>>,
    service_tier: Option<Value<'a>>,
    choices: Option<Value<'a>>,
    usage: Option<Value<'a>>,
    error: Option<Value<'a>>,
}

impl<'a> ChatMembers<'a> {
    fn read(root: &Value<'a>) -> Self {
        let mut this = Self::default();
        for (key, value) in root.members() {
            match &*key.name() {
                b"created" => this.created = whole_number(&value),
                b"model" => this.model = Some(value).filter(is_filled),
                b"service_tier" => this.service_tier = Some(value).filter(is_filled),
                b"choices" => this.choices = Some(value),
                b"usage" => this.usage = Some(value),
                b"error" => this.error = Some(value).filter(is_told),
                _ => {}
            }
        }
        this
    }

    fn head(&self, answer: &mut impl Answer) {
        let head = answer.head();
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
struct ChoiceMembers<'a> {
    index: u64,
    delta: Option<Value<'a>>,
    message: Option<Value<'a>>,
    finish_reason: Option<Value<'a>>,
    /// The stop sequence that ended it: vLLM's `stop_reason`, SGLang's `matched_stop`.
    stop: Option<Value<'a>>,
    logprobs: Option<Value<'a>>,
}

impl<'a> ChoiceMembers<'a> {
    fn read(choice: &Value<'a>, position: usize) -> Self {
        let mut this = Self { index: position as u64, ..Self::default() };
        let object = |value: Value<'a>| Some(value).filter(|v| v.kind == Kind::BeginObject);
        for (key, value) in choice.members() {
            match &*key.name() {
                b"index" => this.index = whole_number(&value).unwrap_or(this.index),
                b"delta" => this.delta = object(value),
                b"message" => this.message = object(value),
                b"finish_reason" => this.finish_reason = Some(value).filter(is_filled),
                b"stop_reason" | b"matched_stop" => {
                    this.stop = this.stop.or(Some(value).filter(is_filled));
                }
                b"logprobs" => this.logprobs = object(value),
                _ => {}
            }
        }
        this
    }

    /// Returns the one string that was said, where it was no more.
    fn say(
        &self,
        said: Option<Value<'_>>,
        form: WholeOrDelta,
        answer: &mut impl Answer,
    ) -> Option<(Range<usize>, What)> {
        answer.answered();
        let told = message::read(&said?, self.logprobs.as_ref(), form, answer);
        told.filter(|_| self.finish_reason.is_none())
    }

    fn finish(&self, answer: &mut impl Answer) {
        if let Some(reason) = self.finish_reason {
            let reason = reason.as_str().unwrap_or_default();
            answer.finish(Finish::read(&reason), self.stop);
        }
    }
}

/// One payload of a stream. Where all it says is one string, returns its place and what it is: then a
/// payload that has another string there, and is the same around it, says no more either.
pub(crate) fn chunk(payload: &[u8], answer: &mut impl Answer) -> Option<(Range<usize>, What)> {
    let Ok(value) = cursor::parse(payload) else {
        answer.invalid("The upstream sent an event that is not JSON.");
        return None;
    };
    let root = ChatMembers::read(&value);
    if root.error.is_some()
        && let Some(error) = in_canonical_event(payload, Event { marked: true, status: None })
    {
        answer.fail(error);
        return None;
    }
    root.head(answer);
    answer.begin();
    let (mut told, mut count) = (None, 0);
    for (position, choice) in root.choices?.elements().enumerate() {
        count += 1;
        if choice.kind != Kind::BeginObject {
            continue;
        }
        let choice = ChoiceMembers::read(&choice, position);
        // `n` is never asked for: a Response has one answer.
        if choice.index == 0 {
            told = choice.say(choice.delta.or(choice.message), WholeOrDelta::Delta, answer);
            choice.finish(answer);
        }
    }
    told.filter(|_| count == 1)
}

/// A whole chat completion that nobody has read before.
#[cfg(any(test, feature = "testing"))]
pub(crate) fn whole(chat: &[u8], answer: &mut impl Answer) {
    let chat = String::from_utf8_lossy(chat);
    match cursor::parse(chat.as_bytes()) {
        Ok(root) => completion(&root, answer),
        Err(_) => answer.invalid(crate::dialect::NOT_JSON),
    }
}

/// A whole chat completion. Says why it is none.
pub(crate) fn completion(chat: &Value<'_>, answer: &mut impl Answer) {
    let root = ChatMembers::read(chat);
    root.head(answer);
    answer.begin();
    let choices = root.choices.iter().flat_map(Value::elements);
    let choice = choices
        .filter(|choice| choice.kind == Kind::BeginObject)
        .enumerate()
        .map(|(position, choice)| ChoiceMembers::read(&choice, position))
        .min_by_key(|choice| choice.index);
    let Some(choice) = choice else {
        return answer.invalid("The upstream's answer has no choices.");
    };
    let said = choice.message.or(choice.delta);
    if said.is_none() {
        return answer.invalid("The upstream's answer has no message.");
    }
    choice.say(said, WholeOrDelta::Whole, answer);
    choice.finish(answer);
}
