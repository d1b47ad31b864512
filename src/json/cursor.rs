//! Walks a JSON text that is there as a whole, member by member, without a tree.
//!
//! Every step reads with the strict tokenizer, so a walk that came to its end has also checked what
//! it walked over.

use std::borrow::Cow;
use std::ops::Range;

use super::tokenizer::{Kind, Token, Tokenizer};
use super::{JsonError, string};

/// A value and where it stands.
#[derive(Debug, Clone, Copy)]
pub struct Value<'a> {
    /// `BeginObject`, `BeginArray` or a scalar's kind.
    pub kind: Kind,
    raw: &'a [u8],
    start: usize,
}

/// A member's name and where it stands.
#[derive(Debug, Clone, Copy)]
pub struct Key<'a> {
    raw: &'a [u8],
    start: usize,
}

/// Reads the one value of a text; white space around it is allowed.
///
/// # Errors
/// When the text is not exactly one JSON value.
pub fn parse(text: &[u8]) -> Result<Value<'_>, JsonError> {
    let mut walk = Walk::new(text, 0, 0);
    let value = walk.value()?.ok_or(JsonError::Truncated)?;
    match walk.token()? {
        None => Ok(value),
        Some(token) => Err(JsonError::Trailing(token.start)),
    }
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
        self.members().map_while(Result::ok).find(|(key, _)| key.is(name)).map(|(_, value)| value)
    }

    /// A string's value; `None` for another kind, and for one that is not Unicode.
    #[must_use]
    pub fn as_str(&self) -> Option<Cow<'a, str>> {
        if self.kind != Kind::String {
            return None;
        }
        string::decode(unquoted(self.raw))
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

    fn inside(&self, kind: Kind) -> Option<Walk<'a>> {
        if self.kind != kind {
            return None;
        }
        let mut walk = Walk::new(self.raw, self.start, 1);
        // The bracket itself: its presence is what `kind` says.
        walk.token().ok()?;
        Some(walk)
    }
}

impl<'a> Key<'a> {
    /// Whether the name is `name`, however it is escaped.
    #[must_use]
    pub fn is(&self, name: &str) -> bool {
        let inner = unquoted(self.raw);
        inner == name.as_bytes()
            || (inner.contains(&b'\\') && string::decode(inner).is_some_and(|key| key == name))
    }

    /// The name; `None` if it is not Unicode.
    #[must_use]
    pub fn as_str(&self) -> Option<Cow<'a, str>> {
        string::decode(unquoted(self.raw))
    }

    /// Where the name stands, quotes included.
    #[must_use]
    pub fn span(&self) -> Range<usize> {
        self.start..self.start + self.raw.len()
    }
}

/// The members of an object.
#[derive(Debug)]
pub struct Members<'a>(Option<Walk<'a>>);

impl<'a> Iterator for Members<'a> {
    type Item = Result<(Key<'a>, Value<'a>), JsonError>;

    fn next(&mut self) -> Option<Self::Item> {
        let walk = self.0.as_mut()?;
        let item = walk.member().transpose();
        if !matches!(item, Some(Ok(_))) {
            self.0 = None;
        }
        item
    }
}

/// The elements of an array.
#[derive(Debug)]
pub struct Elements<'a>(Option<Walk<'a>>);

impl<'a> Iterator for Elements<'a> {
    type Item = Result<Value<'a>, JsonError>;

    fn next(&mut self) -> Option<Self::Item> {
        let walk = self.0.as_mut()?;
        let item = walk.value().transpose();
        if !matches!(item, Some(Ok(_))) {
            self.0 = None;
        }
        item
    }
}

fn unquoted(raw: &[u8]) -> &[u8] {
    raw.strip_prefix(b"\"").and_then(|raw| raw.strip_suffix(b"\"")).unwrap_or_default()
}

/// A tokenizer on its way through one text, at one depth.
#[derive(Debug)]
struct Walk<'a> {
    text: &'a [u8],
    /// Offset of `text` in the whole text.
    start: usize,
    depth: u32,
    at: usize,
    tokenizer: Tokenizer,
    ended: bool,
}

impl<'a> Walk<'a> {
    fn new(text: &'a [u8], start: usize, depth: u32) -> Self {
        Self { text, start, depth, at: 0, tokenizer: Tokenizer::new(), ended: false }
    }

    fn token(&mut self) -> Result<Option<Token>, JsonError> {
        if self.ended {
            return Ok(None);
        }
        if let Some(token) = self.tokenizer.next(self.text, &mut self.at, self.depth)? {
            return Ok(Some(token));
        }
        self.ended = true;
        self.tokenizer.finish()
    }

    /// The next value at this depth; `None` at the end of the array or the text.
    fn value(&mut self) -> Result<Option<Value<'a>>, JsonError> {
        let Some(first) = self.token()? else { return Ok(None) };
        let last = match first.kind {
            // Deeper tokens are passed over: the next one is the closing bracket.
            Kind::BeginObject | Kind::BeginArray => self.token()?.ok_or(JsonError::Truncated)?,
            Kind::EndObject | Kind::EndArray => return self.skip_to_end(),
            _ => first,
        };
        let raw = self.slice(first.start, last.end)?;
        Ok(Some(Value { kind: first.kind, raw, start: self.start + first.start as usize }))
    }

    fn member(&mut self) -> Result<Option<(Key<'a>, Value<'a>)>, JsonError> {
        let Some(name) = self.token()? else { return Ok(None) };
        if name.kind != Kind::Key {
            return self.skip_to_end();
        }
        let key =
            Key { raw: self.slice(name.start, name.end)?, start: self.start + name.start as usize };
        let value = self.value()?.ok_or(JsonError::Truncated)?;
        Ok(Some((key, value)))
    }

    /// After the closing bracket only white space may follow.
    fn skip_to_end<T>(&mut self) -> Result<Option<T>, JsonError> {
        while self.token()?.is_some() {}
        Ok(None)
    }

    fn slice(&self, start: u64, end: u64) -> Result<&'a [u8], JsonError> {
        self.text.get(start as usize..end as usize).ok_or(JsonError::Truncated)
    }
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
        let elements: Vec<_> = list.elements().map(Result::unwrap).collect();
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
        assert!(parse(b"").is_err());
        assert!(parse(b"{} {}").is_err());
        assert!(parse(b"{\"a\":[1,}").is_err());
    }

    #[test]
    fn a_member_walk_checks_what_it_walks_over() {
        let root = parse(b"{\"a\":1}").unwrap();
        assert!(root.members().all(|member| member.is_ok()));
    }
}
