//! Answers that any OpenAI client understands.
//!
//! Servers that are only roughly OpenAI-compatible answer errors in a dozen shapes, some of them under
//! HTTP 200, and embeddings in a dozen more. The modules here read them all and write one: OpenAI's.
//! They are pure: bytes in, bytes or a decision out. A good answer is recognised from its first bytes
//! and never held or rebuilt.

pub mod chat;
pub mod drift;
pub mod embeddings;
pub mod error;
pub mod images;
mod in_order;
pub mod loose;
pub mod mend;
pub mod model_list;
pub mod native;
pub mod peek;
pub mod proxied;
pub mod rerank;
pub mod shape;
mod spelling;
pub mod sse;
pub mod transcription;
pub mod usage;
