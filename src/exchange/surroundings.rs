//! What an exchange may ask about the place where it runs.

use super::Note;

/// The host's side of an exchange's questions. Each may cost a call, so none is asked without need. What only the second
/// position knows is answered as in the listener's filters, unless a host says otherwise.
pub trait Surroundings {
    /// Unix seconds.
    fn now(&self) -> u64;

    /// A note that an instance of this filter has left on the same request: an earlier attempt's, or
    /// the other position's. No client and no upstream can write one.
    fn recall(&self, note: Note) -> Option<Vec<u8>>;

    /// Which attempt at the request this is, counted from 1; 0 in the listener's filters, where no host
    /// has been chosen.
    fn attempt(&self) -> u64 {
        0
    }

    /// The provider that the chosen host's metadata names (`filter_metadata`, `openai-gateway`,
    /// `provider`).
    fn host_provider(&self) -> Option<Vec<u8>> {
        None
    }

    /// What [`Self::host_provider`] reads, where that is there and no text. Asked where no provider was found.
    fn host_provider_kind(&self) -> Option<&'static str> {
        // A number comes as its eight bytes.
        let name = self.host_provider()?;
        let is_text = str::from_utf8(&name).is_ok_and(|name| !name.contains(char::is_control));
        (!is_text).then_some("no string")
    }

    /// The cluster of the chosen host.
    fn cluster(&self) -> Option<Vec<u8>> {
        None
    }

    /// Why the answer is as it is: `via_upstream` for an upstream's own, else Envoy's reason.
    fn answer_details(&self) -> Option<Vec<u8>> {
        None
    }
}
