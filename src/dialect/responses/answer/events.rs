//! The events of one stream, numbered.

use super::items::{ItemPosition, JsonList};
use crate::dialect::chat::text::{number, quoted};

/// Where events are written, if anybody wants them.
#[derive(Debug)]
pub(super) struct ResponseEvents {
    out: Option<Vec<u8>>,
    next: u64,
}

impl ResponseEvents {
    /// `wanted`: else nothing is ever written.
    pub(super) fn new(wanted: bool) -> Self {
        Self { out: wanted.then(Vec::new), next: 0 }
    }

    /// Writes one event; `members` writes its members, each with a comma before it.
    pub(super) fn write(&mut self, name: &str, members: impl FnOnce(&mut Vec<u8>)) {
        let Some(out) = &mut self.out else { return };
        for part in ["event: ", name, "\ndata: {\"type\":\"", name, "\",\"sequence_number\":"] {
            out.extend_from_slice(part.as_bytes());
        }
        number(self.next, out);
        self.next = self.next.saturating_add(1);
        members(out);
        out.extend_from_slice(b"}\n\n");
    }

    /// Passes a comment on, as an event of its own.
    pub(super) fn comment(&mut self, line: &[u8]) {
        let Some(out) = &mut self.out else { return };
        out.extend_from_slice(line);
        out.extend_from_slice(b"\n\n");
    }

    /// What was written since the last call.
    pub(super) fn take(&mut self) -> Vec<u8> {
        self.out.as_mut().map(std::mem::take).unwrap_or_default()
    }

    /// An event with a part of an item: `content_part.added`, `.done`.
    pub(super) fn part(
        &mut self,
        name: &str,
        place: ItemPosition<'_>,
        at: usize,
        part: impl FnOnce(&mut Vec<u8>),
    ) {
        self.write(name, |out| {
            place.write(Some(at), out);
            out.extend_from_slice(b",\"part\":");
            part(out);
        });
    }

    /// An event about a reasoning item's summary, which has one part; `member` writes its members.
    pub(super) fn summary(
        &mut self,
        name: &str,
        place: ItemPosition<'_>,
        members: impl FnOnce(&mut Vec<u8>),
    ) {
        self.write(name, |out| {
            place.write(None, out);
            out.extend_from_slice(b",\"summary_index\":0");
            members(out);
        });
    }

    /// A delta event, unless it would be empty. `new`: escaped, without quotes.
    pub(super) fn delta(
        &mut self,
        name: &str,
        place: ItemPosition<'_>,
        part: Option<usize>,
        new: &[u8],
    ) {
        if new.is_empty() {
            return;
        }
        self.write(name, |out| {
            place.write(part, out);
            out.extend_from_slice(b",\"delta\":");
            quoted(new, out);
        });
    }

    /// A delta of a message's text, unless it would be empty, with those `logprobs` that were not
    /// shown before.
    pub(super) fn text_delta(
        &mut self,
        place: ItemPosition<'_>,
        at: usize,
        new: &[u8],
        logprobs: &mut JsonList,
    ) {
        if new.is_empty() {
            return;
        }
        self.write("response.output_text.delta", |out| {
            place.write(Some(at), out);
            out.extend_from_slice(b",\"delta\":");
            quoted(new, out);
            out.extend_from_slice(b",\"logprobs\":");
            logprobs.write_new(out);
        });
    }

    /// A `.done` event; `member` holds the complete text.
    pub(super) fn done(
        &mut self,
        name: &str,
        place: ItemPosition<'_>,
        part: Option<usize>,
        member: &str,
        text: &[u8],
    ) {
        self.write(name, |out| {
            place.write(part, out);
            out.extend_from_slice(b",\"");
            out.extend_from_slice(member.as_bytes());
            out.extend_from_slice(b"\":");
            quoted(text, out);
        });
    }
}
