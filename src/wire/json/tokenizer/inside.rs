//! Tokens that are not read in one go: those that a chunk's end cuts, and wrong ones, whose wrong byte
//! is to be found.

use super::look::string_rest;
use super::strings::{Run, is_escape};
use super::{Expected, JsonError, Kind, Token, Tokenizer, TokenizerState};

/// Where in a token the text stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Inside {
    /// Before the first byte of all, where a byte order mark may come.
    Start,
    /// Inside the byte order mark: the byte that must come next.
    Mark(u8),
    String,
    Escape,
    /// Hex digits still to come.
    Hex(u8),
    Number(Number),
    /// Letters of `true`, `false` or `null` that have come.
    Literal(u8),
}

/// What has come of a number.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Number {
    Minus,
    Zero,
    Integer,
    Point,
    Fraction,
    Exponent,
    ExponentSign,
    ExponentDigits,
}

impl Number {
    /// The state after a number's first byte.
    pub(super) fn first(byte: u8) -> Self {
        match byte {
            b'-' => Self::Minus,
            b'0' => Self::Zero,
            _ => Self::Integer,
        }
    }

    /// The state after `byte`, or `None` when the number can't go on with it.
    fn after(self, byte: u8) -> Option<Self> {
        match (self, byte) {
            (Self::Minus, b'0') => Some(Self::Zero),
            (Self::Minus, b'1'..=b'9') | (Self::Integer, b'0'..=b'9') => Some(Self::Integer),
            (Self::Zero | Self::Integer, b'.') => Some(Self::Point),
            (Self::Point | Self::Fraction, b'0'..=b'9') => Some(Self::Fraction),
            (Self::Zero | Self::Integer | Self::Fraction, b'e' | b'E') => Some(Self::Exponent),
            (Self::Exponent, b'+' | b'-') => Some(Self::ExponentSign),
            (Self::Exponent | Self::ExponentSign | Self::ExponentDigits, b'0'..=b'9') => {
                Some(Self::ExponentDigits)
            }
            _ => None,
        }
    }

    pub(super) fn may_end(self) -> bool {
        matches!(self, Self::Zero | Self::Integer | Self::Fraction | Self::ExponentDigits)
    }
}

/// Whether `text` begins with `true`, `false` or `null`.
#[inline]
pub(super) fn is_literal(text: &[u8]) -> bool {
    matches!(text.first_chunk(), Some(b"true" | b"null"))
        || matches!(text.first_chunk(), Some(b"false"))
}

impl Tokenizer {
    /// Reads on, at least one byte where that is part of what was begun. The token, if it ends in this
    /// chunk.
    pub(super) fn go_on(
        &mut self,
        inside: Inside,
        byte: u8,
        chunk: &[u8],
        here: &mut usize,
    ) -> Result<Option<Token>, JsonError> {
        let at = *here;
        *here += 1;
        let inside = match inside {
            Inside::String => match string_rest(chunk, at) {
                Run::Ends(end) => {
                    *here = end;
                    return Ok(Some(self.close(self.base + end as u64)));
                }
                Run::Cut(cut, end) => {
                    *here = end;
                    cut
                }
                Run::Wrong(at) => return Err(self.unexpected(at)),
            },
            Inside::Number(number) => {
                *here = at;
                return self.number(number, chunk, here);
            }
            Inside::Start if byte == 0xEF => Inside::Mark(0xBB),
            Inside::Start => {
                *here = at;
                self.state = TokenizerState::Between(Expected::Value);
                return Ok(None);
            }
            Inside::Mark(0xBB) if byte == 0xBB => Inside::Mark(0xBF),
            Inside::Mark(want) if byte == want => {
                self.state = TokenizerState::Between(Expected::Value);
                return Ok(None);
            }
            Inside::Escape if is_escape(byte) => Inside::String,
            Inside::Escape if byte == b'u' => Inside::Hex(4),
            Inside::Hex(left) if byte.is_ascii_hexdigit() => {
                if left > 1 {
                    Inside::Hex(left - 1)
                } else {
                    Inside::String
                }
            }
            Inside::Literal(read) => {
                let text: &[u8] = match self.kind {
                    Kind::True => b"true",
                    Kind::False => b"false",
                    _ => b"null",
                };
                if text.get(read as usize) != Some(&byte) {
                    return Err(self.unexpected(at));
                }
                if read as usize + 1 == text.len() {
                    return Ok(Some(self.close(self.base + *here as u64)));
                }
                Inside::Literal(read + 1)
            }
            Inside::Mark(_) | Inside::Escape | Inside::Hex(_) => {
                return Err(self.unexpected(at));
            }
        };
        self.state = TokenizerState::Inside(inside);
        Ok(None)
    }

    /// A number ends at the first byte that is not its own, and leaves that byte alone.
    fn number(
        &mut self,
        mut number: Number,
        chunk: &[u8],
        here: &mut usize,
    ) -> Result<Option<Token>, JsonError> {
        while let Some(&byte) = chunk.get(*here) {
            let Some(next) = number.after(byte) else {
                if !number.may_end() {
                    return Err(self.unexpected(*here));
                }
                return Ok(Some(self.close(self.base + *here as u64)));
            };
            number = next;
            *here += 1;
        }
        self.state = TokenizerState::Inside(Inside::Number(number));
        Ok(None)
    }
}
