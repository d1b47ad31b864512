//! `providers`.

use std::borrow::Cow;
use std::rc::Rc;

use super::super::choices::{AuthMode, Choice as _};
use super::super::field::{Field, Needed, Variable};
use super::super::problems::{Path, Problems, ROOT};
use super::super::raw::{RawAuth, RawProvider};
use super::super::text::{self, BaseUrl};
use super::{Env, ProviderNames, choices, own_header, request_headers, strings};
use crate::policy::model::{own_id_problem, pattern_problem};
use crate::policy::operation::{Operation, OperationSet};
use crate::policy::pattern::Pattern;
use crate::policy::{
    Credential, HeaderNames, MessagesApi, Models, Provider, ProviderId, ProviderKind, ResponsesApi,
    Secret, Takes,
};

/// The providers that are good, and the names of all.
pub(super) fn compile(
    raw: Needed<Vec<Field<RawProvider>>>,
    headers: Option<&HeaderNames>,
    env: Env<'_>,
    problems: &mut Problems,
) -> (Vec<Provider>, ProviderNames) {
    let at = ROOT.field("providers");
    let (mut compiled, mut names) = (Vec::new(), ProviderNames::default());
    let Some(raw) = raw.given(&at, problems) else { return (compiled, names) };
    if raw.is_empty() {
        problems.add(&at, "needs at least one provider");
    }
    for ((index, provider), id) in raw.into_iter().enumerate().zip((0..).map(ProviderId)) {
        let at = at.item(index);
        let Some(provider) = provider.given(&at, problems) else { continue };
        compiled.extend(self::provider(provider, id, &mut names, headers, &at, env, problems));
    }
    (compiled, names)
}

fn provider(
    raw: RawProvider,
    id: ProviderId,
    names: &mut ProviderNames,
    headers: Option<&HeaderNames>,
    at: &Path<'_>,
    env: Env<'_>,
    problems: &mut Problems,
) -> Option<Provider> {
    raw.unknown.report(at, problems);
    let name = name(raw.name, id, names, &at.field("name"), problems);
    let kind = raw.kind.choice(&at.field("kind"), problems).unwrap_or(ProviderKind::Openai);
    let base_url = base_url(raw.base_url, kind, &at.field("base_url"), problems);
    let (auth_header, credential) = auth(raw.auth, headers, &at.field("auth"), env, problems);
    let at_models = at.field("models");
    let models = raw.models.given(&at_models, problems).map(|list| {
        let prefix = name.as_deref().map_or_else(String::new, |name| format!("{name}/"));
        Models::new(strings(list, &at_models, problems, |id| model_problem(&prefix, id)))
    });
    if let (Some(name), Some(models)) = (&name, &models) {
        names.list(name, models.iter());
    }
    let at_operations = at.field("operations");
    let operations = match raw.operations.given(&at_operations, problems) {
        Some(list) => choices(list, &at_operations, problems).into_iter().collect(),
        None => default_operations(kind),
    };
    let responses_api = raw
        .responses_api
        .choice(&at.field("responses_api"), problems)
        .unwrap_or(ResponsesApi::Chat);
    let messages_api =
        raw.messages_api.choice(&at.field("messages_api"), problems).unwrap_or(MessagesApi::Chat);
    let cache_control =
        raw.cache_control.given(&at.field("cache_control"), problems).unwrap_or(false);
    let stream_usage = raw.stream_usage.given(&at.field("stream_usage"), problems).unwrap_or(true);
    let at_reasoning = at.field("reasoning_field");
    let reasoning_field = raw.reasoning_field.given(&at_reasoning, problems);
    if reasoning_field.as_deref().is_some_and(|field| !text::is_name(field)) {
        problems.add(&at_reasoning, "must be a name of A-Z, a-z, 0-9, `.`, `_` and `-`");
    }
    let mut flag =
        |raw: Field<bool>, name, default| raw.given(&at.field(name), problems).unwrap_or(default);
    let default = Takes::DEFAULT;
    let takes = Takes {
        openai_hints: flag(raw.openai_hints, "openai_hints", default.openai_hints),
        reasoning_effort: flag(raw.reasoning_effort, "reasoning_effort", default.reasoning_effort),
        system_anywhere: flag(raw.system_anywhere, "system_anywhere", default.system_anywhere),
    };
    let drop_params = drop_params(raw.drop_params, &at.field("drop_params"), problems);
    let cluster = cluster(raw.cluster, &at.field("cluster"), problems);
    let upstream_clusters =
        upstream_clusters(raw.upstream_clusters, &at.field("upstream_clusters"), problems);
    let request_headers = request_headers::compile(
        raw.request_headers,
        headers,
        &at.field("request_headers"),
        problems,
    );

    let name: Rc<str> = name?.into();
    let BaseUrl { authority, path: base_path } = base_url?;
    let cluster = cluster.map_or_else(|| name.clone(), Rc::from);
    Some(Provider {
        upstream_clusters: upstream_clusters.unwrap_or_else(|| [Pattern::new(&cluster)].into()),
        cluster,
        name,
        kind,
        authority: authority.into(),
        base_path,
        credential,
        auth_header: auth_header.map(Rc::from),
        models,
        operations,
        responses_api,
        messages_api,
        cache_control,
        stream_usage,
        reasoning_field,
        takes,
        drop_params,
        request_headers,
    })
}

/// Without these a request is no request, or asks for another kind of answer than its client reads.
const KEPT_PARAMS: [&str; 6] = ["model", "messages", "prompt", "input", "query", "stream"];

fn drop_params(
    raw: Field<Vec<Field<String>>>,
    at: &Path<'_>,
    problems: &mut Problems,
) -> Vec<String> {
    let raw = raw.given(at, problems).unwrap_or_default();
    let mut names = Vec::with_capacity(raw.len());
    for (index, item) in raw.into_iter().enumerate() {
        let at = at.item(index);
        let Some(name) = item.given(&at, problems) else { continue };
        if !text::is_name(&name) {
            problems.add(&at, "must be a name of A-Z, a-z, 0-9, `.`, `_` and `-`");
        } else if KEPT_PARAMS.contains(&name.as_str()) {
            problems.add(&at, "no request can do without this parameter");
        } else if !names.contains(&name) {
            names.push(name);
        }
    }
    names
}

/// What the name of a cluster must be.
const CLUSTER_RULE: &str = "must be printable ASCII without spaces, and not empty";

/// What is wrong with an entry of `models`. `prefix`: the provider's name with its `/`, by which any client may ask for it; one with signs that
/// no request may send is asked for through an alias.
fn model_problem(prefix: &str, id: &str) -> Option<Cow<'static, str>> {
    if !text::is_printable(id) {
        return Some("a model id must not be empty or hold control characters".into());
    }
    let why = own_id_problem(id).or_else(|| own_id_problem(&format!("{prefix}{id}")))?;
    Some(format!("no request can ask for this model: its id {why}").into())
}

/// The name of an Envoy cluster.
pub(super) fn cluster(
    raw: Field<String>,
    at: &Path<'_>,
    problems: &mut Problems,
) -> Option<String> {
    let cluster = raw.given(at, problems)?;
    if !text::is_visible(&cluster) {
        problems.add(at, CLUSTER_RULE);
    }
    Some(cluster)
}

/// `None` where none are given: then the cluster's own name counts.
fn upstream_clusters(
    raw: Field<Vec<Field<String>>>,
    at: &Path<'_>,
    problems: &mut Problems,
) -> Option<Box<[Pattern]>> {
    let raw = raw.given(at, problems)?;
    if raw.is_empty() {
        problems.add(at, "names no cluster; leave it out for the name in `cluster`");
    }
    let names = strings(raw, at, problems, |name| {
        (!text::is_visible(name)).then_some(format!("a cluster's name {CLUSTER_RULE}").into())
    });
    Some(names.iter().map(|name| Pattern::new(name)).collect())
}

fn name(
    raw: Needed<String>,
    id: ProviderId,
    names: &mut ProviderNames,
    at: &Path<'_>,
    problems: &mut Problems,
) -> Option<String> {
    let name = raw.given(at, problems)?;
    if !text::is_name(&name) {
        problems.add(at, "must be a name of A-Z, a-z, 0-9, `.`, `_` and `-`");
        return None;
    }
    if let Some(why) = pattern_problem(&format!("{name}/*")) {
        let why =
            format!("no request can ask for a model of it: an id that begins with this name {why}");
        problems.add(at, why);
    }
    if let Some(first) = names.get(&name) {
        problems.add(at, format!("the same as providers[{}].name", first.0));
        return None;
    }
    names.insert(name.clone(), id);
    Some(name)
}

fn base_url(
    raw: Field<String>,
    kind: ProviderKind,
    at: &Path<'_>,
    problems: &mut Problems,
) -> Option<BaseUrl> {
    let url = match kind {
        ProviderKind::Vllm if !raw.is_there() => "http://localhost:8000".to_owned(),
        _ => raw.required(at, problems)?,
    };
    BaseUrl::parse(&url).map_err(|reason| problems.add(at, reason)).ok()
}

fn default_operations(kind: ProviderKind) -> OperationSet {
    let beyond_vllm = [
        Operation::Speech,
        Operation::ImageGeneration,
        Operation::ImageEdit,
        Operation::Moderations,
    ];
    let offered = Operation::NAMES.iter().map(|(_, operation)| *operation);
    offered
        .filter(|operation| kind == ProviderKind::Openai || !beyond_vllm.contains(operation))
        .collect()
}

/// The custom header of mode `header`, and the credential to send.
fn auth(
    raw: Field<RawAuth>,
    headers: Option<&HeaderNames>,
    at: &Path<'_>,
    env: Env<'_>,
    problems: &mut Problems,
) -> (Option<String>, Option<Credential>) {
    let raw = raw.given(at, problems).unwrap_or_default();
    raw.unknown.report(at, problems);
    let mode = raw.mode.choice(&at.field("mode"), problems).unwrap_or(AuthMode::Bearer);

    let (at_header, at_prefix) = (at.field("header"), at.field("prefix"));
    let (header, prefix) = if mode == AuthMode::Header {
        let header = raw.header.required(&at_header, problems);
        let header = header.and_then(|name| own_header(&name, &at_header, problems));
        let taken = |names: &HeaderNames| {
            header.as_ref().is_some_and(|header| {
                **header == *names.cluster || header.starts_with(&*names.prefix)
            })
        };
        if headers.is_some_and(taken) {
            problems.add(&at_header, "this is one of the gateway's own headers; choose another");
        }
        (header, raw.prefix.given(&at_prefix, problems))
    } else {
        for (at, is_there) in
            [(&at_header, raw.header.is_there()), (&at_prefix, raw.prefix.is_there())]
        {
            if is_there {
                problems.add(at, "only mode header has it");
            }
        }
        (None, None)
    };
    if mode == AuthMode::None && (raw.key.is_there() || raw.key_env.is_there()) {
        problems.add(at, "mode none sends no credential: leave out key and key_env");
    }

    let Some(key) = key(raw.key, raw.key_env, at, env, problems) else { return (header, None) };
    let prefix = match (mode, &prefix) {
        (AuthMode::Bearer, _) => "Bearer ",
        (AuthMode::Header, Some(prefix)) => prefix.expose(),
        _ => "",
    };
    if prefix.chars().any(char::is_control) {
        problems.add(&at_prefix, "must not hold control characters");
    }
    let value = Secret::new(format!("{prefix}{}", key.expose()));
    let name = match mode {
        AuthMode::Bearer => Some("authorization".to_owned()),
        AuthMode::ApiKey => Some("api-key".to_owned()),
        AuthMode::Header => header.clone(),
        AuthMode::None => None,
    };
    let credential = name.map(|header| Credential::new(header.into(), value));
    (header, credential)
}

/// The provider's key; `None` if there is none, or it is empty: then no credential is sent.
fn key(
    literal: Field<Secret>,
    variable: Field<Variable>,
    at: &Path<'_>,
    env: Env<'_>,
    problems: &mut Problems,
) -> Option<Secret> {
    if literal.is_there() && variable.is_there() {
        problems.add(at, "give key or key_env, not both");
        return None;
    }
    let (at_key, at_env) = (at.field("key"), at.field("key_env"));
    let (key, at) = match variable.given(&at_env, problems) {
        Some(name) => (super::from_env(&name, &at_env, env, problems)?, &at_env),
        None => (literal.given(&at_key, problems)?, &at_key),
    };
    if key.expose().chars().any(char::is_control) {
        problems.add(at, "the key holds a control character; is there a line feed at its end?");
        return None;
    }
    if key.expose().trim() != &**key.expose() {
        problems.add(at, "the key begins or ends with a space");
        return None;
    }
    (!key.expose().is_empty()).then_some(key)
}
