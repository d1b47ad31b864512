//! The upstream servers: what is known of each, and the look-ups that resolution needs.

use std::collections::{HashMap, HashSet};
use std::fmt;
use std::rc::Rc;
use std::sync::Arc;

use subtle::ConstantTimeEq;

use super::operation::OperationSet;
use super::pattern::Pattern;
use super::secret::Secret;
use super::usual_answers::{USUAL_ANSWERS, usual_answers};
use crate::wire::headers::{HeaderEdit, HeaderText, Headers};
use crate::wire::name_table::NameTable;
use crate::wire::traces::Traces;

/// Position of a provider in [`super::Config::providers`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct ProviderId(pub(crate) u32);

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

impl IntoIterator for Providers {
    type Item = Provider;
    type IntoIter = std::vec::IntoIter<Provider>;

    fn into_iter(self) -> Self::IntoIter {
        self.list.into_iter()
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
    /// Names of clusters that Envoy may show for it.
    pub upstream_clusters: Box<[Pattern]>,
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
    /// How Messages API requests reach it.
    pub messages_api: MessagesApi,
    /// Whether `cache_control` of a Messages request may go to it in a chat request.
    pub cache_control: bool,
    /// Whether it may be asked for `stream_options.include_usage`.
    pub stream_usage: bool,
    /// Where it wants earlier reasoning back.
    pub reasoning_field: Option<String>,
    /// What it takes in requests that are converted for it.
    pub takes: Takes,
    /// `drop_params`: names of top-level members that it never gets.
    pub drop_params: Vec<String>,
    /// `request_headers`: what is removed, then what is set.
    pub request_headers: Box<[HeaderEdit]>,
}

/// What a server takes beside the parameters that all know. Those with a closed list answer 400 to
/// others.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Takes {
    /// `openai_hints`: what only OpenAI's own servers know.
    pub openai_hints: bool,
    /// `reasoning_effort`: how much to think.
    pub reasoning_effort: bool,
    /// `system_anywhere`: system messages between others.
    pub system_anywhere: bool,
}

impl Takes {
    /// What a server takes of which nothing is said.
    pub const DEFAULT: Self =
        Self { openai_hints: false, reasoning_effort: true, system_anywhere: false };

    /// Whether a member of this name may go to it, at any depth of a converted request.
    #[must_use]
    pub fn allows(self, name: &str) -> bool {
        match name {
            "reasoning_effort" => self.reasoning_effort,
            name => self.openai_hints || !is_openai_hint(name),
        }
    }
}

/// Members that say how OpenAI's own servers are to cache, bill, log or phrase an answer, and that no
/// other server knows. Left out, they change nothing that was asked for.
fn is_openai_hint(name: &str) -> bool {
    // prompt_cache_key, _retention, _options, _breakpoint, and what follows.
    name.starts_with("prompt_cache_")
        || matches!(name, "safety_identifier" | "verbosity" | "store" | "client_metadata")
}

impl Provider {
    /// What its answers must not tell.
    #[must_use]
    pub fn key(&self) -> Option<&Arc<ProviderKey>> {
        self.credential.as_ref()?.key.as_ref()
    }

    /// Whether Envoy may show `cluster` for a host of it.
    #[must_use]
    pub fn is_in(&self, cluster: &[u8]) -> bool {
        self.cluster.as_bytes() == cluster
            || self.upstream_clusters.iter().any(|known| known.matches(cluster.iter().copied()))
    }

    /// Whether a head was rewritten for it: it has the credential, or all that the operator sets in its requests. One header of
    /// those may be anybody's (`accept`), and an empty one is no secret.
    #[must_use]
    pub fn has_marked(&self, head: &Headers) -> bool {
        let has_credential = self.credential.as_ref().is_some_and(|credential| {
            head.iter().any(|(name, value)| credential.is_in(name, value))
        });
        let mut set = self.request_headers.iter().filter_map(|edit| match edit {
            HeaderEdit::Set(name, value) if !value.is_empty() => Some((name, value)),
            _ => None,
        });
        let is_there = |(name, value): (&HeaderText, &HeaderText)| {
            let ours = value.as_bytes();
            head.iter().any(|(n, v)| n == name.as_bytes() && bool::from(ours.ct_eq(v)))
        };
        has_credential || set.next().is_some_and(is_there) && set.all(is_there)
    }
}

/// A header to send upstream.
#[derive(Debug, Clone)]
pub struct Credential {
    /// Lower-case header name.
    pub header: Rc<str>,
    /// The whole header value, prefix included.
    pub value: Secret,
    /// Its secret part: what stands behind its scheme. `None` where that is no secret.
    pub key: Option<Arc<ProviderKey>>,
}

impl Credential {
    /// Whether a header is this credential, compared in constant time.
    #[must_use]
    pub fn is_in(&self, name: &[u8], value: &[u8]) -> bool {
        name == self.header.as_bytes() && self.value.expose().as_bytes().ct_eq(value).into()
    }
}

/// What no answer may tell: the secret part of a credential, and its traces. Threads share it. `Debug` shows nothing of it.
pub struct ProviderKey {
    text: Box<[u8]>,
    traces: Traces,
    is_in_usual_names: bool,
}

impl ProviderKey {
    /// Shorter credentials are placeholders such as `EMPTY`, and may be parts of any word: they are no secret that an answer
    /// could give away.
    pub const SHORTEST: usize = 6;

    /// The secret part of a header's value; `None` where that is none.
    #[must_use]
    pub fn of(value: &str) -> Option<Self> {
        let key = value.rsplit(' ').next().unwrap_or_default().as_bytes();
        (key.len() >= Self::SHORTEST).then(|| {
            let traces = Traces::of(key);
            let is_in = |name: &str| traces.may_be_in_field(name.as_bytes());
            let is_in_usual_names = USUAL_ANSWERS.into_iter().any(is_in);
            Self { text: key.into(), traces, is_in_usual_names }
        })
    }

    /// Its bytes.
    #[must_use]
    pub fn expose(&self) -> &[u8] {
        &self.text
    }

    /// The names of headers that are known not to tell it.
    #[must_use]
    pub fn harmless_names(&self) -> Option<&'static NameTable<&'static str, ()>> {
        (!self.is_in_usual_names).then(usual_answers)
    }

    /// How it is found in a text.
    #[must_use]
    pub fn traces(&self) -> &Traces {
        &self.traces
    }
}

impl fmt::Debug for ProviderKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("ProviderKey([redacted])")
    }
}

impl Credential {
    /// A header with this value.
    #[must_use]
    pub fn new(header: Rc<str>, value: Secret) -> Self {
        let key = ProviderKey::of(value.expose()).map(Arc::new);
        Self { header, value, key }
    }
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

/// `providers[].messages_api`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum MessagesApi {
    /// Converted to chat completions and back.
    Chat,
    /// Forwarded as it is.
    Native,
}

/// `providers[].responses_api`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ResponsesApi {
    /// Converted to chat completions and back.
    Chat,
    /// Forwarded as it is.
    Native,
}

/// A provider of which nothing is said.
#[cfg(test)]
pub(crate) fn test_provider() -> Provider {
    Provider {
        name: "p".into(),
        kind: ProviderKind::Openai,
        authority: "p.test".into(),
        base_path: "/v1".to_owned(),
        cluster: "p".into(),
        upstream_clusters: [Pattern::new("p")].into(),
        credential: None,
        auth_header: None,
        models: None,
        operations: OperationSet::default(),
        responses_api: ResponsesApi::Chat,
        messages_api: MessagesApi::Chat,
        cache_control: false,
        stream_usage: true,
        reasoning_field: None,
        takes: Takes::DEFAULT,
        drop_params: Vec::new(),
        request_headers: Box::default(),
    }
}
