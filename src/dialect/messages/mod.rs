//! Anthropic's Messages API over chat completions, both ways.
//!
//! [`request`] turns a Messages request into one for `/chat/completions`, and says in [`MessageContext`] what the answer has to
//! know of it. [`answer`] builds the message, and its events, from the chat completion or its stream: one state for
//! both, so that the message put together from the events is what the plain call gives. [`count`] asks a server's own
//! `/tokenize`. [`error`] is the envelope in which every error of these operations leaves.

pub mod answer;
pub mod count;
pub mod error;
pub mod request;

use std::collections::HashMap;

/// What an answer must know of its request.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct MessageContext {
    /// Functions that the chat server knows by a shorter name: that name, and the client's.
    pub renamed: HashMap<String, String>,
    /// `"stream": true`.
    pub stream: bool,
}

impl MessageContext {
    /// Bytes that are kept of the request.
    #[must_use]
    pub fn held(&self) -> usize {
        let name = |(short, long): (&String, &String)| {
            size_of::<(String, String)>() + short.len() + long.len()
        };
        self.renamed.iter().map(name).sum()
    }
}
