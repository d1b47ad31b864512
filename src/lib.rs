//! An HTTP filter for Envoy that makes any OpenAI-compatible server safe to hand out.
//!
//! Only `host` names `proxy_wasm`. Everything else is bytes in, decisions out.

pub mod bytes;
pub mod cache_control;
pub mod config;
pub mod error;
pub mod exchange;
pub mod headers;
#[cfg(target_os = "wasi")]
mod host;
pub mod json;
pub mod key;
pub mod metrics;
pub mod model;
pub mod models;
pub mod multipart;
pub mod normalize;
pub mod operation;
pub mod pattern;
pub mod percent;
pub mod responses;
pub mod splice;
pub mod sse;
pub mod usage;

// Unit tests are plain `#[test]` functions that run natively and, by `make wasm-test`, as wasm on
// Node. For that each test module says `use crate::test;`: the attribute of the target at hand.
// Property tests are native only: `#[cfg(all(test, not(target_arch = "wasm32")))]`.
#[cfg(all(test, not(all(target_arch = "wasm32", target_os = "unknown"))))]
pub(crate) use core::prelude::v1::test;
#[cfg(all(test, target_arch = "wasm32", target_os = "unknown"))]
pub(crate) use wasm_bindgen_test::wasm_bindgen_test as test;
