//! The request half: authenticate, find the model, decide, rewrite, and go on checking to the end.

mod attempt;
mod body;
mod convert;
mod decide;
mod head;
mod place;
mod rewrite;
mod undo;

use std::rc::Rc;
use std::sync::Arc;

use super::decision::{Decision, sealer, write_facts};
use super::face::Face;
use super::{
    Exchange, ModelsQuery, Next, Note, Release, Reply, RequestStep, SentRequest, Surroundings,
};
use crate::dialect::seal::Sealer;
use crate::error::{Code, GatewayError};
use crate::exchange::models::{ListStyle, Want};
use crate::policy::key::{VirtualKey, presented_key};
use crate::policy::model;
use crate::policy::operation::{self, Operation, RequestTarget};
use crate::policy::{Authority, Outside, Positions, ProviderId};
use crate::wire::headers::{HeaderEdit, Headers};
use crate::wire::model_span::ModelSpan;
use crate::wire::splice;
use attempt::Attempt;
use body::{BodyReader, RequestBody, reader};
pub use decide::offered;
use decide::{decide, unsupported};
use head::{ClientHead, HeadFields, is_beside_prefix, own_headers, removals, under_prefix};
use place::Placing;
use rewrite::Rewrite;

/// Where the request stands.
#[derive(Debug)]
pub(super) enum RequestPhase {
    /// Nothing has come yet.
    Start,
    /// Outside of `path_prefix`: not ours.
    Untouched,
    /// The head is held until the body has named the model.
    Reading(Box<Reading>),
    /// Head and model are upstream; the rest is checked while it passes.
    Streaming(Box<Streaming>),
    /// An attempt whose body is still to be edited.
    Placing(Box<Placing>),
    /// An attempt on its way, with nothing left to do.
    Placed(Box<SentRequest>),
    /// We answer, now or once the model lists are there.
    Replied,
}

impl RequestPhase {
    /// What was decided, once the request is on its way.
    pub(super) fn route(&self) -> Option<&SentRequest> {
        match self {
            Self::Streaming(streaming) => Some(&streaming.route),
            Self::Placed(route) => Some(route),
            Self::Placing(placing) => match &**placing {
                Placing::Editing { route, .. } => Some(route),
                Placing::Converting { .. } => None,
            },
            _ => None,
        }
    }

    fn route_mut(&mut self) -> Option<&mut SentRequest> {
        match self {
            Self::Streaming(streaming) => Some(&mut streaming.route),
            Self::Placed(route) => Some(route),
            Self::Placing(placing) => match &mut **placing {
                Placing::Editing { route, .. } => Some(route),
                Placing::Converting { .. } => None,
            },
            _ => None,
        }
    }

    /// In two positions: `provider` was the last that was asked.
    pub(super) fn was_sent_to(&mut self, provider: ProviderId) {
        if let Self::Streaming(streaming) = self
            && let Some(target) = streaming.rest.iter().find(|target| target.provider == provider)
        {
            streaming.route.provider = provider;
            streaming.route.model = target.model.clone();
        }
    }

    /// Whether an answer may come that is not the gateway's own.
    pub(super) fn is_ours(&self) -> bool {
        !matches!(self, Self::Start | Self::Untouched | Self::Replied)
    }

    /// The provider, once it is chosen.
    pub(super) fn provider(&self) -> Option<ProviderId> {
        match self {
            Self::Streaming(_) | Self::Placing(_) | Self::Placed(_) => {
                self.route().map(|route| route.provider)
            }
            Self::Reading(reading) => {
                reading.chosen.as_ref().map(|decision| decision.plan.first.provider)
            }
            Self::Start | Self::Untouched | Self::Replied => None,
        }
    }

    /// Bytes that are held of the request: its body, by Envoy, or what its answer needs of it.
    pub(super) fn held(&self) -> usize {
        match self {
            Self::Reading(reading) => reading.body.held(),
            Self::Streaming(streaming) if streaming.is_held_upstream => streaming.body.held(),
            Self::Streaming(streaming) => {
                streaming.route.bridge.as_ref().map_or(0, super::Bridge::held)
            }
            // What is held of the body itself, the listener's instance counts.
            Self::Placing(_) | Self::Placed(_) => {
                self.route().and_then(|route| route.bridge.as_ref()).map_or(0, super::Bridge::held)
            }
            Self::Start | Self::Untouched | Self::Replied => 0,
        }
    }

    /// Whether the model of the request is still being looked for.
    pub(super) fn is_searching(&self) -> bool {
        matches!(self, Self::Reading(reading) if reading.chosen.is_none())
    }
}

/// A request whose head is held.
#[derive(Debug)]
pub(super) struct Reading {
    head: RequestHead,
    body: RequestBody,
    /// Set as soon as the model is known; what is left is to wait for the rest of the body.
    chosen: Option<Decision>,
}

/// A request on its way upstream.
#[derive(Debug)]
pub(super) struct Streaming {
    body: RequestBody,
    route: SentRequest,
    /// Where else it may go.
    rest: Vec<model::Target>,
    /// In two positions: an attempt needs all of the body at once, so that Envoy holds it until it ends.
    is_held_upstream: bool,
}

impl Streaming {
    fn new(body: RequestBody, route: SentRequest, rest: Vec<model::Target>) -> Self {
        Self { body, route, rest, is_held_upstream: false }
    }
}

/// What is kept of the head while the body is read.
#[derive(Debug)]
enum RequestHead {
    /// The request as its client sent it.
    Client(ClientHead),
    /// A request that this filter has rewritten before (see [`Attempt`]).
    Rewritten(Attempt),
}

impl RequestHead {
    fn operation(&self) -> Operation {
        match self {
            Self::Client(head) => head.operation,
            Self::Rewritten(attempt) => attempt.operation,
        }
    }
}

impl Exchange {
    /// The request's head. `end`: it has no body.
    pub fn on_request_head(
        &mut self,
        headers: &Headers,
        end: bool,
        around: &dyn Surroundings,
    ) -> RequestStep {
        let config = self.config.clone();
        let fields = HeadFields::read(&config, headers);
        self.request_id = fields.request_id.map(Rc::from);
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
            if let Err(error) = self.check_outside(fields.path) {
                return self.refuse(&error);
            }
            self.request = RequestPhase::Untouched;
            return pass(own_headers(&self.config, headers));
        };
        self.face = Face::of_path(rest, fields.has_version);
        match self.accept_head(headers, &fields, rest, end, around) {
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
        self.note_undecided();
        self.note_replied();
        let error = GatewayError::new(Code::InternalError, "The gateway failed. See its log.");
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

    /// Whether a header's value is a virtual key. The client's own is not kept: its digest tells.
    fn is_key(&self, value: &[u8]) -> bool {
        let last = value.trim_ascii_end().rsplit(|byte| *byte == b' ').next();
        last.is_some_and(|word| self.config.virtual_keys.known(word).is_some())
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

    /// Whether a request outside of the prefix may pass.
    fn check_outside(&self, path: &[u8]) -> Result<(), GatewayError> {
        let prefix = &*self.config.path_prefix;
        if self.config.outside == Outside::Refuse {
            let message = format!("This gateway serves nothing outside of {prefix}.");
            return Err(GatewayError::new(Code::UnknownUrl, message));
        }
        if is_beside_prefix(path, prefix) {
            let message = format!(
                "Unknown request URL. A path that leads below {prefix} must be written plainly: without \
                 escapes, doubled slashes, capitals or dots in {prefix}/."
            );
            return Err(GatewayError::new(Code::UnknownUrl, message));
        }
        Ok(())
    }

    fn accept_head(
        &mut self,
        headers: &Headers,
        fields: &HeadFields<'_>,
        rest: &[u8],
        end: bool,
        around: &dyn Surroundings,
    ) -> Result<RequestStep, GatewayError> {
        let presented = presented_key(headers.iter())?;
        let keys = &self.config.virtual_keys;
        let key = keys.authenticate(presented, || around.now()).inspect_err(|_| {
            // Revoked and expired ones have a name, too.
            self.key = keys.known(presented);
        })?;
        self.key = Some(key.clone());
        if self.routes.has_wrong() {
            self.now = around.now();
        }
        let rest = std::str::from_utf8(rest)
            .map_err(|_| GatewayError::new(Code::UnknownUrl, "The path is not valid UTF-8."))?;
        let target = operation::classify(fields.method, rest)?;
        self.read_clock(target.operation, around);
        let mut head = ClientHead::read(&self.config, key, &target, headers, presented, fields)?;
        let id = &head.key.id;
        head.sealer = sealer(&self.config, target.operation, id, || Sealer::new(presented, id));
        let Some(reader) = reader(target.operation, fields.content_type)? else {
            return self.without_body(head.key, &target);
        };
        let declared = head.declared;
        Ok(self.read_body(RequestHead::Client(head), reader, declared, end))
    }

    /// Looks at the clock where an answer may have to say when it was made.
    fn read_clock(&mut self, operation: Operation, around: &dyn Surroundings) {
        if operation.offered_as() == Operation::Responses {
            self.now = around.now();
        }
    }

    /// Takes up a request that an earlier instance has rewritten. `None` when it has left no note of a
    /// decision; one that can't be taken up is refused: as it is, the request may carry the credential of
    /// one provider to another.
    fn attempt_again(
        &mut self,
        fields: &HeadFields<'_>,
        end: bool,
        around: &dyn Surroundings,
    ) -> Option<RequestStep> {
        let note = around.recall(Note::Request)?;
        let attempt = Attempt::recall(&self.config, fields, note);
        let reader = |attempt: &Attempt| reader(attempt.operation, fields.content_type).ok()?;
        let Some((attempt, reader)) =
            attempt.and_then(|attempt| reader(&attempt).map(|reader| (attempt, reader)))
        else {
            return Some(self.refuse(&internal()));
        };
        self.key = Some(attempt.key.clone());
        self.is_noted = true;
        self.face = Face::of_operation(attempt.operation);
        self.read_clock(attempt.operation, around);
        // The declared length may be that of the first attempt's body: the end will tell.
        Some(self.read_body(RequestHead::Rewritten(attempt), reader, None, end))
    }

    fn read_body(
        &mut self,
        head: RequestHead,
        reader: BodyReader,
        declared: Option<u64>,
        end: bool,
    ) -> RequestStep {
        let has_default_model = head.operation().has_default_model();
        let body = RequestBody { reader, declared, counted: 0, trailers: false, has_default_model };
        self.request = RequestPhase::Reading(Box::new(Reading { head, body, chosen: None }));
        // A request without a body is judged like one with an empty body.
        if end { self.on_request_body(&[], Next::End) } else { RequestStep::Hold }
    }

    /// Operations that name no model in a body: model lists are ours to answer, the rest has nothing
    /// that would name its provider.
    fn without_body(
        &mut self,
        key: Arc<VirtualKey>,
        target: &RequestTarget<'_>,
    ) -> Result<RequestStep, GatewayError> {
        let lists = |id| {
            self.config.providers.get(id).is_some_and(|provider| {
                provider.models.is_some() || provider.operations.contains(Operation::Models)
            })
        };
        if target.operation == Operation::Models && key.bound.iter().any(lists) {
            let style = ListStyle::read(self.face, target.query)?;
            self.request = RequestPhase::Replied;
            self.note_undecided();
            return Ok(RequestStep::ListModels(ModelsQuery {
                key,
                want: Want::from_path(target.path),
                style,
                request_id: self.request_id.clone(),
            }));
        }
        let name = key
            .bound
            .primary()
            .and_then(|id| self.config.providers.get(id))
            .map_or("(none)", |provider| &*provider.name);
        Err(unsupported(target.operation, name))
    }

    /// The body is held, and `found` is its model id if this call completed it.
    fn on_held_body(
        &mut self,
        found: Option<ModelSpan>,
        next: Next,
    ) -> Result<RequestStep, GatewayError> {
        let RequestPhase::Reading(reading) = &mut self.request else {
            return Ok(RequestStep::Continue);
        };
        // A model that stays unnamed is the provider's default: it stands nowhere, and is not edited.
        let end = next == Next::End;
        let unnamed = || ModelSpan { span: 0..0, id: String::new() };
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
            self.routes.check(id, provider, self.now)?;
            reading.chosen = Some(decision);
        }
        let body = &reading.body;
        let Some(decision) = &reading.chosen else { return Ok(RequestStep::Hold) };
        let end = next == Next::End;
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
        if body.is_complete(end) {
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
        if whole || length_is_near { Ok(RequestStep::Hold) } else { self.release(None, false) }
    }

    /// The model is known and allowed: settles head and body. `whole` is the complete body where it is
    /// edited beyond the model.
    fn release(
        &mut self,
        whole: Option<&[u8]>,
        complete: bool,
    ) -> Result<RequestStep, GatewayError> {
        let RequestPhase::Reading(reading) =
            std::mem::replace(&mut self.request, RequestPhase::Replied)
        else {
            return Err(internal());
        };
        let Reading { head, body, chosen } = *reading;
        let mut decision = chosen.ok_or_else(internal)?;
        decision.facts = body.reader.facts();
        decision.is_complete = complete;
        let head = match (head, self.config.routing.positions) {
            (RequestHead::Client(head), Positions::Two) => {
                return self.hand_over(head, body, decision);
            }
            (head, _) => head,
        };
        let target = decision.plan.first.clone();
        let rewrite = Rewrite::new(&self.config, &decision, &target).ok_or_else(internal)?;
        let rewritten = rewrite.body(whole, self.request_id.as_deref())?;
        let mut headers = Vec::new();
        // A head that was rewritten before still is as the first attempt set it, for the same body.
        if let RequestHead::Client(head) = head {
            let known = decision.declared.or((complete && !body.trailers).then_some(body.counted));
            let length =
                known.map(|length| length.saturating_add_signed(splice::growth(&rewritten.edits)));
            headers = head.common(&rewrite);
            let told = length.filter(|_| length != decision.declared);
            let authority = self.config.routing.authority == Authority::Filter;
            rewrite.head(&mut headers, told, authority);
            // Last, since each change makes Envoy choose the route anew.
            headers.push(HeaderEdit::set(&self.config.headers.cluster, &rewrite.provider.cluster));
            let note = Attempt::note(&decision, &rewrite.provider.name, &target.model);
            self.notes.push((Note::Request, note));
            self.is_noted = true;
        }
        let route = SentRequest::new(decision, target, rewritten.bridge, rewritten.dropped);
        self.request = RequestPhase::Streaming(Box::new(Streaming::new(body, route, Vec::new())));
        Ok(RequestStep::Release(Release { headers, body: rewritten.edits }))
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
