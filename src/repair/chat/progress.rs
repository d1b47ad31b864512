//! What each choice of an answer has said so far.
//!
//! Some servers end a stream with the whole message, or send a message that grows: what was said already
//! must not be said again. Texts are not kept for that: their length and their last bytes tell whether
//! another text begins with them.

use sha2::{Digest, Sha256};

use crate::telemetry::counters::Repairs;

use super::calls::CallTracker;

/// Choices of one answer that are told apart. Nobody asks for so many.
const MAX_CHOICES: usize = 1024;

/// A text as far as it was sent: what stands between the quotes of JSON strings, escapes and all.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(in super::super) struct Sent {
    bytes: u64,
    /// The last eight bytes, the newest lowest.
    tail: u64,
}

/// How a whole text relates to what was sent of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in super::super) enum Beyond<'a> {
    /// It begins with it, and goes on like this (maybe with nothing).
    More(&'a [u8]),
    /// It is another text, or the same one written in another way.
    Unrelated,
}

impl Sent {
    #[inline]
    pub(in super::super) fn add(&mut self, inner: &[u8]) {
        self.bytes = self.bytes.wrapping_add(inner.len() as u64);
        if let Some(last) = inner.last_chunk() {
            self.tail = u64::from_be_bytes(*last);
            return;
        }
        // Pieces are short: two loads that overlap, instead of a loop.
        let (bits, value) = match (inner.first_chunk(), inner.last_chunk()) {
            (Some(first), Some(last)) => {
                let over = inner.len() - 4;
                let first = u64::from(u32::from_be_bytes(*first));
                (inner.len(), (first << (8 * over)) | u64::from(u32::from_be_bytes(*last)))
            }
            _ => (inner.len(), inner.iter().fold(0, |value, byte| (value << 8) | u64::from(*byte))),
        };
        self.tail = (self.tail << (8 * bits)) | value;
    }

    pub(in super::super) fn is_empty(self) -> bool {
        self.bytes == 0
    }

    pub(in super::super) fn ends_with(self, byte: u8) -> bool {
        !self.is_empty() && self.tail.to_be_bytes().last() == Some(&byte)
    }

    pub(in super::super) fn beyond(self, whole: &[u8]) -> Beyond<'_> {
        let parts = usize::try_from(self.bytes).ok().and_then(|len| whole.split_at_checked(len));
        let Some((said, more)) = parts else { return Beyond::Unrelated };
        let mut same = Self::default();
        same.add(said);
        // An escape may not be torn apart.
        let is_text = crate::wire::json::string::decode(more).is_some();
        if same == self && is_text { Beyond::More(more) } else { Beyond::Unrelated }
    }
}

/// What one choice has said.
#[derive(Debug, Default)]
pub(in super::super) struct ChoiceProgress {
    index: u64,
    pub(in super::super) content: Sent,
    pub(in super::super) reasoning: Sent,
    /// A delta has come. Until then, each `message` may be a piece or all there is so far.
    pub(in super::super) has_deltas: bool,
    /// It has ended, and said nothing since.
    finished: bool,
}

impl ChoiceProgress {
    /// Whether it has said anything.
    pub(in super::super) fn has_said(&self) -> bool {
        !self.content.is_empty() || !self.reasoning.is_empty()
    }

    /// A delta of it has come that said this.
    #[inline]
    pub(in super::super) fn go_on(&mut self, content: &[u8], reasoning: &[u8]) {
        self.has_deltas = true;
        self.say(content, reasoning);
    }

    #[inline]
    pub(in super::super) fn say(&mut self, content: &[u8], reasoning: &[u8]) {
        if !content.is_empty() {
            self.content.add(content);
            self.finished = false;
        }
        if !reasoning.is_empty() {
            self.reasoning.add(reasoning);
            self.finished = false;
        }
    }
}

/// An answer as far as it has come.
#[derive(Debug, Default)]
pub(in super::super) struct Progress {
    choices: Vec<ChoiceProgress>,
    /// The one that was told of last.
    latest: usize,
    pub(in super::super) calls: CallTracker,
    /// What had to be repaired.
    pub(in super::super) repairs: Repairs,
    /// Token counts have come that were all zero, and leave as null.
    pub(in super::super) counts_zero: bool,
    /// Makes an id for an answer that has none: a digest of its first chunk.
    seed: Option<[u8; 32]>,
}

impl Progress {
    /// The choice with this index; `None` if there are too many.
    #[inline]
    pub(in super::super) fn choice(&mut self, index: u64) -> Option<&mut ChoiceProgress> {
        // Nearly always there is one, or the same is told of again.
        if self.choices.get(self.latest).is_none_or(|latest| latest.index != index) {
            self.latest = self.place(index)?;
        }
        self.choices.get_mut(self.latest)
    }

    #[cold]
    fn place(&mut self, index: u64) -> Option<usize> {
        let known = self.choices.iter().position(|choice| choice.index == index);
        if known.is_none() && self.choices.len() < MAX_CHOICES {
            self.choices.push(ChoiceProgress { index, ..ChoiceProgress::default() });
            return self.choices.len().checked_sub(1);
        }
        known
    }

    /// What makes the answer's id where it has none: the same for every chunk.
    pub(in super::super) fn seed(&mut self, chunk: &[u8]) -> [u8; 32] {
        *self.seed.get_or_insert_with(|| Sha256::digest(chunk).into())
    }

    /// Whether any choice was told of.
    pub(in super::super) fn has_choices(&self) -> bool {
        !self.choices.is_empty()
    }

    /// A choice has its finish reason. `stops`: it says `stop`, which some servers say where the
    /// reasoning ends and the text begins.
    #[inline]
    pub(in super::super) fn finish(&mut self, index: u64, stops: bool) {
        let has_calls = self.calls.has_any(index);
        if let Some(choice) = self.choice(index) {
            let only_reasoned = choice.content.is_empty() && !choice.reasoning.is_empty();
            choice.finished = !(stops && only_reasoned && !has_calls);
        }
    }

    /// Whether as many choices as were asked for have ended, and none has gone on since.
    pub(in super::super) fn is_settled(&self, asked: u64) -> bool {
        let finished = self.choices.iter().filter(|choice| choice.finished).count();
        finished as u64 >= asked && finished == self.choices.len()
    }
}
