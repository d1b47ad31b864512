//! What the upstream's answer tells, as changes of the one state.

use crate::dialect::chat::calls::CallDelta;
use crate::dialect::chat::{Answer, ChatHead, Finish};
use crate::error::ErrorAnswer;
use crate::wire::json::cursor::Value;
use crate::wire::json::tokenizer::Kind;

use super::builder::ResponseBuilder;
use super::logprobs;
use super::response::IncompleteReason;

impl Answer for ResponseBuilder {
    fn head(&mut self) -> &mut ChatHead {
        &mut self.head
    }

    fn provider(&self) -> &str {
        &self.options.provider
    }

    fn begin(&mut self) {
        Self::begin(self);
    }

    fn answered(&mut self) {
        Self::answered(self);
    }

    fn text(&mut self, inner: &[u8], logprobs: Option<&Value<'_>>) {
        if self.is_compaction() {
            return self.summarize(inner);
        }
        let logprobs = logprobs.map(logprobs::of_content).unwrap_or_default();
        Self::text(self, inner, &logprobs);
    }

    fn reasoning(&mut self, inner: &[u8]) {
        if !self.is_compaction() {
            Self::reasoning(self, inner);
        }
    }

    fn refusal(&mut self, inner: &[u8]) {
        if self.is_compaction() {
            return self.summarize(inner);
        }
        Self::refusal(self, inner);
    }

    fn annotation(&mut self, annotation: &Value<'_>) {
        if let Some(flat) = flat(annotation).filter(|_| !self.is_compaction()) {
            Self::annotation(self, flat);
        }
    }

    fn call(&mut self, delta: &CallDelta<'_>) {
        if !self.is_compaction() {
            Self::call(self, delta);
        }
    }

    fn finish(&mut self, finish: Finish, _stop: Option<Value<'_>>) {
        let reason = match finish {
            Finish::Length => Some(IncompleteReason::MaxOutputTokens),
            Finish::ContentFilter => Some(IncompleteReason::ContentFilter),
            Finish::Stop | Finish::ToolCalls => None,
        };
        Self::finish(self, reason);
    }

    fn comment(&mut self, line: &[u8]) {
        self.events.comment(line);
    }

    fn end(&mut self) {
        Self::end(self);
    }

    fn cut(&mut self) {
        Self::cut(self);
    }

    fn invalid(&mut self, message: &str) {
        Self::invalid(self, message);
    }

    fn fail(&mut self, answer: ErrorAnswer) {
        Self::fail(self, answer);
    }

    fn is_ended(&self) -> bool {
        Self::is_ended(self)
    }

    fn max_bytes(&self) -> u64 {
        self.options.max_answer_bytes
    }
}

/// A chat annotation as a Responses one: what chat nests under the type's name (`url_citation`)
/// stands beside `type`.
fn flat(annotation: &Value<'_>) -> Option<Vec<u8>> {
    let kind = annotation.get("type")?;
    let nested = kind
        .as_str()
        .and_then(|name| annotation.get(&name))
        .filter(|nested| nested.kind == Kind::BeginObject);
    let Some(nested) = nested else { return Some(annotation.raw().to_vec()) };
    let inside = nested.raw().strip_prefix(b"{")?.trim_ascii_start();
    let comma: &[u8] = if inside.starts_with(b"}") { b"" } else { b"," };
    Some([b"{\"type\":", kind.raw(), comma, inside].concat())
}
