//! Bytes against bytes.

/// Whether two texts are equal, eight bytes at once. `==` calls memcmp, which goes byte by byte where
/// wasm32's C library and Rust's own come from: for the texts of a stream that was half of all time.
#[inline]
#[must_use]
pub fn is_same(one: &[u8], other: &[u8]) -> bool {
    let ((ones, one_rest), (others, other_rest)) = (one.as_chunks::<8>(), other.as_chunks::<8>());
    one.len() == other.len()
        && ones
            .iter()
            .zip(others)
            .all(|(one, other)| u64::from_ne_bytes(*one) == u64::from_ne_bytes(*other))
        && one_rest.iter().eq(other_rest)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::test;

    #[test]
    fn one_byte_makes_a_difference() {
        for length in 0..40 {
            let one = vec![7; length];
            assert!(is_same(&one, &one.clone()));
            assert!(!is_same(&one, &vec![7; length + 1]));
            for at in 0..length {
                let mut other = one.clone();
                other[at] = 8;
                assert!(!is_same(&one, &other), "{at} of {length}");
            }
        }
    }
}
