//! JSON answers: good ones go on as soon as that is sure and their cache header is known; what may be
//! an error is held until it is decided.

use std::borrow::Cow;

use super::{
    BodyDecision, BodyOut, ReaderContext, ResponsePhase, Rest, content_length, hold, invalid,
    label, stream, stream_kind,
};
use crate::error::ErrorAnswer;
use crate::policy::operation::Operation;
use crate::policy::{AnswerHeader, ResponseModel};
use crate::repair::chat::{Api, collect, completion};
use crate::repair::drift::trim_drift;
use crate::repair::error::from_ok;
use crate::repair::mend::{Infinite, mend};
use crate::repair::peek::{self, Peek};
use crate::repair::sse::{StreamFormat, StreamKind, detect};
use crate::repair::usage;
use crate::telemetry::counters::{Repair, Repairs};
use crate::wire::json::{cursor, string};
use crate::wire::splice::{Edit, apply};

/// How much of a good answer is held for its `<prefix>-cache` header, and to be mended as a whole. Envoy ends a held answer that
/// outgrows its buffer limit (1 MiB by default, and a read may add much at once), so this stays well
/// below.
pub(super) const HOLD_FOR_USAGE_BYTES: usize = 256 * 1024;

/// How much of an answer without such a header is held, so that a small one is mended as a whole. Pictures
/// are larger, and flow.
const HOLD_TO_MEND_BYTES: usize = 16 * 1024;

/// Where a body has not said by then that it is an event stream, it is none.
pub(super) const SNIFF_BYTES: usize = 64 * 1024;

/// A JSON answer that is being collected.
#[derive(Debug)]
pub(in super::super) struct Json {
    collected: Vec<u8>,
    peek: Peek,
    labelled_json: bool,
    /// It is an event stream that nobody asked for: it is put together.
    is_stream: bool,
    cached: Option<bool>,
    /// What was repaired.
    repairs: Repairs,
}

impl Json {
    /// `labelled_json`: the content-type says so.
    pub(super) fn new(operation: Operation, labelled_json: bool) -> Self {
        Self {
            collected: Vec::new(),
            peek: Peek::new(operation),
            labelled_json,
            is_stream: false,
            cached: None,
            repairs: Repairs::default(),
        }
    }

    /// What was repaired since the last call.
    pub(super) fn take_repairs(&mut self) -> Repairs {
        std::mem::take(&mut self.repairs)
    }

    /// Bytes that are kept of it.
    pub(super) fn held(&self) -> usize {
        self.collected.len()
    }

    pub(super) fn is_holding(&self) -> bool {
        !self.collected.is_empty()
    }

    pub(super) fn cached(&self) -> Option<bool> {
        self.cached
    }

    pub(super) fn push(
        &mut self,
        bytes: &[u8],
        end: bool,
        context: &ReaderContext<'_>,
    ) -> BodyDecision {
        let Some(route) = context.route else { return super::pass(BodyOut::Same) };
        let seen = self.peek.push(bytes);
        let body = joined(&mut self.collected, bytes);
        if !self.is_stream
            && body.len() <= SNIFF_BYTES
            && let Some(kind) = stream_kind(route.operation)
            && (seen != peek::Classification::Good || kind == StreamKind::Transcription)
            && detect(&body) == StreamFormat::Sse
        {
            if route.facts.stream || kind == StreamKind::Responses {
                let reader = stream::RepairedStream::new(kind, context, route, stream::new_head());
                return BodyDecision::HandOver(
                    ResponsePhase::Stream(Box::new(reader)),
                    body.into_owned(),
                );
            }
            self.is_stream = true;
        }
        let is_told = context.config.headers.answers.has(AnswerHeader::Cache);
        let keep = match has_usage(route.operation) && is_told {
            true => HOLD_FOR_USAGE_BYTES,
            false => HOLD_TO_MEND_BYTES,
        };
        // What must be edited is not let go early.
        let plain =
            context.config.response_model == ResponseModel::Upstream && self.peek.skip() == 0;
        let good = seen == peek::Classification::Good && !self.peek.drifts() && !self.is_stream;
        if good && plain && body.len() >= keep {
            return BodyDecision::Pass {
                edits: label(self.labelled_json),
                body: BodyOut::Same,
                rest: Rest::Pass,
            };
        }
        if end {
            let mut verdict = self.finish(&body, context, route);
            if route.operation == Operation::Responses {
                redact_failure(&mut verdict, &body, context);
            }
            return verdict;
        }
        self.collected = body.into_owned();
        hold(self.collected.len(), context)
    }

    /// Whether the one pass over the body while it came has seen all that matters: a good answer,
    /// complete, with nothing around it.
    fn is_plainly_good(&self, body: &[u8]) -> bool {
        let end = self.peek.end().and_then(|end| usize::try_from(end).ok());
        self.peek.verdict() == peek::Classification::Good
            && !self.peek.drifts()
            && body.first() == Some(&b'{')
            && end.and_then(|end| body.get(end..)).is_some_and(|rest| rest.trim_ascii().is_empty())
            // The tokenizer leaves the bytes of texts alone.
            && std::str::from_utf8(body).is_ok()
    }

    fn finish(
        &mut self,
        body: &[u8],
        context: &ReaderContext<'_>,
        route: &super::SentRequest,
    ) -> BodyDecision {
        if self.is_plainly_good(body) && context.config.response_model == ResponseModel::Upstream {
            let usage = self
                .peek
                .usage()
                .and_then(|usage| body.get(usage.start as usize..usage.end as usize));
            self.cached = has_usage(route.operation)
                .then(|| usage.is_some_and(|usage| usage::cached(&cursor::checked_object(usage))));
            return BodyDecision::Pass {
                edits: label(self.labelled_json),
                body: BodyOut::Same,
                rest: Rest::Pass,
            };
        }
        let answer = match self.repaired(body, context, route) {
            Ok(answer) => answer,
            Err(error) => return BodyDecision::Fail(*error),
        };
        let mut edits = Vec::new();
        let parsed = cursor::parse(&answer);
        if let Ok(answer) = &parsed {
            // Without usage nothing tells of a hit.
            self.cached = has_usage(route.operation)
                .then(|| answer.get("usage").is_some_and(|usage| usage::cached(&usage)));
            if context.config.response_model == ResponseModel::Requested
                && let Some(model) = answer.get("model")
            {
                edits.push(Edit { span: model.span(), with: string::encode(&route.requested) });
            }
        }
        let mut head = if parsed.is_ok() { label(self.labelled_json) } else { Vec::new() };
        // What is no JSON even so (subtitles, text) keeps its bytes.
        let is_same = parsed.is_err() || (edits.is_empty() && *answer == *body);
        let body = if is_same {
            BodyOut::Same
        } else {
            let body = apply(&answer, &edits).unwrap_or_else(|| answer.to_vec());
            head.push(content_length(body.len()));
            BodyOut::Replace(body)
        };
        BodyDecision::Pass { edits: head, body, rest: Rest::Pass }
    }

    /// The answer as it should be.
    fn repaired<'b>(
        &mut self,
        body: &'b [u8],
        context: &ReaderContext<'_>,
        route: &super::SentRequest,
    ) -> Result<Cow<'b, [u8]>, Box<ErrorAnswer>> {
        let api = match route.operation {
            Operation::ChatCompletions => Some(Api::Chat),
            Operation::Completions => Some(Api::Completions),
            _ => None,
        };
        if let Some(api) = api {
            let (request, limit) = (route.request_facts(), context.max_event_bytes());
            let answer = if self.is_stream {
                collect::chunks(api, body, request, limit)?
            } else {
                completion::answer(api, body, request, limit)?
            };
            self.repairs.extend(answer.repairs);
            return Ok(answer.body);
        }
        if self.is_stream {
            let (answer, repairs) = collect::transcript(body, context.max_event_bytes())?;
            self.repairs.extend(repairs);
            return Ok(answer.into());
        }
        if let Some(answer) = from_ok(route.operation, body) {
            return Err(Box::new(answer));
        }
        if self.labelled_json && body.trim_ascii().is_empty() {
            let what = "The upstream answered HTTP 200 with an empty body.";
            return Err(Box::new(invalid(what).to_answer()));
        }
        let json = body.get(trim_drift(body)).unwrap_or_default();
        let is_json = json.starts_with(b"{") || json.starts_with(b"[");
        if is_json && let Some(mended) = mend(json, Infinite::Logprob) {
            self.repairs.insert(Repair::Json);
            return Ok(mended.into());
        }
        Ok(json.into())
    }
}

/// A Response says in a 200 that it has failed, and may repeat the key where it says why.
fn redact_failure(verdict: &mut BodyDecision, body: &[u8], context: &ReaderContext<'_>) {
    let BodyDecision::Pass { edits, body: out, .. } = verdict else { return };
    let said = match out {
        BodyOut::Same => body,
        BodyOut::Replace(with) => with,
    };
    let error = cursor::parse(said).ok().and_then(|response| response.get("error"));
    if error.is_some_and(|error| !error.is_null())
        && let Some(redacted) = context.redacted(said)
    {
        edits.push(content_length(redacted.len()));
        *out = BodyOut::Replace(redacted);
    }
}

/// All of a body that has come. One that comes in one piece is read where it is.
pub(super) fn joined<'a>(collected: &mut Vec<u8>, bytes: &'a [u8]) -> Cow<'a, [u8]> {
    if collected.is_empty() {
        return Cow::Borrowed(bytes);
    }
    let mut collected = std::mem::take(collected);
    collected.extend_from_slice(bytes);
    Cow::Owned(collected)
}

/// Whether an operation's answers say how many prompt tokens came from a cache.
fn has_usage(operation: Operation) -> bool {
    matches!(operation, Operation::ChatCompletions | Operation::Completions | Operation::Responses)
}
