//! Equal values once: what many virtual keys have in common takes the memory of one.

use std::borrow::Borrow;
use std::collections::HashSet;
use std::hash::Hash;
use std::sync::Arc;

/// The values of one type that were seen so far.
#[derive(Debug)]
pub struct Interner<T: ?Sized>(HashSet<Arc<T>>);

impl<T: ?Sized> Default for Interner<T> {
    fn default() -> Self {
        Self(HashSet::new())
    }
}

impl<T: ?Sized + Eq + Hash> Interner<T> {
    /// The one value that equals `value`.
    pub fn intern(&mut self, value: impl Borrow<T> + Into<Arc<T>>) -> Arc<T> {
        if let Some(known) = self.0.get(value.borrow()) {
            return Arc::clone(known);
        }
        let value = value.into();
        self.0.insert(Arc::clone(&value));
        value
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::test;

    #[test]
    fn equal_values_are_one() {
        let mut names = Interner::<str>::default();
        let (one, other) = (names.intern("a"), names.intern("b"));
        assert!(Arc::ptr_eq(&one, &names.intern("a")) && !Arc::ptr_eq(&one, &other));
        let mut lists = Interner::<[u8]>::default();
        assert!(Arc::ptr_eq(&lists.intern(vec![1, 2]), &lists.intern(vec![1, 2])));
    }
}
