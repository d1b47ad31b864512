//! A chat completion, or its stream, as a Response or its events.
//!
//! Both are read by `dialect::chat` into one state (`builder`, `message_items`, `calls`), which holds the output items
//! (`items`) and tells of every change of them (`events`). The last event holds the same Response
//! (`response`) that the plain answer is, because it is the same code that writes it.
//!
//! Text is held once, in its escaped form, and is written into events without being decoded. Where the API reference and the official SDKs disagree, the SDKs' types are followed, and
//! said so where it is done.

mod builder;
mod call_items;
mod calls;
mod compaction;
mod custom;
mod events;
mod items;
mod logprobs;
mod message_items;
mod response;
mod stream;
#[cfg(test)]
mod tests;
mod usage;
mod visitor;

use std::rc::Rc;

pub use stream::ResponseConverter;

use crate::error::{Code, GatewayError};

use super::{AnswerContext, CalledTool};
use crate::dialect::chat::read;
use crate::dialect::seal::AnswerSealer;
use crate::wire::json::cursor::Value;
use builder::ResponseBuilder;
use events::ResponseEvents;

/// What an answer depends on beside the upstream's.
#[derive(Debug, Clone)]
pub struct ResponseOptions {
    /// What the request asked for.
    pub context: Rc<AnswerContext>,
    /// Seals what the client is to bring back; `None` where it asked for nothing of that kind.
    pub sealer: Option<Rc<AnswerSealer>>,
    /// Makes the answer's ids unique: `resp_<id>`, `msg_<id>_0`. Letters, digits, `-` and `_`.
    pub id: String,
    /// Unix seconds of the request: when the answer was made, where the upstream does not say, and
    /// when it was completed, where that is later.
    pub now: u64,
    /// The name of the provider that answers.
    pub provider: Rc<str>,
    /// `model` of the Response where the upstream does not name one.
    pub model: String,
    /// Replaces the upstream's `model`.
    pub response_model: Option<String>,
    /// Bytes that the answer's own text (messages, reasoning, arguments) may have, as it is escaped in
    /// JSON, with what belongs to it and 128 bytes for each output item and each part of a message.
    pub max_answer_bytes: u64,
}

/// A whole chat completion (valid JSON, and Unicode) as a Response, and whether prompt tokens came from the
/// upstream's cache (`None` where it does not count tokens).
///
/// # Errors
/// 502 `invalid_upstream_response` when `chat` is no chat completion, or one that is larger than
/// [`ResponseOptions::max_answer_bytes`].
pub fn of_completion(
    options: ResponseOptions,
    chat: &Value<'_>,
) -> Result<(Vec<u8>, Option<bool>), GatewayError> {
    built(options, |builder| read::completion(chat, builder))
}

/// The same of a completion that nobody has read before.
///
/// # Errors
/// As [`of_completion`], and where it is no JSON.
#[cfg(any(test, feature = "testing"))]
pub fn whole(
    options: ResponseOptions,
    chat: &[u8],
) -> Result<(Vec<u8>, Option<bool>), GatewayError> {
    built(options, |builder| read::whole(chat, builder))
}

fn built(
    options: ResponseOptions,
    read: impl FnOnce(&mut ResponseBuilder),
) -> Result<(Vec<u8>, Option<bool>), GatewayError> {
    let mut builder = ResponseBuilder::new(options, ResponseEvents::new(false));
    read(&mut builder);
    builder.end();
    let cached = builder.head.usage.map(|usage| usage.cached);
    match builder.into_response() {
        Ok(response) => Ok((response, cached)),
        Err(answer) => Err(GatewayError::new(Code::InvalidUpstreamResponse, answer.error.message)),
    }
}
