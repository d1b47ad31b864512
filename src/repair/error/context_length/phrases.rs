//! The phrases by which servers say that a context is exceeded, all looked for in one pass over a text.

use std::sync::LazyLock;

/// What a phrase says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Meaning {
    Limited,
    Passed,
    Idiom,
    Elsewhere,
    OtherInput,
}

/// Which of the tables have a phrase in a text.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) struct Meanings(u8);

impl Meanings {
    /// What a text says that is spelled as the tables are.
    pub(super) fn of(text: &str) -> Self {
        let text = text.as_bytes();
        let mut said = Self::default();
        for (at, pair) in text.windows(2).enumerate() {
            let &[first, second] = pair else { continue };
            if !INDEX.may_begin(first, second) {
                continue;
            }
            let rest = text.get(at..).unwrap_or_default();
            for (phrase, meaning) in INDEX.beginning_with(first) {
                if !said.has(*meaning) && rest.starts_with(phrase) {
                    said.0 |= 1 << *meaning as u8;
                }
            }
        }
        said
    }

    pub(super) fn has(self, meaning: Meaning) -> bool {
        self.0 >> meaning as u8 & 1 == 1
    }
}

/// The phrases by their first byte, and a filter of their first two in front of them.
struct PhraseIndex {
    /// A bit for each pair, as [`pair`] says.
    pairs: [u64; 64],
    /// For each first byte; all are ASCII.
    by_first: [Vec<(&'static [u8], Meaning)>; 128],
}

static INDEX: LazyLock<PhraseIndex> = LazyLock::new(|| {
    let mut index = PhraseIndex { pairs: [0; _], by_first: [const { Vec::new() }; _] };
    index.add(&LIMITED, Meaning::Limited);
    index.add(&PASSED, Meaning::Passed);
    index.add(&IDIOMS, Meaning::Idiom);
    index.add(&ELSEWHERE, Meaning::Elsewhere);
    index.add(&OTHER_INPUT, Meaning::OtherInput);
    index
});

impl PhraseIndex {
    fn add(&mut self, phrases: &[&'static str], meaning: Meaning) {
        for phrase in phrases {
            if let &[first, second, ..] = phrase.as_bytes()
                && let Some(same) = self.by_first.get_mut(usize::from(first))
            {
                let (word, bit) = pair(first, second);
                if let Some(word) = self.pairs.get_mut(word) {
                    *word |= bit;
                }
                same.push((phrase.as_bytes(), meaning));
            }
        }
    }

    #[inline]
    fn may_begin(&self, first: u8, second: u8) -> bool {
        let (word, bit) = pair(first, second);
        self.pairs.get(word).is_some_and(|word| word & bit != 0)
    }

    fn beginning_with(&self, first: u8) -> &[(&'static [u8], Meaning)] {
        self.by_first.get(usize::from(first)).map_or(&[], Vec::as_slice)
    }
}

/// The word and the bit of a pair. The lower six bits tell letters, spaces and parentheses apart; what they confuse is
/// compared in vain, no more.
#[inline]
fn pair(first: u8, second: u8) -> (usize, u64) {
    (usize::from(first & 63), 1 << (second & 63))
}

/// What is limited.
const LIMITED: [&str; 33] = [
    "context length",
    "context window",
    "context size",
    "context limit",
    "context budget",
    "maximum context",
    "max context",
    "n ctx",
    "model length",
    "model len",
    "model max length",
    "models max length",
    "max length of the model",
    "max seq len",
    "sequence length",
    "session len",
    "maximum prompt length",
    "max prompt length",
    "maximum input length",
    "max input length",
    "max input len",
    "max input tokens",
    "maximum input tokens",
    "input length limit",
    "model token limit",
    "models token limit",
    "token limit for this model",
    "tokens limit",
    "maximum number of tokens",
    "max num tokens",
    "maximum allowed length",
    "total number of tokens in the prompt",
    "tokens supported by the model",
];

/// That it was passed.
const PASSED: [&str; 32] = [
    "exceed",
    "longer than",
    "larger than",
    "greater than",
    "bigger than",
    "more than",
    "over the",
    "beyond",
    "too long",
    "too large",
    "too big",
    "too many",
    "reduce the",
    "shorter",
    "shorten",
    "must be <=",
    "must not be",
    "must have less",
    "not enough",
    "but the request contains",
    "but your",
    "but got",
    "however",
    "overflow",
    "supports up to",
    "not fit",
    "doesnt fit",
    "ran out of",
    "is full",
    "is not possible",
    "is just",
    " > ",
];

/// Both parts in one phrase.
const IDIOMS: [&str; 34] = [
    "prompt is too long",
    "prompt too long",
    "prompt is too large",
    "prompt is too big",
    "prompt exceeds",
    "input is too long",
    "input too long",
    "input was too long",
    "inputs are too long",
    "input is too large",
    "too large to process",
    "messages are too long",
    "message was too long",
    "conversation is too long",
    "input token length too long",
    "too many input tokens",
    "too many prompt tokens",
    "too many tokens:",
    "too many tokens in",
    "input tokens exceed",
    "prompt tokens exceed",
    "input length exceeds",
    "input exceeds",
    "prompt length exceeds",
    "reduce the length of the",
    "reduce the length of your",
    "reduce the input token count",
    "reduce the number of input tokens",
    "inputs must have less than",
    "inputs tokens + max new tokens",
    "range of input length should be",
    "prompt token count of",
    "trying to keep the first",
    "context overflow",
];

/// Limits on something else that is counted in tokens: a rate, a quota, a server's memory, a parameter of
/// its own.
const ELSEWHERE: [&str; 16] = [
    "per minute",
    "per day",
    "per hour",
    "per month",
    "(tpm)",
    "(rpm)",
    "rate limit",
    "quota",
    "daily",
    "billing",
    "kv cache",
    "truncate prompt tokens",
    "truncation size",
    "maximum allowed batch size",
    "stop sequences",
    "derived max model len",
];

/// What an idiom may be about instead; beside one of [`LIMITED`] these are parts of the prompt.
const OTHER_INPUT: [&str; 8] =
    ["image", "audio", "file", "video", "bytes", "characters", "array", "schema"];

#[cfg(test)]
mod tests {
    use super::*;
    use crate::test;

    #[test]
    fn every_phrase_is_found_wherever_it_stands() {
        for (table, meaning) in [
            (&LIMITED[..], Meaning::Limited),
            (&PASSED, Meaning::Passed),
            (&IDIOMS, Meaning::Idiom),
            (&ELSEWHERE, Meaning::Elsewhere),
            (&OTHER_INPUT, Meaning::OtherInput),
        ] {
            for phrase in table {
                for text in [(*phrase).to_owned(), format!("é{phrase}"), format!("x {phrase}.")] {
                    assert!(Meanings::of(&text).has(meaning), "{text}");
                }
            }
        }
    }

    /// One pass says what a search for each phrase says.
    #[test]
    fn one_pass_says_what_each_search_says() {
        let all: Vec<&str> = [&LIMITED[..], &PASSED, &IDIOMS, &ELSEWHERE, &OTHER_INPUT].concat();
        for (at, phrase) in all.iter().enumerate() {
            let other = all.get((at * 7 + 3) % all.len()).unwrap();
            for text in [
                format!("{phrase}{other}"),
                format!("{} {other}", phrase.get(1..).unwrap()),
                phrase.get(..phrase.len() - 1).unwrap().to_owned(),
            ] {
                let said = Meanings::of(&text);
                let says = |table: &[&str]| table.iter().any(|phrase| text.contains(phrase));
                assert_eq!(said.has(Meaning::Limited), says(&LIMITED), "{text}");
                assert_eq!(said.has(Meaning::Passed), says(&PASSED), "{text}");
                assert_eq!(said.has(Meaning::Idiom), says(&IDIOMS), "{text}");
                assert_eq!(said.has(Meaning::Elsewhere), says(&ELSEWHERE), "{text}");
                assert_eq!(said.has(Meaning::OtherInput), says(&OTHER_INPUT), "{text}");
            }
        }
    }
}
