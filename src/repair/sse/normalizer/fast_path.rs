//! The fast path: events like the last one, which most of a stream's are. Framing and payload are
//! compared where they stand in the chunk; nothing is cut into lines. What is not alike, or not whole,
//! is left to the lines.

use super::super::output::Output;
use super::super::scan::CanonicalPayload;
use super::{SseNormalizer, Stage};
use crate::repair::sse::template::TemplateMatch;
use crate::wire::bytes::strip_prefix;

impl SseNormalizer {
    /// Passes on the events of the last one's shape that `rest` begins with. Returns what follows.
    #[inline]
    pub(super) fn repeats<'c>(&mut self, mut rest: &'c [u8], output: &mut Output<'_>) -> &'c [u8] {
        while self.is_between_events()
            && let Some(after) = self.repeat(rest, output)
        {
            rest = after;
        }
        rest
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
