//! The `charset` parameter of a form, or of the part that holds the model.

use super::header::lower;

/// A charset by which servers read ASCII as what it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Charset {
    /// Absent or UTF-8: every parser reads the same text.
    Utf8,
    /// ASCII, which busboy reads as Latin-1 beyond its 128 signs.
    Ascii,
    /// One that goes on where ASCII ends, and there is not UTF-8. Apache's HttpClient calls texts ISO-8859-1 by default.
    BeyondAscii,
}

impl Charset {
    /// `None` for others: in UTF-7 or EBCDIC, ASCII means something else.
    pub fn of(charset: Option<&[u8]>) -> Option<Self> {
        match charset.map(lower).as_deref() {
            None | Some("utf-8" | "utf8") => Some(Self::Utf8),
            Some("us-ascii" | "ascii") => Some(Self::Ascii),
            Some(
                "iso-8859-1" | "iso8859-1" | "latin1" | "iso-8859-15" | "windows-1252" | "cp1252",
            ) => Some(Self::BeyondAscii),
            Some(_) => None,
        }
    }
}
