//! JSON answers: good ones go on as soon as that is sure and their cache header is known; what may be
//! an error is held until it is decided.

use std::borrow::Cow;

use super::{
    BodyDecision, BodyOut, ReaderContext, ResponsePhase, Rest, content_length, hold, label, stream,
    stream_kind,
};
use crate::policy::ResponseModel;
use crate::policy::operation::Operation;
use crate::repair::drift::trim_drift;
use crate::repair::error::from_ok;
use crate::repair::mend::{Infinite, mend};
use crate::repair::peek::{self, Peek};
use crate::repair::sse::{Sniff, sniff};
use crate::repair::usage;
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
    cached: Option<bool>,
    /// It was nearly JSON, and nobody has asked yet.
    is_mended: bool,
}

impl Json {
    /// `labelled_json`: the content-type says so.
    pub(super) fn new(operation: Operation, labelled_json: bool) -> Self {
        Self {
            collected: Vec::new(),
            peek: Peek::new(operation),
            labelled_json,
            cached: None,
            is_mended: false,
        }
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

    /// Whether the answer was mended since the last call.
    pub(super) fn take_mended(&mut self) -> bool {
        std::mem::take(&mut self.is_mended)
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
        if seen != peek::Verdict::Good
            && body.len() <= SNIFF_BYTES
            && let Some(kind) = stream_kind(route.operation)
            && sniff(&body) == Sniff::Sse
        {
            let reader = stream::Stream::new(kind, context, route, stream::new_head());
            return BodyDecision::HandOver(
                ResponsePhase::Stream(Box::new(reader)),
                body.into_owned(),
            );
        }
        let keep =
            if has_usage(route.operation) { HOLD_FOR_USAGE_BYTES } else { HOLD_TO_MEND_BYTES };
        // What must be edited is not let go early.
        let plain =
            context.config.response_model == ResponseModel::Upstream && self.peek.skip() == 0;
        let good = seen == peek::Verdict::Good && !self.peek.look_again();
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
        self.peek.verdict() == peek::Verdict::Good
            && !self.peek.look_again()
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
        if let Some(answer) = from_ok(route.operation, body) {
            return BodyDecision::Fail(answer);
        }
        let span = trim_drift(body);
        let whole = span == (0..body.len());
        let json = body.get(span).unwrap_or_default();
        let mended = if json.starts_with(b"{") || json.starts_with(b"[") {
            mend(json, Infinite::Logprob)
        } else {
            None
        };
        self.is_mended = mended.is_some();
        let whole = whole && mended.is_none();
        let json = mended.as_deref().unwrap_or(json);
        let mut edits = Vec::new();
        let parsed = cursor::parse(json);
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
        let body = if parsed.is_err() || (whole && edits.is_empty()) {
            BodyOut::Same
        } else {
            let body = apply(json, &edits).unwrap_or_else(|| json.to_vec());
            head.push(content_length(body.len()));
            BodyOut::Replace(body)
        };
        BodyDecision::Pass { edits: head, body, rest: Rest::Pass }
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
