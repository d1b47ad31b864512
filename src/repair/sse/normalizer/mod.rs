//! The stream's state: what is held, what was seen, how it ends.

mod answer;
mod ends;
mod events;
mod fast_path;
mod payloads;

use memchr::memchr2;

use crate::error::ErrorAnswer;
use crate::telemetry::counters::{AnswerFault, Repairs};
use crate::wire::json::string;

use super::lines::{Line, MARK, classify, exact_value};
use super::output::{Output, StreamOutput};
use super::pending::{Origin, Pending};
use super::template::Template;
use super::{Options, StreamEnd, StreamHead, errors, scan};
use answer::AnswerState;

/// Comments that wait for the first event: balancers cut connections that stay silent. One more, and the
/// head goes on without it.
const MAX_HELD_COMMENTS: usize = 3;
/// Their bytes.
const MAX_HELD_BYTES: usize = 4096;

/// What has been sent of the answer.
#[derive(Debug)]
enum Stage {
    /// Nothing: comments wait for the first event.
    Waiting(HeldComments),
    /// Its head, and what has come.
    Streaming,
    /// All of it: what still comes is dropped. The head is a stream's, or the error that the answer is.
    Done(StreamHead),
}

/// Comments before the first event.
#[derive(Debug, Default)]
struct HeldComments {
    /// As they will leave.
    written: Vec<u8>,
    count: usize,
    /// Their length as they came, however they were cut into chunks.
    bytes: usize,
}

/// What has been read of a line that has not ended.
#[derive(Debug)]
struct LineBuffer {
    partial: Vec<u8>,
    /// The last line ended in CR at the end of a chunk: a LF that follows belongs to it.
    skip_lf: bool,
    /// No line has ended yet: a byte order mark may stand before this one.
    is_first: bool,
}

impl LineBuffer {
    fn unmarked<'a>(&self, line: &'a [u8]) -> &'a [u8] {
        if self.is_first { line.strip_prefix(MARK).unwrap_or(line) } else { line }
    }
}

/// The event that is being read.
#[derive(Debug, Default)]
struct EventBuffer {
    /// Its `event:` name.
    name: Option<Vec<u8>>,
    /// Its payload, as long as that is not complete.
    payload: Option<Pending>,
    /// A field was read since the last blank line, and no payload.
    is_empty: bool,
    /// From a `:HTTP_STATUS/400` comment (DashScope).
    status_hint: Option<u16>,
}

impl EventBuffer {
    fn is_error(&self) -> bool {
        self.name.as_deref().is_some_and(|name| name.eq_ignore_ascii_case(b"error"))
    }
}

/// Whether the answer goes on behind a line.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Flow {
    GoesOn,
    /// It was `[DONE]`.
    Ended,
}

/// Turns an upstream's event stream into the canonical one (see the module's documentation).
///
/// It holds at most one line or event, never more than `max_event_bytes` of it, and a little about the
/// stream: which tool calls there are, what its choices have said, whether they have finished.
#[derive(Debug)]
pub struct SseNormalizer {
    options: Options,
    /// The `model` that replaces the upstream's, as JSON.
    model: Option<Vec<u8>>,
    stage: Stage,
    lines: LineBuffer,
    event: EventBuffer,
    answer: AnswerState,
    /// The last payload that needed no repair.
    template: Template<scan::CanonicalPayload>,
    /// The choice that it goes on with, where it does nothing else and leaves as it is whatever came before it.
    plain: Option<u64>,
}

impl SseNormalizer {
    /// A normaliser for one answer.
    #[must_use]
    pub fn new(options: Options) -> Self {
        let model = options.response_model.as_deref().map(string::encode);
        Self {
            options,
            model,
            stage: Stage::Waiting(HeldComments::default()),
            lines: LineBuffer { partial: Vec::new(), skip_lf: false, is_first: true },
            event: EventBuffer::default(),
            answer: AnswerState::default(),
            template: Template::default(),
            plain: None,
        }
    }

    /// What is known about the answer's head.
    #[must_use]
    pub fn head(&self) -> &StreamHead {
        static UNDECIDED: StreamHead = StreamHead::Undecided;
        static STREAM: StreamHead = StreamHead::Stream;
        match &self.stage {
            Stage::Waiting(_) => &UNDECIDED,
            Stage::Streaming => &STREAM,
            Stage::Done(head) => head,
        }
    }

    /// Whether prompt tokens came from the upstream's cache; `None` until token counts were seen.
    #[must_use]
    pub fn cached(&self) -> Option<bool> {
        self.answer.cached
    }

    /// Whether token counts have come that were all zero: they left as null, so as not to hide others.
    #[must_use]
    pub fn counts_zero(&self) -> bool {
        self.answer.progress.counts_zero
    }

    /// Whether everything was sent: what the upstream still sends is dropped.
    #[must_use]
    pub fn is_done(&self) -> bool {
        matches!(self.stage, Stage::Done(_))
    }

    /// How the stream failed after its first event, if it did. Before, that is [`Self::head`]'s to say.
    #[must_use]
    pub fn failure(&self) -> Option<AnswerFault> {
        self.answer.failure
    }

    /// The error that the last event of a stream of [`super::StreamKind::Messages`] has to tell, once: it goes behind
    /// what was written last.
    #[must_use]
    pub fn take_late_error(&mut self) -> Option<ErrorAnswer> {
        self.answer.late_error.take()
    }

    /// What had to be repaired so far.
    #[must_use]
    pub fn repairs(&self) -> Repairs {
        self.answer.progress.repairs
    }

    /// Reads the next bytes of the upstream's body. While the head is undecided, and after an error
    /// that became the answer itself, there is no output.
    #[must_use]
    pub fn push(&mut self, chunk: &[u8]) -> StreamOutput {
        if self.is_done() {
            return StreamOutput::Bytes(Vec::new());
        }
        let mut output = Output::new(chunk, self.take_held());
        self.read(chunk, &mut output);
        match &mut self.stage {
            Stage::Streaming | Stage::Done(StreamHead::Stream | StreamHead::Undecided) => {
                output.finish()
            }
            Stage::Waiting(held) => {
                held.written = output.into_bytes();
                StreamOutput::Bytes(Vec::new())
            }
            Stage::Done(StreamHead::Error(_)) => StreamOutput::Bytes(Vec::new()),
        }
    }

    /// The upstream's body has ended: what is still to be sent. Look at [`Self::head`] afterwards, it
    /// is decided now.
    #[must_use]
    pub fn finish(&mut self, end: StreamEnd) -> Vec<u8> {
        let mut output = Output::new(b"", self.take_held());
        let partial = std::mem::take(&mut self.lines.partial);
        let mut flow = Flow::GoesOn;
        if !self.is_done() && !partial.is_empty() {
            flow = self.line(&partial, &mut output);
        }
        if !self.is_done() && flow == Flow::GoesOn {
            self.resolve(true, &mut output);
        }
        if !self.is_done() {
            match flow {
                Flow::Ended => self.marked_end(&mut output),
                Flow::GoesOn => self.unmarked_end(end, &mut output),
            }
        }
        if matches!(self.stage, Stage::Done(StreamHead::Error(_))) {
            return Vec::new();
        }
        output.into_bytes()
    }

    /// Bytes of what has not gone on yet: the event or line that goes on in the next chunk, and comments.
    #[must_use]
    pub fn held_bytes(&self) -> usize {
        let pending = self.event.payload.as_ref().map_or(0, Pending::len);
        let comments = match &self.stage {
            Stage::Waiting(held) => held.written.len(),
            Stage::Streaming | Stage::Done(_) => 0,
        };
        let transcript = self.answer.transcript.len();
        [pending, comments, transcript]
            .into_iter()
            .fold(self.lines.partial.len(), usize::saturating_add)
    }

    /// Ends the stream with an error of the gateway's own: what is still to be sent. Before the first event it becomes
    /// [`Self::head`]'s.
    #[must_use]
    pub fn abort(&mut self, answer: ErrorAnswer) -> Vec<u8> {
        let mut output = Output::new(b"", self.take_held());
        if !self.is_done() {
            self.fail(answer, &mut output);
        }
        self.drop_buffers();
        if matches!(self.stage, Stage::Done(StreamHead::Error(_))) {
            return Vec::new();
        }
        output.into_bytes()
    }

    /// As if no payload had come before.
    #[cfg(test)]
    #[cfg(not(target_arch = "wasm32"))]
    pub(super) fn forget(&mut self) {
        (self.template, self.plain) = (Template::default(), None);
    }

    fn take_held(&mut self) -> Vec<u8> {
        match &mut self.stage {
            Stage::Waiting(held) => std::mem::take(&mut held.written),
            Stage::Streaming | Stage::Done(_) => Vec::new(),
        }
    }

    fn read(&mut self, chunk: &[u8], output: &mut Output<'_>) {
        let mut rest = chunk;
        if self.lines.skip_lf && !rest.is_empty() {
            rest = rest.strip_prefix(b"\n").unwrap_or(rest);
            self.lines.skip_lf = false;
        }
        let mut flow = Flow::GoesOn;
        loop {
            if flow == Flow::GoesOn {
                rest = self.repeats(rest, output);
            }
            // An event that comes alone leaves nothing.
            if rest.is_empty() {
                break;
            }
            let Some(end) = memchr2(b'\n', b'\r', rest) else { break };
            let Some((line, after)) = rest.split_at_checked(end) else { break };
            rest = match after {
                [b'\r', b'\n', after @ ..] => after,
                [b'\r'] => {
                    self.lines.skip_lf = true;
                    &[]
                }
                [_, after @ ..] => after,
                [] => &[],
            };
            if flow == Flow::Ended {
                self.behind_end(line, output);
                continue;
            }
            if self.lines.partial.is_empty() {
                flow = self.line(line, output);
            } else {
                let mut whole = std::mem::take(&mut self.lines.partial);
                whole.extend_from_slice(line);
                flow = self.line(&whole, output);
                whole.clear();
                self.lines.partial = whole;
            }
            if self.is_done() {
                return self.drop_buffers();
            }
        }
        if flow == Flow::GoesOn && !rest.is_empty() {
            flow = self.keep(rest, output);
        }
        if flow == Flow::Ended && !self.is_done() {
            self.marked_end(output);
        }
        if self.is_done() {
            self.drop_buffers();
        }
    }

    fn drop_buffers(&mut self) {
        self.lines.partial = Vec::new();
        self.event = EventBuffer::default();
    }

    /// Keeps the beginning of a line, unless it already says all it can say.
    fn keep(&mut self, rest: &[u8], output: &mut Output<'_>) -> Flow {
        /// `data: "[DONE]` with room for white space.
        const SHORT: usize = 64;
        if self.lines.partial.len().saturating_add(rest.len()) > self.options.max_event_bytes {
            self.fail(self.oversized(), output);
            return Flow::GoesOn;
        }
        self.lines.partial.extend_from_slice(rest);
        let partial = &self.lines.partial;
        if partial.len() <= SHORT && classify(self.lines.unmarked(partial)) == Line::Done {
            return self.done(output);
        }
        Flow::GoesOn
    }

    #[inline]
    fn line(&mut self, line: &[u8], output: &mut Output<'_>) -> Flow {
        let (limit, len) = (self.options.max_event_bytes, line.len());
        let is_empty = line.is_empty();
        let whole = self.lines.unmarked(line);
        let line = classify(whole);
        self.lines.is_first = false;
        if len > limit {
            self.fail(self.oversized(), output);
            return Flow::GoesOn;
        }
        match line {
            Line::Data(value) => {
                let payload = self.event.payload.as_ref();
                if payload.is_some_and(Pending::is_in_parted_text) {
                    self.payload(Origin::Data, exact_value(whole).0, output);
                } else {
                    self.payload(Origin::Data, value, output);
                }
                if let Some(pending) = &mut self.event.payload {
                    pending.set_tail(exact_value(whole).1);
                }
            }
            // White space in JSON that goes on over lines ends no event.
            Line::Blank if !is_empty && self.is_in_json() => {
                self.payload(Origin::Bare, b"", output);
            }
            Line::Blank => self.resolve(false, output),
            Line::Comment(text) => self.comment(text, output),
            Line::Done => return self.done(output),
            Line::Event(name) => {
                self.event.is_empty = true;
                let is_name = !name.is_empty() && std::str::from_utf8(name).is_ok();
                self.event.name = is_name.then(|| name.to_vec());
            }
            Line::Field => self.event.is_empty = true,
            Line::Error(value) => self.payload(Origin::ErrorField, value, output),
            Line::Bare(text) => self.payload(Origin::Bare, text, output),
        }
        Flow::GoesOn
    }

    /// Whether JSON has begun, and goes on in the next line.
    fn is_in_json(&self) -> bool {
        self.event.payload.as_ref().is_some_and(Pending::is_open)
    }

    fn comment(&mut self, line: &[u8], output: &mut Output<'_>) {
        let text = line.strip_prefix(b":").unwrap_or(line).trim_ascii();
        if let Some(status) = text.strip_prefix(b"HTTP_STATUS/") {
            let status = std::str::from_utf8(status).ok().and_then(|status| status.parse().ok());
            self.event.status_hint = status.filter(|status| (400..600).contains(status));
            return;
        }
        // They keep idle connections alive; their words may be anything, a key among it.
        output.write(b":\n\n");
        if let Stage::Waiting(held) = &mut self.stage {
            held.count += 1;
            held.bytes = held.bytes.saturating_add(line.len());
            if held.count > MAX_HELD_COMMENTS || held.bytes > MAX_HELD_BYTES {
                self.stage = Stage::Streaming;
            }
        }
        self.idle(output);
    }

    /// `[DONE]` was read.
    fn done(&mut self, output: &mut Output<'_>) -> Flow {
        if self.event.payload.is_some() {
            self.resolve(false, output);
            self.not_gone_on_with(output);
        }
        Flow::Ended
    }

    fn oversized(&self) -> ErrorAnswer {
        let limit = self.options.max_event_bytes;
        errors::invalid(format!("The upstream sent an event of more than {limit} bytes."))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::test;

    #[test]
    fn the_reference_tells_how_many_comments_are_held() {
        let page = include_str!("../../../../docs/reference.md");
        assert_eq!(MAX_HELD_BYTES, 4_096);
        let row = format!(
            "| comments before a stream's first event | {MAX_HELD_COMMENTS}, or 4,096 bytes |"
        );
        assert!(page.contains(&row), "{row}");
    }
}
