//! Envoy's side: the only place that names `proxy_wasm`.
//!
//! [`calls`] wraps the host functions so that none can panic; [`body`] reads and changes bodies with them; [`counters`]
//! counts; [`root`] reads the configuration; [`models`] fetches model lists; [`http`] turns callbacks into events of an
//! [`crate::exchange::Exchange`] and carries out its steps.

mod body;
mod calls;
mod counters;
mod http;
mod models;
mod reply;
mod root;

use proxy_wasm::types::LogLevel;

proxy_wasm::main! {{
    // Also installs the panic hook that logs the message, so it comes first. Envoy filters by its own
    // level; what is logged below `info` costs a host call, so `debug` is opted into per VM.
    proxy_wasm::set_log_level(LogLevel::Info);
    proxy_wasm::set_root_context(|id| Box::new(root::FilterRoot::new(id)));
}}
