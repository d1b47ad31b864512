//! Edits of one JSON text, collected while it is read.

use crate::wire::json::cursor::{Key, Value};
use crate::wire::splice::{self, Edit};

/// Edits of `text`, in any order.
#[derive(Debug)]
pub(in super::super) struct Edits<'t> {
    text: &'t [u8],
    edits: Vec<Edit>,
}

impl<'t> Edits<'t> {
    pub(in super::super) fn new(text: &'t [u8]) -> Self {
        Self { text, edits: Vec::new() }
    }

    /// The text that is edited.
    pub(in super::super) fn text(&self) -> &'t [u8] {
        self.text
    }

    /// Puts `with` where `value` stands. What was put there before does not count.
    pub(in super::super) fn replace(&mut self, value: &Value<'_>, with: impl Into<Vec<u8>>) {
        self.edits.push(Edit { span: value.span(), with: with.into() });
    }

    /// Gives a member another name (quotes included).
    pub(in super::super) fn rename(&mut self, key: &Key<'_>, with: &[u8]) {
        self.edits.push(Edit { span: key.span(), with: with.to_vec() });
    }

    /// Makes `value` the one element of a list.
    pub(in super::super) fn enclose(&mut self, value: &Value<'_>) {
        let span = value.span();
        self.edits.push(Edit { span: span.start..span.start, with: b"[".to_vec() });
        self.edits.push(Edit { span: span.end..span.end, with: b"]".to_vec() });
    }

    /// Makes a list of `elements`, in the place of `outer`, which they stand in.
    pub(in super::super) fn relist(&mut self, outer: &Value<'_>, elements: &[Value<'_>]) {
        let (mut at, mut with) = (outer.span().start, b"[".to_vec());
        for element in elements {
            self.edits.push(Edit { span: at..element.span().start, with });
            (at, with) = (element.span().end, b",".to_vec());
        }
        let with = if elements.is_empty() { b"[]".to_vec() } else { b"]".to_vec() };
        self.edits.push(Edit { span: at..outer.span().end, with });
    }

    /// Adds a member at the end of `object`.
    pub(in super::super) fn insert(&mut self, object: &Value<'_>, member: &[u8]) {
        let at = object.span().end.saturating_sub(1);
        // Several members may be added at one place: each after the first needs its comma too.
        let is_first =
            object.members().next().is_none() && !self.edits.iter().any(|e| e.span == (at..at));
        let mut with = if is_first { Vec::new() } else { vec![b','] };
        with.extend_from_slice(member);
        self.edits.push(Edit { span: at..at, with });
    }

    /// The edited text; `None` when nothing is to be edited.
    pub(in super::super) fn apply(&mut self) -> Option<Vec<u8>> {
        if self.edits.is_empty() {
            return None;
        }
        // Stable: of several insertions at one place the first stays the first.
        self.edits.sort_by_key(|edit| (edit.span.start, edit.span.end));
        self.edits.dedup_by(|later, earlier| {
            let is_same = later.span == earlier.span && !later.span.is_empty();
            if is_same {
                earlier.with = std::mem::take(&mut later.with);
            }
            is_same
        });
        splice::apply(self.text, &self.edits)
    }
}

/// Adds a member to an object that is being written.
pub(in super::super) fn member(out: &mut Vec<u8>, key: &[u8], value: &[u8]) {
    if out.last() != Some(&b'{') {
        out.push(b',');
    }
    out.extend_from_slice(key);
    out.push(b':');
    out.extend_from_slice(value);
}

/// The bytes of a name that stands somewhere inside `within`.
pub(in super::super) fn name_of<'a>(within: &Value<'a>, key: &Key<'_>) -> &'a [u8] {
    let (base, span) = (within.span().start, key.span());
    within
        .raw()
        .get(span.start.saturating_sub(base)..span.end.saturating_sub(base))
        .unwrap_or(b"\"\"")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::test;
    use crate::wire::json::cursor;

    #[test]
    fn the_last_edit_of_a_place_counts() {
        let text = br#"{"a":1,"b":2}"#;
        let root = cursor::parse(text).unwrap();
        let (a, b) = (root.get("a").unwrap(), root.get("b").unwrap());
        let mut edits = Edits::new(text);
        edits.replace(&a, "3");
        edits.insert(&root, b"\"c\":4");
        edits.replace(&b, "5");
        edits.insert(&root, b"\"d\":6");
        edits.replace(&a, "7");
        edits.replace(&a, "8");
        assert_eq!(edits.apply().unwrap(), br#"{"a":8,"b":5,"c":4,"d":6}"#);
    }
}
