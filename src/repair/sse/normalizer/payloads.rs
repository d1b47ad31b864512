//! From lines to payloads: what is complete goes on at once, what is not waits for its other lines.

use crate::repair::error::{Event, from_event};
use crate::wire::json::{JsonError, cursor};

use super::super::pending::{Origin, Pending, State};
use super::super::sink::Sink;
use super::super::{errors, sanitize};
use super::{Phase, SseNormalizer};

impl SseNormalizer {
    /// One line of a payload. The payload goes on as soon as it is complete.
    #[inline]
    pub(super) fn payload(&mut self, origin: Origin, line: &[u8], sink: &mut Sink<'_>) {
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
    pub(super) fn resolve(&mut self, at_end: bool, sink: &mut Sink<'_>) {
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

    pub(super) fn is_error_event(&self) -> bool {
        self.event.as_deref().is_some_and(|name| name.eq_ignore_ascii_case(b"error"))
    }
}
