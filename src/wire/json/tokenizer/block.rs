//! Bytes looked at together: as SIMD vectors wherever there are some, as words elsewhere. In a mask the lowest bit
//! stands for the first byte.

#[cfg(all(target_arch = "wasm32", not(target_feature = "simd128")))]
use words as imp;

pub use imp::{
    LEN, brackets, equal_bytes, first_no_digit, first_special, is_plain, number_bytes, specials,
};

/// Bytes of which it is only asked whether they are all plain.
pub const LARGE: usize = 256;

/// Where in 64 bytes of a string stands what it may end with.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct StringBytes {
    /// `\`
    pub slashes: u64,
    /// `"`
    pub quotes: u64,
    /// What mostly stands behind a `\`, beside these two: `n`
    pub letters: u64,
    /// Whether there is a control character.
    pub has_control: bool,
}

#[inline]
pub fn string_bytes(wide: &[u8; 64]) -> StringBytes {
    StringBytes {
        slashes: equal_bytes(wide, b'\\'),
        quotes: equal_bytes(wide, b'"'),
        letters: equal_bytes(wide, b'n'),
        has_control: imp::has_control(wide),
    }
}

/// Where in 64 bytes stands what lists of numbers are made of.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct NumberBytes {
    /// `0` to `9`
    pub digits: u64,
    pub points: u64,
    pub minuses: u64,
    pub commas: u64,
}

/// Where in 64 bytes stand the brackets of arrays and objects.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Brackets {
    pub opens: u64,
    pub closes: u64,
}

#[cfg(target_feature = "simd128")]
mod imp {
    use std::arch::wasm32::{
        u8x16_all_true, u8x16_bitmask, u8x16_eq, u8x16_ge, u8x16_le, u8x16_lt, u8x16_min,
        u8x16_splat, u8x16_sub, u8x16_sub_sat, u64x2, v128, v128_any_true, v128_or, v128_xor,
    };

    use super::{Brackets, LARGE, NumberBytes};

    /// Bytes in a block.
    pub const LEN: usize = 16;

    #[inline]
    pub fn first_special(block: &[u8; LEN]) -> Option<usize> {
        first(is_zero(plainness(vector(block))))
    }

    /// The bytes that are `"`, `\` or a control character.
    #[inline]
    pub fn specials(wide: &[u8; 64]) -> u64 {
        let vectors = vectors(wide);
        let slashes = lowest(vectors.map(from_slash));
        let others = beyond_quote(lowest(vectors.map(from_quote)));
        if u8x16_all_true(u8x16_min(slashes, others)) {
            return 0;
        }
        mask(vectors.map(|bytes| is_zero(plainness(bytes))))
    }

    /// Whether there is a control character.
    #[inline]
    pub fn has_control(wide: &[u8; 64]) -> bool {
        v128_any_true(u8x16_lt(lowest(vectors(wide)), u8x16_splat(0x20)))
    }

    /// Whether none of the bytes is `"`, `\` or a control character.
    #[inline]
    pub fn is_plain(wide: &[u8; LARGE]) -> bool {
        let (mut slashes, mut others) = (u8x16_splat(0xFF), u8x16_splat(0xFF));
        for block in wide.as_chunks::<LEN>().0 {
            let bytes = vector(block);
            slashes = u8x16_min(slashes, from_slash(bytes));
            others = u8x16_min(others, from_quote(bytes));
        }
        u8x16_all_true(u8x16_min(slashes, beyond_quote(others)))
    }

    #[inline]
    pub fn first_no_digit(block: &[u8; LEN]) -> Option<usize> {
        first(u8x16_ge(u8x16_sub(vector(block), u8x16_splat(b'0')), u8x16_splat(10)))
    }

    #[inline]
    pub fn number_bytes(wide: &[u8; 64]) -> NumberBytes {
        let digit = |bytes| u8x16_le(u8x16_sub(bytes, u8x16_splat(b'0')), u8x16_splat(9));
        NumberBytes {
            digits: mask(vectors(wide).map(digit)),
            points: equal_bytes(wide, b'.'),
            minuses: equal_bytes(wide, b'-'),
            commas: equal_bytes(wide, b','),
        }
    }

    #[inline]
    pub fn equal_bytes(wide: &[u8; 64], byte: u8) -> u64 {
        mask(vectors(wide).map(|bytes| u8x16_eq(bytes, u8x16_splat(byte))))
    }

    #[inline]
    pub fn brackets(wide: &[u8; 64]) -> Brackets {
        // In ASCII the two kinds of each are one bit apart.
        let folded = vectors(wide).map(|bytes| v128_or(bytes, u8x16_splat(0x20)));
        let of = |byte| mask(folded.map(|bytes| u8x16_eq(bytes, u8x16_splat(byte))));
        Brackets { opens: of(b'{'), closes: of(b'}') }
    }

    /// Zero for `"`, `\` and control characters alone.
    #[inline]
    fn plainness(bytes: v128) -> v128 {
        u8x16_min(from_slash(bytes), beyond_quote(from_quote(bytes)))
    }

    // What is done to a byte alone and what needs only the lowest of several bytes stand apart: most blocks
    // are plain, and four vectors at once cost little more than one.

    /// Zero for `\` alone.
    #[inline]
    fn from_slash(bytes: v128) -> v128 {
        v128_xor(bytes, u8x16_splat(b'\\'))
    }

    /// At most 0x20 for `"` (0x22) and control characters (0x00 to 0x1F) alone.
    #[inline]
    fn from_quote(bytes: v128) -> v128 {
        v128_xor(bytes, u8x16_splat(b'"' ^ 0x20))
    }

    /// Zero for what is at most 0x20.
    #[inline]
    fn beyond_quote(bytes: v128) -> v128 {
        u8x16_sub_sat(bytes, u8x16_splat(0x20))
    }

    #[inline]
    fn lowest([a, b, c, d]: [v128; 4]) -> v128 {
        u8x16_min(u8x16_min(a, b), u8x16_min(c, d))
    }

    #[inline]
    fn is_zero(bytes: v128) -> v128 {
        u8x16_eq(bytes, u8x16_splat(0))
    }

    #[inline]
    fn vectors(wide: &[u8; 64]) -> [v128; 4] {
        let mut vectors = [u64x2(0, 0); 4];
        for (to, from) in vectors.iter_mut().zip(wide.as_chunks::<LEN>().0) {
            *to = vector(from);
        }
        vectors
    }

    /// Becomes one load.
    #[inline]
    fn vector(block: &[u8; LEN]) -> v128 {
        let [a, b, c, d, e, f, g, h, i, j, k, l, m, n, o, p] = *block;
        let low = u64::from_le_bytes([a, b, c, d, e, f, g, h]);
        u64x2(low, u64::from_le_bytes([i, j, k, l, m, n, o, p]))
    }

    #[inline]
    fn mask([a, b, c, d]: [v128; 4]) -> u64 {
        let bits = |hits| u64::from(u8x16_bitmask(hits));
        bits(a) | (bits(b) << 16) | (bits(c) << 32) | (bits(d) << 48)
    }

    #[inline]
    fn first(hits: v128) -> Option<usize> {
        let mask = u8x16_bitmask(hits);
        (mask != 0).then(|| mask.trailing_zeros() as usize)
    }
}

/// `wide`'s vectors: SSE2 on x86-64, NEON on aarch64.
#[cfg(not(target_arch = "wasm32"))]
mod imp {
    use wide::u8x16;

    use super::{Brackets, LARGE, NumberBytes};

    /// Bytes in a block.
    pub const LEN: usize = 16;

    #[inline]
    pub fn first_special(block: &[u8; LEN]) -> Option<usize> {
        first(bits(special(u8x16::new(*block))))
    }

    /// The bytes that are `"`, `\` or a control character.
    #[inline]
    pub fn specials(wide: &[u8; 64]) -> u64 {
        let vectors = vectors(wide);
        if are_plain(&vectors) {
            return 0;
        }
        mask(vectors.map(special))
    }

    /// Whether there is a control character.
    #[inline]
    pub fn has_control(wide: &[u8; 64]) -> bool {
        let [a, b, c, d] = vectors(wide);
        let lowest = a.min(b).min(c.min(d));
        bits(lowest.min(u8x16::splat(0x1F)).cmp_eq(lowest)) != 0
    }

    /// Whether none of the bytes is `"`, `\` or a control character.
    #[inline]
    pub fn is_plain(wide: &[u8; LARGE]) -> bool {
        let mut vectors = [u8x16::ZERO; LARGE / LEN];
        for (to, from) in vectors.iter_mut().zip(wide.as_chunks::<LEN>().0) {
            *to = u8x16::new(*from);
        }
        are_plain(&vectors)
    }

    /// Most blocks are plain, and four vectors at once cost little more than one: what is done to a byte alone and what needs
    /// only the lowest of several bytes stand apart.
    #[inline]
    fn are_plain<const N: usize>(vectors: &[u8x16; N]) -> bool {
        let (mut slashes, mut others) = (u8x16::splat(0xFF), u8x16::splat(0xFF));
        for bytes in vectors {
            slashes = slashes.min(from_slash(*bytes));
            others = others.min(from_quote(*bytes));
        }
        bits(slashes.min(beyond_quote(others)).cmp_eq(u8x16::ZERO)) == 0
    }

    #[inline]
    pub fn first_no_digit(block: &[u8; LEN]) -> Option<usize> {
        first(bits(digit(u8x16::new(*block))) ^ 0xFFFF)
    }

    #[inline]
    pub fn number_bytes(wide: &[u8; 64]) -> NumberBytes {
        NumberBytes {
            digits: mask(vectors(wide).map(digit)),
            points: equal_bytes(wide, b'.'),
            minuses: equal_bytes(wide, b'-'),
            commas: equal_bytes(wide, b','),
        }
    }

    #[inline]
    pub fn equal_bytes(wide: &[u8; 64], byte: u8) -> u64 {
        mask(vectors(wide).map(|bytes| bytes.cmp_eq(u8x16::splat(byte))))
    }

    #[inline]
    pub fn brackets(wide: &[u8; 64]) -> Brackets {
        // In ASCII the two kinds of each are one bit apart.
        let folded = vectors(wide).map(|bytes| bytes | u8x16::splat(0x20));
        let of = |byte| mask(folded.map(|bytes| bytes.cmp_eq(u8x16::splat(byte))));
        Brackets { opens: of(b'{'), closes: of(b'}') }
    }

    /// All ones for `"`, `\` and control characters.
    #[inline]
    fn special(bytes: u8x16) -> u8x16 {
        from_slash(bytes).min(beyond_quote(from_quote(bytes))).cmp_eq(u8x16::ZERO)
    }

    /// Zero for `\` alone.
    #[inline]
    fn from_slash(bytes: u8x16) -> u8x16 {
        bytes ^ u8x16::splat(b'\\')
    }

    /// At most 0x20 for `"` (0x22) and control characters (0x00 to 0x1F) alone.
    #[inline]
    fn from_quote(bytes: u8x16) -> u8x16 {
        bytes ^ u8x16::splat(b'"' ^ 0x20)
    }

    /// Zero for what is at most 0x20.
    #[inline]
    fn beyond_quote(bytes: u8x16) -> u8x16 {
        bytes.saturating_sub(u8x16::splat(0x20))
    }

    #[inline]
    fn digit(bytes: u8x16) -> u8x16 {
        let above = (bytes - u8x16::splat(b'0')).saturating_sub(u8x16::splat(9));
        above.cmp_eq(u8x16::ZERO)
    }

    #[inline]
    fn vectors(wide: &[u8; 64]) -> [u8x16; 4] {
        let mut vectors = [u8x16::ZERO; 4];
        for (to, from) in vectors.iter_mut().zip(wide.as_chunks::<LEN>().0) {
            *to = u8x16::new(*from);
        }
        vectors
    }

    #[inline]
    fn mask([a, b, c, d]: [u8x16; 4]) -> u64 {
        let bits = |hits| u64::from(bits(hits));
        bits(a) | (bits(b) << 16) | (bits(c) << 32) | (bits(d) << 48)
    }

    #[inline]
    fn bits(hits: u8x16) -> u32 {
        hits.move_mask().cast_unsigned()
    }

    #[inline]
    fn first(mask: u32) -> Option<usize> {
        (mask != 0).then(|| mask.trailing_zeros() as usize)
    }
}

/// A block as a word, read little-endian. Tests hold the vectors against it.
#[cfg(any(
    all(test, not(target_arch = "wasm32")),
    all(target_arch = "wasm32", not(target_feature = "simd128"))
))]
mod words {
    use super::{Brackets, LARGE, NumberBytes};

    /// Bytes in a block.
    pub const LEN: usize = 8;

    const EACH: u64 = 0x0101_0101_0101_0101;
    const LOW: u64 = EACH * 0x7F;

    #[inline]
    pub fn first_special(block: &[u8; LEN]) -> Option<usize> {
        first(special(u64::from_le_bytes(*block)))
    }

    /// The bytes that are `"`, `\` or a control character.
    #[inline]
    pub fn specials(wide: &[u8; 64]) -> u64 {
        let hits = words(wide).map(special);
        if hits.iter().all(|hits| *hits == 0) { 0 } else { mask(hits) }
    }

    /// Whether there is a control character.
    #[inline]
    pub fn has_control(wide: &[u8; 64]) -> bool {
        words(wide).iter().any(|word| control(*word) != 0)
    }

    /// Whether none of the bytes is `"`, `\` or a control character.
    #[inline]
    pub fn is_plain(wide: &[u8; LARGE]) -> bool {
        let words = wide.as_chunks::<LEN>().0.iter().map(|word| special(u64::from_le_bytes(*word)));
        words.fold(0, |hits, word| hits | word) == 0
    }

    #[inline]
    pub fn first_no_digit(block: &[u8; LEN]) -> Option<usize> {
        first(digit(u64::from_le_bytes(*block)) ^ (EACH * 0x80))
    }

    #[inline]
    pub fn number_bytes(wide: &[u8; 64]) -> NumberBytes {
        NumberBytes {
            digits: mask(words(wide).map(digit)),
            points: equal_bytes(wide, b'.'),
            minuses: equal_bytes(wide, b'-'),
            commas: equal_bytes(wide, b','),
        }
    }

    #[inline]
    pub fn equal_bytes(wide: &[u8; 64], byte: u8) -> u64 {
        mask(words(wide).map(|word| equal(word, byte)))
    }

    #[inline]
    pub fn brackets(wide: &[u8; 64]) -> Brackets {
        // In ASCII the two kinds of each are one bit apart.
        let folded = words(wide).map(|word| word | (EACH * 0x20));
        let of = |byte| mask(folded.map(|word| equal(word, byte)));
        Brackets { opens: of(b'{'), closes: of(b'}') }
    }

    // The highest bit of each byte says whether it is one that is looked for. No byte's sum reaches
    // into the next one.

    #[inline]
    fn special(word: u64) -> u64 {
        equal(word, b'"') | equal(word, b'\\') | control(word)
    }

    #[inline]
    fn control(word: u64) -> u64 {
        let upper = (word & LOW) + EACH * 0x60;
        !(upper | word) & (EACH * 0x80)
    }

    #[inline]
    fn equal(word: u64, byte: u8) -> u64 {
        let other = word ^ (EACH * u64::from(byte));
        !(((other & LOW) + LOW) | other) & (EACH * 0x80)
    }

    /// A digit is 0x30 to 0x39: its upper half is 3, and stays so when 6 is added.
    #[inline]
    fn digit(word: u64) -> u64 {
        let upper = |word: u64| (word & (EACH * 0xF0)) ^ (EACH * 0x30);
        let other = upper(word) | upper((word & LOW) + EACH * 6);
        !(((other & LOW) + LOW) | other) & (EACH * 0x80)
    }

    #[inline]
    fn words(wide: &[u8; 64]) -> [u64; 8] {
        let mut words = [0; 8];
        for (to, from) in words.iter_mut().zip(wide.as_chunks::<LEN>().0) {
            *to = u64::from_le_bytes(*from);
        }
        words
    }

    #[inline]
    fn mask(hits: [u64; 8]) -> u64 {
        // The product has the eight highest bits, in order, in its highest byte.
        let bits = |hits: u64| (hits >> 7).wrapping_mul(0x0102_0408_1020_4080) >> 56;
        hits.iter().rev().fold(0, |mask, &hits| (mask << 8) | bits(hits))
    }

    #[inline]
    fn first(hits: u64) -> Option<usize> {
        (hits != 0).then(|| hits.trailing_zeros() as usize / 8)
    }
}

// The words are not what tests run on, so they are held against the vectors here.
#[cfg(all(test, not(target_arch = "wasm32")))]
mod laws {
    use proptest::prelude::*;

    use super::{LARGE, imp, words};

    /// Bytes on both sides of every border that matters.
    fn byte() -> impl Strategy<Value = u8> {
        prop_oneof![
            prop::sample::select(
                b"\x00\x1f\x20\x21\"#[\\]{}/09:.-,mnoqrstu\x7f\x80\xa2\xdc\xff".to_vec()
            ),
            any::<u8>()
        ]
    }

    proptest! {
        #[test]
        fn vectors_and_words_see_the_same(bytes in prop::collection::vec(byte(), 64)) {
            let wide: &[u8; 64] = bytes.as_slice().try_into().unwrap();
            prop_assert_eq!(imp::specials(wide), words::specials(wide));
            prop_assert_eq!(imp::has_control(wide), words::has_control(wide));
            prop_assert_eq!(imp::number_bytes(wide), words::number_bytes(wide));
            prop_assert_eq!(imp::brackets(wide), words::brackets(wide));
            for at in [b'"', b'\\', b'n', b'0', 0x80] {
                prop_assert_eq!(imp::equal_bytes(wide, at), words::equal_bytes(wide, at));
            }
            let special = imp::specials(wide);
            let first = (special & 0xFFFF != 0).then(|| special.trailing_zeros() as usize);
            prop_assert_eq!(imp::first_special(wide.first_chunk().unwrap()), first);
            let in_a_word = first.filter(|at| *at < words::LEN);
            prop_assert_eq!(words::first_special(wide.first_chunk().unwrap()), in_a_word);
            let others = !imp::number_bytes(wide).digits & 0xFFFF;
            let first = (others != 0).then(|| others.trailing_zeros() as usize);
            prop_assert_eq!(imp::first_no_digit(wide.first_chunk().unwrap()), first);
            let in_a_word = first.filter(|at| *at < words::LEN);
            prop_assert_eq!(words::first_no_digit(wide.first_chunk().unwrap()), in_a_word);
        }

        #[test]
        fn one_special_byte_in_a_large_block_is_seen(at in 0..LARGE, byte in byte()) {
            let mut block = [b'a'; LARGE];
            block[at] = byte;
            prop_assert_eq!(imp::is_plain(&block), words::is_plain(&block));
        }
    }
}
