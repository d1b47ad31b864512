//! Event streams: each chunk goes through the normaliser and on.

use super::{BodyOut, Rest, Verdict};
use crate::config::{Config, ResponseModel};
use crate::exchange::Route;
use crate::headers::HeaderEdit;
use crate::sse::{Head, Options, Out, SseNormalizer, StreamEnd, StreamKind};

/// A stream on its way.
#[derive(Debug)]
pub(in super::super) struct Stream {
    sse: SseNormalizer,
    /// Envoy holds bytes of earlier calls, so that what goes on replaces more than the last chunk.
    held: bool,
    head_sent: bool,
}

impl Stream {
    pub(super) fn new(kind: StreamKind, config: &Config, route: &Route) -> Self {
        let response_model =
            (config.response_model == ResponseModel::Requested).then(|| route.requested.clone());
        let max_event_bytes =
            usize::try_from(config.limits.max_sse_event_bytes).unwrap_or(usize::MAX);
        let options = Options { kind, max_event_bytes, response_model };
        Self { sse: SseNormalizer::new(options), held: false, head_sent: false }
    }

    pub(super) fn push(&mut self, bytes: &[u8], end: bool) -> Verdict {
        let mut out = self.sse.push(bytes);
        if end {
            let last = self.sse.finish(StreamEnd::Clean);
            if !last.is_empty() {
                let mut all = match out {
                    Out::Unchanged => bytes.to_vec(),
                    Out::Bytes(bytes) => bytes,
                };
                all.extend_from_slice(&last);
                out = Out::Bytes(all);
            }
        }
        if !self.head_sent {
            match self.sse.head() {
                Head::Undecided => {
                    self.held = true;
                    return Verdict::Hold;
                }
                Head::Error(answer) => return Verdict::Fail(answer.clone()),
                Head::Stream => {}
            }
        }
        let body = match out {
            Out::Unchanged if self.held => BodyOut::Replace(bytes.to_vec()),
            Out::Unchanged => BodyOut::Same,
            Out::Bytes(bytes) => BodyOut::Replace(bytes),
        };
        let mut edits = Vec::new();
        if !self.head_sent {
            edits.push(HeaderEdit::set("content-type", "text/event-stream"));
            edits.push(HeaderEdit::remove("content-length"));
        }
        self.head_sent = true;
        self.held = false;
        Verdict::Pass { edits, body, rest: Rest::Read }
    }

    pub(super) fn is_holding(&self) -> bool {
        self.held
    }

    pub(super) fn cached(&self) -> Option<bool> {
        self.sse.cached()
    }
}
