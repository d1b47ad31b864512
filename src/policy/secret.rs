//! A string that can't print itself.

use std::fmt;
use std::rc::Rc;

use serde::Deserialize;

/// A key. `Debug` shows that there is one, never which; there is no `Display` and no `Serialize`.
#[derive(Clone, PartialEq, Eq, Deserialize)]
#[serde(from = "String")]
pub struct Secret(Rc<str>);

impl From<String> for Secret {
    fn from(key: String) -> Self {
        Self(key.into())
    }
}

impl Secret {
    /// Wraps a key.
    pub fn new(key: impl Into<Rc<str>>) -> Self {
        Self(key.into())
    }

    /// The key itself, for the one place that sends or hashes it.
    #[must_use]
    pub fn expose(&self) -> &Rc<str> {
        &self.0
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("[redacted]")
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::test;

    #[test]
    fn debug_is_redacted() {
        assert_eq!(format!("{:?}", Secret::new("sk-1")), "[redacted]");
    }
}
