//! Heads that no client can do anything with: an error takes the place of the whole answer.

use super::decision::invalid;
use super::limit::RateLimit;
use crate::error::ErrorAnswer;
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
}

impl NoAnswer {
    /// What a head is, where it is no answer to `operation`.
    pub(super) fn of(status: u16, operation: Operation) -> Option<Self> {
        match status {
            300..=399 => Some(Self::Redirect(status)),
            202 | 204 | 205 if answers_json(operation) => Some(Self::Unfinished(status)),
            _ => None,
        }
    }

    /// How it is counted. What a limit refuses, Envoy counts.
    pub(super) fn fault(self) -> Option<AnswerFault> {
        match self {
            Self::Redirect(_) => Some(AnswerFault::Redirect),
            Self::Unfinished(_) => Some(AnswerFault::Unfinished),
            Self::Limited(_) => None,
        }
    }

    pub(super) fn to_answer(self) -> ErrorAnswer {
        let message = match self {
            Self::Limited(limit) => return limit.error().to_answer(),
            Self::Redirect(status) => format!(
                "The upstream answered HTTP {status}, a redirect, which is not followed. The provider's \
                 base_url may be wrong."
            ),
            Self::Unfinished(status) => format!(
                "The upstream answered HTTP {status}: it took the request, but gives no answer to it."
            ),
        };
        invalid(message).to_answer()
    }
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
