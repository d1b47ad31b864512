//! The decision about a request, kept for a further attempt at it.

use serde::{Deserialize, Serialize};

use super::internal;
use crate::config::{CacheMode, Config, Provider};
use crate::error::GatewayError;
use crate::exchange::Route;
use crate::json::scan::Facts;
use crate::operation::Operation;

/// What an earlier instance of this filter decided about the same request.
///
/// As an upstream filter, Envoy makes one instance for each attempt. A second attempt gets the head as
/// the first one left it, with the provider's credential in the place of the virtual key, but the body
/// as the client sent it. So the decision is kept in filter state, which all attempts share and no
/// client can write.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct Attempt {
    pub operation: String,
    provider: String,
    model: String,
    requested: String,
    cache: String,
    /// `content-length` of the rewritten body, where it was known.
    pub length: Option<u64>,
}

impl Attempt {
    pub fn new(route: &Route, provider: &Provider, length: Option<u64>) -> Self {
        Self {
            operation: route.operation.as_str().to_owned(),
            provider: provider.name.clone(),
            model: route.model.clone(),
            requested: route.requested.clone(),
            cache: route.cache.as_str().to_owned(),
            length,
        }
    }

    /// The same decision again. `found` is the id in the body: the client's own, or the upstream's if
    /// the body was rewritten before it came here.
    pub fn route(&self, config: &Config, found: &str) -> Result<Route, GatewayError> {
        if found != self.requested && found != self.model {
            return Err(internal());
        }
        Ok(Route {
            operation: Operation::from_name(&self.operation).ok_or_else(internal)?,
            provider: config.providers.by_name(&self.provider).ok_or_else(internal)?,
            model: self.model.clone(),
            requested: self.requested.clone(),
            cache: CacheMode::from_name(&self.cache).ok_or_else(internal)?,
            facts: Facts::default(),
            bridge: None,
        })
    }
}
