//! What is wrong with a configuration, and where.
//!
//! A problem names a place and a reason, never the value that was found there: a key that ended up
//! in the wrong field must not reach a log.

use std::fmt;

/// How many problems are kept; the rest is counted.
const MAX_KEPT: usize = 1_000;

/// A place in the configuration, such as `virtual_keys[3].models_allowed[0]`. It is written out only
/// when there is a problem to report.
#[derive(Debug, Clone, Copy)]
pub enum Path<'a> {
    /// The whole configuration.
    Root,
    /// A member of an object.
    Field(&'a Path<'a>, &'a str),
    /// An element of a list.
    Item(&'a Path<'a>, usize),
}

/// The place of the whole configuration.
pub const ROOT: &Path<'static> = &Path::Root;

impl<'a> Path<'a> {
    /// The place of member `name`.
    #[must_use]
    pub fn field(&'a self, name: &'a str) -> Path<'a> {
        Path::Field(self, name)
    }

    /// The place of element `index`.
    #[must_use]
    pub fn item(&'a self, index: usize) -> Path<'a> {
        Path::Item(self, index)
    }
}

impl fmt::Display for Path<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Path::Root => f.write_str("configuration"),
            Path::Field(Path::Root, name) if is_plain(name) => f.write_str(name),
            Path::Field(parent, name) if is_plain(name) => write!(f, "{parent}.{name}"),
            // Quoted and escaped: a name from outside can't break the log's line.
            Path::Field(parent, name) => write!(f, "{parent}[{name:?}]"),
            Path::Item(parent, index) => write!(f, "{parent}[{index}]"),
        }
    }
}

fn is_plain(name: &str) -> bool {
    !name.is_empty() && name.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'_' | b'-'))
}

/// Everything that is wrong with a configuration. `Display` gives one `path: reason` a line.
#[derive(Debug, Default)]
pub struct Problems {
    kept: Vec<(String, String)>,
    dropped: usize,
}

impl Problems {
    /// Reports a problem. `reason` must not hold a value of the configuration.
    pub(super) fn add(&mut self, at: &Path<'_>, reason: impl Into<String>) {
        if self.kept.len() < MAX_KEPT {
            self.kept.push((at.to_string(), reason.into()));
        } else {
            self.dropped = self.dropped.saturating_add(1);
        }
    }

    /// Whether there is none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.kept.is_empty()
    }

    /// The problems as (path, reason), in the order in which they were found; the first 1,000.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &str)> {
        self.kept.iter().map(|(path, reason)| (path.as_str(), reason.as_str()))
    }
}

impl fmt::Display for Problems {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, (path, reason)) in self.iter().enumerate() {
            let separator = if index == 0 { "" } else { "\n" };
            write!(f, "{separator}{path}: {reason}")?;
        }
        match self.dropped {
            0 => Ok(()),
            dropped => write!(f, "\nand {dropped} more"),
        }
    }
}

impl std::error::Error for Problems {}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::test;

    #[test]
    fn paths() {
        let keys = ROOT.field("virtual_keys");
        let third = keys.item(3);
        let aliases = third.field("model_aliases");
        assert_eq!(ROOT.to_string(), "configuration");
        assert_eq!(third.to_string(), "virtual_keys[3]");
        assert_eq!(aliases.field("gpt-4o").to_string(), "virtual_keys[3].model_aliases.gpt-4o");
        assert_eq!(aliases.field("a.b\n").to_string(), r#"virtual_keys[3].model_aliases["a.b\n"]"#);
    }

    #[test]
    fn lines_and_a_bound() {
        let mut problems = Problems::default();
        assert!(problems.is_empty());
        for index in 0..MAX_KEPT + 2 {
            problems.add(&ROOT.item(index), "wrong");
        }
        let text = problems.to_string();
        assert_eq!(text.lines().next(), Some("configuration[0]: wrong"));
        assert_eq!(text.lines().last(), Some("and 2 more"));
        assert_eq!(text.lines().count(), MAX_KEPT + 1);
    }
}
