//! Where an answer stands: who reads its body, what they may know, and what they decide.

use super::covered::CoveredStream;
use super::decision::{BodyDecision, ReaderContext, metered, pass};
use super::no_answer::NoAnswer;
use super::{bridged, embeddings, failure, json, speech, stream};
use crate::error::ErrorAnswer;
use crate::exchange::BodyOut;
use crate::telemetry::counters::{AnswerFault, Repairs};
use crate::telemetry::usage::Meter;

/// Where the answer stands.
#[derive(Debug)]
pub(in crate::exchange) enum ResponsePhase {
    /// Nothing has come yet, or it passes as it is.
    Passing,
    /// An error body is collected.
    Failure(failure::FailureBody),
    /// The head is no answer: this takes its place.
    NoAnswer(NoAnswer),
    /// A JSON body is collected.
    Json(json::Json),
    /// A chat answer is collected, which leaves as a Response.
    Bridged(Box<bridged::Bridged>),
    /// An embeddings answer is collected, or changed on its way.
    Embeddings(Box<embeddings::Embeddings>),
    /// Speech, as long as it may be an error.
    Speech(Box<speech::Speech>),
    /// An event stream passes through its normaliser.
    Stream(Box<stream::RepairedStream>),
    /// An event stream passes as it is (Anthropic's own, speech, images), but for the provider's key: an error in it may
    /// repeat it.
    Covered(CoveredStream),
    /// The gateway's own error is to take the answer's place, once its head has been read again.
    Replaced(Box<ErrorAnswer>),
    /// What still comes has been answered for: it is dropped.
    Swallowing,
}

impl ResponsePhase {
    pub(super) fn push(
        &mut self,
        bytes: &[u8],
        end: bool,
        context: &ReaderContext<'_>,
        meter: &mut Meter,
    ) -> BodyDecision {
        match self {
            Self::Failure(failure) => failure.push(bytes, end, context),
            Self::Json(json) => json.push(bytes, end, context, meter),
            Self::Bridged(bridged) => bridged.push(bytes, end, context, meter),
            Self::Embeddings(embeddings) => embeddings.push(bytes, end, context, meter),
            Self::Speech(speech) => speech.push(bytes, end, context),
            Self::Stream(stream) => stream.push(bytes, end, context, meter),
            Self::Covered(cover) => {
                let key = context.provider_key().map(|key| &**key);
                let out = cover.push(key, bytes, end);
                metered(out.map_or(BodyDecision::Hold, pass), bytes, meter)
            }
            Self::NoAnswer(none) => BodyDecision::Fail(none.to_answer(context)),
            Self::Passing => pass(BodyOut::Same),
            Self::Replaced(_) | Self::Swallowing => pass(BodyOut::Replace(Vec::new())),
        }
    }

    /// Whether Envoy holds bytes of the body.
    pub(super) fn is_holding(&self) -> bool {
        match self {
            Self::Failure(failure) => failure.is_holding(),
            Self::Json(json) => json.is_holding(),
            Self::Bridged(bridged) => bridged.is_holding(),
            Self::Embeddings(embeddings) => embeddings.is_holding(),
            Self::Speech(speech) => speech.is_holding(),
            Self::Stream(stream) => stream.is_holding(),
            Self::Covered(cover) => cover.is_holding(),
            Self::Passing | Self::NoAnswer(_) | Self::Replaced(_) | Self::Swallowing => false,
        }
    }

    /// Bytes that are held of the answer, here and, as long as it waits, by Envoy.
    pub(in crate::exchange) fn held(&self) -> usize {
        let here = match self {
            Self::Failure(failure) => failure.held(),
            Self::Json(json) => json.held(),
            Self::Bridged(bridged) => bridged.held(),
            Self::Embeddings(embeddings) => embeddings.held(),
            Self::Speech(speech) => speech.held(),
            Self::Stream(stream) => stream.held(),
            Self::Covered(cover) => cover.held(),
            Self::Passing | Self::NoAnswer(_) | Self::Replaced(_) | Self::Swallowing => 0,
        };
        if self.is_holding() { here.saturating_mul(2) } else { here }
    }

    /// Whether the last byte of a body with a known length may be taken for its end.
    pub(super) fn ends_by_length(&self) -> bool {
        !matches!(self, Self::Stream(_) | Self::Covered(_) | Self::Replaced(_) | Self::Swallowing)
    }

    /// What was wrong with an answer that goes on all the same, once: a failure goes on in one piece.
    pub(super) fn take_fault(&mut self) -> Option<AnswerFault> {
        match self {
            Self::Stream(stream) => stream.take_failure(),
            Self::Embeddings(embeddings) => {
                embeddings.take_changed().then_some(AnswerFault::Embeddings)
            }
            Self::Failure(_)
            | Self::Passing
            | Self::NoAnswer(_)
            | Self::Json(_)
            | Self::Bridged(_)
            | Self::Speech(_)
            | Self::Covered(_)
            | Self::Replaced(_)
            | Self::Swallowing => None,
        }
    }

    /// What was repaired in a good answer, once.
    pub(super) fn take_repairs(&mut self) -> Repairs {
        match self {
            Self::Json(json) => json.take_repairs(),
            Self::Bridged(bridged) => bridged.take_repairs(),
            Self::Stream(stream) => stream.take_repairs(),
            Self::Passing
            | Self::NoAnswer(_)
            | Self::Failure(_)
            | Self::Embeddings(_)
            | Self::Speech(_)
            | Self::Covered(_)
            | Self::Replaced(_)
            | Self::Swallowing => Repairs::default(),
        }
    }

    /// Whether usage told of cached prompt tokens; `None` as long as there was no usage.
    pub(super) fn cached(&self) -> Option<bool> {
        match self {
            Self::Json(json) => json.cached(),
            Self::Bridged(bridged) => bridged.cached(),
            Self::Stream(stream) => stream.cached(),
            Self::Passing
            | Self::NoAnswer(_)
            | Self::Failure(_)
            | Self::Embeddings(_)
            | Self::Speech(_)
            | Self::Covered(_)
            | Self::Replaced(_)
            | Self::Swallowing => None,
        }
    }
}
