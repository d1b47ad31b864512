//! The JSON grammar (RFC 8259) as a machine that can stop and go on at any byte.
//!
//! It keeps no text, only where tokens begin and end, and one bit for each open array or object. A
//! leading byte order mark is skipped (RFC 8259 section 8.1 lets a parser ignore one; FastAPI does).
//! Strings may hold invalid UTF-8: who reads a string's value checks that.

mod runs;

pub use runs::plain_run;

use super::{JsonError, MAX_DEPTH};

const STACK_WORDS: usize = MAX_DEPTH.div_ceil(64) as usize;

/// What a token is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// `{`
    BeginObject,
    /// `}`
    EndObject,
    /// `[`
    BeginArray,
    /// `]`
    EndArray,
    /// A member's name, quotes included.
    Key,
    /// A string value, quotes included.
    String,
    /// A number.
    Number,
    /// `true`
    True,
    /// `false`
    False,
    /// `null`
    Null,
}

/// A token's place in the text. Offsets count from the first byte ever fed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Token {
    /// What it is.
    pub kind: Kind,
    /// Offset of its first byte.
    pub start: u64,
    /// Offset behind its last byte.
    pub end: u64,
    /// How many arrays and objects it stands in; brackets count as outside of themselves.
    pub depth: u32,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    Start,
    /// Inside the byte order mark: the byte that must come next.
    Mark(u8),
    Value,
    /// After `[`: a value or `]`.
    FirstElement,
    /// After `{`: a name or `}`.
    FirstKey,
    /// After `,` in an object.
    NextKey,
    Colon,
    AfterValue,
    End,
    String,
    Escape,
    /// Hex digits still to come.
    Hex(u8),
    Number(Number),
    /// Letters of `true`, `false` or `null` that have come.
    Literal(u8),
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Number {
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

    fn may_end(self) -> bool {
        matches!(self, Self::Zero | Self::Integer | Self::Fraction | Self::ExponentDigits)
    }
}

/// The machine. Feed it chunk by chunk with [`Tokenizer::next`], then call [`Tokenizer::finish`].
#[derive(Debug, Clone)]
pub struct Tokenizer {
    state: State,
    /// What the scalar that is being read will be.
    kind: Kind,
    /// Offset of the current chunk's first byte.
    base: u64,
    /// Where the token that is being read began.
    token_start: u64,
    depth: u32,
    /// One bit a level: set for an object.
    stack: [u64; STACK_WORDS],
}

impl Default for Tokenizer {
    fn default() -> Self {
        Self::new()
    }
}

impl Tokenizer {
    /// A machine before its first byte.
    #[must_use]
    pub fn new() -> Self {
        Self {
            state: State::Start,
            kind: Kind::Null,
            base: 0,
            token_start: 0,
            depth: 0,
            stack: [0; STACK_WORDS],
        }
    }

    /// Offset of the first byte of the chunk that is being read.
    #[must_use]
    pub fn base(&self) -> u64 {
        self.base
    }

    /// The string, name or number that is being read: its kind, where it began and how deep it stands.
    #[must_use]
    pub fn open_text(&self) -> Option<(Kind, u64, u32)> {
        match self.state {
            State::Number(_) | State::String | State::Escape | State::Hex(_) => {
                Some((self.kind, self.token_start, self.depth))
            }
            _ => None,
        }
    }

    /// Whether the text's one value is complete.
    #[must_use]
    pub fn is_complete(&self) -> bool {
        self.state == State::End
    }

    /// The next token that stands no deeper than `depth`; deeper ones are checked and passed over.
    ///
    /// Call it with the same chunk and `at` (0 for a new chunk) until it returns `None`: then the
    /// chunk is used up and the next one may come.
    ///
    /// # Errors
    /// Where the text stops being JSON. The machine must not be used afterwards.
    pub fn next(
        &mut self,
        chunk: &[u8],
        at: &mut usize,
        depth: u32,
    ) -> Result<Option<Token>, JsonError> {
        self.scan(chunk, at, depth, depth)
    }

    /// Like [`Self::next`], but numbers at `depth` itself are passed over as well: for vectors, of
    /// which only what is no number matters.
    ///
    /// # Errors
    /// As [`Self::next`].
    pub fn next_but_numbers(
        &mut self,
        chunk: &[u8],
        at: &mut usize,
        depth: u32,
    ) -> Result<Option<Token>, JsonError> {
        self.scan(chunk, at, depth, depth.saturating_sub(1))
    }

    /// The end of the text. A number that stands alone ends only here.
    ///
    /// # Errors
    /// [`JsonError::Truncated`] when the value is not complete.
    pub fn finish(&mut self) -> Result<Option<Token>, JsonError> {
        match self.state {
            State::End => Ok(None),
            State::Number(number) if self.depth == 0 && number.may_end() => {
                Ok(Some(self.close(self.base)))
            }
            _ => Err(JsonError::Truncated),
        }
    }

    /// Reads `chunk` from `at` to the next token that is wanted: numbers down to depth `numbers`, all
    /// else down to `depth`.
    fn scan(
        &mut self,
        chunk: &[u8],
        at: &mut usize,
        depth: u32,
        numbers: u32,
    ) -> Result<Option<Token>, JsonError> {
        let mut here = *at;
        while let Some(&byte) = chunk.get(here) {
            let offset = self.base + here as u64;
            let token = match (self.state, byte) {
                (State::String, _) => self.string(chunk, &mut here)?,
                (State::Number(number), _) => self.number(number, chunk, &mut here)?,
                (State::Escape | State::Hex(_) | State::Literal(_) | State::Mark(_), _) => {
                    here += 1;
                    self.cut_token(byte, offset)?
                }
                (State::End, b' ' | b'\n' | b'\t' | b'\r') => {
                    here += 1;
                    None
                }
                (State::End, _) => return Err(JsonError::Trailing(offset)),
                (State::Start, 0xEF) => {
                    here += 1;
                    self.state = State::Mark(0xBB);
                    None
                }
                (State::Start, b' ' | b'\n' | b'\t' | b'\r') => {
                    here += 1;
                    self.state = State::Value;
                    None
                }
                (_, b' ' | b'\n' | b'\t' | b'\r') => {
                    here += 1;
                    None
                }
                (State::AfterValue, _) => {
                    here += 1;
                    match (byte, self.in_object()) {
                        (b',', true) => {
                            self.state = State::NextKey;
                            None
                        }
                        (b',', false) => {
                            self.state = State::Value;
                            None
                        }
                        (b'}', true) => Some(self.pop(Kind::EndObject, offset)),
                        (b']', false) => Some(self.pop(Kind::EndArray, offset)),
                        _ => return Err(JsonError::Unexpected(offset)),
                    }
                }
                (State::Colon, b':') => {
                    here += 1;
                    self.state = State::Value;
                    None
                }
                (State::FirstKey | State::NextKey, b'"') => {
                    here += 1;
                    self.token_start = offset;
                    self.kind = Kind::Key;
                    self.string(chunk, &mut here)?
                }
                (State::FirstKey, b'}') => {
                    here += 1;
                    Some(self.pop(Kind::EndObject, offset))
                }
                (State::FirstElement, b']') => {
                    here += 1;
                    Some(self.pop(Kind::EndArray, offset))
                }
                (State::Start | State::Value | State::FirstElement, _) => {
                    self.value(chunk, &mut here, byte, offset)?
                }
                _ => return Err(JsonError::Unexpected(offset)),
            };
            let Some(token) = token else { continue };
            if token.kind == Kind::Number && token.depth > numbers {
                if !self.in_object() {
                    here += runs::more_numbers(chunk.get(here..).unwrap_or_default());
                }
            } else if token.depth <= depth {
                *at = here;
                return Ok(Some(token));
            }
        }
        *at = chunk.len();
        self.base = self.base.saturating_add(chunk.len() as u64);
        Ok(None)
    }

    /// A value that begins at `here`, to its end where that is near.
    #[inline]
    fn value(
        &mut self,
        chunk: &[u8],
        here: &mut usize,
        byte: u8,
        offset: u64,
    ) -> Result<Option<Token>, JsonError> {
        self.token_start = offset;
        if let b'-' | b'0'..=b'9' = byte {
            self.kind = Kind::Number;
            if let Some(length) = runs::whole_number(chunk.get(*here..).unwrap_or_default()) {
                *here += length;
                return Ok(Some(self.close(offset + length as u64)));
            }
            *here += 1;
            self.state = State::Number(match byte {
                b'-' => Number::Minus,
                b'0' => Number::Zero,
                _ => Number::Integer,
            });
            return Ok(None);
        }
        *here += 1;
        self.kind = match byte {
            b'"' => {
                self.kind = Kind::String;
                return self.string(chunk, here);
            }
            b'{' => return self.push(Kind::BeginObject, offset).map(Some),
            b'[' => return self.push(Kind::BeginArray, offset).map(Some),
            b't' => Kind::True,
            b'f' => Kind::False,
            b'n' => Kind::Null,
            _ => return Err(JsonError::Unexpected(offset)),
        };
        self.state = State::Literal(1);
        Ok(None)
    }

    /// Reads on in a string; its token if it ends in this chunk.
    #[inline]
    fn string(&mut self, chunk: &[u8], here: &mut usize) -> Result<Option<Token>, JsonError> {
        let mut at = *here;
        self.state = State::String;
        loop {
            at += plain_run(chunk.get(at..).unwrap_or_default());
            let unexpected = |at: usize| Err(JsonError::Unexpected(self.base + at as u64));
            match (chunk.get(at), chunk.get(at + 1)) {
                (Some(b'"'), _) => {
                    *here = at + 1;
                    return Ok(Some(self.close(self.base + *here as u64)));
                }
                (Some(b'\\'), Some(b'"' | b'\\' | b'/' | b'b' | b'f' | b'n' | b'r' | b't')) => {
                    at += 2;
                }
                (Some(b'\\'), Some(b'u')) => {
                    let digits = chunk.get(at + 2..).unwrap_or_default();
                    let digits = digits.get(..4).unwrap_or(digits);
                    if let Some(bad) = digits.iter().position(|byte| !byte.is_ascii_hexdigit()) {
                        return unexpected(at + 2 + bad);
                    }
                    at += 2 + digits.len();
                    if digits.len() < 4 {
                        self.state = State::Hex(4 - digits.len() as u8);
                        break;
                    }
                }
                (Some(b'\\'), None) => {
                    at += 1;
                    self.state = State::Escape;
                    break;
                }
                (Some(b'\\'), Some(_)) => return unexpected(at + 1),
                (Some(_), _) => return unexpected(at),
                (None, _) => break,
            }
        }
        *here = at;
        Ok(None)
    }

    /// Reads on in a number that the slow way is for: one that a chunk's end cuts, or a wrong one. It
    /// ends at the first byte that is not its own, and leaves that byte alone.
    fn number(
        &mut self,
        mut number: Number,
        chunk: &[u8],
        here: &mut usize,
    ) -> Result<Option<Token>, JsonError> {
        while let Some(&byte) = chunk.get(*here) {
            let Some(next) = number.after(byte) else {
                let end = self.base + *here as u64;
                if !number.may_end() {
                    return Err(JsonError::Unexpected(end));
                }
                return Ok(Some(self.close(end)));
            };
            number = next;
            *here += 1;
        }
        self.state = State::Number(number);
        Ok(None)
    }

    /// The next byte of what a chunk's end may cut anywhere.
    fn cut_token(&mut self, byte: u8, offset: u64) -> Result<Option<Token>, JsonError> {
        self.state = match self.state {
            State::Escape => match byte {
                b'"' | b'\\' | b'/' | b'b' | b'f' | b'n' | b'r' | b't' => State::String,
                b'u' => State::Hex(4),
                _ => return Err(JsonError::Unexpected(offset)),
            },
            State::Hex(left) if byte.is_ascii_hexdigit() => {
                if left > 1 {
                    State::Hex(left - 1)
                } else {
                    State::String
                }
            }
            State::Mark(want) if byte == want => {
                if want == 0xBB {
                    State::Mark(0xBF)
                } else {
                    State::Value
                }
            }
            State::Literal(read) => {
                let text: &[u8] = match self.kind {
                    Kind::True => b"true",
                    Kind::False => b"false",
                    _ => b"null",
                };
                if text.get(read as usize) != Some(&byte) {
                    return Err(JsonError::Unexpected(offset));
                }
                if read as usize + 1 == text.len() {
                    return Ok(Some(self.close(offset + 1)));
                }
                State::Literal(read + 1)
            }
            _ => return Err(JsonError::Unexpected(offset)),
        };
        Ok(None)
    }

    #[inline]
    fn close(&mut self, end: u64) -> Token {
        self.state = match self.kind {
            Kind::Key => State::Colon,
            _ if self.depth == 0 => State::End,
            _ => State::AfterValue,
        };
        Token { kind: self.kind, start: self.token_start, end, depth: self.depth }
    }

    fn push(&mut self, kind: Kind, here: u64) -> Result<Token, JsonError> {
        let depth = self.depth;
        let object = kind == Kind::BeginObject;
        let word = self.stack.get_mut((depth / 64) as usize).ok_or(JsonError::TooDeep)?;
        let bit = 1 << (depth % 64);
        if object {
            *word |= bit;
        } else {
            *word &= !bit;
        }
        self.depth += 1;
        self.state = if object { State::FirstKey } else { State::FirstElement };
        Ok(Token { kind, start: here, end: here + 1, depth })
    }

    fn pop(&mut self, kind: Kind, here: u64) -> Token {
        self.depth = self.depth.saturating_sub(1);
        self.state = if self.depth == 0 { State::End } else { State::AfterValue };
        Token { kind, start: here, end: here + 1, depth: self.depth }
    }

    fn in_object(&self) -> bool {
        let level = self.depth.saturating_sub(1);
        self.stack.get((level / 64) as usize).is_some_and(|word| word & (1 << (level % 64)) != 0)
    }
}

#[cfg(test)]
#[cfg(not(target_arch = "wasm32"))]
mod laws;
#[cfg(test)]
mod tests;
