//! Tool calls of a chat answer: which call a delta goes on with.

use std::borrow::Cow;
use std::collections::HashMap;

use super::text::without_halves;

/// The place of a legacy `function_call` among the calls.
pub(crate) const LEGACY: u64 = u64::MAX;

/// A name as long as this is taken for complete: OpenAI's have 64 characters, and each piece of a name
/// is looked at with all before it.
pub(crate) const MAX_NAME_BYTES: usize = 512;

/// A call that nobody can answer.
pub(crate) const NAMELESS: &str = "The upstream called a tool without saying which.";

/// What one delta says of a call. Strings are what stands between the quotes.
#[derive(Debug, Default)]
pub(crate) struct CallDelta<'a> {
    pub(crate) index: Option<u64>,
    pub(crate) id: Cow<'a, [u8]>,
    pub(crate) name: &'a [u8],
    pub(crate) arguments: Cow<'a, [u8]>,
}

/// The calls of an answer, numbered as they begin: by the upstream's indexes and ids.
#[derive(Debug, Default)]
pub(crate) struct CallNumbers {
    count: usize,
    by_index: HashMap<u64, usize>,
    by_id: HashMap<Vec<u8>, usize>,
}

impl CallNumbers {
    /// The call that a delta goes on with. Without an index the id decides, without both a name.
    pub(crate) fn find(&self, delta: &CallDelta<'_>) -> Option<usize> {
        if let Some(index) = delta.index {
            return self.by_index.get(&index).copied();
        }
        if !delta.id.is_empty() {
            return self.by_id.get(&*delta.id).copied();
        }
        if delta.name.is_empty() { self.count.checked_sub(1) } else { None }
    }

    /// The call that a delta begins, where none is found for it.
    pub(crate) fn add(&mut self, delta: &CallDelta<'_>) -> usize {
        let place = self.count;
        self.count = place.saturating_add(1);
        if let Some(index) = delta.index {
            self.by_index.insert(index, place);
        }
        if !delta.id.is_empty() {
            self.by_id.entry(delta.id.to_vec()).or_insert(place);
        }
        place
    }
}

/// Adds to a name that comes in pieces, is repeated, or comes as all of it so far.
pub(crate) fn add_name(name: &mut Vec<u8>, piece: &[u8]) {
    if piece.starts_with(name) {
        name.clear();
    }
    name.extend_from_slice(piece);
}

/// A short string, without lone surrogate halves.
pub(crate) fn clean(inner: &[u8]) -> Vec<u8> {
    without_halves(inner).into_owned()
}
