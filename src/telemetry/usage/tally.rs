//! How much text an answer has said, by where it stood: some of it may have been said twice.

/// Texts that are counted each for itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Voice {
    Said,
    /// The same thoughts may stand under two names.
    Reasoning,
    ReasoningContent,
    /// All that an answer says: events may have said it before.
    Whole,
    /// What an event adds, unless its type says that it is audio.
    Delta,
}

/// Bytes of text, by where they stood.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) struct TextTally {
    said: u64,
    reasoning: u64,
    reasoning_content: u64,
    whole: u64,
    delta: u64,
}

impl TextTally {
    pub(super) fn add(&mut self, voice: Voice, bytes: u64) {
        let count = match voice {
            Voice::Said => &mut self.said,
            Voice::Reasoning => &mut self.reasoning,
            Voice::ReasoningContent => &mut self.reasoning_content,
            Voice::Whole => &mut self.whole,
            Voice::Delta => &mut self.delta,
        };
        *count = count.saturating_add(bytes);
    }

    /// What events add is no text (audio).
    pub(super) fn leave_out_deltas(&mut self) {
        self.delta = 0;
    }

    /// With what a further payload of the same answer says.
    pub(super) fn and(self, other: Self) -> Self {
        Self {
            said: self.said.saturating_add(other.said),
            reasoning: self.reasoning.saturating_add(other.reasoning),
            reasoning_content: self.reasoning_content.saturating_add(other.reasoning_content),
            whole: self.whole.max(other.whole),
            delta: self.delta.saturating_add(other.delta),
        }
    }

    /// Bytes of text, each counted once.
    pub(super) fn bytes(self) -> u64 {
        let thoughts = self.reasoning.max(self.reasoning_content);
        [self.said, thoughts, self.delta].into_iter().fold(0, u64::saturating_add).max(self.whole)
    }
}
