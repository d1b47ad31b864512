//! The validated, compiled configuration: what the hot path looks at.
//!
//! `raw` mirrors the JSON that an operator writes; `compile` turns it into these types and reports
//! every problem at once. Everything here is immutable and shared by all requests of a worker.

mod compile;
mod document;
mod problems;
mod raw;
pub mod secret;
mod structpb;
mod summary;
mod text;

pub use problems::Problems;
pub use secret::Secret;

use std::collections::{HashMap, HashSet};
use std::rc::Rc;

use crate::key::VirtualKeys;
use crate::model::AliasTable;
use crate::operation::OperationSet;

/// Position of a provider in [`Config::providers`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct ProviderId(pub(crate) u32);

/// A whole configuration (README, "Configuration").
#[derive(Debug)]
pub struct Config {
    /// Providers in the order of the configuration.
    pub providers: Providers,
    /// The virtual keys, by digest.
    pub virtual_keys: VirtualKeys,
    /// Aliases for every virtual key; a key's own entry wins.
    pub aliases: AliasTable,
    /// `cache.mode` for keys without one.
    pub cache: CacheMode,
    /// Names of the gateway's own headers.
    pub headers: HeaderNames,
    /// Begins with `/`, no trailing slash; empty when every path is the gateway's.
    pub path_prefix: String,
    /// Size limits, in bytes.
    pub limits: Limits,
    /// How long a fetched model list is kept, in seconds.
    pub models_cache_seconds: u64,
    /// Which model id answers carry.
    pub response_model: ResponseModel,
}

/// All providers with the look-ups that resolution needs.
#[derive(Debug, Default)]
pub struct Providers {
    list: Vec<Provider>,
    by_name: HashMap<Box<str>, ProviderId>,
    by_model: HashMap<Box<str>, Vec<ProviderId>>,
}

impl Providers {
    /// Builds the indices. The caller has checked that names are unique.
    #[must_use]
    pub fn new(list: Vec<Provider>) -> Self {
        let mut by_name = HashMap::new();
        let mut by_model: HashMap<Box<str>, Vec<ProviderId>> = HashMap::new();
        for (provider, id) in list.iter().zip((0..).map(ProviderId)) {
            by_name.insert((*provider.name).into(), id);
            for model in provider.models.iter().flat_map(Models::iter) {
                by_model.entry(model.into()).or_default().push(id);
            }
        }
        Self { list, by_name, by_model }
    }

    /// The provider at `id`. An id always comes from this table, so `None` means a bug.
    #[must_use]
    pub fn get(&self, id: ProviderId) -> Option<&Provider> {
        self.list.get(id.0 as usize)
    }

    /// The provider of a name, O(length of the name).
    #[must_use]
    pub fn by_name(&self, name: &str) -> Option<ProviderId> {
        self.by_name.get(name).copied()
    }

    /// The providers whose curated list holds `model`, in order of configuration.
    #[must_use]
    pub fn listing(&self, model: &str) -> &[ProviderId] {
        self.by_model.get(model).map_or(&[], Vec::as_slice)
    }

    /// All providers with their ids.
    pub fn iter(&self) -> impl Iterator<Item = (ProviderId, &Provider)> {
        (0..).map(ProviderId).zip(&self.list)
    }

    /// How many there are.
    #[must_use]
    pub fn len(&self) -> usize {
        self.list.len()
    }

    /// Whether there is none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.list.is_empty()
    }
}

/// One upstream server.
#[derive(Debug)]
pub struct Provider {
    /// The prefix in `provider/model`.
    pub name: Rc<str>,
    /// What it is able to do by default.
    pub kind: ProviderKind,
    /// `host[:port]` of `base_url`: the upstream `:authority`.
    pub authority: Rc<str>,
    /// Path of `base_url` without trailing slash, `/v1` where it has none.
    pub base_path: String,
    /// The Envoy cluster that requests are routed to.
    pub cluster: Rc<str>,
    /// The header that authenticates us, or `None` for a server without authentication.
    pub credential: Option<Credential>,
    /// The custom header of `auth.mode: header` (lower case), removed from requests even when no
    /// credential is set.
    pub auth_header: Option<Rc<str>>,
    /// The curated list; `None` when the server's own list counts.
    pub models: Option<Models>,
    /// The operations that it is offered for.
    pub operations: OperationSet,
    /// How Responses API requests reach it.
    pub responses_api: ResponsesApi,
    /// Whether it may be asked for `stream_options.include_usage`.
    pub stream_usage: bool,
    /// Where it wants earlier reasoning back.
    pub reasoning_field: Option<String>,
}

/// A header to send upstream.
#[derive(Debug, Clone)]
pub struct Credential {
    /// Lower-case header name.
    pub header: Rc<str>,
    /// The whole header value, prefix included.
    pub value: Secret,
}

/// A curated list of upstream model ids: in order, and as a set.
#[derive(Debug, Default)]
pub struct Models {
    order: Vec<Box<str>>,
    set: HashSet<Box<str>>,
}

impl Models {
    /// Keeps the first of equal ids.
    #[must_use]
    pub fn new(ids: impl IntoIterator<Item = String>) -> Self {
        let mut models = Self::default();
        for id in ids {
            let id = id.into_boxed_str();
            if models.set.insert(id.clone()) {
                models.order.push(id);
            }
        }
        models
    }

    /// Whether `id` is listed.
    #[must_use]
    pub fn contains(&self, id: &str) -> bool {
        self.set.contains(id)
    }

    /// The ids in the operator's order.
    pub fn iter(&self) -> impl Iterator<Item = &str> {
        self.order.iter().map(AsRef::as_ref)
    }
}

/// `providers[].kind`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ProviderKind {
    /// Any server that speaks the OpenAI API.
    Openai,
    /// A vLLM server: no speech, no images.
    Vllm,
}

/// `providers[].responses_api`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ResponsesApi {
    /// Converted to chat completions and back.
    Chat,
    /// Forwarded as it is.
    Native,
}

/// `cache.mode`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum CacheMode {
    /// Cache fields and headers pass byte for byte.
    Respect,
    /// Cache markers are removed, `cache-control: no-cache` is sent.
    Disable,
    /// Cache markers are added.
    Force,
}

impl CacheMode {
    /// The name in configuration and in the `<prefix>-cache` and `<prefix>-cache-mode` headers.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Respect => "respect",
            Self::Disable => "disable",
            Self::Force => "force",
        }
    }

    /// The mode of a name.
    #[must_use]
    pub fn from_name(name: &str) -> Option<Self> {
        [Self::Respect, Self::Disable, Self::Force].into_iter().find(|mode| mode.as_str() == name)
    }
}

/// `response_model`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ResponseModel {
    /// What the upstream wrote.
    Upstream,
    /// The id that the client asked for.
    Requested,
}

/// `limits`, in bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// A request body, declared or counted.
    pub max_request_bytes: u64,
    /// What may be held of one request body.
    pub max_buffered_bytes: u64,
    /// What may be held of one answer that must be rebuilt.
    pub max_answer_bytes: u64,
    /// One event of a stream.
    pub max_sse_event_bytes: u64,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            max_request_bytes: 33_554_432,
            max_buffered_bytes: 33_554_432,
            max_answer_bytes: 16_777_216,
            max_sse_event_bytes: 10_485_760,
        }
    }
}

/// The gateway's own header names, all lower case, made once.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HeaderNames {
    /// `routing.cluster_header`: Envoy's route reads the cluster from it.
    pub cluster: Rc<str>,
    /// `header_prefix` itself, `x-langwatch` by default.
    pub prefix: Rc<str>,
    /// Request: cache mode override. Answer: hit, miss or bypass.
    pub cache: Rc<str>,
    /// Answer: the provider's name.
    pub provider: Rc<str>,
    /// Answer: the upstream model id.
    pub model: Rc<str>,
    /// Answer: Envoy's `x-request-id`.
    pub request_id: Rc<str>,
    /// Answer: the cache mode in force.
    pub cache_mode: Rc<str>,
    /// Answer of GET /models: providers that are left out.
    pub models_incomplete: Rc<str>,
    /// Answer of POST /responses: parameters that were not carried over.
    pub params_dropped: Rc<str>,
}

impl HeaderNames {
    /// Names for a `header_prefix` and a `cluster_header`, both lower case.
    #[must_use]
    pub fn new(prefix: &str, cluster: &str) -> Self {
        let name = |suffix: &str| format!("{prefix}-{suffix}").into();
        Self {
            cluster: cluster.into(),
            prefix: prefix.into(),
            cache: name("cache"),
            provider: name("provider"),
            model: name("model"),
            request_id: name("request-id"),
            cache_mode: name("cache-mode"),
            models_incomplete: name("models-incomplete"),
            params_dropped: name("params-dropped"),
        }
    }
}

#[cfg(test)]
mod tests;
