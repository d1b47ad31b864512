//! Heads that no client can do anything with: an error takes the place of the whole answer.

use super::decision::{ReaderContext, invalid};
use super::limit::RateLimit;
use crate::error::{Code, ErrorAnswer, GatewayError};
use crate::policy::Authority;
use crate::policy::model::Way;
use crate::policy::operation::Operation;
use crate::telemetry::counters::AnswerFault;

/// Heads that no client can do anything with.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in super::super) enum NoAnswer {
    /// 3xx. Its `location` is an address that only the gateway may reach, and a client that followed it would
    /// carry its key there.
    Redirect(u16),
    /// 202, 204 and 205: the request was taken, and the answer is somewhere else, or nowhere.
    Unfinished(u16),
    /// One of Envoy's own limits answered.
    Limited(RateLimit),
    /// Envoy has no route for the request as the filter has made it: nobody was asked.
    Unrouted,
    /// 1xx: another protocol, which nobody asked for. Behind it a server could write anything.
    Upgrade(u16),
}

/// Envoy's reason where no route matches.
const NO_ROUTE: &str = "route_not_found";

impl NoAnswer {
    /// What a head of Envoy's own is, by Envoy's reason for it.
    pub(super) fn by_details(details: Option<&str>) -> Option<Self> {
        (details == Some(NO_ROUTE)).then_some(Self::Unrouted)
    }

    /// What a head is, where it is no answer to `operation`.
    pub(super) fn of(status: u16, operation: Operation) -> Option<Self> {
        match status {
            100..=199 => Some(Self::Upgrade(status)),
            300..=399 => Some(Self::Redirect(status)),
            202 | 204 | 205 if answers_json(operation) => Some(Self::Unfinished(status)),
            _ => None,
        }
    }

    /// How it is counted. What a limit refuses, Envoy counts.
    pub(super) fn fault(self) -> Option<AnswerFault> {
        match self {
            Self::Redirect(_) => Some(AnswerFault::Redirect),
            Self::Unfinished(_) | Self::Upgrade(_) => Some(AnswerFault::Unfinished),
            Self::Limited(_) => None,
            Self::Unrouted => Some(AnswerFault::Error),
        }
    }

    pub(super) fn to_answer(self, context: &ReaderContext<'_>) -> ErrorAnswer {
        let message = match self {
            Self::Unrouted => return unrouted(context).to_answer(),
            Self::Limited(limit) => return limit.error().to_answer(),
            Self::Redirect(status) => format!(
                "The upstream answered HTTP {status}, a redirect, which is not followed. The provider's \
                 base_url may be wrong."
            ),
            Self::Unfinished(status) => format!(
                "The upstream answered HTTP {status}: it took the request, but gives no answer to it."
            ),
            Self::Upgrade(status) => format!(
                "The upstream answered HTTP {status}, as to a request for another protocol: it gives no answer."
            ),
        };
        invalid(message).to_answer()
    }
}

/// What Envoy looked for and did not find.
fn unrouted(context: &ReaderContext<'_>) -> GatewayError {
    let config = context.config;
    let provider = context.route.and_then(|route| config.providers.get(route.provider));
    let Some((route, provider)) = context.route.zip(provider) else {
        return GatewayError::new(Code::Misrouted, "Envoy has no route for this request.");
    };
    let host = match config.routing.authority {
        Authority::Filter => &*provider.authority,
        Authority::Route | Authority::Upstream => "of the request",
    };
    let cluster = match &route.way {
        Way::Own => &*provider.cluster,
        Way::Fallback { cluster, .. } => cluster,
    };
    GatewayError::new(
        Code::Misrouted,
        format!(
            "Envoy has no route for provider {}: none was found for the host {host} and {}: {cluster}. Nobody was asked. \
             Tell the gateway's operator: a virtual host has to have this domain, and a route in it has to follow this \
             header.",
            provider.name, config.headers.cluster,
        ),
    )
}

/// Whether nothing but JSON is an answer to an operation.
fn answers_json(operation: Operation) -> bool {
    matches!(
        operation,
        Operation::ChatCompletions
            | Operation::Completions
            | Operation::Embeddings
            | Operation::Responses
            | Operation::Rerank
            | Operation::Moderations
            | Operation::Messages
            | Operation::CountTokens
            | Operation::ImageGeneration
            | Operation::ImageEdit
    )
}
