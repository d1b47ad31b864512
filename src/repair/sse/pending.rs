//! A payload that goes on over several lines.

use crate::wire::json::JsonError;
use crate::wire::json::tokenizer::Tokenizer;

/// Where a payload's first line came from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Origin {
    Data,
    /// A line without a field name.
    Bare,
    /// An `error:` field.
    ErrorField,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum PayloadState {
    /// JSON so far, more must come.
    Open,
    /// One whole JSON value.
    Complete,
    /// No JSON, whatever comes.
    Broken,
}

/// Lines joined with LF. Each byte is read once by the tokenizer, however many lines there are.
#[derive(Debug)]
pub(super) struct Pending {
    pub(super) origin: Origin,
    text: Vec<u8>,
    /// Where the newest line begins.
    last: usize,
    tokenizer: Tokenizer,
    state: PayloadState,
    /// Its event has ended, and it has not: it may go on in the next one.
    is_parted: bool,
    /// White space that was taken away behind the newest line. In a string that the next event goes on with, it is part
    /// of the string.
    tail: Vec<u8>,
}

impl Pending {
    pub(super) fn new(origin: Origin, line: &[u8]) -> Self {
        let tokenizer = Tokenizer::new();
        let mut this = Self {
            origin,
            text: Vec::new(),
            last: 0,
            tokenizer,
            state: PayloadState::Open,
            is_parted: false,
            tail: Vec::new(),
        };
        this.read(line);
        this
    }

    /// A further line; what an event's end has parted was no line of its own.
    pub(super) fn push(&mut self, line: &[u8]) {
        let tail = std::mem::take(&mut self.tail);
        if self.is_in_parted_text() {
            self.read(&tail);
        } else if !self.is_parted {
            self.read(b"\n");
        }
        self.last = self.text.len();
        self.read(line);
    }

    fn read(&mut self, bytes: &[u8]) {
        self.text.extend_from_slice(bytes);
        if self.state == PayloadState::Broken {
            return;
        }
        self.state = match feed(&mut self.tokenizer, bytes) {
            Ok(()) if self.tokenizer.is_complete() => PayloadState::Complete,
            Ok(()) => PayloadState::Open,
            Err(_) => PayloadState::Broken,
        };
    }

    pub(super) fn state(&self) -> PayloadState {
        self.state
    }

    /// Whether it is the beginning of an object or array, and may still become a whole one.
    pub(super) fn is_open(&self) -> bool {
        self.state == PayloadState::Open && self.starts_json()
    }

    pub(super) fn part(&mut self) {
        self.is_parted = true;
    }

    pub(super) fn is_parted(&self) -> bool {
        self.is_parted
    }

    /// Whether an event's end has parted it in a string, name or number: what comes next belongs to that, white space too.
    pub(super) fn is_in_parted_text(&self) -> bool {
        self.is_parted && self.state == PayloadState::Open && self.tokenizer.open_text().is_some()
    }

    /// The white space behind the newest line, which was pushed without it.
    pub(super) fn set_tail(&mut self, tail: &[u8]) {
        self.tail.clear();
        self.tail.extend_from_slice(tail);
    }

    pub(super) fn starts_json(&self) -> bool {
        matches!(self.text.first(), Some(b'{' | b'['))
    }

    /// Bytes that are held of it.
    pub(super) fn len(&self) -> usize {
        self.text.len().saturating_add(self.tail.len())
    }

    pub(super) fn text(&self) -> &[u8] {
        &self.text
    }

    pub(super) fn last_line(&self) -> &[u8] {
        self.text.get(self.last..).unwrap_or_default()
    }
}

fn feed(tokenizer: &mut Tokenizer, bytes: &[u8]) -> Result<(), JsonError> {
    let mut at = 0;
    while tokenizer.next(bytes, &mut at, 0)?.is_some() {}
    Ok(())
}

/// The JSON values of one line that holds several (`{…}{…}`, also with a `data:` or a comma between them),
/// and whether `[DONE]` follows them. `None` if it holds anything else.
pub(super) fn values(line: &[u8]) -> Option<(Vec<&[u8]>, bool)> {
    let mut found = Vec::new();
    let mut rest = line;
    loop {
        rest = rest.trim_ascii_start();
        while let Some(after) = rest.strip_prefix(b"data:").or_else(|| rest.strip_prefix(b",")) {
            rest = after.trim_ascii_start();
        }
        let is_end = rest.get(..6).is_some_and(|end| end.eq_ignore_ascii_case(b"[DONE]"));
        if rest.is_empty() || is_end {
            return (found.len() > usize::from(!is_end)).then_some((found, is_end));
        }
        if rest.first() != Some(&b'{') {
            return None;
        }
        let mut tokenizer = Tokenizer::new();
        let mut at = 0;
        while !tokenizer.is_complete() {
            tokenizer.next(rest, &mut at, 0).ok()??;
        }
        let (value, after) = rest.split_at_checked(at)?;
        found.push(value);
        rest = after;
    }
}
