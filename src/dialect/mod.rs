//! Other APIs over chat completions, and edits of a chat request.

pub mod cache_control;
pub mod responses;
