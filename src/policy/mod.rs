//! Who may use what: the compiled configuration, and the decisions that it answers.
//!
//! `config` makes these types from what an operator writes. They are immutable and shared by all requests of a
//! worker.

pub mod intern;
pub mod key;
pub mod model;
pub mod operation;
pub mod pattern;
mod presented_key;
mod provider;
mod secret;
mod settings;
mod usual_answers;
mod withheld;

pub use presented_key::PresentedKeys;
#[cfg(test)]
pub(crate) use provider::test_provider;
pub use provider::{
    Credential, MessagesApi, Models, Provider, ProviderId, ProviderKey, ProviderKind, Providers,
    ResponsesApi, Takes,
};
pub use secret::Secret;
pub use settings::{
    AnswerHeader, AnswerHeaders, Authority, CacheMode, HeaderNames, Limits, Outside, Positions,
    ResponseModel, Routing, UsageMode, UsageSettings,
};
pub use usual_answers::USUAL_ANSWERS;
pub use withheld::{HeaderUse, KnownHeader, WithheldHeaders, is_credential_parameter, repeats_key};

use std::sync::Arc;

use key::VirtualKeys;
use model::{AliasTable, AliasTargets};

/// A whole configuration (docs/reference.md, "Configuration").
#[derive(Debug)]
pub struct Config {
    /// Providers in the order of the configuration.
    pub providers: Providers,
    /// The virtual keys, by digest. They are what a configuration may have many of, so all threads of a process can
    /// share them.
    pub virtual_keys: Arc<VirtualKeys>,
    /// Aliases for every virtual key; a key's own entry wins.
    pub aliases: AliasTable,
    /// Where those lead.
    pub alias_targets: AliasTargets,
    /// `cache.mode` for keys without one.
    pub cache: CacheMode,
    /// `usage` for keys without their own.
    pub usage: UsageSettings,
    /// Names of the gateway's own headers.
    pub headers: HeaderNames,
    /// How Envoy's route and the filter work together.
    pub routing: Routing,
    /// Begins with `/`, no trailing slash; empty when every path is the gateway's.
    pub path_prefix: String,
    /// What becomes of requests outside of it.
    pub outside: Outside,
    /// Which headers of a client's no upstream may see.
    pub withheld: WithheldHeaders,
    /// Size limits, in bytes.
    pub limits: Limits,
    /// How long a fetched model list is kept, in seconds.
    pub models_cache_seconds: u64,
    /// Which model id answers carry.
    pub response_model: ResponseModel,
    /// `seal_key_env`: the secret of what clients bring back sealed; `None` where each virtual key is its own.
    pub seal_secret: Option<Secret>,
}
