//! Chat answers as what was asked for: one name for the conversions of all dialects.

use super::decision::{ReaderContext, invalid};
use crate::dialect::{messages, responses};
use crate::error::ErrorAnswer;
use crate::exchange::SentRequest;
use crate::exchange::bridge::Bridge;
use crate::policy::operation::Operation;
use crate::wire::json::cursor::Value;

/// What an answer is built from.
#[derive(Debug, Clone)]
pub(super) enum AnswerOptions {
    Responses(responses::answer::ResponseOptions),
    Messages(messages::answer::MessageOptions),
}

impl AnswerOptions {
    /// For the answer to a request that was sent as a chat request.
    pub(super) fn new(context: &ReaderContext<'_>, route: &SentRequest) -> Option<Self> {
        let max_answer_bytes = context.config.limits.max_answer_bytes;
        let model = route.model.to_string();
        let provider = context.config.providers.get(route.provider)?.name.clone();
        match route.bridge.as_ref()? {
            Bridge::Responses { context: asked, id, sealer } => {
                Some(Self::Responses(responses::answer::ResponseOptions {
                    context: asked.clone(),
                    sealer: sealer.clone(),
                    id: id.clone(),
                    now: context.now,
                    provider,
                    model,
                    response_model: context.response_model(route),
                    max_answer_bytes,
                }))
            }
            Bridge::Messages { context: asked, id } => {
                Some(Self::Messages(messages::answer::MessageOptions {
                    context: asked.clone(),
                    id: id.clone(),
                    request_id: context.request_id.cloned(),
                    provider,
                    model,
                    response_model: context.response_model(route),
                    max_answer_bytes,
                }))
            }
            Bridge::Tokenize(_) => None,
        }
    }

    /// A whole chat completion as the answer, and whether prompt tokens came from the cache.
    pub(super) fn whole(
        self,
        chat: &Value<'_>,
    ) -> Result<(Vec<u8>, Option<bool>), Box<ErrorAnswer>> {
        match self {
            Self::Responses(options) => {
                let answer = responses::answer::of_completion(options, chat);
                answer.map_err(|error| Box::new(error.to_answer()))
            }
            Self::Messages(options) => messages::answer::of_completion(options, chat),
        }
    }
}

/// A chat stream as the events of the answer.
#[derive(Debug)]
pub(super) enum AnswerConverter {
    Responses(responses::answer::ResponseConverter),
    Messages(messages::answer::MessageConverter),
}

impl AnswerConverter {
    pub(super) fn new(options: AnswerOptions) -> Self {
        match options {
            AnswerOptions::Responses(options) => {
                Self::Responses(responses::answer::ResponseConverter::new(options))
            }
            AnswerOptions::Messages(options) => {
                Self::Messages(messages::answer::MessageConverter::new(options))
            }
        }
    }

    /// Reads what the stream's normaliser wrote. Returns the events that it makes.
    pub(super) fn push(&mut self, canonical: &[u8]) -> Vec<u8> {
        match self {
            Self::Responses(converter) => converter.push(canonical),
            Self::Messages(converter) => converter.push(canonical),
        }
    }

    /// The body has ended. Returns what is still to be sent.
    pub(super) fn finish(&mut self) -> Vec<u8> {
        match self {
            Self::Responses(converter) => converter.finish(),
            Self::Messages(converter) => converter.finish(),
        }
    }

    /// Whether the last event was written.
    pub(super) fn is_done(&self) -> bool {
        match self {
            Self::Responses(converter) => converter.is_done(),
            Self::Messages(converter) => converter.is_done(),
        }
    }

    /// Whether the last event is a failure.
    pub(super) fn has_failed(&self) -> bool {
        match self {
            Self::Responses(converter) => converter.has_failed(),
            Self::Messages(converter) => converter.has_failed(),
        }
    }

    /// Bytes of the answer that are kept for its last events.
    pub(super) fn held(&self) -> usize {
        match self {
            Self::Responses(converter) => converter.held(),
            Self::Messages(converter) => converter.held(),
        }
    }

    /// Whether prompt tokens came from the upstream's cache.
    pub(super) fn cached(&self) -> Option<bool> {
        match self {
            Self::Responses(converter) => converter.cached(),
            Self::Messages(converter) => converter.cached(),
        }
    }

    /// The answer in one piece.
    pub(super) fn into_answer(self) -> Result<Vec<u8>, Box<ErrorAnswer>> {
        match self {
            Self::Responses(converter) => converter.into_response(),
            Self::Messages(converter) => converter.into_message(),
        }
    }
}

/// What vLLM's tokenizer answered, as a count for `operation`.
pub(super) fn counted(operation: Operation, answer: &[u8]) -> Result<Vec<u8>, Box<ErrorAnswer>> {
    let count = messages::count::from_tokenize(answer).ok_or_else(|| {
        Box::new(invalid("The upstream's tokenizer answered without a count.").to_answer())
    })?;
    Ok(count_object(operation, count))
}

/// `{"input_tokens":N}` as `operation` answers it.
pub(super) fn count_object(operation: Operation, count: Vec<u8>) -> Vec<u8> {
    match count.strip_prefix(b"{") {
        Some(members) if operation == Operation::ResponsesInputTokens => {
            [br#"{"object":"response.input_tokens","#, members].concat()
        }
        _ => count,
    }
}
