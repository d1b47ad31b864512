//! Walks a JSON text that is there as a whole, member by member, without a tree.
//!
//! [`parse`] checks all of the text with the strict tokenizer. A walk over a checked value then only
//! tells strings and brackets apart, and can't fail.

use std::borrow::Cow;
use std::ops::Range;

use super::checked::{container_length, string_length};
use super::tokenizer::{Kind, Tokenizer};
use super::{JsonError, string};
use crate::wire::bytes::is_same;

/// A value and where it stands.
#[derive(Debug, Clone, Copy)]
pub struct Value<'a> {
    /// `BeginObject`, `BeginArray` or a scalar's kind.
    pub kind: Kind,
    /// There are escapes in it. Known of strings alone.
    escaped: bool,
    raw: &'a [u8],
    start: usize,
}

/// A member's name and where it stands.
#[derive(Debug, Clone, Copy)]
pub struct Key<'a> {
    escaped: bool,
    raw: &'a [u8],
    start: usize,
}

/// Reads the one value of a text; white space around it is allowed.
///
/// # Errors
/// When the text is not exactly one JSON value.
pub fn parse(text: &[u8]) -> Result<Value<'_>, JsonError> {
    let mut tokenizer = Tokenizer::new();
    let (mut first, mut end) = (None, 0);
    let mut at = 0;
    loop {
        // Deeper tokens are passed over: the next one is the closing bracket.
        let token = match tokenizer.next(text, &mut at, 0)? {
            Some(token) => token,
            None => match tokenizer.finish()? {
                Some(token) => token,
                None => break,
            },
        };
        first.get_or_insert(token);
        end = token.end;
    }
    let first = first.ok_or(JsonError::Truncated)?;
    let raw = text.get(first.start as usize..end as usize).ok_or(JsonError::Truncated)?;
    let escaped = first.kind == Kind::String && raw.contains(&b'\\');
    Ok(Value { kind: first.kind, escaped, raw, start: first.start as usize })
}

/// The object `raw`, which a [`Tokenizer`] has checked already.
#[must_use]
pub fn checked_object(raw: &[u8]) -> Value<'_> {
    Value { kind: Kind::BeginObject, escaped: false, raw, start: 0 }
}

impl<'a> Value<'a> {
    /// The value's bytes.
    #[must_use]
    pub fn raw(&self) -> &'a [u8] {
        self.raw
    }

    /// Where the value stands in the text that was parsed.
    #[must_use]
    pub fn span(&self) -> Range<usize> {
        self.start..self.start + self.raw.len()
    }

    /// The members of an object, in order; nothing for another kind.
    #[must_use]
    pub fn members(&self) -> Members<'a> {
        Members(self.inside(Kind::BeginObject))
    }

    /// The elements of an array, in order; nothing for another kind.
    #[must_use]
    pub fn elements(&self) -> Elements<'a> {
        Elements(self.inside(Kind::BeginArray))
    }

    /// The value of the first member called `name`; `None` if there is none, or no object.
    #[must_use]
    pub fn get(&self, name: &str) -> Option<Value<'a>> {
        self.members().find(|(key, _)| key.is(name)).map(|(_, value)| value)
    }

    /// What stands between a string's quotes, still escaped; nothing for another kind.
    #[must_use]
    pub fn inner(&self) -> &'a [u8] {
        unquoted(self.raw)
    }

    /// A string's value; `None` for another kind, and for one that is not Unicode.
    #[must_use]
    pub fn as_str(&self) -> Option<Cow<'a, str>> {
        if self.kind != Kind::String {
            return None;
        }
        text(self.inner(), self.escaped)
    }

    /// A boolean's value.
    #[must_use]
    pub fn as_bool(&self) -> Option<bool> {
        match self.kind {
            Kind::True => Some(true),
            Kind::False => Some(false),
            _ => None,
        }
    }

    /// A number's value.
    #[must_use]
    pub fn as_f64(&self) -> Option<f64> {
        if self.kind != Kind::Number {
            return None;
        }
        std::str::from_utf8(self.raw).ok()?.parse().ok()
    }

    /// Whether this is `null`.
    #[must_use]
    pub fn is_null(&self) -> bool {
        self.kind == Kind::Null
    }

    /// The way behind the opening bracket; one without any value for another kind.
    fn inside(&self, kind: Kind) -> ValueWalk<'a> {
        let rest = if self.kind == kind { self.raw.get(1..) } else { None };
        ValueWalk { rest: rest.unwrap_or_default(), start: self.start + 1 }
    }
}

impl<'a> Key<'a> {
    /// Whether the name is `name`, however it is escaped.
    #[inline]
    #[must_use]
    pub fn is(&self, name: &str) -> bool {
        match self.escaped {
            false => is_same(unquoted(self.raw), name.as_bytes()),
            true => string::decode(unquoted(self.raw)).is_some_and(|key| key == name),
        }
    }

    /// The name's bytes, to be held against names that are known. One that is not Unicode is none of them.
    #[inline]
    #[must_use]
    pub fn name(&self) -> Cow<'a, [u8]> {
        let inner = unquoted(self.raw);
        match self.escaped {
            false => Cow::Borrowed(inner),
            true => unescaped(inner),
        }
    }

    /// The name as it is written, without its quotes.
    #[must_use]
    pub fn inner(&self) -> &'a [u8] {
        unquoted(self.raw)
    }

    /// The name; `None` if it is not Unicode.
    #[must_use]
    pub fn as_str(&self) -> Option<Cow<'a, str>> {
        text(unquoted(self.raw), self.escaped)
    }

    /// Where the name stands, quotes included.
    #[must_use]
    pub fn span(&self) -> Range<usize> {
        self.start..self.start + self.raw.len()
    }
}

/// The members of an object.
#[derive(Debug)]
pub struct Members<'a>(ValueWalk<'a>);

impl<'a> Iterator for Members<'a> {
    type Item = (Key<'a>, Value<'a>);

    #[inline]
    fn next(&mut self) -> Option<Self::Item> {
        let Value { escaped, raw, start, .. } = self.0.value()?;
        Some((Key { escaped, raw, start }, self.0.value()?))
    }
}

/// The elements of an array.
#[derive(Debug)]
pub struct Elements<'a>(ValueWalk<'a>);

impl<'a> Iterator for Elements<'a> {
    type Item = Value<'a>;

    #[inline]
    fn next(&mut self) -> Option<Self::Item> {
        self.0.value()
    }
}

#[inline]
fn unquoted(raw: &[u8]) -> &[u8] {
    match raw {
        [b'"', inner @ .., b'"'] => inner,
        _ => &[],
    }
}

/// The value of a string of which it is known whether it has escapes.
#[inline]
fn text(inner: &[u8], escaped: bool) -> Option<Cow<'_, str>> {
    match escaped {
        false => std::str::from_utf8(inner).ok().map(Cow::Borrowed),
        true => string::decode(inner),
    }
}

#[cold]
fn unescaped(inner: &[u8]) -> Cow<'_, [u8]> {
    match string::decode(inner) {
        Some(name) => Cow::Owned(name.into_owned().into_bytes()),
        None => Cow::Borrowed(inner),
    }
}

/// A way through what stands between two brackets. [`parse`] has checked the text, so only strings and
/// brackets need to be told apart.
#[derive(Debug)]
struct ValueWalk<'a> {
    rest: &'a [u8],
    /// Offset of `rest` in the whole text.
    start: usize,
}

impl<'a> ValueWalk<'a> {
    /// The next value, a member's name among them; `None` at the closing bracket.
    fn value(&mut self) -> Option<Value<'a>> {
        let between = |byte: &u8| matches!(byte, b' ' | b'\t' | b'\n' | b'\r' | b',' | b':');
        let at = self.rest.iter().position(|byte| !between(byte))?;
        let from = self.rest.get(at..)?;
        let mut escaped = false;
        let (kind, length) = match from.first()? {
            b'"' => {
                let length;
                (length, escaped) = string_length(from)?;
                (Kind::String, length)
            }
            b'{' => (Kind::BeginObject, container_length(from)?),
            b'[' => (Kind::BeginArray, container_length(from)?),
            b't' => (Kind::True, 4),
            b'f' => (Kind::False, 5),
            b'n' => (Kind::Null, 4),
            b'-' | b'0'..=b'9' => (Kind::Number, number_length(from)),
            _ => return None,
        };
        let (raw, rest) = from.split_at_checked(length)?;
        let start = self.start + at;
        self.rest = rest;
        self.start = start + length;
        Some(Value { kind, escaped, raw, start })
    }
}

fn number_length(text: &[u8]) -> usize {
    let ends = |byte: &u8| !matches!(byte, b'0'..=b'9' | b'-' | b'+' | b'.' | b'e' | b'E');
    text.iter().position(ends).unwrap_or(text.len())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::test;

    #[test]
    fn walks_objects_and_arrays() {
        let text = br#" {"a":1,"\u0062":[true,{"c":"x"},null],"d":{}} "#;
        let root = parse(text).unwrap();
        assert_eq!(root.span(), 1..text.len() - 1);
        assert_eq!(root.get("a").unwrap().as_f64(), Some(1.0));
        let list = root.get("b").unwrap();
        assert_eq!(&text[list.span()], list.raw());
        let elements: Vec<_> = list.elements().collect();
        assert_eq!(elements.len(), 3);
        assert_eq!(elements[0].as_bool(), Some(true));
        assert!(elements[2].is_null());
        let c = elements[1].get("c").unwrap();
        assert_eq!(c.as_str().unwrap(), "x");
        assert_eq!(&text[c.span()], b"\"x\"");
        assert_eq!(root.get("d").unwrap().members().count(), 0);
        assert_eq!(root.get("e").is_none(), root.elements().next().is_none());
    }

    #[test]
    fn scalars_and_errors() {
        assert_eq!(parse(b"12").unwrap().as_f64(), Some(12.0));
        assert_eq!(parse(b"\"a\"").unwrap().as_str().unwrap(), "a");
        assert_eq!(parse(b"\"a\"").unwrap().inner(), b"a");
        assert_eq!(parse(b"12").unwrap().inner(), b"");
        assert!(parse(b"").is_err());
        assert!(parse(b"{} {}").is_err());
        assert!(parse(b"{\"a\":[1,}").is_err());
    }

    #[test]
    fn skips_what_it_is_not_asked_for() {
        let text = br#"{"a\\\"]}":"\\","b":[[{"]":"}"}],-1.5e+3,"x\""],"c":null , "d" : false}"#;
        let names: Vec<_> =
            parse(text).unwrap().members().map(|(key, value)| (key.raw, value.raw)).collect();
        let want: [(&[u8], &[u8]); 4] = [
            (br#""a\\\"]}""#, br#""\\""#),
            (br#""b""#, br#"[[{"]":"}"}],-1.5e+3,"x\""]"#),
            (br#""c""#, b"null"),
            (br#""d""#, b"false"),
        ];
        assert_eq!(names, want);
        let list = parse(text).unwrap().get("b").unwrap();
        let kinds: Vec<_> = list.elements().map(|value| value.kind).collect();
        assert_eq!(kinds, [Kind::BeginArray, Kind::Number, Kind::String]);
    }
}

#[cfg(test)]
#[cfg(not(target_arch = "wasm32"))]
mod laws {
    use proptest::prelude::*;
    use serde_json::Value as Tree;

    use super::*;

    fn tree() -> impl Strategy<Value = Tree> {
        let leaf = prop_oneof![
            Just(Tree::Null),
            any::<bool>().prop_map(Tree::from),
            any::<i64>().prop_map(Tree::from),
            any::<f64>().prop_map(Tree::from),
            "[\\PC\"\\\\{}\\[\\],:\n]{0,8}".prop_map(Tree::from),
        ];
        leaf.prop_recursive(4, 32, 6, |inner| {
            prop_oneof![
                prop::collection::vec(inner.clone(), 0..6).prop_map(Tree::from),
                prop::collection::btree_map("[\\PC\"\\\\{}]{0,5}", inner, 0..6)
                    .prop_map(|members| Tree::Object(members.into_iter().collect())),
            ]
        })
    }

    /// The same tree, by walking.
    fn walked(value: &Value<'_>) -> Tree {
        match value.kind {
            Kind::BeginObject => value
                .members()
                .map(|(key, value)| (key.as_str().unwrap().into_owned(), walked(&value)))
                .collect(),
            Kind::BeginArray => value.elements().map(|value| walked(&value)).collect(),
            Kind::String => Tree::from(value.as_str().unwrap()),
            _ => serde_json::from_slice(value.raw()).unwrap(),
        }
    }

    proptest! {
        #[test]
        fn a_walk_sees_what_serde_json_sees(tree in tree(), pretty in any::<bool>()) {
            let text = if pretty { serde_json::to_vec_pretty(&tree) } else { serde_json::to_vec(&tree) };
            let text = text.unwrap();
            prop_assert_eq!(walked(&parse(&text).unwrap()), serde_json::from_slice::<Tree>(&text).unwrap());
        }
    }
}
