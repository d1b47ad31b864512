//! The events of one stream.

use crate::dialect::chat::text::number;

/// Room for what most events have.
const EVENT_BYTES: usize = 256;

/// Where events are written, if anybody wants them.
#[derive(Debug)]
pub(super) struct MessageEvents {
    out: Option<Vec<u8>>,
    /// Of the last delta: nearly always the next one has the same.
    frame: DeltaFrame,
}

/// All of a delta event that stands before its text.
#[derive(Debug, Default)]
struct DeltaFrame {
    index: usize,
    kind: &'static str,
    before: Vec<u8>,
}

impl DeltaFrame {
    fn new(index: usize, kind: &'static str, member: &str) -> Self {
        let mut before = Vec::new();
        begin("content_block_delta", &mut before);
        before.extend_from_slice(b",\"index\":");
        number(index as u64, &mut before);
        for part in [",\"delta\":{\"type\":\"", kind, "\",\"", member, "\":\""] {
            before.extend_from_slice(part.as_bytes());
        }
        Self { index, kind, before }
    }
}

/// Writes what stands before an event's members.
fn begin(name: &str, out: &mut Vec<u8>) {
    for part in ["event: ", name, "\ndata: {\"type\":\"", name, "\""] {
        out.extend_from_slice(part.as_bytes());
    }
}

impl MessageEvents {
    /// `wanted`: else nothing is ever written.
    pub(super) fn new(wanted: bool) -> Self {
        Self { out: wanted.then(Vec::new), frame: DeltaFrame::default() }
    }

    /// Whether anybody wants events.
    pub(super) fn are_wanted(&self) -> bool {
        self.out.is_some()
    }

    /// What was written since the last call.
    pub(super) fn take(&mut self) -> Vec<u8> {
        self.out.as_mut().map(std::mem::take).unwrap_or_default()
    }

    /// Writes one event; `members` writes its members, each with a comma before it.
    pub(super) fn write(&mut self, name: &str, members: impl FnOnce(&mut Vec<u8>)) {
        let Some(out) = &mut self.out else { return };
        out.reserve(EVENT_BYTES);
        begin(name, out);
        members(out);
        out.extend_from_slice(b"}\n\n");
    }

    /// Writes an event that is there as a whole.
    pub(super) fn whole(&mut self, event: &[u8]) {
        if let Some(out) = &mut self.out {
            out.extend_from_slice(event);
        }
    }

    /// Writes an event of the block at `index`.
    pub(super) fn block(&mut self, name: &str, index: usize, members: impl FnOnce(&mut Vec<u8>)) {
        self.write(name, |out| {
            out.extend_from_slice(b",\"index\":");
            number(index as u64, out);
            members(out);
        });
    }

    /// A delta of the block at `index`, unless it would be empty. `kind`: of which each has one `member`. `new`: escaped,
    /// without quotes.
    pub(super) fn delta(&mut self, index: usize, kind: &'static str, member: &str, new: &[u8]) {
        let Some(out) = self.out.as_mut().filter(|_| !new.is_empty()) else { return };
        if self.frame.index != index || self.frame.kind != kind {
            self.frame = DeltaFrame::new(index, kind, member);
        }
        out.reserve(self.frame.before.len() + new.len() + EVENT_BYTES);
        out.extend_from_slice(&self.frame.before);
        out.extend_from_slice(new);
        out.extend_from_slice(b"\"}}\n\n");
    }
}
