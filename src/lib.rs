//! An HTTP filter for Envoy that makes any OpenAI-compatible server safe to hand out.
//!
//! Only `host` names `proxy_wasm`. Everything else is bytes in, decisions out.
//!
//! What another program can ask, as the command-line tool does: is this configuration right, and where would a request
//! go?
//!
//! ```
//! use openai_gateway_filter::exchange::{offered, upstream_path};
//! use openai_gateway_filter::policy::{Config, Provider, model::resolve, operation::classify};
//!
//! let settings = br#"{
//!     "providers": [{"name": "groq", "base_url": "https://api.groq.com/openai/v1", "auth": {"key_env": "GROQ_KEY"}}],
//!     "virtual_keys": [{"id": "search", "key": "vk-of-the-search-team", "model_aliases": {"fast": "groq/llama-3.3-70b"}}]
//! }"#;
//! let environment = |name: &str| (name == "GROQ_KEY").then(|| "secret".to_owned());
//! let config = Config::from_plugin_configuration(settings, &environment).expect("a good configuration");
//!
//! let key = config.virtual_keys.by_id("search").expect("a key");
//! let request = classify(b"POST", "/chat/completions").expect("an operation");
//! let offers = |provider: &Provider| offered(provider, request.operation);
//! let plan = resolve(&config, key, "fast", offers, || 0).expect("a model that this key may use");
//! let provider = config.providers.get(plan.first.provider).expect("its provider");
//! assert_eq!((&*provider.authority, &*plan.first.model), ("api.groq.com", "llama-3.3-70b"));
//!
//! let path = upstream_path(request.operation, provider, request.path);
//! assert_eq!(path, "/openai/v1/chat/completions");
//! ```

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
