//! The settings that hold for all virtual keys.

use std::rc::Rc;

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

/// `outside`: what becomes of requests outside of `path_prefix`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Outside {
    /// They pass untouched, but for the gateway's own headers.
    Pass,
    /// They are 404 `unknown_url`.
    Refuse,
}

/// `routing.positions`: where the filter stands in Envoy.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Positions {
    /// In the listener's filters alone.
    One,
    /// In the router's upstream filters as well, where it runs for each attempt and knows the host. Only
    /// there is a credential set.
    Two,
}

/// `routing.authority`: who tells an upstream its name.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Authority {
    /// The filter, before Envoy chooses the route.
    Filter,
    /// Envoy's route.
    Route,
    /// The filter's second position, after Envoy chose the route.
    Upstream,
}

/// `routing`, apart from the header's name.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Routing {
    /// Where the filter stands.
    pub positions: Positions,
    /// Who sets `:authority`; `Upstream` in two positions only.
    pub authority: Authority,
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
    /// What one worker may hold for all requests together.
    pub max_held_bytes: u64,
}

impl Limits {
    /// What one of `count` virtual keys, or of `count` providers, may hold of `max_held_bytes`. One alone needs no room left for
    /// others, only for what is new.
    #[must_use]
    pub fn share(&self, count: usize) -> u64 {
        let quarter = self.max_held_bytes / 4;
        if count > 1 { quarter } else { quarter * 3 }
    }
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            max_request_bytes: 33_554_432,
            max_buffered_bytes: 33_554_432,
            max_answer_bytes: 16_777_216,
            max_sse_event_bytes: 10_485_760,
            max_held_bytes: 536_870_912,
        }
    }
}

/// `usage.mode`: what is done about token counts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum UsageMode {
    /// They are not looked at.
    Off,
    /// What answers say of them goes into filter state, or an estimate where they say nothing.
    Observe,
    /// Streams are asked for them, too, also where their client did not ask.
    Require,
}

/// `usage`, as it holds for one virtual key.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct UsageSettings {
    /// What is done.
    pub mode: UsageMode,
    /// Tokens that an answer is estimated to have where the request sets no limit.
    pub default_max_tokens: u32,
}

impl Default for UsageSettings {
    fn default() -> Self {
        Self { mode: UsageMode::Off, default_max_tokens: 1024 }
    }
}

/// `answer_headers`: one of the headers that answers of a routed request may get.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub enum AnswerHeader {
    /// The provider's name.
    Provider,
    /// The upstream model id.
    Model,
    /// Envoy's `x-request-id`.
    RequestId,
    /// The cache mode in force.
    CacheMode,
    /// Hit, miss or bypass.
    Cache,
}

/// Those that an operator has chosen.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct AnswerHeaders(u8);

impl AnswerHeaders {
    /// Without a choice.
    pub const ALL: Self = Self(u8::MAX);

    /// Whether answers get it.
    #[must_use]
    pub fn has(self, header: AnswerHeader) -> bool {
        self.0 & Self::bit(header) != 0
    }

    fn bit(header: AnswerHeader) -> u8 {
        1 << header as u8
    }
}

impl FromIterator<AnswerHeader> for AnswerHeaders {
    fn from_iter<I: IntoIterator<Item = AnswerHeader>>(headers: I) -> Self {
        Self(headers.into_iter().fold(0, |bits, header| bits | Self::bit(header)))
    }
}

/// The gateway's own header names, all lower case, made once.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HeaderNames {
    /// Which of them answers get.
    pub answers: AnswerHeaders,
    /// `routing.cluster_header`: Envoy's route reads the cluster from it.
    pub cluster: Rc<str>,
    /// `header_prefix` itself, `x-langwatch` by default.
    pub prefix: Rc<str>,
    /// Request: cache mode override. Answer: hit, miss or bypass.
    pub cache: Rc<str>,
    /// Answer of more than one attempt: who was asked, and what came back.
    pub attempts: Rc<str>,
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
    /// Error of the Messages API: the gateway's own code.
    pub error: Rc<str>,
    /// Answer of POST /responses and POST /messages: parameters that were not carried over.
    pub params_dropped: Rc<str>,
}

impl HeaderNames {
    /// Names for a `header_prefix` and a `cluster_header`, both lower case. Answers get all of them.
    #[must_use]
    pub fn new(prefix: &str, cluster: &str) -> Self {
        let name = |suffix: &str| format!("{prefix}-{suffix}").into();
        Self {
            answers: AnswerHeaders::ALL,
            cluster: cluster.into(),
            prefix: prefix.into(),
            cache: name("cache"),
            attempts: name("attempts"),
            provider: name("provider"),
            model: name("model"),
            request_id: name("request-id"),
            cache_mode: name("cache-mode"),
            models_incomplete: name("models-incomplete"),
            error: name("error"),
            params_dropped: name("params-dropped"),
        }
    }
}
