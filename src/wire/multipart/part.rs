//! A part's data: where it ends.

use memchr::{memchr2, memmem};

use super::field::PartHead;
use super::invalid;
use crate::error::GatewayError;

/// The part that is being read.
#[derive(Debug)]
pub(super) struct FormPart {
    pub head: PartHead,
    /// Absolute offset of the first byte of its headers.
    pub header_start: u64,
    /// Absolute offset of the first byte of data.
    pub start: u64,
    /// The last bytes of data: a delimiter that is cut by the end of a chunk, and what precedes it.
    pub tail: Vec<u8>,
    /// The data from its start, kept for fields that are read; may run into the delimiter.
    pub value: Vec<u8>,
}

/// A place where `--boundary` was found in a part's data.
enum Hit {
    /// It follows CR LF: the data ends before these.
    Delimiter,
    /// In the middle of a line: data.
    Data,
    /// It follows a lone CR or LF, or the part's headers: parsers disagree.
    Ambiguous,
}

impl FormPart {
    /// The headers that begin at the absolute offset `header_start`, and the data that begins at `start`.
    pub fn new(head: PartHead, header_start: u64, start: u64) -> Self {
        Self { head, header_start, start, tail: Vec::new(), value: Vec::new() }
    }

    /// Where in `chunk`, which begins at `offset`, the delimiter ends that ends the part's data.
    pub fn delimiter_end(
        &self,
        finder: &memmem::Finder<'_>,
        offset: u64,
        chunk: &[u8],
    ) -> Result<Option<usize>, GatewayError> {
        let needle = finder.needle().len();
        let at_start = offset == self.start;
        // First the delimiters that begin in an earlier chunk.
        if !self.tail.is_empty() {
            let kept = self.tail.len();
            let mut edge = self.tail.clone();
            edge.extend_from_slice(chunk.get(..needle.min(chunk.len())).unwrap_or_default());
            let whole = self.start.saturating_add(kept as u64) == offset;
            let mut from = 0;
            while let Some(at) = find(finder, &edge, from).filter(|at| *at < kept) {
                match judge(&edge, at, whole) {
                    Hit::Delimiter => return Ok(Some((at + needle).saturating_sub(kept))),
                    Hit::Ambiguous => return Err(ambiguous()),
                    Hit::Data => from = next_line(&edge, at + needle),
                }
            }
        }
        let mut from = 0;
        while let Some(at) = find(finder, chunk, from) {
            let hit = if at >= 2 || at_start {
                judge(chunk, at, at_start)
            } else {
                let mut edge = self.tail.clone();
                edge.extend_from_slice(chunk.get(..at).unwrap_or_default());
                let whole = self.start.saturating_add(self.tail.len() as u64) == offset;
                judge(&edge, edge.len(), whole)
            };
            match hit {
                Hit::Delimiter => return Ok(Some(at + needle)),
                Hit::Ambiguous => return Err(ambiguous()),
                Hit::Data => from = next_line(chunk, at + needle),
            }
        }
        Ok(None)
    }

    /// Keeps the last `limit` bytes of data: all but the last byte of a delimiter.
    pub fn keep_tail(&mut self, chunk: &[u8], limit: usize) {
        if let Some(from) = chunk.len().checked_sub(limit) {
            self.tail.clear();
            self.tail.extend_from_slice(chunk.get(from..).unwrap_or_default());
        } else {
            self.tail.extend_from_slice(chunk);
            let excess = self.tail.len().saturating_sub(limit);
            self.tail.drain(..excess);
        }
    }
}

/// What the needle at `at` of `data` means. `whole`: `data` begins where the part's data begins.
fn judge(data: &[u8], at: usize, whole: bool) -> Hit {
    match data.get(..at).unwrap_or_default() {
        // Directly after the headers: a delimiter for some parsers, data for others.
        [] if whole => Hit::Ambiguous,
        [.., b'\r', b'\n'] => Hit::Delimiter,
        [.., b'\r' | b'\n'] => Hit::Ambiguous,
        _ => Hit::Data,
    }
}

fn find(finder: &memmem::Finder<'_>, data: &[u8], from: usize) -> Option<usize> {
    finder.find(data.get(from..)?).map(|at| from + at)
}

/// The next place where a line may begin: nothing before it can be a delimiter.
fn next_line(data: &[u8], from: usize) -> usize {
    let rest = data.get(from..).unwrap_or_default();
    memchr2(b'\r', b'\n', rest).map_or(data.len(), |at| from + at)
}

fn ambiguous() -> GatewayError {
    invalid("a boundary stands inside a part's data where a line begins without CR LF")
}
