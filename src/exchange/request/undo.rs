//! What an attempt changed of the client's own head, so that the next attempt starts from that again: Envoy
//! keeps one head for all attempts. It stands in a note ([`crate::exchange::Note::Undo`]): a header a line,
//! its name, and behind a tab each value that the client sent.
//!
//! Not of what every attempt sets or removes anyway: path, host, length and credentials.

use crate::policy::Config;
use crate::wire::headers::{HeaderEdit, Headers};
use crate::wire::percent;

/// The client's headers that attempts have changed: names and values, none for one that it did not send.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Undo(Vec<(String, Vec<Vec<u8>>)>);

impl Undo {
    /// Reads a note.
    pub fn read(note: &[u8]) -> Self {
        let text = std::str::from_utf8(note).unwrap_or_default();
        let lines = text.split('\n').filter(|line| !line.is_empty());
        Self(
            lines
                .map(|line| {
                    let mut parts = line.split('\t');
                    let name = parts.next().unwrap_or_default().to_owned();
                    (name, parts.map(|value| percent::decode(value.as_bytes())).collect())
                })
                .collect(),
        )
    }

    /// The edits that bring the client's own headers back.
    pub fn edits(&self) -> impl Iterator<Item = HeaderEdit> {
        self.0.iter().map(|(name, values)| {
            if let [value] = values.as_slice()
                && let Ok(value) = std::str::from_utf8(value)
            {
                return HeaderEdit::set(name.clone(), value.to_owned());
            }
            HeaderEdit::Restore(name.clone().into(), values.clone())
        })
    }

    /// Remembers what `edits` change of `headers`, and that was not changed before.
    pub fn remember(&mut self, config: &Config, headers: &Headers, edits: &[HeaderEdit]) {
        for edit in edits {
            let name = edit.name();
            let is_always_set = name.starts_with(':') || name == "content-length";
            if is_always_set
                || self.0.iter().any(|(known, _)| known == name)
                || super::head::is_withheld(config, name)
            {
                continue;
            }
            let values = headers.iter().filter(|(found, _)| *found == name.as_bytes());
            let values = values.map(|(_, value)| value.to_vec()).collect();
            self.0.push((name.to_owned(), values));
        }
    }

    /// The note; `None` where nothing was changed.
    pub fn write(&self) -> Option<String> {
        let line = |(name, values): &(String, Vec<Vec<u8>>)| {
            let mut line = name.clone();
            for value in values {
                line.push('\t');
                line.push_str(&percent::encode(value));
            }
            line
        };
        (!self.0.is_empty()).then(|| self.0.iter().map(line).collect::<Vec<_>>().join("\n"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::test;

    #[test]
    fn notes_round_trip() {
        for values in [
            &[][..],
            &[&b""[..]],
            &[b"a b%20c%", b"\tx\t"],
            &[b"caf\xe9", b"caf\xc3\xa9", b"\xff\xfe", b"", b"%ff"],
        ] {
            let values: Vec<_> = values.iter().map(|value| value.to_vec()).collect();
            let undo =
                Undo(vec![("x-name".to_owned(), values), ("x-other".to_owned(), Vec::new())]);
            let note = undo.write().unwrap();
            assert_eq!(Undo::read(note.as_bytes()), undo, "{note}");
        }
        assert_eq!(Undo::default().write(), None);
        assert_eq!(Undo::read(b"\xff"), Undo::default());
    }
}
