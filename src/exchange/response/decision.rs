//! What readers of an answer's body may know, and what they decide.

use std::rc::Rc;
use std::sync::Arc;

use crate::error::{Code, ErrorAnswer, GatewayError};
use crate::exchange::face::Face;
use crate::exchange::{BodyOut, SentRequest};
use crate::policy::key::VirtualKey;
use crate::policy::{Config, ProviderKey, ResponseModel};
use crate::repair::shape::Shapes;
use crate::repair::sse::StreamKind;
use crate::telemetry::usage::Meter;
use crate::wire::headers::HeaderEdit;

/// What a reader of the body decides after each piece.
pub(super) enum BodyDecision {
    /// Go on collecting; what is there stays held.
    Hold,
    /// What was held or has come now goes on as `body`, under a head with `edits` if it is still held.
    Pass { edits: Vec<HeaderEdit>, body: BodyOut, rest: Rest },
    /// The answer becomes this error, as long as its head is held.
    Fail(ErrorAnswer),
    /// The answer can't be finished, and its head has gone on: the stream is reset.
    Abort(GatewayError),
    /// The body is an event stream: its reader gets all that was collected.
    ReadAsStream(StreamKind, Vec<u8>),
    /// The body is an event stream of another kind, and no error: what was collected goes on but for the key.
    Cover(Vec<u8>),
}

/// Who reads what comes after a [`BodyDecision::Pass`].
pub(super) enum Rest {
    /// The same reader.
    Read,
    /// Nobody.
    Pass,
}

/// What readers may know of the exchange.
pub(super) struct ReaderContext<'a> {
    pub(super) config: &'a Config,
    pub(super) route: Option<&'a SentRequest>,
    /// Whose request it is.
    pub(super) key: Option<&'a VirtualKey>,
    /// The request is still held, and its model not known.
    pub(super) searching: bool,
    /// Whose client reads the answer.
    pub(super) face: Face,
    /// Envoy's `x-request-id`.
    pub(super) request_id: Option<&'a Rc<str>>,
    /// Unix seconds of the request.
    pub(super) now: u64,
    /// More of the body has come already.
    pub(super) more: bool,
    /// What good answers have looked like.
    pub(super) shapes: &'a Shapes,
}

/// Goes on holding, up to `limits.max_answer_bytes`.
pub(super) fn hold(collected: usize, context: &ReaderContext<'_>) -> BodyDecision {
    let limit = context.config.limits.max_answer_bytes;
    if collected as u64 <= limit {
        return BodyDecision::Hold;
    }
    BodyDecision::Fail(
        invalid(format!("The upstream's answer is larger than {limit} bytes.")).to_answer(),
    )
}

/// Shows the meter what a decision lets go of the answer. `visible`: what there is of it now.
pub(super) fn metered(decision: BodyDecision, visible: &[u8], meter: &mut Meter) -> BodyDecision {
    if let BodyDecision::Pass { body, .. } = &decision {
        meter.push(match body {
            BodyOut::Same => visible,
            BodyOut::Replace(with) => with,
        });
    }
    decision
}

pub(super) fn pass(body: BodyOut) -> BodyDecision {
    BodyDecision::Pass { edits: Vec::new(), body, rest: Rest::Read }
}

impl ReaderContext<'_> {
    /// The id that the answer is to name in the place of the upstream's own.
    pub(super) fn response_model(&self, route: &SentRequest) -> Option<String> {
        (self.config.response_model == ResponseModel::Requested).then(|| route.requested.clone())
    }

    pub(super) fn max_event_bytes(&self) -> usize {
        usize::try_from(self.config.limits.max_sse_event_bytes).unwrap_or(usize::MAX)
    }

    /// What the provider knows the gateway by, and no answer may tell.
    pub(super) fn provider_key(&self) -> Option<&Arc<ProviderKey>> {
        self.config.providers.get(self.route?.provider)?.key()
    }
}

pub(super) fn invalid(message: impl Into<String>) -> GatewayError {
    GatewayError::new(Code::InvalidUpstreamResponse, message)
}
