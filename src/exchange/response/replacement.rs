//! What leaves in the place of an answer or with it: the gateway's own headers, its errors, and what is counted.

use super::decision::invalid;
use super::failure;
use super::head::{AnswerFields, content_length, kept};
use super::phase::ResponsePhase;
use crate::error::{Code, ErrorAnswer};
use crate::exchange::budget::RETRY_AFTER_SECONDS;
use crate::exchange::{BodyOut, Exchange, Note, Reply, ResponseStep};
use crate::policy::{AnswerHeader, CacheMode};
use crate::telemetry::counters::{self, AnswerFault};
use crate::wire::headers::{HeaderEdit, HeaderText, Headers};

/// What Envoy says of an answer that an upstream gave.
pub(super) const VIA_UPSTREAM: &str = "via_upstream";

impl Exchange {
    /// The headers that every answer of a routed request gets, in the place of forged ones.
    pub(super) fn own_headers(&self) -> Vec<HeaderEdit> {
        let names = &self.config.headers;
        let mut edits = Vec::with_capacity(self.forged.len() + 6);
        // What an upstream sent under these names goes first.
        edits.extend_from_slice(&self.forged);
        if let Some(route) = self.request.route() {
            // Who answered: where that is Envoy alone, it is no provider's doing.
            if self.answers_have(AnswerHeader::Provider)
                && !self.asked_nobody
                && let Some(provider) = self.config.providers.get(route.provider)
            {
                edits.push(HeaderEdit::add(&names.provider, &provider.name));
            }
            // The provider's default has no name here.
            if self.answers_have(AnswerHeader::Model)
                && !self.asked_nobody
                && !route.model.is_empty()
            {
                let model = match route.model.trim() {
                    model if model.len() == route.model.len() => HeaderText::from(&route.model),
                    model => model.to_owned().into(),
                };
                edits.push(HeaderEdit::add(&names.model, model));
            }
            if self.answers_have(AnswerHeader::CacheMode) {
                edits.push(HeaderEdit::add(&names.cache_mode, route.cache.as_str()));
            }
            if let Some(dropped) = route.dropped.clone() {
                edits.push(HeaderEdit::add(&names.params_dropped, dropped));
            }
        }
        if let Some(id) = &self.request_id
            && self.answers_have(AnswerHeader::RequestId)
        {
            edits.push(HeaderEdit::add(&names.request_id, id));
        }
        edits
    }

    /// Who answered, where the answer's head does not say it: metrics are about providers.
    pub(super) fn note_provider(&mut self) {
        if self.answers_have(AnswerHeader::Provider) || self.asked_nobody || !self.is_metered() {
            return;
        }
        let provider = self.request.provider().and_then(|id| self.config.providers.get(id));
        self.notes.extend(provider.map(|it| (Note::Provider, it.name.to_string())));
    }

    pub(super) fn answers_have(&self, header: AnswerHeader) -> bool {
        self.config.headers.answers.has(header)
    }

    pub(in crate::exchange) fn count_answer(&mut self, fault: AnswerFault) {
        if fault.is_in_place_of_answer() && !self.response_head_sent {
            self.tally.meter.void();
        }
        let provider = self.request.provider().and_then(|id| self.config.providers.get(id));
        self.counted.push(counters::answers(fault, provider.map(|provider| &*provider.name)));
    }

    pub(super) fn cache_outcome(&self, cached: bool) -> Option<&'static str> {
        let route = self.request.route()?;
        Some(match (route.cache, cached) {
            (CacheMode::Disable, _) => "bypass",
            (_, true) => "hit",
            (_, false) => "miss",
        })
    }

    /// Puts an error in the place of the held answer. Its other headers stay: limits, `retry-after`.
    ///
    /// One of the gateway's own leaves as a reply, whose details Envoy's log shows. Not to a page: a reply passes by the filters
    /// that the answer would have gone through, Envoy's CORS filter among them, and without what that says no page may read it.
    pub(super) fn replace(&mut self, answer: ErrorAnswer) -> ResponseStep {
        if !self.is_page && self.own_code(&answer).is_some() {
            self.response = ResponsePhase::Replaced(Box::new(answer));
            return ResponseStep::ReadHead;
        }
        let (edits, body) = self.replacement(answer);
        self.response_head_sent = true;
        ResponseStep::Release(edits, BodyOut::Replace(body))
    }

    /// The head of the answer, after [`ResponseStep::ReadHead`].
    pub fn on_response_head_again(&mut self, headers: &Headers) -> ResponseStep {
        let phase = std::mem::replace(&mut self.response, ResponsePhase::Swallowing);
        let ResponsePhase::Replaced(answer) = phase else { return ResponseStep::Continue };
        let provider_key = self.context().provider_key().cloned();
        self.kept = kept(headers, provider_key.as_deref());
        self.response_head_sent = true;
        let step = self.reply_with(*answer);
        self.told(false, step)
    }

    /// The code by which Envoy's log is to know an error in the place of an upstream's answer; `None` where that is an upstream's own,
    /// and where Envoy has a word of its own for what it answered.
    fn own_code(&self, answer: &ErrorAnswer) -> Option<Code> {
        answer.own.filter(|_| self.answer_details.as_deref().is_none_or(|why| why == VIA_UPSTREAM))
    }

    /// A reply with this error.
    fn reply_with(&mut self, answer: ErrorAnswer) -> ResponseStep {
        let code = self.own_code(&answer);
        let (edits, body) = self.replacement(answer);
        match self.reply(edits, body, false) {
            ResponseStep::Reply(reply) => ResponseStep::Reply(Reply { code, ..reply }),
            step => step,
        }
    }

    /// The head's edits and the body that turn an answer into an error.
    pub(super) fn replacement(&self, mut answer: ErrorAnswer) -> (Vec<HeaderEdit>, Vec<u8>) {
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
        } else if let Some(seconds) = self.retry_after {
            edits.push(HeaderEdit::set("retry-after", seconds.to_string()));
        }
        edits.push(content_length(body.len()));
        (edits, body)
    }

    /// Where Envoy lets no body be written, a reply says what the edited answer would.
    pub(super) fn reply(
        &mut self,
        edits: Vec<HeaderEdit>,
        body: Vec<u8>,
        head_sent: bool,
    ) -> ResponseStep {
        // What cleans the upstream's head is nothing to a reply, which has a head of its own.
        let edits = edits.into_iter().filter(|edit| !self.forged.contains(edit)).collect();
        let mut reply = Reply::from_edits(edits, body, head_sent);
        // What the gateway says itself it says once.
        self.kept.retain(|(kept, _)| reply.headers.iter().all(|(name, _)| name != kept));
        reply.headers.append(&mut self.kept);
        reply.answered.clone_from(&self.answer_details);
        ResponseStep::Reply(reply)
    }

    /// An answer that should have a body has none, and Envoy lets no body be added to it: it is
    /// replaced as a whole.
    pub(super) fn answer_bodiless(
        &mut self,
        phase: &ResponsePhase,
        status: u16,
        fields: &AnswerFields<'_>,
    ) -> ResponseStep {
        let answer = if let ResponsePhase::NoAnswer(none) = phase {
            Some(none.to_answer(&self.context()))
        } else if status >= 400 {
            failure::FailureBody::new(status, fields).answer(&self.context())
        } else {
            let what = format!("The upstream answered HTTP {status} with an empty body.");
            Some(invalid(what).to_answer())
        };
        let Some(answer) = answer else { return ResponseStep::Continue };
        let fault = match phase {
            ResponsePhase::NoAnswer(none) => none.fault(),
            _ if status >= 400 => Some(AnswerFault::Error),
            _ => Some(AnswerFault::ErrorIn200),
        };
        if let Some(fault) = fault {
            self.count_answer(fault);
        }
        self.reply_with(answer)
    }
}
