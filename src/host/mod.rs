//! What runs the core inside Envoy.

#[cfg(target_os = "wasi")]
mod wasm;
