//! The input of a tool call, out of the arguments that the chat server sends as text.

use crate::dialect::chat::text::Text;
use crate::wire::json::string;
use crate::wire::json::tokenizer::{Kind, Tokenizer};

/// A call's arguments while they come.
#[derive(Debug)]
pub(super) struct Input {
    text: Text,
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
pub(super) enum State {
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
            text: Text::default(),
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
        let _new = self.text.push(inner);
    }

    /// No piece follows.
    pub(super) fn finish(&mut self) {
        let _new = self.text.finish();
    }

    /// What may be shown of the text and was not: nothing before it is known to be an object.
    pub(super) fn take_new(&mut self) -> &[u8] {
        if self.shown == 0 {
            let raw = self.text.raw();
            let starts = skip_space(raw).is_some_and(|rest| rest.starts_with(b"{"));
            if !starts {
                return &[];
            }
        }
        let new = self.text.raw().get(self.shown..).unwrap_or_default();
        self.shown = self.text.raw().len();
        new
    }

    /// What has come so far. Reads each byte once, however often it is asked.
    pub(super) fn state(&mut self) -> State {
        self.advance();
        let Some(tokenizer) = &self.tokenizer else { return State::Broken };
        match self.first {
            None if !self.is_told => State::Blank,
            None => State::Open,
            Some(Kind::BeginObject) if tokenizer.is_complete() => State::Object,
            Some(Kind::BeginObject) => State::Open,
            Some(Kind::Null) => State::Null,
            Some(_) => State::Broken,
        }
    }

    /// The whole input as JSON: an object.
    pub(super) fn write(&self, out: &mut Vec<u8>) {
        let text = string::decode(self.text.raw()).unwrap_or_default();
        match text.trim() {
            "" | "null" => out.extend_from_slice(b"{}"),
            object => out.extend_from_slice(object.as_bytes()),
        }
    }

    fn advance(&mut self) {
        let raw = self.text.raw().get(self.read..).unwrap_or_default();
        if raw.is_empty() {
            return;
        }
        self.read = self.text.raw().len();
        let decoded = string::decode(raw);
        let (Some(tokenizer), Some(text)) = (&mut self.tokenizer, decoded) else {
            self.tokenizer = None;
            return;
        };
        self.is_told |= !text.trim_ascii().is_empty();
        let mut at = 0;
        loop {
            match tokenizer.next(text.as_bytes(), &mut at, 0) {
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

/// The escaped text behind its white space.
fn skip_space(raw: &[u8]) -> Option<&[u8]> {
    let mut rest = raw;
    loop {
        rest = match rest {
            [b' ', after @ ..] | [b'\\', b'n' | b't' | b'r', after @ ..] => after,
            [] => return None,
            _ => return Some(rest),
        };
    }
}
