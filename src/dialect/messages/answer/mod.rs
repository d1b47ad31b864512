//! A chat completion, or its stream, as a message or its events.
//!
//! Both are read by `dialect::chat` into one state (`builder`), which holds the blocks (`blocks`) in the order
//! in which they appeared and tells of every change of them (`events`). Events show the blocks strictly one after the
//! other: what comes for a later one waits for the end of the one that is open.

mod blocks;
mod builder;
mod citations;
mod events;
mod input;
mod stream;
#[cfg(test)]
mod tests;

use std::rc::Rc;

pub use stream::MessageConverter;
#[cfg(test)]
pub(crate) use tests::assembled;

use super::MessageContext;
use crate::dialect::chat::read;
use crate::error::ErrorAnswer;
use crate::wire::json::cursor::Value;
use builder::MessageBuilder;
use events::MessageEvents;

/// What an answer depends on beside the upstream's.
#[derive(Debug, Clone)]
pub struct MessageOptions {
    /// What the request asked for.
    pub context: Rc<MessageContext>,
    /// Makes the answer's ids unique: `msg_<id>`, `toolu_<id>_0`. Letters, digits, `-` and `_`.
    pub id: String,
    /// What error events name, where it is known.
    pub request_id: Option<Rc<str>>,
    /// The name of the provider that answers.
    pub provider: Rc<str>,
    /// `model` of the message where the upstream does not name one.
    pub model: String,
    /// Replaces the upstream's `model`.
    pub response_model: Option<String>,
    /// Bytes that the answer's own text (texts, thinking, inputs) may have, as it is escaped in JSON, with 128 bytes for
    /// each block.
    pub max_answer_bytes: u64,
}

/// A whole chat completion (valid JSON, and Unicode) as a message, and whether prompt tokens came from the upstream's
/// cache (`None` where it does not count tokens).
///
/// # Errors
/// 502 `invalid_upstream_response` when `chat` is no chat completion, one that is larger than
/// [`MessageOptions::max_answer_bytes`], or one with a tool call whose arguments are no JSON object.
pub fn of_completion(
    options: MessageOptions,
    chat: &Value<'_>,
) -> Result<(Vec<u8>, Option<bool>), Box<ErrorAnswer>> {
    built(options, |builder| read::completion(chat, builder))
}

/// The same of a completion that nobody has read before.
///
/// # Errors
/// As [`of_completion`], and where it is no JSON.
#[cfg(any(test, feature = "testing"))]
pub fn whole(
    options: MessageOptions,
    chat: &[u8],
) -> Result<(Vec<u8>, Option<bool>), Box<ErrorAnswer>> {
    built(options, |builder| read::whole(chat, builder))
}

fn built(
    options: MessageOptions,
    read: impl FnOnce(&mut MessageBuilder),
) -> Result<(Vec<u8>, Option<bool>), Box<ErrorAnswer>> {
    let mut builder = MessageBuilder::new(options, MessageEvents::new(false));
    read(&mut builder);
    builder.finish_answer();
    let cached = builder.cached();
    Ok((builder.into_message()?, cached))
}
