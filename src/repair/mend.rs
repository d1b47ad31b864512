//! Nearly JSON: what serialisers write that RFC 8259 does not have, where it has one obvious meaning.
//!
//! | comes | leaves as |
//! | --- | --- |
//! | `NaN`, `Infinity` (Python, C++; any case, also `inf`) | `null` |
//! | `-Infinity` | `-9999.0`, OpenAI's own value for a token that is next to impossible; see [`Infinite`] |
//! | a control character in a string | its escape |
//! | another control character outside of strings | a space |
//! | bytes that are no UTF-8 | U+FFFD |
//!
//! A text that needs nothing of this is only skimmed, and goes on as it is. The result does not depend on
//! how the text was cut into chunks; what is kept between two of them is a word or a character.

use memchr::{memchr, memchr2, memchr3};

use super::loose;
use crate::wire::json::cursor;

/// What stands for an infinity.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Infinite {
    /// The value of a log probability where it is negative, which is where servers send it; else null.
    #[default]
    Logprob,
    /// Null: in a vector no number stands for it.
    Null,
}

/// The longest word with its sign: `-Infinity`.
const LONGEST: usize = 9;

const REPLACEMENT: &[u8] = "\u{fffd}".as_bytes();

/// Where the text was cut.
#[derive(Debug, Clone, PartialEq, Eq)]
enum CutPosition {
    /// Between tokens.
    Outside,
    /// In a token that can't be one of the words any more.
    Token,
    /// In a token that may become one: this much of it is held.
    Word(Vec<u8>),
    /// In a string.
    String,
    /// In a string, behind a backslash.
    Escape,
}

/// What becomes of a chunk.
#[derive(Debug, PartialEq, Eq)]
pub enum Mended {
    /// It goes on as it is.
    Same,
    /// This goes on in its place.
    Bytes(Vec<u8>),
}

/// Mends one text as it comes.
#[derive(Debug)]
pub struct Mender {
    infinite: Infinite,
    at: CutPosition,
    /// The beginning of a character whose rest has not come.
    partial: Vec<u8>,
    has_mended: bool,
}

/// The text mended; `None` where there is nothing to mend. It need not be JSON afterwards.
#[must_use]
pub fn mend(text: &[u8], infinite: Infinite) -> Option<Vec<u8>> {
    let mut mender = Mender::new(infinite);
    let out = mender.push(text);
    let rest = mender.finish();
    match out {
        Mended::Same => None,
        Mended::Bytes(mut out) => {
            out.extend_from_slice(&rest);
            mender.has_mended().then_some(out)
        }
    }
}

/// The JSON that `text` was meant to be, where it is none: mended, or read as what prints nearly JSON
/// ([`super::loose`]). `None` where it is none even so.
#[must_use]
pub fn rescue(text: &[u8], infinite: Infinite) -> Option<Vec<u8>> {
    let mended = mend(text, infinite);
    let text = mended.as_deref().unwrap_or(text);
    if mended.is_some() && cursor::parse(text).is_ok() {
        return mended;
    }
    loose::to_json(text)
}

/// The same of a text that may be JSON, or no JSON at all: `None` where nothing is to be done.
#[must_use]
pub fn rescued(text: &[u8]) -> Option<Vec<u8>> {
    match cursor::parse(text) {
        Ok(_) if std::str::from_utf8(text).is_ok() => None,
        _ => rescue(text, Infinite::Logprob),
    }
}

impl Mender {
    /// Before the first byte.
    #[must_use]
    pub fn new(infinite: Infinite) -> Self {
        Self { infinite, at: CutPosition::Outside, partial: Vec::new(), has_mended: false }
    }

    /// Whether anything was mended so far.
    #[must_use]
    pub fn has_mended(&self) -> bool {
        self.has_mended
    }

    /// The next bytes.
    pub fn push(&mut self, chunk: &[u8]) -> Mended {
        if let Some(at) = self.skim(chunk) {
            self.at = at;
            return Mended::Same;
        }
        let mut out = Vec::with_capacity(chunk.len() + 16);
        let joined;
        let mut rest = if self.partial.is_empty() {
            chunk
        } else {
            joined = [&std::mem::take(&mut self.partial), chunk].concat();
            &joined
        };
        loop {
            match std::str::from_utf8(rest) {
                Ok(_) => {
                    self.text(rest, &mut out);
                    break;
                }
                Err(error) => {
                    let (valid, after) =
                        rest.split_at_checked(error.valid_up_to()).unwrap_or((rest, &[]));
                    self.text(valid, &mut out);
                    let Some(bad) = error.error_len() else {
                        self.partial = after.to_vec();
                        break;
                    };
                    self.has_mended = true;
                    self.text(REPLACEMENT, &mut out);
                    rest = after.get(bad..).unwrap_or_default();
                }
            }
        }
        Mended::Bytes(out)
    }

    /// The end of the text: what was held.
    pub fn finish(&mut self) -> Vec<u8> {
        let mut out = Vec::new();
        if !std::mem::take(&mut self.partial).is_empty() {
            self.has_mended = true;
            self.text(REPLACEMENT, &mut out);
        }
        self.end_token(&mut out);
        out
    }

    /// Where `chunk` ends, if there is nothing in it that may have to be mended and nothing to hold.
    fn skim(&self, chunk: &[u8]) -> Option<CutPosition> {
        if !self.partial.is_empty() || std::str::from_utf8(chunk).is_err() {
            return None;
        }
        let mut in_string = match self.at {
            CutPosition::Outside | CutPosition::Token => false,
            CutPosition::String => true,
            CutPosition::Word(_) | CutPosition::Escape => return None,
        };
        // A token that goes on is no word, whatever its letters.
        let skipped = match self.at {
            CutPosition::Token => chunk.iter().take_while(|byte| is_token(**byte)).count(),
            _ => 0,
        };
        if skipped == chunk.len() {
            return Some(self.at.clone());
        }
        let mut rest = chunk.get(skipped..)?;
        loop {
            if in_string {
                let Some(end) = memchr2(b'"', b'\\', rest) else {
                    return (!has_control(rest)).then_some(CutPosition::String);
                };
                let (inside, tail) = rest.split_at_checked(end)?;
                if has_control(inside) {
                    return None;
                }
                if tail.first() == Some(&b'\\') {
                    // An escape is two bytes as far as quotes go; one that is cut is looked at closely.
                    if tail.get(1)? < &0x20 {
                        return None;
                    }
                    rest = tail.get(2..)?;
                } else {
                    in_string = false;
                    rest = tail.get(1..)?;
                }
                continue;
            }
            let end = memchr(b'"', rest);
            let (outside, tail) = rest.split_at_checked(end.unwrap_or(rest.len()))?;
            if may_hold_word(outside) {
                return None;
            }
            if end.is_none() {
                return tail_of(outside);
            }
            in_string = true;
            rest = tail.get(1..)?;
        }
    }

    /// Reads valid UTF-8.
    fn text(&mut self, text: &[u8], out: &mut Vec<u8>) {
        for &byte in text {
            match &mut self.at {
                CutPosition::Escape => {
                    self.at = CutPosition::String;
                    if byte < 0x20 { self.escaped(byte, out) } else { out.push(byte) }
                }
                CutPosition::String => match byte {
                    b'"' => {
                        self.at = CutPosition::Outside;
                        out.push(byte);
                    }
                    b'\\' => {
                        self.at = CutPosition::Escape;
                        out.push(byte);
                    }
                    0..0x20 => {
                        out.push(b'\\');
                        self.escaped(byte, out);
                    }
                    _ => out.push(byte),
                },
                CutPosition::Token if is_token(byte) => out.push(byte),
                CutPosition::Word(word) if is_token(byte) => {
                    word.push(byte);
                    if !is_beginning(word) {
                        out.extend_from_slice(word);
                        self.at = CutPosition::Token;
                    }
                }
                _ => {
                    self.end_token(out);
                    self.outside(byte, out);
                }
            }
        }
    }

    /// A control character behind a backslash.
    fn escaped(&mut self, byte: u8, out: &mut Vec<u8>) {
        self.has_mended = true;
        match byte {
            b'\n' => out.push(b'n'),
            b'\r' => out.push(b'r'),
            b'\t' => out.push(b't'),
            _ => out.extend_from_slice(format!("u{byte:04x}").as_bytes()),
        }
    }

    fn outside(&mut self, byte: u8, out: &mut Vec<u8>) {
        match byte {
            b'"' => {
                self.at = CutPosition::String;
                out.push(byte);
            }
            b'\t' | b'\n' | b'\r' => out.push(byte),
            0..0x20 => {
                self.has_mended = true;
                out.push(b' ');
            }
            _ if !is_token(byte) => out.push(byte),
            _ if is_beginning(&[byte]) => self.at = CutPosition::Word(vec![byte]),
            _ => {
                self.at = CutPosition::Token;
                out.push(byte);
            }
        }
    }

    /// What a token was, once it has ended.
    fn end_token(&mut self, out: &mut Vec<u8>) {
        let word = match std::mem::replace(&mut self.at, CutPosition::Outside) {
            CutPosition::Word(word) => word,
            CutPosition::Token | CutPosition::Outside => return,
            in_string => {
                self.at = in_string;
                return;
            }
        };
        let is_number = matches!(
            unsigned(&word).to_ascii_lowercase().as_slice(),
            b"nan" | b"inf" | b"infinity"
        );
        if !is_number {
            return out.extend_from_slice(&word);
        }
        self.has_mended = true;
        let is_nan = unsigned(&word).first().is_some_and(|byte| byte.eq_ignore_ascii_case(&b'n'));
        let is_lowest = word.starts_with(b"-") && !is_nan && self.infinite == Infinite::Logprob;
        out.extend_from_slice(if is_lowest { b"-9999.0" } else { b"null" });
    }
}

/// The bytes of numbers and words.
fn is_token(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || matches!(byte, b'+' | b'-' | b'.')
}

fn unsigned(word: &[u8]) -> &[u8] {
    word.strip_prefix(b"-").or_else(|| word.strip_prefix(b"+")).unwrap_or(word)
}

/// Whether one of the words begins so.
fn is_beginning(word: &[u8]) -> bool {
    let letters = unsigned(word).to_ascii_lowercase();
    word.len() <= LONGEST
        && [&b"nan"[..], b"infinity"].iter().any(|word| word.starts_with(&letters))
}

fn has_control(text: &[u8]) -> bool {
    text.iter().any(|byte| *byte < 0x20)
}

/// Whether there may be a word, or a control character, in what stands outside of strings. `true`,
/// `false`, `null` and numbers have none of these letters in this order.
fn may_hold_word(text: &[u8]) -> bool {
    let mut rest = text;
    while let Some(at) = memchr2(b'a', b'A', rest) {
        if at == 0 || rest.get(at - 1).is_some_and(|byte| byte.eq_ignore_ascii_case(&b'n')) {
            return true;
        }
        rest = rest.get(at + 1..).unwrap_or_default();
    }
    memchr3(b'N', b'I', b'i', text).is_some()
        || text.iter().any(|byte| *byte < 0x20 && !matches!(byte, b'\t' | b'\n' | b'\r'))
}

/// Where a chunk ends that ends outside of strings with `text`; `None` if that end must be held.
fn tail_of(text: &[u8]) -> Option<CutPosition> {
    let token = text.iter().rev().take_while(|byte| is_token(**byte)).count();
    let token = text.get(text.len() - token..)?;
    match token {
        [] => Some(CutPosition::Outside),
        _ if is_beginning(token) => None,
        _ => Some(CutPosition::Token),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::test;

    fn mended(text: &[u8]) -> String {
        let out = mend(text, Infinite::Logprob).unwrap_or_else(|| text.to_vec());
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn table() {
        for (text, want) in [
            (
                &b"{\"a\":NaN,\"b\":[-Infinity,Infinity,-1]}"[..],
                r#"{"a":null,"b":[-9999.0,null,-1]}"#,
            ),
            (b"[nan,-nan,inf,-inf,+inf,-INFINITY]", "[null,null,null,-9999.0,null,-9999.0]"),
            (b"[NaN", "[null"),
            (b"-Infinity", "-9999.0"),
            (b"{\"a\":\"NaN \\\"NaN\\\\\",\"b\":NaN}", r#"{"a":"NaN \"NaN\\","b":null}"#),
            (b"{\"a\":\"x\ny\tz\r\x01\"}", r#"{"a":"x\ny\tz\r\u0001"}"#),
            (b"\"\\\n\\\x02\"", r#""\n\u0002""#),
            (b"{\"a\":\"\xff\xe2\x82\"}", "{\"a\":\"\u{fffd}\u{fffd}\"}"),
            (b"[1]\x00\x00", "[1]  "),
            (b"[1]\xe2\x82", "[1]\u{fffd}"),
        ] {
            assert_eq!(mended(text), want);
        }
        assert_eq!(mend(b"[-Infinity]", Infinite::Null).unwrap(), b"[null]");
    }

    #[test]
    fn what_is_right_stays() {
        for text in [
            "",
            " {\n\t\"a\": [1.5e-7, -2, true, false, null],\r\n \"NaN\": \"Infinity\u{e9}\u{1f600}\\u00e9\" }\n",
            "[-0.1,12]",
            "-",
            "n",
            "nanny",
            "xInfinity",
            "1nan",
            "\"\\",
        ] {
            assert_eq!(mend(text.as_bytes(), Infinite::Logprob), None, "{text}");
        }
        let mut mender = Mender::new(Infinite::Logprob);
        for chunk in ["{\"a\":[0.25,-0.5", "75,1e-7],\"b\":\"it's ", "\\\"so\\\"\"}"] {
            assert_eq!(mender.push(chunk.as_bytes()), Mended::Same, "{chunk}");
        }
        assert!(mender.finish().is_empty() && !mender.has_mended());
    }
}

#[cfg(all(test, not(target_arch = "wasm32")))]
#[allow(clippy::indexing_slicing)]
mod laws {
    use super::*;
    use proptest::prelude::*;

    fn nearly_json() -> impl Strategy<Value = Vec<u8>> {
        let piece = prop_oneof![
            "(\\{|\\}|\\[|\\]|,|:| |\n|\")".prop_map(String::into_bytes),
            "(-|\\+)?(NaN|nan|Infinity|inf|Inf|na|I|true|false|null|1\\.5|-7e3|None)"
                .prop_map(String::into_bytes),
            "\"([a-z\u{e9}\u{1f600}\u{0}-\u{1f}]|\\\\\"|\\\\n){0,6}\"".prop_map(String::into_bytes),
            prop::collection::vec(any::<u8>(), 0..4),
        ];
        prop::collection::vec(piece, 0..24).prop_map(|pieces| pieces.concat())
    }

    fn in_chunks(text: &[u8], cuts: &[usize]) -> (Vec<u8>, bool) {
        let mut cuts: Vec<usize> = cuts.iter().map(|cut| cut % (text.len() + 1)).collect();
        cuts.extend([0, text.len()]);
        cuts.sort_unstable();
        let mut mender = Mender::new(Infinite::Logprob);
        let mut out = Vec::new();
        for pair in cuts.windows(2) {
            let chunk = &text[pair[0]..pair[1]];
            match mender.push(chunk) {
                Mended::Same => out.extend_from_slice(chunk),
                Mended::Bytes(bytes) => out.extend_from_slice(&bytes),
            }
        }
        out.extend_from_slice(&mender.finish());
        (out, mender.has_mended())
    }

    proptest! {
        #[test]
        fn chunking_does_not_matter(text in nearly_json(), cuts in prop::collection::vec(0usize..400, 0..12)) {
            let whole = in_chunks(&text, &[]);
            prop_assert_eq!(in_chunks(&text, &cuts), whole.clone());
            let bytes: Vec<usize> = (0..text.len()).collect();
            prop_assert_eq!(in_chunks(&text, &bytes), whole);
        }

        #[test]
        fn json_is_left_alone_and_mending_ends(text in nearly_json()) {
            let (out, has_mended) = in_chunks(&text, &[]);
            prop_assert_eq!(has_mended, out != text);
            prop_assert_eq!(mend(&out, Infinite::Logprob), None);
            // serde_json does not look at the bytes of strings that it passes over.
            let is_json = |text| serde_json::from_str::<serde::de::IgnoredAny>(text).is_ok();
            if std::str::from_utf8(&text).is_ok_and(is_json) {
                prop_assert_eq!(&out, &text);
            }
        }
    }
}
