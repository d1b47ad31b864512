//! The JSON grammar (RFC 8259) as a machine that can stop and go on at any byte.
//!
//! It keeps no text, only where tokens begin and end, and one bit for each open array or object. A
//! leading byte order mark is skipped (RFC 8259 section 8.1 lets a parser ignore one; FastAPI does).
//! Strings may hold invalid UTF-8: who reads a string's value checks that.

pub(super) mod block;
mod inside;
mod look;
mod numbers;
mod strings;

pub use strings::{plain_run, string_end};

use inside::{Inside, Number, is_literal};
use look::string_rest;
use strings::{Run, short_string};

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

/// What may come next, between two tokens.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Expected {
    Value,
    /// After `[`: a value or `]`.
    FirstElement,
    /// After `{`: a name or `}`.
    FirstKey,
    /// After `,` in an object.
    Key,
    Colon,
    /// `,` or `]`.
    AfterElement,
    /// `,` or `}`.
    AfterMember,
    /// Nothing but white space.
    End,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum TokenizerState {
    /// Between two tokens.
    Between(Expected),
    /// Inside of something, most often because a chunk ended there.
    Inside(Inside),
}

/// The machine. Feed it chunk by chunk with [`Tokenizer::next`], then call [`Tokenizer::finish`].
#[derive(Debug, Clone)]
pub struct Tokenizer {
    state: TokenizerState,
    /// What the scalar that is being read will be.
    kind: Kind,
    /// Offset of the current chunk's first byte.
    base: u64,
    /// Where the token that is being read began.
    token_start: u64,
    depth: u32,
    /// What may follow a value at this depth, as the stack says.
    after: Expected,
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
            state: TokenizerState::Inside(Inside::Start),
            kind: Kind::Null,
            base: 0,
            token_start: 0,
            depth: 0,
            after: Expected::End,
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
            TokenizerState::Inside(
                Inside::Number(_) | Inside::String | Inside::Escape | Inside::Hex(_),
            ) => Some((self.kind, self.token_start, self.depth)),
            _ => None,
        }
    }

    /// Whether the text's one value is complete.
    #[must_use]
    pub fn is_complete(&self) -> bool {
        self.state == TokenizerState::Between(Expected::End)
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
            TokenizerState::Between(Expected::End) => Ok(None),
            TokenizerState::Inside(Inside::Number(number))
                if self.depth == 0 && number.may_end() =>
            {
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
        'text: while let Some(&byte) = chunk.get(here) {
            let mut next = match self.state {
                TokenizerState::Between(next) => next,
                TokenizerState::Inside(inside) => {
                    let token = self.go_on(inside, byte, chunk, &mut here)?;
                    let limit = if self.kind == Kind::Number { numbers } else { depth };
                    match token {
                        Some(token) if token.depth <= limit => {
                            *at = here;
                            return Ok(Some(token));
                        }
                        _ => continue,
                    }
                }
            };
            // A token a turn. What is told from it stays out of memory until the next is wanted.
            let mut after = self.after;
            while let Some(&byte) = chunk.get(here) {
                let from = here;
                here += 1;
                let mut end = here;
                let mut level = self.depth;
                let kind = match (byte, next) {
                    (b' ' | b'\n' | b'\t' | b'\r', _) => continue,
                    (
                        b'"',
                        Expected::Value
                        | Expected::FirstElement
                        | Expected::FirstKey
                        | Expected::Key,
                    ) => {
                        let is_value = matches!(next, Expected::Value | Expected::FirstElement);
                        let kind = if is_value { Kind::String } else { Kind::Key };
                        end = match short_string(chunk, here) {
                            Some(end) => end,
                            None => match string_rest(chunk, here) {
                                Run::Ends(end) => end,
                                Run::Cut(inside, at) => {
                                    self.begin(kind, from, inside);
                                    here = at;
                                    continue 'text;
                                }
                                Run::Wrong(at) => return Err(self.unexpected(at)),
                            },
                        };
                        here = end;
                        if is_value {
                            next = after;
                        } else if chunk.get(here) == Some(&b':') {
                            here += 1;
                            next = Expected::Value;
                        } else {
                            next = Expected::Colon;
                        }
                        kind
                    }
                    (b',', Expected::AfterMember) => {
                        next = Expected::Key;
                        continue;
                    }
                    (b',', Expected::AfterElement) => {
                        next = Expected::Value;
                        continue;
                    }
                    (b':', Expected::Colon) => {
                        next = Expected::Value;
                        continue;
                    }
                    (b'{', Expected::Value | Expected::FirstElement) => {
                        self.push(true)?;
                        next = Expected::FirstKey;
                        after = self.after;
                        Kind::BeginObject
                    }
                    (b'[', Expected::Value | Expected::FirstElement) => {
                        self.push(false)?;
                        next = Expected::FirstElement;
                        after = self.after;
                        Kind::BeginArray
                    }
                    (b'}', Expected::FirstKey | Expected::AfterMember)
                    | (b']', Expected::FirstElement | Expected::AfterElement) => {
                        level = self.depth.saturating_sub(1);
                        self.depth = level;
                        self.after = self.after_value();
                        after = self.after;
                        next = after;
                        if byte == b'}' { Kind::EndObject } else { Kind::EndArray }
                    }
                    (b'-' | b'0'..=b'9', Expected::Value | Expected::FirstElement) => {
                        let text = chunk.get(from..).unwrap_or_default();
                        let Some(length) = numbers::whole_number(text) else {
                            self.begin(Kind::Number, from, Inside::Number(Number::first(byte)));
                            continue 'text;
                        };
                        here = from + length;
                        end = here;
                        next = after;
                        if level > numbers && after == Expected::AfterElement {
                            here += numbers::more_numbers(chunk.get(here..).unwrap_or_default());
                        }
                        Kind::Number
                    }
                    (b't' | b'f' | b'n', Expected::Value | Expected::FirstElement) => {
                        let (kind, length) = match byte {
                            b't' => (Kind::True, 4),
                            b'f' => (Kind::False, 5),
                            _ => (Kind::Null, 4),
                        };
                        let text = chunk.get(from..).unwrap_or_default();
                        if !is_literal(text) {
                            self.begin(kind, from, Inside::Literal(1));
                            continue 'text;
                        }
                        here = from + length;
                        end = here;
                        next = after;
                        kind
                    }
                    (_, Expected::End) => return Err(JsonError::Trailing(self.base + from as u64)),
                    _ => return Err(self.unexpected(from)),
                };
                if level <= if kind == Kind::Number { numbers } else { depth } {
                    *at = here;
                    self.state = TokenizerState::Between(next);
                    let start = self.base + from as u64;
                    let end = self.base + end as u64;
                    return Ok(Some(Token { kind, start, end, depth: level }));
                }
            }
            self.state = TokenizerState::Between(next);
        }
        *at = chunk.len();
        self.base = self.base.saturating_add(chunk.len() as u64);
        Ok(None)
    }

    fn unexpected(&self, at: usize) -> JsonError {
        JsonError::Unexpected(self.base + at as u64)
    }

    /// A scalar that is not read in one go: it began at `from`.
    fn begin(&mut self, kind: Kind, from: usize, inside: Inside) {
        self.kind = kind;
        self.token_start = self.base + from as u64;
        self.state = TokenizerState::Inside(inside);
    }

    /// The end of the scalar that is being read.
    fn close(&mut self, end: u64) -> Token {
        let next = if self.kind == Kind::Key { Expected::Colon } else { self.after };
        self.state = TokenizerState::Between(next);
        Token { kind: self.kind, start: self.token_start, end, depth: self.depth }
    }

    #[inline]
    fn push(&mut self, object: bool) -> Result<(), JsonError> {
        let word = self.stack.get_mut((self.depth / 64) as usize).ok_or(JsonError::TooDeep)?;
        let bit = 1 << (self.depth % 64);
        if object {
            *word |= bit;
            self.after = Expected::AfterMember;
        } else {
            *word &= !bit;
            self.after = Expected::AfterElement;
        }
        self.depth += 1;
        Ok(())
    }

    /// What may follow a value, as the stack says.
    #[inline]
    fn after_value(&self) -> Expected {
        let Some(level) = self.depth.checked_sub(1) else { return Expected::End };
        match self.stack.get((level / 64) as usize) {
            Some(word) if word & (1 << (level % 64)) != 0 => Expected::AfterMember,
            _ => Expected::AfterElement,
        }
    }
}

#[cfg(test)]
#[cfg(not(target_arch = "wasm32"))]
mod laws;
#[cfg(test)]
mod tests;
