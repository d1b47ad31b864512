//! Decides from the first bytes of a JSON answer with status 200 whether it is a good one, which then
//! streams on untouched, or may be an error, which is held to be read as a whole.

use std::ops::Range;

use super::chat::finish::is_own;
use crate::policy::operation::Operation;
use crate::wire::json::chunk::{Chunk, TokenText};
use crate::wire::json::tokenizer::{Kind, Token, Tokenizer};

use container::AnswerContainer;
pub use member::is_chat;
use member::{
    AnswerMember, call_name, choice_name, count_name, is_transcript, message_name, top_name,
};

mod container;
#[cfg(all(test, not(target_arch = "wasm32")))]
mod laws;
mod member;
#[cfg(test)]
mod tests;

/// What the bytes so far say.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Classification {
    /// Not enough yet: hold what came.
    Undecided,
    /// A good answer: let it go on, what was held first.
    Good,
    /// It may be an error, or no JSON at all: hold it to its end (bounded by `max_answer_bytes`) and
    /// ask [`super::error::from_ok`].
    Suspect,
}

/// Longer than any name and any value that is looked at.
const MAX_TEXT: usize = 32;
/// No token count has more digits.
const MAX_COUNT_DIGITS: usize = 15;

/// Before the value: white space, comments, a byte order mark.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Lead {
    Blank,
    Mark(u8),
    Comment,
    Done,
}

/// How far the value has been read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum PeekProgress {
    Reading,
    /// It ended here.
    Ended(u64),
    /// It is no JSON, or nothing that is to be read.
    Broken,
}

/// Members that an object must have: those that were seen.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
struct Required(u8);

impl Required {
    /// Index, message or text, role.
    const CHOICE: Self = Self(0b111);
    const CALL: Self = Self(0b111);
    const COUNTS: Self = Self(0b111);

    fn see(&mut self, bit: u8) {
        self.0 |= 1 << bit;
    }
}

/// The incremental look at one answer's body.
#[derive(Debug)]
pub struct Peek {
    operation: Operation,
    verdict: Classification,
    lead: Lead,
    /// Bytes of framing before the value, once [`Lead::Done`].
    before: usize,
    /// There is more than white space among them.
    foreign: bool,
    tokenizer: Tokenizer,
    text: TokenText<MAX_TEXT>,
    progress: PeekProgress,
    place: AnswerContainer,
    member: AnswerMember,
    /// Of the choice, or of the tool call.
    seen: Required,
    choice_seen: Required,
    has_calls: bool,
    /// The choice ends in `stop`.
    stops: bool,
    usage: Option<Range<u64>>,
    /// How many choices have begun.
    choices: u32,
    drifts: bool,
}

impl Peek {
    /// Before the first byte of an answer to `operation`.
    #[must_use]
    pub fn new(operation: Operation) -> Self {
        let anything = operation == Operation::Files;
        Self {
            operation,
            verdict: if anything { Classification::Good } else { Classification::Undecided },
            lead: Lead::Blank,
            before: 0,
            foreign: false,
            tokenizer: Tokenizer::new(),
            text: TokenText::default(),
            progress: if anything { PeekProgress::Broken } else { PeekProgress::Reading },
            place: AnswerContainer::Top,
            member: AnswerMember::Other,
            seen: Required::default(),
            choice_seen: Required::default(),
            has_calls: false,
            stops: false,
            usage: None,
            choices: 0,
            drifts: false,
        }
    }

    /// Reads the next bytes. The verdict depends on the bytes so far alone, not on their chunks, and
    /// never changes once it is no longer [`Classification::Undecided`].
    ///
    /// Further bytes of a good answer need not be pushed; [`Peek::end`] and [`Peek::drifts`] are
    /// for a caller who does.
    pub fn push(&mut self, bytes: &[u8]) -> Classification {
        let bytes = self.after_lead(bytes);
        if self.progress != PeekProgress::Reading || bytes.is_empty() {
            return self.verdict;
        }
        let chunk = Chunk::next(&self.tokenizer, bytes);
        let mut at = 0;
        while self.progress == PeekProgress::Reading {
            // No deeper than something is looked for.
            match self.tokenizer.next(bytes, &mut at, self.place.depth()) {
                Ok(Some(token)) => self.token(token, chunk),
                Ok(None) => break,
                Err(_) => {
                    // What follows a good beginning has gone to the client already.
                    self.progress = PeekProgress::Broken;
                    self.decide(Classification::Suspect);
                }
            }
        }
        if self.progress == PeekProgress::Reading {
            self.text.keep(&self.tokenizer, chunk, self.place.depth());
        }
        self.verdict
    }

    /// What the bytes so far say.
    #[must_use]
    pub fn verdict(&self) -> Classification {
        self.verdict
    }

    /// How many bytes at the start of the body are framing that a JSON parser would stumble over
    /// (comments, a byte order mark): drop them when a good answer goes on.
    #[must_use]
    pub fn skip(&self) -> usize {
        if self.foreign && self.lead == Lead::Done { self.before } else { 0 }
    }

    /// Where the JSON value ended, counted from the start of the body. White space and framing
    /// (`data: [DONE]`) may follow it; a client should get neither.
    #[must_use]
    pub fn end(&self) -> Option<u64> {
        match self.progress {
            PeekProgress::Ended(end) => Some(end.saturating_add(self.before as u64)),
            PeekProgress::Reading | PeekProgress::Broken => None,
        }
    }

    /// Where the top-level object `usage` stands, counted from the start of the body.
    #[must_use]
    pub fn usage(&self) -> Option<Range<u64>> {
        let before = self.before as u64;
        let usage = self.usage.as_ref().filter(|_| self.place != AnswerContainer::Usage)?;
        Some(usage.start.saturating_add(before)..usage.end.saturating_add(before))
    }

    /// Whether it turned out to be no JSON.
    #[must_use]
    pub fn is_broken(&self) -> bool {
        self.progress == PeekProgress::Broken
    }

    /// Whether an answer that began well has shown something since that is to be repaired, or that may be
    /// an error (`finish_reason` of `error`, an `error` after `choices`).
    #[must_use]
    pub fn drifts(&self) -> bool {
        self.drifts
    }

    /// Whether the pass over an answer has seen all that matters: it is good, complete, and nothing stands around it. `body`:
    /// all that was pushed.
    #[must_use]
    pub fn is_all_good(&self, body: &[u8]) -> bool {
        let end = self.end().and_then(|end| usize::try_from(end).ok());
        self.verdict() == Classification::Good
            && !self.drifts
            && body.first() == Some(&b'{')
            && end.and_then(|end| body.get(end..)).is_some_and(|rest| rest.trim_ascii().is_empty())
            // The tokenizer leaves the bytes of texts alone.
            && std::str::from_utf8(body).is_ok()
    }

    /// Whether what comes now is the value of a name of an error, of which is not known yet whether there is anything in it.
    #[must_use]
    pub fn is_at_error(&self) -> bool {
        self.progress == PeekProgress::Reading
            && matches!(
                self.member,
                AnswerMember::Error | AnswerMember::OwnError | AnswerMember::Silent
            )
    }

    /// How many choices there are so far.
    #[must_use]
    pub fn choices(&self) -> u32 {
        self.choices
    }

    fn decide(&mut self, verdict: Classification) {
        if self.verdict == Classification::Undecided {
            self.verdict = verdict;
        }
    }

    /// Passes over what stands before the value.
    fn after_lead<'a>(&mut self, chunk: &'a [u8]) -> &'a [u8] {
        for (at, &byte) in chunk.iter().enumerate() {
            self.lead = match (self.lead, byte) {
                (Lead::Done, _) => return chunk.get(at..).unwrap_or_default(),
                (Lead::Comment, b'\n' | b'\r') => Lead::Blank,
                (Lead::Comment, _) => Lead::Comment,
                (Lead::Blank, b' ' | b'\t' | b'\n' | b'\r') => Lead::Blank,
                (Lead::Blank, b':') => Lead::Comment,
                (Lead::Blank, 0xEF) if self.before == 0 => Lead::Mark(0xBB),
                (Lead::Mark(want), _) if byte == want => {
                    if want == 0xBB {
                        Lead::Mark(0xBF)
                    } else {
                        Lead::Blank
                    }
                }
                _ => {
                    self.lead = Lead::Done;
                    self.first_byte(byte);
                    return chunk.get(at..).unwrap_or_default();
                }
            };
            self.before += 1;
            self.foreign |= matches!(self.lead, Lead::Comment | Lead::Mark(_));
        }
        &[]
    }

    fn first_byte(&mut self, byte: u8) {
        if byte == b'{' {
            return;
        }
        let texts = is_transcript(self.operation);
        self.progress = PeekProgress::Broken;
        self.decide(if texts && byte != b'<' {
            Classification::Good
        } else {
            Classification::Suspect
        });
    }

    #[inline]
    fn token(&mut self, token: Token, chunk: Chunk<'_>) {
        match token.kind {
            Kind::EndObject | Kind::EndArray => self.leave(token),
            Kind::Key if token.depth == self.place.depth() => {
                let name = self.text.read(token, chunk);
                self.member = match self.place {
                    AnswerContainer::Top => top_name(name, self.operation),
                    AnswerContainer::Choice => choice_name(name, self.operation),
                    AnswerContainer::Message => message_name(name),
                    AnswerContainer::ToolCall => call_name(name),
                    AnswerContainer::Function if name == b"\"arguments\"" => AnswerMember::Said,
                    AnswerContainer::Usage => count_name(name),
                    _ => AnswerMember::Other,
                };
            }
            _ if token.depth == self.place.depth() => self.value(token, chunk),
            _ => {}
        }
    }

    /// The end of a container.
    fn leave(&mut self, token: Token) {
        if token.depth + 1 != self.place.depth() {
            return;
        }
        match self.place {
            AnswerContainer::Top => {
                if token.depth == 0 {
                    self.progress = PeekProgress::Ended(token.end);
                    self.decide(Classification::Suspect);
                }
                return;
            }
            // It was empty: no result, so any other name counts.
            AnswerContainer::Result | AnswerContainer::Choices => {
                self.decide(Classification::Suspect)
            }
            AnswerContainer::Usage => {
                if let Some(usage) = &mut self.usage {
                    usage.end = token.end;
                }
                self.drifts |= is_chat(self.operation) && self.seen != Required::COUNTS;
            }
            AnswerContainer::Choice => {
                self.drifts |= self.choice_seen != Required::CHOICE;
                // Most servers say `tool_calls` then.
                self.drifts |= self.has_calls && self.stops;
            }
            AnswerContainer::ToolCall => self.drifts |= self.seen != Required::CALL,
            AnswerContainer::Message | AnswerContainer::ToolCalls | AnswerContainer::Function => {}
        }
        self.place = self.place.outer();
        self.member = AnswerMember::Other;
    }

    fn value(&mut self, token: Token, chunk: Chunk<'_>) {
        match self.place {
            AnswerContainer::Top => self.top_value(token, chunk),
            AnswerContainer::Result => {
                if token.kind != Kind::Null {
                    self.decide(Classification::Good);
                }
            }
            AnswerContainer::Usage => {
                let is_digits = |raw: &[u8]| {
                    raw.len() <= MAX_COUNT_DIGITS && raw.iter().all(u8::is_ascii_digit)
                };
                let is_drift = match token.kind {
                    Kind::String => true,
                    Kind::Number => !is_digits(self.text.read(token, chunk)),
                    _ => false,
                };
                self.drifts |= is_drift;
                if let (AnswerMember::Count(bit), Kind::Number) = (self.member, token.kind) {
                    self.seen.see(bit);
                }
            }
            AnswerContainer::Choices => {
                if token.kind == Kind::BeginObject {
                    self.decide(Classification::Good);
                    if is_chat(self.operation) {
                        self.choices = self.choices.saturating_add(1);
                        self.place = AnswerContainer::Choice;
                        self.choice_seen = Required::default();
                        (self.has_calls, self.stops) = (false, false);
                    }
                } else {
                    self.drifts = true;
                }
            }
            AnswerContainer::ToolCalls => {
                self.has_calls = true;
                self.seen = Required::default();
                match token.kind {
                    Kind::BeginObject => self.place = AnswerContainer::ToolCall,
                    _ => self.drifts = true,
                }
            }
            AnswerContainer::Choice
            | AnswerContainer::Message
            | AnswerContainer::ToolCall
            | AnswerContainer::Function => {
                self.inner_value(token, chunk);
            }
        }
        self.member = AnswerMember::Other;
    }

    /// A value in a choice.
    fn inner_value(&mut self, token: Token, chunk: Chunk<'_>) {
        let kind = token.kind;
        match self.member {
            AnswerMember::Index if kind == Kind::Number => {
                self.drifts |= self.text.read(token, chunk).contains(&b'.');
                self.choice_seen.see(0);
            }
            AnswerMember::Message if kind == Kind::BeginObject => {
                self.choice_seen.see(1);
                self.place = AnswerContainer::Message;
            }
            // The text of a text completion.
            AnswerMember::Text if kind == Kind::String => {
                self.choice_seen.see(1);
                self.choice_seen.see(2);
            }
            AnswerMember::Role if self.text.read(token, chunk) == b"\"assistant\"" => {
                self.choice_seen.see(2);
            }
            AnswerMember::FinishReason if kind == Kind::String => {
                let reason = self.text.read(token, chunk);
                let inner = reason.get(1..reason.len().saturating_sub(1)).unwrap_or_default();
                self.drifts |= !is_own(inner);
                self.stops = inner == b"stop";
            }
            AnswerMember::ToolCalls if kind == Kind::BeginArray => {
                self.place = AnswerContainer::ToolCalls
            }
            AnswerMember::Function if kind == Kind::BeginObject => {
                self.place = AnswerContainer::Function
            }
            AnswerMember::Said if kind == Kind::String => self.seen.see(0),
            AnswerMember::Id if kind == Kind::String => {
                if self.text.read(token, chunk) != b"\"\"" {
                    self.seen.see(1);
                }
            }
            AnswerMember::CallKind if self.text.read(token, chunk) == b"\"function\"" => {
                self.seen.see(2)
            }
            AnswerMember::Content if kind == Kind::String => {}
            AnswerMember::Content
            | AnswerMember::FinishReason
            | AnswerMember::ToolCalls
            | AnswerMember::Silent
                if kind == Kind::Null => {}
            AnswerMember::Other => {}
            _ => self.drifts = true,
        }
    }

    /// A value of the top-level object.
    fn top_value(&mut self, token: Token, chunk: Chunk<'_>) {
        match self.member {
            AnswerMember::Choices => match token.kind {
                Kind::BeginArray => self.place = AnswerContainer::Choices,
                _ => self.decide(Classification::Suspect),
            },
            AnswerMember::Result if token.kind == Kind::BeginArray => {
                self.place = AnswerContainer::Result
            }
            AnswerMember::Text if token.kind == Kind::String => self.decide(Classification::Good),
            AnswerMember::Label if token.kind == Kind::String => {
                let label = self.text.read(token, chunk);
                self.drifts |= match self.operation {
                    Operation::ChatCompletions => label != b"\"chat.completion\"",
                    Operation::Completions => label != b"\"text_completion\"",
                    _ => false,
                };
                if label.eq_ignore_ascii_case(b"\"error\"") {
                    self.decide(Classification::Suspect);
                } else if is_asked_for(self.operation, label) {
                    self.decide(Classification::Good);
                }
            }
            AnswerMember::Head => self.drifts |= token.kind != Kind::String,
            AnswerMember::Created => {
                self.drifts |= !is_seconds(token, self.text.read(token, chunk))
            }
            AnswerMember::Silent if token.kind != Kind::Null => self.drifts = true,
            AnswerMember::Usage if token.kind == Kind::BeginObject => {
                self.seen = Required::default();
                self.usage = Some(token.start..token.end);
                self.place = AnswerContainer::Usage;
            }
            AnswerMember::Usage | AnswerMember::Label
                if is_chat(self.operation)
                    && (token.kind != Kind::Null || self.member == AnswerMember::Label) =>
            {
                self.drifts = true;
            }
            AnswerMember::Error | AnswerMember::OwnError
                if says_something(token, self.text.read(token, chunk)) =>
            {
                self.drifts = true;
                self.decide(Classification::Suspect);
            }
            // Behind the choices the head may have gone: that is no reason to break off a good answer.
            AnswerMember::OwnError => {
                self.drifts |=
                    token.kind != Kind::Null && self.verdict == Classification::Undecided;
            }
            _ => {}
        }
    }
}

/// Whether a label says that this is what was asked for. A Response also says so that it has failed, which nobody is told of in the
/// answer to anything else.
fn is_asked_for(operation: Operation, label: &[u8]) -> bool {
    match operation {
        Operation::Responses => label == b"\"response\"",
        Operation::Messages => label == b"\"message\"",
        _ => false,
    }
}

/// A whole number that is no count of milliseconds.
fn is_seconds(token: Token, text: &[u8]) -> bool {
    token.kind == Kind::Number && text.len() < 12 && !text.contains(&b'.')
}

fn says_something(token: Token, text: &[u8]) -> bool {
    match token.kind {
        Kind::Null | Kind::False => false,
        Kind::String => text != b"\"\"",
        Kind::Number => text.iter().any(|byte| matches!(byte, b'1'..=b'9')),
        _ => true,
    }
}
