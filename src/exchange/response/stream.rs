//! Event streams: each chunk goes through the normaliser and on.

use super::{BodyOut, Context, Rest, Verdict};
use crate::exchange::Route;
use crate::headers::{HeaderEdit, Headers};
use crate::metrics::Mended;
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
    /// Edits that make the head that of an event stream; `None` once it has gone on.
    head: Option<Vec<HeaderEdit>>,
}

/// The media type of event streams (WHATWG HTML, "Server-sent events").
const EVENT_STREAM: &str = "text/event-stream";

/// What a head lacks of an event stream's. A header that is right already is not set again: each edit
/// costs a call.
pub(super) fn head(headers: &Headers) -> Vec<HeaderEdit> {
    let mut edits = new_head();
    edits.retain(|edit| match edit {
        HeaderEdit::Set(name, value) => headers.get(name) != Some(value.as_bytes()),
        HeaderEdit::Remove(name) => headers.get(name).is_some(),
    });
    edits
}

/// The edits for a head of which nothing is known.
pub(super) fn new_head() -> Vec<HeaderEdit> {
    vec![HeaderEdit::set("content-type", EVENT_STREAM), HeaderEdit::remove("content-length")]
}

impl Stream {
    /// `head`: what to change in the answer's head.
    pub(super) fn new(
        kind: StreamKind,
        context: &Context<'_>,
        route: &Route,
        head: Vec<HeaderEdit>,
    ) -> Self {
        let bridge = route.bridge.as_ref();
        let bridge = bridge.map(|bridge| Converter::new(bridge.answer_options(context, route)));
        // A converter says itself which model answered.
        let response_model = if bridge.is_some() { None } else { context.response_model(route) };
        let options = Options { kind, max_event_bytes: context.max_event_bytes(), response_model };
        Self { sse: SseNormalizer::new(options), bridge, held: false, head: Some(head) }
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
        // An error is the last that is written, and may repeat the key. As it came it can only be an event
        // of the protocol.
        if self.is_done() && !was_done {
            let last = match &out {
                Out::Unchanged if self.sse.ended_by_event() => Some(bytes),
                Out::Unchanged => None,
                Out::Bytes(bytes) => Some(bytes.as_slice()),
            };
            if let Some(redacted) = last.and_then(|last| context.redacted(last)) {
                out = Out::Bytes(redacted);
            }
        }
        if self.head.is_some() {
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
        let edits = self.head.take().unwrap_or_default();
        self.held = false;
        Verdict::Pass { edits, body, rest: Rest::Read }
    }

    /// Whether the last event was written that there will be.
    fn is_done(&self) -> bool {
        let is_done = || self.sse.is_done() || self.sse.ended_by_event();
        self.bridge.as_ref().map_or_else(is_done, Converter::is_done)
    }

    pub(super) fn take_broken_off(&mut self) -> Option<Mended> {
        self.sse.take_broken_off()
    }

    pub(super) fn is_holding(&self) -> bool {
        self.held
    }

    pub(super) fn cached(&self) -> Option<bool> {
        self.sse.cached()
    }
}
