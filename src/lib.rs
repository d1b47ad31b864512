//! An HTTP filter for Envoy that makes any OpenAI-compatible server safe to hand out.
//!
//! Only `host` names `proxy_wasm`. Everything else is bytes in, decisions out.

pub mod config;
pub mod dialect;
pub mod error;
pub mod exchange;
mod host;
pub mod policy;
pub mod repair;
pub mod telemetry;
pub mod wire;

// Unit tests are plain `#[test]` functions that run natively and, by `make wasm-test`, as wasm on
// Node. For that each test module says `use crate::test;`: the attribute of the target at hand.
// Property tests are native only: `#[cfg(all(test, not(target_arch = "wasm32")))]`.
#[cfg(all(test, not(all(target_arch = "wasm32", target_os = "unknown"))))]
pub(crate) use core::prelude::v1::test;
#[cfg(all(test, target_arch = "wasm32", target_os = "unknown"))]
pub(crate) use wasm_bindgen_test::wasm_bindgen_test as test;
