//! Chat answers to a plain Responses request: collected, and handed on as a Response.

use super::json::{HOLD_FOR_USAGE_BYTES, SNIFF_BYTES};
use super::{BodyOut, Context, Rest, Verdict, content_length, hold, invalid};
use crate::error::ErrorAnswer;
use crate::headers::HeaderEdit;
use crate::normalize::drift::trim_drift;
use crate::normalize::error::from_ok;
use crate::normalize::peek::{self, Peek};
use crate::operation::Operation;
use crate::responses::answer::{Converter, Options, whole};
use crate::sse::{self, Head, Out, Sniff, SseNormalizer, StreamEnd, StreamKind, sniff};

/// A chat answer that is being collected.
#[derive(Debug)]
pub(in super::super) struct Bridged {
    options: Options,
    source: Source,
    /// Bytes of the answer that have come.
    counted: usize,
    cached: Option<bool>,
    /// The head has gone on, and Envoy holds nothing of the body.
    head_sent: bool,
}

/// What comes from the upstream.
#[derive(Debug)]
enum Source {
    /// One chat completion.
    Json(Vec<u8>, Box<Peek>),
    /// A stream, though none was asked for.
    Stream(Box<(SseNormalizer, Converter)>),
}

impl Source {
    fn empty() -> Self {
        Self::Json(Vec::new(), Box::new(Peek::new(Operation::ChatCompletions)))
    }
}

impl Bridged {
    pub(super) fn new(options: Options) -> Self {
        Self { options, source: Source::empty(), counted: 0, cached: None, head_sent: false }
    }

    pub(super) fn is_holding(&self) -> bool {
        self.counted > 0 && !self.head_sent
    }

    pub(super) fn cached(&self) -> Option<bool> {
        self.cached
    }

    pub(super) fn push(&mut self, bytes: &[u8], end: bool, context: &Context<'_>) -> Verdict {
        self.counted = self.counted.saturating_add(bytes.len());
        self.read(bytes, context);
        if end {
            return match self.response() {
                Ok(response) => self.pass(response, Rest::Pass),
                Err(answer) => self.fail(*answer),
            };
        }
        if let Verdict::Fail(answer) = hold(self.counted, context) {
            return self.fail(answer);
        }
        if self.head_sent || (self.counted >= HOLD_FOR_USAGE_BYTES && self.is_good()) {
            return self.pass(Vec::new(), Rest::Read);
        }
        Verdict::Hold
    }

    fn read(&mut self, bytes: &[u8], context: &Context<'_>) {
        match &mut self.source {
            Source::Json(collected, peek) => {
                let seen = peek.push(bytes);
                collected.extend_from_slice(bytes);
                if seen != peek::Verdict::Good
                    && collected.len() <= SNIFF_BYTES
                    && sniff(collected) == Sniff::Sse
                {
                    let options = sse::Options {
                        kind: StreamKind::Chat,
                        max_event_bytes: context.max_event_bytes(),
                        response_model: None,
                    };
                    let collected = std::mem::take(collected);
                    let converter = Converter::new(self.options.clone());
                    self.source =
                        Source::Stream(Box::new((SseNormalizer::new(options), converter)));
                    self.read(&collected, context);
                }
            }
            Source::Stream(stream) => {
                let (sse, converter) = stream.as_mut();
                // Only what the events add up to is wanted.
                let _events = match sse.push(bytes) {
                    Out::Unchanged => converter.push(bytes),
                    Out::Bytes(bytes) => converter.push(&bytes),
                };
            }
        }
    }

    /// Whether what has come can't be an error any more.
    fn is_good(&self) -> bool {
        match &self.source {
            Source::Json(_, peek) => peek.verdict() == peek::Verdict::Good && !peek.look_again(),
            Source::Stream(stream) => *stream.0.head() == Head::Stream,
        }
    }

    /// The Response of the complete answer.
    fn response(&mut self) -> Result<Vec<u8>, Box<ErrorAnswer>> {
        match std::mem::replace(&mut self.source, Source::empty()) {
            Source::Json(collected, _) => {
                if let Some(answer) = from_ok(Operation::ChatCompletions, &collected) {
                    return Err(answer.into());
                }
                let chat = collected.get(trim_drift(&collected)).unwrap_or_default();
                let (response, cached) = whole(self.options.clone(), chat)
                    .map_err(|error| Box::new(error.to_answer()))?;
                self.cached = Some(cached.unwrap_or(false));
                Ok(response)
            }
            Source::Stream(stream) => {
                let (mut sse, mut converter) = *stream;
                let last = sse.finish(StreamEnd::Clean);
                if let Head::Error(answer) = sse.head() {
                    return Err(answer.clone().into());
                }
                let _events = converter.push(&last);
                self.cached = Some(converter.cached().unwrap_or(false));
                converter.into_response()
            }
        }
    }

    fn fail(&self, answer: ErrorAnswer) -> Verdict {
        if self.head_sent {
            return Verdict::Abort(invalid("What began as a good answer is none."));
        }
        Verdict::Fail(answer)
    }

    fn pass(&mut self, body: Vec<u8>, rest: Rest) -> Verdict {
        let mut edits = Vec::new();
        if !self.head_sent {
            edits.push(HeaderEdit::set("content-type", "application/json"));
            edits.push(match rest {
                Rest::Pass => content_length(body.len()),
                Rest::Read => HeaderEdit::remove("content-length"),
            });
        }
        self.head_sent = true;
        Verdict::Pass { edits, body: BodyOut::Replace(body), rest }
    }
}
