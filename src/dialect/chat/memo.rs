//! A chunk like the last one. All that differs between most chunks of a stream is one string: a piece
//! of text, of reasoning or of a call's arguments. Where it stood, and all around it, is remembered;
//! a chunk with the same bytes around another string needs no second reading.

use std::ops::Range;

use crate::wire::bytes::{is_same, strip_prefix};
use crate::wire::json::tokenizer::string_end;

/// Longest chunk that is remembered, in bytes: others are rare.
const MAX_BYTES: usize = 4096;

/// What a chunk's one string adds to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum What {
    Text,
    Reasoning,
    /// Of the call with this index.
    Arguments(u64),
}

/// A chunk that says one thing.
#[derive(Debug, Default)]
pub(crate) struct RepeatedChunk(Option<RepeatedShape>);

#[derive(Debug)]
struct RepeatedShape {
    /// Up to the string's first quote, and it.
    before: Vec<u8>,
    /// From the string's last quote on.
    after: Vec<u8>,
    what: What,
}

impl RepeatedChunk {
    /// Remembers `payload`, whose one string stands at `told` (quotes included), or that it is none of
    /// this kind.
    pub(crate) fn learn(&mut self, payload: &[u8], told: Option<(Range<usize>, What)>) {
        let shape = told.filter(|_| payload.len() <= MAX_BYTES).and_then(|(span, what)| {
            let before = payload.get(..span.start.checked_add(1)?)?.to_vec();
            let after = payload.get(span.end.checked_sub(1)?..)?.to_vec();
            Some(RepeatedShape { before, after, what })
        });
        self.0 = shape;
    }

    /// What stands between the quotes of the one string of `payload`, if it is like the last one.
    pub(crate) fn recall<'a>(&self, payload: &'a [u8]) -> Option<(&'a [u8], What)> {
        let shape = self.0.as_ref()?;
        let rest = strip_prefix(payload, &shape.before)?;
        let (inner, after) = rest.split_at_checked(string_end(rest)?)?;
        is_same(after, &shape.after).then_some((inner, shape.what))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::test;

    #[test]
    fn recalls_another_string_in_the_same_place() {
        let mut memo = RepeatedChunk::default();
        assert_eq!(memo.recall(b"{\"a\":\"x\"}"), None);
        memo.learn(b"{\"a\":\"x\"}", Some((5..8, What::Reasoning)));
        for (payload, want) in [
            (&br#"{"a":"y\"\u00e9"}"#[..], Some(&br#"y\"\u00e9"#[..])),
            (br#"{"a":""}"#, Some(b"")),
            (br#"{"b":"y"}"#, None),
            (br#"{"a":"y"} "#, None),
            (br#"{"a":"y","b":1}"#, None),
            (br#"{"a":"y"#, None),
            (br#"{"a":"\x"}"#, None),
            (br#"{"a":"\u12"}"#, None),
            (b"{\"a\":\"\n\"}", None),
            (br#"{"a":"\"}"#, None),
        ] {
            assert_eq!(memo.recall(payload), want.map(|inner| (inner, What::Reasoning)));
        }
        memo.learn(b"{}", None);
        assert_eq!(memo.recall(b"{\"a\":\"x\"}"), None);
        memo.learn(&[b' '; 5000], Some((5..8, What::Text)));
        assert_eq!(memo.recall(&[b' '; 5000]), None);
    }
}
