//! A held body, until its model is known and allowed: then head and body are settled and go on.

use super::attempt::Attempt;
use super::decide::decide;
use super::internal;
use super::phase::{Reading, RequestHead, RequestPhase, Streaming};
use super::rewrite::Rewrite;
use crate::error::{Code, GatewayError};
use crate::exchange::{Exchange, Next, Note, Release, RequestStep};
use crate::policy::model::Target;
use crate::policy::{Authority, Positions, UsageMode};
use crate::wire::headers::HeaderEdit;
use crate::wire::model_span::ModelSpan;
use crate::wire::splice;

impl Exchange {
    /// The body is held, and `found` is its model id if this call completed it.
    pub(super) fn on_held_body(
        &mut self,
        found: Option<ModelSpan>,
        next: Next,
    ) -> Result<RequestStep, GatewayError> {
        let RequestPhase::Reading(reading) = &mut self.request else {
            return Ok(RequestStep::Continue);
        };
        // A model that stays unnamed is the provider's default: it stands nowhere, and is not edited.
        let end = next == Next::End;
        let unnamed = || ModelSpan { span: 0..0, length: None, id: String::new() };
        let is_default = reading.chosen.is_none()
            && reading.body.is_complete(end)
            && reading.body.means_default();
        let found = found.or_else(|| is_default.then(unnamed));
        if let Some(found) = found {
            let decision = match &mut reading.head {
                RequestHead::Client(head) => {
                    decide(&self.config, head, found, self.request_id.as_deref())?
                }
                RequestHead::Rewritten(attempt) => attempt.decision(found),
            };
            let id = decision.plan.first.provider;
            let provider = self.config.providers.get(id).ok_or_else(internal)?;
            self.memory.routes.check(id, provider, self.now)?;
            let is_curated = |target: &Target| {
                let provider = self.config.providers.get(target.provider);
                provider.is_some_and(|provider| provider.models.is_some())
            };
            if decision.targets().any(is_curated) {
                reading.body.is_restricted = true;
                reading.body.check_further_model()?;
            }
            reading.chosen = Some(decision);
        }
        let body = &reading.body;
        let Some(decision) = &mut reading.chosen else { return Ok(RequestStep::Hold) };
        decision.facts = body.reader.facts();
        decision.is_complete = body.is_complete(end);
        let decision = &*decision;
        let mut whole = None;
        for target in decision.targets() {
            let rewrite = Rewrite::new(&self.config, decision, target).ok_or_else(internal)?;
            whole = whole.or_else(|| rewrite.whole());
        }
        let limit = self.config.limits.max_buffered_bytes;
        if let Some(why) = &whole
            && body.counted > limit
        {
            return Err(GatewayError::new(
                Code::RequestTooLarge,
                format!("The body is larger than {limit} bytes, and {why} has to hold all of it."),
            ));
        }
        let whole = whole.is_some();
        if decision.is_complete {
            let two = self.config.routing.positions == Positions::Two;
            if whole && !two {
                return Ok(RequestStep::ReadWhole);
            }
            let step = self.release(None, true);
            if let RequestPhase::Streaming(streaming) = &mut self.request {
                streaming.is_held_upstream = whole && !end;
            }
            return step;
        }
        // What has come is read to its end before any of it goes on: it may be wrong, or the whole body.
        if next == Next::Visible {
            return Ok(RequestStep::Hold);
        }
        // The end of a complete body is about to come: with it the length is known, which some servers
        // insist on (mlx-lm answers 411 without).
        let length_is_near =
            body.declared.is_none() && body.reader.is_complete() && body.counted <= limit;
        // Nobody escapes a limit by what it says behind a large text.
        let is_estimated = decision.key.usage.mode == UsageMode::Require
            && body.text.is_some()
            && body.counted.max(body.declared.unwrap_or(0)) <= limit;
        if whole || length_is_near || is_estimated {
            Ok(RequestStep::Hold)
        } else {
            self.release(None, false)
        }
    }

    #[inline(never)]
    fn release_to_attempts(&mut self, reading: Reading) -> Result<RequestStep, GatewayError> {
        let Reading { head: RequestHead::Client(head), body, chosen: Some(decision) } = reading
        else {
            return Err(internal());
        };
        self.hand_over(head, body, decision)
    }

    /// The model is known and allowed: settles head and body. `whole` is the complete body where it is
    /// edited beyond the model.
    pub(super) fn release(
        &mut self,
        whole: Option<&[u8]>,
        complete: bool,
    ) -> Result<RequestStep, GatewayError> {
        let RequestPhase::Reading(mut reading) =
            std::mem::replace(&mut self.request, RequestPhase::Replied)
        else {
            return Err(internal());
        };
        // Its parts are large, and stay where they are until each goes to its new place.
        let decision = reading.chosen.as_mut().ok_or_else(internal)?;
        decision.facts = reading.body.reader.facts();
        decision.is_complete = complete;
        if let RequestHead::Client(_) = reading.head
            && self.config.routing.positions == Positions::Two
        {
            return self.release_to_attempts(*reading);
        }
        let (decision, body) = (&*decision, &reading.body);
        let target = decision.plan.first.clone();
        let rewrite = Rewrite::new(&self.config, decision, &target).ok_or_else(internal)?;
        let rewritten = rewrite.body(whole, self.request_id.as_deref())?;
        let mut headers = Vec::new();
        // A head that was rewritten before still is as the first attempt set it, for the same body.
        if let RequestHead::Client(head) = reading.head {
            let known = decision.declared.or((complete && !body.trailers).then_some(body.counted));
            let length =
                known.map(|length| length.saturating_add_signed(splice::growth(&rewritten.edits)));
            headers = head.common(&rewrite);
            let told = length.filter(|_| length != decision.declared);
            let authority = self.config.routing.authority == Authority::Filter;
            rewrite.head(&mut headers, told, authority);
            // Last, since each change makes Envoy choose the route anew.
            headers.push(HeaderEdit::add(&self.config.headers.cluster, &rewrite.provider.cluster));
            let note = Attempt::note(decision, &rewrite.provider.name, &target.model);
            self.notes.push((Note::Request, note));
            self.is_noted = true;
        }
        let estimate = body.estimate(decision.operation, self.usage(), decision.is_complete);
        self.note_released(decision, &target, estimate);
        let decision = reading.chosen.ok_or_else(internal)?;
        let (route, edits) = rewritten.sent(decision, target);
        let streaming = Streaming::new(reading.body, route, Vec::new());
        self.request = RequestPhase::Streaming(Box::new(streaming));
        Ok(RequestStep::Release(Release { headers, body: edits }))
    }
}
