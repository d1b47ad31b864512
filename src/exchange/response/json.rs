//! JSON answers: good ones go on as soon as that is sure and their cache header is known; what may be
//! an error is held until it is decided.

mod large;

use std::borrow::Cow;

use super::decision::{BodyDecision, ReaderContext, Rest, hold, invalid, metered, pass};
use super::head::{content_length, label};
use super::no_audio::{self, may_be_text};
use super::stream::stream_kind;
use crate::error::ErrorAnswer;
use crate::exchange::{BodyOut, SentRequest};
use crate::policy::operation::Operation;
use crate::policy::{AnswerHeader, ResponseModel};
use crate::repair::chat::{Api, collect, completion};
use crate::repair::drift::trim_drift;
use crate::repair::error::{from_ok, no_answer};
use crate::repair::mend::{Infinite, mend};
use crate::repair::peek::{self, Peek};
use crate::repair::shape::KnownAnswer;
use crate::repair::sse::{StreamFormat, StreamKind, detect};
use crate::repair::{images, loose, native, proxied, rerank, transcription, usage};
use crate::telemetry::counters::{Repair, Repairs};
use crate::telemetry::usage::Meter;
use crate::wire::headers::HeaderEdit;
use crate::wire::json::tokenizer::Kind;
use crate::wire::json::{cursor, string};
use crate::wire::splice::{Edit, apply};
use large::Remainder;

/// How much of a good answer is held for its `<prefix>-cache` header, and to be mended as a whole. Envoy ends a held answer that
/// outgrows its buffer limit (1 MiB by default, and a read may add much at once), so this stays well
/// below.
pub(super) const HOLD_FOR_USAGE_BYTES: usize = 256 * 1024;

/// How much of an answer without such a header is held, so that a small one is mended as a whole. Pictures
/// are larger, and flow.
const HOLD_TO_MEND_BYTES: usize = 16 * 1024;

/// Where a body has not said by then that it is an event stream, it is none.
const SNIFF_BYTES: usize = 64 * 1024;

/// What a body is told by, of which `came` bytes are new: its first bytes, however many come at once. `None` where all of them
/// have been looked at before.
pub(super) fn beginning(body: &[u8], came: usize) -> Option<&[u8]> {
    let before = body.len().saturating_sub(came);
    (before < SNIFF_BYTES).then(|| body.get(..SNIFF_BYTES).unwrap_or(body))
}

/// A JSON answer that is being collected.
#[derive(Debug)]
pub(in super::super) struct Json {
    collected: Vec<u8>,
    peek: Peek,
    labelled_json: bool,
    /// The head tells the length of the body.
    has_length: bool,
    is_transcript: bool,
    /// Labelled as text.
    is_text: bool,
    /// It is an event stream that nobody asked for: it is put together.
    is_stream: bool,
    cached: Option<bool>,
    /// What came first is known as a good answer, if it is all of it.
    expected: Option<KnownAnswer>,
    /// Token counts that do not show in what leaves were all zero.
    counts_zero: bool,
    /// What was repaired.
    repairs: Repairs,
    /// The head and the beginning have gone on: this reads the rest.
    rest: Option<Box<Remainder>>,
}

impl Json {
    /// `labelled_json`: the content-type says so. `has_length`: there is a `content-length`.
    pub(super) fn new(operation: Operation, labelled_json: bool, has_length: bool) -> Self {
        Self {
            collected: Vec::new(),
            peek: Peek::new(operation),
            labelled_json,
            has_length,
            is_transcript: matches!(operation, Operation::Transcriptions | Operation::Translations),
            is_stream: false,
            cached: None,
            expected: None,
            counts_zero: false,
            repairs: Repairs::default(),
            is_text: false,
            rest: None,
        }
    }

    /// The content-type says that it is text: what looks like events is what was said.
    pub(super) fn labelled_text(self) -> Self {
        Self { is_text: true, ..self }
    }

    /// Whether no body at all may be an answer: silence that was to be written as text.
    pub(super) fn may_be_empty(&self) -> bool {
        !self.labelled_json && self.is_transcript
    }

    /// What was repaired since the last call.
    pub(super) fn take_repairs(&mut self) -> Repairs {
        std::mem::take(&mut self.repairs)
    }

    /// Bytes that are kept of it.
    pub(super) fn held(&self) -> usize {
        let rest = self.rest.as_ref();
        let sent = rest.and_then(|rest| rest.sent.as_ref()).map_or(0, Vec::len);
        self.collected.len() + sent + rest.map_or(0, |rest| rest.waiting.len())
    }

    /// Lets go of what only an answer with a fault needs. Whether there was any.
    pub(super) fn forget(&mut self) -> bool {
        self.rest.as_mut().is_some_and(|rest| rest.sent.take().is_some())
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
        meter: &mut Meter,
    ) -> BodyDecision {
        let Some(route) = context.route else { return pass(BodyOut::Same) };
        if let Some(rest) = self.rest.take() {
            return metered(self.go_on(rest, bytes, end, context, route), bytes, meter);
        }
        if self.expected.is_none() && self.collected.is_empty() && !bytes.is_empty() {
            self.expected = self.known(bytes, context, route);
            if self.expected.is_some() && !end {
                self.collected = bytes.to_vec();
                return hold(bytes.len(), context);
            }
        } else if self.expected.is_some() && !(end && bytes.is_empty()) {
            // It goes on: what was passed over is read after all.
            self.expected = None;
            self.peek.push(&self.collected);
        }
        if let Some(known) = self.expected {
            let body = joined(&mut self.collected, bytes);
            self.cached = Some(known.cached);
            return metered(self.unchanged(), &body, meter);
        }
        let seen = self.peek.push(bytes);
        let body = joined(&mut self.collected, bytes);
        // Audio without a label flows as labelled audio does, as soon as its first bytes tell it from a text.
        let beginning = beginning(&body, bytes.len());
        if route.operation == Operation::Speech
            && !self.labelled_json
            && beginning.is_some_and(|beginning| !may_be_text(beginning))
        {
            return BodyDecision::Pass { edits: Vec::new(), body: BodyOut::Same, rest: Rest::Pass };
        }
        if !self.is_stream
            && !self.is_text
            && let Some(beginning) = beginning
            && let Some(kind) = stream_kind(route.operation)
            && (seen != peek::Classification::Good || kind == StreamKind::Transcription)
            && detect(beginning) == StreamFormat::Sse
        {
            if route.facts.stream {
                return BodyDecision::ReadAsStream(kind, body.into_owned());
            }
            self.is_stream = true;
        }
        let keep = keep(context, route.operation);
        // What must be edited is not let go early.
        let plain =
            context.config.response_model == ResponseModel::Upstream && self.peek.skip() == 0;
        let good = seen == peek::Classification::Good && !self.peek.drifts() && !self.is_stream;
        if good && plain && body.len() >= keep {
            // Of a text that is no JSON, or is to be none, the label stays.
            let is_json = !self.is_text && body.trim_ascii_start().first() == Some(&b'{');
            let mut edits = label(self.labelled_json || !is_json);
            if !is_json || route.operation == Operation::Files {
                meter.push(&body);
                return BodyDecision::Pass { edits, body: BodyOut::Same, rest: Rest::Pass };
            }
            if let Some((rest, out)) = self.begin(&body, route.operation) {
                if self.has_length && rest.mender.has_mended() {
                    self.has_length = false;
                    edits.push(HeaderEdit::remove("content-length"));
                }
                self.rest = Some(rest);
                let begun = BodyDecision::Pass { edits, body: out, rest: Rest::Read };
                return metered(begun, &body, meter);
            }
        }
        if end {
            let mut verdict = self.finish(&body, context, route);
            if self.counts_zero {
                meter.count_zero();
            }
            match route.operation {
                Operation::Responses if !self.peek.is_all_good(&body) => {
                    disclose_failure(&mut verdict, &body, context);
                }
                // Events under the label of JSON: as those that are labelled, they pass but for the key.
                Operation::Speech if self.peek.is_broken() => {
                    replace(&mut verdict, context.redacted(&body));
                }
                _ => {}
            }
            return metered(verdict, &body, meter);
        }
        self.collected = body.into_owned();
        hold(self.collected.len(), context)
    }

    /// What is known of the first bytes of an answer, if they are all of it, by those that were good before.
    fn known(
        &self,
        bytes: &[u8],
        context: &ReaderContext<'_>,
        route: &SentRequest,
    ) -> Option<KnownAnswer> {
        let may_be_known = !self.is_text
            && has_usage(route.operation)
            && context.config.response_model == ResponseModel::Upstream
            && bytes.len() < keep(context, route.operation);
        let known = may_be_known.then(|| context.shapes.known(route.operation, bytes))??;
        (!is_split(known.choices, route)).then_some(known)
    }

    /// A good answer goes on as it is.
    fn unchanged(&self) -> BodyDecision {
        let edits = label(self.labelled_json);
        BodyDecision::Pass { edits, body: BodyOut::Same, rest: Rest::Pass }
    }

    fn finish(
        &mut self,
        body: &[u8],
        context: &ReaderContext<'_>,
        route: &SentRequest,
    ) -> BodyDecision {
        if self.is_text {
            // A transcript may be `42`: what reads like JSON is what was said, unless it is an error.
            return match from_ok(route.operation, body) {
                Some(answer) => BodyDecision::Fail(answer),
                None => {
                    BodyDecision::Pass { edits: Vec::new(), body: BodyOut::Same, rest: Rest::Pass }
                }
            };
        }
        let choices = self.peek.choices();
        // Of these, more is asked than Peek looks at.
        let is_read = matches!(route.operation, Operation::Rerank | Operation::Speech)
            || route.operation.makes_images()
            || is_split(choices, route);
        if self.peek.is_all_good(body)
            && !is_read
            && context.config.response_model == ResponseModel::Upstream
        {
            let usage = self
                .peek
                .usage()
                .and_then(|usage| body.get(usage.start as usize..usage.end as usize));
            if has_usage(route.operation) {
                self.cached =
                    Some(usage.is_some_and(|usage| usage::cached(&cursor::checked_object(usage))));
                context.shapes.see(route.operation, body, choices);
            }
            return self.unchanged();
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
        route: &SentRequest,
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
            self.counts_zero |= answer.counts_zero;
            return Ok(answer.body);
        }
        if self.is_stream {
            let limit = context.max_event_bytes();
            let (answer, repairs) = match stream_kind(route.operation) {
                Some(kind @ (StreamKind::Responses | StreamKind::Messages)) => {
                    native::answer(kind, body, limit)?
                }
                _ => collect::transcript(body, limit)?,
            };
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
        let inside = proxied::good(body).filter(|_| route.operation != Operation::Files);
        let mut json = match inside {
            Some(inside) => {
                self.repairs.insert(Repair::Wrapped);
                Cow::Owned(inside)
            }
            None => Cow::Borrowed(body.get(trim_drift(body)).unwrap_or_default()),
        };
        let is_json = json.starts_with(b"{") || json.starts_with(b"[");
        if is_json && let Some(mended) = mend(&json, Infinite::Logprob) {
            self.repairs.insert(Repair::Json);
            json = mended.into();
        }
        if cursor::parse(&json).is_err()
            && let Some(read) = loose::to_json(&json)
        {
            self.repairs.insert(Repair::Json);
            json = read.into();
        }
        let is_json = is_json || json.starts_with(b"{") || json.starts_with(b"[");
        if route.operation == Operation::Speech && no_audio::is_text(body) {
            return Err(Box::new(no_audio::failure(&json)));
        }
        if route.operation == Operation::Rerank {
            if let Some(repaired) = rerank::repaired(&json)? {
                self.repairs.insert(Repair::Rerank);
                json = repaired.into();
            }
            return Ok(json);
        }
        if route.operation.makes_images() {
            if let Some(repaired) = images::repaired(&json, context.now)? {
                self.repairs.insert(Repair::Wrapped);
                json = repaired.into();
            }
            return Ok(json);
        }
        if matches!(route.operation, Operation::Transcriptions | Operation::Translations)
            && (is_json || self.labelled_json)
        {
            if let Some(repaired) = transcription::repaired(&json) {
                self.repairs.insert(Repair::Transcript);
                json = repaired.into();
            } else if is_json && cursor::parse(&json).is_ok_and(|root| lacks_text(&root)) {
                return Err(Box::new(no_answer(&json, "no text")));
            }
        }
        Ok(json)
    }
}

/// Whether an answer has no `text` that is one.
fn lacks_text(answer: &cursor::Value<'_>) -> bool {
    answer.get("text").is_none_or(|text| text.kind != Kind::String)
}

/// A Response says in a 200 that it has failed, and may tell what it must not where it says why.
fn disclose_failure(verdict: &mut BodyDecision, body: &[u8], context: &ReaderContext<'_>) {
    let BodyDecision::Pass { body: out, .. } = verdict else { return };
    let said = match out {
        BodyOut::Same => body,
        BodyOut::Replace(with) => with,
    };
    let error = cursor::parse(said).ok().and_then(|response| response.get("error"));
    if error.is_none_or(|error| error.is_null()) {
        return;
    }
    let concealed = context.without_models(said);
    let redacted = context.redacted(concealed.as_deref().unwrap_or(said));
    replace(verdict, redacted.or(concealed));
}

/// Puts another body in the place of one that goes on.
fn replace(verdict: &mut BodyDecision, with: Option<Vec<u8>>) {
    if let (BodyDecision::Pass { edits, body, .. }, Some(with)) = (verdict, with) {
        edits.push(content_length(with.len()));
        *body = BodyOut::Replace(with);
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

/// Whether there are choices that nobody asked for: they may be parts of one.
fn is_split(choices: u32, route: &SentRequest) -> bool {
    choices > 1 && route.request_facts().choices == 1
}

/// How much of an answer is held at the most before it goes on.
fn keep(context: &ReaderContext<'_>, operation: Operation) -> usize {
    let is_told = context.config.headers.answers.has(AnswerHeader::Cache);
    match (has_usage(operation) && is_told) || operation == Operation::Rerank {
        true => HOLD_FOR_USAGE_BYTES,
        false => HOLD_TO_MEND_BYTES,
    }
}

/// Whether an operation's answers say how many prompt tokens came from a cache.
fn has_usage(operation: Operation) -> bool {
    matches!(
        operation,
        Operation::ChatCompletions
            | Operation::Completions
            | Operation::Responses
            | Operation::Messages
    )
}
