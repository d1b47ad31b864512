//! What an attempt changed of the client's own head, so that the next attempt starts from that again: Envoy
//! keeps one head for all attempts. It stands in a note ([`crate::exchange::Note::Undo`]): a header a line,
//! its name, and behind a tab what the client sent, if it sent it.
//!
//! Not of what every attempt sets or removes anyway: path, host, length and credentials.

use crate::policy::Config;
use crate::wire::headers::{HeaderEdit, Headers};

/// The client's headers that attempts have changed: names and values, `None` for one that it did not send.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Undo(Vec<(String, Option<String>)>);

impl Undo {
    /// Reads a note.
    pub fn read(note: &[u8]) -> Self {
        let text = std::str::from_utf8(note).unwrap_or_default();
        let lines = text.split('\n').filter(|line| !line.is_empty());
        Self(
            lines
                .map(|line| match line.split_once('\t') {
                    Some((name, value)) => (name.to_owned(), Some(value.to_owned())),
                    None => (line.to_owned(), None),
                })
                .collect(),
        )
    }

    /// The edits that bring the client's own headers back.
    pub fn edits(&self) -> impl Iterator<Item = HeaderEdit> {
        self.0.iter().map(|(name, value)| match value {
            Some(value) => HeaderEdit::set(name.clone(), value.clone()),
            None => HeaderEdit::remove(name.clone()),
        })
    }

    /// Remembers what `edits` change of `headers`, and that was not changed before. A header's several
    /// values become one, as HTTP allows.
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
            let values: Option<Vec<&str>> =
                values.map(|(_, value)| std::str::from_utf8(value).ok()).collect();
            let value = values.filter(|values| !values.is_empty()).map(|values| values.join(","));
            self.0.push((name.to_owned(), value));
        }
    }

    /// The note; `None` where nothing was changed.
    pub fn write(&self) -> Option<String> {
        let line = |(name, value): &(String, Option<String>)| match value {
            Some(value) => [name, "\t", value].concat(),
            None => name.clone(),
        };
        (!self.0.is_empty()).then(|| self.0.iter().map(line).collect::<Vec<_>>().join("\n"))
    }
}
