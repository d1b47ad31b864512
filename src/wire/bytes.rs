//! Bytes against bytes.

/// Bytes that are looked at together. The compiler makes a vector of them where there are some.
type Block = [u8; 16];

/// Whether two texts are equal. `==` calls memcmp, which goes byte by byte where wasm32's C library and
/// Rust's own come from: for the texts of a stream that was half of all time. Elsewhere it is the best there is.
#[inline]
#[must_use]
pub fn is_same(one: &[u8], other: &[u8]) -> bool {
    if cfg!(not(target_arch = "wasm32")) {
        return one == other;
    }
    if one.len() != other.len() {
        return false;
    }
    let (Some(one_end), Some(other_end)) = (one.last_chunk(), other.last_chunk()) else {
        return one.iter().eq(other);
    };
    // The last block overlaps the one before, so that there is no rest. Nor does it pay to stop at the
    // first difference: texts that are compared are nearly always equal.
    let (ones, others) = (one.as_chunks().0, other.as_chunks().0);
    let last = differences(Block::default(), one_end, other_end);
    ones.iter().zip(others).fold(last, |all, (one, other)| differences(all, one, other))
        == Block::default()
}

#[inline]
fn differences(mut all: Block, one: &Block, other: &Block) -> Block {
    for (all, (one, other)) in all.iter_mut().zip(one.iter().zip(other)) {
        *all |= one ^ other;
    }
    all
}

/// What follows `prefix`, as the method of slices, but by [`is_same`].
#[inline]
#[must_use]
pub fn strip_prefix<'a>(text: &'a [u8], prefix: &[u8]) -> Option<&'a [u8]> {
    let (head, rest) = text.split_at_checked(prefix.len())?;
    is_same(head, prefix).then_some(rest)
}

/// Whether this is UTF-8. Most texts are ASCII, which is told at once.
#[inline]
#[must_use]
pub fn is_utf8(text: &[u8]) -> bool {
    is_ascii(text) || std::str::from_utf8(text).is_ok()
}

/// Whether the first `len` bytes of `text` are UTF-8.
#[inline]
#[must_use]
pub fn is_utf8_up_to(text: &[u8], len: usize) -> bool {
    // Most pieces of a stream's text are short, and ASCII follows them: no loop, no guess of its end.
    let is_short = len <= size_of::<Block>() && text.first_chunk().is_some_and(is_ascii_block);
    is_short || text.get(..len).is_some_and(is_utf8)
}

#[inline]
fn is_ascii(text: &[u8]) -> bool {
    let (blocks, rest) = text.as_chunks();
    blocks.iter().all(is_ascii_block) && rest.iter().fold(0, |all, byte| all | byte) < 0x80
}

#[inline]
fn is_ascii_block(block: &Block) -> bool {
    u128::from_ne_bytes(*block) & u128::from_ne_bytes([0x80; size_of::<Block>()]) == 0
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::test;

    #[test]
    fn one_byte_makes_a_difference() {
        for length in 0..70 {
            let one = vec![7; length];
            assert!(is_same(&one, &one.clone()));
            assert!(!is_same(&one, &vec![7; length + 1]));
            assert_eq!(strip_prefix(&[&one[..], b"x"].concat(), &one), Some(&b"x"[..]));
            assert!(is_utf8(&one));
            for at in 0..length {
                let mut other = one.clone();
                other[at] = 8;
                assert!(!is_same(&one, &other), "{at} of {length}");
                assert_eq!(strip_prefix(&other, &one), None);
                other[at] = 0xff;
                assert!(!is_utf8(&other), "{at} of {length}");
                assert!(is_utf8_up_to(&other, at));
                assert!(!is_utf8_up_to(&other, at + 1));
            }
        }
        assert_eq!(strip_prefix(b"ab", b"abc"), None);
        assert!(is_utf8("0123456789abcde\u{e9}".as_bytes()));
    }
}
