//! The fast path: events like the last one, which most of a stream's are. Framing and payload are
//! compared where they stand in the chunk; nothing is cut into lines. What is not alike, or not whole,
//! is left to the lines.

use super::super::output::Output;
use super::super::scan::CanonicalPayload;
use super::{SseNormalizer, Stage};
use crate::repair::sse::template::{SlotValues, TemplateMatch};
use crate::wire::bytes::strip_prefix;

impl SseNormalizer {
    /// Passes on the events of the last one's shape that `rest` begins with. Returns what follows.
    #[inline]
    pub(super) fn repeats<'c>(&mut self, mut rest: &'c [u8], output: &mut Output<'_>) -> &'c [u8] {
        // What passes here leaves nothing behind that belongs to the next.
        if self.is_between_events() {
            rest = self.plain_repeats(rest, output);
            while let Some(after) = self.repeat(rest, output) {
                rest = after;
            }
        }
        rest
    }

    /// Passes on a chunk that is one event of the last one's shape, from its field to its blank line, and nothing else, in
    /// the middle of a good stream. False, and nothing has happened, for any other: that is to be pushed.
    // Streams in which each event comes alone make a call of each: it pays to ask little of it.
    #[must_use]
    pub fn passes(&mut self, chunk: &[u8]) -> bool {
        let Some(index) = self.plain else { return false };
        // Of a chunk with several events the first would be read twice.
        if chunk.len() > self.template.len().saturating_mul(2).min(self.options.max_event_bytes)
            || !matches!(self.stage, Stage::Streaming)
            || self.lines.skip_lf
            || self.answer.failure.is_some()
            || !self.is_between_events()
        {
            return false;
        }
        let Some((values, [])) = self.plain_event(chunk) else { return false };
        if let Some(choice) = self.answer.progress.choice(index) {
            choice.go_on(values.content, values.reasoning);
        }
        self.passed_plainly();
        true
    }

    /// Passes on the canonical events that `rest` begins with and that do nothing but go on with the choice of the last one:
    /// nearly all of a stream are such. Returns what follows.
    #[inline]
    fn plain_repeats<'c>(&mut self, mut rest: &'c [u8], output: &mut Output<'_>) -> &'c [u8] {
        let Some(index) = self.plain.filter(|_| matches!(self.stage, Stage::Streaming)) else {
            return rest;
        };
        let before = rest.len();
        while let Some((values, after)) = self.plain_event(rest) {
            let Some(event) = rest.get(..rest.len().saturating_sub(after.len())) else { break };
            if event.len() > self.options.max_event_bytes {
                break;
            }
            output.write(event);
            if let Some(choice) = self.answer.progress.choice(index) {
                choice.go_on(values.content, values.reasoning);
            }
            rest = after;
        }
        if rest.len() < before {
            self.passed_plainly();
        }
        rest
    }

    /// What the canonical event says that `events` begin with, if it is of the last one's shape, and what follows it.
    #[inline(always)]
    fn plain_event<'c>(&self, events: &'c [u8]) -> Option<(SlotValues<'c>, &'c [u8])> {
        let payload = events.strip_prefix(b"data: ")?;
        let TemplateMatch { len, values } = self.template.find(payload)?;
        Some((values, payload.get(len..)?.strip_prefix(b"\n\n")?))
    }

    /// Events have passed that did nothing but go on with a choice. The last one has ended, as a blank line ends it.
    #[inline]
    fn passed_plainly(&mut self) {
        self.event.is_empty = false;
        self.event.status_hint = None;
        self.answer.chunk(false);
    }

    /// Whether nothing that was read before belongs to the event that comes.
    fn is_between_events(&self) -> bool {
        !matches!(self.stage, Stage::Done(_))
            && self.lines.partial.is_empty()
            && self.event.payload.is_none()
            && self.event.name.is_none()
    }

    fn repeat<'c>(&mut self, event: &'c [u8], output: &mut Output<'_>) -> Option<&'c [u8]> {
        let fields = self.without_name(event)?;
        let value = fields.strip_prefix(b"data:")?;
        let (payload, is_spaced) = match value.strip_prefix(b" ") {
            Some(payload) => (payload, true),
            None => (value, false),
        };
        let (TemplateMatch { len, values }, found) = self.recall(payload)?;
        let (payload, behind) = payload.split_at_checked(len)?;
        // A lone CR may be half of a line end.
        let (after, is_closed, is_plain) = match behind {
            [b'\n', b'\n', after @ ..] => (after, true, true),
            [b'\r', b'\n', b'\r', b'\n', after @ ..] => (after, true, false),
            [b'\n', after @ ..] | [b'\r', b'\n', after @ ..] => (after, false, false),
            _ => return None,
        };
        let len = event.len().checked_sub(after.len())?;
        let is_canonical = is_spaced && is_plain;
        if len > self.options.max_event_bytes || (fields.len() < event.len() && !is_canonical) {
            return None;
        }
        let whole = if is_canonical { event.get(..len) } else { None };
        if !self.pass(found, values, payload, whole, output) {
            return None;
        }
        // As the blank line does.
        if is_closed {
            self.event.status_hint = None;
        }
        Some(after)
    }

    /// What follows the line with the event's name, where events have one and this is the one that
    /// the payload says again; else all of it.
    #[inline]
    fn without_name<'c>(&self, event: &'c [u8]) -> Option<&'c [u8]> {
        let CanonicalPayload::Event(known) = self.template.found()? else { return Some(event) };
        let Some(line) = event.strip_prefix(b"event: ") else { return Some(event) };
        let name = self.template.text().get(known.name.0..known.name.1)?;
        strip_prefix(line, name)?.strip_prefix(b"\n")
    }
}
