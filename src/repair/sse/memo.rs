//! Remembers the last payload that needed no repair. The next one nearly always differs from it in a
//! text or two alone, and then a comparison tells what a scan would.

use super::scan::Reader;
use crate::wire::bytes::{is_utf8_up_to, strip_prefix};
use crate::wire::json::tokenizer::string_end;

/// Texts and numbers in which payloads of one shape differ.
const MAX_HOLES: usize = 4;
/// Longer payloads are scanned: comparing would save little.
const MAX_BYTES: usize = 2048;

/// A value that no repair depends on.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) struct Hole {
    /// Of a string, what is between its quotes.
    pub(super) start: usize,
    pub(super) end: usize,
    pub(super) is_number: bool,
}

/// The holes of one payload, ascending.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) struct Holes {
    holes: [Hole; MAX_HOLES],
    len: usize,
}

impl Holes {
    /// One more; those that are too many stay part of the shape.
    pub(super) fn push(&mut self, hole: Hole) {
        if let Some(slot) = self.holes.get_mut(self.len) {
            *slot = hole;
            self.len += 1;
        }
    }

    /// Whether what stands before `end` is the same in every payload of this shape.
    pub(super) fn are_behind(&self, end: usize) -> bool {
        self.as_slice().first().is_none_or(|hole| end <= hole.start)
    }

    fn as_slice(&self) -> &[Hole] {
        self.holes.get(..self.len).unwrap_or_default()
    }
}

/// A payload of the shape that is remembered.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Recalled {
    /// Its length in bytes: what follows was not looked at.
    pub(super) len: usize,
    /// The last number in a hole.
    pub(super) number: Option<u64>,
}

/// A payload's shape and what `T` was found in it.
#[derive(Debug)]
pub(super) struct Memo<T> {
    text: Vec<u8>,
    holes: Holes,
    found: Option<T>,
}

impl<T> Default for Memo<T> {
    fn default() -> Self {
        Self { text: Vec::new(), holes: Holes::default(), found: None }
    }
}

impl<T: Copy> Memo<T> {
    /// Remembers `text`, which needs no repair whatever stands in its `holes`.
    pub(super) fn learn(&mut self, text: &[u8], holes: Holes, found: T) {
        self.text.clear();
        self.found = None;
        if text.len() <= MAX_BYTES {
            self.text.extend_from_slice(text);
            self.holes = holes;
            self.found = Some(found);
        }
    }

    /// What was found in the payload that was learnt.
    #[inline]
    pub(super) fn found(&self) -> Option<T> {
        self.found
    }

    /// The payload that was learnt, if there is one.
    pub(super) fn text(&self) -> &[u8] {
        &self.text
    }

    /// The payload of the same shape that `text` begins with.
    pub(super) fn recall(&self, text: &[u8]) -> Option<Recalled> {
        self.found.as_ref()?;
        let (mut rest, mut done) = (text, 0);
        let mut number = None;
        for hole in self.holes.as_slice() {
            rest = strip_prefix(rest, self.text.get(done..hole.start)?)?;
            let end = if hole.is_number { number_end(rest)? } else { string_end(rest)? };
            if hole.is_number {
                number = std::str::from_utf8(rest.get(..end)?).ok()?.parse().ok();
            } else if !is_utf8_up_to(rest, end) {
                return None;
            }
            (rest, done) = (rest.get(end..)?, hole.end);
        }
        rest = strip_prefix(rest, self.text.get(done..)?)?;
        Some(Recalled { len: text.len().checked_sub(rest.len())?, number })
    }
}

fn number_end(text: &[u8]) -> Option<usize> {
    let mut reader = Reader::new(text);
    reader.number()?;
    Some(reader.at())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::test;

    #[test]
    fn only_holes_may_differ() {
        let mut memo = Memo::default();
        let text = br#"{"a":"x","n":1,"b":"y"}"#;
        let mut holes = Holes::default();
        assert_eq!(memo.recall(text), None);
        holes.push(Hole { start: 6, end: 7, is_number: false });
        holes.push(Hole { start: 13, end: 14, is_number: true });
        memo.learn(text, holes, ());
        for (other, want) in [
            (&text[..], Some(1)),
            (br#"{"a":"longer \" \u00e9","n":20,"b":"y"}"#, Some(20)),
            (br#"{"a":"","n":1.5,"b":"y"}"#, None),
        ] {
            let want = Some(Recalled { len: other.len(), number: want });
            assert_eq!(memo.recall(other), want);
            assert_eq!(memo.recall(&[other, b"}"].concat()), want);
        }
        for other in [
            &br#"{"a":"x","n":1,"b":"z"}"#[..],
            br#"{"a":"x\","n":1,"b":"y"}"#,
            br#"{"a":"x","n":,"b":"y"}"#,
            br#"{"a":"x","n":1,"b":"y""#,
            b"{\"a\":\"\xff\",\"n\":1,\"b\":\"y\"}",
            b"{\"a\":\"\t\",\"n\":1,\"b\":\"y\"}",
            br#"{"a":"x"#,
        ] {
            assert_eq!(memo.recall(other), None, "{}", other.escape_ascii());
        }
    }
}
