//! From what an operator wrote to what the hot path looks at.
//!
//! Every rule is checked and every breach reported: a part that is wrong becomes `None` here, and
//! the rest goes on being checked. A configuration is handed out only when nothing was reported.

mod alias;
mod names;
mod provider;
mod request_headers;
mod virtual_key;

use std::borrow::Cow;
use std::sync::Arc;

use serde::Deserialize;
use serde_json::Value;

use super::choices::Choice;
use super::document::{self, Document, Keys};
use super::field::{Field, Integer, OneOf, Variable};
use super::problems::{Path, Problems, ROOT};
use super::raw::{MAX_HELD_BYTES, RawCache, RawConfig, RawLimits, RawUsage};
use super::text::{self, CREDENTIAL_HEADERS};
use crate::policy::key::VirtualKeys;
use crate::policy::model::{AliasTable, AliasTargets};
use crate::policy::{
    AnswerHeader, AnswerHeaders, Authority, CacheMode, Config, HeaderNames, Limits, Outside,
    Positions, Providers, ResponseModel, Routing, Secret, UsageSettings, WithheldHeaders,
};
use names::ProviderNames;

pub use virtual_key::{digest_problem, key_id_problem};

/// The variables of the VM's environment, by name.
type Env<'a> = &'a dyn Fn(&str) -> Option<String>;

/// What the VM's 1 GiB (`proxy-wasm-cpp-host`, `limits.h`) leaves beside code, tables and what every stream needs.
const WORKER_BYTES: u64 = 960 << 20;
/// How much of a body exists at the most while it is converted, in its own length: the body itself, and a rewritten one of
/// twice its length (every character escaped) while it grows from half into whole.
const COPIES: u64 = 6;

impl Config {
    /// Compiles the plugin configuration that Envoy hands over: JSON text, or the protobuf bytes of
    /// a `google.protobuf.Struct`. `env` looks up the VM's environment variables.
    ///
    /// ```
    /// use openai_gateway_filter::policy::Config;
    ///
    /// let problems = Config::from_plugin_configuration(br#"{"providers": [{"nmae": "a"}]}"#, &|_| None).unwrap_err();
    /// assert!(problems.to_string().contains("providers[0].nmae"));
    /// ```
    ///
    /// # Errors
    /// Everything that is wrong with it, each with its path. No value of the configuration or the
    /// environment is repeated there.
    pub fn from_plugin_configuration(bytes: &[u8], env: Env<'_>) -> Result<Self, Problems> {
        let mut problems = Problems::default();
        let config = document::read(bytes, &mut problems).and_then(|Document { rest, keys }| {
            compile(rest, KeySource::Listed(keys), env, &mut problems)
        });
        complete(config, problems)
    }

    /// Like [`from_plugin_configuration`](Self::from_plugin_configuration), with what other threads need to have the same
    /// configuration without the cost of its virtual keys.
    ///
    /// # Errors
    /// As there.
    pub fn for_threads(bytes: &[u8], env: Env<'_>) -> Result<(Self, SharedConfig), Problems> {
        let mut problems = Problems::default();
        let read = document::read(bytes, &mut problems).and_then(|Document { rest, keys }| {
            let config = compile(rest.clone(), KeySource::Listed(keys), env, &mut problems)?;
            let keys = Arc::clone(&config.virtual_keys);
            Some((config, SharedConfig { rest, keys }))
        });
        complete(read, problems)
    }
}

/// A good configuration as threads share it: the virtual keys compiled, the small rest as it was written. The rest is
/// compiled by each thread, since every request counts references to parts of it, which costs more across threads.
pub struct SharedConfig {
    rest: Value,
    keys: Arc<VirtualKeys>,
}

impl SharedConfig {
    /// The configuration for one thread. `env` as when it was read.
    ///
    /// # Errors
    /// What is wrong with it now: the environment may have changed.
    pub fn of_thread(&self, env: Env<'_>) -> Result<Config, Problems> {
        let mut problems = Problems::default();
        let keys = KeySource::Compiled(Arc::clone(&self.keys));
        let config = compile(self.rest.clone(), keys, env, &mut problems);
        complete(config, problems)
    }
}

/// Where the virtual keys come from.
enum KeySource<'a> {
    Listed(Keys<'a>),
    Compiled(Arc<VirtualKeys>),
}

/// What was made, as long as nothing is wrong.
fn complete<T>(made: Option<T>, mut problems: Problems) -> Result<T, Problems> {
    match made {
        Some(made) if problems.is_empty() => Ok(made),
        _ => {
            if problems.is_empty() {
                problems.add(ROOT, "could not be compiled, for a reason that was not found");
            }
            Err(problems)
        }
    }
}

fn compile(
    rest: Value,
    keys: KeySource<'_>,
    env: Env<'_>,
    problems: &mut Problems,
) -> Option<Config> {
    let raw = match Field::<RawConfig>::deserialize(rest) {
        Ok(raw) => raw.given(ROOT, problems)?,
        // Every mistake is kept in its field; serde's own text would show the value.
        Err(_) => {
            problems.add(ROOT, "can't be read");
            return None;
        }
    };
    raw.unknown.report(ROOT, problems);
    let at_routing = ROOT.field("routing");
    let raw_routing = raw.routing.given(&at_routing, problems).unwrap_or_default();
    raw_routing.unknown.report(&at_routing, problems);
    let answers = answer_headers(raw.answer_headers, problems);
    let headers = headers(raw.header_prefix, raw_routing.cluster_header, problems)
        .map(|names| HeaderNames { answers, ..names });
    let (providers, names) = provider::compile(raw.providers, headers.as_ref(), env, problems);
    let usage = usage(raw.usage, UsageSettings::default(), &ROOT.field("usage"), problems);
    let keys = match keys {
        KeySource::Listed(keys) => {
            let beside = virtual_key::Beside { names: &names, usage };
            Arc::new(virtual_key::compile(raw.virtual_keys, keys, &beside, env, problems))
        }
        KeySource::Compiled(keys) => keys,
    };
    let at_aliases = ROOT.field("model_aliases");
    let scope = alias::Scope::Global(&keys);
    let aliases =
        AliasTable::new(alias::compile(raw.model_aliases, &at_aliases, &names, scope, problems));
    let falls_back = aliases.has_fallback() || keys.iter().any(|key| key.aliases.has_fallback());
    let routing = routing(raw_routing.positions, raw_routing.authority, falls_back, problems);
    // Each part is checked before one that is wrong ends the matter: no mistake hides another.
    let path_prefix = path_prefix(raw.path_prefix, problems);
    let auth_headers: Vec<_> =
        providers.iter().filter_map(|provider| provider.auth_header.clone()).collect();
    let config = Config {
        outside: raw.outside.choice(&ROOT.field("outside"), problems).unwrap_or(Outside::Pass),
        providers: Providers::new(providers),
        virtual_keys: keys,
        alias_targets: AliasTargets::of(&aliases),
        aliases,
        routing,
        cache: cache(raw.cache, &ROOT.field("cache"), problems).unwrap_or(CacheMode::Respect),
        usage,
        limits: limits(raw.limits, problems),
        models_cache_seconds: raw
            .models_cache_seconds
            .number(&ROOT.field("models_cache_seconds"), problems)
            .unwrap_or(60),
        response_model: raw
            .response_model
            .choice(&ROOT.field("response_model"), problems)
            .unwrap_or(ResponseModel::Upstream),
        path_prefix: path_prefix?,
        seal_secret: seal_secret(raw.seal_key_env, env, problems),
        withheld: WithheldHeaders::new(headers.as_ref()?, auth_headers),
        headers: headers?,
    };
    Some(config)
}

fn answer_headers(
    raw: Field<Vec<Field<OneOf<AnswerHeader>>>>,
    problems: &mut Problems,
) -> AnswerHeaders {
    let at = ROOT.field("answer_headers");
    match raw.given(&at, problems) {
        None => AnswerHeaders::ALL,
        Some(list) => choices(list, &at, problems).into_iter().collect(),
    }
}

/// `None` if a name is wrong.
fn headers(
    prefix: Field<String>,
    cluster: Field<String>,
    problems: &mut Problems,
) -> Option<HeaderNames> {
    let at_prefix = ROOT.field("header_prefix");
    let prefix = match prefix.given(&at_prefix, problems) {
        None => Some("x-langwatch".to_owned()),
        Some(prefix) => match text::header_name(&prefix) {
            Some(prefix) if text::shadows_a_header(&prefix) => {
                problems.add(
                    &at_prefix,
                    "headers that begin with it are removed from requests, and a header that \
                     requests need is one of them; choose a longer one such as x-gateway",
                );
                None
            }
            Some(prefix) => Some(prefix),
            None => {
                problems.add(&at_prefix, "not the beginning of a valid header name");
                None
            }
        },
    };

    let at_routing = ROOT.field("routing");
    let at_cluster = at_routing.field("cluster_header");
    let cluster = match cluster.given(&at_cluster, problems) {
        None => Some("x-gateway-cluster".to_owned()),
        Some(name) => own_header(&name, &at_cluster, problems).filter(|name| {
            let carries_a_key = CREDENTIAL_HEADERS.contains(&name.as_str());
            if carries_a_key {
                problems.add(&at_cluster, "this header carries credentials; choose another");
            }
            !carries_a_key
        }),
    };

    let names = HeaderNames::new(&prefix?, &cluster?);
    if names.cluster == names.cache {
        problems.add(&at_cluster, "this is the request header that overrides the cache mode");
    }
    Some(names)
}

/// `falls_back`: an alias has a fallback, which takes both positions.
fn routing(
    positions: Field<Integer<1, 2>>,
    authority: Field<OneOf<Authority>>,
    falls_back: bool,
    problems: &mut Problems,
) -> Routing {
    let at = ROOT.field("routing");
    let at_positions = at.field("positions");
    let default = if falls_back { Positions::Two } else { Positions::One };
    let positions = match positions.number(&at_positions, problems) {
        None => default,
        Some(1) => {
            if falls_back {
                let why = "must be 2: an alias has a fallback, whose attempts are rewritten as the \
                           router's upstream filter";
                problems.add(&at_positions, why);
            }
            Positions::One
        }
        Some(2) => Positions::Two,
        Some(_) => default,
    };
    let at_authority = at.field("authority");
    let authority = match (authority.choice(&at_authority, problems), positions) {
        (Some(Authority::Upstream), Positions::One) => {
            problems.add(&at_authority, "upstream takes routing.positions: 2");
            Authority::Filter
        }
        (Some(authority), _) => authority,
        (None, Positions::One) => Authority::Filter,
        (None, Positions::Two) => Authority::Upstream,
    };
    Routing { positions, authority }
}

/// A header that the gateway sets on requests, in lower case.
fn own_header(name: &str, at: &Path<'_>, problems: &mut Problems) -> Option<String> {
    match text::header_name(name) {
        None => {
            problems.add(at, "not a valid header name");
            None
        }
        Some(name) if text::is_reserved(&name) => {
            problems.add(at, "this header frames or routes the request; choose another");
            None
        }
        name => name,
    }
}

/// The secret of what is sealed; `None` where none is given.
fn seal_secret(raw: Field<Variable>, env: Env<'_>, problems: &mut Problems) -> Option<Secret> {
    let at = ROOT.field("seal_key_env");
    let name = raw.given(&at, problems)?;
    let secret = from_env(&name, &at, env, problems)?;
    if secret.expose().is_empty() {
        problems.add(&at, "the variable is empty; give it a secret of 32 random bytes or more");
    }
    Some(secret)
}

fn path_prefix(raw: Field<String>, problems: &mut Problems) -> Option<String> {
    let at = ROOT.field("path_prefix");
    let prefix = raw.given(&at, problems).unwrap_or_else(|| "/v1".to_owned());
    let trimmed = prefix.trim_end_matches('/');
    if trimmed.is_empty() {
        return Some(String::new());
    }
    if !trimmed.starts_with('/') {
        problems.add(&at, "must begin with / (or be empty, for every path)");
        return None;
    }
    if !text::is_visible(trimmed) || trimmed.contains(['?', '#', '\\']) || trimmed.contains("//") {
        problems.add(&at, "must be a plain URL path: no spaces, no ? or #, no empty segment");
        return None;
    }
    Some(trimmed.to_owned())
}

fn limits(raw: Field<RawLimits>, problems: &mut Problems) -> Limits {
    let at = ROOT.field("limits");
    let raw = raw.given(&at, problems).unwrap_or_default();
    raw.unknown.report(&at, problems);
    let default = Limits::default();
    let given_held = raw.max_held_bytes.is_there();
    let max_request_bytes = raw.max_request_bytes.number(&at.field("max_request_bytes"), problems);
    let mut held = |raw: Field<Integer<1, MAX_HELD_BYTES>>, name, default| {
        raw.number(&at.field(name), problems).unwrap_or(default)
    };
    let mut limits = Limits {
        max_request_bytes: max_request_bytes.unwrap_or(default.max_request_bytes),
        max_buffered_bytes: held(
            raw.max_buffered_bytes,
            "max_buffered_bytes",
            default.max_buffered_bytes,
        ),
        max_answer_bytes: held(raw.max_answer_bytes, "max_answer_bytes", default.max_answer_bytes),
        max_sse_event_bytes: held(
            raw.max_sse_event_bytes,
            "max_sse_event_bytes",
            default.max_sse_event_bytes,
        ),
        max_held_bytes: held(raw.max_held_bytes, "max_held_bytes", default.max_held_bytes),
    };
    fit_memory(&mut limits, given_held, &at, problems);
    limits
}

/// What is held and what one event needs beside it have to fit into a worker's memory: an allocation that fails is a trap,
/// which ends every stream of the worker. `given`: the operator has written `max_held_bytes`; where not, it gives way.
fn fit_memory(limits: &mut Limits, given: bool, at: &Path<'_>, problems: &mut Problems) {
    // What is out of its range has been told, and hides nothing else.
    let default = Limits::default();
    let valid =
        |value, default| if (1..=MAX_HELD_BYTES).contains(&value) { value } else { default };
    let largest = valid(limits.max_buffered_bytes, default.max_buffered_bytes)
        .max(valid(limits.max_answer_bytes, default.max_answer_bytes))
        .max(valid(limits.max_sse_event_bytes, default.max_sse_event_bytes));
    let room = WORKER_BYTES.saturating_sub(largest.saturating_mul(COPIES));
    if valid(limits.max_held_bytes, default.max_held_bytes) <= room {
        return;
    }
    if !given && room >= largest {
        limits.max_held_bytes = room;
        return;
    }
    problems.add(
        &at.field("max_held_bytes"),
        format!(
            "does not fit into a worker's memory beside what one request of the largest size needs: with {COPIES} times the \
             largest of max_buffered_bytes, max_answer_bytes and max_sse_event_bytes it must be {WORKER_BYTES} or less"
        ),
    );
}

/// `{mode: …}`; `None` if no mode is given.
fn cache(raw: Field<RawCache>, at: &Path<'_>, problems: &mut Problems) -> Option<CacheMode> {
    let raw = raw.given(at, problems)?;
    raw.unknown.report(at, problems);
    raw.mode.choice(&at.field("mode"), problems)
}

/// `{mode: …, default_max_tokens: …}`; what is not given is as in `default`.
fn usage(
    raw: Field<RawUsage>,
    default: UsageSettings,
    at: &Path<'_>,
    problems: &mut Problems,
) -> UsageSettings {
    let raw = raw.given(at, problems).unwrap_or_default();
    raw.unknown.report(at, problems);
    let most = raw.default_max_tokens.number(&at.field("default_max_tokens"), problems);
    UsageSettings {
        mode: raw.mode.choice(&at.field("mode"), problems).unwrap_or(default.mode),
        default_max_tokens: most
            .map_or(default.default_max_tokens, |most| u32::try_from(most).unwrap_or(u32::MAX)),
    }
}

/// The elements of a list of names that stand for a choice; the others are reported.
fn choices<T: Choice>(raw: Vec<Field<OneOf<T>>>, at: &Path<'_>, problems: &mut Problems) -> Vec<T> {
    raw.into_iter()
        .enumerate()
        .filter_map(|(index, item)| item.choice(&at.item(index), problems))
        .collect()
}

/// The elements of a list that are strings and that `is_good` accepts; the others are reported.
fn strings(
    raw: Vec<Field<String>>,
    at: &Path<'_>,
    problems: &mut Problems,
    problem: impl Fn(&str) -> Option<Cow<'static, str>>,
) -> Vec<String> {
    let mut kept = Vec::with_capacity(raw.len());
    for (index, item) in raw.into_iter().enumerate() {
        let at = at.item(index);
        let Some(text) = item.given(&at, problems) else { continue };
        match problem(&text) {
            None => kept.push(text),
            Some(why) => problems.add(&at, why),
        }
    }
    kept
}

/// The value of an environment variable. The variable's name is not repeated: where a name should
/// be, people put the key itself.
fn from_env(
    Variable(name): &Variable,
    at: &Path<'_>,
    env: Env<'_>,
    problems: &mut Problems,
) -> Option<Secret> {
    if !text::is_variable(name) {
        problems.add(
            at,
            "must be the name of a variable: letters, digits and _, and no digit in front. Is it the key itself? That belongs \
             into the variable's value",
        );
        return None;
    }
    let value = env(name);
    if value.is_none() {
        problems.add(
            at,
            "the VM has no environment variable of this name; pass it on in \
             vm_config.environment_variables",
        );
    }
    value.map(Secret::new)
}
