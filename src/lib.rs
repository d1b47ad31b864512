//! An HTTP filter for Envoy that makes any OpenAI-compatible server safe to hand out.
//!
//! Only `host` names `proxy_wasm`. Everything else is bytes in, decisions out.

pub mod config;
pub mod error;
pub mod exchange;
mod host;
pub mod policy;

// What Envoy and the command-line tool need no door to. Fuzz targets, benchmarks and the tests of `tests/` have one.
#[cfg(not(feature = "testing"))]
mod dialect;
#[cfg(feature = "testing")]
pub mod dialect;
#[cfg(not(feature = "testing"))]
mod repair;
#[cfg(feature = "testing")]
pub mod repair;
#[cfg(not(feature = "testing"))]
mod telemetry;
#[cfg(feature = "testing")]
pub mod telemetry;
#[cfg(not(feature = "testing"))]
mod wire;
#[cfg(feature = "testing")]
pub mod wire;

// Unit tests are plain `#[test]` functions that run natively and, by `make wasm-test`, as wasm on
// Node. For that each test module says `use crate::test;`: the attribute of the target at hand.
// Property tests are native only: `#[cfg(all(test, not(target_arch = "wasm32")))]`.
#[cfg(all(test, not(all(target_arch = "wasm32", target_os = "unknown"))))]
pub(crate) use core::prelude::v1::test;
#[cfg(all(test, target_arch = "wasm32", target_os = "unknown"))]
pub(crate) use wasm_bindgen_test::wasm_bindgen_test as test;
