//! How an answer ends: marked as such, unmarked, or in an error.

use crate::error::{Code, ErrorAnswer};
use crate::telemetry::counters::{AnswerFault, Repair};

use super::super::output::Output;
use super::super::{StreamEnd, StreamHead, StreamKind, errors, transcript};
use super::answer::AnswerEnd;
use super::{SseNormalizer, Stage};

const DONE: &[u8] = b"data: [DONE]\n\n";
/// Comments and empty events that a connection may send after the answer's last word before the missing
/// `[DONE]` is sent for it.
const MAX_IDLE: u8 = 2;

impl SseNormalizer {
    /// A comment or an event without payload. Two of them after all that was asked for: the upstream
    /// keeps the connection open and will not send `[DONE]`.
    pub(super) fn idle(&mut self, output: &mut Output<'_>) {
        if !self.answer.is_complete(self.options.request) {
            return;
        }
        let AnswerEnd::Finished { idle } = &mut self.answer.end else { return };
        *idle = idle.saturating_add(1);
        if *idle >= MAX_IDLE {
            self.answer.progress.repairs.insert(Repair::Done);
            self.write_done(output);
        }
    }

    /// `[DONE]` was read, and the chunk that it stood in.
    pub(super) fn marked_end(&mut self, output: &mut Output<'_>) {
        let kind = self.options.kind;
        if kind == StreamKind::Transcription {
            self.transcript_end(output);
            if !self.is_done() {
                self.write_done(output);
            }
            return;
        }
        // No end of these protocols: their own last event is. Behind that of a Response it may pass.
        let is_open = self.answer.end == AnswerEnd::Open;
        if kind == StreamKind::Messages || (kind == StreamKind::Responses && is_open) {
            return self.unmarked_end(StreamEnd::Clean, output);
        }
        if is_open
            && kind.api().is_some()
            && let Some(answer) = self.answer.words.take()
        {
            return self.fail(answer, output);
        }
        if kind.api().is_some() && !self.answer.progress.has_choices() {
            let message = "The upstream's stream ended without an answer.";
            return self.fail(errors::invalid(message), output);
        }
        self.write_done(output);
    }

    /// The body has ended, and no `[DONE]` was read.
    pub(super) fn unmarked_end(&mut self, end: StreamEnd, output: &mut Output<'_>) {
        let is_transcript = self.options.kind == StreamKind::Transcription;
        match self.answer.end {
            AnswerEnd::LastEvent => self.stage = Stage::Done(StreamHead::Stream),
            AnswerEnd::Finished { .. } => {
                self.answer.progress.repairs.insert(Repair::Done);
                self.write_done(output);
            }
            AnswerEnd::Open
                if is_transcript && end == StreamEnd::Clean && self.answer.transcript.may_end() =>
            {
                self.transcript_end(output);
                if !self.is_done() {
                    self.stage = Stage::Done(StreamHead::Stream);
                }
            }
            AnswerEnd::Open => match self.answer.words.take() {
                Some(answer) => self.fail(answer, output),
                None => self.fail(errors::truncated(end), output),
            },
        }
    }

    /// Nothing more is said: the last event, unless the upstream has sent it.
    fn transcript_end(&mut self, output: &mut Output<'_>) {
        if self.answer.end != AnswerEnd::LastEvent {
            if !self.answer.transcript.has_pieces() {
                let answer = self.answer.words.take();
                let message = "The upstream's stream ended without a transcription.";
                return self.fail(answer.unwrap_or_else(|| errors::invalid(message)), output);
            }
            if !self.answer.transcript.finished
                && let Some(answer) = self.answer.words.take()
            {
                return self.fail(answer, output);
            }
            let rest = self.answer.transcript.settle();
            self.say(&rest, output);
            if matches!(self.stage, Stage::Done(_)) {
                return;
            }
            self.answer.progress.repairs.insert(Repair::Transcript);
            self.event.name = None;
            let done = self.answer.transcript.done();
            self.emit(&done, output);
            self.answer.end = AnswerEnd::LastEvent;
        }
    }

    pub(super) fn write_done(&mut self, output: &mut Output<'_>) {
        output.write(DONE);
        self.stage = Stage::Done(StreamHead::Stream);
    }

    /// The answer is an error from here on.
    pub(super) fn fail(&mut self, answer: ErrorAnswer, output: &mut Output<'_>) {
        if matches!(self.stage, Stage::Waiting(_)) {
            output.clear();
            self.stage = Stage::Done(StreamHead::Error(answer));
            return;
        }
        self.stage = Stage::Done(StreamHead::Stream);
        // What was to be said has been.
        if self.is_over() {
            return;
        }
        let is_cut = answer.own == Some(Code::UpstreamStreamTruncated);
        let fault = if is_cut { AnswerFault::StreamCut } else { AnswerFault::StreamError };
        self.answer.failure.get_or_insert(fault);
        if self.options.kind == StreamKind::Messages {
            self.answer.late_error = Some(answer);
            return;
        }
        if self.options.kind == StreamKind::Responses {
            output.write(&errors::to_responses_event(&answer, self.answer.next_sequence));
            return;
        }
        output.data([&answer.error.to_envelope()]);
        output.write(DONE);
    }

    /// The events of a piece of a transcription.
    pub(super) fn say(&mut self, said: &[u8], output: &mut Output<'_>) {
        if self.answer.transcript.len() > self.options.max_event_bytes {
            return self.fail(self.oversized(), output);
        }
        if !said.is_empty() {
            self.answer.progress.repairs.insert(Repair::Transcript);
            self.event.name = None;
            self.emit(&transcript::delta(said), output);
        }
    }
}
