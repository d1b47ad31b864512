//! Strings that are kept as they came: escaped, so that they go from one JSON text into another
//! without being decoded. Only surrogate halves need care.

use std::borrow::Cow;

use memchr::{memchr, memmem};

use crate::wire::json::string;

/// U+FFFD, for a surrogate half that has no other.
const REPLACEMENT: &[u8] = b"\\ufffd";

/// Joins pieces of one string: a surrogate pair may be cut between two of them (JavaScript and Java
/// servers cut strings by UTF-16 units), and half a pair is nothing that a strict reader takes.
#[derive(Debug, Default)]
pub(crate) struct Halves {
    /// `\ud83d`: the first half of a pair whose second may be in the next piece.
    high: Option<[u8; 6]>,
}

impl Halves {
    /// Adds `inner`, what stands between the quotes of a valid JSON string, to `out`. A first half at
    /// its end waits for the next piece.
    pub(crate) fn push(&mut self, inner: &[u8], out: &mut Vec<u8>) {
        if !has_units(inner) {
            return self.plain(inner, out);
        }
        let mut rest = inner;
        while let Some(at) = memchr(b'\\', rest) {
            let Some((plain, from_escape)) = rest.split_at_checked(at) else { break };
            self.plain(plain, out);
            let length = if from_escape.get(1) == Some(&b'u') { 6 } else { 2 };
            let (escape, after) =
                from_escape.split_at_checked(length).unwrap_or((from_escape, &[]));
            self.escape(escape, out);
            rest = after;
        }
        self.plain(rest, out);
    }

    /// The string ends: a half that still waits stays alone.
    pub(crate) fn finish(&mut self, out: &mut Vec<u8>) {
        if self.high.take().is_some() {
            out.extend_from_slice(REPLACEMENT);
        }
    }

    fn plain(&mut self, plain: &[u8], out: &mut Vec<u8>) {
        if !plain.is_empty() {
            self.finish(out);
            out.extend_from_slice(plain);
        }
    }

    fn escape(&mut self, escape: &[u8], out: &mut Vec<u8>) {
        match (unit(escape), self.high) {
            (Some(0xD800..0xDC00), _) => {
                self.finish(out);
                self.high = escape.try_into().ok();
            }
            (Some(0xDC00..0xE000), Some(high)) => {
                self.high = None;
                out.extend_from_slice(&high);
                out.extend_from_slice(escape);
            }
            (Some(0xDC00..0xE000), None) => out.extend_from_slice(REPLACEMENT),
            _ => {
                self.finish(out);
                out.extend_from_slice(escape);
            }
        }
    }
}

/// A whole JSON text without halves of surrogate pairs. Clients that cut texts by UTF-16 units send such halves, and
/// strict servers refuse the request for it: with it every later one of the session, since it has them in its history.
pub(crate) fn without_halves(json: &[u8]) -> Cow<'_, [u8]> {
    let may_be = |at: usize| matches!(json.get(at + 2), Some(b'd' | b'D'));
    if !memmem::find_iter(json, b"\\u").any(may_be) {
        return Cow::Borrowed(json);
    }
    // A backslash stands nowhere but in strings, and each string ends before the next one begins.
    let mut whole = Vec::with_capacity(json.len());
    let mut halves = Halves::default();
    halves.push(json, &mut whole);
    halves.finish(&mut whole);
    Cow::Owned(whole)
}

/// Whether there is any `\uXXXX` in what stands between the quotes of a valid JSON string.
fn has_units(inner: &[u8]) -> bool {
    let mut rest = inner;
    while let Some(at) = memchr(b'\\', rest) {
        match rest.get(at + 1) {
            Some(b'u') => return true,
            _ => rest = rest.get(at + 2..).unwrap_or_default(),
        }
    }
    false
}

/// The UTF-16 unit of `\uXXXX`.
fn unit(escape: &[u8]) -> Option<u32> {
    let digits = std::str::from_utf8(escape.strip_prefix(b"\\u")?).ok()?;
    u32::from_str_radix(digits, 16).ok()
}

/// A string that grows.
#[derive(Debug, Default)]
pub(crate) struct Text {
    raw: Vec<u8>,
    halves: Halves,
}

impl Text {
    /// Adds a piece (what stands between the quotes). Returns what of the text is new.
    pub(crate) fn push(&mut self, inner: &[u8]) -> &[u8] {
        let before = self.raw.len();
        self.halves.push(inner, &mut self.raw);
        self.raw.get(before..).unwrap_or_default()
    }

    /// No piece follows. Returns what of the text is new.
    pub(crate) fn finish(&mut self) -> &[u8] {
        let before = self.raw.len();
        self.halves.finish(&mut self.raw);
        self.raw.get(before..).unwrap_or_default()
    }

    /// The text so far, escaped, without quotes.
    pub(crate) fn raw(&self) -> &[u8] {
        &self.raw
    }

    /// Writes it with its quotes.
    pub(crate) fn write(&self, out: &mut Vec<u8>) {
        quoted(&self.raw, out);
    }
}

/// Writes what is already escaped with quotes.
pub(crate) fn quoted(inner: &[u8], out: &mut Vec<u8>) {
    out.push(b'"');
    out.extend_from_slice(inner);
    out.push(b'"');
}

/// `text` escaped, without quotes.
pub(crate) fn escaped(text: &[u8]) -> Vec<u8> {
    let mut raw = string::encode(&String::from_utf8_lossy(text));
    raw.pop();
    raw.drain(..1.min(raw.len()));
    raw
}

/// A number.
pub(crate) fn number(value: u64, out: &mut Vec<u8>) {
    let mut digits = [0; 20];
    let mut rest = value;
    let mut at = digits.len();
    for digit in digits.iter_mut().rev() {
        *digit = b'0' + (rest % 10) as u8;
        at -= 1;
        rest /= 10;
        if rest == 0 {
            break;
        }
    }
    out.extend_from_slice(digits.get(at..).unwrap_or_default());
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::test;

    fn joined(pieces: &[&str]) -> String {
        let mut text = Text::default();
        let mut shown = Vec::new();
        for piece in pieces {
            shown.extend_from_slice(text.push(piece.as_bytes()));
        }
        shown.extend_from_slice(text.finish());
        assert_eq!(shown, text.raw());
        String::from_utf8(shown).unwrap()
    }

    #[test]
    fn pieces_stay_as_they_are() {
        assert_eq!(joined(&["a\\n", "é\\u00e9", "\\\\u", "d83d"]), "a\\né\\u00e9\\\\ud83d");
        assert_eq!(joined(&["", ""]), "");
    }

    #[test]
    fn a_cut_pair_is_joined_and_a_lone_half_replaced() {
        assert_eq!(joined(&["a\\ud83d", "\\ude00b"]), "a\\ud83d\\ude00b");
        assert_eq!(joined(&["a\\ud83d", "", "\\ude00b"]), "a\\ud83d\\ude00b");
        assert_eq!(joined(&["\\ud83d\\ude00\\uD83D"]), "\\ud83d\\ude00\\ufffd");
        assert_eq!(joined(&["\\ude00", "\\ud83d", "x"]), "\\ufffd\\ufffdx");
        assert_eq!(joined(&["\\ud83d\\ud83d\\ude00"]), "\\ufffd\\ud83d\\ude00");
        assert_eq!(joined(&["\\ud83d\\n"]), "\\ufffd\\n");
    }

    #[test]
    fn a_text_loses_lone_halves_alone() {
        for (json, want) in [
            (r#"{"a":"\ud83d\ude00 \\ud83d"}"#, None),
            (r#"{"a":"\u00e9"}"#, None),
            (r#"{"a":"\ud83d","b\uDE00":1}"#, Some(r#"{"a":"\ufffd","b\ufffd":1}"#)),
            (r#"["\ud83d\ud83d\ude00\n"]"#, Some(r#"["\ufffd\ud83d\ude00\n"]"#)),
        ] {
            assert_eq!(without_halves(json.as_bytes()), want.unwrap_or(json).as_bytes());
        }
    }

    #[test]
    fn escapes() {
        assert_eq!(escaped(b"a\"b\n"), b"a\\\"b\\n");
    }

    #[test]
    fn numbers() {
        for value in [0, 7, 10, 1_700_000_000, u64::MAX] {
            let mut out = b"n".to_vec();
            number(value, &mut out);
            assert_eq!(String::from_utf8(out).unwrap(), format!("n{value}"));
        }
    }
}
