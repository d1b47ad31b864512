//! With which of the processor's instructions a string is read: with those that all have, or, where it is worth asking, with
//! AVX2.

use super::block::{self, StringBytes};
use super::strings::{Run, string_rest_with};

/// Looks at a string's bytes, many at a time.
pub(super) trait Look: Copy {
    /// Where 64 of them may end it.
    fn string_bytes(self, wide: &[u8; 64]) -> StringBytes;
    /// Whether none is `"`, `\` or a control character.
    fn is_plain(self, wide: &[u8; block::LARGE]) -> bool;
}

/// With the instructions that this was built for.
#[derive(Clone, Copy)]
pub(super) struct Baseline;

impl Look for Baseline {
    #[inline(always)]
    fn string_bytes(self, wide: &[u8; 64]) -> StringBytes {
        block::string_bytes(wide)
    }

    #[inline(always)]
    fn is_plain(self, wide: &[u8; block::LARGE]) -> bool {
        block::is_plain(wide)
    }
}

/// Reads a string from `at`, inside of it.
pub(super) fn string_rest(chunk: &[u8], at: usize) -> Run {
    #[cfg(target_arch = "x86_64")]
    if let Some(run) = avx2::string_rest(chunk, at) {
        return run;
    }
    string_rest_with(Baseline, chunk, at)
}

#[cfg(target_arch = "x86_64")]
pub(super) mod avx2 {
    use std::sync::LazyLock;

    use fearless_simd::{Avx2, Level, Simd, SimdBase, SimdFrom, SimdInt, SimdMask, u8x64};

    use super::{Look, Run, StringBytes, block, string_rest_with};

    /// Whether this processor has AVX2, asked once.
    pub static FOUND: LazyLock<Option<Avx2>> = LazyLock::new(|| Level::new().as_avx2());

    /// What a string may have before it is worth the change of instructions.
    const LONG: usize = 512;

    /// `None` where that is not worth it, or there is no AVX2.
    #[inline]
    pub fn string_rest(chunk: &[u8], at: usize) -> Option<Run> {
        if chunk.len().saturating_sub(at) < LONG {
            return None;
        }
        let avx2 = (*FOUND)?;
        Some(avx2.vectorize(
            #[inline(always)]
            || string_rest_with(avx2, chunk, at),
        ))
    }

    impl Look for Avx2 {
        #[inline(always)]
        fn string_bytes(self, wide: &[u8; 64]) -> StringBytes {
            let bytes = u8x64::simd_from(self, *wide);
            StringBytes {
                slashes: bytes.simd_eq(b'\\').to_bitmask(),
                quotes: bytes.simd_eq(b'"').to_bitmask(),
                letters: bytes.simd_eq(b'n').to_bitmask(),
                has_control: bytes.min(u8x64::splat(self, 0x1F)).simd_eq(bytes).any_true(),
            }
        }

        #[inline(always)]
        fn is_plain(self, wide: &[u8; block::LARGE]) -> bool {
            let highest = u8x64::splat(self, 0xFF);
            // What is done to a byte alone and what needs only the lowest of several bytes stand apart.
            let (mut from_slash, mut from_quote) = (highest, highest);
            for block in wide.as_chunks().0 {
                let bytes = u8x64::simd_from(self, *block);
                from_slash = from_slash.min(bytes ^ b'\\');
                // At most 0x20 for `"` (0x22) and control characters alone.
                from_quote = from_quote.min(bytes ^ (b'"' ^ 0x20));
            }
            let others = from_quote.min(u8x64::splat(self, 0x20)).simd_eq(from_quote);
            !(from_slash.simd_eq(0) | others).any_true()
        }
    }
}

// On a machine without AVX2 there is nothing to hold.
#[cfg(all(test, not(target_arch = "wasm32"), target_arch = "x86_64"))]
mod laws {
    use fearless_simd::Simd;
    use proptest::prelude::*;

    use super::*;

    fn text() -> impl Strategy<Value = Vec<u8>> {
        let pieces = prop_oneof![
            6 => "[ -~äöü漢]{0,90}".prop_map(|text| text.replace(['"', '\\'], "").into_bytes()),
            2 => prop::sample::select(vec![r"\n", r"\\", r#"\""#, r"\u00e9", r"\ud83d\ude00"]).prop_map(Vec::from),
            1 => prop::sample::select(b" Az09+/".to_vec()).prop_map(|byte| vec![byte; 700]),
            1 => prop::sample::select(b"\"\\\x00\x1f\x20\x7f\x80\xff\n".to_vec()).prop_map(|byte| vec![byte]),
        ];
        prop::collection::vec(pieces, 0..40).prop_map(|pieces| pieces.concat())
    }

    proptest! {
        #[test]
        fn a_string_is_read_the_same_with_avx2(text in text(), from in 0usize..70) {
            let Some(avx2) = *avx2::FOUND else { return Ok(()) };
            let from = from.min(text.len());
            let faster = avx2.vectorize(
                #[inline(always)]
                || string_rest_with(avx2, &text, from),
            );
            prop_assert_eq!(faster, string_rest_with(Baseline, &text, from));
        }

        #[test]
        fn avx2_sees_what_the_baseline_sees(bytes in prop::collection::vec(any::<u8>(), block::LARGE), plain: bool) {
            let Some(avx2) = *avx2::FOUND else { return Ok(()) };
            let bytes: Vec<u8> = bytes.into_iter().map(|byte| if plain { byte | 0x60 } else { byte }).collect();
            let wide = bytes.first_chunk().unwrap();
            prop_assert_eq!(avx2.string_bytes(wide), Baseline.string_bytes(wide));
            let wide = bytes.first_chunk().unwrap();
            prop_assert_eq!(avx2.is_plain(wide), Baseline.is_plain(wide));
        }
    }
}
