//! Byte-exact edits of a body: replace some spans, leave every other byte alone.

use std::ops::Range;

/// One edit: the bytes at `span` become `with`. An empty span inserts.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Edit {
    /// Offsets in the original body.
    pub span: Range<usize>,
    /// What stands there afterwards.
    pub with: Vec<u8>,
}

/// Applies `edits` (ascending, not overlapping) to `body`. `None` when an edit is out of order or out
/// of bounds: a caller's fault, never half applied.
#[must_use]
pub fn apply(body: &[u8], edits: &[Edit]) -> Option<Vec<u8>> {
    let added: usize = edits.iter().map(|edit| edit.with.len()).sum();
    let mut out = Vec::with_capacity(body.len().saturating_add(added));
    let mut done = 0;
    for edit in edits {
        out.extend_from_slice(body.get(done..edit.span.start)?);
        body.get(edit.span.clone())?;
        out.extend_from_slice(&edit.with);
        done = edit.span.end;
    }
    out.extend_from_slice(body.get(done..)?);
    Some(out)
}

/// Change of the body's length in bytes.
#[must_use]
pub fn growth(edits: &[Edit]) -> i64 {
    edits.iter().map(|edit| edit.with.len() as i64 - edit.span.len() as i64).sum()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::test;

    #[test]
    fn replaces_inserts_and_removes() {
        let edits = [
            Edit { span: 0..1, with: b"AA".to_vec() },
            Edit { span: 2..2, with: b"-".to_vec() },
            Edit { span: 3..5, with: Vec::new() },
        ];
        assert_eq!(apply(b"abcdef", &edits).unwrap(), b"AAb-cf");
        assert_eq!(growth(&edits), 0);
    }

    #[test]
    fn refuses_disorder_and_overrun() {
        let late = Edit { span: 3..4, with: Vec::new() };
        let early = Edit { span: 0..1, with: Vec::new() };
        assert_eq!(apply(b"abcdef", &[late, early]), None);
        assert_eq!(apply(b"ab", &[Edit { span: 1..3, with: Vec::new() }]), None);
    }
}
