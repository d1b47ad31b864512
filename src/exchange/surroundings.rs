//! What an exchange may ask about the place where it runs.

use super::Note;

/// The host's side of an exchange's questions. Each may cost a call, so none is asked without need.
pub trait Surroundings {
    /// Unix seconds.
    fn now(&self) -> u64;

    /// A note that an instance of this filter has left on the same request: an earlier attempt's, or
    /// the other position's. No client and no upstream can write one.
    fn recall(&self, note: Note) -> Option<Vec<u8>>;
}
