//! Who was asked for one request, attempt by attempt, and what came back. In two positions each attempt
//! leaves it as a note ([`super::Note::Attempts`]): the next one goes on writing it, and the listener's
//! instance reads there whether the answer that passes it is already as a client is to see it.
//!
//! `groq=429, vllm=200`; behind a status `?` says that the listener's instance is to reply in the answer's place,
//! `refused` in the place of one that the filter itself replied, `none` that no answer came (yet).

use std::fmt;

const OPEN: &str = "none";
const REPLIED: &str = "refused";
const BARE: char = '?';

/// The attempts so far, in order.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Trail(Vec<Attempted>);

/// One attempt.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Attempted {
    /// The provider's name.
    pub provider: String,
    pub end: AttemptEnd,
}

/// How an attempt ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum AttemptEnd {
    /// Not at all yet, or without an answer.
    Open,
    /// With an answer, which is as a client is to see it.
    Answered(u16),
    /// With an answer in whose place the listener's instance is to reply.
    Bare(u16),
    /// With a reply of the filter's own.
    Replied,
}

impl Trail {
    /// Reads a note; what is none is an empty trail.
    pub fn read(note: &[u8]) -> Self {
        let text = std::str::from_utf8(note).unwrap_or_default();
        Self(text.split(", ").filter_map(Attempted::read).collect())
    }

    /// A further attempt has begun: nobody replies in the place of the last one's answer any more.
    pub fn begin(&mut self, provider: &str) {
        if let Some(Attempted { end, .. }) = self.0.last_mut()
            && let AttemptEnd::Bare(status) = *end
        {
            *end = AttemptEnd::Answered(status);
        }
        self.0.push(Attempted { provider: provider.to_owned(), end: AttemptEnd::Open });
    }

    /// The last attempt has ended.
    pub fn end(&mut self, end: AttemptEnd) {
        if let Some(last) = self.0.last_mut() {
            last.end = end;
        }
    }

    pub fn last(&self) -> Option<&Attempted> {
        self.0.last()
    }

    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// The value of `<prefix>-attempts`; `None` for a single attempt.
    pub fn header(&self) -> Option<String> {
        if self.len() < 2 {
            return None;
        }
        Some(self.to_string().replace(BARE, ""))
    }
}

impl Attempted {
    fn read(text: &str) -> Option<Self> {
        let (provider, end) = text.split_once('=')?;
        let end = match (end, end.strip_suffix(BARE)) {
            (OPEN, _) => AttemptEnd::Open,
            (REPLIED, _) => AttemptEnd::Replied,
            (_, Some(status)) => AttemptEnd::Bare(status.parse().ok()?),
            (status, None) => AttemptEnd::Answered(status.parse().ok()?),
        };
        (!provider.is_empty()).then(|| Self { provider: provider.to_owned(), end })
    }
}

impl fmt::Display for Trail {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, Attempted { provider, end }) in self.0.iter().enumerate() {
            f.write_str(if index == 0 { "" } else { ", " })?;
            match end {
                AttemptEnd::Open => write!(f, "{provider}={OPEN}")?,
                AttemptEnd::Answered(status) => write!(f, "{provider}={status}")?,
                AttemptEnd::Bare(status) => write!(f, "{provider}={status}{BARE}")?,
                AttemptEnd::Replied => write!(f, "{provider}={REPLIED}")?,
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
        let mut trail = Trail::default();
        for (note, end) in [
            ("groq=none", AttemptEnd::Open),
            ("groq=none, a.b-c_d=429", AttemptEnd::Answered(429)),
            ("groq=none, a.b-c_d=429, vllm=503?", AttemptEnd::Bare(503)),
            ("groq=none, a.b-c_d=429, vllm=503, x=refused", AttemptEnd::Replied),
        ] {
            trail.begin(note.rsplit(", ").next().unwrap().split('=').next().unwrap());
            trail.end(end);
            assert_eq!(trail.to_string(), note);
            assert_eq!(Trail::read(note.as_bytes()), trail);
        }
        let header = "groq=none, a.b-c_d=429, vllm=503, x=refused";
        assert_eq!(trail.header().as_deref(), Some(header));
        assert_eq!(Trail::read(b"groq=200").header(), None);
        for none in [&b""[..], b"\xff", b"=200", b"groq=x", b"groq"] {
            assert_eq!(Trail::read(none), Trail::default());
        }
    }
}
