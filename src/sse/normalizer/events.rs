//! From payloads to events: passed on as they are, repaired, dropped, or an error.

use crate::json::string;
use crate::normalize::error::Event;
use crate::splice::{self, Edit};

use super::super::chunk::{self, Context};
use super::super::lines::Line;
use super::super::pending::Origin;
use super::super::sink::Sink;
use super::super::{Head, StreamKind, sanitize, scan, typed};
use super::SseNormalizer;

impl SseNormalizer {
    /// Passes a payload on if one pass over it shows that it needs no repair.
    #[inline]
    pub(super) fn canonical(&mut self, text: &[u8], sink: &mut Sink<'_>) -> bool {
        if self.options.kind.is_chunked() {
            self.canonical_chunk(text, sink)
        } else {
            self.canonical_event(text, sink)
        }
    }

    #[inline]
    fn canonical_chunk(&mut self, text: &[u8], sink: &mut Sink<'_>) -> bool {
        let renames = self.options.response_model.is_some();
        // A renamed model must stand where it stood.
        let recalled = self.last_chunk.recall(text).filter(|(found, _)| {
            !renames || found.model.is_some_and(|(_, end)| self.last_chunk.is_fixed(end))
        });
        let found = match recalled {
            Some((found, _)) => found,
            None => {
                let Some((found, holes)) = scan::chunk(text, self.options.kind) else {
                    return false;
                };
                self.last_chunk.learn(text, holes, found);
                found
            }
        };
        if found.call.is_some_and(|(choice, index)| !self.tools.has(choice, index)) {
            return false;
        }
        match (&self.options.response_model, found.model) {
            (None, _) => self.emit(text, sink),
            (Some(model), Some((start, end))) => {
                let edit = Edit { span: start..end, with: string::encode(model) };
                let Some(edited) = splice::apply(text, &[edit]) else { return false };
                self.emit(&edited, sink);
            }
            (Some(_), None) => return false,
        }
        if found.counted {
            self.cached = Some(false);
        }
        self.chunk_seen(found.finished);
        true
    }

    #[inline]
    fn canonical_event(&mut self, text: &[u8], sink: &mut Sink<'_>) -> bool {
        let found = match self.last_event.recall(text) {
            Some((found, sequence)) => scan::Typed { sequence, ..found },
            None => {
                let Some((found, holes)) = scan::typed(text) else { return false };
                let edit = found.has_response && self.options.response_model.is_some();
                if edit || found.is_last {
                    return false;
                }
                self.last_event.learn(text, holes, found);
                found
            }
        };
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
