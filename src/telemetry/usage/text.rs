//! How long the text of a JSON string is once it is decoded, without decoding it.

use memchr::memchr2;

/// Counts the bytes of one string as it arrives, in UTF-8 as a parser would have them: its quotes not among them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct TextLength {
    length: u64,
    state: TextState,
}

/// What the next byte belongs to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
enum TextState {
    #[default]
    Plain,
    /// A backslash has been read.
    Escape,
    /// `\u` and this many digits, which have this value.
    Hex { digits: u8, value: u16 },
}

impl TextLength {
    /// Reads the next bytes of the string, as they are written.
    pub fn push(&mut self, mut bytes: &[u8]) {
        while let Some((&byte, rest)) = bytes.split_first() {
            self.state = match self.state {
                TextState::Plain => {
                    let run = memchr2(b'\\', b'"', bytes).unwrap_or(bytes.len());
                    self.add(run as u64);
                    let Some((mark, rest)) = bytes.get(run..).and_then(<[u8]>::split_first) else {
                        return;
                    };
                    bytes = rest;
                    self.state = if *mark == b'\\' { TextState::Escape } else { TextState::Plain };
                    continue;
                }
                TextState::Escape if byte == b'u' => TextState::Hex { digits: 0, value: 0 },
                TextState::Escape => {
                    self.add(1);
                    TextState::Plain
                }
                TextState::Hex { digits, value } => {
                    let digit = char::from(byte).to_digit(16).unwrap_or(0);
                    let value = value << 4 | u16::try_from(digit).unwrap_or(0);
                    if digits == 3 {
                        self.add(utf8_length(value));
                        TextState::Plain
                    } else {
                        TextState::Hex { digits: digits + 1, value }
                    }
                }
            };
            bytes = rest;
        }
    }

    /// The length, for the next string to begin.
    pub fn take(&mut self) -> u64 {
        std::mem::take(self).length
    }

    fn add(&mut self, bytes: u64) {
        self.length = self.length.saturating_add(bytes);
    }
}

/// How many bytes a code unit of UTF-16 stands for: both halves of a pair make four.
fn utf8_length(unit: u16) -> u64 {
    match unit {
        0..0x80 => 1,
        0x80..0x800 | 0xd800..0xe000 => 2,
        _ => 3,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::test;

    #[test]
    fn as_long_as_a_parser_would_have_it() {
        for text in [
            "",
            "abc",
            "é",
            "a\\nb",
            "\\u0041\\u00e9\\u20ac",
            "\\ud83d\\ude00",
            "\\\"\\\\\\/",
            "日本 x",
        ] {
            let raw = format!("\"{text}\"");
            let decoded: String = serde_json::from_str(&raw).unwrap();
            for cut in 0..=raw.len() {
                let (first, second) = raw.as_bytes().split_at(cut);
                let mut length = TextLength::default();
                length.push(first);
                length.push(second);
                assert_eq!(length.take(), decoded.len() as u64, "{raw} {cut}");
            }
        }
    }
}
