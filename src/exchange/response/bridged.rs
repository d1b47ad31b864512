//! Answers to a converted request that is no stream: collected, and handed on as what was asked for.

use super::converter::{AnswerConverter, AnswerOptions, count_object, counted};
use super::decision::{BodyDecision, ReaderContext, Rest, hold, invalid};
use super::head::content_length;
use super::json::{HOLD_FOR_USAGE_BYTES, beginning};
use crate::dialect::NOT_JSON;
use crate::dialect::messages::count;
use crate::error::ErrorAnswer;
use crate::exchange::{BodyOut, SentRequest};
use crate::policy::operation::Operation;
use crate::repair::chat::{Api, RequestFacts, completion};
use crate::repair::drift::trim_drift;
use crate::repair::error::{broken_off, from_ok};
use crate::repair::mend::rescued;
use crate::repair::peek::{self, Peek};
use crate::repair::sse::{
    self, SseNormalizer, StreamEnd, StreamFormat, StreamHead, StreamKind, detect,
};
use crate::telemetry::counters::Repairs;
use crate::telemetry::usage::Meter;
use crate::wire::headers::HeaderEdit;
use crate::wire::json::cursor::{Value, checked_object, parse};

/// An answer that is being collected.
#[derive(Debug)]
pub(in super::super) struct Bridged {
    /// What it becomes; `None` for a count of tokens.
    options: Option<AnswerOptions>,
    /// The operation whose answer it is.
    operation: Operation,
    request: RequestFacts,
    /// Bytes that one event may have.
    max_event_bytes: usize,
    source: UpstreamBody,
    /// Bytes of the answer that have come.
    counted: usize,
    cached: Option<bool>,
    /// What was repaired.
    repairs: Repairs,
    /// The head has gone on, and Envoy holds nothing of the body.
    head_sent: bool,
}

/// What comes from the upstream.
#[derive(Debug)]
enum UpstreamBody {
    /// One JSON value.
    Json(Vec<u8>, Box<Peek>),
    /// A stream, though none was asked for.
    Stream(Box<(SseNormalizer, AnswerConverter)>),
    /// Compressed, though that was not asked for.
    Encoded,
    /// The answer was written: what still comes is dropped.
    Spent,
}

impl Bridged {
    /// `encoded`: by `content-encoding`, so that nobody here can read it.
    pub(super) fn new(context: &ReaderContext<'_>, route: &SentRequest, encoded: bool) -> Self {
        let operation = route.answered_as();
        let source = if encoded {
            UpstreamBody::Encoded
        } else {
            UpstreamBody::Json(Vec::new(), Box::new(Peek::new(operation)))
        };
        let options = AnswerOptions::new(context, route);
        Self {
            options,
            operation,
            request: route.request_facts(),
            max_event_bytes: context.max_event_bytes(),
            source,
            counted: 0,
            cached: None,
            repairs: Repairs::default(),
            head_sent: false,
        }
    }

    /// Bytes that are kept of it.
    pub(super) fn held(&self) -> usize {
        self.counted
    }

    pub(super) fn is_holding(&self) -> bool {
        self.counted > 0 && !self.head_sent
    }

    /// What was repaired since the last call.
    pub(super) fn take_repairs(&mut self) -> Repairs {
        std::mem::take(&mut self.repairs)
    }

    pub(super) fn cached(&self) -> Option<bool> {
        self.cached
    }

    pub(super) fn push(
        &mut self,
        bytes: &[u8],
        end: bool,
        context: &ReaderContext<'_>,
        meter: &mut Meter,
    ) -> BodyDecision {
        if matches!(self.source, UpstreamBody::Encoded) {
            let message = "The upstream's answer is compressed, so that it can't be converted.";
            return self.fail(invalid(message).to_answer());
        }
        let is_first = self.counted == 0;
        self.counted = self.counted.saturating_add(bytes.len());
        if is_first
            && end
            && let Some(decision) = self.known(bytes, context, meter)
        {
            return decision;
        }
        self.read(bytes, context, meter);
        // Not at the end, if it can be sooner: where that comes with trailers, Envoy lets no body be
        // written behind a head that has gone on.
        if let Some(count) = self.early_count(bytes.len()) {
            self.source = UpstreamBody::Spent;
            return self.pass(count, true);
        }
        let complete = self.is_complete();
        if end || (self.head_sent && complete) {
            let answer = self.answer(context, meter);
            return self.decided(answer, end);
        }
        if let UpstreamBody::Json(collected, _) = &self.source
            && let BodyDecision::Fail(answer) = hold(collected.len(), context)
        {
            return self.fail(answer);
        }
        let is_long = self.counted >= HOLD_FOR_USAGE_BYTES && self.is_good() && !context.more;
        if self.head_sent || (is_long && !complete) {
            return self.pass(Vec::new(), false);
        }
        BodyDecision::Hold
    }

    /// What becomes of an answer that has come in one piece, where others of its shape were good.
    fn known(
        &mut self,
        bytes: &[u8],
        context: &ReaderContext<'_>,
        meter: &mut Meter,
    ) -> Option<BodyDecision> {
        self.options.as_ref()?;
        let known = context.shapes.known(self.operation, bytes)?;
        let options = self.is_one(known.choices).then(|| self.options.take())??;
        self.source = UpstreamBody::Spent;
        let answer = self.converted(options, bytes, &checked_object(bytes), known.has_ended, meter);
        Some(self.decided(answer, true))
    }

    /// Whether choices, so many of them, can't be parts of one: nobody asked for several.
    fn is_one(&self, choices: u32) -> bool {
        choices <= 1 || self.request.choices != 1
    }

    fn read(&mut self, bytes: &[u8], context: &ReaderContext<'_>, meter: &mut Meter) {
        match &mut self.source {
            UpstreamBody::Json(collected, peek) => {
                let seen = peek.push(bytes);
                collected.extend_from_slice(bytes);
                if seen != peek::Classification::Good
                    && let Some(beginning) = beginning(collected, bytes.len())
                    && detect(beginning) == StreamFormat::Sse
                    && let Some(answer) = &self.options
                {
                    let options = sse::Options {
                        kind: StreamKind::Chat,
                        max_event_bytes: context.max_event_bytes(),
                        response_model: None,
                        request: self.request,
                    };
                    let collected = std::mem::take(collected);
                    let converter = AnswerConverter::new(answer.clone());
                    self.source =
                        UpstreamBody::Stream(Box::new((SseNormalizer::new(options), converter)));
                    self.read(&collected, context, meter);
                }
            }
            UpstreamBody::Stream(stream) => {
                let (sse, converter) = stream.as_mut();
                // Only what the events add up to is wanted.
                let out = sse.push(bytes);
                meter.push(out.of(bytes));
                let _events = converter.push(out.of(bytes));
            }
            UpstreamBody::Encoded | UpstreamBody::Spent => {}
        }
    }

    /// Whether what has come can't be an error any more.
    fn is_good(&self) -> bool {
        match &self.source {
            UpstreamBody::Json(_, peek) => {
                peek.verdict() == peek::Classification::Good && !peek.drifts()
            }
            UpstreamBody::Stream(stream) => *stream.0.head() == StreamHead::Stream,
            UpstreamBody::Encoded | UpstreamBody::Spent => false,
        }
    }

    /// Whether all has come that the answer is made of.
    fn is_complete(&self) -> bool {
        match &self.source {
            UpstreamBody::Json(_, peek) => self.is_good() && peek.end().is_some(),
            UpstreamBody::Stream(stream) => stream.1.is_done(),
            UpstreamBody::Encoded | UpstreamBody::Spent => true,
        }
    }

    /// A tokenizer's count, which stands before its tokens: there may be megabytes of these.
    fn early_count(&self, came: usize) -> Option<Vec<u8>> {
        match (&self.source, &self.options) {
            (UpstreamBody::Json(collected, _), None) => {
                let count = count::early(beginning(collected, came)?)?;
                Some(count_object(self.operation, count))
            }
            _ => None,
        }
    }

    /// What the complete answer becomes.
    fn answer(
        &mut self,
        context: &ReaderContext<'_>,
        meter: &mut Meter,
    ) -> Result<Vec<u8>, Box<ErrorAnswer>> {
        match std::mem::replace(&mut self.source, UpstreamBody::Spent) {
            UpstreamBody::Json(collected, peek) => {
                let Some(options) = self.options.take() else {
                    if let Some(answer) = from_ok(self.operation, &collected) {
                        return Err(answer.into());
                    }
                    let json = collected.get(trim_drift(&collected)).unwrap_or_default();
                    let mended = rescued(json);
                    return counted(self.operation, mended.as_deref().unwrap_or(json));
                };
                if self.is_one(peek.choices()) && peek.is_all_good(&collected) {
                    context.shapes.see(self.operation, &collected, peek.choices());
                    let root = checked_object(&collected);
                    return self.converted(options, &collected, &root, false, meter);
                }
                let (request, limit) = (self.request, self.max_event_bytes);
                let chat = completion::answer(Api::Chat, &collected, request, limit)?;
                self.repairs.extend(chat.repairs);
                let text = String::from_utf8_lossy(&chat.body);
                let root = parse(text.as_bytes()).map_err(|_| invalid(NOT_JSON).to_answer())?;
                self.converted(options, &chat.body, &root, false, meter)
            }
            UpstreamBody::Stream(stream) => {
                let (mut sse, mut converter) = *stream;
                let last = sse.finish(StreamEnd::Clean);
                self.repairs.extend(sse.repairs());
                if let StreamHead::Error(answer) = sse.head() {
                    return Err(answer.clone().into());
                }
                meter.push(&last);
                if sse.counts_zero() {
                    meter.count_zero();
                }
                let _events = converter.push(&last);
                self.cached = Some(converter.cached().unwrap_or(false));
                converter.into_answer()
            }
            UpstreamBody::Encoded | UpstreamBody::Spent => Ok(Vec::new()),
        }
    }

    /// What a canonical chat answer becomes; `root`: the same, read; `has_ended`: it is known that it was not broken off.
    fn converted(
        &mut self,
        options: AnswerOptions,
        chat: &[u8],
        root: &Value<'_>,
        has_ended: bool,
        meter: &mut Meter,
    ) -> Result<Vec<u8>, Box<ErrorAnswer>> {
        if !has_ended && let Some(answer) = broken_off(root) {
            return Err(answer.into());
        }
        meter.push(chat);
        let (answer, cached) = options.whole(root)?;
        self.cached = Some(cached.unwrap_or(false));
        Ok(answer)
    }

    /// `whole`: as for [`Self::pass`].
    fn decided(&mut self, answer: Result<Vec<u8>, Box<ErrorAnswer>>, whole: bool) -> BodyDecision {
        match answer {
            Ok(response) => self.pass(response, whole),
            Err(answer) => self.fail(*answer),
        }
    }

    fn fail(&self, answer: ErrorAnswer) -> BodyDecision {
        if self.head_sent {
            return BodyDecision::Abort(invalid("What began as a good answer is none."));
        }
        BodyDecision::Fail(answer)
    }

    /// `whole`: `body` is all of the answer, unless some has gone on.
    fn pass(&mut self, body: Vec<u8>, whole: bool) -> BodyDecision {
        let mut edits = Vec::new();
        if !self.head_sent {
            edits.push(HeaderEdit::set("content-type", "application/json"));
            edits.push(if whole {
                content_length(body.len())
            } else {
                HeaderEdit::remove("content-length")
            });
        }
        self.head_sent = true;
        BodyDecision::Pass { edits, body: BodyOut::Replace(body), rest: Rest::Read }
    }
}
