//! The events of one stream, numbered.

use super::items::{ItemPosition, JsonList};
use crate::dialect::chat::text::{number, quoted};

/// Room for what most events have: an answer's first one would else be moved with each of its members.
const EVENT_BYTES: usize = 512;

/// Where events are written, if anybody wants them.
#[derive(Debug)]
pub(super) struct ResponseEvents {
    out: Option<Vec<u8>>,
    next: u64,
    /// Of the last delta: nearly always the next one has the same.
    frame: DeltaFrame,
}

/// All of a delta event that stands before its text, but for its number.
#[derive(Debug, Default)]
struct DeltaFrame {
    name: &'static str,
    index: usize,
    part: Option<usize>,
    /// Up to the number.
    before: Vec<u8>,
    /// From there to the quote that opens the text.
    behind: Vec<u8>,
}

impl DeltaFrame {
    fn new(name: &'static str, place: ItemPosition<'_>, part: Option<usize>) -> Self {
        let (mut before, mut behind) = (Vec::new(), Vec::new());
        begin(name, &mut before);
        place.write(part, &mut behind);
        behind.extend_from_slice(b",\"delta\":\"");
        Self { name, index: place.index(), part, before, behind }
    }

    /// Items of one index have one id.
    fn is_of(&self, name: &'static str, place: ItemPosition<'_>, part: Option<usize>) -> bool {
        self.index == place.index() && self.part == part && self.name == name
    }
}

/// Writes what stands before an event's number.
fn begin(name: &str, out: &mut Vec<u8>) {
    for part in ["event: ", name, "\ndata: {\"type\":\"", name, "\",\"sequence_number\":"] {
        out.extend_from_slice(part.as_bytes());
    }
}

impl ResponseEvents {
    /// `wanted`: else nothing is ever written.
    pub(super) fn new(wanted: bool) -> Self {
        Self { out: wanted.then(Vec::new), next: 0, frame: DeltaFrame::default() }
    }

    /// Writes one event; `members` writes its members, each with a comma before it.
    pub(super) fn write(&mut self, name: &str, members: impl FnOnce(&mut Vec<u8>)) {
        let Some(out) = &mut self.out else { return };
        out.reserve(EVENT_BYTES);
        begin(name, out);
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
        name: &'static str,
        place: ItemPosition<'_>,
        part: Option<usize>,
        new: &[u8],
    ) {
        self.delta_with(name, place, part, new, |_| {});
    }

    /// The same; `members` writes what follows the delta.
    fn delta_with(
        &mut self,
        name: &'static str,
        place: ItemPosition<'_>,
        part: Option<usize>,
        new: &[u8],
        members: impl FnOnce(&mut Vec<u8>),
    ) {
        let Some(out) = self.out.as_mut().filter(|_| !new.is_empty()) else { return };
        if !self.frame.is_of(name, place, part) {
            self.frame = DeltaFrame::new(name, place, part);
        }
        out.reserve(EVENT_BYTES);
        out.extend_from_slice(&self.frame.before);
        number(self.next, out);
        self.next = self.next.saturating_add(1);
        out.extend_from_slice(&self.frame.behind);
        out.extend_from_slice(new);
        out.push(b'"');
        members(out);
        out.extend_from_slice(b"}\n\n");
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
        self.delta_with("response.output_text.delta", place, Some(at), new, |out| {
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
