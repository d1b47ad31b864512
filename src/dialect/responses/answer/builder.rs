//! The one state of an answer, plain or streamed: what the upstream said becomes items, and every
//! change of an item an event.
//!
//! Items open in the order of `output` and close in it. Reasoning and a message are closed by
//! whatever comes next. A tool call stays open until the answer's end, since parallel calls may come
//! interleaved; so whatever is opened behind a call is closed at the end as well.

use crate::dialect::chat::ChatHead;
use crate::dialect::chat::text::Text;
use crate::error::{Code, ErrorAnswer, GatewayError};
use crate::wire::json::string;

use super::ResponseOptions;
use super::calls::Calls;
use super::events::ResponseEvents;
use super::items::{ItemContent, ItemStatus, OutputItem};
use super::response::{self, IncompleteReason, ResponseFailure, ResponseState};

/// What an item, or a part of a message, costs beside its text, toward `max_answer_bytes`.
pub(super) const ITEM_BYTES: usize = 128;

/// An answer that is being built.
#[derive(Debug)]
pub(super) struct ResponseBuilder {
    pub(super) options: ResponseOptions,
    pub(super) events: ResponseEvents,
    pub(super) head: ChatHead,
    pub(super) items: Vec<OutputItem>,
    /// The reasoning or message that takes what comes.
    pub(super) current: Option<usize>,
    /// How many items are closed: all before this one.
    pub(super) closed: usize,
    pub(super) calls: Calls,
    /// Annotations that came before the text that they belong to.
    pub(super) annotations: Vec<Vec<u8>>,
    /// What the model has said so far, where that is a summary of the conversation.
    pub(super) summary: Option<Text>,
    /// There was a choice.
    answered: bool,
    /// A finish reason was said.
    finished: bool,
    pub(super) reason: Option<IncompleteReason>,
    /// Bytes of `max_answer_bytes` that were used.
    used: u64,
    phase: BuilderPhase,
    failure: Option<Box<ErrorAnswer>>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum BuilderPhase {
    /// No event was written.
    Fresh,
    Open,
    /// The last event was written.
    Ended,
}

impl ResponseBuilder {
    pub(super) fn new(options: ResponseOptions, events: ResponseEvents) -> Self {
        Self {
            options,
            events,
            head: ChatHead::default(),
            items: Vec::new(),
            current: None,
            closed: 0,
            calls: Calls::default(),
            annotations: Vec::new(),
            summary: None,
            answered: false,
            finished: false,
            reason: None,
            used: 0,
            phase: BuilderPhase::Fresh,
            failure: None,
        }
    }

    /// Bytes of the answer that are kept.
    pub(super) fn held(&self) -> usize {
        usize::try_from(self.used).unwrap_or(usize::MAX)
    }

    /// The last event is a failure.
    pub(super) fn has_failed(&self) -> bool {
        self.failure.is_some()
    }

    /// Nothing that comes is read any more.
    pub(super) fn is_ended(&self) -> bool {
        self.phase == BuilderPhase::Ended
    }

    /// A chunk has come: writes the first events unless they were.
    pub(super) fn begin(&mut self) {
        if self.phase != BuilderPhase::Fresh {
            return;
        }
        self.phase = BuilderPhase::Open;
        // They may not change between events.
        self.head.created.get_or_insert(self.options.now);
        let model = &self.options.model;
        self.head.model.get_or_insert_with(|| string::encode(model));
        self.lifecycle("response.created", ResponseState::InProgress);
        self.lifecycle("response.in_progress", ResponseState::InProgress);
    }

    /// There is a choice, even if it says nothing.
    pub(super) fn answered(&mut self) {
        self.answered = true;
    }

    fn lifecycle(&mut self, name: &str, state: ResponseState<'_>) {
        self.events.write(name, |out| {
            out.extend_from_slice(b",\"response\":");
            response::write(&self.options, &self.head, &self.items, state, out);
        });
    }

    /// Takes `bytes` of `max_answer_bytes`. False when there are not so many left: then the answer has
    /// failed.
    pub(super) fn spend(&mut self, bytes: usize) -> bool {
        if self.is_ended() {
            return false;
        }
        self.used = self.used.saturating_add(bytes as u64);
        let limit = self.options.max_answer_bytes;
        if self.used > limit {
            self.invalid(format!("The upstream's answer is larger than {limit} bytes."));
            return false;
        }
        true
    }

    /// Adds an item. False when there is no room for it.
    pub(super) fn open(&mut self, body: ItemContent) -> bool {
        if !self.spend(ITEM_BYTES) {
            return false;
        }
        let index = self.items.len();
        let item = OutputItem { status: ItemStatus::InProgress, body };
        self.events.write("response.output_item.added", |out| {
            item.place(&self.options.id, index).write_index(out);
            out.extend_from_slice(b",\"item\":");
            item.write(&self.options.id, index, out);
        });
        self.items.push(item);
        true
    }

    /// Something else begins: reasoning or a message that took what came takes no more. A call whose
    /// name was still awaited opens.
    pub(super) fn seal(&mut self) {
        self.open_awaited();
        let Some(index) = self.current.take() else { return };
        if index == self.closed {
            self.close(ItemStatus::Completed);
        }
    }

    /// Closes the first item that is open.
    fn close(&mut self, status: ItemStatus) {
        let index = self.closed;
        self.close_part(index);
        let Some(item) = self.items.get_mut(index) else { return };
        self.closed += 1;
        item.status = status;
        self.events.write("response.output_item.done", |out| {
            item.place(&self.options.id, index).write_index(out);
            out.extend_from_slice(b",\"item\":");
            item.write(&self.options.id, index, out);
        });
    }

    /// The finish reason. What is open closes at the end: some servers say it with every chunk.
    pub(super) fn finish(&mut self, reason: Option<IncompleteReason>) {
        self.finished = true;
        self.reason = reason;
    }

    /// Why the answer is not complete, if it has said so.
    pub(super) fn reason(&self) -> Option<IncompleteReason> {
        self.reason
    }

    /// Whatever is open closes.
    fn close_all(&mut self) {
        self.open_awaited();
        // Annotations of a text that never came, or that was closed before them: they are not lost.
        for annotation in std::mem::take(&mut self.annotations) {
            self.annotate(&annotation);
        }
        self.current = None;
        let status =
            if self.reason.is_some() { ItemStatus::Incomplete } else { ItemStatus::Completed };
        while self.closed < self.items.len() && !self.is_ended() {
            self.close(status);
        }
    }

    /// The answer's end.
    pub(super) fn end(&mut self) {
        if self.is_ended() {
            return;
        }
        self.begin();
        if !self.answered {
            return self.invalid("The upstream's answer has no choices.");
        }
        if self.is_compaction() {
            self.add_compaction();
        }
        self.close_all();
        if self.is_ended() {
            return;
        }
        self.phase = BuilderPhase::Ended;
        let state = self.reason.map_or(ResponseState::Completed, ResponseState::Incomplete);
        self.lifecycle(state.event(), state);
    }

    /// The body ended without its end being said.
    pub(super) fn cut(&mut self) {
        if self.is_ended() {
            return;
        }
        if self.finished {
            return self.end();
        }
        let message = "The upstream's stream ended before its answer was complete.";
        self.fail(GatewayError::new(Code::UpstreamStreamTruncated, message).to_answer());
    }

    /// The upstream's answer can't be carried on.
    pub(super) fn invalid(&mut self, message: impl Into<String>) {
        self.fail(GatewayError::new(Code::InvalidUpstreamResponse, message).to_answer());
    }

    /// The last event is a failure.
    ///
    /// The SDKs type `code` as one of a list, which they do not check; an upstream's own code says
    /// more, and is what Codex tells a full context window by.
    pub(super) fn fail(&mut self, answer: ErrorAnswer) {
        if self.is_ended() {
            return;
        }
        self.begin();
        self.phase = BuilderPhase::Ended;
        let code = match answer.error.code.as_deref() {
            Some(code) if !code.bytes().all(|byte| byte.is_ascii_digit()) => code,
            _ if answer.status == 429 => "rate_limit_exceeded",
            _ => "server_error",
        };
        let failure =
            ResponseFailure { code: code.to_owned(), message: answer.error.message.clone() };
        for item in self.items.iter_mut().skip(self.closed) {
            item.status = ItemStatus::Incomplete;
        }
        let state = ResponseState::Failed(&failure);
        self.lifecycle(state.event(), state);
        self.failure = Some(Box::new(answer));
    }

    /// The Response, or why there is none.
    pub(super) fn into_response(self) -> Result<Vec<u8>, Box<ErrorAnswer>> {
        if let Some(answer) = self.failure {
            return Err(answer);
        }
        let state = self.reason.map_or(ResponseState::Completed, ResponseState::Incomplete);
        // What the members have beside the text and what the request said.
        const OTHERS: usize = 2048;
        let room = self.held().saturating_add(self.options.context.held());
        let mut out = Vec::with_capacity(room.saturating_add(OTHERS));
        response::write(&self.options, &self.head, &self.items, state, &mut out);
        Ok(out)
    }
}
