//! The Responses API over chat completions, both ways.
//!
//! [`request`] turns a Responses request into one for `/chat/completions`, and says in [`AnswerContext`] what
//! the answer has to repeat of it. [`answer`] builds the Response object, and its events, from the chat
//! completion or its stream. What an answer would be in one piece is what the last event of its stream
//! holds: both are built by the same state.

pub mod answer;
mod context;
pub mod request;

pub use context::{AnswerContext, AnswerForm, CalledTool, ToolNames};
