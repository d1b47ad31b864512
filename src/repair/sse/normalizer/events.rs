//! From payloads to events: passed on as they are, repaired, dropped, or an error.

use crate::repair::error::Event;
use crate::telemetry::counters::AnswerFault;

use crate::wire::json::cursor;

use super::super::chunk::{self, Context};
use super::super::lines::Line;
use super::super::memo::Recalled;
use super::super::pending::Origin;
use super::super::scan::{Found, Typed};
use super::super::sink::Sink;
use super::super::{Head, StreamKind, sanitize, scan, typed};
use super::SseNormalizer;

impl SseNormalizer {
    /// Passes a payload on if one pass over it shows that it needs no repair.
    #[inline]
    pub(super) fn canonical(&mut self, text: &[u8], sink: &mut Sink<'_>) -> bool {
        let found = match self.recall(text) {
            Some((len, found)) if len == text.len() => found,
            _ => {
                let Some((found, holes)) = scan::payload(text, self.options.kind) else {
                    return false;
                };
                // A renamed model must stand where it stood.
                let is_in_place = || found.model().is_none_or(|(_, end)| holes.are_behind(end));
                if self.model.is_none() || is_in_place() {
                    self.last.learn(text, holes, found);
                }
                found
            }
        };
        self.pass(found, text, None, sink)
    }

    /// If a payload of the last one's shape is what `text` begins with: its length, and what is known
    /// about it.
    // As a call it would cost more than it does: what it returns would go through memory.
    #[inline(always)]
    pub(super) fn recall(&self, text: &[u8]) -> Option<(usize, Found)> {
        let Recalled { len, number } = self.last.recall(text)?;
        let found = match self.last.found()? {
            Found::Event(event) => Found::Event(Typed { sequence: number, ..event }),
            chunk @ Found::Chunk(_) => chunk,
        };
        Some((len, found))
    }

    /// Passes a payload on; `whole` is its event, if that is canonical from its first field to its blank
    /// line. False, and nothing has happened, if this payload needs a repair here and now.
    #[inline(always)]
    pub(super) fn pass(
        &mut self,
        found: Found,
        text: &[u8],
        whole: Option<&[u8]>,
        sink: &mut Sink<'_>,
    ) -> bool {
        let renames = self.model.is_some();
        let is_wrong = match found {
            Found::Chunk(chunk) => {
                chunk.call.is_some_and(|(choice, index)| !self.tools.has(choice, index))
                    || (!chunk.has_choices && self.is_error_event())
                    || (renames && chunk.model.is_none())
            }
            Found::Event(event) => event.is_last || (renames && event.has_response),
        };
        if is_wrong {
            return false;
        }
        match (&self.model, found.model(), whole) {
            (Some(_), Some((start, end)), _) => {
                self.begin(sink);
                let (before, after) = (text.get(..start), text.get(end..));
                let parts = [before, self.model.as_deref(), after];
                sink.data(parts.map(Option::unwrap_or_default));
            }
            (_, _, Some(whole)) => {
                self.begin(sink);
                sink.write(whole);
            }
            (_, _, None) => self.emit(text, sink),
        }
        match found {
            Found::Chunk(chunk) => {
                if chunk.counted {
                    self.cached = Some(false);
                }
                if chunk.has_choices {
                    self.chunk_seen(chunk.finished);
                }
            }
            Found::Event(event) => self.sequence(event.sequence),
        }
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
    pub(super) fn json(&mut self, origin: Origin, text: &[u8], sink: &mut Sink<'_>) {
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
                let text = edited.as_deref().unwrap_or(text);
                match self.in_order(text) {
                    Some(placed) => {
                        self.emit(&placed, sink);
                        self.sequence(facts.sequence.or(Some(self.next_sequence)));
                    }
                    None => self.emit(text, sink),
                }
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

    /// An event of a Responses stream with the places that it leaves out.
    fn in_order(&mut self, text: &[u8]) -> Option<Vec<u8>> {
        if self.options.kind != StreamKind::Responses {
            return None;
        }
        let root = cursor::parse(text).ok()?;
        let name = root.get("type")?.as_str()?;
        self.order.complete(text, &root, &name, self.next_sequence)
    }

    fn event_seen(&mut self, facts: typed::Facts) {
        self.finished |= facts.ends;
        self.ended_by_event |= facts.ends;
        if facts.fails {
            self.failure.get_or_insert(AnswerFault::StreamError);
        }
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
        self.begin(sink);
        sink.data([payload]);
    }

    /// Writes what stands before an event's data.
    #[inline]
    fn begin(&mut self, sink: &mut Sink<'_>) {
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
    }

    /// A line behind `[DONE]` in the same chunk: usage still goes before it.
    pub(super) fn after_done(&mut self, line: Line<'_>, sink: &mut Sink<'_>) {
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
}
