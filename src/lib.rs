//! An HTTP filter for Envoy that makes any OpenAI-compatible server safe to hand out.
//!
//! Only `host` names `proxy_wasm`. Everything else is bytes in, decisions out.

pub mod cache_control;
pub mod config;
pub mod error;
pub mod json;
pub mod key;
pub mod model;
pub mod multipart;
pub mod normalize;
pub mod operation;
pub mod pattern;
pub mod splice;
pub mod sse;
