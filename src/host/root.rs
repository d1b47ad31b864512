//! The root context: one for each configuration and worker.

use std::rc::Rc;

use log::{error, info, warn};
use proxy_wasm::traits::{Context, HttpContext, RootContext};
use proxy_wasm::types::ContextType;

use super::{calls, http};
use crate::config::Config;

/// Holds the configuration that new streams get.
#[derive(Default)]
pub struct Root {
    config: Option<Rc<Config>>,
}

impl Context for Root {}

impl RootContext for Root {
    fn on_configure(&mut self, size: usize) -> bool {
        let bytes = match calls::body(calls::Body::Configuration, 0, size) {
            Ok(bytes) => bytes,
            Err(status) => {
                error!("can't read the plugin configuration: {status:?}");
                return false;
            }
        };
        match Config::from_plugin_configuration(&bytes, &|name| std::env::var(name).ok()) {
            Ok(config) => {
                info!("openai-gateway-filter {}: {}", env!("CARGO_PKG_VERSION"), config.summary());
                if config.virtual_keys.is_empty() {
                    warn!("virtual_keys is empty: every request is refused");
                }
                self.config = Some(Rc::new(config));
                true
            }
            Err(problems) => {
                error!("the configuration is refused:\n{problems}");
                false
            }
        }
    }

    fn create_http_context(&self, _: u32) -> Option<Box<dyn HttpContext>> {
        Some(Box::new(http::Http::new(self.config.clone())))
    }

    fn get_type(&self) -> Option<ContextType> {
        Some(ContextType::HttpContext)
    }
}
