//! A text that arrives in chunks: where the bytes of one stand in the whole, and the tokens that a chunk's end cuts.

use super::tokenizer::{Token, Tokenizer};

/// Bytes of a text, and where they stand in it. Offsets count from the text's first byte, as a [`Token`]'s do.
#[derive(Debug, Clone, Copy)]
pub struct Chunk<'a> {
    bytes: &'a [u8],
    base: u64,
}

impl<'a> Chunk<'a> {
    /// The bytes that `tokenizer` reads next.
    #[must_use]
    pub fn next(tokenizer: &Tokenizer, bytes: &'a [u8]) -> Self {
        Self { bytes, base: tokenizer.base() }
    }

    /// The offset behind its last byte.
    #[must_use]
    pub fn end(self) -> u64 {
        self.base.saturating_add(self.bytes.len() as u64)
    }

    /// What it holds of the text's bytes from `start` to `end`.
    #[inline]
    #[must_use]
    pub fn get(self, start: u64, end: u64) -> &'a [u8] {
        let place = |offset: u64| {
            let inside = usize::try_from(offset.saturating_sub(self.base)).unwrap_or(usize::MAX);
            inside.min(self.bytes.len())
        };
        self.bytes.get(place(start)..place(end)).unwrap_or_default()
    }
}

/// The texts of tokens, put together where the end of a chunk cuts them. Of each, at most the first `LIMIT` bytes: a
/// text of that length may be longer.
///
/// A reader of tokens asks [`TokenText::read`] for the texts that it wants and calls [`TokenText::keep`] at the end of
/// each chunk.
#[derive(Debug, Default)]
pub struct TokenText<const LIMIT: usize> {
    /// The beginning of the token that the chunks so far have not ended.
    kept: Vec<u8>,
}

impl<const LIMIT: usize> TokenText<LIMIT> {
    /// The text of `token`, a name, string or number that ends in `chunk`; the quotes belong to it.
    #[inline]
    pub fn read<'t>(&'t mut self, token: Token, chunk: Chunk<'t>) -> &'t [u8] {
        let part = chunk.get(token.start, token.end);
        if token.start >= chunk.base {
            return part.get(..LIMIT).unwrap_or(part);
        }
        self.append(part);
        &self.kept
    }

    /// Keeps the text that is open at the end of `chunk`, if one is and it stands at most `depth` deep. Returns how many
    /// bytes of it are kept.
    pub fn keep(&mut self, tokenizer: &Tokenizer, chunk: Chunk<'_>, depth: u32) -> usize {
        match tokenizer.open_text() {
            Some((_, start, at)) if at <= depth => {
                if start >= chunk.base {
                    self.kept.clear();
                }
                self.append(chunk.get(start, u64::MAX));
            }
            _ => self.kept.clear(),
        }
        self.kept.len()
    }

    fn append(&mut self, part: &[u8]) {
        let room = LIMIT.saturating_sub(self.kept.len());
        self.kept.extend_from_slice(part.get(..room).unwrap_or(part));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::test;

    /// The texts of all tokens, read in chunks of `size` bytes.
    fn texts(text: &[u8], size: usize) -> Vec<Vec<u8>> {
        let mut tokenizer = Tokenizer::new();
        let mut read = TokenText::<8>::default();
        let mut found = Vec::new();
        for bytes in text.chunks(size) {
            let chunk = Chunk::next(&tokenizer, bytes);
            let mut at = 0;
            while let Some(token) = tokenizer.next(bytes, &mut at, 9).unwrap() {
                found.push(read.read(token, chunk).to_vec());
            }
            read.keep(&tokenizer, chunk, 9);
        }
        found
    }

    #[test]
    fn a_text_is_the_same_however_it_is_cut() {
        let text = br#"{"name":[12.5e3,"much longer than that","",0],"a\"":{"n":1234567890}} "#;
        let whole = texts(text, text.len());
        assert_eq!(whole[1], b"\"name\"");
        assert_eq!(whole[4], b"\"much lo", "no more than the limit");
        for size in 1..text.len() {
            assert_eq!(texts(text, size), whole, "{size}");
        }
    }

    #[test]
    fn what_stands_deeper_is_not_kept() {
        let mut tokenizer = Tokenizer::new();
        let mut read = TokenText::<8>::default();
        let bytes = br#"{"a":["long"#;
        let chunk = Chunk::next(&tokenizer, bytes);
        while tokenizer.next(bytes, &mut 0, 1).is_ok_and(|token| token.is_some()) {}
        assert_eq!(read.keep(&tokenizer, chunk, 1), 0);
    }

    #[test]
    fn a_chunk_shows_what_it_holds() {
        let mut tokenizer = Tokenizer::new();
        tokenizer.next(b"[1,", &mut 0, 9).unwrap();
        let chunk = Chunk { bytes: b"22,3]", base: 3 };
        assert_eq!((chunk.end(), chunk.get(0, 5), chunk.get(6, 99)), (8, &b"22"[..], &b"3]"[..]));
        assert_eq!(chunk.get(9, 12), b"");
    }
}
