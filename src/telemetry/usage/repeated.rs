//! The last event that said one text and nothing else that counts. The next one nearly always differs from it in that text
//! alone, and then a comparison tells what reading it would.

use super::TextLength;
use super::payload::{OneText, PayloadFacts};
use crate::wire::bytes::strip_prefix;
use crate::wire::json::tokenizer::string_end;

/// Longer events are read: comparing would save little.
const MAX_BYTES: usize = 2048;
/// What follows a payload that is an event of its own.
const BEHIND: &[u8] = b"\n\n";

/// What the event was, apart from its text.
#[derive(Debug, Default)]
pub(super) struct RepeatedEvent {
    /// Its payload up to the text, and from the text to the event's end.
    before: Vec<u8>,
    behind: Vec<u8>,
    /// `None` where nothing was learnt.
    text: Option<OneText>,
}

impl RepeatedEvent {
    /// Remembers `payload`, which said `text` alone.
    pub(super) fn learn(&mut self, payload: &[u8], text: Option<OneText>) {
        self.text = None;
        if payload.len() <= MAX_BYTES
            && let Some(text) = text
            && let Some(before) = payload.get(..text.span.start)
            && let Some(behind) = payload.get(text.span.end..)
        {
            self.before.clear();
            self.before.extend_from_slice(before);
            self.behind.clear();
            self.behind.extend_from_slice(behind);
            self.behind.extend_from_slice(BEHIND);
            self.text = Some(text);
        }
    }

    /// What an event of the same shape says whose payload `bytes` begins with, and what follows it.
    #[inline]
    pub(super) fn find<'b>(&self, bytes: &'b [u8]) -> Option<(PayloadFacts, &'b [u8])> {
        let known = self.text.as_ref()?;
        let rest = strip_prefix(bytes, &self.before)?;
        let (text, behind) = rest.split_at_checked(string_end(rest)?)?;
        let rest = strip_prefix(behind, &self.behind)?;
        let mut length = TextLength::default();
        length.push(text);
        Some((known.facts(length.take()), rest))
    }
}
