//! Good answers as they have come before. The next one of the same server nearly always has the same members in the same
//! order, with other texts and counts in them: one comparison then says that it is good, and nothing is read member by
//! member.
//!
//! A [`Shape`] is an answer that [`Peek`](super::peek::Peek) has read to its end and found good, with gaps where an answer
//! may differ and is good all the same: texts of which Peek asks nothing but that they are texts, and counts of which it asks
//! nothing but that they are counts. All else must be there byte for byte.

use std::cell::{Cell, RefCell};
use std::ops::Range;

use super::error::has_ended;
use super::peek::is_chat;
use super::usage;
use crate::policy::operation::Operation;
use crate::wire::bytes::{is_same, is_utf8};
use crate::wire::json::cursor::{Key, Value, checked_object};
use crate::wire::json::tokenizer::{Kind, string_end};

#[cfg(all(test, not(target_arch = "wasm32")))]
mod laws;
#[cfg(test)]
mod tests;

/// How many shapes a worker keeps.
const MOST_SHAPES: usize = 8;
/// Once there are so many, one in so many good answers of no known shape leaves its own: where no two answers are alike, to
/// keep each would cost more than to read it.
const KEPT_ONE_IN: u32 = 16;
/// How many bytes a shape has at the most, gaps aside.
const MOST_BYTES: usize = 4096;
/// How many gaps a shape has at the most.
const MOST_GAPS: usize = 64;
/// How many digits a count of tokens has at the most.
const COUNT_DIGITS: usize = 15;
/// How many digits a time in seconds has at the most: one in milliseconds has more.
const SECONDS_DIGITS: usize = 11;

/// What may stand in a gap.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Gap {
    /// A text, up to its closing quote.
    Text,
    /// The same with at least one byte.
    Name,
    /// A whole number of so many digits at the most.
    Digits(usize),
    /// Nothing: here `usage` begins, of a server that counts cached tokens.
    UsageBegins,
    /// Nothing: here it ends.
    UsageEnds,
}

impl Gap {
    /// How many bytes at the start of `rest` fill the gap.
    #[inline]
    fn filled(self, rest: &[u8]) -> Option<usize> {
        match self {
            Self::Text | Self::Name => {
                let length = string_end(rest)?;
                let is_right =
                    (length > 0 || self == Self::Text) && rest.get(..length).is_some_and(is_utf8);
                is_right.then_some(length)
            }
            Self::Digits(most) => {
                let length = rest.iter().take(most + 1).position(|byte| !byte.is_ascii_digit())?;
                let is_right = length == 1 || (length > 1 && rest.first() != Some(&b'0'));
                is_right.then_some(length)
            }
            Self::UsageBegins | Self::UsageEnds => Some(0),
        }
    }
}

/// A good answer that is known without being read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct KnownAnswer {
    /// Its usage tells of cached tokens.
    pub cached: bool,
    /// How many choices it has, where it is one to chat or completions.
    pub choices: u32,
    /// One of them says how it ended.
    pub has_ended: bool,
}

/// A good answer with gaps.
#[derive(Debug)]
struct Shape {
    operation: Operation,
    /// The answer without what stood in its gaps.
    fixed: Vec<u8>,
    /// The gaps in order, each with how many bytes of `fixed` come before it.
    gaps: Vec<(usize, Gap)>,
    choices: u32,
    /// One of its choices has a finish reason, which is not in a gap.
    has_ended: bool,
    /// It has been met since somebody looked for one that may go.
    is_in_use: Cell<bool>,
}

impl Shape {
    /// Of a good `answer` with nothing but white space around it. `None`: too much of it is its own.
    fn of(operation: Operation, answer: &[u8], choices: u32) -> Option<Self> {
        let root = checked_object(answer);
        let is_usage = |(key, _): &(Key<'_>, Value<'_>)| key.inner() == b"usage";
        if root.members().filter(is_usage).count() > 1 {
            return None;
        }
        let mut open = Vec::with_capacity(16);
        for (key, value) in root.members() {
            open_root(&mut open, operation, key.inner(), &value);
        }
        let mut shape = Self {
            operation,
            fixed: Vec::with_capacity(answer.len().min(MOST_BYTES)),
            gaps: Vec::with_capacity(open.len()),
            choices,
            has_ended: root.get("choices").is_some_and(|choices| has_ended(&choices)),
            is_in_use: Cell::new(false),
        };
        let mut at = 0;
        for (span, gap) in open {
            let before = answer.get(at..span.start)?;
            // A value that no gap takes would not be met again.
            if gap.filled(answer.get(span.start..)?)? != span.len() {
                return None;
            }
            shape.add(before)?;
            shape.gaps.push((before.len(), gap));
            at = span.end;
        }
        shape.add(answer.get(at..)?)?;
        (shape.gaps.len() <= MOST_GAPS).then_some(shape)
    }

    fn add(&mut self, fixed: &[u8]) -> Option<()> {
        self.fixed.extend_from_slice(fixed);
        (self.fixed.len() <= MOST_BYTES).then_some(())
    }

    /// What is known of `answer`, if this is its shape.
    fn meet(&self, answer: &[u8]) -> Option<KnownAnswer> {
        let (mut fixed, mut rest) = (&*self.fixed, answer);
        let (mut begins, mut cached) = (0, false);
        for &(length, gap) in &self.gaps {
            let (want, later) = fixed.split_at_checked(length)?;
            let (before, from) = rest.split_at_checked(length)?;
            if !is_same(before, want) {
                return None;
            }
            let at = answer.len() - from.len();
            match gap {
                Gap::UsageBegins => begins = at,
                Gap::UsageEnds => cached = usage::cached(&checked_object(answer.get(begins..at)?)),
                _ => {}
            }
            fixed = later;
            rest = from.get(gap.filled(from)?..)?;
        }
        is_same(rest, fixed).then_some(KnownAnswer {
            cached,
            choices: self.choices,
            has_ended: self.has_ended,
        })
    }
}

/// The gaps of an answer, where they stand.
type Open = Vec<(Range<usize>, Gap)>;

/// Opens `value`, if it is what `gap` takes.
fn open_value(open: &mut Open, gap: Gap, value: &Value<'_>) {
    let span = value.span();
    match (gap, value.kind) {
        (Gap::Text, Kind::String) => open.push((span.start + 1..span.end.saturating_sub(1), gap)),
        // An empty one is judged as such, and stays.
        (Gap::Name, Kind::String) if !value.inner().is_empty() => {
            open.push((span.start + 1..span.end.saturating_sub(1), gap));
        }
        (Gap::Digits(_), Kind::Number) if value.raw().iter().all(u8::is_ascii_digit) => {
            open.push((span, gap));
        }
        _ => {}
    }
}

/// Opens what may differ in a member of an answer to `operation`. Names are compared as they are written, as Peek does it.
fn open_root(open: &mut Open, operation: Operation, name: &[u8], value: &Value<'_>) {
    match name {
        b"id" | b"model" | b"system_fingerprint" => open_value(open, Gap::Text, value),
        b"created" | b"created_at" | b"completed_at" => {
            open_value(open, Gap::Digits(SECONDS_DIGITS), value);
        }
        b"choices" => {
            for (key, value) in value.elements().flat_map(|choice| choice.members()) {
                open_choice(open, operation, key.inner(), &value);
            }
        }
        // Of Responses and Messages nothing below is judged.
        b"output" | b"content" if !is_chat(operation) => open_texts(open, value),
        b"usage" => {
            let counts_cached = usage::counts_cached(value);
            let span = value.span();
            if counts_cached {
                open.push((span.start..span.start, Gap::UsageBegins));
            }
            open_counts(open, value);
            if counts_cached {
                open.push((span.end..span.end, Gap::UsageEnds));
            }
        }
        _ => {}
    }
}

fn open_choice(open: &mut Open, operation: Operation, name: &[u8], value: &Value<'_>) {
    match (operation, name) {
        (Operation::Completions, b"text") => open_value(open, Gap::Text, value),
        (Operation::ChatCompletions, b"message") => {
            for (key, value) in value.members() {
                match key.inner() {
                    b"content" | b"reasoning_content" | b"reasoning" | b"refusal" => {
                        open_value(open, Gap::Text, &value);
                    }
                    b"tool_calls" => value.elements().for_each(|call| open_call(open, &call)),
                    _ => {}
                }
            }
        }
        _ => {}
    }
}

fn open_call(open: &mut Open, call: &Value<'_>) {
    for (key, value) in call.members() {
        match key.inner() {
            b"id" => open_value(open, Gap::Name, &value),
            b"function" => {
                let arguments = value.members().filter(|(key, _)| key.inner() == b"arguments");
                arguments.for_each(|(_, value)| open_value(open, Gap::Text, &value));
            }
            _ => {}
        }
    }
}

/// Opens the texts and ids of the items of a Response or Message, and of their parts.
fn open_texts(open: &mut Open, items: &Value<'_>) {
    for item in items.elements() {
        for (key, value) in item.members() {
            match key.inner() {
                b"id" | b"text" | b"arguments" | b"call_id" => open_value(open, Gap::Text, &value),
                b"content" => {
                    for (key, value) in value.elements().flat_map(|part| part.members()) {
                        if key.inner() == b"text" {
                            open_value(open, Gap::Text, &value);
                        }
                    }
                }
                _ => {}
            }
        }
    }
}

/// Opens the counts of `usage` and of the details in it.
fn open_counts(open: &mut Open, usage: &Value<'_>) {
    for (_, value) in usage.members() {
        match value.kind {
            Kind::BeginObject => {
                for (_, value) in value.members() {
                    open_value(open, Gap::Digits(COUNT_DIGITS), &value);
                }
            }
            _ => open_value(open, Gap::Digits(COUNT_DIGITS), &value),
        }
    }
}

/// The shapes that a worker has met last.
#[derive(Debug, Default)]
pub struct Shapes {
    kept: RefCell<Vec<Shape>>,
    /// Where to look first for one that may go.
    next: Cell<usize>,
    /// How many answers of no known shape have come.
    unknown: Cell<u32>,
}

impl Shapes {
    /// What is known of `answer`, where one of the same shape was good.
    #[must_use]
    pub fn known(&self, operation: Operation, answer: &[u8]) -> Option<KnownAnswer> {
        self.kept.borrow().iter().find_map(|shape| {
            let known = (shape.operation == operation).then(|| shape.meet(answer))??;
            shape.is_in_use.set(true);
            Some(known)
        })
    }

    /// Sees an `answer` of no known shape that [`Peek`](super::peek::Peek) has found good from the first byte to the last, with
    /// so many `choices`, and may keep its shape. One goes for it that nothing has met since it was looked at last.
    pub fn see(&self, operation: Operation, answer: &[u8], choices: u32) {
        let mut kept = self.kept.borrow_mut();
        let before = self.unknown.replace(self.unknown.get().wrapping_add(1));
        if kept.len() < MOST_SHAPES {
            kept.extend(Shape::of(operation, answer, choices));
            return;
        }
        if !before.is_multiple_of(KEPT_ONE_IN) {
            return;
        }
        for _ in 0..MOST_SHAPES {
            let at = self.next.replace((self.next.get() + 1) % MOST_SHAPES);
            if let Some(old) = kept.get_mut(at)
                && !old.is_in_use.replace(false)
            {
                if let Some(shape) = Shape::of(operation, answer, choices) {
                    *old = shape;
                }
                return;
            }
        }
    }
}
