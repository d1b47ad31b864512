//! Counts an answer while it goes to the client.

use super::events::EventReader;
use super::payload::{PayloadFacts, PayloadReader};
use super::tally::TextTally;
use super::tokens::{Tokens, ToldCounts};
use super::{Reading, Source, tokens_of, writes_text};
use crate::policy::operation::Operation;

/// How the answer is written.
#[derive(Debug, Default)]
enum AnswerForm {
    /// Nobody asks.
    #[default]
    Off,
    /// Its first bytes, as long as they tell nothing.
    Unknown(Vec<u8>),
    Json(Box<PayloadReader>),
    Events(Box<EventReader>),
    /// Text, or something that nobody can read: all of it counts.
    Plain(u64),
}

/// What lines of an event stream begin with.
const FIELDS: [&[u8]; 5] = [b"data:", b"event:", b"id:", b"retry:", b":"];
const MARK: &[u8] = b"\xEF\xBB\xBF";

/// Bytes of text that a server may hold back after it has counted them (part of a character, what may be a stop sequence).
const MOST_WAITING: u64 = 256;
/// No text has tokens of more bytes than that, one with the other.
const MOST_BYTES_A_TOKEN: u64 = 16;

/// What the payloads of an answer have said.
#[derive(Debug, Clone, Copy, Default)]
struct AnswerFacts {
    text: TextTally,
    tokens: Option<Tokens>,
    /// Bytes of text when the answer's tokens were counted last.
    counted_at: u64,
    /// The most tokens of the answer that were told so far, and the bytes of text then.
    most: u64,
    most_at: u64,
    failed: bool,
    /// Token counts were told that are none, or did not grow with the text.
    miscounted: bool,
}

impl AnswerFacts {
    fn add(&mut self, payload: PayloadFacts) {
        self.text = self.text.and(payload.text);
        self.failed |= payload.failed;
        self.miscounted |= payload.miscounted;
        if let Some(later) = payload.tokens {
            self.tokens.get_or_insert_default().update(&later);
            if let Some(output) = later.told().output.filter(|output| *output > 0) {
                self.count(output);
            }
        }
    }

    /// The answer is told to have `output` tokens so far.
    fn count(&mut self, output: u64) {
        let bytes = self.text.bytes();
        if output > self.most {
            (self.most, self.most_at) = (output, bytes);
        }
        // Some text may have waited in the server, or all of it was counted before. Else each count is of its piece alone.
        let is_whole = bytes.saturating_sub(self.most_at) <= MOST_WAITING
            || bytes / MOST_BYTES_A_TOKEN <= output;
        self.miscounted |= !is_whole;
        self.counted_at = if is_whole { bytes } else { self.most_at };
    }
}

/// Reads an answer for its tokens, as it goes to the client (chat: before it becomes a Response or a Message). What is
/// counted depends on the bytes alone, not on how they are cut.
#[derive(Debug, Default)]
pub struct Meter {
    form: AnswerForm,
    /// Text in the answer is what was generated.
    generates: bool,
    seen: AnswerFacts,
}

impl Meter {
    /// An answer to this operation begins. Before, nothing is read.
    pub fn begin(&mut self, operation: Operation) {
        self.form = AnswerForm::Unknown(Vec::new());
        let is_transcript =
            matches!(operation, Operation::Transcriptions | Operation::Translations);
        self.generates = is_transcript || writes_text(operation);
    }

    /// Whether more of the answer may tell more.
    #[must_use]
    pub fn reads(&self) -> bool {
        match self.form {
            AnswerForm::Off => false,
            AnswerForm::Plain(_) => self.generates,
            AnswerForm::Unknown(_) | AnswerForm::Json(_) | AnswerForm::Events(_) => true,
        }
    }

    /// Reads the next bytes that leave.
    #[inline]
    pub fn push(&mut self, bytes: &[u8]) {
        if self.reads() {
            self.read(bytes);
        }
    }

    fn read(&mut self, bytes: &[u8]) {
        match &mut self.form {
            AnswerForm::Off => {}
            AnswerForm::Json(payload) => payload.push(bytes),
            AnswerForm::Plain(count) => *count = count.saturating_add(bytes.len() as u64),
            AnswerForm::Events(events) => events.push(bytes, |payload| self.seen.add(payload)),
            AnswerForm::Unknown(first) if first.is_empty() => {
                let text = behind_lead(bytes);
                match form(text) {
                    Some(form) => {
                        self.form = form;
                        self.read(text);
                    }
                    None => first.extend_from_slice(text),
                }
            }
            AnswerForm::Unknown(first) => {
                first.extend_from_slice(bytes);
                let first = std::mem::take(first);
                self.read(&first);
            }
        }
    }

    /// The answer counts zero tokens, which does not show in what leaves.
    pub fn count_zero(&mut self) {
        self.seen.tokens.get_or_insert(Tokens::ZERO);
    }

    /// The answer is an error: nothing of it counts, unless there was text before.
    pub fn void(&mut self) {
        self.seen.failed = true;
    }

    fn facts(&self) -> AnswerFacts {
        let mut seen = self.seen;
        match &self.form {
            AnswerForm::Json(payload) => seen.add(payload.facts()),
            AnswerForm::Events(events) => seen.add(events.facts()),
            AnswerForm::Plain(_) | AnswerForm::Unknown(_) | AnswerForm::Off => {}
        }
        seen
    }

    fn said(&self, seen: &AnswerFacts) -> u64 {
        match &self.form {
            _ if !self.generates => 0,
            AnswerForm::Plain(count) => *count,
            _ => seen.text.bytes(),
        }
    }

    /// Whether the answer tells token counts that can't be: no numbers, zeros beside a text, parts that are more than their
    /// whole, counts that stand still while the text goes on.
    #[must_use]
    pub fn is_miscounted(&self) -> bool {
        let seen = self.facts();
        let said = self.said(&seen);
        let is_wrong = |tokens: Tokens| tokens.told().contradicts || (tokens.is_zero() && said > 0);
        seen.miscounted || seen.tokens.is_some_and(is_wrong)
    }

    /// What has been found so far; `None` for an answer that costs nothing.
    #[must_use]
    pub fn reading(&self) -> Option<Reading> {
        let seen = self.facts();
        let said = self.said(&seen);
        if seen.failed && said == 0 {
            return None;
        }
        let tokens = seen.tokens.filter(|tokens| !(tokens.is_zero() && said > 0));
        Some(reading(tokens, said, said > seen.counted_at))
    }
}

/// An answer without what may stand before it: white space, which keeps connections alive, and byte order marks.
fn behind_lead(mut text: &[u8]) -> &[u8] {
    loop {
        text = text.trim_ascii_start();
        match text.strip_prefix(MARK) {
            Some(rest) => text = rest,
            None => return text,
        }
    }
}

/// How an answer is written that begins so; `None` where more has to come.
fn form(text: &[u8]) -> Option<AnswerForm> {
    match text.first()? {
        b'{' | b'[' => Some(AnswerForm::Json(Box::default())),
        _ if FIELDS.iter().any(|field| text.starts_with(field)) => {
            Some(AnswerForm::Events(Box::new(EventReader::new())))
        }
        _ if MARK.starts_with(text) || FIELDS.iter().any(|field| field.starts_with(text)) => None,
        _ => Some(AnswerForm::Plain(0)),
    }
}

/// What an answer costs that said `said` bytes of text. `goes_on`: some of it after its tokens were counted.
fn reading(tokens: Option<Tokens>, said: u64, goes_on: bool) -> Reading {
    let estimate = tokens_of(said);
    let Some(tokens) = tokens else { return Reading::estimated(said) };
    let ToldCounts { input, output, total, cached, thoughts, .. } = tokens.told();
    let is_counted = output.is_some_and(|output| output > 0) && !goes_on;
    let output = match output {
        Some(output) if is_counted || said == 0 => output,
        Some(output) => output.max(estimate),
        None => estimate.max(thoughts),
    };
    // A total alone.
    let input = input.or(total.map(|total| total.saturating_sub(output)));
    let source = match input {
        Some(_) if is_counted || said == 0 => Source::Upstream,
        _ => Source::Estimated,
    };
    let total = input
        .filter(|_| source == Source::Upstream)
        .map(|input| total.unwrap_or(0).max(input.saturating_add(output)));
    Reading { input, output, cached, total, source }
}

#[cfg(test)]
mod tests;
