//! What runs the core inside Envoy.

#[cfg(feature = "native")]
mod native;
#[cfg(target_os = "wasi")]
mod wasm;
