//! The root context: one for each configuration and worker.

use std::rc::Rc;

use log::{error, info, warn};
use proxy_wasm::traits::{Context, HttpContext, RootContext};
use proxy_wasm::types::ContextType;

use super::models::Shared;
use super::{calls, http};
use crate::policy::Config;

const VERSION: &str = env!("CARGO_PKG_VERSION");

/// The commit that a released module was built from; `make dist` knows it.
fn commit() -> String {
    option_env!("OPENAI_GATEWAY_COMMIT").map_or_else(String::new, |commit| format!(" ({commit})"))
}

/// Holds what new streams get.
pub struct FilterRoot {
    id: u32,
    shared: Option<Rc<Shared>>,
}

impl FilterRoot {
    /// A root context before its configuration. `id` is the context's.
    pub fn new(id: u32) -> Self {
        Self { id, shared: None }
    }
}

impl Context for FilterRoot {
    fn on_http_call_response(&mut self, token: u32, headers: usize, body_size: usize, _: usize) {
        if let Some(shared) = &self.shared {
            shared.on_response(self.id, token, headers, body_size);
        }
    }
}

impl RootContext for FilterRoot {
    fn on_configure(&mut self, size: usize) -> bool {
        let bytes = match calls::body(calls::BufferType::Configuration, 0, size) {
            Ok(bytes) => bytes,
            Err(status) => {
                error!("can't read the plugin configuration: {status:?}");
                return false;
            }
        };
        match Config::from_plugin_configuration(&bytes, &|name| std::env::var(name).ok()) {
            Ok(config) => {
                info!("openai-gateway-filter {VERSION}{}: {}", commit(), config.summary());
                for warning in config.warnings() {
                    warn!("{warning}");
                }
                self.shared = Some(Rc::new(Shared::new(Rc::new(config))));
                true
            }
            Err(problems) => {
                error!("the configuration is refused:\n{problems}");
                false
            }
        }
    }

    fn on_tick(&mut self) {
        if let Some(shared) = &self.shared {
            shared.on_tick(self.id);
        }
    }

    fn create_http_context(&self, id: u32) -> Option<Box<dyn HttpContext>> {
        Some(Box::new(http::Http::new(id, self.shared.clone())))
    }

    fn get_type(&self) -> Option<ContextType> {
        Some(ContextType::HttpContext)
    }
}
