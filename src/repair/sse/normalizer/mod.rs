//! The stream's state: what is held, what was seen, how it ends.

mod events;
mod lane;
mod payloads;

use memchr::memchr2;

use crate::error::ErrorAnswer;
use crate::telemetry::counters::AnswerFault;
use crate::wire::json::string;

use super::lines::{Line, MARK, classify};
use super::memo::Memo;
use super::pending::{Origin, Pending};
use super::sink::{Out, Sink};
use super::tools::Tools;
use super::{Head, Options, StreamEnd, StreamKind, errors, scan};

const DONE: &[u8] = b"data: [DONE]\n\n";
/// Comments that wait for the first event. One more, and the head goes on without it.
const MAX_HELD_COMMENTS: usize = 64;
/// Their bytes.
const MAX_HELD_BYTES: usize = 4096;
/// Comments and empty events that a connection may send after the finish reason before the missing
/// `[DONE]` is sent for it.
const MAX_IDLE: u8 = 2;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Phase {
    Open,
    /// `[DONE]` was read in the chunk that is being read: only usage may still go before it.
    Ending,
    /// Everything was sent. What comes is dropped.
    Done,
}

/// Turns an upstream's event stream into the canonical one (see the module's documentation).
///
/// It holds at most one line or event, never more than `max_event_bytes` of it, and a little about the
/// stream: which tool calls there are, whether it has finished.
#[derive(Debug)]
pub struct SseNormalizer {
    options: Options,
    head: Head,
    phase: Phase,
    /// The last line ended in CR at the end of a chunk: a LF that follows belongs to it.
    skip_lf: bool,
    at_start: bool,
    /// A line that has not ended yet.
    partial: Vec<u8>,
    pending: Option<Pending>,
    /// The `event:` name for the next payload.
    event: Option<Vec<u8>>,
    /// A field was read since the last blank line, and no payload.
    empty_event: bool,
    /// From a `:HTTP_STATUS/400` comment (DashScope).
    status_hint: Option<u16>,
    /// Comments that wait for the first event.
    held: Vec<u8>,
    held_comments: usize,
    /// Length of the comments that wait, however they were cut into chunks.
    held_bytes: usize,
    /// A finish reason, or the protocol's last event.
    finished: bool,
    /// It was the protocol's last event: no `[DONE]` is due.
    ended_by_event: bool,
    idle: u8,
    tools: Tools,
    cached: Option<bool>,
    next_sequence: u64,
    /// Where the items of a Responses stream stand.
    order: super::order::Order,
    /// How the stream failed after its first event.
    failure: Option<AnswerFault>,
    last: Memo<scan::Found>,
    /// The `model` that replaces the upstream's, as JSON.
    model: Option<Vec<u8>>,
}

impl SseNormalizer {
    /// A normaliser for one answer.
    #[must_use]
    pub fn new(options: Options) -> Self {
        let model = options.response_model.as_deref().map(string::encode);
        Self {
            options,
            head: Head::Undecided,
            phase: Phase::Open,
            skip_lf: false,
            at_start: true,
            partial: Vec::new(),
            pending: None,
            event: None,
            empty_event: false,
            status_hint: None,
            held: Vec::new(),
            held_comments: 0,
            held_bytes: 0,
            finished: false,
            ended_by_event: false,
            idle: 0,
            tools: Tools::default(),
            cached: None,
            next_sequence: 0,
            order: super::order::Order::default(),
            failure: None,
            last: Memo::default(),
            model,
        }
    }

    /// What is known about the answer's head.
    #[must_use]
    pub fn head(&self) -> &Head {
        &self.head
    }

    /// Whether prompt tokens came from the upstream's cache; `None` until token counts were seen.
    #[must_use]
    pub fn cached(&self) -> Option<bool> {
        self.cached
    }

    /// Whether everything was sent: what the upstream still sends is dropped.
    #[must_use]
    pub fn is_done(&self) -> bool {
        self.phase == Phase::Done
    }

    /// How the stream failed after its first event, if it did. Before, that is [`Self::head`]'s to say.
    #[must_use]
    pub fn failure(&self) -> Option<AnswerFault> {
        self.failure
    }

    /// Reads the next bytes of the upstream's body. While the head is undecided, and after an error
    /// that became the answer itself, there is no output.
    #[must_use]
    pub fn push(&mut self, chunk: &[u8]) -> Out {
        let mut sink = Sink::new(chunk, std::mem::take(&mut self.held));
        if self.phase != Phase::Done {
            self.read(chunk, &mut sink);
        }
        match self.head {
            Head::Stream => sink.finish(),
            Head::Undecided => {
                self.held = sink.into_bytes();
                Out::Bytes(Vec::new())
            }
            Head::Error(_) => Out::Bytes(Vec::new()),
        }
    }

    /// The upstream's body has ended: what is still to be sent. Look at [`Self::head`] afterwards, it
    /// is decided now.
    #[must_use]
    pub fn finish(&mut self, end: StreamEnd) -> Vec<u8> {
        let mut sink = Sink::new(b"", std::mem::take(&mut self.held));
        let partial = std::mem::take(&mut self.partial);
        if self.phase == Phase::Open && !partial.is_empty() {
            self.line(&partial, &mut sink);
        }
        if self.phase == Phase::Open {
            self.resolve(true, &mut sink);
        }
        match self.phase {
            Phase::Done => {}
            Phase::Ending => self.write_done(&mut sink),
            Phase::Open if self.ended_by_event => self.phase = Phase::Done,
            Phase::Open if self.finished => self.write_done(&mut sink),
            Phase::Open => self.fail(errors::truncated(end), &mut sink),
        }
        if matches!(self.head, Head::Error(_)) { Vec::new() } else { sink.into_bytes() }
    }

    /// Bytes of what has not gone on yet: the event or line that goes on in the next chunk, and comments.
    #[must_use]
    pub fn held_bytes(&self) -> usize {
        let pending = self.pending.as_ref().map_or(0, |pending| pending.len());
        self.partial.len().saturating_add(pending).saturating_add(self.held.len())
    }

    /// Ends the stream with an error of the gateway's own: what is still to be sent. Before the first event it becomes
    /// [`Self::head`]'s.
    #[must_use]
    pub fn abort(&mut self, answer: ErrorAnswer) -> Vec<u8> {
        let mut sink = Sink::new(b"", std::mem::take(&mut self.held));
        if self.phase != Phase::Done {
            self.fail(answer, &mut sink);
        }
        self.partial = Vec::new();
        self.pending = None;
        if matches!(self.head, Head::Error(_)) { Vec::new() } else { sink.into_bytes() }
    }

    /// As if no payload had come before.
    #[cfg(test)]
    #[cfg(not(target_arch = "wasm32"))]
    pub(super) fn forget(&mut self) {
        self.last = Memo::default();
    }

    fn read(&mut self, chunk: &[u8], sink: &mut Sink<'_>) {
        let mut rest = chunk;
        if self.skip_lf && !rest.is_empty() {
            rest = rest.strip_prefix(b"\n").unwrap_or(rest);
            self.skip_lf = false;
        }
        loop {
            rest = self.repeats(rest, sink);
            let Some(end) = memchr2(b'\n', b'\r', rest) else { break };
            let Some((line, after)) = rest.split_at_checked(end) else { break };
            rest = match after {
                [b'\r', b'\n', after @ ..] => after,
                [b'\r'] => {
                    self.skip_lf = true;
                    &[]
                }
                [_, after @ ..] => after,
                [] => &[],
            };
            if self.partial.is_empty() {
                self.line(line, sink);
            } else {
                let mut whole = std::mem::take(&mut self.partial);
                whole.extend_from_slice(line);
                self.line(&whole, sink);
                whole.clear();
                self.partial = whole;
            }
            if self.phase == Phase::Done {
                break;
            }
        }
        if self.phase == Phase::Open && !rest.is_empty() {
            self.keep(rest, sink);
        }
        if self.phase == Phase::Ending {
            self.write_done(sink);
        }
        if self.phase == Phase::Done {
            self.partial = Vec::new();
            self.pending = None;
        }
    }

    /// Keeps the beginning of a line, unless it already says all it can say.
    fn keep(&mut self, rest: &[u8], sink: &mut Sink<'_>) {
        /// `data: "[DONE]` with room for white space.
        const SHORT: usize = 64;
        if self.partial.len().saturating_add(rest.len()) > self.options.max_event_bytes {
            return self.fail(self.oversized(), sink);
        }
        self.partial.extend_from_slice(rest);
        if self.partial.len() <= SHORT && classify(self.unmarked(&self.partial)) == Line::Done {
            self.done(sink);
        }
    }

    fn unmarked<'a>(&self, line: &'a [u8]) -> &'a [u8] {
        if self.at_start { line.strip_prefix(MARK).unwrap_or(line) } else { line }
    }

    #[inline]
    fn line(&mut self, line: &[u8], sink: &mut Sink<'_>) {
        let (limit, len) = (self.options.max_event_bytes, line.len());
        let line = classify(self.unmarked(line));
        self.at_start = false;
        if self.phase == Phase::Ending {
            return self.after_done(line, sink);
        }
        if len > limit {
            return self.fail(self.oversized(), sink);
        }
        match line {
            Line::Data(value) => self.payload(Origin::Data, value, sink),
            Line::Blank => self.resolve(false, sink),
            Line::Comment(text) => self.comment(text, sink),
            Line::Done => self.done(sink),
            Line::Event(name) => {
                self.empty_event = true;
                let is_name = !name.is_empty() && std::str::from_utf8(name).is_ok();
                self.event = is_name.then(|| name.to_vec());
            }
            Line::Field => self.empty_event = true,
            Line::Error(value) => self.payload(Origin::ErrorField, value, sink),
            Line::Bare(text) => self.payload(Origin::Bare, text, sink),
        }
    }

    fn comment(&mut self, line: &[u8], sink: &mut Sink<'_>) {
        let text = line.strip_prefix(b":").unwrap_or(line).trim_ascii();
        if let Some(status) = text.strip_prefix(b"HTTP_STATUS/") {
            let status = std::str::from_utf8(status).ok().and_then(|status| status.parse().ok());
            self.status_hint = status.filter(|status| (400..600).contains(status));
            return;
        }
        match std::str::from_utf8(line) {
            Ok(_) => sink.write(line),
            Err(_) => sink.write(String::from_utf8_lossy(line).as_bytes()),
        }
        sink.write(b"\n\n");
        if self.head == Head::Undecided {
            self.held_comments += 1;
            self.held_bytes = self.held_bytes.saturating_add(line.len());
            if self.held_comments > MAX_HELD_COMMENTS || self.held_bytes > MAX_HELD_BYTES {
                self.head = Head::Stream;
            }
        }
        self.idle(sink);
    }

    /// A comment or an event without payload. Two of them after the finish reason: the upstream keeps
    /// the connection open and will not send `[DONE]`.
    fn idle(&mut self, sink: &mut Sink<'_>) {
        if !self.finished || self.ended_by_event {
            return;
        }
        self.idle = self.idle.saturating_add(1);
        if self.idle >= MAX_IDLE {
            self.write_done(sink);
        }
    }

    /// `[DONE]` was read.
    fn done(&mut self, sink: &mut Sink<'_>) {
        if self.pending.is_some() {
            self.resolve(false, sink);
        }
        if self.phase == Phase::Open {
            self.phase = Phase::Ending;
        }
    }

    fn write_done(&mut self, sink: &mut Sink<'_>) {
        if self.head == Head::Undecided {
            self.head = Head::Stream;
        }
        sink.write(DONE);
        self.phase = Phase::Done;
    }

    /// The answer is an error from here on.
    fn fail(&mut self, answer: ErrorAnswer, sink: &mut Sink<'_>) {
        self.phase = Phase::Done;
        if self.head == Head::Undecided {
            sink.clear();
            self.head = Head::Error(answer);
            return;
        }
        let is_cut = answer.error.code.as_deref() == Some(errors::TRUNCATED);
        self.failure.get_or_insert(if is_cut {
            AnswerFault::StreamCut
        } else {
            AnswerFault::StreamError
        });
        if self.options.kind == StreamKind::Responses {
            sink.write(&errors::to_responses_event(&answer, self.next_sequence));
            return;
        }
        sink.data([&answer.error.to_envelope()]);
        sink.write(DONE);
    }

    fn oversized(&self) -> ErrorAnswer {
        let limit = self.options.max_event_bytes;
        errors::invalid(format!("The upstream sent an event of more than {limit} bytes."))
    }
}
