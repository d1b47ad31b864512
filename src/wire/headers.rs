//! Heads: reading one as a block of bytes, and the edits that are made to one.

use std::fmt;
use std::ops::Deref;
use std::rc::Rc;

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

/// A head as the proxy-wasm ABI serialises a header map: a count, then the lengths of each name and
/// value (all u32, little-endian), then the names and values, each with a closing NUL. Values are
/// bytes: HTTP does not promise UTF-8.
#[derive(Default)]
pub struct Headers {
    block: Vec<u8>,
}

impl Headers {
    /// Takes the block as the host gave it.
    #[must_use]
    pub const fn new(block: Vec<u8>) -> Self {
        Self { block }
    }

    /// The block as the host takes it.
    #[must_use]
    pub fn block(&self) -> &[u8] {
        &self.block
    }

    /// A block of these pairs.
    #[must_use]
    pub fn from_pairs(pairs: &[(&str, &[u8])]) -> Self {
        Self::from_bytes(pairs.iter().map(|(name, value)| (name.as_bytes(), *value)))
    }

    /// The same from names as bytes.
    #[must_use]
    pub fn from_bytes<'a>(
        pairs: impl ExactSizeIterator<Item = (&'a [u8], &'a [u8])> + Clone,
    ) -> Self {
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
        Self { block }
    }

    /// All pairs in order; names are lower case. Stops early at a malformed block.
    pub fn iter(&self) -> impl Iterator<Item = (&[u8], &[u8])> {
        let (count, rest) = self.block.split_first_chunk::<4>().unwrap_or((&[0; 4], &[]));
        let sizes_len = (u32::from_le_bytes(*count) as usize).saturating_mul(8);
        let (sizes, mut data) = rest.split_at_checked(sizes_len).unwrap_or((&[], &[]));
        let (sizes, _) = sizes.as_chunks::<8>();
        sizes.iter().map_while(move |&[a, b, c, d, e, f, g, h]| {
            let name = take(&mut data, u32::from_le_bytes([a, b, c, d]))?;
            let value = take(&mut data, u32::from_le_bytes([e, f, g, h]))?;
            Some((name, value))
        })
    }

    /// The first value of `name` (lower case).
    #[must_use]
    pub fn get(&self, name: &str) -> Option<&[u8]> {
        self.iter().find(|(candidate, _)| *candidate == name.as_bytes()).map(|(_, value)| value)
    }
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

impl fmt::Debug for Headers {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let names = self.iter().map(|(name, _)| String::from_utf8_lossy(name));
        f.debug_list().entries(names).finish()
    }
}

/// Cuts `len` bytes and the NUL behind them off the front of `data`.
fn take<'a>(data: &mut &'a [u8], len: u32) -> Option<&'a [u8]> {
    let (head, rest) = data.split_at_checked(len as usize)?;
    *data = rest.split_first()?.1;
    Some(head)
}

/// Whether a `content-type` value names `media_type`, parameters and case aside (RFC 9110 section
/// 8.3.1).
#[must_use]
pub fn is_media_type(value: &[u8], media_type: &str) -> bool {
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
        assert!(!is_media_type(b"application/jsonl", "application/json"));
    }
}
