//! A request's head: who sends it, what it asks for, and who is to read its body.

use std::sync::Arc;

use super::attempt::Attempt;
use super::body::{BodyReader, RequestBody, reader};
use super::decide::unsupported;
use super::head::{ClientHead, HeadFields, is_beside_prefix};
use super::internal;
use super::phase::{Reading, RequestHead, RequestPhase};
use crate::dialect::seal::Sealer;
use crate::error::{Code, GatewayError};
use crate::exchange::decision::sealer;
use crate::exchange::face::Face;
use crate::exchange::models::{ListStyle, Want};
use crate::exchange::{Exchange, ModelsQuery, Next, Note, RequestStep, Surroundings};
use crate::policy::key::VirtualKey;
use crate::policy::model::Allowlist;
use crate::policy::operation::{self, Operation, RequestTarget};
use crate::policy::{Outside, Provider};
use crate::telemetry::counters::{self, AnswerFault};
use crate::telemetry::usage;
use crate::wire::headers::Headers;

impl Exchange {
    /// Whether a request outside of the prefix may pass.
    pub(super) fn check_outside(&self, path: &[u8], headers: &Headers) -> Result<(), GatewayError> {
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
        // Envoy follows a redirect by itself where a route tells it to: the head is then the one that was rewritten.
        let is_marked = |(_, provider): (_, &Provider)| provider.has_marked(headers);
        if headers.get("x-envoy-original-url").is_some()
            && self.config.providers.iter().any(is_marked)
        {
            let message = format!(
                "A provider's redirect leads outside of {prefix}, where its credential and headers would go with it: nothing \
                 was sent."
            );
            return Err(GatewayError::new(Code::InternalError, message));
        }
        Ok(())
    }

    pub(super) fn accept_head(
        &mut self,
        headers: &Headers,
        fields: &mut HeadFields<'_>,
        rest: &[u8],
        end: bool,
        around: &dyn Surroundings,
    ) -> Result<RequestStep, GatewayError> {
        let presented = fields.keys.one()?;
        let keys = &self.config.virtual_keys;
        let authenticated = keys.authenticate(presented, || around.now());
        // Revoked and expired ones have a name, too.
        self.key = authenticated.as_ref().ok().cloned().or_else(|| keys.known(presented));
        self.note_key();
        let key = authenticated?;
        if self.memory.routes.has_wrong() {
            self.now = around.now();
        }
        let rest = std::str::from_utf8(rest)
            .map_err(|_| GatewayError::new(Code::UnknownUrl, "The path is not valid UTF-8."))?;
        let target = operation::classify(fields.method, rest)?;
        self.tally.operation = Some(target.operation);
        self.read_clock(target.operation, around);
        self.read_place(around);
        let mut head = ClientHead::read(&self.config, key, &target, headers, presented, fields)?;
        let id = &head.key.id;
        let own = || Some(Sealer::new(presented, id));
        head.sealer = sealer(&self.config, target.operation, id, own);
        let Some(reader) = reader(target.operation, fields.content_type)? else {
            return self.without_body(head.key, &target);
        };
        let declared = head.declared;
        Ok(self.read_body(RequestHead::Client(head), reader, declared, end))
    }

    /// Looks at the clock where an answer may have to say when it was made.
    pub(super) fn read_clock(&mut self, operation: Operation, around: &dyn Surroundings) {
        if operation.makes_images() || operation.offered_as() == Operation::Responses {
            self.now = around.now();
        }
    }

    /// Takes up a request that an earlier instance has rewritten. `None` when it has left no note of a
    /// decision; one that can't be taken up is refused: as it is, the request may carry the credential of
    /// one provider to another.
    pub(super) fn attempt_again(
        &mut self,
        fields: &HeadFields<'_>,
        end: bool,
        around: &dyn Surroundings,
    ) -> Option<RequestStep> {
        let note = around.recall(Note::Request)?;
        // Taken by an instance in two positions, so this one's configuration is another: the head is the client's still, without a
        // credential, and the path not the provider's.
        if around.recall(Note::Decision).is_some() {
            return Some(self.refuse(&internal()));
        }
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
        self.read_place(around);
        if around.attempt() > 1 {
            let provider = self.config.providers.get(attempt.provider());
            let name = provider.map(|provider| &*provider.name);
            self.counted.push(counters::answers(AnswerFault::Retried, name));
        }
        // The declared length may be that of the first attempt's body: the end will tell.
        Some(self.read_body(RequestHead::Rewritten(attempt), reader, None, end))
    }

    pub(super) fn read_body(
        &mut self,
        head: RequestHead,
        reader: BodyReader,
        declared: Option<u64>,
        end: bool,
    ) -> RequestStep {
        let operation = head.operation();
        self.tally.operation = Some(operation);
        let key = self.key.as_deref();
        let is_restricted = key.is_some_and(|key| !matches!(key.allowed, Allowlist::All));
        let body = RequestBody {
            reader,
            declared,
            counted: 0,
            trailers: false,
            has_default_model: operation.has_default_model(),
            text: (self.is_metered() && usage::has_text(operation))
                .then(|| Box::new(usage::RequestText::new(operation))),
            is_restricted,
        };
        self.request = RequestPhase::Reading(Box::new(Reading { head, body, chosen: None }));
        // A request without a body is judged like one with an empty body.
        if end { self.on_request_body(&[], Next::End) } else { RequestStep::Hold }
    }

    /// Operations that name no model in a body: model lists are ours to answer, the rest has nothing
    /// that would name its provider.
    pub(super) fn without_body(
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
}
