//! A chat completion, or its stream, as a Response or its events.

use std::rc::Rc;

use super::Asked;

/// What an answer depends on beside the upstream's.
#[derive(Debug, Clone)]
pub struct Options {
    /// What the request asked for.
    pub asked: Rc<Asked>,
    /// Makes the answer's ids unique: `resp_<id>`, `msg_<id>_0`. Letters, digits, `-` and `_`.
    pub id: String,
    /// Unix seconds, where the upstream does not say when its answer was made.
    pub now: u64,
    /// `model` of the Response where the upstream does not name one.
    pub model: String,
    /// Replaces the upstream's `model`.
    pub response_model: Option<String>,
    /// Bytes that the answer's own text (messages, reasoning, arguments) may have.
    pub max_answer_bytes: u64,
}
