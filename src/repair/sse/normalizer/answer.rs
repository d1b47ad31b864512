//! What the stream has said so far.

use crate::error::ErrorAnswer;
use crate::repair::chat::RequestFacts;
use crate::repair::chat::progress::Progress;
use crate::repair::error::from_words;
use crate::telemetry::counters::AnswerFault;

use super::super::order::Order;
use super::super::transcript::Transcript;

/// How much is kept of what a stream says in words.
const MAX_WORDS_BYTES: usize = 4096;

/// Words that keep a connection alive, or end a stream in another way than `[DONE]`.
const NO_WORDS: [&str; 10] =
    ["", "null", "ping", "pong", "keepalive", "keep-alive", "heartbeat", "end", "[end]", "[start]"];

/// Whether the answer has come to its end.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) enum AnswerEnd {
    #[default]
    Open,
    /// A choice has its finish reason. Since then this many comments and empty events have come.
    Finished { idle: u8 },
    /// The protocol's last event has come: no `[DONE]` is due.
    LastEvent,
}

/// What was sent where JSON was due. It is an error, unless the answer is complete without it.
#[derive(Debug, Default)]
pub(super) struct NonJsonText {
    text: Vec<u8>,
    /// There was an `event: error` without a payload.
    names_error: bool,
}

impl NonJsonText {
    /// Remembers a text.
    pub(super) fn add(&mut self, text: &[u8]) {
        let shown = String::from_utf8_lossy(text);
        let shown = shown.trim().trim_matches('"');
        if NO_WORDS.iter().any(|word| shown.eq_ignore_ascii_case(word)) {
            return;
        }
        let room = MAX_WORDS_BYTES.saturating_sub(self.text.len());
        if !self.text.is_empty() && room > 1 {
            self.text.push(b'\n');
        }
        self.text.extend(text.iter().take(room.saturating_sub(1)));
    }

    pub(super) fn add_error_event(&mut self) {
        self.names_error = true;
    }

    /// The error that it is, if anything was said.
    pub(super) fn take(&mut self) -> Option<ErrorAnswer> {
        let is_said = !self.text.is_empty() || self.names_error;
        is_said.then(|| from_words(&std::mem::take(&mut self.text)))
    }
}

/// An answer as far as it has come.
#[derive(Debug, Default)]
pub(super) struct AnswerState {
    pub(super) progress: Progress,
    pub(super) transcript: Transcript,
    pub(super) end: AnswerEnd,
    pub(super) words: NonJsonText,
    /// Token counts have come: whether some came from a cache.
    pub(super) cached: Option<bool>,
    /// How the stream failed after its first event.
    pub(super) failure: Option<AnswerFault>,
    /// What a stream of the Messages API failed of, until it is told.
    pub(super) late_error: Option<ErrorAnswer>,
    pub(super) next_sequence: u64,
    /// Where the items of a Responses stream stand.
    pub(super) order: Order,
}

impl AnswerState {
    /// A chunk with choices has come.
    pub(super) fn chunk(&mut self, finished: bool) {
        if finished || matches!(self.end, AnswerEnd::Finished { .. }) {
            self.end = AnswerEnd::Finished { idle: 0 };
        }
    }

    /// Whether nothing is missing of what was asked for, so that a connection that stays open will bring
    /// no more.
    pub(super) fn is_complete(&self, request: RequestFacts) -> bool {
        self.progress.is_settled(request.choices) && (!request.wants_usage || self.cached.is_some())
    }
}
