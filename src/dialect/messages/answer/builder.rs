//! The one state of an answer, plain or streamed.
//!
//! Blocks stand in the order in which they appeared. One of them is open: what is added to it is told at once. A later
//! one is opened when the one before it can't go on any more: a text or thinking as soon as something else was said, a
//! call when its arguments are one whole JSON value. Until then what is said waits here, so that calls whose pieces come
//! interleaved are kept apart.

use std::collections::HashSet;

use super::MessageOptions;
use super::blocks::{ContentBlock, ToolUse};
use super::citations::{Citations, citation};
use super::events::MessageEvents;
use super::input::ArgumentsState;
use crate::dialect::chat::calls::{CallDelta, CallNumbers, add_name, clean};
use crate::dialect::chat::text::Text;
use crate::dialect::chat::{Answer, ChatHead, Finish};
use crate::dialect::messages::error;
use crate::error::{Code, ErrorAnswer, GatewayError};
use crate::wire::json::cursor::Value;
use crate::wire::json::string;

use write::write_usage;

mod turn;
mod write;

/// What a block costs beside its text, toward `max_answer_bytes`.
const BLOCK_BYTES: usize = 128;

/// An answer that is being built.
#[derive(Debug)]
pub(super) struct MessageBuilder {
    options: MessageOptions,
    events: MessageEvents,
    head: ChatHead,
    blocks: Vec<ContentBlock>,
    /// The block that is open; those before it are closed.
    open: usize,
    /// Its first event was written.
    is_started: bool,
    places: CallNumbers,
    /// Where each call stands among the blocks.
    calls: Vec<usize>,
    /// The client's ids.
    ids: HashSet<Vec<u8>>,
    /// There was a choice.
    answered: bool,
    finish: Option<Finish>,
    /// The stop sequence that ended the answer, a JSON string.
    stop: Option<Vec<u8>>,
    /// The model refused in words.
    has_refused: bool,
    /// Bytes of `max_answer_bytes` that were used.
    used: u64,
    phase: Phase,
    failure: Option<Box<ErrorAnswer>>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Phase {
    /// No event was written.
    Fresh,
    Open,
    /// The last event was written.
    Ended,
}

/// What a text block is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum TextRole {
    Thinking,
    Text,
}

impl MessageBuilder {
    pub(super) fn new(options: MessageOptions, events: MessageEvents) -> Self {
        Self {
            options,
            events,
            head: ChatHead::default(),
            blocks: Vec::new(),
            open: 0,
            is_started: false,
            places: CallNumbers::default(),
            calls: Vec::new(),
            ids: HashSet::new(),
            answered: false,
            finish: None,
            stop: None,
            has_refused: false,
            used: 0,
            phase: Phase::Fresh,
            failure: None,
        }
    }

    pub(super) fn take_events(&mut self) -> Vec<u8> {
        self.events.take()
    }

    /// Bytes of the answer that are kept.
    pub(super) fn held(&self) -> usize {
        usize::try_from(self.used).unwrap_or(usize::MAX)
    }

    /// The last event is an error.
    pub(super) fn has_failed(&self) -> bool {
        self.failure.is_some()
    }

    /// Nothing that comes is read any more.
    pub(super) fn has_ended(&self) -> bool {
        self.phase == Phase::Ended
    }

    pub(super) fn cached(&self) -> Option<bool> {
        self.head.usage.map(|usage| usage.cached)
    }

    /// The answer is complete.
    pub(super) fn finish_answer(&mut self) {
        self.end();
    }

    /// Takes `bytes` of `max_answer_bytes`. False when there are not so many left: then the answer has failed.
    fn spend(&mut self, bytes: usize) -> bool {
        if self.has_ended() {
            return false;
        }
        self.used = self.used.saturating_add(bytes as u64);
        let limit = self.options.max_answer_bytes;
        if self.used > limit {
            self.invalid(&format!("The upstream's answer is larger than {limit} bytes."));
            return false;
        }
        true
    }

    /// A piece of text or thinking.
    fn words(&mut self, kind: TextRole, inner: &[u8]) {
        if inner.is_empty() || !self.spend(inner.len()) {
            return;
        }
        let is_last = match self.blocks.last() {
            Some(ContentBlock::Thinking(..)) => kind == TextRole::Thinking,
            Some(ContentBlock::Text(..)) => kind == TextRole::Text,
            _ => false,
        };
        if !is_last {
            if !self.spend(BLOCK_BYTES) {
                return;
            }
            let text = Text::default();
            self.blocks.push(match kind {
                TextRole::Thinking => ContentBlock::Thinking(text, 0),
                TextRole::Text => ContentBlock::Text(text, 0, Citations::default()),
            });
        }
        if let Some(ContentBlock::Thinking(text, _) | ContentBlock::Text(text, ..)) =
            self.blocks.last_mut()
        {
            let _new = text.push(inner);
        }
        self.show(false);
    }
}

impl Answer for MessageBuilder {
    fn head(&mut self) -> &mut ChatHead {
        &mut self.head
    }

    fn provider(&self) -> &str {
        &self.options.provider
    }

    fn begin(&mut self) {
        if self.phase != Phase::Fresh {
            return;
        }
        self.phase = Phase::Open;
        let model = &self.options.model;
        // It may not change between events.
        self.head.model.get_or_insert_with(|| string::encode(model));
        if !self.events.are_wanted() {
            return;
        }
        let mut message = Vec::new();
        self.write_head(&mut message);
        message.extend_from_slice(
            b"\"content\":[],\"stop_reason\":null,\"stop_sequence\":null,\"usage\":",
        );
        write_usage(self.head.usage, &mut message);
        message.push(b'}');
        self.events.write("message_start", |out| {
            out.extend_from_slice(b",\"message\":");
            out.extend_from_slice(&message);
        });
    }

    fn answered(&mut self) {
        self.answered = true;
    }

    fn text(&mut self, inner: &[u8], _logprobs: Option<&Value<'_>>) {
        self.words(TextRole::Text, inner);
    }

    fn reasoning(&mut self, inner: &[u8]) {
        self.words(TextRole::Thinking, inner);
    }

    fn refusal(&mut self, inner: &[u8]) {
        self.has_refused |= !inner.is_empty();
        self.words(TextRole::Text, inner);
    }

    /// Belongs to the last text. Where that is closed it goes into a block of its own.
    fn annotation(&mut self, annotation: &Value<'_>) {
        let Some(citation) = citation(annotation) else { return };
        if !self.spend(citation.len()) {
            return;
        }
        let texts = self.blocks.iter().rposition(|block| matches!(block, ContentBlock::Text(..)));
        let index = match texts.filter(|index| *index >= self.open) {
            Some(index) => index,
            None if self.spend(BLOCK_BYTES) => {
                self.blocks.push(ContentBlock::Text(Text::default(), 0, Citations::default()));
                self.blocks.len().saturating_sub(1)
            }
            None => return,
        };
        if let Some(ContentBlock::Text(_, _, citations)) = self.blocks.get_mut(index) {
            citations.push(citation);
        }
        self.show(false);
    }

    fn call(&mut self, delta: &CallDelta<'_>) {
        let bytes = delta.id.len() + delta.name.len() + delta.arguments.len();
        let found = self.places.find(delta);
        if (found.is_some() && bytes == 0) || !self.spend(bytes) {
            return;
        }
        let place = match found {
            Some(place) => place,
            None => {
                if !self.spend(BLOCK_BYTES.saturating_add(delta.id.len())) {
                    return;
                }
                self.blocks.push(ContentBlock::Call(ToolUse::default()));
                self.calls.push(self.blocks.len().saturating_sub(1));
                self.places.add(delta)
            }
        };
        let index = self.calls.get(place).copied();
        let Some(ContentBlock::Call(call)) = index.and_then(|index| self.blocks.get_mut(index))
        else {
            return;
        };
        if !call.is_named {
            if call.id.is_empty() {
                call.id = clean(&delta.id);
            }
            // A name that comes again with every piece is not longer for it.
            add_name(&mut call.name, &clean(delta.name));
        }
        call.input.push(&delta.arguments);
        if index.is_some_and(|index| index < self.open)
            && call.input.state() == ArgumentsState::Broken
        {
            return self.invalid("The upstream went on with a tool call that was complete.");
        }
        self.show(false);
    }

    fn finish(&mut self, finish: Finish, stop: Option<Value<'_>>) {
        self.finish = Some(finish);
        self.stop = stop.map(|stop| stop.raw().to_vec());
    }

    fn comment(&mut self, _line: &[u8]) {
        self.events.write("ping", |_| {});
    }

    fn end(&mut self) {
        if self.has_ended() {
            return;
        }
        self.begin();
        if !self.answered {
            return self.invalid("The upstream's answer has no choices.");
        }
        self.show(true);
        if self.has_ended() {
            return;
        }
        self.phase = Phase::Ended;
        if !self.events.are_wanted() {
            return;
        }
        let mut stop = Vec::new();
        self.write_stop(&mut stop);
        let usage = self.head.usage;
        self.events.write("message_delta", |out| {
            out.extend_from_slice(b",\"delta\":{");
            out.extend_from_slice(&stop);
            out.extend_from_slice(b"},\"usage\":");
            write_usage(usage, out);
        });
        self.events.write("message_stop", |_| {});
    }

    fn cut(&mut self) {
        if self.has_ended() {
            return;
        }
        if self.finish.is_some() {
            return self.end();
        }
        let message = "The upstream's stream ended before its answer was complete.";
        self.fail(GatewayError::new(Code::UpstreamStreamTruncated, message).to_answer());
    }

    fn invalid(&mut self, message: &str) {
        self.fail(GatewayError::new(Code::InvalidUpstreamResponse, message).to_answer());
    }

    fn fail(&mut self, answer: ErrorAnswer) {
        if self.has_ended() {
            return;
        }
        self.phase = Phase::Ended;
        self.events.whole(&error::event(&answer, self.options.request_id.as_deref()));
        self.failure = Some(Box::new(answer));
    }

    fn is_ended(&self) -> bool {
        self.has_ended()
    }

    fn max_bytes(&self) -> u64 {
        self.options.max_answer_bytes
    }
}
