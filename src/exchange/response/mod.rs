//! The response half: what kind of answer comes back decides who reads it.
//!
//! | answer | read by | its head goes on |
//! | --- | --- | --- |
//! | not of a governed request, or our own | nobody | at once |
//! | 4xx, 5xx | [`failure`] | with the whole body |
//! | an event stream, or what was asked to be one | [`stream`] | with the first event |
//! | chat, where a plain Response was asked for | [`bridged`] | with the Response, or once it is known to be good |
//! | speech | [`speech`] | once it is known to be audio |
//! | embeddings | [`embeddings`] | once it is known what they need |
//! | other JSON | [`json`] | with the whole body, or once it is known to be good |
//! | 3xx; 202 and 204 where JSON was asked for | nobody: an error takes its place | at once |
//! | an event stream of another kind (Anthropic's own, speech, images) | [`redact`] | at once |
//! | the rest: audio, text, compressed (unless it was to be a Response) | nobody | at once |

mod attempt;
mod bridged;
mod converter;
mod disclosure;
mod embeddings;
mod failure;
mod head;
mod json;
mod no_answer;
mod redact;
mod relayed;
mod speech;
mod stream;

use std::rc::Rc;

use super::budget::RETRY_AFTER_SECONDS;
use super::face::Face;
use super::{BodyOut, Exchange, Next, Note, Reply, ResponseStep, SentRequest, Surroundings};
use crate::error::{Code, ErrorAnswer, GatewayError};
use crate::policy::key::VirtualKey;
use crate::policy::operation::Operation;
use crate::policy::{AnswerHeader, CacheMode, Config, ResponseModel};
use crate::repair::chat::RequestFacts;
use crate::telemetry::counters::{self, AnswerFault, Repairs};
use crate::wire::headers::{HeaderEdit, HeaderText, Headers, is_media_type};
use head::{LEADS_ELSEWHERE, cleaned, has_false_coding, is_encoded, kept, status};
use no_answer::NoAnswer;
use redact::StreamCover;

/// The end of a stream. Without it every client still has its answer.
const DONE: &[u8] = b"data: [DONE]\n\n";

/// Where the answer stands.
#[derive(Debug)]
pub(super) enum ResponsePhase {
    /// Nothing has come yet, or it passes as it is.
    Passing,
    /// An error body is collected.
    Failure(failure::FailureBody),
    /// The head is no answer: this takes its place.
    NoAnswer(NoAnswer),
    /// A JSON body is collected.
    Json(json::Json),
    /// A chat answer is collected, which leaves as a Response.
    Bridged(Box<bridged::Bridged>),
    /// An embeddings answer is collected, or changed on its way.
    Embeddings(Box<embeddings::Embeddings>),
    /// Speech, as long as it may be an error.
    Speech(Box<speech::Speech>),
    /// An event stream passes through its normaliser.
    Stream(Box<stream::RepairedStream>),
    /// An event stream passes as it is (Anthropic's own, speech, images), but for the provider's key: an error in it may
    /// repeat it.
    Covered(StreamCover),
    /// What still comes has been answered for: it is dropped.
    Swallowing,
}

/// What a reader of the body decides after each piece.
enum BodyDecision {
    /// Go on collecting; what is there stays held.
    Hold,
    /// What was held or has come now goes on as `body`, under a head with `edits` if it is still held.
    Pass { edits: Vec<HeaderEdit>, body: BodyOut, rest: Rest },
    /// The answer becomes this error, as long as its head is held.
    Fail(ErrorAnswer),
    /// The answer can't be finished, and its head has gone on: the stream is reset.
    Abort(GatewayError),
    /// The body is for another reader, which gets all that was collected.
    HandOver(ResponsePhase, Vec<u8>),
}

/// Who reads what comes after a [`BodyDecision::Pass`].
enum Rest {
    /// The same reader.
    Read,
    /// Nobody.
    Pass,
}

/// What readers may know of the exchange.
struct ReaderContext<'a> {
    config: &'a Config,
    route: Option<&'a SentRequest>,
    /// Whose request it is.
    key: Option<&'a VirtualKey>,
    /// The request is still held, and its model not known.
    searching: bool,
    /// Whose client reads the answer.
    face: Face,
    /// Envoy's `x-request-id`.
    request_id: Option<&'a Rc<str>>,
    /// Unix seconds of the request.
    now: u64,
    /// More of the body has come already.
    more: bool,
}

impl ResponsePhase {
    fn push(&mut self, bytes: &[u8], end: bool, context: &ReaderContext<'_>) -> BodyDecision {
        match self {
            Self::Failure(failure) => failure.push(bytes, end, context),
            Self::Json(json) => json.push(bytes, end, context),
            Self::Bridged(bridged) => bridged.push(bytes, end, context),
            Self::Embeddings(embeddings) => embeddings.push(bytes, end, context),
            Self::Speech(speech) => speech.push(bytes, end, context),
            Self::Stream(stream) => stream.push(bytes, end, context),
            Self::Covered(cover) => {
                let value = context.credential();
                let changed = value.and_then(|value| cover.push(&value, bytes, end));
                pass(changed.map_or(BodyOut::Same, BodyOut::Replace))
            }
            Self::NoAnswer(none) => BodyDecision::Fail(none.to_answer()),
            Self::Passing => pass(BodyOut::Same),
            Self::Swallowing => pass(BodyOut::Replace(Vec::new())),
        }
    }

    /// Whether Envoy holds bytes of the body.
    fn is_holding(&self) -> bool {
        match self {
            Self::Failure(failure) => failure.is_holding(),
            Self::Json(json) => json.is_holding(),
            Self::Bridged(bridged) => bridged.is_holding(),
            Self::Embeddings(embeddings) => embeddings.is_holding(),
            Self::Speech(speech) => speech.is_holding(),
            Self::Stream(stream) => stream.is_holding(),
            Self::Passing | Self::NoAnswer(_) | Self::Covered(_) | Self::Swallowing => false,
        }
    }

    /// Bytes that are held of the answer, here and, as long as it waits, by Envoy.
    pub(super) fn held(&self) -> usize {
        let here = match self {
            Self::Failure(failure) => failure.held(),
            Self::Json(json) => json.held(),
            Self::Bridged(bridged) => bridged.held(),
            Self::Embeddings(embeddings) => embeddings.held(),
            Self::Speech(speech) => speech.held(),
            Self::Stream(stream) => stream.held(),
            Self::Covered(cover) => cover.held(),
            Self::Passing | Self::Swallowing | Self::NoAnswer(_) => 0,
        };
        if self.is_holding() { here.saturating_mul(2) } else { here }
    }

    /// Whether the last byte of a body with a known length may be taken for its end.
    fn ends_by_length(&self) -> bool {
        !matches!(self, Self::Stream(_) | Self::Covered(_) | Self::Swallowing)
    }

    /// What was wrong with an answer that goes on all the same, once: a failure goes on in one piece.
    fn take_fault(&mut self) -> Option<AnswerFault> {
        match self {
            Self::Stream(stream) => stream.take_failure(),
            Self::Embeddings(embeddings) => {
                embeddings.take_changed().then_some(AnswerFault::Embeddings)
            }
            Self::Failure(failure) => failure.is_unreadable().then_some(AnswerFault::Unreadable),
            Self::Passing
            | Self::NoAnswer(_)
            | Self::Json(_)
            | Self::Bridged(_)
            | Self::Speech(_)
            | Self::Covered(_)
            | Self::Swallowing => None,
        }
    }

    /// What was repaired in a good answer, once.
    fn take_repairs(&mut self) -> Repairs {
        match self {
            Self::Json(json) => json.take_repairs(),
            Self::Bridged(bridged) => bridged.take_repairs(),
            Self::Stream(stream) => stream.take_repairs(),
            Self::Passing
            | Self::NoAnswer(_)
            | Self::Failure(_)
            | Self::Embeddings(_)
            | Self::Speech(_)
            | Self::Covered(_)
            | Self::Swallowing => Repairs::default(),
        }
    }

    /// Whether usage told of cached prompt tokens; `None` as long as there was no usage.
    fn cached(&self) -> Option<bool> {
        match self {
            Self::Json(json) => json.cached(),
            Self::Bridged(bridged) => bridged.cached(),
            Self::Stream(stream) => stream.cached(),
            Self::Passing
            | Self::NoAnswer(_)
            | Self::Failure(_)
            | Self::Embeddings(_)
            | Self::Speech(_)
            | Self::Covered(_)
            | Self::Swallowing => None,
        }
    }
}

/// Goes on holding, up to `limits.max_answer_bytes`.
fn hold(collected: usize, context: &ReaderContext<'_>) -> BodyDecision {
    let limit = context.config.limits.max_answer_bytes;
    if collected as u64 <= limit {
        return BodyDecision::Hold;
    }
    BodyDecision::Fail(
        invalid(format!("The upstream's answer is larger than {limit} bytes.")).to_answer(),
    )
}

fn pass(body: BodyOut) -> BodyDecision {
    BodyDecision::Pass { edits: Vec::new(), body, rest: Rest::Read }
}

impl Exchange {
    /// The answer's head. `end`: it has no body.
    pub fn on_response_head(
        &mut self,
        headers: &Headers,
        end: bool,
        around: &dyn Surroundings,
    ) -> ResponseStep {
        // While the request is still held, an answer can only be Envoy's own: a limit or a timeout.
        if !self.request.is_ours() {
            return ResponseStep::Continue;
        }
        self.recall_facts(around);
        let head_sent = self.response_head_sent;
        let step = self.read_head(headers, end);
        self.told(head_sent, step)
    }

    fn read_head(&mut self, headers: &Headers, end: bool) -> ResponseStep {
        self.note_undecided();
        if let Some(reply) = self.relayed.take() {
            self.response = ResponsePhase::Swallowing;
            self.response_head_sent = true;
            return ResponseStep::Reply(reply);
        }
        let credential = self.context().credential();
        self.forged = cleaned(&self.config.headers, headers, credential.as_deref());
        let status = status(headers);
        self.answer_status = status;
        let is_unreadable = status < 400 && is_encoded(headers);
        let is_mislabelled = has_false_coding(headers) && self.request.route().is_some();
        if is_mislabelled {
            self.forged.push(HeaderEdit::remove("content-encoding"));
        }
        let no_answer =
            self.request.route().and_then(|route| NoAnswer::of(status, route.answered_as()));
        if matches!(no_answer, Some(NoAnswer::Redirect(_))) {
            self.forged.extend(LEADS_ELSEWHERE.map(HeaderEdit::remove));
        }
        let context = self.context();
        let phase = match context.route {
            _ if let Some(none) = no_answer => ResponsePhase::NoAnswer(none),
            // As it is, it would be no Response.
            Some(route) if route.bridge.is_some() && (200..300).contains(&status) => {
                reader(&context, route, headers)
            }
            // Asked for identity, and yet compressed: nobody here can read it, so the client does.
            Some(_) if is_unreadable => ResponsePhase::Passing,
            _ if status >= 400 => {
                ResponsePhase::Failure(failure::FailureBody::new(status, headers))
            }
            Some(route) if (200..300).contains(&status) => reader(&context, route, headers),
            _ => ResponsePhase::Passing,
        };
        if matches!(phase, ResponsePhase::Passing) {
            if is_unreadable {
                self.count_answer(AnswerFault::Unreadable);
            }
            self.response_head_sent = true;
            let mut edits = self.own_headers();
            let content_type = headers.get("content-type").unwrap_or_default();
            let is_covered = credential.is_some()
                && !is_unreadable
                && is_media_type(content_type, "text/event-stream");
            if is_covered && !end {
                self.response = ResponsePhase::Covered(StreamCover::default());
                // What is covered has another length.
                edits.extend(
                    headers.get("content-length").map(|_| HeaderEdit::remove("content-length")),
                );
            }
            return ResponseStep::Release(edits, BodyOut::Same);
        }
        if is_mislabelled {
            self.count_answer(AnswerFault::Mislabelled);
        }
        if status >= 400 || end {
            self.kept = kept(headers, credential.as_deref());
        }
        if end {
            if matches!(&phase, ResponsePhase::Json(json) if json.may_be_empty()) {
                self.response_head_sent = true;
                return ResponseStep::Release(self.own_headers(), BodyOut::Same);
            }
            return self.answer_bodiless(&phase, status, headers);
        }
        self.response = phase;
        // What is over the limit goes on being counted against it.
        let limit = self.config.limits.max_answer_bytes;
        self.response_left = content_length_of(headers).filter(|&length| length <= limit);
        ResponseStep::Hold
    }

    /// Whether the bytes of the answer's body are to be read. Where not, [`Self::on_response_body`] is
    /// to be called without them.
    #[must_use]
    pub fn reads_response_body(&self) -> bool {
        !matches!(self.response, ResponsePhase::Passing | ResponsePhase::Swallowing)
    }

    /// The next bytes of the body (never the same twice).
    pub fn on_response_body(&mut self, bytes: &[u8], next: Next) -> ResponseStep {
        let step = self.read_response_body(bytes, next);
        // What has gone on is not held any more.
        let _less = self.settle();
        step
    }

    fn read_response_body(&mut self, bytes: &[u8], next: Next) -> ResponseStep {
        if matches!(self.response, ResponsePhase::Passing) {
            return ResponseStep::Continue;
        }
        let head_sent = self.response_head_sent;
        let step = self.read_answer(bytes, next);
        self.told(head_sent, step)
    }

    fn read_answer(&mut self, bytes: &[u8], next: Next) -> ResponseStep {
        self.response_left =
            self.response_left.and_then(|left| left.checked_sub(bytes.len() as u64));
        // Envoy tells the end of a body in a call of its own. One whose length is known need not be
        // held until then.
        let by_length = self.response_left == Some(0) && self.response.ends_by_length();
        let end = next == Next::End || by_length;
        let more = next == Next::Visible;
        let context = ReaderContext {
            config: &self.config,
            route: self.request.route(),
            key: self.key.as_deref(),
            searching: self.request.is_searching(),
            face: self.face,
            request_id: self.request_id.as_ref(),
            now: self.now,
            more,
        };
        let mut verdict = self.response.push(bytes, end, &context);
        if let BodyDecision::HandOver(reader, collected) = verdict {
            self.response = reader;
            verdict = self.response.push(&collected, end, &context);
        }
        if let Err(error) = self.settle() {
            verdict = self.overload(verdict, bytes, &error);
        }
        match verdict {
            // No reader hands over twice.
            BodyDecision::Hold | BodyDecision::HandOver(..) => ResponseStep::Hold,
            BodyDecision::Fail(answer) => {
                match std::mem::replace(&mut self.response, ResponsePhase::Swallowing) {
                    ResponsePhase::Failure(failure)
                        if failure.is_buffer_limit(self.request.is_searching()) =>
                    {
                        self.count_refused(Code::RequestTooLarge);
                    }
                    ResponsePhase::Failure(_) => self.count_answer(AnswerFault::Error),
                    ResponsePhase::NoAnswer(none) => self.count_answer(none.fault()),
                    _ => self.count_answer(AnswerFault::ErrorIn200),
                }
                self.replace(answer)
            }
            BodyDecision::Abort(error) => {
                self.response = ResponsePhase::Swallowing;
                self.count_answer(AnswerFault::ErrorIn200);
                ResponseStep::Reply(self.error_reply(&error))
            }
            BodyDecision::Pass { mut edits, body, rest } => {
                let in_head =
                    !self.response_head_sent && !matches!(self.response, ResponsePhase::Stream(_));
                let cache = if in_head || end { self.response.cached() } else { None };
                let outcome = cache.and_then(|hit| self.cache_outcome(hit));
                if let Some(fault) = self.response.take_fault() {
                    self.count_answer(fault);
                }
                for repair in self.response.take_repairs().iter() {
                    self.count_answer(AnswerFault::Repaired(repair));
                }
                if !self.response_head_sent {
                    self.response_head_sent = true;
                    edits.extend(self.own_headers());
                }
                match outcome {
                    Some(outcome) if in_head && self.answers_have(AnswerHeader::Cache) => {
                        edits.push(HeaderEdit::set(&self.config.headers.cache, outcome));
                    }
                    Some(outcome) => self.notes.push((Note::Cache, outcome.to_owned())),
                    None => {}
                }
                if matches!(rest, Rest::Pass) {
                    self.response = ResponsePhase::Passing;
                }
                ResponseStep::Release(edits, body)
            }
        }
    }

    /// What becomes of an answer that the worker has no room for.
    fn overload(
        &mut self,
        decided: BodyDecision,
        bytes: &[u8],
        error: &GatewayError,
    ) -> BodyDecision {
        // What a good answer does not need is given back first.
        if let ResponsePhase::Json(json) = &mut self.response
            && json.forget()
            && self.settle().is_ok()
        {
            return decided;
        }
        let answer = error.to_answer();
        self.count_refused(error.code);
        if !self.response_head_sent {
            return match decided {
                BodyDecision::Hold => BodyDecision::Fail(answer),
                decided => decided,
            };
        }
        let ResponsePhase::Stream(stream) = &mut self.response else {
            return BodyDecision::Abort(error.clone());
        };
        let last = stream.abort(answer);
        self.response = ResponsePhase::Swallowing;
        let BodyDecision::Pass { edits, body, .. } = decided else { return decided };
        let mut all = match body {
            BodyOut::Same => bytes.to_vec(),
            BodyOut::Replace(with) => with,
        };
        all.extend_from_slice(&last);
        BodyDecision::Pass { edits, body: BodyOut::Replace(all), rest: Rest::Read }
    }

    /// What an answer's trailers may not say: what its head may not.
    #[must_use]
    pub fn response_trailer_edits(&self, trailers: &Headers) -> Vec<HeaderEdit> {
        if !self.request.is_ours() {
            return Vec::new();
        }
        cleaned(&self.config.headers, trailers, self.context().credential().as_deref())
    }

    /// The trailers: the end of a body that has some.
    pub fn on_response_trailers(&mut self) -> ResponseStep {
        if matches!(self.response, ResponsePhase::Passing) {
            return ResponseStep::Continue;
        }
        let head_sent = self.response_head_sent;
        let step = self.read_trailers();
        self.told(head_sent, step)
    }

    fn read_trailers(&mut self) -> ResponseStep {
        let head_sent = self.response_head_sent;
        let held = self.response.is_holding();
        match self.read_answer(&[], Next::End) {
            // Envoy shows no body here but the one it holds, so nothing can be added.
            ResponseStep::Release(edits, BodyOut::Replace(body)) if !held => {
                match body.as_slice() {
                    b"" | DONE => ResponseStep::Release(edits, BodyOut::Same),
                    _ => self.reply(edits, body, head_sent),
                }
            }
            step => step,
        }
    }

    fn context(&self) -> ReaderContext<'_> {
        ReaderContext {
            config: &self.config,
            route: self.request.route(),
            key: self.key.as_deref(),
            searching: self.request.is_searching(),
            face: self.face,
            request_id: self.request_id.as_ref(),
            now: self.now,
            more: false,
        }
    }

    /// The headers that every answer of a routed request gets, in the place of forged ones.
    fn own_headers(&self) -> Vec<HeaderEdit> {
        let names = &self.config.headers;
        let mut edits = Vec::with_capacity(self.forged.len() + 6);
        edits.extend_from_slice(&self.forged);
        if let Some(route) = self.request.route() {
            if self.answers_have(AnswerHeader::Provider)
                && let Some(provider) = self.config.providers.get(route.provider)
            {
                edits.push(HeaderEdit::set(&names.provider, &provider.name));
            }
            // The provider's default has no name here.
            if self.answers_have(AnswerHeader::Model) && !route.model.is_empty() {
                let model = match route.model.trim() {
                    model if model.len() == route.model.len() => HeaderText::from(&route.model),
                    model => model.to_owned().into(),
                };
                edits.push(HeaderEdit::set(&names.model, model));
            }
            if self.answers_have(AnswerHeader::CacheMode) {
                edits.push(HeaderEdit::set(&names.cache_mode, route.cache.as_str()));
            }
            if let Some(dropped) = route.dropped.clone() {
                edits.push(HeaderEdit::set(&names.params_dropped, dropped));
            }
        }
        if let Some(id) = &self.request_id
            && self.answers_have(AnswerHeader::RequestId)
        {
            edits.push(HeaderEdit::set(&names.request_id, id));
        }
        edits
    }

    fn answers_have(&self, header: AnswerHeader) -> bool {
        self.config.headers.answers.has(header)
    }

    fn count_answer(&mut self, fault: AnswerFault) {
        let provider = self.request.provider().and_then(|id| self.config.providers.get(id));
        self.counted.push(counters::answers(fault, provider.map(|provider| &*provider.name)));
    }

    fn cache_outcome(&self, cached: bool) -> Option<&'static str> {
        let route = self.request.route()?;
        Some(match (route.cache, cached) {
            (CacheMode::Disable, _) => "bypass",
            (_, true) => "hit",
            (_, false) => "miss",
        })
    }

    /// Puts an error in the place of the held answer. Its other headers stay: limits, `retry-after`.
    fn replace(&mut self, answer: ErrorAnswer) -> ResponseStep {
        let (edits, body) = self.replacement(answer);
        self.response_head_sent = true;
        ResponseStep::Release(edits, BodyOut::Replace(body))
    }

    /// The head's edits and the body that turn an answer into an error.
    fn replacement(&self, mut answer: ErrorAnswer) -> (Vec<HeaderEdit>, Vec<u8>) {
        let _changed = self.context().disclose(&mut answer);
        let body = self.face.error_body(&answer, self.request_id.as_deref());
        let body = self.context().redacted(&body).unwrap_or(body);
        let mut edits = self.own_headers();
        if let Some(code) = self.face.error_header(&answer) {
            edits.push(HeaderEdit::set(&self.config.headers.error, code.to_owned()));
        }
        edits.push(HeaderEdit::set(":status", answer.status.to_string()));
        edits.push(HeaderEdit::set("content-type", "application/json"));
        edits.push(HeaderEdit::remove("content-encoding"));
        if answer.error.code.as_deref() == Some(Code::Overloaded.as_str()) {
            edits.push(HeaderEdit::set("retry-after", RETRY_AFTER_SECONDS));
        }
        edits.push(content_length(body.len()));
        (edits, body)
    }

    /// Where Envoy lets no body be written, a reply says what the edited answer would.
    fn reply(&mut self, edits: Vec<HeaderEdit>, body: Vec<u8>, head_sent: bool) -> ResponseStep {
        // What cleans the upstream's head is nothing to a reply, which has a head of its own.
        let edits = edits.into_iter().filter(|edit| !self.forged.contains(edit)).collect();
        let mut reply = Reply::from_edits(edits, body, head_sent);
        reply.headers.append(&mut self.kept);
        ResponseStep::Reply(reply)
    }

    /// An answer that should have a body has none, and Envoy lets no body be added to it: it is
    /// replaced as a whole.
    fn answer_bodiless(
        &mut self,
        phase: &ResponsePhase,
        status: u16,
        headers: &Headers,
    ) -> ResponseStep {
        let answer = if let ResponsePhase::NoAnswer(none) = phase {
            Some(none.to_answer())
        } else if status >= 400 {
            failure::FailureBody::new(status, headers).answer(&self.context())
        } else {
            let what = format!("The upstream answered HTTP {status} with an empty body.");
            Some(invalid(what).to_answer())
        };
        let Some(answer) = answer else { return ResponseStep::Continue };
        self.count_answer(match phase {
            ResponsePhase::NoAnswer(none) => none.fault(),
            _ if status >= 400 => AnswerFault::Error,
            _ => AnswerFault::ErrorIn200,
        });
        let (edits, body) = self.replacement(answer);
        self.reply(edits, body, false)
    }
}

/// Who reads an answer with status 2xx.
fn reader(context: &ReaderContext<'_>, route: &SentRequest, headers: &Headers) -> ResponsePhase {
    let content_type = headers.get("content-type").unwrap_or_default();
    let is_stream = is_media_type(content_type, "text/event-stream");
    let is_labelled = is_media_type(content_type, "application/json");
    let is_json = is_labelled || content_type.is_empty();
    let is_page = is_media_type(content_type, "text/html");
    let operation = route.answered_as();
    let has_length = headers.get("content-length").is_some();
    match operation {
        // Speech that is a text is what went wrong, whatever the status says.
        Operation::Speech if content_type.starts_with(b"text/") && !is_stream && !is_page => {
            ResponsePhase::Failure(failure::FailureBody::new(502, headers))
        }
        // Partial images are events of a kind of their own; audio is bytes.
        Operation::Speech if is_stream => ResponsePhase::Passing,
        Operation::ImageGeneration | Operation::ImageEdit if is_stream || !(is_json || is_page) => {
            ResponsePhase::Passing
        }
        Operation::Speech if !(is_stream || is_json || is_page) => {
            ResponsePhase::Speech(Box::new(speech::Speech::new()))
        }
        // Lines of JSON: what was said, or nothing, where the server failed.
        Operation::Transcriptions | Operation::Translations
            if is_media_type(content_type, "application/x-ndjson") && !route.facts.stream =>
        {
            ResponsePhase::Json(json::Json::new(operation, true, has_length))
        }
        // Plain text, SRT and VTT are what was asked for, unless that was a stream. Some servers tell under
        // such a label what went wrong.
        Operation::Transcriptions | Operation::Translations
            if !is_stream && !is_json && !route.facts.stream =>
        {
            let may_be_error = content_type.starts_with(b"text/")
                && !is_media_type(content_type, "text/vtt")
                && !is_media_type(content_type, "text/srt");
            match may_be_error {
                true => ResponsePhase::Json(
                    json::Json::new(operation, false, has_length).labelled_text(),
                ),
                false => ResponsePhase::Passing,
            }
        }
        // Anthropic's own events, from a server that speaks them.
        Operation::Messages if is_stream => ResponsePhase::Passing,
        Operation::Embeddings => ResponsePhase::Embeddings(Box::new(embeddings::Embeddings::new(
            context,
            route,
            is_labelled,
        ))),
        _ => match (stream_kind(operation), &route.bridge) {
            (Some(kind), bridge)
                if route.facts.stream && (bridge.is_none() || !is_encoded(headers)) =>
            {
                let head = stream::head(headers);
                ResponsePhase::Stream(Box::new(stream::RepairedStream::new(
                    kind, context, route, head,
                )))
            }
            (_, Some(_)) => ResponsePhase::Bridged(Box::new(bridged::Bridged::new(
                context,
                route,
                is_encoded(headers),
            ))),
            _ => ResponsePhase::Json(json::Json::new(operation, is_labelled, has_length)),
        },
    }
}

impl SentRequest {
    /// What the answer has to be held against.
    fn request_facts(&self) -> RequestFacts {
        let facts = &self.facts;
        let prompts = facts.prompts.unwrap_or(1).max(1) as u64;
        RequestFacts {
            choices: facts.n.unwrap_or(1).max(1).saturating_mul(prompts),
            // A converted request asks for them, since its answer has to tell them.
            wants_usage: facts.wants_usage || self.bridge.is_some(),
            names_tool: facts.names_tool,
        }
    }
}

/// The protocol of an operation's streams.
fn stream_kind(operation: Operation) -> Option<crate::repair::sse::StreamKind> {
    use crate::repair::sse::StreamKind;
    match operation {
        Operation::ChatCompletions => Some(StreamKind::Chat),
        Operation::Completions => Some(StreamKind::Completions),
        Operation::Responses => Some(StreamKind::Responses),
        Operation::Transcriptions | Operation::Translations => Some(StreamKind::Transcription),
        _ => None,
    }
}

/// What a body without a JSON label gets.
fn label(is_labelled: bool) -> Vec<HeaderEdit> {
    if is_labelled {
        return Vec::new();
    }
    vec![HeaderEdit::set("content-type", "application/json")]
}

impl ReaderContext<'_> {
    /// The id that the answer is to name in the place of the upstream's own.
    fn response_model(&self, route: &SentRequest) -> Option<String> {
        (self.config.response_model == ResponseModel::Requested).then(|| route.requested.clone())
    }

    fn max_event_bytes(&self) -> usize {
        usize::try_from(self.config.limits.max_sse_event_bytes).unwrap_or(usize::MAX)
    }

    /// The value of the header that carries the provider's key.
    fn credential(&self) -> Option<Rc<str>> {
        let provider = self.config.providers.get(self.route?.provider)?;
        Some(Rc::clone(provider.credential.as_ref()?.value.expose()))
    }
}

/// What `content-length` says, if it says it once.
fn content_length_of(headers: &Headers) -> Option<u64> {
    std::str::from_utf8(headers.get("content-length")?).ok()?.parse().ok()
}

fn content_length(length: usize) -> HeaderEdit {
    HeaderEdit::set("content-length", length.to_string())
}

fn invalid(message: impl Into<String>) -> GatewayError {
    GatewayError::new(Code::InvalidUpstreamResponse, message)
}
