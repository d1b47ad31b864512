//! Who was asked for one request, attempt by attempt, and what came back. In two positions each attempt
//! leaves it as a note ([`super::Note::Attempts`]): the next one goes on writing it, and the listener's
//! instance reads there whether the answer that passes it is already as a client is to see it.
//!
//! `groq=429, vllm=200`; behind a status `?` says that the listener's instance is to reply in the answer's place,
//! `!` in the place of one that the filter itself replied, nothing that no answer came (yet).

use std::fmt::{self, Write as _};

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

    /// A further attempt has begun.
    pub fn begin(&mut self, provider: &str) {
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
        let shown = self.0.iter().map(|Attempted { provider, end }| match end {
            AttemptEnd::Answered(status) | AttemptEnd::Bare(status) => {
                format!("{provider}={status}")
            }
            AttemptEnd::Open => format!("{provider}=none"),
            AttemptEnd::Replied => format!("{provider}=refused"),
        });
        Some(shown.collect::<Vec<_>>().join(", "))
    }
}

impl Attempted {
    fn read(text: &str) -> Option<Self> {
        let (provider, end) = match text.split_once('=') {
            None => match text.strip_suffix('!') {
                Some(provider) => (provider, AttemptEnd::Replied),
                None => (text, AttemptEnd::Open),
            },
            Some((provider, status)) => match status.strip_suffix('?') {
                Some(status) => (provider, AttemptEnd::Bare(status.parse().ok()?)),
                None => (provider, AttemptEnd::Answered(status.parse().ok()?)),
            },
        };
        (!provider.is_empty()).then(|| Self { provider: provider.to_owned(), end })
    }
}

impl fmt::Display for Trail {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, Attempted { provider, end }) in self.0.iter().enumerate() {
            f.write_str(if index == 0 { "" } else { ", " })?;
            f.write_str(provider)?;
            match end {
                AttemptEnd::Open => {}
                AttemptEnd::Answered(status) => write!(f, "={status}")?,
                AttemptEnd::Bare(status) => write!(f, "={status}?")?,
                AttemptEnd::Replied => f.write_char('!')?,
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
            ("groq", AttemptEnd::Open),
            ("groq, a.b-c_d=429", AttemptEnd::Answered(429)),
            ("groq, a.b-c_d=429, vllm=503?", AttemptEnd::Bare(503)),
            ("groq, a.b-c_d=429, vllm=503?, x!", AttemptEnd::Replied),
        ] {
            trail.begin(note.rsplit(", ").next().unwrap().split(['=', '!']).next().unwrap());
            trail.end(end);
            assert_eq!(trail.to_string(), note);
            assert_eq!(Trail::read(note.as_bytes()), trail);
        }
        let header = "groq=none, a.b-c_d=429, vllm=503, x=refused";
        assert_eq!(trail.header().as_deref(), Some(header));
        assert_eq!(Trail::read(b"groq=200").header(), None);
        for none in [&b""[..], b"\xff", b"=200", b"groq=x"] {
            assert_eq!(Trail::read(none), Trail::default());
        }
    }
}
