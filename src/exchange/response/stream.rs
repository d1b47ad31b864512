//! Event streams: each chunk goes through the normaliser and on.

use super::{BodyOut, Context, Rest, Verdict};
use crate::exchange::Route;
use crate::headers::HeaderEdit;
use crate::responses::answer::Converter;
use crate::sse::{Head, Options, Out, SseNormalizer, StreamEnd, StreamKind};

/// A stream on its way.
#[derive(Debug)]
pub(in super::super) struct Stream {
    sse: SseNormalizer,
    /// Turns chat chunks into the events of a Response.
    bridge: Option<Converter>,
    /// Envoy holds bytes of earlier calls, so that what goes on replaces more than the last chunk.
    held: bool,
    head_sent: bool,
}

impl Stream {
    pub(super) fn new(kind: StreamKind, context: &Context<'_>, route: &Route) -> Self {
        let bridge = route.bridge.as_ref();
        let bridge = bridge.map(|bridge| Converter::new(bridge.answer_options(context, route)));
        // A converter says itself which model answered.
        let response_model = if bridge.is_some() { None } else { context.response_model(route) };
        let options = Options { kind, max_event_bytes: context.max_event_bytes(), response_model };
        Self { sse: SseNormalizer::new(options), bridge, held: false, head_sent: false }
    }

    pub(super) fn push(&mut self, bytes: &[u8], end: bool, context: &Context<'_>) -> Verdict {
        let was_done = self.is_done();
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
        if let Some(bridge) = &mut self.bridge {
            let mut events = match &out {
                Out::Unchanged => bridge.push(bytes),
                Out::Bytes(bytes) => bridge.push(bytes),
            };
            if end {
                events.extend_from_slice(&bridge.finish());
            }
            out = Out::Bytes(events);
        }
        // An error is the last that is written, and may repeat the key.
        if let Out::Bytes(last) = &out
            && self.is_done()
            && !was_done
            && let Some(redacted) = context.redacted(last)
        {
            out = Out::Bytes(redacted);
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

    /// Whether everything was written that there will be.
    fn is_done(&self) -> bool {
        self.bridge.as_ref().map_or(self.sse.is_done(), Converter::is_done)
    }

    pub(super) fn is_holding(&self) -> bool {
        self.held
    }

    pub(super) fn cached(&self) -> Option<bool> {
        self.sse.cached()
    }
}
