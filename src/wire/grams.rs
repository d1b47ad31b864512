//! A quick look whether a text may be a part of another: by the few bytes that it is made of.

/// How many bytes are looked at together.
const GRAM: usize = 4;

/// The grams of some texts, as bits of so many words: a power of two.
pub struct Grams<const WORDS: usize>([u64; WORDS]);

impl<const WORDS: usize> Grams<WORDS> {
    /// All grams of these texts.
    #[must_use]
    pub fn of<'t>(texts: impl IntoIterator<Item = &'t [u8]>) -> Self {
        let mut known = [0; WORDS];
        for text in texts {
            for gram in text.windows(GRAM).filter_map(<[u8]>::first_chunk) {
                let (word, bit) = Self::place(gram);
                if let Some(word) = known.get_mut(word) {
                    *word |= bit;
                }
            }
        }
        Self(known)
    }

    #[inline]
    fn place(gram: &[u8; GRAM]) -> (usize, u64) {
        let mixed = u32::from_le_bytes(*gram).wrapping_mul(0x9e37_79b1);
        ((mixed >> 6) as usize >> (26 - WORDS.ilog2()), 1 << (mixed >> 16 & 63))
    }

    #[inline]
    fn knows(&self, gram: &[u8; GRAM]) -> bool {
        let (word, bit) = Self::place(gram);
        self.0.get(word).is_some_and(|word| word & bit != 0)
    }

    /// Whether `part` may be a part of one of the texts. `false` is certain.
    #[must_use]
    pub fn may_hold(&self, part: &[u8]) -> bool {
        match (part.first_chunk(), part.last_chunk()) {
            (Some(first), Some(last)) => self.knows(first) && self.knows(last),
            _ => true,
        }
    }

    /// Whether the one text that these grams are of, which is `length` bytes long, may be a part of `text`. `false` is certain.
    /// Where it stands there, it covers one of as many grams in a row as it has: so few are looked at.
    #[inline]
    #[must_use]
    pub fn may_stand_in(&self, text: &[u8], length: usize) -> bool {
        let Some(step) = length.checked_sub(GRAM) else { return true };
        let mut rest = text.get(step..).unwrap_or_default();
        while let Some(gram) = rest.first_chunk() {
            if self.knows(gram) {
                return true;
            }
            rest = rest.get(step + 1..).unwrap_or_default();
        }
        false
    }
}

#[cfg(test)]
#[cfg(not(target_arch = "wasm32"))]
mod laws {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        /// A quick look overlooks nothing.
        #[test]
        fn nothing_is_overlooked(
            part in "[ab]{1,12}",
            before in "[abc]{0,30}",
            after in "[abc]{0,30}",
            other in "[abc]{0,30}",
        ) {
            let text = [&*before, &*part, &*after].concat();
            let (part, text) = (part.as_bytes(), text.as_bytes());
            prop_assert!(Grams::<16>::of([part]).may_stand_in(text, part.len()));
            prop_assert!(Grams::<64>::of([other.as_bytes(), text]).may_hold(part));
        }
    }
}
