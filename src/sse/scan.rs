//! Recognises a payload that needs no repair, in one pass over its bytes.
//!
//! Every function answers `None` for "look closer": the text is no JSON, or it holds something that
//! may have to be repaired. `None` is never wrong, only slower.

use std::ops::Range;

use crate::json::tokenizer::plain_run;

use super::StreamKind;

/// Deeper payloads are read by the slower path, which needs no stack.
const MAX_DEPTH: u32 = 32;

/// A chunk with `choices` that may leave as it is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Chunk {
    /// A choice has its finish reason.
    pub(super) finished: bool,
    /// The value of `model`.
    pub(super) model: Option<Range<usize>>,
}

/// An event that is named by its `type`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Typed<'a> {
    pub(super) name: &'a [u8],
    pub(super) sequence: Option<u64>,
    /// It carries a Responses object.
    pub(super) has_response: bool,
}

/// A chunk that is as OpenAI would have sent it.
pub(super) fn chunk(text: &[u8], kind: StreamKind) -> Option<Chunk> {
    let (object, part): (&[u8], &[u8]) = match kind {
        StreamKind::Chat => (b"chat.completion.chunk", b"delta"),
        StreamKind::Completions => (b"text_completion", b"text"),
        StreamKind::Transcription | StreamKind::Responses => return None,
    };
    let mut found = Chunk { finished: false, model: None };
    let mut choices = 0_u32;
    let mut reader = Reader { text, at: 0, depth: 0 };
    reader.object(|reader, key| match key {
        b"object" => (reader.plain_string()? == object).then_some(()),
        b"choices" if choices == 0 => reader.array(|reader| {
            choices += 1;
            found.finished |= reader.choice(part)?;
            Some(())
        }),
        b"model" if found.model.is_none() => {
            let start = reader.at;
            reader.string()?;
            found.model = Some(start..reader.at);
            Some(())
        }
        b"choices" | b"model" => None,
        b"usage" | b"error" | b"x_groq" | b"base_resp" => reader.null(),
        _ => reader.value(),
    })?;
    (reader.ended() && choices > 0 && std::str::from_utf8(text).is_ok()).then_some(found)
}

/// An event with a plain `type` and no `error`.
pub(super) fn typed(text: &[u8]) -> Option<Typed<'_>> {
    let mut found = Typed { name: b"", sequence: None, has_response: false };
    let mut reader = Reader { text, at: 0, depth: 0 };
    reader.object(|reader, key| match key {
        b"type" if found.name.is_empty() => {
            found.name = reader.plain_string()?;
            Some(())
        }
        b"type" => None,
        b"sequence_number" => {
            let start = reader.at;
            reader.value()?;
            let digits = text.get(start..reader.at)?;
            found.sequence = std::str::from_utf8(digits).ok()?.parse().ok();
            Some(())
        }
        b"response" => {
            found.has_response = true;
            reader.value()
        }
        b"error" => reader.null(),
        _ => reader.value(),
    })?;
    (reader.ended() && !found.name.is_empty() && std::str::from_utf8(text).is_ok()).then_some(found)
}

struct Reader<'a> {
    text: &'a [u8],
    at: usize,
    depth: u32,
}

impl<'a> Reader<'a> {
    /// One choice; whether it has a finish reason.
    fn choice(&mut self, part: &[u8]) -> Option<bool> {
        let mut finished = false;
        let (mut has_part, mut has_index) = (false, false);
        self.object(|reader, key| match key {
            b"index" => {
                has_index = true;
                reader.number()
            }
            b"delta" if part == b"delta" => {
                has_part = true;
                reader.object(|reader, key| match key {
                    b"tool_calls" => reader.null(),
                    _ => reader.value(),
                })
            }
            b"text" if part == b"text" => {
                has_part = true;
                reader.string().map(|_| ())
            }
            b"finish_reason" => {
                if reader.peek()? == b'n' {
                    return reader.null();
                }
                finished = true;
                is_finish_reason(reader.plain_string()?).then_some(())
            }
            b"usage" | b"error" => reader.null(),
            _ => reader.value(),
        })?;
        (has_part && has_index).then_some(finished)
    }

    #[inline]
    fn peek(&self) -> Option<u8> {
        self.text.get(self.at).copied()
    }

    #[inline]
    fn space(&mut self) {
        while let Some(b' ' | b'\t' | b'\n' | b'\r') = self.peek() {
            self.at += 1;
        }
    }

    #[inline]
    fn eat(&mut self, byte: u8) -> Option<()> {
        self.space();
        (self.peek()? == byte).then(|| self.at += 1)
    }

    fn ended(&mut self) -> bool {
        self.space();
        self.at == self.text.len()
    }

    /// Calls `member` with each name (unquoted) while the reader stands at its value.
    #[inline]
    fn object(&mut self, mut member: impl FnMut(&mut Self, &'a [u8]) -> Option<()>) -> Option<()> {
        self.eat(b'{')?;
        if self.eat(b'}').is_some() {
            return Some(());
        }
        loop {
            self.space();
            let name = self.plain_string()?;
            self.eat(b':')?;
            self.space();
            member(self, name)?;
            self.space();
            let byte = self.peek()?;
            self.at += 1;
            match byte {
                b',' => {}
                b'}' => return Some(()),
                _ => return None,
            }
        }
    }

    /// Calls `element` while the reader stands at each element.
    #[inline]
    fn array(&mut self, mut element: impl FnMut(&mut Self) -> Option<()>) -> Option<()> {
        self.eat(b'[')?;
        if self.eat(b']').is_some() {
            return Some(());
        }
        loop {
            self.space();
            element(self)?;
            self.space();
            let byte = self.peek()?;
            self.at += 1;
            match byte {
                b',' => {}
                b']' => return Some(()),
                _ => return None,
            }
        }
    }

    /// Any value, checked and passed over.
    fn value(&mut self) -> Option<()> {
        match self.peek()? {
            b'"' => self.string().map(|_| ()),
            b'{' => self.nested(|reader| reader.object(|reader, _| reader.value())),
            b'[' => self.nested(|reader| reader.array(Self::value)),
            b'n' => self.null(),
            b't' => self.word(b"true"),
            b'f' => self.word(b"false"),
            _ => self.number(),
        }
    }

    fn nested(&mut self, read: impl FnOnce(&mut Self) -> Option<()>) -> Option<()> {
        if self.depth == MAX_DEPTH {
            return None;
        }
        self.depth += 1;
        read(self)?;
        self.depth -= 1;
        Some(())
    }

    fn null(&mut self) -> Option<()> {
        self.word(b"null")
    }

    fn word(&mut self, word: &[u8]) -> Option<()> {
        self.text.get(self.at..)?.starts_with(word).then(|| self.at += word.len())
    }

    fn number(&mut self) -> Option<()> {
        if self.peek()? == b'-' {
            self.at += 1;
        }
        if self.peek()? == b'0' {
            self.at += 1;
        } else {
            self.digits()?;
        }
        if self.peek() == Some(b'.') {
            self.at += 1;
            self.digits()?;
        }
        if let Some(b'e' | b'E') = self.peek() {
            self.at += 1;
            if let Some(b'+' | b'-') = self.peek() {
                self.at += 1;
            }
            self.digits()?;
        }
        Some(())
    }

    fn digits(&mut self) -> Option<()> {
        let start = self.at;
        while self.peek().is_some_and(|byte| byte.is_ascii_digit()) {
            self.at += 1;
        }
        (self.at > start).then_some(())
    }

    /// A string without escapes, unquoted.
    #[inline]
    fn plain_string(&mut self) -> Option<&'a [u8]> {
        (self.peek()? == b'"').then_some(())?;
        let rest = self.text.get(self.at + 1..)?;
        // Names are short: a plain loop beats setting up a wide one.
        let len = rest.iter().position(|&byte| byte == b'"' || byte == b'\\' || byte < 0x20)?;
        (*rest.get(len)? == b'"').then_some(())?;
        self.at += len + 2;
        rest.get(..len)
    }

    /// Any string, with its quotes.
    #[inline]
    fn string(&mut self) -> Option<&'a [u8]> {
        let start = self.at;
        (self.peek()? == b'"').then_some(())?;
        self.at += 1;
        loop {
            self.at += plain_run(self.text.get(self.at..)?);
            match self.peek()? {
                b'"' => {
                    self.at += 1;
                    return self.text.get(start..self.at);
                }
                b'\\' => self.escape()?,
                _ => return None,
            }
        }
    }

    fn escape(&mut self) -> Option<()> {
        let escaped = *self.text.get(self.at + 1)?;
        self.at += 2;
        match escaped {
            b'"' | b'\\' | b'/' | b'b' | b'f' | b'n' | b'r' | b't' => Some(()),
            b'u' => {
                let digits = self.text.get(self.at..self.at + 4)?;
                self.at += 4;
                digits.iter().all(u8::is_ascii_hexdigit).then_some(())
            }
            _ => None,
        }
    }
}

/// OpenAI's own finish reasons.
pub(super) fn is_finish_reason(reason: &[u8]) -> bool {
    matches!(reason, b"stop" | b"length" | b"tool_calls" | b"content_filter" | b"function_call")
}
