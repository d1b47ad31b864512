//! The input of a tool call, out of the arguments that the chat server sends as text.

use memchr::memchr;

use crate::dialect::chat::arguments::Arguments;
use crate::dialect::chat::text::{Halves, escaped};
use crate::wire::json::tokenizer::{Kind, Tokenizer};

/// A call's arguments while they come.
#[derive(Debug)]
pub(super) struct Input {
    arguments: Arguments,
    text: JsonText,
    /// How far `tokenizer` has read the text.
    read: usize,
    /// How much of the text was shown.
    shown: usize,
    /// `None` once the text is no JSON.
    tokenizer: Option<Box<Tokenizer>>,
    first: Option<Kind>,
    /// Something other than white space has come.
    is_told: bool,
}

/// What the arguments are worth.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum ArgumentsState {
    /// Nothing but white space: an input without members, unless more comes.
    Blank,
    /// The beginning of an object, or of `null`.
    Open,
    /// One whole object.
    Object,
    /// `null`: an input without members.
    Null,
    /// Something else.
    Broken,
}

impl Default for Input {
    fn default() -> Self {
        Self {
            arguments: Arguments::default(),
            text: JsonText::default(),
            read: 0,
            shown: 0,
            tokenizer: Some(Box::default()),
            first: None,
            is_told: false,
        }
    }
}

impl Input {
    /// Adds a piece (what stands between the quotes).
    pub(super) fn push(&mut self, inner: &[u8]) {
        self.text.push(&self.arguments.decoded(inner));
    }

    /// No piece follows.
    pub(super) fn finish(&mut self) {
        self.text.push(&self.arguments.finish_decoded());
        self.text.finish();
    }

    /// What may be shown of the text and was not, escaped: nothing before it is known to be an object.
    pub(super) fn take_new(&mut self) -> Vec<u8> {
        let text = &self.text.whole;
        if self.shown == 0 && !text.trim_ascii_start().starts_with(b"{") {
            return Vec::new();
        }
        let new = text.get(self.shown..).unwrap_or_default();
        self.shown = text.len();
        escaped(new)
    }

    /// What has come so far. Reads each byte once, however often it is asked.
    pub(super) fn state(&mut self) -> ArgumentsState {
        self.advance();
        let Some(tokenizer) = &self.tokenizer else { return ArgumentsState::Broken };
        match self.first {
            None if !self.is_told => ArgumentsState::Blank,
            None => ArgumentsState::Open,
            Some(Kind::BeginObject) if tokenizer.is_complete() => ArgumentsState::Object,
            Some(Kind::BeginObject) => ArgumentsState::Open,
            Some(Kind::Null) => ArgumentsState::Null,
            Some(_) => ArgumentsState::Broken,
        }
    }

    /// The whole input as JSON: an object.
    pub(super) fn write(&self, out: &mut Vec<u8>) {
        match self.text.whole.trim_ascii() {
            b"" | b"null" => out.extend_from_slice(b"{}"),
            object => out.extend_from_slice(object),
        }
    }

    fn advance(&mut self) {
        let text = self.text.whole.get(self.read..).unwrap_or_default();
        self.read = self.text.whole.len();
        let Some(tokenizer) = &mut self.tokenizer else { return };
        self.is_told |= !text.trim_ascii().is_empty();
        let mut at = 0;
        loop {
            match tokenizer.next(text, &mut at, 0) {
                Ok(Some(token)) => {
                    self.first.get_or_insert(token.kind);
                }
                Ok(None) => return,
                Err(_) => {
                    self.tokenizer = None;
                    return;
                }
            }
        }
    }
}

/// A JSON text that grows. Models write it themselves, and half a surrogate pair in one of its strings is nothing that a
/// strict reader takes.
#[derive(Debug, Default)]
struct JsonText {
    whole: Vec<u8>,
    halves: Halves,
    /// An escape whose end has not come.
    escape: Vec<u8>,
}

impl JsonText {
    fn push(&mut self, piece: &[u8]) {
        let mut text = std::mem::take(&mut self.escape);
        text.extend_from_slice(piece);
        let whole = whole_escapes(&text);
        let (text, escape) = text.split_at_checked(whole).unwrap_or((&text, &[]));
        self.halves.push(text, &mut self.whole);
        self.escape = escape.to_vec();
    }

    fn finish(&mut self) {
        self.halves.finish(&mut self.whole);
        self.whole.append(&mut self.escape);
    }
}

/// How much of a text there is before an escape that it does not hold in full.
fn whole_escapes(text: &[u8]) -> usize {
    let mut at = 0;
    while let Some(next) = text.get(at..).and_then(|rest| memchr(b'\\', rest)) {
        let start = at + next;
        let length = if text.get(start + 1) == Some(&b'u') { 6 } else { 2 };
        if text.len() - start < length {
            return start;
        }
        at = start + length;
    }
    text.len()
}
