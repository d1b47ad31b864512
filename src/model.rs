//! From the model id that a client sends to a provider and its own model id.

use std::collections::HashMap;

use crate::config::{Config, ProviderId};
use crate::error::GatewayError;
use crate::key::VirtualKey;

/// `model_aliases`: exact names.
#[derive(Debug, Default)]
pub struct AliasTable {
    by_name: HashMap<Box<str>, Targets>,
}

/// Where an alias leads: one target, or several by weight.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Targets {
    /// At least one; `cumulative` weights ascend.
    choices: Vec<(u64, AliasTarget)>,
}

/// A configured provider and its model id.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AliasTarget {
    /// The provider.
    pub provider: ProviderId,
    /// The upstream's own id.
    pub model: String,
}

/// `models_allowed`.
#[derive(Debug, Default)]
pub enum Allowlist {
    /// Absent: everything.
    #[default]
    All,
    /// Only what an entry matches; no entry, nothing.
    Only(Patterns),
}

/// Patterns in which `*` stands for any run of characters, `/` included.
#[derive(Debug, Default)]
pub struct Patterns {}

/// A resolved model.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Route {
    /// The provider to send to.
    pub provider: ProviderId,
    /// The upstream's own model id.
    pub model: String,
}

/// Resolves `id` for `key` and checks its allowlist (README, "How a model id is resolved").
/// `draw` decides between weighted targets: the same number always gives the same choice.
///
/// # Errors
/// `model_not_allowed` (decided first, so that it does not tell which models exist) and
/// `model_not_found`.
pub fn resolve(
    config: &Config,
    key: &VirtualKey,
    id: &str,
    draw: u64,
) -> Result<Route, GatewayError> {
    let _ = (config, key, id, draw);
    Err(GatewayError::new(crate::error::Code::ModelNotFound, "not built yet"))
}

impl AliasTable {
    /// The targets of a name, O(length of the name).
    #[must_use]
    pub fn get(&self, name: &str) -> Option<&Targets> {
        self.by_name.get(name)
    }

    /// The names, in no particular order.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.by_name.keys().map(AsRef::as_ref)
    }
}

impl Targets {
    /// The target that `draw` falls on.
    #[must_use]
    pub fn pick(&self, draw: u64) -> Option<&AliasTarget> {
        let _ = draw;
        self.choices.first().map(|(_, target)| target)
    }
}
