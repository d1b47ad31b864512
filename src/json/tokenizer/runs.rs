//! The loops that most bytes of a text go through, a block of bytes at a time.

use block::{LEN, first_no_digit, first_special};

/// How many bytes at the start of `bytes` are neither `"`, `\` nor a control character.
#[inline]
#[must_use]
pub fn plain_run(bytes: &[u8]) -> usize {
    let mut at = 0;
    while let Some(block) = bytes.get(at..).and_then(<[u8]>::first_chunk) {
        if let Some(first) = first_special(block) {
            return at + first;
        }
        at += LEN;
        // A string that has not ended by now may be a long one.
        if at == 4 * LEN {
            at += wide_plain_run(bytes.get(at..).unwrap_or_default());
        }
    }
    let rest = bytes.get(at..).unwrap_or_default();
    at + rest.iter().position(|&byte| is_special(byte)).unwrap_or(rest.len())
}

/// How many bytes, in steps of 64, are as plain. Without a branch inside of a step the compiler makes
/// SIMD of it.
fn wide_plain_run(bytes: &[u8]) -> usize {
    let (wide, _) = bytes.as_chunks::<64>();
    let plain =
        wide.iter().position(|wide| wide.iter().fold(false, |hit, &byte| hit | is_special(byte)));
    plain.unwrap_or(wide.len()) * 64
}

fn is_special(byte: u8) -> bool {
    (byte == b'"') | (byte == b'\\') | (byte < 0x20)
}

/// How many digits `bytes` begin with.
#[inline]
fn digit_run(bytes: &[u8]) -> usize {
    let mut at = 0;
    while let Some(block) = bytes.get(at..).and_then(<[u8]>::first_chunk) {
        if let Some(first) = first_no_digit(block) {
            return at + first;
        }
        at += LEN;
    }
    let rest = bytes.get(at..).unwrap_or_default();
    at + rest.iter().position(|byte| !byte.is_ascii_digit()).unwrap_or(rest.len())
}

/// The length of the number that `bytes` begin with. `None` if it is not known to end here, or is none:
/// that is for the byte by byte reader to say.
#[inline]
pub(super) fn whole_number(bytes: &[u8]) -> Option<usize> {
    let mut at = usize::from(bytes.first() == Some(&b'-'));
    at += match bytes.get(at)? {
        b'0' => 1,
        b'1'..=b'9' => digit_run(bytes.get(at..)?),
        _ => return None,
    };
    if bytes.get(at)? == &b'.' {
        at += 1 + some_digits(bytes.get(at + 1..)?)?;
    }
    if let b'e' | b'E' = bytes.get(at)? {
        at += 1 + usize::from(matches!(bytes.get(at + 1)?, b'+' | b'-'));
        at += some_digits(bytes.get(at..)?)?;
    }
    // A digit can only follow a leading zero, which is wrong.
    (!bytes.get(at)?.is_ascii_digit()).then_some(at)
}

#[inline]
fn some_digits(bytes: &[u8]) -> Option<usize> {
    Some(digit_run(bytes)).filter(|&run| run > 0)
}

/// How many bytes at the start of `bytes`, which follow a number in an array, are further whole
/// numbers with their commas.
pub(super) fn more_numbers(bytes: &[u8]) -> usize {
    let mut at = 0;
    while let Some([b',', rest @ ..]) = bytes.get(at..) {
        let space = usize::from(rest.first() == Some(&b' '));
        let Some(length) = rest.get(space..).and_then(whole_number) else { break };
        at += 1 + space + length;
    }
    at
}

/// A block as a SIMD vector: Envoy's VM.
#[cfg(target_feature = "simd128")]
mod block {
    use std::arch::wasm32::{
        u8x16_bitmask, u8x16_eq, u8x16_ge, u8x16_lt, u8x16_splat, u8x16_sub, u64x2, v128, v128_or,
    };

    /// Bytes in a block.
    pub const LEN: usize = 16;

    #[inline]
    pub fn first_special(block: &[u8; LEN]) -> Option<usize> {
        let bytes = vector(block);
        let quotes = u8x16_eq(bytes, u8x16_splat(b'"'));
        let slashes = u8x16_eq(bytes, u8x16_splat(b'\\'));
        let controls = u8x16_lt(bytes, u8x16_splat(0x20));
        first(v128_or(v128_or(quotes, slashes), controls))
    }

    #[inline]
    pub fn first_no_digit(block: &[u8; LEN]) -> Option<usize> {
        first(u8x16_ge(u8x16_sub(vector(block), u8x16_splat(b'0')), u8x16_splat(10)))
    }

    /// Becomes one load.
    #[inline]
    fn vector(block: &[u8; LEN]) -> v128 {
        let [a, b, c, d, e, f, g, h, i, j, k, l, m, n, o, p] = *block;
        let low = u64::from_le_bytes([a, b, c, d, e, f, g, h]);
        u64x2(low, u64::from_le_bytes([i, j, k, l, m, n, o, p]))
    }

    #[inline]
    fn first(hits: v128) -> Option<usize> {
        let mask = u8x16_bitmask(hits);
        (mask != 0).then(|| mask.trailing_zeros() as usize)
    }
}

/// A block as a word, read little-endian, so that the lowest bit set belongs to the first byte that is
/// looked for. Borrows and carries go upwards: they spoil nothing below that bit.
#[cfg(not(target_feature = "simd128"))]
mod block {
    /// Bytes in a block.
    pub const LEN: usize = 8;

    const EACH: u64 = 0x0101_0101_0101_0101;

    #[inline]
    pub fn first_special(block: &[u8; LEN]) -> Option<usize> {
        let word = u64::from_le_bytes(*block);
        let quotes = word ^ (EACH * 0x22);
        let slashes = word ^ (EACH * 0x5C);
        let quotes = quotes.wrapping_sub(EACH) & !quotes;
        let slashes = slashes.wrapping_sub(EACH) & !slashes;
        let controls = word.wrapping_sub(EACH * 0x20) & !word;
        first((quotes | slashes | controls) & (EACH * 0x80))
    }

    /// A digit is 0x30 to 0x39: its upper half is 3, and stays so when 6 is added.
    #[inline]
    pub fn first_no_digit(block: &[u8; LEN]) -> Option<usize> {
        let word = u64::from_le_bytes(*block);
        let upper = |word: u64| (word & (EACH * 0xF0)) ^ (EACH * 0x30);
        first(upper(word) | upper(word.wrapping_add(EACH * 6)))
    }

    #[inline]
    fn first(hits: u64) -> Option<usize> {
        (hits != 0).then(|| hits.trailing_zeros() as usize / 8)
    }
}
