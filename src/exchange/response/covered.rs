//! Event streams that pass as they are (Anthropic's own, speech, images), but for the provider's key: an error in them
//! may repeat it.

use super::redact::StreamCover;
use super::{BodyDecision, BodyOut, ReaderContext, pass};

/// Such a stream on its way.
#[derive(Debug, Default)]
pub(in super::super) struct CoveredStream {
    cover: StreamCover,
}

impl CoveredStream {
    pub(super) fn push(
        &mut self,
        bytes: &[u8],
        end: bool,
        context: &ReaderContext<'_>,
    ) -> BodyDecision {
        let value = context.credential();
        let changed = value.and_then(|value| self.cover.push(&value, bytes, end));
        pass(changed.map_or(BodyOut::Same, BodyOut::Replace))
    }

    pub(super) fn held(&self) -> usize {
        self.cover.held()
    }
}
