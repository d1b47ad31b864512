//! Recognises a payload that needs no repair, in one pass over its bytes.
//!
//! Every function answers `None` for "look closer": the text is no JSON, or it holds something that
//! may have to be repaired. `None` is never wrong, only slower.

use crate::wire::bytes::is_utf8;
use crate::wire::json::tokenizer::string_end;

use super::StreamKind;
use super::template::{Slot, SlotKind, Slots};
use crate::repair::chat::finish::is_own;
use crate::repair::chat::silent::{MemberPlace, must_be_silent};

/// Deeper payloads are read by the slower path, which needs no stack.
const MAX_DEPTH: u32 = 32;

/// More seconds than any clock shows: these would be milliseconds.
const MAX_SECONDS: u64 = 100_000_000_000;
/// More tokens than any answer has.
const MAX_COUNT: u64 = 1 << 53;

/// What a payload that may leave as it is says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum CanonicalPayload {
    Chunk(CanonicalChunk),
    Event(CanonicalEvent),
}

impl CanonicalPayload {
    /// The choice that it goes on with, if that is all it does.
    pub(super) fn plain_choice(self) -> Option<u64> {
        match self {
            Self::Chunk(CanonicalChunk {
                choice,
                finish: None,
                call: None,
                counted: false,
                ..
            }) => choice,
            Self::Chunk(_) | Self::Event(_) => None,
        }
    }

    /// Where the `model` stands that may have to be renamed.
    pub(super) fn model(self) -> Option<(usize, usize)> {
        match self {
            Self::Chunk(chunk) => chunk.model,
            Self::Event(_) => None,
        }
    }
}

/// A chunk that may leave as it is: one with choices, or with token counts and an empty list of them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) struct CanonicalChunk {
    /// The one choice that it tells of.
    pub(super) choice: Option<u64>,
    /// It has its finish reason.
    pub(super) finish: Option<FinishReason>,
    /// The value of `model` stands here.
    pub(super) model: Option<(usize, usize)>,
    /// It goes on with this tool call: choice and index. Whether that call exists is not known here.
    pub(super) call: Option<(u64, u64)>,
    /// It has token counts, none of them cached.
    pub(super) counted: bool,
}

/// A finish reason of OpenAI's own.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum FinishReason {
    /// `stop`, which may have to be another one.
    Stop,
    Other,
}

/// An event that is named by its `type`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) struct CanonicalEvent {
    /// The value of `type` stands here, without its quotes.
    pub(super) name: (usize, usize),
    /// It carries a Responses object.
    pub(super) has_response: bool,
    /// It is the last one of its protocol.
    pub(super) is_last: bool,
}

/// A payload that is as OpenAI would have sent it.
pub(super) fn payload(text: &[u8], kind: StreamKind) -> Option<(CanonicalPayload, Slots)> {
    if kind.api().is_some() {
        let (found, slots) = chunk(text, kind)?;
        return Some((CanonicalPayload::Chunk(found), slots));
    }
    let (found, slots) = typed(text)?;
    Some((CanonicalPayload::Event(found), slots))
}

/// A chunk that is as OpenAI would have sent it.
pub(super) fn chunk(text: &[u8], kind: StreamKind) -> Option<(CanonicalChunk, Slots)> {
    let (object, part): (&[u8], &[u8]) = match kind {
        StreamKind::Chat => (b"chat.completion.chunk", b"delta"),
        StreamKind::Completions => (b"text_completion", b"text"),
        StreamKind::Transcription | StreamKind::Responses | StreamKind::Messages => return None,
    };
    let mut found = CanonicalChunk::default();
    let (mut has_list, mut is_empty) = (false, false);
    let mut reader = PayloadScanner::new(text);
    reader.object(|reader, key| match key {
        b"object" => (reader.plain_string()? == object).then_some(()),
        b"id" => reader.string(),
        b"created" => (reader.integer()? < MAX_SECONDS).then_some(()),
        b"choices" if !has_list => {
            has_list = true;
            is_empty = reader.word(b"[]").is_some();
            if is_empty {
                return Some(());
            }
            reader.array(|reader| {
                // Chunks of several choices are rare: they are read member by member.
                found.choice.is_none().then_some(())?;
                reader.choice(part, &mut found)
            })
        }
        b"model" if found.model.is_none() => {
            let start = reader.at;
            reader.string()?;
            found.model = Some((start, reader.at));
            Some(())
        }
        b"usage" if !found.counted && reader.peek()? == b'{' => {
            found.counted = reader.usage()?;
            found.counted.then_some(())
        }
        b"choices" | b"model" => None,
        b"usage" | b"error" | b"x_groq" | b"base_resp" => reader.null(),
        key if must_be_silent(MemberPlace::Root, key) => reader.null(),
        // OpenAI's padding against traffic analysis.
        b"obfuscation" => reader.slot(SlotKind::Text),
        _ => reader.value(),
    })?;
    let says_something = found.choice.is_some() || (is_empty && found.counted);
    let is_chunk = reader.ended() && says_something && is_utf8(text);
    is_chunk.then_some((found, reader.slots))
}

/// An event of the protocol's own, without `error`.
fn typed(text: &[u8]) -> Option<(CanonicalEvent, Slots)> {
    let mut found = CanonicalEvent::default();
    let mut numbered = false;
    let mut name: &[u8] = b"";
    let mut reader = PayloadScanner::new(text);
    reader.object(|reader, key| match key {
        b"type" if name.is_empty() => {
            let start = reader.at + 1;
            name = reader.plain_string()?;
            found.name = (start, reader.at - 1);
            Some(())
        }
        b"type" => None,
        b"sequence_number" => {
            let start = reader.at;
            reader.number()?;
            let kind = SlotKind::Number;
            reader.slots.push(Slot { start, end: reader.at, kind })?;
            numbered = true;
            Some(())
        }
        b"response" => {
            found.has_response = true;
            reader.value()
        }
        b"error" => reader.null(),
        b"delta" => reader.slot(SlotKind::Content),
        b"obfuscation" => reader.slot(SlotKind::Text),
        _ => reader.value(),
    })?;
    found.is_last = super::typed::is_last(name);
    // An `event:` line with this name would lose the space at its end.
    let is_name = super::typed::is_protocol(name) && !name.ends_with(b" ");
    // The model and the token counts stand in it.
    let is_name = is_name && super::typed::is_plain(name);
    // llama.cpp numbers nothing: its events are completed.
    let is_placed = numbered || !name.starts_with(b"response.");
    let is_event = reader.ended() && is_name && is_placed && is_utf8(text);
    is_event.then_some((found, reader.slots))
}

pub(super) struct PayloadScanner<'a> {
    text: &'a [u8],
    at: usize,
    depth: u32,
    slots: Slots,
}

impl<'a> PayloadScanner<'a> {
    pub(super) fn new(text: &'a [u8]) -> Self {
        Self { text, at: 0, depth: 0, slots: Slots::default() }
    }

    /// How far it has read.
    pub(super) fn at(&self) -> usize {
        self.at
    }

    fn choice(&mut self, part: &[u8], found: &mut CanonicalChunk) -> Option<()> {
        let (mut has_part, mut has_reasoning) = (false, false);
        let (mut index, mut call) = (None, None);
        self.object(|reader, key| match key {
            b"index" if index.is_none() => {
                index = Some(reader.integer()?);
                Some(())
            }
            b"delta" if part == b"delta" && !has_part => {
                has_part = true;
                reader.object(|reader, key| match key {
                    b"tool_calls" if reader.peek()? == b'[' => {
                        let first = call.is_none() && found.call.is_none();
                        reader.array(|reader| {
                            let one = first && call.is_none();
                            call = Some(reader.tool_call()?);
                            one.then_some(())
                        })
                    }
                    b"tool_calls" => reader.null(),
                    b"role" if reader.peek()? == b'"' => {
                        (reader.plain_string()? == b"assistant").then_some(())
                    }
                    b"role" => reader.null(),
                    key if must_be_silent(MemberPlace::Body, key) => reader.null(),
                    b"refusal" => reader.text_slot(SlotKind::Text),
                    b"content" => reader.text_slot(SlotKind::Content),
                    b"reasoning_content" | b"reasoning" => {
                        // The same may stand under both names.
                        let first = !std::mem::replace(&mut has_reasoning, true);
                        reader.text_slot(if first { SlotKind::Reasoning } else { SlotKind::Text })
                    }
                    _ => reader.slot(SlotKind::Text),
                })
            }
            b"text" if part == b"text" && !has_part => {
                has_part = true;
                (reader.peek()? == b'"').then_some(())?;
                reader.slot(SlotKind::Content)
            }
            b"finish_reason" => {
                if reader.peek()? == b'n' {
                    return reader.null();
                }
                let reason = reader.plain_string()?;
                found.finish =
                    Some(if reason == b"stop" { FinishReason::Stop } else { FinishReason::Other });
                is_own(reason).then_some(())
            }
            b"index" | b"delta" | b"text" | b"message" => None,
            key if must_be_silent(MemberPlace::Choice, key) => reader.null(),
            _ => reader.value(),
        })?;
        let index = index?;
        found.choice = Some(index);
        if let Some(call) = call {
            found.call = Some((index, call));
        }
        has_part.then_some(())
    }

    /// The index of a delta that does nothing but go on with a call's arguments.
    fn tool_call(&mut self) -> Option<u64> {
        let mut index = None;
        self.object(|reader, key| match key {
            b"index" if index.is_none() => {
                index = Some(reader.integer()?);
                Some(())
            }
            b"function" => reader.object(|reader, key| match key {
                b"arguments" if reader.peek()? == b'"' => reader.slot(SlotKind::Arguments),
                _ => None,
            }),
            _ => None,
        })?;
        index
    }

    /// Whether there are token counts other than zero. Nothing may say that some were cached.
    fn usage(&mut self) -> Option<bool> {
        let (mut counted, mut names) = (false, 0_u8);
        self.object(|reader, key| match reader.peek()? {
            b'n' => reader.null(),
            byte if byte.is_ascii_digit() => {
                names |= match key {
                    b"prompt_tokens" => 1,
                    b"completion_tokens" => 2,
                    b"total_tokens" => 4,
                    _ => return None,
                };
                let count = reader.integer()?;
                counted |= count > 0;
                // More is no count.
                (count <= MAX_COUNT).then_some(())?;
                Some(())
            }
            _ => None,
        })?;
        Some(counted && names == 7)
    }

    fn integer(&mut self) -> Option<u64> {
        let start = self.at;
        self.number()?;
        std::str::from_utf8(self.text.get(start..self.at)?).ok()?.parse().ok()
    }

    /// A string or null.
    fn text_slot(&mut self, kind: SlotKind) -> Option<()> {
        match self.peek()? {
            b'"' => self.slot(kind),
            _ => self.null(),
        }
    }

    /// A value that nothing depends on; a string may be another one next time.
    fn slot(&mut self, kind: SlotKind) -> Option<()> {
        if self.peek()? != b'"' {
            return self.value();
        }
        let start = self.at + 1;
        self.string()?;
        self.slots.push(Slot { start, end: self.at - 1, kind })
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
            b'"' => self.string(),
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

    pub(super) fn number(&mut self) -> Option<()> {
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

    /// Any string.
    #[inline]
    fn string(&mut self) -> Option<()> {
        (self.peek()? == b'"').then_some(())?;
        self.at += 1;
        self.at += string_end(self.text.get(self.at..)?)? + 1;
        Some(())
    }
}
