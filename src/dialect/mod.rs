//! Other APIs over chat completions, and edits of a chat request.

pub mod cache_control;
mod chat;
pub mod drop_params;
pub mod messages;
pub mod responses;
pub mod seal;
pub mod stream_usage;

/// What is said of a chat answer that can't be converted for that.
pub(crate) const NOT_JSON: &str = "The upstream's answer is not JSON.";
