//! The response half: what kind of answer comes back decides who reads it.
//!
//! | answer | read by | its head goes on |
//! | --- | --- | --- |
//! | not of a governed request, or our own | nobody | at once |
//! | 4xx, 5xx | [`failure`] | with the whole body |
//! | an event stream, or what was asked to be one | [`stream`] | with the first event |
//! | chat, where a plain Response was asked for | [`bridged`] | with the Response, or once it is known to be good |
//! | speech, images that are bytes | [`speech`] | once they are known to be no error |
//! | embeddings | [`embeddings`] | once it is known what they need |
//! | other JSON | [`json`] | with the whole body, or once it is known to be good |
//! | 3xx; 202 and 204 where JSON was asked for | nobody: an error takes its place | at once |
//! | an event stream of another kind (speech, images) | [`speech`], then [`covered`] | with the first event |
//! | the rest: text, good answers that are compressed (unless they were to be a Response) | nobody | at once |

mod attempt;
mod bridged;
mod converter;
mod covered;
mod decision;
mod disclosure;
mod embeddings;
mod failure;
mod head;
mod json;
mod limit;
mod metering;
mod no_answer;
mod no_audio;
mod phase;
mod reader;
mod relayed;
mod replacement;
mod speech;
mod stream;

use super::{BodyOut, Exchange, Next, Note, ResponseStep, Surroundings};
use crate::error::{Code, GatewayError};
use crate::exchange::redact::{header_without_key, may_tell, redacted};
use crate::policy::AnswerHeader;
use crate::telemetry::counters::AnswerFault;
use crate::wire::headers::{HeaderEdit, Headers, is_media_type};
use covered::CoveredStream;
use decision::{BodyDecision, ReaderContext, Rest};
pub(super) use disclosure::{conceal_models, name_credential};
use head::{AnswerFields, KEEPS_TO_HOST, LEADS_ELSEWHERE, cleaned};
pub(super) use head::{is_kept, kept};
use limit::RateLimit;
use no_answer::NoAnswer;
pub(super) use phase::ResponsePhase;
use reader::reader;
use stream::RepairedStream;

/// The end of a stream. Without it every client still has its answer.
const DONE: &[u8] = b"data: [DONE]\n\n";

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
        let fields = AnswerFields::read(headers);
        if fields.status() >= 400 {
            self.answer_details =
                around.answer_details().and_then(|details| String::from_utf8(details).ok());
        }
        let limit =
            self.answer_details.as_deref().and_then(|details| RateLimit::of(details, headers));
        let step = self.read_head(headers, &fields, end, limit);
        self.note_counted();
        self.told(head_sent, step)
    }

    fn read_head(
        &mut self,
        headers: &Headers,
        fields: &AnswerFields<'_>,
        end: bool,
        limit: Option<RateLimit>,
    ) -> ResponseStep {
        self.note_undecided();
        if let Some(mut reply) = self.relayed.take() {
            reply.answered.clone_from(&self.answer_details);
            self.response = ResponsePhase::Swallowing;
            self.response_head_sent = true;
            return ResponseStep::Reply(reply);
        }
        let status = fields.status();
        let context = self.context();
        let provider_key = context.provider_key();
        let has_key = provider_key.is_some();
        // Hardly any good answer tells the key: one look at all of the head says so.
        let told = provider_key.map(|key| &**key);
        let told = told.filter(|key| status >= 400 || may_tell(key, headers));
        let redact = if status >= 400 { redacted } else { header_without_key };
        self.forged = cleaned(&self.config.headers, headers, told, redact);
        if self.is_attempt() {
            self.forged.extend(KEEPS_TO_HOST.map(HeaderEdit::remove));
        }
        self.answer_status = status;
        let is_unreadable = status < 400 && fields.is_encoded;
        let is_mislabelled = fields.has_false_coding() && self.request.route().is_some();
        if is_mislabelled {
            self.forged.push(HeaderEdit::remove("content-encoding"));
        }
        let no_answer = match limit {
            Some(limit) => Some(NoAnswer::Limited(limit)),
            None => self.request.route().and_then(|route| {
                NoAnswer::by_details(self.answer_details.as_deref())
                    .or_else(|| NoAnswer::of(status, route.answered_as()))
            }),
        };
        self.asked_nobody = matches!(no_answer, Some(NoAnswer::Limited(_) | NoAnswer::Unrouted));
        self.note_provider();
        if !fields.has_retry_after {
            self.retry_after = limit.and_then(RateLimit::retry_after);
        }
        if matches!(no_answer, Some(NoAnswer::Redirect(_))) {
            self.forged.extend(LEADS_ELSEWHERE.map(HeaderEdit::remove));
        }
        let context = self.context();
        let phase = match context.route {
            _ if let Some(none) = no_answer => ResponsePhase::NoAnswer(none),
            // As it is, it would be no Response.
            Some(route) if route.bridge.is_some() && (200..300).contains(&status) => {
                reader(&context, route, fields)
            }
            // A good answer, asked for in identity, and yet compressed: nobody here can read it, so the client does.
            Some(_) if is_unreadable => ResponsePhase::Passing,
            _ if status >= 400 => ResponsePhase::Failure(failure::FailureBody::new(status, fields)),
            Some(route) if (200..300).contains(&status) => reader(&context, route, fields),
            _ => ResponsePhase::Passing,
        };
        self.meter_answer(&phase);
        if matches!(phase, ResponsePhase::Passing) {
            if is_unreadable {
                self.count_answer(AnswerFault::Unreadable);
            }
            self.response_head_sent = true;
            let mut edits = self.own_headers();
            let content_type = fields.content_type.unwrap_or_default();
            let is_covered =
                has_key && !is_unreadable && is_media_type(content_type, "text/event-stream");
            if is_covered && !end {
                self.response = ResponsePhase::Covered(CoveredStream::default());
                // What is covered has another length.
                edits.extend(fields.has_length().then(|| HeaderEdit::remove("content-length")));
            }
            return ResponseStep::Release(edits, BodyOut::Same);
        }
        if is_mislabelled {
            self.count_answer(AnswerFault::Mislabelled);
        }
        if status >= 400 || end {
            self.kept = kept(headers, self.context().provider_key().map(|key| &**key));
        }
        if end {
            if matches!(&phase, ResponsePhase::Json(json) if json.may_be_empty()) {
                self.response_head_sent = true;
                return ResponseStep::Release(self.own_headers(), BodyOut::Same);
            }
            return self.answer_bodiless(&phase, status, fields);
        }
        self.response = phase;
        // What is over the limit goes on being counted against it.
        let limit = self.config.limits.max_answer_bytes;
        self.response_left = fields.length().filter(|&length| length <= limit);
        ResponseStep::Hold
    }

    /// Whether the bytes of the answer's body are to be read. Where not, [`Self::on_response_body`] is
    /// to be called without them.
    #[must_use]
    pub fn reads_response_body(&self) -> bool {
        match self.response {
            ResponsePhase::Passing => self.tally.meter.reads(),
            ResponsePhase::Replaced(_) | ResponsePhase::Swallowing => false,
            _ => true,
        }
    }

    /// Whether what comes of the answer is read as events.
    #[must_use]
    pub fn reads_events(&self) -> bool {
        matches!(self.response, ResponsePhase::Stream(_))
    }

    /// The next bytes of the body (never the same twice).
    pub fn on_response_body(&mut self, bytes: &[u8], next: Next) -> ResponseStep {
        // The other events of a stream are like its last one, and many come alone. Nothing is held of these.
        if next == Next::Later
            && let ResponsePhase::Stream(stream) = &mut self.response
            && stream.passes(bytes, &mut self.tally.meter)
        {
            self.note_counted();
            return ResponseStep::Release(Vec::new(), BodyOut::Same);
        }
        let step = self.read_response_body(bytes, next);
        // What has gone on is not held any more.
        let _less = self.settle();
        self.note_counted();
        step
    }

    fn read_response_body(&mut self, bytes: &[u8], next: Next) -> ResponseStep {
        if matches!(self.response, ResponsePhase::Passing) {
            self.tally.meter.push(bytes);
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
            shapes: &self.memory.shapes,
        };
        let meter = &mut self.tally.meter;
        let mut verdict = match (self.response.push(bytes, end, &context, meter), context.route) {
            (BodyDecision::ReadAsStream(kind, collected), Some(route)) => {
                let stream = RepairedStream::new(kind, &context, route, stream::new_head());
                self.response = ResponsePhase::Stream(Box::new(stream));
                self.response.push(&collected, end, &context, meter)
            }
            (BodyDecision::Cover(collected), _) => {
                self.response = ResponsePhase::Covered(CoveredStream::default());
                self.response.push(&collected, end, &context, meter)
            }
            (verdict, _) => verdict,
        };
        if let Err(error) = self.settle() {
            verdict = self.overload(verdict, bytes, &error);
        }
        match verdict {
            // A stream is not read as one again.
            BodyDecision::Hold | BodyDecision::ReadAsStream(..) | BodyDecision::Cover(_) => {
                ResponseStep::Hold
            }
            BodyDecision::Fail(answer) => {
                match std::mem::replace(&mut self.response, ResponsePhase::Swallowing) {
                    ResponsePhase::Failure(failure)
                        if failure.is_buffer_limit(self.request.is_searching()) =>
                    {
                        self.count_refused(Code::RequestTooLarge);
                    }
                    ResponsePhase::Failure(failure) => {
                        let fault = failure.fault();
                        self.count_answer(fault);
                    }
                    ResponsePhase::NoAnswer(none) => {
                        if let Some(fault) = none.fault() {
                            self.count_answer(fault);
                        }
                    }
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
                let repairs = self.response.take_repairs();
                if !repairs.is_empty() {
                    for repair in repairs.iter() {
                        self.count_answer(AnswerFault::Repaired(repair));
                    }
                }
                if !self.response_head_sent {
                    self.response_head_sent = true;
                    edits.extend(self.own_headers());
                    if matches!(self.response, ResponsePhase::Covered(_)) {
                        // What is covered has another length.
                        edits.push(HeaderEdit::remove("content-length"));
                    }
                }
                match outcome {
                    Some(outcome) if in_head && self.answers_have(AnswerHeader::Cache) => {
                        edits.push(HeaderEdit::add(&self.config.headers.cache, outcome));
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
        let context = self.context();
        let key = context.provider_key().map(|key| &**key);
        cleaned(&self.config.headers, trailers, key, redacted)
    }

    /// The trailers: the end of a body that has some.
    pub fn on_response_trailers(&mut self) -> ResponseStep {
        if matches!(self.response, ResponsePhase::Passing) {
            return ResponseStep::Continue;
        }
        let head_sent = self.response_head_sent;
        let step = self.read_trailers();
        self.note_counted();
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
            shapes: &self.memory.shapes,
        }
    }
}
