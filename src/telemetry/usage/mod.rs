//! The tokens of an exchange: what its answer said of them, or what is estimated where it said nothing.

mod events;
mod meter;
pub mod names;
mod payload;
mod repeated;
mod request;
mod tally;
mod text;
mod tokens;

use std::fmt;

pub use meter::Meter;
pub use request::{RequestText, has_text, writes_text};
pub use text::TextLength;
pub use tokens::{NoCount, Tokens, ToldCounts};

/// Bytes of text that are taken for one token where nobody counted.
pub const BYTES_A_TOKEN: u64 = 4;

/// The tokens of `bytes` bytes of text where nobody counted: where there is text, one at least.
#[must_use]
pub fn tokens_of(bytes: u64) -> u64 {
    if bytes == 0 { 0 } else { (bytes / BYTES_A_TOKEN).max(1) }
}

/// Who counted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Source {
    /// The server: its answer had usage.
    Upstream,
    /// Nobody: bytes of text by [`BYTES_A_TOKEN`].
    Estimated,
}

impl Source {
    /// The value of `gateway_usage_source`.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Upstream => "upstream",
            Self::Estimated => "estimated",
        }
    }

    /// The source of a name that [`Self::as_str`] gave.
    #[must_use]
    pub fn from_name(name: &str) -> Option<Self> {
        [Self::Upstream, Self::Estimated].into_iter().find(|source| source.as_str() == name)
    }
}

/// The tokens of one exchange.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Counts {
    /// Of the request, those from a cache among them.
    pub input: u64,
    /// Of the answer, thoughts among them.
    pub output: u64,
    /// Of `input`, those that came from the server's cache.
    pub cached: u64,
    /// Both.
    pub total: u64,
    /// Who counted.
    pub source: Source,
}

/// What has been found of an answer's tokens. Written as a note it is `source input output cached total`, with `-` for
/// what was not told.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Reading {
    /// Tokens of the request, where the answer told them.
    pub input: Option<u64>,
    /// Tokens of the answer.
    pub output: u64,
    /// Of the request's, those that came from the server's cache.
    pub cached: u64,
    /// All, where the answer told them.
    pub total: Option<u64>,
    /// Who counted.
    pub source: Source,
}

impl Reading {
    /// Of an answer that told nothing, of which `text` bytes have been sent.
    #[must_use]
    pub fn estimated(text: u64) -> Self {
        let output = tokens_of(text);
        Self { input: None, output, cached: 0, total: None, source: Source::Estimated }
    }

    /// The counts of an exchange whose request is estimated to have `input` tokens.
    #[must_use]
    pub fn counts(self, input: u64) -> Counts {
        let Self { output, cached, source, .. } = self;
        let input = self.input.unwrap_or(input);
        let total = self.total.unwrap_or_else(|| input.saturating_add(output));
        Counts { input, output, cached, total, source }
    }

    /// Reads a note; `None` where it is none.
    #[must_use]
    pub fn read(note: &[u8]) -> Option<Self> {
        let mut parts = std::str::from_utf8(note).ok()?.split(' ');
        let source = Source::from_name(parts.next()?)?;
        let mut count = || match parts.next()? {
            "-" => Some(None),
            count => count.parse().ok().map(Some),
        };
        let (input, output, cached, total) = (count()?, count()??, count()??, count()?);
        Some(Self { input, output, cached, total, source })
    }
}

impl fmt::Display for Reading {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.source.as_str())?;
        for count in [self.input, Some(self.output), Some(self.cached), self.total] {
            match count {
                Some(count) => write!(f, " {count}")?,
                None => f.write_str(" -")?,
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::test;

    #[test]
    fn notes_round_trip() {
        for (note, reading) in [
            ("estimated - 2 0 -", Reading::estimated(9)),
            (
                "upstream 7 2 5 11",
                Reading {
                    input: Some(7),
                    output: 2,
                    cached: 5,
                    total: Some(11),
                    source: Source::Upstream,
                },
            ),
        ] {
            assert_eq!(reading.to_string(), note);
            assert_eq!(Reading::read(note.as_bytes()), Some(reading));
        }
        for none in ["", "upstream", "x 1 2 3 4", "upstream 1 - 3 4", "upstream 1 2 3"] {
            assert_eq!(Reading::read(none.as_bytes()), None, "{none}");
        }
    }

    #[test]
    fn what_was_not_told_is_estimated() {
        let counts = Reading::estimated(9).counts(4);
        assert_eq!((counts.input, counts.output, counts.total), (4, 2, 6));
        let told = Reading { input: Some(1), total: Some(9), ..Reading::estimated(4) };
        assert_eq!((told.counts(4).input, told.counts(4).total), (1, 9));
    }
}
