//! Names of headers that are known beforehand, and what is known of each. A name that is asked for is compared with one of
//! them, as a rule: its length and its two ends tell which.

use std::ops::Deref;

/// Names, each with what is known of it.
pub struct NameTable<N, T> {
    /// At least half of them are free: a search ends at one. A name stands at its place, or behind what was there before.
    places: Vec<Option<Known<N, T>>>,
}

struct Known<N, T> {
    ends: Ends,
    name: N,
    what: T,
}

/// What tells a name from most others: its length, and eight bytes at either end, which meet or overlap in most names. Of less
/// than eight bytes all are in `first`.
#[derive(Clone, Copy)]
struct Ends {
    length: usize,
    first: u64,
    last: u64,
}

impl Ends {
    #[inline]
    fn of(name: &[u8]) -> Self {
        let length = name.len();
        if let (Some(first), Some(last)) = (name.first_chunk(), name.last_chunk()) {
            let (first, last) = (u64::from_le_bytes(*first), u64::from_le_bytes(*last));
            return Self { length, first, last };
        }
        let first = match (name.first_chunk(), name.last_chunk()) {
            (Some(first), Some(last)) => {
                u64::from(u32::from_le_bytes(*first)) | u64::from(u32::from_le_bytes(*last)) << 32
            }
            _ => name.iter().fold(0, |all, byte| all << 8 | u64::from(*byte)),
        };
        Self { length, first, last: 0 }
    }

    /// Where the search for it begins.
    #[inline]
    fn hash(&self) -> usize {
        let mixed = (self.first ^ self.last.rotate_left(29)).wrapping_add(self.length as u64);
        (mixed.wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 40) as usize
    }

    #[inline]
    fn is(&self, other: &Self) -> bool {
        self.length == other.length && self.first == other.first && self.last == other.last
    }
}

/// Whether two names with the same ends are the same: eight bytes at a time, where the ends leave some between them.
#[inline]
fn is_same(name: &[u8], known: &[u8]) -> bool {
    let ((some, _), (others, _)) = (name.as_chunks::<8>(), known.as_chunks::<8>());
    name.len() <= 16
        || some
            .iter()
            .zip(others)
            .skip(1)
            .all(|(one, other)| u64::from_le_bytes(*one) == u64::from_le_bytes(*other))
}

impl<N: Deref<Target = str>, T> NameTable<N, T> {
    /// A table of these names. Of equal ones the first counts.
    #[must_use]
    pub fn new(names: impl IntoIterator<Item = (N, T)>) -> Self {
        let names: Vec<_> = names.into_iter().collect();
        let mut places = Vec::new();
        places.resize_with((names.len() * 2 + 1).next_power_of_two(), || None);
        let mut table = Self { places };
        for (name, what) in names {
            if table.find(name.as_bytes()).is_some() {
                continue;
            }
            let ends = Ends::of(name.as_bytes());
            let mut at = table.first(&ends);
            while let Some(Some(_)) = table.places.get(at) {
                at = table.behind(at);
            }
            if let Some(place) = table.places.get_mut(at) {
                *place = Some(Known { ends, name, what });
            }
        }
        table
    }

    /// The first place where a name may stand, and the one behind another.
    #[inline]
    fn first(&self, ends: &Ends) -> usize {
        ends.hash() & (self.places.len() - 1)
    }

    #[inline]
    fn behind(&self, place: usize) -> usize {
        (place + 1) & (self.places.len() - 1)
    }

    /// What is known of a name.
    #[inline]
    #[must_use]
    pub fn find(&self, name: &[u8]) -> Option<(&N, &T)> {
        let ends = Ends::of(name);
        let mut at = self.first(&ends);
        while let Some(Some(known)) = self.places.get(at) {
            if known.ends.is(&ends) && is_same(name, known.name.as_bytes()) {
                return Some((&known.name, &known.what));
            }
            at = self.behind(at);
        }
        None
    }

    /// All of them, in no order.
    pub fn iter(&self) -> impl Iterator<Item = (&N, &T)> {
        self.places.iter().flatten().map(|known| (&known.name, &known.what))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::test;

    #[test]
    fn the_first_of_equal_names_counts() {
        let table = NameTable::new([("a", 1), ("b", 2), ("a", 3)]);
        assert_eq!(table.find(b"a").map(|(_, what)| *what), Some(1));
        assert_eq!(table.iter().count(), 2);
        assert!(NameTable::<&str, u8>::new([]).find(b"").is_none());
    }
}

#[cfg(test)]
#[cfg(not(target_arch = "wasm32"))]
mod laws {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        /// A table finds what a list finds, of any length.
        #[test]
        fn a_list_finds_the_same(
            names in proptest::collection::vec("[ab]{0,5}|[ab]{6,9}|[ab]{3}-{12}[ab]{3}|[ab]{2}-{13,20}[ab]-{16}[ab]", 0..40),
            asked in proptest::collection::vec("[ab]{0,5}|[ab]{6,9}|[ab]{3}-{12}[ab]{3}|[ab]{2}-{13,20}[ab]-{16}[ab]", 0..40),
        ) {
            let table = NameTable::new(names.iter().map(String::as_str).zip(0..));
            for name in names.iter().chain(&asked) {
                let want = names.iter().position(|known| known == name);
                let found = table.find(name.as_bytes());
                prop_assert_eq!(found.map(|(_, number)| *number), want);
                prop_assert!(found.is_none_or(|(known, _)| *known == name));
            }
        }
    }
}
