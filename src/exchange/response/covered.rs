//! An event stream that passes as it is (speech, images), but for the provider's key.

use crate::exchange::BodyOut;
use crate::exchange::redact::StreamCover;
use crate::policy::ProviderKey;

/// How much may wait in Envoy for the next bytes.
const MOST_HELD: usize = 16 * 1024;

/// What has come of such a stream. As long as its end may be the key's beginning, Envoy holds what has not gone on: a stream
/// that ends by trailers could not be given it back.
#[derive(Debug, Default)]
pub(in super::super) struct CoveredStream {
    cover: StreamCover,
    /// What is to go on in the place of what Envoy holds.
    ready: Vec<u8>,
    is_holding: bool,
}

impl CoveredStream {
    /// What goes on in the place of what is held and of `bytes`; `None`: all of that is held.
    pub(super) fn push(
        &mut self,
        key: Option<&ProviderKey>,
        bytes: &[u8],
        end: bool,
    ) -> Option<BodyOut> {
        let covered = key.and_then(|key| self.cover.push(key, bytes, end));
        let was_holding = std::mem::take(&mut self.is_holding);
        if !was_holding && self.cover.held() == 0 {
            return Some(covered.map_or(BodyOut::Same, BodyOut::Replace));
        }
        match covered {
            Some(covered) => self.ready.extend_from_slice(&covered),
            None => self.ready.extend_from_slice(bytes),
        }
        if !end && self.cover.held() > 0 && self.held() <= MOST_HELD {
            self.is_holding = true;
            return None;
        }
        Some(BodyOut::Replace(std::mem::take(&mut self.ready)))
    }

    /// Bytes that are held.
    pub(super) fn held(&self) -> usize {
        self.ready.len() + self.cover.held()
    }

    /// Whether Envoy holds bytes of the body.
    pub(super) fn is_holding(&self) -> bool {
        self.is_holding
    }
}

#[cfg(test)]
#[cfg(not(target_arch = "wasm32"))]
mod laws {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        /// However a stream is cut, what goes on is the same, and what waits is bounded.
        #[test]
        fn cuts_do_not_matter(
            text in "(sk-abcdefghij|sk-|\\\\u00|%25|[ -~]|s){0,12}",
            cuts in proptest::collection::vec(0_usize..100, 0..6),
        ) {
            let key = ProviderKey::of("Bearer sk-abcdefghij");
            let mut cuts: Vec<usize> = cuts.iter().map(|cut| cut % (text.len() + 1)).collect();
            cuts.sort_unstable();
            cuts.push(text.len());
            let whole = |text: &str| {
                let mut stream = CoveredStream::default();
                match stream.push(key.as_ref(), text.as_bytes(), true) {
                    Some(BodyOut::Replace(out)) => out,
                    _ => text.as_bytes().to_vec(),
                }
            };
            let (mut stream, mut out, mut held, mut from) =
                (CoveredStream::default(), Vec::new(), Vec::new(), 0);
            for (at, cut) in cuts.iter().enumerate() {
                held.extend_from_slice(&text.as_bytes()[from..*cut]);
                let end = at + 1 == cuts.len();
                match stream.push(key.as_ref(), &text.as_bytes()[from..*cut], end) {
                    None => prop_assert!(stream.is_holding()),
                    Some(BodyOut::Same) => out.append(&mut held),
                    Some(BodyOut::Replace(with)) => {
                        held.clear();
                        out.extend(with);
                    }
                }
                from = *cut;
            }
            let want = whole(&text);
            prop_assert_eq!(String::from_utf8_lossy(&out), String::from_utf8_lossy(&want));
            prop_assert_eq!(stream.held(), 0);
        }
    }
}
