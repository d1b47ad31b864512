//! The text of a call's arguments, which models write themselves: mended where it is nearly JSON.

use super::text::{Halves, escaped};
use crate::repair::mend::{Infinite, Mended, Mender};
use crate::wire::json::string;

/// Longer arguments are not looked at for whether they are nothing but white space.
const MAX_BLANK: usize = 256;

/// Arguments that come in pieces. What is nearly JSON in them is mended by the same rules as whole answers are
/// (`repair::mend`): a control character in a string becomes its escape, `NaN` becomes `null`.
#[derive(Debug)]
pub(crate) struct Arguments {
    /// Of the string that holds the text.
    outer: Halves,
    mender: Mender,
}

impl Default for Arguments {
    fn default() -> Self {
        Self { outer: Halves::default(), mender: Mender::new(Infinite::Null) }
    }
}

impl Arguments {
    /// What a piece (what stands between the quotes) adds to the text, decoded.
    pub(crate) fn decoded(&mut self, inner: &[u8]) -> Vec<u8> {
        let mut whole = Vec::with_capacity(inner.len());
        self.outer.push(inner, &mut whole);
        self.mend(&whole).0
    }

    /// No piece follows: what was still held, decoded.
    pub(crate) fn finish_decoded(&mut self) -> Vec<u8> {
        let mut whole = Vec::new();
        self.outer.finish(&mut whole);
        let (mut text, _) = self.mend(&whole);
        text.extend(self.mender.finish());
        text
    }

    /// What a piece adds to the text, as it stands in a JSON string.
    pub(crate) fn escaped(&mut self, inner: &[u8]) -> Vec<u8> {
        let mut whole = Vec::with_capacity(inner.len());
        self.outer.push(inner, &mut whole);
        match self.mend(&whole) {
            (mended, true) => escaped(&mended),
            (_, false) => whole,
        }
    }

    /// No piece follows: what was still held, as it stands in a JSON string.
    pub(crate) fn finish_escaped(&mut self) -> Vec<u8> {
        escaped(&self.finish_decoded())
    }

    /// The piece decoded, and whether it needed mending. Halves of surrogate pairs are never alone in it.
    fn mend(&mut self, whole: &[u8]) -> (Vec<u8>, bool) {
        let text = decode(whole);
        match self.mender.push(&text) {
            Mended::Same => (text, false),
            Mended::Bytes(mended) => (mended, true),
        }
    }
}

/// Arguments as text that grows, escaped, without quotes.
#[derive(Debug, Default)]
pub(crate) struct ArgumentsText {
    arguments: Arguments,
    raw: Vec<u8>,
}

impl ArgumentsText {
    /// Adds a piece (what stands between the quotes). Returns what of the text is new.
    pub(crate) fn push(&mut self, inner: &[u8]) -> &[u8] {
        let new = self.arguments.escaped(inner);
        self.add(&new)
    }

    /// No piece follows. Returns what of the text is new. Of nothing is made an object without members: clients read it
    /// as JSON.
    pub(crate) fn finish(&mut self) -> &[u8] {
        let mut new = self.arguments.finish_escaped();
        let is_blank = self.raw.len() < MAX_BLANK && decode(&self.raw).trim_ascii().is_empty();
        if is_blank && new.is_empty() {
            new.extend_from_slice(b"{}");
        }
        self.add(&new)
    }

    /// The text so far, escaped, without quotes.
    pub(crate) fn raw(&self) -> &[u8] {
        &self.raw
    }

    fn add(&mut self, new: &[u8]) -> &[u8] {
        let before = self.raw.len();
        self.raw.extend_from_slice(new);
        self.raw.get(before..).unwrap_or_default()
    }
}

fn decode(escaped: &[u8]) -> Vec<u8> {
    string::decode(escaped).unwrap_or_default().into_owned().into_bytes()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::test;

    /// The text that these pieces make, by both ways of asking.
    fn joined(pieces: &[&str]) -> String {
        let (mut one, mut other) = (Arguments::default(), Arguments::default());
        let (mut text, mut inner) = (Vec::new(), Vec::new());
        for piece in pieces {
            text.extend(one.decoded(piece.as_bytes()));
            inner.extend(other.escaped(piece.as_bytes()));
        }
        text.extend(one.finish_decoded());
        inner.extend(other.finish_escaped());
        assert_eq!(decode(&inner), text);
        String::from_utf8(text).unwrap()
    }

    #[test]
    fn nearly_json_is_mended_however_it_is_cut() {
        for (text, want) in [
            (r#"{\"a\":\"x\ny\"}"#, "{\"a\":\"x\\ny\"}"),
            (r#"{\"a\":\"\u0001\t\"}"#, "{\"a\":\"\\u0001\\t\"}"),
            (r#"{\n \"a\":1\n}"#, "{\n \"a\":1\n}"),
            (r#"{\"a\":NaN,\"b\":-Infinity}"#, "{\"a\":null,\"b\":null}"),
            (r#"{\"a\":\"\ud83d\ude00\"}"#, "{\"a\":\"😀\"}"),
            (r#"{\"a\":\"\ud83d\"}"#, "{\"a\":\"\u{fffd}\"}"),
            (r#"{\"a\":null,\"b\":-1,\"c\":1e-5}"#, "{\"a\":null,\"b\":-1,\"c\":1e-5}"),
            ("no JSON", "no JSON"),
        ] {
            assert_eq!(joined(&[text]), want);
            // No server cuts inside of an escape of the outer string.
            let mut pieces: Vec<&str> = Vec::new();
            let mut rest = text;
            while let Some(first) = rest.chars().next() {
                let length = match rest.as_bytes() {
                    [b'\\', b'u', ..] => 6,
                    [b'\\', ..] => 2,
                    _ => first.len_utf8(),
                };
                let (piece, after) = rest.split_at(length);
                pieces.push(piece);
                rest = after;
            }
            assert_eq!(joined(&pieces), want, "{text}");
        }
    }
}
