//! The configuration as an operator writes it: a mirror of the JSON, without rules.
//!
//! Every member is a [`Field`], which keeps a value of the wrong type as a problem instead of ending
//! the reading: all problems are reported at once. Members that are not named here are collected,
//! and refused. `null` is a value of the wrong type: `models_allowed:` with all its lines commented
//! out must not come to mean "everything".
//!
//! What stands here is all that there is: the suggestions for misspelt names and the JSON Schema are
//! made of the same declarations, and a member's comment is its description there.

use std::collections::BTreeMap;
use std::convert::Infallible;
use std::fmt;
use std::marker::PhantomData;

use serde::Deserialize;
use serde::de::value::{MapAccessDeserializer, SeqAccessDeserializer};
use serde::de::{self, Deserializer, MapAccess, SeqAccess, Visitor};

use super::choices::AuthMode;
use super::field::{Field, Integer, Needed, Object, ObjectMember, OneOf, Shape, Unknown, Variable};
#[cfg(not(target_arch = "wasm32"))]
use super::schema::{self, Schema};
use crate::policy::operation::Operation;
use crate::policy::{
    AnswerHeader, Authority, CacheMode, MessagesApi, Outside, ProviderKind, ResponseModel,
    ResponsesApi, Secret, UsageMode,
};

/// The most that may be held in memory at once, in bytes: a quarter of what wasm32 can address.
pub(super) const MAX_HELD_BYTES: u64 = 1 << 30;
/// The longest that a fetched model list may be kept, in seconds: a year.
const MAX_CACHE_SECONDS: u64 = 31_536_000;
const MAX_U32: u64 = u32::MAX as u64;

/// What a limit of held bytes may be.
type HeldBytes = Integer<1, MAX_HELD_BYTES>;

/// Declares objects: each a struct whose members are [`Field`]s, with room for unknown ones. Of those behind `one of` exactly one
/// must be there.
macro_rules! objects {
    ($($(#[doc = $about:literal])* $name:ident $((one of $($one:ident)+))? {
        $($(#[doc = $doc:literal])+ pub $member:ident: $type:ty,)*
    })*) => {$(
        $(#[doc = $about])*
        #[derive(Deserialize, Default)]
        #[serde(default)]
        pub(super) struct $name {
            $($(#[doc = $doc])+ pub $member: $type,)*
            #[serde(flatten)]
            pub unknown: Unknown<Self>,
        }

        impl Object for $name {
            const MEMBERS: &'static [&'static str] = &[$(stringify!($member)),*];
            const ONE_OF: &'static [&'static str] = &[$($(stringify!($one)),+)?];

            fn given_of(&self) -> usize {
                let there: &[bool] = &[$($(ObjectMember::is_there(&self.$one)),+)?];
                there.iter().filter(|is_there| **is_there).count()
            }
        }

        impl Shape for $name {
            const EXPECTED: &'static str = "an object";

            #[cfg(not(target_arch = "wasm32"))]
            fn schema() -> Schema {
                let members = vec![$(schema::Property {
                    name: stringify!($member),
                    about: &[$($doc),+],
                    schema: <$type as Shape>::schema(),
                    is_needed: <$type as ObjectMember>::IS_NEEDED,
                }),*];
                schema::object(members, Self::ONE_OF)
            }
        }
    )*};
}

objects! {
    /// The whole configuration.
    RawConfig {
        /// The upstream servers; at least one.
        pub providers: Needed<Vec<Field<RawProvider>>>,
        /// The keys that clients hold. Without one, every request is refused with 401.
        pub virtual_keys: Field<Streamed<RawVirtualKey>>,
        /// Names for models, for every virtual key; a key's own entry wins.
        pub model_aliases: Field<RawAliases>,
        /// How the provider's prompt cache is used, for keys without their own.
        pub cache: Field<RawCache>,
        /// What is done about token counts, for keys without their own.
        pub usage: Field<RawUsage>,
        /// How Envoy's route follows the filter.
        pub routing: Field<RawRouting>,
        /// The beginning of the gateway's own header names. Default: x-langwatch.
        pub header_prefix: Field<String>,
        /// Requests outside of it are not governed. Default: /v1.
        pub path_prefix: Field<String>,
        /// What becomes of requests outside of path_prefix: they pass untouched (pass, the default), or
        /// are answered with 404 (refuse).
        pub outside: Field<OneOf<Outside>>,
        /// What may be sent, held and answered.
        pub limits: Field<RawLimits>,
        /// How long a worker keeps a fetched model list, in seconds. Default: 60.
        pub models_cache_seconds: Field<Integer<0, MAX_CACHE_SECONDS>>,
        /// The `model` in answers: as the server wrote it (upstream, the default), or the id that the
        /// client asked for (requested).
        pub response_model: Field<OneOf<ResponseModel>>,
        /// Which headers answers get: provider, model, request_id, cache_mode, cache. Default: all; []: none.
        pub answer_headers: Field<Vec<Field<OneOf<AnswerHeader>>>>,
        /// A variable of vm_config.environment_variables that holds the secret under which clients bring
        /// back what only the gateway may read: reasoning and compactions. Absent: each virtual key itself.
        pub seal_key_env: Field<Variable>,
    }

    /// One upstream server.
    RawProvider {
        /// The prefix in `provider/model`; unique. Required.
        pub name: Needed<String>,
        /// What the server is, which decides its operations. Default: openai.
        pub kind: Field<OneOf<ProviderKind>>,
        /// Where its API is, without /chat/completions. Required; kind vllm: http://localhost:8000.
        pub base_url: Field<String>,
        /// The Envoy cluster. Default: the name.
        pub cluster: Field<String>,
        /// Names of clusters that Envoy itself may show for it, * for any run of characters. Default: cluster.
        pub upstream_clusters: Field<Vec<Field<String>>>,
        /// The credential that it gets.
        pub auth: Field<RawAuth>,
        /// The curated list of its model ids: what /v1/models shows, and all that can be reached.
        pub models: Field<Vec<Field<String>>>,
        /// The operations that it is offered for, in place of the kind's own.
        pub operations: Field<Vec<Field<OneOf<Operation>>>>,
        /// How Responses API requests reach it: converted to chat completions, or forwarded.
        pub responses_api: Field<OneOf<ResponsesApi>>,
        /// How Messages API requests reach it: converted to chat completions, or forwarded.
        pub messages_api: Field<OneOf<MessagesApi>>,
        /// Whether cache_control of a Messages request may go to it in a chat request. Default: false.
        pub cache_control: Field<bool>,
        /// Whether it may be asked for `stream_options.include_usage`. Default: true.
        pub stream_usage: Field<bool>,
        /// Where it wants earlier reasoning back, such as reasoning_content.
        pub reasoning_field: Field<String>,
        /// May what only OpenAI's own servers know (`prompt_cache_key`, `safety_identifier`, …) go to it in
        /// converted requests.
        pub openai_hints: Field<bool>,
        /// Names of top-level members of JSON requests that it refuses: they are taken out and named.
        pub drop_params: Field<Vec<Field<String>>>,
        /// May it be told how much to think. `false`: an effort is left out and named.
        pub reasoning_effort: Field<bool>,
        /// May system messages of converted requests stand between others.
        pub system_anywhere: Field<bool>,
        /// Further changes to the head of its requests.
        pub request_headers: Field<RawRequestHeaders>,
    }

    /// Changes to the head of a provider's requests.
    RawRequestHeaders {
        /// Headers that it does not get.
        pub remove: Field<Vec<Field<String>>>,
        /// Headers that it gets, with their values, in the place of a client's.
        pub set: Field<BTreeMap<String, Field<Secret>>>,
    }

    /// The credential of a provider.
    RawAuth {
        /// How the key is sent. Default: bearer.
        pub mode: Field<OneOf<AuthMode>>,
        /// The header of mode header.
        pub header: Field<String>,
        /// Put before the key in mode header.
        pub prefix: Field<Secret>,
        /// The key itself. Prefer key_env.
        pub key: Field<Secret>,
        /// A variable of vm_config.environment_variables that holds the key.
        pub key_env: Field<Variable>,
    }

    /// A key that clients hold.
    RawVirtualKey (one of key key_sha256 key_env) {
        /// What logs, metrics and headers show; unique. Required.
        pub id: Needed<String>,
        /// The key itself. Prefer key_sha256.
        pub key: Field<Secret>,
        /// The key's SHA-256, 64 hexadecimal digits; or a list of them, while one key takes over from another.
        pub key_sha256: Field<OneOrMany<Secret>>,
        /// A variable of vm_config.environment_variables that holds the key.
        pub key_env: Field<Variable>,
        /// The bound providers, the first is the primary. Default: all, in order.
        pub providers: Field<Vec<Field<String>>>,
        /// Patterns of models that it may use, * for any run of characters. Default: all; []: none.
        pub models_allowed: Field<Vec<Field<String>>>,
        /// Names for models, for this key.
        pub model_aliases: Field<RawAliases>,
        /// How the provider's prompt cache is used. Default: the global one.
        pub cache: Field<RawCache>,
        /// What is done about its token counts. Each member left out is the global one.
        pub usage: Field<RawUsage>,
        /// Whether it is switched off. Default: false.
        pub revoked: Field<bool>,
        /// A time as in RFC 3339 from which on it is refused.
        pub expires_at: Field<String>,
    }

    /// The use of the provider's prompt cache.
    RawCache {
        /// Default: respect.
        pub mode: Field<OneOf<CacheMode>>,
    }

    /// What is done about token counts.
    RawUsage {
        /// off (the default): nothing; observe: they go into filter state; require: streams are asked for
        /// them, too.
        pub mode: Field<OneOf<UsageMode>>,
        /// Tokens that an answer is estimated to have where the request sets no limit. Default: 1024.
        pub default_max_tokens: Field<Integer<0, MAX_U32>>,
    }

    /// How Envoy's route follows the filter.
    RawRouting {
        /// The header in which the filter names the cluster. Default: x-gateway-cluster.
        pub cluster_header: Field<String>,
        /// 1: the filter stands in the listener's http_filters; 2: in the router's upstream_http_filters,
        /// too. Default: 2 where an alias has a fallback, else 1.
        pub positions: Field<Integer<1, 2>>,
        /// Who sets :authority for the provider: the filter in the listener (filter), Envoy's route
        /// (route), or the filter's second position (upstream). Default: upstream in two positions, else
        /// filter.
        pub authority: Field<OneOf<Authority>>,
    }

    /// What may be sent, held and answered.
    RawLimits {
        /// A request body, declared or counted. Default: 33554432.
        pub max_request_bytes: Field<Integer<1>>,
        /// What may be held of one request body. Default: 33554432.
        pub max_buffered_bytes: Field<HeldBytes>,
        /// What may be held of one answer. Default: 16777216.
        pub max_answer_bytes: Field<HeldBytes>,
        /// One event or line of a stream. Default: 10485760.
        pub max_sse_event_bytes: Field<HeldBytes>,
        /// What one worker may hold for all requests together. Default: 536870912.
        pub max_held_bytes: Field<HeldBytes>,
    }

    /// One choice of a weighted split.
    RawChoice (one of target fallback) {
        /// provider/model. Required, unless there is a fallback.
        pub target: Field<String>,
        /// Two or more provider/model, tried in this order.
        pub fallback: Field<Vec<Field<String>>>,
        /// The Envoy cluster over those of the fallback's providers. Required with a fallback.
        pub cluster: Field<String>,
        /// Its share, 1 or more. Required.
        pub weight: Needed<Integer<1>>,
    }

    /// Targets that are tried one after the other.
    RawFallback {
        /// Two or more provider/model, in this order. Required.
        pub fallback: Needed<Vec<Field<String>>>,
        /// The Envoy cluster over those of the providers. Default: the alias's name.
        pub cluster: Field<String>,
    }
}

/// A list that is not read with the rest but item by item ([`super::document::Keys`]): as a member it is there only
/// where it is no list, and so never right.
pub(super) struct Streamed<T>(Infallible, PhantomData<T>);

impl<T: Shape> Shape for Streamed<T> {
    const EXPECTED: &'static str = Vec::<Field<T>>::EXPECTED;

    #[cfg(not(target_arch = "wasm32"))]
    fn schema() -> Schema {
        Vec::<Field<T>>::schema()
    }
}

impl<'de, T: Shape> Deserialize<'de> for Streamed<T> {
    fn deserialize<D: Deserializer<'de>>(_: D) -> Result<Self, D::Error> {
        Err(de::Error::custom(Self::EXPECTED))
    }
}

pub(super) type RawAliases = BTreeMap<String, Field<RawTargets>>;

/// A value, or a list of such values.
pub(super) enum OneOrMany<T> {
    One(T),
    Many(Vec<Field<T>>),
}

impl<T: Shape> Shape for OneOrMany<T> {
    const EXPECTED: &'static str = "a string or a list of strings";

    #[cfg(not(target_arch = "wasm32"))]
    fn schema() -> Schema {
        schema::any_of([T::schema(), Vec::<Field<T>>::schema()])
    }
}

impl<'de> Deserialize<'de> for OneOrMany<Secret> {
    fn deserialize<D: Deserializer<'de>>(input: D) -> Result<Self, D::Error> {
        input.deserialize_any(OneOrManyVisitor)
    }
}

struct OneOrManyVisitor;

impl<'de> Visitor<'de> for OneOrManyVisitor {
    type Value = OneOrMany<Secret>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(OneOrMany::<Secret>::EXPECTED)
    }

    fn visit_str<E: de::Error>(self, value: &str) -> Result<Self::Value, E> {
        Secret::deserialize(de::value::StrDeserializer::new(value)).map(OneOrMany::One)
    }

    fn visit_seq<A: SeqAccess<'de>>(self, items: A) -> Result<Self::Value, A::Error> {
        Vec::deserialize(SeqAccessDeserializer::new(items)).map(OneOrMany::Many)
    }
}

/// Where an alias leads.
pub(super) enum RawTargets {
    /// `provider/model`
    One(String),
    /// `[{target, weight}]`
    Split(Vec<Field<RawChoice>>),
    /// `{fallback, cluster}`
    Fallback(RawFallback),
}

impl Shape for RawTargets {
    const EXPECTED: &'static str =
        "a `provider/model` string, a list of {target, weight}, or {fallback: [provider/model, …]}";

    #[cfg(not(target_arch = "wasm32"))]
    fn schema() -> Schema {
        schema::any_of([String::schema(), Vec::<Field<RawChoice>>::schema(), RawFallback::schema()])
    }
}

impl<'de> Deserialize<'de> for RawTargets {
    fn deserialize<D: Deserializer<'de>>(input: D) -> Result<Self, D::Error> {
        input.deserialize_any(TargetsVisitor)
    }
}

struct TargetsVisitor;

impl<'de> Visitor<'de> for TargetsVisitor {
    type Value = RawTargets;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(RawTargets::EXPECTED)
    }

    fn visit_str<E: de::Error>(self, target: &str) -> Result<RawTargets, E> {
        Ok(RawTargets::One(target.to_owned()))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, items: A) -> Result<RawTargets, A::Error> {
        Vec::deserialize(SeqAccessDeserializer::new(items)).map(RawTargets::Split)
    }

    fn visit_map<A: MapAccess<'de>>(self, members: A) -> Result<RawTargets, A::Error> {
        RawFallback::deserialize(MapAccessDeserializer::new(members)).map(RawTargets::Fallback)
    }
}

/// The plugin configuration as a JSON Schema (2020-12). It knows names, types, ranges and what must be there; the rules that go further
/// are those of [`Config::from_plugin_configuration`](crate::policy::Config::from_plugin_configuration).
#[must_use]
#[cfg(not(target_arch = "wasm32"))]
pub fn schema() -> Schema {
    let mut schema = serde_json::json!({
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "openai-gateway-filter",
        "description": "The plugin configuration of openai-gateway-filter.",
    });
    if let (Some(schema), serde_json::Value::Object(config)) =
        (schema.as_object_mut(), RawConfig::schema())
    {
        schema.extend(config);
    }
    schema
}
