//! The stream's state: what is held, what was seen, how it ends.

use memchr::memchr2;

use crate::error::ErrorAnswer;
use crate::json::cursor;
use crate::json::{JsonError, string};
use crate::normalize::error::{Event, from_event};

use super::chunk::{self, Context};
use super::lines::{Line, classify};
use super::pending::{Origin, Pending, State};
use super::sink::{Out, Sink};
use super::tools::Tools;
use super::{Head, Options, StreamEnd, StreamKind, errors, sanitize, scan, typed};

const MARK: &[u8] = "\u{feff}".as_bytes();
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
}

impl SseNormalizer {
    /// A normaliser for one answer.
    #[must_use]
    pub fn new(options: Options) -> Self {
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

    /// Gives up waiting for the first event: the head goes on as a stream, with these bytes. For a host
    /// that sees only comments for longer than a client may want to wait.
    #[must_use]
    pub fn release(&mut self) -> Vec<u8> {
        if self.head == Head::Undecided {
            self.head = Head::Stream;
        }
        std::mem::take(&mut self.held)
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

    fn read(&mut self, chunk: &[u8], sink: &mut Sink<'_>) {
        let mut rest = chunk;
        if self.skip_lf && !rest.is_empty() {
            rest = rest.strip_prefix(b"\n").unwrap_or(rest);
            self.skip_lf = false;
        }
        while let Some(end) = memchr2(b'\n', b'\r', rest) {
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
        if self.phase == Phase::Open {
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

    /// One line of a payload. The payload goes on as soon as it is complete.
    #[inline]
    fn payload(&mut self, origin: Origin, line: &[u8], sink: &mut Sink<'_>) {
        if self.pending.is_some() {
            return self.more(origin, line, sink);
        }
        match line.first() {
            Some(b'{' | b'[') => {}
            None => {
                self.empty_event = true;
                return;
            }
            // Text. Only after `event: error`, or in an `error:` field, does it say something.
            Some(_) if origin == Origin::ErrorField => return self.text(line, true, sink),
            Some(_) if origin == Origin::Data => {
                self.pending = Some(Pending::new(origin, line));
                return;
            }
            Some(_) => return,
        }
        if origin != Origin::ErrorField && self.canonical(line, sink) {
            return;
        }
        match cursor::parse(line) {
            Ok(_) => self.json(origin, line, sink),
            Err(JsonError::Truncated) => self.pending = Some(Pending::new(origin, line)),
            Err(_) => {
                let mended = sanitize::one_line(line);
                if cursor::parse(&mended).is_ok() {
                    self.json(origin, &mended, sink);
                } else {
                    self.pending = Some(Pending::new(origin, line));
                }
            }
        }
    }

    /// A further line while a payload is not complete.
    fn more(&mut self, origin: Origin, line: &[u8], sink: &mut Sink<'_>) {
        let Some(mut pending) = self.pending.take() else { return };
        let starts_json = matches!(line.first(), Some(b'{' | b'['));
        let restart = match (pending.origin, origin) {
            // A stray beginning of JSON without a field name must not swallow an event.
            (Origin::Bare, Origin::Data | Origin::ErrorField) => true,
            (Origin::Bare, Origin::Bare) => !pending.is_open() && starts_json,
            _ => false,
        };
        if restart {
            return self.payload(origin, line, sink);
        }
        if !pending.is_open() {
            if starts_json && cursor::parse(line).is_ok() {
                self.incomplete(&pending, false, sink);
                if self.phase == Phase::Open {
                    self.payload(origin, line, sink);
                }
                return;
            }
            if origin == Origin::Bare {
                self.pending = Some(pending);
                return;
            }
        }
        pending.push(line);
        if pending.len() > self.options.max_event_bytes {
            return self.fail(self.oversized(), sink);
        }
        if pending.state() == State::Complete {
            let mended = sanitize::one_line(pending.text());
            return self.json(pending.origin, &mended, sink);
        }
        self.pending = Some(pending);
    }

    /// A blank line, or the end: what is pending is all there is of it.
    fn resolve(&mut self, at_end: bool, sink: &mut Sink<'_>) {
        if let Some(pending) = self.pending.take() {
            if pending.origin == Origin::Bare && !at_end {
                self.pending = Some(pending);
            } else {
                self.incomplete(&pending, at_end, sink);
            }
        } else if self.empty_event && !at_end {
            self.idle(sink);
        }
        self.empty_event = false;
        self.status_hint = None;
        // The error may come behind a stray blank line; other names belong to their own event only.
        if !self.is_error_event() {
            self.event = None;
        }
    }

    fn incomplete(&mut self, pending: &Pending, at_end: bool, sink: &mut Sink<'_>) {
        let text = pending.text();
        let mended = sanitize::one_line(text);
        if cursor::parse(&mended).is_ok() {
            return self.json(pending.origin, &mended, sink);
        }
        if !pending.starts_json() {
            return self.text(text, self.is_error_event(), sink);
        }
        let last = pending.last_line();
        if pending.origin != Origin::Bare
            && last.first() == Some(&b'{')
            && cursor::parse(last).is_ok()
        {
            return self.payload(pending.origin, last, sink);
        }
        // At the end this is a cut answer, and told as such.
        if !at_end && pending.origin != Origin::Bare {
            self.fail(errors::invalid("The upstream sent an event that is not JSON."), sink);
        }
    }

    fn text(&mut self, text: &[u8], is_error: bool, sink: &mut Sink<'_>) {
        let event = Event { marked: true, status: self.status_hint };
        match is_error.then(|| from_event(text, event)).flatten() {
            Some(answer) => self.fail(answer, sink),
            None => self.idle(sink),
        }
    }

    fn is_error_event(&self) -> bool {
        self.event.as_deref().is_some_and(|name| name.eq_ignore_ascii_case(b"error"))
    }

    /// Passes a payload on if one pass over it shows that it needs no repair.
    #[inline]
    fn canonical(&mut self, text: &[u8], sink: &mut Sink<'_>) -> bool {
        if self.options.kind.is_chunked() {
            let Some(found) = scan::chunk(text, self.options.kind) else { return false };
            match (&self.options.response_model, found.model) {
                (None, _) => self.emit(text, sink),
                (Some(model), Some(span)) => {
                    let edit = crate::splice::Edit { span, with: string::encode(model) };
                    let Some(edited) = crate::splice::apply(text, &[edit]) else { return false };
                    self.emit(&edited, sink);
                }
                (Some(_), None) => return false,
            }
            self.chunk_seen(found.finished);
            return true;
        }
        let Some(found) = scan::typed(text) else { return false };
        let edit = found.has_response && self.options.response_model.is_some();
        if edit || typed::is_last(found.name) {
            return false;
        }
        self.sequence(found.sequence);
        self.emit(text, sink);
        true
    }

    fn chunk_seen(&mut self, finished: bool) {
        self.finished |= finished;
        self.idle = 0;
    }

    fn sequence(&mut self, number: Option<u64>) {
        if let Some(number) = number {
            self.next_sequence = number.saturating_add(1);
        }
    }

    /// A complete payload that is no canonical one.
    fn json(&mut self, origin: Origin, text: &[u8], sink: &mut Sink<'_>) {
        let text = text.trim_ascii();
        if std::str::from_utf8(text).is_err() {
            let mended = sanitize::one_line(text);
            return self.json(origin, &mended, sink);
        }
        let event = Event {
            marked: origin == Origin::ErrorField || self.is_error_event(),
            status: self.status_hint,
        };
        let model = self.options.response_model.clone();
        let about = Context { event, response_model: model.as_deref() };
        if self.options.kind.is_chunked() {
            return self.chunk(text, about, sink);
        }
        let first = self.head == Head::Undecided;
        match typed::repair(text, self.options.kind, first, about) {
            typed::Verdict::Emit(edited, facts) => {
                self.emit(edited.as_deref().unwrap_or(text), sink);
                self.event_seen(facts);
            }
            typed::Verdict::Events(events, facts) => {
                for (name, payload) in events {
                    if self.options.kind == StreamKind::Responses {
                        self.event = Some(name.as_bytes().to_vec());
                    }
                    self.emit(&sanitize::one_line(&payload), sink);
                }
                self.event_seen(facts);
            }
            typed::Verdict::Chunk => self.chunk(text, about, sink),
            typed::Verdict::Error(answer) => self.fail(*answer, sink),
        }
    }

    fn event_seen(&mut self, facts: typed::Facts) {
        self.finished |= facts.ends;
        self.ended_by_event |= facts.ends;
        self.cached = facts.cached.or(self.cached);
        self.sequence(facts.sequence);
    }

    fn chunk(&mut self, text: &[u8], about: Context<'_>, sink: &mut Sink<'_>) {
        match chunk::repair(text, self.options.kind, &mut self.tools, about) {
            chunk::Verdict::Emit(edited, facts) => {
                self.emit(edited.as_deref().unwrap_or(text), sink);
                self.cached = facts.cached.or(self.cached);
                if facts.has_choices {
                    self.chunk_seen(facts.finished);
                }
            }
            chunk::Verdict::Drop => {
                self.event = None;
                self.idle(sink);
            }
            chunk::Verdict::Error(answer, before) => {
                if let Some(before) = before {
                    self.event = None;
                    self.emit(&before, sink);
                }
                self.fail(*answer, sink);
            }
        }
    }

    /// Writes one event.
    #[inline]
    fn emit(&mut self, payload: &[u8], sink: &mut Sink<'_>) {
        if self.head == Head::Undecided {
            self.head = Head::Stream;
        }
        self.empty_event = false;
        if let Some(name) = self.event.take()
            && !self.options.kind.is_chunked()
        {
            sink.write(b"event: ");
            sink.write(&name);
            sink.write(b"\n");
        }
        sink.write(b"data: ");
        sink.write(payload);
        sink.write(b"\n\n");
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

    /// A line behind `[DONE]` in the same chunk: usage still goes before it.
    fn after_done(&mut self, line: Line<'_>, sink: &mut Sink<'_>) {
        let Line::Data(text) = line else { return };
        if !self.options.kind.is_chunked() || std::str::from_utf8(text).is_err() {
            return;
        }
        let model = self.options.response_model.clone();
        let about = Context { response_model: model.as_deref(), ..Context::default() };
        let verdict = chunk::repair(text, self.options.kind, &mut self.tools, about);
        if let chunk::Verdict::Emit(edited, facts) = verdict
            && facts.cached.is_some()
            && !facts.has_choices
        {
            self.cached = facts.cached;
            self.emit(edited.as_deref().unwrap_or(text), sink);
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
        if self.options.kind == StreamKind::Responses {
            sink.write(&errors::to_responses_event(&answer, self.next_sequence));
            return;
        }
        sink.write(b"data: ");
        sink.write(&answer.error.to_envelope());
        sink.write(b"\n\n");
        sink.write(DONE);
    }

    fn oversized(&self) -> ErrorAnswer {
        let limit = self.options.max_event_bytes;
        errors::invalid(format!("The upstream sent an event of more than {limit} bytes."))
    }
}
