//! Where a request stands, from its first byte to the last that is checked.

use super::attempt::Attempt;
use super::body::RequestBody;
use super::head::ClientHead;
use crate::exchange::decision::Decision;
use crate::exchange::{Bridge, SentRequest};
use crate::policy::model::Target;
use crate::policy::operation::Operation;
use crate::policy::{ProviderId, model};
use crate::wire::headers::HeaderEdit;
use crate::wire::splice::Edit;

/// Where the request stands.
#[derive(Debug)]
pub(in crate::exchange) enum RequestPhase {
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
    pub(in crate::exchange) fn route(&self) -> Option<&SentRequest> {
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

    pub(super) fn route_mut(&mut self) -> Option<&mut SentRequest> {
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
    pub(in crate::exchange) fn was_sent_to(&mut self, provider: ProviderId) {
        if let Self::Streaming(streaming) = self
            && let Some(target) = streaming.rest.iter().find(|target| target.provider == provider)
        {
            streaming.route.provider = provider;
            streaming.route.model = target.model.clone();
        }
    }

    /// Whether an answer may come that is not the gateway's own.
    pub(in crate::exchange) fn is_ours(&self) -> bool {
        !matches!(self, Self::Start | Self::Untouched | Self::Replied)
    }

    /// The provider, once it is chosen.
    pub(in crate::exchange) fn provider(&self) -> Option<ProviderId> {
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
    pub(in crate::exchange) fn held(&self) -> usize {
        match self {
            Self::Reading(reading) => reading.body.held(),
            Self::Streaming(streaming) if streaming.is_held_upstream => streaming.body.held(),
            Self::Streaming(streaming) => streaming.route.bridge.as_ref().map_or(0, Bridge::held),
            // What is held of the body itself, the listener's instance counts.
            Self::Placing(_) | Self::Placed(_) => {
                self.route().and_then(|route| route.bridge.as_ref()).map_or(0, Bridge::held)
            }
            Self::Start | Self::Untouched | Self::Replied => 0,
        }
    }

    /// Whether the model of the request is still being looked for.
    pub(in crate::exchange) fn is_searching(&self) -> bool {
        matches!(self, Self::Reading(reading) if reading.chosen.is_none())
    }
}

/// A request whose head is held.
#[derive(Debug)]
pub(in crate::exchange) struct Reading {
    pub(super) head: RequestHead,
    pub(super) body: RequestBody,
    /// Set as soon as the model is known; what is left is to wait for the rest of the body.
    pub(super) chosen: Option<Decision>,
}

/// A request on its way upstream.
#[derive(Debug)]
pub(in crate::exchange) struct Streaming {
    pub(super) body: RequestBody,
    pub(super) route: SentRequest,
    /// Where else it may go.
    pub(super) rest: Vec<model::Target>,
    /// In two positions: an attempt needs all of the body at once, so that Envoy holds it until it ends.
    pub(super) is_held_upstream: bool,
}

impl Streaming {
    pub(super) fn new(body: RequestBody, route: SentRequest, rest: Vec<model::Target>) -> Self {
        Self { body, route, rest, is_held_upstream: false }
    }
}

/// A request whose body is edited or converted before it goes on.
#[derive(Debug)]
pub(in crate::exchange) enum Placing {
    /// The head has gone on; these edits wait for the bytes that they change.
    Editing { route: SentRequest, edits: Vec<Edit> },
    /// The head is held until all of the body is there.
    Converting { decision: Decision, target: Target, headers: Vec<HeaderEdit>, told: Option<u64> },
}

impl Placing {
    /// How much of the body must be visible before it is looked at, in bytes.
    pub(super) fn needs(&self) -> usize {
        match self {
            Self::Editing { edits, .. } => edits.last().map_or(0, |edit| edit.span.end),
            Self::Converting { .. } => usize::MAX,
        }
    }
}

/// What is kept of the head while the body is read.
#[derive(Debug)]
pub(super) enum RequestHead {
    /// The request as its client sent it.
    Client(ClientHead),
    /// A request that this filter has rewritten before (see [`Attempt`]).
    Rewritten(Attempt),
}

impl RequestHead {
    pub(super) fn operation(&self) -> Operation {
        match self {
            Self::Client(head) => head.operation,
            Self::Rewritten(attempt) => attempt.operation,
        }
    }
}
