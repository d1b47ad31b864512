//! Heads: reading one as a block of bytes, and the edits that are made to one.

use std::fmt;
use std::ops::Deref;
use std::rc::Rc;
use std::slice;

/// A header's name or value. Most are the same for all requests: to use one of those copies nothing.
#[derive(Clone)]
pub enum HeaderText {
    /// In the code.
    Literal(&'static str),
    /// In the configuration.
    Shared(Rc<str>),
    /// Of this request.
    Owned(String),
}

impl Deref for HeaderText {
    type Target = str;

    fn deref(&self) -> &str {
        match self {
            Self::Literal(text) => text,
            Self::Shared(text) => text,
            Self::Owned(text) => text,
        }
    }
}

impl PartialEq for HeaderText {
    fn eq(&self, other: &Self) -> bool {
        **self == **other
    }
}

impl Eq for HeaderText {}

impl From<&'static str> for HeaderText {
    fn from(text: &'static str) -> Self {
        Self::Literal(text)
    }
}

impl From<&Rc<str>> for HeaderText {
    fn from(text: &Rc<str>) -> Self {
        Self::Shared(Rc::clone(text))
    }
}

impl From<String> for HeaderText {
    fn from(text: String) -> Self {
        Self::Owned(text)
    }
}

/// One change to a head. `Debug` shows no values: they may be credentials.
#[derive(Clone, PartialEq, Eq)]
pub enum HeaderEdit {
    /// The header gets this value, and only this one.
    Set(HeaderText, HeaderText),
    /// The head has no header of this name, and gets one: Envoy need not look for it.
    Add(HeaderText, HeaderText),
    /// The header goes, with all its values.
    Remove(HeaderText),
    /// The header gets the values that a client sent, one a line: HTTP does not promise UTF-8. None: it goes.
    Restore(HeaderText, Vec<Vec<u8>>),
}

impl HeaderEdit {
    /// Sets `name` to `value`.
    pub fn set(name: impl Into<HeaderText>, value: impl Into<HeaderText>) -> Self {
        Self::Set(name.into(), value.into())
    }

    /// Adds `name`, which the head does not have, or which an edit before this one removes.
    pub fn add(name: impl Into<HeaderText>, value: impl Into<HeaderText>) -> Self {
        Self::Add(name.into(), value.into())
    }

    /// Sets `content-length` to `length` bytes.
    #[must_use]
    pub fn content_length(length: u64) -> Self {
        Self::set("content-length", length.to_string())
    }

    /// Removes `name`.
    pub fn remove(name: impl Into<HeaderText>) -> Self {
        Self::Remove(name.into())
    }

    /// The header that changes.
    #[must_use]
    pub fn name(&self) -> &str {
        let (Self::Set(name, _) | Self::Add(name, _) | Self::Remove(name) | Self::Restore(name, _)) =
            self;
        name
    }
}

/// A head: names in lower case, and values as bytes, since HTTP does not promise UTF-8.
pub struct Headers<'a>(HeadForm<'a>);

/// How a host shows a head.
enum HeadForm<'a> {
    /// As the proxy-wasm ABI serialises a header map: a count, then the lengths of each name and value (all u32,
    /// little-endian), then the names and values, each with a closing NUL.
    Block(Vec<u8>),
    /// Where the host has them.
    InPlace(Vec<(&'a [u8], &'a [u8])>),
}

impl Default for Headers<'_> {
    fn default() -> Self {
        Self(HeadForm::InPlace(Vec::new()))
    }
}

impl Headers<'static> {
    /// Takes the block as the host gave it.
    #[must_use]
    pub const fn new(block: Vec<u8>) -> Self {
        Self(HeadForm::Block(block))
    }

    /// A copy of these pairs.
    #[must_use]
    pub fn from_pairs(pairs: &[(&str, &[u8])]) -> Self {
        Self::new(block_of(pairs.iter().map(|(name, value)| (name.as_bytes(), *value))))
    }

    /// The same from names as bytes.
    #[must_use]
    pub fn from_bytes<'b>(
        pairs: impl ExactSizeIterator<Item = (&'b [u8], &'b [u8])> + Clone,
    ) -> Self {
        Self::new(block_of(pairs))
    }
}

impl<'a> Headers<'a> {
    /// Reads pairs where they stand.
    #[must_use]
    pub const fn in_place(pairs: Vec<(&'a [u8], &'a [u8])>) -> Self {
        Self(HeadForm::InPlace(pairs))
    }

    /// All pairs in order. Stops early at a malformed block.
    #[inline]
    pub fn iter(&self) -> impl Iterator<Item = (&[u8], &[u8])> {
        match &self.0 {
            HeadForm::Block(block) => {
                let (sizes, data) = parts(block);
                HeadPairs::Block(sizes.iter(), data)
            }
            HeadForm::InPlace(pairs) => HeadPairs::InPlace(pairs.iter()),
        }
    }

    /// The first value of `name` (lower case).
    #[must_use]
    pub fn get(&self, name: &str) -> Option<&[u8]> {
        let name = name.as_bytes();
        match &self.0 {
            HeadForm::Block(block) => get_in_block(block, name),
            HeadForm::InPlace(pairs) => {
                pairs.iter().find(|(candidate, _)| *candidate == name).map(|(_, value)| *value)
            }
        }
    }
}

/// The pairs of a head.
enum HeadPairs<'h> {
    Block(slice::Iter<'h, [u8; 8]>, &'h [u8]),
    InPlace(slice::Iter<'h, (&'h [u8], &'h [u8])>),
}

impl<'h> Iterator for HeadPairs<'h> {
    type Item = (&'h [u8], &'h [u8]);

    #[inline]
    fn next(&mut self) -> Option<Self::Item> {
        match self {
            Self::Block(sizes, data) => {
                let (name, value) = lengths(sizes.next()?);
                let pair = take(data, name).and_then(|name| Some((name, take(data, value)?)));
                if pair.is_none() {
                    *sizes = [].iter();
                }
                pair
            }
            Self::InPlace(pairs) => pairs.next().copied(),
        }
    }
}

/// Pairs as [`Headers::new`] takes them, and as a proxy-wasm host does.
#[must_use]
pub fn block_of<'b>(pairs: impl ExactSizeIterator<Item = (&'b [u8], &'b [u8])> + Clone) -> Vec<u8> {
    let size = pairs.clone().map(|(name, value)| name.len() + value.len() + 10).sum::<usize>();
    let mut block = Vec::with_capacity(size + 4);
    block.extend_from_slice(&(pairs.len() as u32).to_le_bytes());
    for (name, value) in pairs.clone() {
        block.extend_from_slice(&(name.len() as u32).to_le_bytes());
        block.extend_from_slice(&(value.len() as u32).to_le_bytes());
    }
    for (name, value) in pairs {
        block.extend_from_slice(name);
        block.push(0);
        block.extend_from_slice(value);
        block.push(0);
    }
    block
}

/// The lengths of a block, and what they are the lengths of.
#[inline]
fn parts(block: &[u8]) -> (&[[u8; 8]], &[u8]) {
    let (count, rest) = block.split_first_chunk::<4>().unwrap_or((&[0; 4], &[]));
    let sizes_len = (u32::from_le_bytes(*count) as usize).saturating_mul(8);
    let (sizes, data) = rest.split_at_checked(sizes_len).unwrap_or((&[], &[]));
    (sizes.as_chunks::<8>().0, data)
}

/// The lengths of a name and its value.
#[inline]
fn lengths(&[a, b, c, d, e, f, g, h]: &[u8; 8]) -> (usize, usize) {
    (u32::from_le_bytes([a, b, c, d]) as usize, u32::from_le_bytes([e, f, g, h]) as usize)
}

/// Steps from length to length: only names as long as `wanted` are looked at. What stands behind a malformed pair is not there.
fn get_in_block<'b>(block: &'b [u8], wanted: &[u8]) -> Option<&'b [u8]> {
    let (sizes, data) = parts(block);
    let mut at = 0_u64;
    for size in sizes {
        let (name, value) = lengths(size);
        if name == wanted.len() {
            let mut rest = data.get(usize::try_from(at).ok()?..)?;
            if take(&mut rest, name)? == wanted {
                return take(&mut rest, value);
            }
        }
        at += name as u64 + value as u64 + 2;
    }
    None
}

impl fmt::Debug for HeaderEdit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Set(name, value) => write!(f, "Set({:?}, {} bytes)", &**name, value.len()),
            Self::Add(name, value) => write!(f, "Add({:?}, {} bytes)", &**name, value.len()),
            Self::Remove(name) => write!(f, "Remove({:?})", &**name),
            Self::Restore(name, values) => {
                write!(f, "Restore({:?}, {} values)", &**name, values.len())
            }
        }
    }
}

impl fmt::Debug for Headers<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let names = self.iter().map(|(name, _)| String::from_utf8_lossy(name));
        f.debug_list().entries(names).finish()
    }
}

/// Cuts `len` bytes and the NUL behind them off the front of `data`.
#[inline]
fn take<'a>(data: &mut &'a [u8], len: usize) -> Option<&'a [u8]> {
    let (head, rest) = data.split_at_checked(len)?;
    *data = rest.split_first()?.1;
    Some(head)
}

/// Whether a `content-type` value names `media_type`, parameters and case aside (RFC 9110 section
/// 8.3.1).
#[must_use]
pub fn is_media_type(value: &[u8], media_type: &str) -> bool {
    // Most are told by their first letter, or written as they are here.
    let (first, wanted) = (value.first(), media_type.as_bytes().first());
    if let (Some(first), Some(wanted)) = (first, wanted)
        && !first.eq_ignore_ascii_case(wanted)
        && !first.is_ascii_whitespace()
    {
        return false;
    }
    if value == media_type.as_bytes() {
        return true;
    }
    let essence = value.split(|&byte| byte == b';').next().unwrap_or_default();
    essence.trim_ascii().eq_ignore_ascii_case(media_type.as_bytes())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::test;

    #[test]
    fn blocks_round_trip() {
        let pairs = [(":path", &b"/v1"[..]), ("x-bin", b"a\xff\0b"), ("empty", b"")];
        let headers = Headers::from_pairs(&pairs);
        let seen: Vec<_> = headers.iter().collect();
        let want: Vec<_> = pairs.iter().map(|(n, v)| (n.as_bytes(), *v)).collect();
        assert_eq!(seen, want);
        assert_eq!(headers.get("x-bin"), Some(&b"a\xff\0b"[..]));
        assert_eq!(headers.get("none"), None);
    }

    #[test]
    fn malformed_blocks_stop_early() {
        for block in [&b""[..], b"\x01", b"\xff\xff\xff\xff", b"\x01\0\0\0\x09\0\0\0\0\0\0\0ab"] {
            assert_eq!(Headers::new(block.to_vec()).iter().count(), 0);
        }
    }

    #[test]
    fn media_types() {
        assert!(is_media_type(b"application/JSON; charset=utf-8", "application/json"));
        assert!(is_media_type(b" \tTEXT/html ;x", "text/html"));
        for other in
            [&b""[..], b" ", b";", b"application/jsonl", b"a", b"text/html", b";application/json"]
        {
            assert!(!is_media_type(other, "application/json"), "{other:?}");
        }
    }
}

#[cfg(test)]
#[cfg(not(target_arch = "wasm32"))]
mod laws {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        /// However a host shows a head, the same is read; what is looked for is what a walk finds, in malformed blocks too.
        #[test]
        fn forms_do_not_matter(
            pairs in proptest::collection::vec(("[ab]{0,2}", "[ab\0]{0,3}"), 0..6),
            cut in any::<proptest::sample::Index>(),
            flip in any::<proptest::sample::Index>(),
            to in 0_u8..6,
        ) {
            let pairs: Vec<(&[u8], &[u8])> =
                pairs.iter().map(|(name, value)| (name.as_bytes(), value.as_bytes())).collect();
            let block = block_of(pairs.iter().copied());
            let mut broken = block.clone();
            broken.truncate(cut.index(block.len() + 1));
            if !broken.is_empty() {
                let at = flip.index(broken.len());
                broken[at] = to;
            }
            let in_place = Headers::in_place(pairs.clone());
            let whole = Headers::new(block);
            prop_assert_eq!(whole.iter().collect::<Vec<_>>(), pairs.clone());
            prop_assert_eq!(in_place.iter().collect::<Vec<_>>(), pairs);
            for head in [whole, Headers::new(broken), in_place] {
                for name in ["", "a", "b", "aa", "ab", "ba", "bb"] {
                    let found = head.iter().find(|(candidate, _)| *candidate == name.as_bytes());
                    prop_assert_eq!(head.get(name), found.map(|(_, value)| value));
                }
            }
        }
    }
}
