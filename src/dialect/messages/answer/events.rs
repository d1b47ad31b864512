//! The events of one stream.

use crate::dialect::chat::text::{number, quoted};

/// Where events are written, if anybody wants them.
#[derive(Debug)]
pub(super) struct MessageEvents(Option<Vec<u8>>);

impl MessageEvents {
    /// `wanted`: else nothing is ever written.
    pub(super) fn new(wanted: bool) -> Self {
        Self(wanted.then(Vec::new))
    }

    /// What was written since the last call.
    pub(super) fn take(&mut self) -> Vec<u8> {
        self.0.as_mut().map(std::mem::take).unwrap_or_default()
    }

    /// Writes one event; `members` writes its members, each with a comma before it.
    pub(super) fn write(&mut self, name: &str, members: impl FnOnce(&mut Vec<u8>)) {
        let Some(out) = &mut self.0 else { return };
        for part in ["event: ", name, "\ndata: {\"type\":\"", name, "\""] {
            out.extend_from_slice(part.as_bytes());
        }
        members(out);
        out.extend_from_slice(b"}\n\n");
    }

    /// Writes an event that is there as a whole.
    pub(super) fn whole(&mut self, event: &[u8]) {
        if let Some(out) = &mut self.0 {
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

    /// A delta of the block at `index`, unless it would be empty. `new`: escaped, without quotes.
    pub(super) fn delta(&mut self, index: usize, kind: &str, member: &str, new: &[u8]) {
        if new.is_empty() {
            return;
        }
        self.block("content_block_delta", index, |out| {
            for part in [",\"delta\":{\"type\":\"", kind, "\",\"", member, "\":"] {
                out.extend_from_slice(part.as_bytes());
            }
            quoted(new, out);
            out.push(b'}');
        });
    }
}
