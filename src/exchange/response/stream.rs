//! Event streams: each chunk goes through the normaliser and on.

use std::rc::Rc;

use super::converter::{AnswerConverter, AnswerOptions};
use super::decision::{BodyDecision, ReaderContext, Rest};
use super::head::AnswerFields;
use crate::dialect::{messages, stream_usage};
use crate::error::ErrorAnswer;
use crate::exchange::{BodyOut, SentRequest};
use crate::policy::operation::Operation;
use crate::repair::error::{Event, from_event};
use crate::repair::sse::{Options, SseNormalizer, StreamEnd, StreamHead, StreamKind, StreamOutput};
use crate::telemetry::counters::{AnswerFault, Repairs};
use crate::telemetry::usage::Meter;
use crate::wire::headers::HeaderEdit;
use crate::wire::splice::{Edit, apply};

/// A stream on its way.
#[derive(Debug)]
pub(in super::super) struct RepairedStream {
    sse: SseNormalizer,
    /// Turns chat chunks into the events that were asked for.
    bridge: Option<AnswerConverter>,
    /// The client did not ask for token counts, and gets none.
    hides_usage: bool,
    /// Envoy holds bytes of earlier calls, so that what goes on replaces more than the last chunk.
    held: bool,
    /// Edits that make the head that of an event stream; `None` once it has gone on.
    head: Option<Vec<HeaderEdit>>,
    /// Somebody knows of its failure.
    is_told: bool,
    /// The body has ended.
    has_ended: bool,
    /// What Anthropic's errors name.
    request_id: Option<Rc<str>>,
}

fn disclosed_payload(payload: &[u8], context: &ReaderContext<'_>) -> Option<Vec<u8>> {
    if !payload.starts_with(b"{\"error\"") {
        return context.without_models(payload);
    }
    let mut answer = from_event(payload, Event::default())?;
    context.conceal_models(&mut answer).then(|| answer.error.to_envelope())
}

/// Canonical events with their error as far as the client may know it; `None` where nothing is to be changed.
fn disclosed(events: &[u8], context: &ReaderContext<'_>) -> Option<Vec<u8>> {
    let mut edits = Vec::new();
    let mut start = 0;
    for line in events.split_inclusive(|&byte| byte == b'\n') {
        let payload = line.strip_prefix(b"data: ").map(<[u8]>::trim_ascii_end);
        if let Some(payload) = payload
            && let Some(with) = disclosed_payload(payload, context)
        {
            edits.push(Edit { span: start + 6..start + 6 + payload.len(), with });
        }
        start += line.len();
    }
    if edits.is_empty() { None } else { apply(events, &edits) }
}

/// The media type of event streams (WHATWG HTML, "Server-sent events").
const EVENT_STREAM: &str = "text/event-stream";

/// What a head lacks of an event stream's. A header that is right already is not set again: each edit
/// costs a call.
pub(super) fn head(fields: &AnswerFields<'_>) -> Vec<HeaderEdit> {
    edits_of_head(fields.content_type == Some(EVENT_STREAM.as_bytes()), fields.has_length())
}

/// The edits for a head of which nothing is known.
pub(super) fn new_head() -> Vec<HeaderEdit> {
    edits_of_head(false, true)
}

fn edits_of_head(is_labelled: bool, may_have_length: bool) -> Vec<HeaderEdit> {
    let mut edits = Vec::new();
    if !is_labelled {
        edits.push(HeaderEdit::set("content-type", EVENT_STREAM));
    }
    if may_have_length {
        edits.push(HeaderEdit::remove("content-length"));
    }
    edits
}

impl RepairedStream {
    /// `head`: what to change in the answer's head.
    pub(super) fn new(
        kind: StreamKind,
        context: &ReaderContext<'_>,
        route: &SentRequest,
        head: Vec<HeaderEdit>,
    ) -> Self {
        let bridge = AnswerOptions::new(context, route).map(AnswerConverter::new);
        // A converter says itself which model answered.
        let response_model = if bridge.is_some() { None } else { context.response_model(route) };
        let options = Options {
            kind,
            max_event_bytes: context.max_event_bytes(),
            response_model,
            request: route.request_facts(),
        };
        Self {
            sse: SseNormalizer::new(options),
            bridge,
            hides_usage: route.hides_usage,
            held: false,
            head: Some(head),
            is_told: false,
            has_ended: false,
            request_id: context.request_id.cloned(),
        }
    }

    pub(super) fn push(
        &mut self,
        bytes: &[u8],
        end: bool,
        context: &ReaderContext<'_>,
        meter: &mut Meter,
    ) -> BodyDecision {
        let mut out = self.sse.push(bytes);
        if end {
            self.has_ended = true;
            let last = self.sse.finish(StreamEnd::Clean);
            if !last.is_empty() {
                out = StreamOutput::Bytes([out.of(bytes), &last].concat());
            }
        }
        if self.sse.failure().is_some()
            && let Some(told) = disclosed(out.of(bytes), context)
        {
            out = StreamOutput::Bytes(told);
        }
        if let Some(mut answer) = self.sse.take_late_error() {
            context.conceal_models(&mut answer);
            let mut all = match out {
                StreamOutput::Unchanged => bytes.to_vec(),
                StreamOutput::Bytes(bytes) => bytes,
            };
            all.extend_from_slice(&messages::error::event(&answer, self.request_id.as_deref()));
            out = StreamOutput::Bytes(all);
        }
        meter.push(out.of(bytes));
        if self.sse.counts_zero() {
            meter.count_zero();
        }
        if self.hides_usage
            && let Some(without) = stream_usage::without(out.of(bytes))
        {
            out = StreamOutput::Bytes(without);
        }
        if let Some(bridge) = &mut self.bridge {
            let mut events = bridge.push(out.of(bytes));
            if end {
                events.extend_from_slice(&bridge.finish());
            }
            out = StreamOutput::Bytes(events);
        }
        // What says that the stream has failed may repeat the key.
        if self.failure().is_some()
            && let Some(redacted) = context.redacted(out.of(bytes))
        {
            out = StreamOutput::Bytes(redacted);
        }
        if self.head.is_some() {
            match self.sse.head() {
                StreamHead::Undecided => {
                    self.held = true;
                    return BodyDecision::Hold;
                }
                StreamHead::Error(answer) => return BodyDecision::Fail(answer.clone()),
                StreamHead::Stream => {}
            }
        }
        let body = match out {
            StreamOutput::Unchanged if self.held => BodyOut::Replace(bytes.to_vec()),
            StreamOutput::Unchanged => BodyOut::Same,
            StreamOutput::Bytes(bytes) => BodyOut::Replace(bytes),
        };
        let edits = self.head.take().unwrap_or_default();
        self.held = false;
        BodyDecision::Pass { edits, body, rest: Rest::Read }
    }

    /// Lets a chunk that is one event like the last one go on as it is, where that is all there is to do. False, and nothing
    /// has happened, for any other.
    pub(super) fn passes(&mut self, bytes: &[u8], meter: &mut Meter) -> bool {
        let is_seen_by_nobody_else =
            self.head.is_none() && !self.held && !self.hides_usage && self.bridge.is_none();
        if !is_seen_by_nobody_else || !self.sse.passes(bytes) {
            return false;
        }
        meter.push(bytes);
        true
    }

    /// Ends a stream whose head has gone on: what is still to be sent.
    pub(super) fn abort(&mut self, answer: ErrorAnswer) -> Vec<u8> {
        let mut last = self.sse.abort(answer);
        if let Some(answer) = self.sse.take_late_error() {
            last.extend(messages::error::event(&answer, self.request_id.as_deref()));
        }
        let Some(bridge) = &mut self.bridge else { return last };
        let mut events = bridge.push(&last);
        events.extend_from_slice(&bridge.finish());
        events
    }

    /// Bytes that are kept of it.
    pub(super) fn held(&self) -> usize {
        let converted = self.bridge.as_ref().map_or(0, AnswerConverter::held);
        self.sse.held_bytes().saturating_add(converted)
    }

    /// How the stream failed after its first event, if it did.
    fn failure(&self) -> Option<AnswerFault> {
        let converted = self.bridge.as_ref().is_some_and(AnswerConverter::has_failed);
        self.sse.failure().or(converted.then_some(AnswerFault::StreamError))
    }

    /// The same, once.
    pub(super) fn take_failure(&mut self) -> Option<AnswerFault> {
        let failure = self.failure().filter(|_| !self.is_told);
        self.is_told |= failure.is_some();
        failure
    }

    /// What was repaired, once it is all there.
    pub(super) fn take_repairs(&mut self) -> Repairs {
        if std::mem::take(&mut self.has_ended) { self.sse.repairs() } else { Repairs::default() }
    }

    pub(super) fn is_holding(&self) -> bool {
        self.held
    }

    pub(super) fn cached(&self) -> Option<bool> {
        self.sse.cached()
    }
}

/// The protocol of an operation's streams.
pub(super) fn stream_kind(operation: Operation) -> Option<StreamKind> {
    match operation {
        Operation::ChatCompletions => Some(StreamKind::Chat),
        Operation::Completions => Some(StreamKind::Completions),
        Operation::Responses => Some(StreamKind::Responses),
        Operation::Messages => Some(StreamKind::Messages),
        Operation::Transcriptions | Operation::Translations => Some(StreamKind::Transcription),
        _ => None,
    }
}
