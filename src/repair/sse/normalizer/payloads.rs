//! From lines to payloads: what is complete goes on at once, what is not waits for its other lines.

use memchr::memmem;

use crate::error::ErrorAnswer;
use crate::repair::chat::container;
use crate::repair::error::{Event, from_event};
use crate::repair::loose;
use crate::telemetry::counters::Repair;
use crate::wire::json::{JsonError, cursor};

use super::super::output::Output;
use super::super::pending::{Origin, PayloadState, Pending, values};
use super::super::{StreamKind, errors, sanitize};
use super::SseNormalizer;

impl SseNormalizer {
    /// One line of a payload. The payload goes on as soon as it is complete.
    #[inline]
    pub(super) fn payload(&mut self, origin: Origin, line: &[u8], output: &mut Output<'_>) {
        if self.event.payload.is_some() {
            return self.more(origin, line, output);
        }
        match line.first() {
            Some(b'{' | b'[') => {}
            None => {
                self.event.is_empty = true;
                return;
            }
            // Text. After `event: error`, or in an `error:` field, it is an error at once.
            Some(_) if origin == Origin::ErrorField => return self.text(line, true, output),
            // A chunk that was made a text.
            Some(b'"') if origin == Origin::Data && self.options.kind.api().is_some() => {
                let inner = cursor::parse(line).ok().and_then(|text| container::text_inside(&text));
                match inner {
                    Some(inner) => {
                        self.answer.progress.repairs.insert(Repair::Wrapped);
                        self.json(origin, &inner, output);
                    }
                    None => self.event.payload = Some(Pending::new(origin, line)),
                }
                return;
            }
            Some(_) if origin == Origin::Data => {
                self.event.payload = Some(Pending::new(origin, line));
                return;
            }
            Some(_) => return self.text(line, false, output),
        }
        if origin != Origin::ErrorField && self.canonical(line, output) {
            if origin == Origin::Bare {
                self.answer.progress.repairs.insert(Repair::Framing);
            }
            return;
        }
        match cursor::parse(line) {
            Ok(_) => self.json(origin, line, output),
            Err(JsonError::Truncated) => self.event.payload = Some(Pending::new(origin, line)),
            Err(_) => self.odd(origin, line, output),
        }
    }

    /// A line that begins like JSON, and is none: nearly JSON, or several values.
    fn odd(&mut self, origin: Origin, line: &[u8], output: &mut Output<'_>) {
        let line = without_tail(line);
        let mended = sanitize::one_line(line);
        if cursor::parse(&mended).is_ok() {
            self.answer.progress.repairs.insert(Repair::Json);
            return self.json(origin, &mended, output);
        }
        let Some((values, is_end)) = values(&mended) else {
            self.event.payload = Some(Pending::new(origin, line));
            return;
        };
        self.answer.progress.repairs.insert(Repair::Framing);
        for value in values {
            if !self.is_done() && !self.canonical(value, output) {
                self.json(origin, value, output);
            }
        }
        if is_end && !self.is_done() {
            self.marked_end(output);
        }
    }

    /// A further line while a payload is not complete.
    fn more(&mut self, origin: Origin, line: &[u8], output: &mut Output<'_>) {
        let Some(mut pending) = self.event.payload.take() else { return };
        let starts_json = matches!(line.first(), Some(b'{' | b'['));
        if pending.is_parted() && (origin != Origin::Data || cursor::parse(line).is_ok()) {
            // It is not gone on with.
            return self.fail(not_json(), output);
        }
        let restart = match (pending.origin, origin) {
            // A stray beginning of JSON without a field name must not swallow an event.
            (Origin::Bare, Origin::Data | Origin::ErrorField) => true,
            (Origin::Bare, Origin::Bare) => !pending.is_open() && starts_json,
            _ => false,
        };
        if restart {
            return self.payload(origin, line, output);
        }
        if !pending.is_open() {
            if starts_json && cursor::parse(line).is_ok() {
                self.incomplete(pending, false, output);
                if !self.is_done() {
                    self.payload(origin, line, output);
                }
                return;
            }
            if origin == Origin::Bare {
                self.event.payload = Some(pending);
                return;
            }
        }
        pending.push(line);
        if pending.len() > self.options.max_event_bytes {
            return self.fail(self.oversized(), output);
        }
        if pending.state() == PayloadState::Complete {
            self.answer.progress.repairs.insert(Repair::Framing);
            let mended = sanitize::one_line(pending.text());
            return self.json(pending.origin, &mended, output);
        }
        self.event.payload = Some(pending);
    }

    /// A blank line, or the end: what is pending is all there is of it.
    pub(super) fn resolve(&mut self, at_end: bool, output: &mut Output<'_>) {
        let mut was_error = false;
        if let Some(pending) = self.event.payload.take() {
            let goes_on = pending.is_parted() && pending.is_open();
            if !at_end && (pending.origin == Origin::Bare || goes_on) {
                self.event.payload = Some(pending);
            } else {
                self.incomplete(pending, at_end, output);
            }
        } else if self.event.is_empty {
            was_error = self.event.is_error();
            if !at_end {
                self.idle(output);
            }
        }
        if was_error {
            self.answer.words.add_error_event();
        }
        self.event.is_empty = false;
        self.event.status_hint = None;
        // The error may come behind a stray blank line; other names belong to their own event only.
        if !self.event.is_error() {
            self.event.name = None;
        }
    }

    fn incomplete(&mut self, mut pending: Pending, at_end: bool, output: &mut Output<'_>) {
        let text = pending.text();
        let mended = sanitize::one_line(text);
        if cursor::parse(&mended).is_ok() && pending.starts_json() {
            self.answer.progress.repairs.insert(Repair::Json);
            return self.json(pending.origin, &mended, output);
        }
        // Printed instead of serialised. Of texts only what has choices is read so: no good text is.
        let may_be_json = text.starts_with(b"{\"")
            || (self.options.kind.api().is_some() && memmem::find(text, b"choices").is_some());
        if may_be_json && let Some(json) = loose::to_json(text) {
            self.answer.progress.repairs.insert(Repair::Json);
            return self.json(pending.origin, &sanitize::one_line(&json), output);
        }
        // `[END]`, and Python's `str()` of a dict, are texts.
        if !pending.starts_json() || text.starts_with(b"[") || text.starts_with(b"{'") {
            return self.text(text, self.event.is_error(), output);
        }
        let last = pending.last_line();
        if pending.origin != Origin::Bare
            && last.first() == Some(&b'{')
            && cursor::parse(last).is_ok()
        {
            return self.payload(pending.origin, last, output);
        }
        if pending.is_open()
            && pending.origin == Origin::Data
            && !pending.is_parted()
            && !at_end
            && self.options.kind.api().is_some()
        {
            // Cut somewhere on its way: the next event may bring the rest.
            pending.part();
            self.event.payload = Some(pending);
        } else if pending.origin != Origin::Bare && (!at_end || pending.is_parted()) {
            // At the end, what an event leaves open is a cut answer, and told as such.
            self.fail(not_json(), output);
        }
    }

    /// What an event has left open does not go on.
    pub(super) fn not_gone_on_with(&mut self, output: &mut Output<'_>) {
        if self.event.payload.take_if(|pending| pending.is_parted()).is_some() {
            self.fail(not_json(), output);
        }
    }

    /// What was sent where JSON was due. `is_error`: the framing says what it is.
    fn text(&mut self, text: &[u8], is_error: bool, output: &mut Output<'_>) {
        let event = Event { marked: true, status: self.event.status_hint };
        if let Some(answer) = is_error.then(|| from_event(text, event)).flatten() {
            return self.fail(answer, output);
        }
        let is_page = text.trim_ascii().first() == Some(&b'<');
        if self.options.kind == StreamKind::Transcription && !is_page && !is_labelled_error(text) {
            if self.is_over() {
                return;
            }
            let said = self.answer.transcript.line(text);
            return self.say(&said, output);
        }
        self.answer.words.add(text);
        self.idle(output);
    }
}

fn not_json() -> ErrorAnswer {
    errors::invalid("The upstream sent an event that is not JSON.")
}

/// A value without what programs leave behind it that meant to end it: a comma, or line ends that were written
/// out (`\n\n`).
fn without_tail(mut line: &[u8]) -> &[u8] {
    loop {
        let rest = [&b"\\n"[..], b"\\r", b","].iter().find_map(|tail| line.strip_suffix(*tail));
        match rest {
            Some(rest) => line = rest.trim_ascii_end(),
            None => return line,
        }
    }
}

/// `error: …`, which is no transcription.
fn is_labelled_error(text: &[u8]) -> bool {
    text.get(..6).is_some_and(|label| label.eq_ignore_ascii_case(b"error:"))
}
