//! From the model that a body names to a decision, and in two positions the way from the listener's
//! instance to those of the attempts.

use std::hash::{DefaultHasher, Hash, Hasher};
use std::sync::atomic::{AtomicU32, Ordering};

use super::attempt::Attempt;
use super::body::RequestBody;
use super::head::ClientHead;
use super::internal;
use super::phase::{RequestPhase, Streaming};
use super::rewrite::{Rewrite, Rewritten};
use crate::error::{Code, GatewayError};
use crate::exchange::bridge::{counts_input_tokens, counts_tokens};
use crate::exchange::decision::Decision;
use crate::exchange::{Exchange, Note, Release, RequestStep};
use crate::policy::model::{self, Way};
use crate::policy::operation::Operation;
use crate::policy::{Authority, Config, Provider};
use crate::wire::headers::{HeaderEdit, HeaderText};
use crate::wire::json::scan::BodyFacts;
use crate::wire::model_span::ModelSpan;

/// Counts requests without `x-request-id`, so that they too are spread over weighted targets.
static UNNAMED: AtomicU32 = AtomicU32::new(0);

impl Exchange {
    /// In two positions: leaves the decision for every attempt and lets the request go, with its body as
    /// it is and without a credential.
    pub(super) fn hand_over(
        &mut self,
        head: ClientHead,
        body: RequestBody,
        mut decision: Decision,
    ) -> Result<RequestStep, GatewayError> {
        let counted = decision.declared.is_none() && decision.is_complete && !body.trailers;
        if counted {
            decision.declared = Some(body.counted);
        }
        let target = decision.plan.first.clone();
        let rewrite = Rewrite::new(&self.config, &decision, &target).ok_or_else(internal)?;
        let provider = rewrite.provider;
        let mut headers = head.common(&rewrite);
        headers.extend(counted.then(|| HeaderEdit::content_length(body.counted)));
        if self.config.routing.authority == Authority::Filter {
            headers.push(HeaderEdit::set(":authority", &provider.authority));
        }
        let cluster: HeaderText = match &decision.plan.way {
            Way::Own => (&provider.cluster).into(),
            Way::Fallback { cluster, retries } => {
                // Wins over the route's `num_retries`.
                headers
                    .extend(retries.map(|retries| {
                        HeaderEdit::set("x-envoy-max-retries", retries.to_string())
                    }));
                cluster.to_string().into()
            }
        };
        // Last, since each change makes Envoy choose the route anew.
        headers.push(HeaderEdit::add(&self.config.headers.cluster, cluster));
        let note = Attempt::note(&decision, &provider.name, &target.model);
        self.notes.push((Note::Request, note));
        self.notes.push((Note::Decision, decision.write(&self.config)));
        self.is_noted = true;
        let estimate = body.estimate(decision.operation, self.usage(), decision.is_complete);
        self.note_released(&decision, &target, estimate);
        let rest = std::mem::take(&mut decision.plan.rest);
        let (route, _) = Rewritten::default().sent(decision, target);
        self.request = RequestPhase::Streaming(Box::new(Streaming::new(body, route, rest)));
        Ok(RequestStep::Release(Release { headers, body: Vec::new() }))
    }
}

/// Resolves the model for the operation.
pub(super) fn decide(
    config: &Config,
    head: &mut ClientHead,
    found: ModelSpan,
    request_id: Option<&str>,
) -> Result<Decision, GatewayError> {
    // The same request always draws the same target.
    let draw = || {
        let mut hasher = DefaultHasher::new();
        match request_id {
            Some(id) => id.hash(&mut hasher),
            None => UNNAMED.fetch_add(1, Ordering::Relaxed).hash(&mut hasher),
        }
        hasher.finish()
    };
    let id = match head.operation.is_anthropic() {
        true => without_window(&found.id),
        false => &found.id,
    };
    let offers = |provider: &Provider| offered(provider, head.operation);
    let plan = if found.id.is_empty() {
        model::default(config, &head.key, offers)?
    } else {
        model::resolve(config, &head.key, id, offers, draw)?
    };
    Ok(Decision {
        key: head.key.clone(),
        operation: head.operation,
        plan,
        requested: found.id,
        cache: head.cache,
        sealer: head.sealer.clone(),
        path: std::mem::take(&mut head.path),
        has_version: head.has_version,
        is_page: head.is_page,
        declared: head.declared,
        span: found.span,
        length_span: found.length,
        facts: BodyFacts::default(),
        is_complete: false,
    })
}

/// A model id without the window of a million tokens that Claude Code asks for by its end.
fn without_window(id: &str) -> &str {
    const WINDOW: &str = "[1m]";
    let mut id = id;
    while let Some((rest, end)) =
        id.len().checked_sub(WINDOW.len()).and_then(|at| id.split_at_checked(at))
        && end.eq_ignore_ascii_case(WINDOW)
    {
        id = rest;
    }
    id
}

/// Whether the provider offers the operation.
///
/// # Errors
/// `unsupported_operation`; for counting tokens it is a 404, and `unknown_url` where no server of the kind counts.
pub fn offered(provider: &Provider, operation: Operation) -> Result<(), GatewayError> {
    if !provider.operations.contains(operation) {
        return Err(unsupported(operation, &provider.name));
    }
    if operation == Operation::ResponsesInputTokens && !counts_input_tokens(provider) {
        return Err(GatewayError::new(
            Code::UnknownUrl,
            format!("Provider {} can't count tokens: no server of its kind does.", provider.name),
        ));
    }
    if operation == Operation::CountTokens && !counts_tokens(provider) {
        return Err(unsupported(operation, &provider.name));
    }
    Ok(())
}

pub(super) fn unsupported(operation: Operation, provider: &str) -> GatewayError {
    let error = GatewayError::new(
        Code::UnsupportedOperation,
        format!("{} is not supported by provider {provider}", operation.as_str()),
    );
    // Clients know how to live without: they count for themselves.
    if operation == Operation::CountTokens { error.with_status(404) } else { error }
}
