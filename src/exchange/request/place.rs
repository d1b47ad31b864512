//! The second position: the request of one attempt, rewritten for the provider of the host that Envoy has
//! chosen. Made from the decision of the listener's instance, whatever the head looks like, so that each
//! attempt starts from the same; and nothing is sent where there is no decision for this host.

use super::head::{HeadFields, own_headers, removals, under_prefix};
use super::phase::{Placing, RequestPhase};
use super::rewrite::Rewrite;
use super::undo::Undo;
use super::{internal, pass};
use crate::error::{Code, GatewayError};
use crate::exchange::decision::{Decision, read_facts};
use crate::exchange::face::Face;
use crate::exchange::trail::{AttemptEnd, Trail};
use crate::exchange::{Exchange, Note, Release, RequestStep, Surroundings};
use crate::policy::Authority;
use crate::policy::model::Target;
use crate::telemetry::counters::{self, AnswerFault};
use crate::wire::headers::{HeaderEdit, Headers};
use crate::wire::splice;

impl Exchange {
    /// The head of an attempt's request. `number`: which attempt it is, from 1.
    pub(super) fn on_attempt_head(
        &mut self,
        headers: &Headers,
        fields: &HeadFields<'_>,
        number: u64,
        end: bool,
        around: &dyn Surroundings,
    ) -> RequestStep {
        let config = self.config.clone();
        self.trail = Some(Trail::default());
        let rest = under_prefix(fields.path, &config.path_prefix);
        self.face = Face::of_path(rest.unwrap_or_default(), fields.has_version);
        let Some(note) = around.recall(Note::Decision) else {
            if rest.is_some() {
                let why = "No instance of the filter in the listener has decided about the request: \
                           nothing was sent.";
                return self.refuse(&GatewayError::new(Code::InternalError, why));
            }
            self.request = RequestPhase::Untouched;
            self.trail = None;
            return pass(own_headers(&config, headers));
        };
        let Some(decision) = Decision::read(&config, &note) else {
            return self.refuse(&reconfigured());
        };
        self.face = Face::of_operation(decision.operation);
        self.key = Some(decision.key.clone());
        // An attempt before this one may have taken `origin` away.
        self.is_page = decision.is_page;
        self.is_noted = true;
        self.read_clock(decision.operation, around);
        let mut trail = match number {
            1 => Trail::default(),
            _ => Trail::read(&around.recall(Note::Attempts).unwrap_or_default()),
        };
        let target = decision.target_of_host(&config, around).cloned();
        let provider = target.as_ref().and_then(|target| config.providers.get(target.provider));
        // The first attempt of one that has a single target leaves no note before there is an answer.
        if number == 2 && trail.len() == 0 && decision.plan.rest.is_empty() {
            trail.begin(provider.map_or("-", |provider| &*provider.name));
        }
        if let Some(last) = trail.last() {
            let name = Some(&*last.provider).filter(|name| *name != "-");
            self.counted.push(counters::answers(AnswerFault::Retried, name));
        }
        trail.begin(provider.map_or("-", |provider| &*provider.name));
        self.trail = Some(trail);
        let (Some(target), Some(provider)) = (target, provider) else {
            let why = "Envoy chose a host that belongs to none of the providers that this request may go to (they may have \
                       no healthy host), or may belong to several: nothing was sent.";
            let why = match around.host_provider_kind() {
                Some(kind) => {
                    format!(
                        "{why} The provider in the host's metadata is {kind}, and must be a string."
                    )
                }
                None => why.to_owned(),
            };
            return self.refuse(&GatewayError::new(Code::InternalError, why));
        };
        if end {
            return self.refuse(&internal());
        }
        if number > 1 || !decision.plan.rest.is_empty() {
            self.note_trail();
        }
        if number > 1 || target != decision.plan.first {
            let note = super::attempt::Attempt::note(&decision, &provider.name, &target.model);
            self.notes.push((Note::Request, note));
            self.note_model(&decision.requested, &target);
        }
        self.tally.attempt();
        self.awaits_facts = !decision.is_complete;
        let told = fields.declared();
        // What repeats the virtual key is gone: the listener's instance had the key to compare with.
        let mut edits = removals(&config, headers, |_| false);
        if number > 1 {
            let undo = Undo::read(&around.recall(Note::Undo).unwrap_or_default());
            edits.extend(undo.edits());
            self.remember(undo, headers, &decision, &target);
        } else {
            self.remember(Undo::default(), headers, &decision, &target);
        }
        match self.place(decision, target, edits, told, None) {
            Ok(step) => step,
            Err(error) => self.refuse(&error),
        }
    }

    /// Notes what this attempt is about to change of the client's own head, beside what others before did.
    fn remember(
        &mut self,
        mut undo: Undo,
        headers: &Headers,
        decision: &Decision,
        target: &Target,
    ) {
        let rewrite = Rewrite::new(&self.config, decision, target);
        let changes = rewrite.map(|rewrite| rewrite.changes()).unwrap_or_default();
        undo.remember(&self.config, headers, &changes);
        self.notes.extend(undo.write().map(|note| (Note::Undo, note)));
    }

    /// Rewrites the attempt's request, or holds it until `whole` is there where that is needed. `told`: the
    /// `content-length` that the head has now.
    fn place(
        &mut self,
        decision: Decision,
        target: Target,
        mut headers: Vec<HeaderEdit>,
        told: Option<u64>,
        whole: Option<&[u8]>,
    ) -> Result<RequestStep, GatewayError> {
        let rewrite = Rewrite::new(&self.config, &decision, &target).ok_or_else(internal)?;
        if whole.is_none() && rewrite.whole().is_some() {
            let placing = Placing::Converting { decision, target, headers, told };
            self.request = RequestPhase::Placing(Box::new(placing));
            return Ok(RequestStep::Hold);
        }
        let rewritten = rewrite.body(whole, self.request_id.as_deref())?;
        let growth = splice::growth(&rewritten.edits);
        let length = decision.declared.map(|length| length.saturating_add_signed(growth));
        let authority = self.config.routing.authority != Authority::Route;
        rewrite.head(&mut headers, length.filter(|_| length != told), authority);
        // Told by a filter between the positions that has held the body, of what it held: the client told none.
        if length.is_none() && told.is_some() && growth != 0 {
            headers.push(HeaderEdit::remove("content-length"));
        }
        let (route, edits) = rewritten.sent(decision, target);
        // What is converted is all there; what is edited is still to come.
        if whole.is_some() || edits.is_empty() {
            self.request = RequestPhase::Placed(Box::new(route));
            return Ok(RequestStep::Release(Release { headers, body: edits }));
        }
        self.request = RequestPhase::Placing(Box::new(Placing::Editing { route, edits }));
        Ok(RequestStep::Release(Release { headers, body: Vec::new() }))
    }

    /// Enough of the body is visible (see [`Placing::needs`]), or its end.
    pub(super) fn on_attempt_body(&mut self) -> Result<RequestStep, GatewayError> {
        match std::mem::replace(&mut self.request, RequestPhase::Replied) {
            RequestPhase::Placing(placing) => match *placing {
                Placing::Editing { route, edits } => {
                    self.request = RequestPhase::Placed(Box::new(route));
                    Ok(RequestStep::Release(Release { headers: Vec::new(), body: edits }))
                }
                converting @ Placing::Converting { .. } => {
                    self.request = RequestPhase::Placing(Box::new(converting));
                    Ok(RequestStep::ReadWhole)
                }
            },
            _ => Err(internal()),
        }
    }

    /// All of a body that is converted.
    pub(super) fn on_attempt_whole(&mut self, whole: &[u8]) -> Result<RequestStep, GatewayError> {
        match std::mem::replace(&mut self.request, RequestPhase::Replied) {
            RequestPhase::Placing(placing) => match *placing {
                Placing::Converting { decision, target, headers, told } => {
                    self.place(decision, target, headers, told, Some(whole))
                }
                Placing::Editing { .. } => Err(internal()),
            },
            _ => Err(internal()),
        }
    }

    /// What the body said behind the place where the listener's instance let go of it.
    pub(in crate::exchange) fn recall_facts(&mut self, around: &dyn Surroundings) {
        if !std::mem::take(&mut self.awaits_facts) {
            return;
        }
        let note = around.recall(Note::Facts);
        let facts = note.and_then(|note| read_facts(std::str::from_utf8(&note).ok()?));
        if let (Some(facts), Some(route)) = (facts, self.request.route_mut()) {
            route.facts = facts;
        }
    }

    /// Lets the next attempt and the listener's instance know how far this one has come.
    pub(in crate::exchange) fn note_trail(&mut self) {
        if let Some(trail) = &self.trail {
            self.notes.push((Note::Attempts, trail.to_string()));
        }
    }

    /// The same of a reply in the place of the upstream's answer.
    pub(in crate::exchange) fn note_replied(&mut self) {
        if let Some(trail) = &mut self.trail {
            if trail.len() == 0 {
                trail.begin("-");
            }
            trail.end(AttemptEnd::Replied);
            self.note_trail();
        }
    }
}

/// The decision names what this configuration does not have: it was taken under another one.
fn reconfigured() -> GatewayError {
    let why = "The gateway's configuration has changed since this request came: nothing was sent. Send it again.";
    GatewayError::new(Code::InternalError, why)
}
