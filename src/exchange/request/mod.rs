//! The request half: authenticate, find the model, decide, rewrite, and go on checking to the end.

mod accept;
mod attempt;
mod body;
mod convert;
mod decide;
mod head;
mod phase;
mod place;
mod release;
mod repetition;
mod rewrite;
mod undo;

use std::rc::Rc;

use super::decision::write_facts;
use super::face::Face;
use super::{Exchange, Next, Note, Release, Reply, RequestStep, Surroundings};
use crate::error::{Code, GatewayError};
use crate::policy::Positions;
use crate::wire::headers::{HeaderEdit, Headers};
pub use decide::offered;
use head::{HeadFields, own_headers, removals, under_prefix};
use phase::Placing;
pub(super) use phase::RequestPhase;

impl Exchange {
    /// The request's head. `end`: it has no body.
    pub fn on_request_head(
        &mut self,
        headers: &Headers,
        end: bool,
        around: &dyn Surroundings,
    ) -> RequestStep {
        let config = self.config.clone();
        let mut fields = HeadFields::read(&config, headers);
        self.request_id = fields.request_id.map(Rc::from);
        self.is_page = fields.is_page;
        let two = config.routing.positions == Positions::Two;
        if two {
            let number = around.attempt();
            if number > 0 {
                return self.on_attempt_head(headers, &fields, number, end, around);
            }
        }
        let Some(rest) = under_prefix(fields.path, &config.path_prefix) else {
            if !two && let Some(step) = self.attempt_again(&fields, end, around) {
                return step;
            }
            if let Err(error) = self.check_outside(fields.path, headers) {
                return self.refuse(&error);
            }
            self.request = RequestPhase::Untouched;
            return pass(own_headers(&self.config, headers));
        };
        self.face = Face::of_path(rest, fields.has_version);
        match self.accept_head(headers, &mut fields, rest, end, around) {
            Ok(step) => step,
            // In a second attempt the virtual key is no longer there.
            Err(error) if !two && error.code == Code::InvalidApiKey => {
                self.attempt_again(&fields, end, around).unwrap_or_else(|| self.refuse(&error))
            }
            Err(error) => self.refuse(&error),
        }
    }

    /// Whether the bytes of the request's body are to be read and given to
    /// [`Self::on_request_body`].
    #[must_use]
    pub fn reads_request_body(&self) -> bool {
        matches!(self.request, RequestPhase::Reading(_) | RequestPhase::Streaming(_))
    }

    /// The next bytes of the body (never the same twice).
    pub fn on_request_body(&mut self, bytes: &[u8], next: Next) -> RequestStep {
        let limits = self.config.limits;
        let end = next == Next::End;
        let step = match &mut self.request {
            RequestPhase::Streaming(streaming) => {
                let read = streaming.body.push(bytes, end, false, &limits);
                streaming.is_held_upstream &= !end;
                if let Some(text) = &streaming.body.text {
                    self.tally.input = text.input();
                }
                let facts = streaming.body.reader.facts();
                let known = std::mem::replace(&mut streaming.route.facts, facts);
                if known != facts && self.config.routing.positions == Positions::Two {
                    self.notes.push((Note::Facts, write_facts(&facts)));
                }
                read.map(|_| RequestStep::Continue)
            }
            RequestPhase::Placing(placing) => {
                if end || matches!(**placing, Placing::Editing { .. }) {
                    self.on_attempt_body()
                } else {
                    Ok(RequestStep::Hold)
                }
            }
            RequestPhase::Placed(_) => Ok(RequestStep::Continue),
            RequestPhase::Reading(reading) => {
                let searching = reading.chosen.is_none();
                let read = reading.body.push(bytes, end, searching, &limits);
                read.and_then(|found| self.on_held_body(found, next))
            }
            RequestPhase::Start | RequestPhase::Untouched => Ok(RequestStep::Continue),
            // Nothing of it may go upstream, and held it would outgrow Envoy's buffer.
            RequestPhase::Replied => Ok(RequestStep::Drop),
        };
        let step = step.unwrap_or_else(|error| self.refuse(&error));
        self.within_budget(step)
    }

    /// `step`, as long as the worker has room for what is held after it.
    fn within_budget(&mut self, step: RequestStep) -> RequestStep {
        match self.settle() {
            Err(error) => {
                let refusal = self.refuse(&error);
                let _less = self.settle();
                refusal
            }
            Ok(()) => step,
        }
    }

    /// How many bytes of the body must be visible before [`Self::on_request_body`] is called, unless it
    /// ends before.
    #[must_use]
    pub fn request_bytes_needed(&self) -> usize {
        match &self.request {
            RequestPhase::Placing(placing) => placing.needs(),
            _ => 0,
        }
    }

    /// The host can't go on: the reply to send, which is known as our own when it comes back.
    pub fn give_up(&mut self) -> Reply {
        if !self.response_head_sent {
            self.tally.meter.void();
        }
        self.note_undecided();
        self.note_replied();
        let error = GatewayError::failed();
        if !matches!(
            std::mem::replace(&mut self.request, RequestPhase::Replied),
            RequestPhase::Replied
        ) {
            self.count_refused(error.code);
        }
        self.error_reply(&error)
    }

    /// Names in a request's trailers that no upstream may see.
    #[must_use]
    pub fn trailer_removals(&self, trailers: &Headers) -> Vec<HeaderEdit> {
        if self.request.is_ours() {
            return removals(&self.config, trailers, |value| self.is_key(value));
        }
        own_headers(&self.config, trailers)
    }

    /// Whether a header's name or value holds a virtual key, as one of its words. The client's own is not kept: its digest tells.
    fn is_key(&self, text: &[u8]) -> bool {
        let is_known = |word: &[u8]| self.config.virtual_keys.known(word).is_some();
        let is_part =
            |byte: &u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b'.');
        text.split(u8::is_ascii_whitespace).any(is_known)
            || text.split(|byte| !is_part(byte)).any(is_known)
    }

    /// The trailers: the end of a body that has some.
    pub fn on_request_trailers(&mut self) -> RequestStep {
        if let RequestPhase::Reading(reading) = &mut self.request {
            reading.body.trailers = true;
        }
        self.on_request_body(&[], Next::End)
    }

    /// The whole body, after [`RequestStep::ReadWhole`].
    pub fn on_request_whole(&mut self, body: &[u8]) -> RequestStep {
        let step = match &self.request {
            RequestPhase::Placing(_) => self.on_attempt_whole(body),
            _ => self.release(Some(body), true),
        };
        let step = step.unwrap_or_else(|error| self.refuse(&error));
        self.within_budget(step)
    }
}

/// Lets a request go that is none of ours, with these edits of its head.
fn pass(headers: Vec<HeaderEdit>) -> RequestStep {
    if headers.is_empty() {
        return RequestStep::Continue;
    }
    RequestStep::Release(Release { headers, body: Vec::new() })
}

pub(super) fn internal() -> GatewayError {
    GatewayError::new(Code::InternalError, "The gateway lost track of this request.")
}
