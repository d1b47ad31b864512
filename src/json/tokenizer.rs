//! The JSON grammar (RFC 8259) as a machine that can stop and go on at any byte.
//!
//! It keeps no text, only where tokens begin and end, and one bit for each open array or object. A
//! leading byte order mark is skipped (RFC 8259 section 8.1 lets a parser ignore one; FastAPI does).
//! Strings may hold invalid UTF-8: who reads a string's value checks that.

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
    String(Kind),
    Escape(Kind),
    /// Hex digits still to come.
    Hex(Kind, u8),
    Number(Number),
    Literal(Kind, &'static [u8]),
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
        Self { state: State::Start, base: 0, token_start: 0, depth: 0, stack: [0; STACK_WORDS] }
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
            State::Number(_) => Some((Kind::Number, self.token_start, self.depth)),
            State::String(kind) | State::Escape(kind) | State::Hex(kind, _) => {
                Some((kind, self.token_start, self.depth))
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
        while let Some(token) = self.step(chunk, at)? {
            if token.depth <= depth {
                return Ok(Some(token));
            }
        }
        self.base = self.base.saturating_add(chunk.len() as u64);
        Ok(None)
    }

    /// The end of the text. A number that stands alone ends only here.
    ///
    /// # Errors
    /// [`JsonError::Truncated`] when the value is not complete.
    pub fn finish(&mut self) -> Result<Option<Token>, JsonError> {
        match self.state {
            State::End => Ok(None),
            State::Number(number) if self.depth == 0 && number.may_end() => {
                Ok(Some(self.close(Kind::Number, self.base)))
            }
            _ => Err(JsonError::Truncated),
        }
    }

    #[inline]
    fn step(&mut self, chunk: &[u8], at: &mut usize) -> Result<Option<Token>, JsonError> {
        loop {
            if let State::String(kind) = self.state {
                let rest = chunk.get(*at..).unwrap_or_default();
                let plain = plain_run(rest);
                *at += plain;
                match rest.get(plain) {
                    None => return Ok(None),
                    Some(b'"') => {
                        *at += 1;
                        return Ok(Some(self.close(kind, self.base + *at as u64)));
                    }
                    Some(b'\\') => {
                        *at += 1;
                        self.state = State::Escape(kind);
                    }
                    Some(_) => return Err(JsonError::Unexpected(self.base + *at as u64)),
                }
            }
            let Some(&byte) = chunk.get(*at) else { return Ok(None) };
            let here = self.base + *at as u64;
            let unexpected = JsonError::Unexpected(here);
            // A number ends at the first byte that is not its own, and leaves that byte alone.
            if let State::Number(mut number) = self.state {
                let rest = chunk.get(*at..).unwrap_or_default();
                let end = rest.iter().position(|&byte| match number.after(byte) {
                    Some(next) => {
                        number = next;
                        false
                    }
                    None => true,
                });
                let Some(end) = end else {
                    self.state = State::Number(number);
                    *at = chunk.len();
                    return Ok(None);
                };
                *at += end;
                let here = self.base + *at as u64;
                if !number.may_end() {
                    return Err(JsonError::Unexpected(here));
                }
                return Ok(Some(self.close(Kind::Number, here)));
            }
            *at += 1;
            match self.state {
                State::Escape(kind) => {
                    self.state = match byte {
                        b'"' | b'\\' | b'/' | b'b' | b'f' | b'n' | b'r' | b't' => {
                            State::String(kind)
                        }
                        b'u' => State::Hex(kind, 4),
                        _ => return Err(unexpected),
                    };
                }
                State::Hex(kind, left) => {
                    if !byte.is_ascii_hexdigit() {
                        return Err(unexpected);
                    }
                    self.state =
                        if left > 1 { State::Hex(kind, left - 1) } else { State::String(kind) };
                }
                State::Literal(kind, rest) => match rest.split_first() {
                    Some((&want, rest)) if want == byte => {
                        if rest.is_empty() {
                            return Ok(Some(self.close(kind, here + 1)));
                        }
                        self.state = State::Literal(kind, rest);
                    }
                    _ => return Err(unexpected),
                },
                State::Mark(want) => {
                    if byte != want {
                        return Err(unexpected);
                    }
                    self.state = if want == 0xBB { State::Mark(0xBF) } else { State::Value };
                }
                _ if matches!(byte, b' ' | b'\n' | b'\t' | b'\r') => {
                    if self.state == State::Start {
                        self.state = State::Value;
                    }
                }
                State::Start if byte == 0xEF => self.state = State::Mark(0xBB),
                State::Start | State::Value => {
                    if let Some(token) = self.open(byte, here)? {
                        return Ok(Some(token));
                    }
                }
                State::FirstElement => {
                    if byte == b']' {
                        return Ok(Some(self.pop(Kind::EndArray, here)));
                    }
                    if let Some(token) = self.open(byte, here)? {
                        return Ok(Some(token));
                    }
                }
                State::FirstKey if byte == b'}' => {
                    return Ok(Some(self.pop(Kind::EndObject, here)));
                }
                State::FirstKey | State::NextKey => {
                    if byte != b'"' {
                        return Err(unexpected);
                    }
                    self.token_start = here;
                    self.state = State::String(Kind::Key);
                }
                State::Colon if byte == b':' => self.state = State::Value,
                State::AfterValue => match (byte, self.in_object()) {
                    (b',', true) => self.state = State::NextKey,
                    (b',', false) => self.state = State::Value,
                    (b'}', true) => return Ok(Some(self.pop(Kind::EndObject, here))),
                    (b']', false) => return Ok(Some(self.pop(Kind::EndArray, here))),
                    _ => return Err(unexpected),
                },
                State::End => return Err(JsonError::Trailing(here)),
                State::Colon | State::String(_) | State::Number(_) => return Err(unexpected),
            }
        }
    }

    /// The first byte of a value. A token only for brackets; scalars end later.
    #[inline]
    fn open(&mut self, byte: u8, here: u64) -> Result<Option<Token>, JsonError> {
        self.token_start = here;
        self.state = match byte {
            b'"' => State::String(Kind::String),
            b'{' => return self.push(Kind::BeginObject, here).map(Some),
            b'[' => return self.push(Kind::BeginArray, here).map(Some),
            b'-' => State::Number(Number::Minus),
            b'0' => State::Number(Number::Zero),
            b'1'..=b'9' => State::Number(Number::Integer),
            b't' => State::Literal(Kind::True, b"rue"),
            b'f' => State::Literal(Kind::False, b"alse"),
            b'n' => State::Literal(Kind::Null, b"ull"),
            _ => return Err(JsonError::Unexpected(here)),
        };
        Ok(None)
    }

    fn close(&mut self, kind: Kind, end: u64) -> Token {
        self.state = match kind {
            Kind::Key => State::Colon,
            _ if self.depth == 0 => State::End,
            _ => State::AfterValue,
        };
        Token { kind, start: self.token_start, end, depth: self.depth }
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

/// How many bytes at the start of `bytes` are neither `"`, `\` nor a control character.
///
/// Most of a request or an answer is inside strings, so this loop is where the time goes. Whole blocks
/// are tested without a branch, which the compiler turns into SIMD.
#[inline]
#[must_use]
pub fn plain_run(bytes: &[u8]) -> usize {
    let (blocks, _) = bytes.as_chunks::<32>();
    let plain = blocks
        .iter()
        .position(|block| block.iter().fold(0u8, |hit, &byte| hit | is_special(byte)) != 0)
        .unwrap_or(blocks.len())
        * 32;
    let rest = bytes.get(plain..).unwrap_or_default();
    plain + rest.iter().position(|&byte| is_special(byte) != 0).unwrap_or(rest.len())
}

#[inline]
fn is_special(byte: u8) -> u8 {
    u8::from(byte == b'"') | u8::from(byte == b'\\') | u8::from(byte < 0x20)
}

#[cfg(test)]
#[cfg(not(target_arch = "wasm32"))]
mod laws;
#[cfg(test)]
mod tests;
