//! The members of a choice that matter, and what they say of its end.

use std::borrow::Cow;

use crate::repair::chat::finish::{self, FinishReading};
use crate::repair::chat::usage;
use crate::wire::failure::means_failure;
use crate::wire::json::cursor::{Key, Value};
use crate::wire::json::tokenizer::Kind;

use super::said::says_something;

/// The members of a choice that matter.
#[derive(Default)]
pub(super) struct Fields<'v> {
    pub(super) index: Option<Value<'v>>,
    pub(super) delta: Option<(Key<'v>, Value<'v>)>,
    pub(super) message: Option<(Key<'v>, Value<'v>)>,
    pub(super) text: Option<Value<'v>>,
    pub(super) usage: Option<Value<'v>>,
    pub(super) error: Option<Value<'v>>,
    pub(super) finish_reason: Option<Value<'v>>,
    pub(super) finish_reason_in_camel_case: Option<Value<'v>>,
    pub(super) native_finish_reason: Option<Value<'v>>,
    /// Under the names of other APIs: they count where `finish_reason` says nothing.
    pub(super) other_reason: Option<Value<'v>>,
    /// Content that stands in the choice itself.
    pub(super) content: Option<Value<'v>>,
}

impl<'v> Fields<'v> {
    pub(super) fn read(choice: &Value<'v>) -> Self {
        let mut this = Self::default();
        for (key, value) in choice.members() {
            match key.as_str().as_deref() {
                Some("index") => this.index = Some(value),
                Some("delta") => this.delta = Some((key, value)),
                Some("message") => this.message = Some((key, value)),
                Some("text") => this.text = Some(value),
                Some("usage") => this.usage = Some(value).filter(usage::counts),
                Some("error") => this.error = Some(value).filter(means_failure),
                Some("finish_reason") => this.finish_reason = Some(value),
                Some("finishReason") => this.finish_reason_in_camel_case = Some(value),
                Some("native_finish_reason") => this.native_finish_reason = Some(value),
                // vLLM has the number of a stop token, or the stop text, in `stop_reason`.
                Some("stop_reason" | "done_reason" | "finish_details")
                    if matches!(value.kind, Kind::String | Kind::BeginObject) =>
                {
                    this.other_reason = Some(value);
                }
                Some("content") => this.content = Some(value),
                _ => {}
            }
        }
        this
    }

    /// The first reason that says something, and what it means.
    pub(super) fn ending(
        &self,
        outside: Option<Value<'v>>,
    ) -> Option<(Cow<'v, str>, FinishReading)> {
        let bodies = [self.delta, self.message].into_iter().flatten();
        let inside = bodies.filter_map(|(_, body)| body.get("finish_reason")).next();
        [self.finish_reason, self.finish_reason_in_camel_case, self.other_reason, inside, outside]
            .into_iter()
            .flatten()
            .filter_map(|value| finish::word(&value))
            .map(|word| (finish::meaning(&word), word))
            .find(|(meaning, _)| *meaning != FinishReading::Unfinished)
            .map(|(meaning, word)| (word, meaning))
    }

    pub(super) fn failure(
        &self,
        ending: Option<&(Cow<'v, str>, FinishReading)>,
    ) -> Option<Failure<'v>> {
        let is_failure = |word: &Cow<'_, str>| finish::meaning(word) == FinishReading::Failed;
        let native = self.native_finish_reason.and_then(|value| finish::word(&value));
        let reason = ending.map(|(word, _)| word.clone()).filter(is_failure);
        let reason = reason.or_else(|| native.filter(is_failure));
        let bodies = [self.delta, self.message].into_iter().flatten();
        let inside = || bodies.filter_map(|(_, body)| body.get("error")).find(means_failure);
        let cause = self.error.or_else(inside);
        let is_failure = reason.is_some() || cause.is_some();
        // An object that is the reason may say more than its type.
        let spelled_out = || self.finish_reason.filter(|reason| reason.get("message").is_some());
        is_failure.then(|| Failure { reason, cause: cause.or_else(spelled_out) })
    }

    /// What the choice says where it has neither a delta nor a message that is an object.
    pub(super) fn stray(&self) -> Option<Value<'v>> {
        let body = |body: Option<(Key<'v>, Value<'v>)>| body.map(|(_, value)| value);
        let strays = [self.text, self.content, body(self.delta), body(self.message)];
        strays.into_iter().flatten().find(says_something)
    }
}

/// Why a choice was broken off.
#[derive(Debug)]
pub(in crate::repair) struct Failure<'v> {
    /// Its finish reason, if that says it.
    pub(in crate::repair) reason: Option<Cow<'v, str>>,
    /// What it has under `error`.
    pub(in crate::repair) cause: Option<Value<'v>>,
}
