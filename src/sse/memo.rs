//! Remembers the last payload that needed no repair. The next one nearly always differs from it in a
//! text or two alone, and then a comparison tells what a scan would.

use super::scan::Reader;
use crate::bytes::is_same;

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

    fn as_slice(&self) -> &[Hole] {
        self.holes.get(..self.len).unwrap_or_default()
    }
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

    /// Whether what stands before `end` is the same in every payload of this shape.
    pub(super) fn is_fixed(&self, end: usize) -> bool {
        self.holes.as_slice().first().is_none_or(|hole| end <= hole.start)
    }

    /// What was found, and the last number of `text`, if `text` has the same shape.
    #[inline]
    pub(super) fn recall(&self, text: &[u8]) -> Option<(T, Option<u64>)> {
        let found = self.found?;
        let (mut rest, mut done) = (text, 0);
        let mut number = None;
        for hole in self.holes.as_slice() {
            let (same, after) = rest.split_at_checked(hole.start.checked_sub(done)?)?;
            if !is_same(same, self.text.get(done..hole.start)?) {
                return None;
            }
            rest = after;
            let mut reader = Reader::new(rest);
            if hole.is_number {
                reader.number()?;
            } else {
                reader.string_rest()?;
            }
            let value = rest.get(..reader.at())?;
            let value = std::str::from_utf8(value).ok()?;
            if hole.is_number {
                number = value.parse().ok();
            }
            rest = rest.get(reader.at()..)?;
            done = hole.end;
        }
        is_same(rest, self.text.get(done..)?).then_some((found, number))
    }
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
            assert_eq!(memo.recall(other), Some(((), want)));
        }
        for other in [
            &br#"{"a":"x","n":1,"b":"z"}"#[..],
            br#"{"a":"x\","n":1,"b":"y"}"#,
            br#"{"a":"x","n":,"b":"y"}"#,
            br#"{"a":"x","n":1,"b":"y"} "#,
            b"{\"a\":\"\xff\",\"n\":1,\"b\":\"y\"}",
            b"{\"a\":\"\t\",\"n\":1,\"b\":\"y\"}",
            br#"{"a":"x"#,
        ] {
            assert_eq!(memo.recall(other), None, "{}", other.escape_ascii());
        }
    }
}
