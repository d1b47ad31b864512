//! `explain`: what becomes of a request, by the filter's own code.

use std::time::{SystemTime, UNIX_EPOCH};

use openai_gateway_filter::error::{Code, GatewayError};
use openai_gateway_filter::exchange::{offered, upstream_path};
use openai_gateway_filter::policy::key::VirtualKey;
use openai_gateway_filter::policy::model::{
    AliasTable, AliasTarget, Allowlist, Plan, Target, Targets, Way, resolve,
};
use openai_gateway_filter::policy::operation::{Operation, classify};
use openai_gateway_filter::policy::{Config, Provider, ProviderId, UsageMode};
use serde_json::{Value, json};

use super::document::Node;

/// A request, as it is asked about.
pub struct Question<'a> {
    /// The virtual key's id.
    pub key: &'a str,
    /// The model as the client writes it.
    pub model: &'a str,
    /// What is asked of it.
    pub operation: Operation,
}

/// Where a model leads with some of its draws.
struct Route {
    plan: Plan,
    weight: u64,
}

/// What the draws of a model come to.
#[derive(Default)]
pub struct Draws {
    routes: Vec<Route>,
    /// Those that are refused.
    pub refused: Vec<Lost>,
}

impl Draws {
    /// Whether none passes.
    pub fn are_all_refused(&self) -> bool {
        self.routes.is_empty()
    }

    /// Whether some requests pass and some do not.
    pub fn are_mixed(&self) -> bool {
        !self.routes.is_empty() && !self.refused.is_empty()
    }
}

/// A share of a split's requests that is refused.
pub struct Lost {
    /// How.
    pub code: Code,
    /// Its first target, `provider/model`.
    target: Option<String>,
    weight: u64,
}

impl Lost {
    fn json(&self) -> Value {
        json!({"code": self.code.as_str(), "target": self.target, "weight": self.weight})
    }
}

impl Route {
    fn targets(&self) -> impl Iterator<Item = &Target> {
        std::iter::once(&self.plan.first).chain(&self.plan.rest)
    }
}

/// The path of an operation, behind `path_prefix`.
fn path_of(operation: Operation) -> Option<&'static str> {
    const PATHS: [&str; 15] = [
        "/chat/completions",
        "/completions",
        "/embeddings",
        "/responses",
        "/responses/compact",
        "/responses/input_tokens",
        "/messages",
        "/messages/count_tokens",
        "/moderations",
        "/audio/transcriptions",
        "/audio/translations",
        "/audio/speech",
        "/images/generations",
        "/images/edits",
        "/rerank",
    ];
    PATHS
        .into_iter()
        .find(|path| classify(b"POST", path).is_ok_and(|found| found.operation == operation))
}

/// The operation of a name, if a request of it names a model.
pub fn operation(name: &str) -> Option<Operation> {
    Operation::from_note(name).filter(|operation| path_of(*operation).is_some())
}

/// What becomes of a request, as JSON (docs/reference.md, "The tool").
pub fn explain(config: &Config, tree: &Node, question: &Question<'_>) -> Value {
    let found = config.virtual_keys.by_id(question.key);
    let Some(key) = found else { return refused("invalid_api_key", None, None) };
    if key.revoked {
        return refused("virtual_key_revoked", None, None);
    }
    if key.expires_at.is_some_and(|at| at <= now()) {
        return refused("virtual_key_expired", None, None);
    }
    let raw_key = tree
        .get("virtual_keys")
        .map(Node::items)
        .unwrap_or_default()
        .iter()
        .find(|raw| raw.text_of("id") == &*key.id);
    let alias = alias(config, key, question.model);
    let Draws { routes, refused: lost } = draws(config, key, question);
    if let ([], Some(lost)) = (&*routes, lost.first()) {
        return refused(lost.code.as_str(), alias.as_deref(), None);
    }
    let first = routes.iter().flat_map(Route::targets).find_map(|target| {
        let provider = config.providers.get(target.provider)?;
        Some((provider, &*target.model))
    });
    let asked = alias.is_some().then_some(question.model);
    let allowed_by =
        first.and_then(|(provider, model)| allowed_by(config, raw_key, asked, provider, model));
    let is_split = routes.len().saturating_add(lost.len()) > 1;
    let targets: Vec<Value> = routes
        .iter()
        .flat_map(|route| {
            let weight = is_split.then_some(route.weight);
            route.targets().filter_map(move |target| {
                self::target(config, tree, target, question.operation, weight)
            })
        })
        .collect();
    json!({
        "decision": "route",
        "code": null,
        "alias": alias,
        "allowed_by": allowed_by,
        "targets": targets,
        "refused": lost.iter().map(Lost::json).collect::<Vec<_>>(),
        "fallbacks": fallbacks(config, &routes, alias_entry(raw_key, tree, alias.as_deref())),
        "usage": usage(key),
    })
}

/// What each fallback comes to for this key and operation: the cluster over its targets, who is asked in which order, how
/// often Envoy may ask another one, and which of the operator's targets are left out.
fn fallbacks(config: &Config, routes: &[Route], entry: Option<&Node>) -> Vec<Value> {
    let forms: Vec<&Node> =
        entry.into_iter().flat_map(|entry| std::iter::once(entry).chain(entry.items())).collect();
    let is_plain = |order: &[String]| forms.iter().any(|form| order == [form.text_of("target")]);
    let written: Vec<Vec<&str>> = forms
        .iter()
        .filter_map(|form| form.get("fallback"))
        .map(|list| list.items().iter().filter_map(Node::text).collect())
        .collect();
    let shown = |route: &Route| {
        let name = |target: &Target| {
            config.providers.get(target.provider).map(|it| format!("{}/{}", it.name, target.model))
        };
        let order: Vec<String> = route.targets().filter_map(name).collect();
        // A split's own target, that happens to be a fallback's as well.
        if is_plain(&order) {
            return None;
        }
        let whole =
            written.iter().find(|all| order.iter().all(|target| all.contains(&&**target)))?;
        let left_out: Vec<&&str> =
            whole.iter().filter(|target| !order.iter().any(|kept| kept == **target)).collect();
        let (cluster, retries) = match &route.plan.way {
            Way::Own => (&*config.providers.get(route.plan.first.provider)?.cluster, 0),
            Way::Fallback { cluster, retries } => {
                (&**cluster, retries.unwrap_or(route.plan.rest.len()))
            }
        };
        Some(json!({"cluster": cluster, "order": order, "retries": retries, "left_out": left_out}))
    };
    routes.iter().filter_map(shown).collect()
}

fn usage(key: &VirtualKey) -> Value {
    let mode = match key.usage.mode {
        UsageMode::Off => "off",
        UsageMode::Observe => "observe",
        UsageMode::Require => "require",
    };
    json!({"mode": mode, "default_max_tokens": key.usage.default_max_tokens})
}

fn refused(code: &str, alias: Option<&str>, allowed_by: Option<&str>) -> Value {
    json!({"decision": "refuse", "code": code, "alias": alias, "allowed_by": allowed_by, "targets": []})
}

/// Every way that a model's draws lead to, each with its share, and those that lead nowhere.
pub fn draws(config: &Config, key: &VirtualKey, question: &Question<'_>) -> Draws {
    let mut draws = Draws::default();
    let mut draw: u64 = 0;
    for (weight, target) in shares(config, key, question.model) {
        let routes = &mut draws.routes;
        match plan(config, key, question, draw) {
            Ok(plan) => match routes.iter_mut().find(|route| route.plan == plan) {
                Some(route) => route.weight = route.weight.saturating_add(weight),
                None => routes.push(Route { plan, weight }),
            },
            Err(error) => draws.refused.push(Lost { code: error.code, target, weight }),
        }
        draw = draw.saturating_add(weight);
    }
    draws
}

/// The shares of what a draw decides between, in order, each with its first target: the first of them is drawn by 0, the next by
/// the first's weight. Like the filter, without what leads to providers alone that the key is not bound to.
fn shares(config: &Config, key: &VirtualKey, model: &str) -> Vec<(u64, Option<String>)> {
    let targets = AliasTable::resolve(&key.aliases, &config.aliases, model);
    let choices = targets.into_iter().flat_map(Targets::choices);
    let name = |target: &AliasTarget| {
        let provider = config.providers.get(target.provider)?;
        Some(format!("{}/{}", provider.name, target.model))
    };
    let shares: Vec<(u64, Option<String>)> = choices
        .filter_map(|(weight, choice)| {
            let mut bound = choice.targets().iter().filter(|it| key.bound.contains(it.provider));
            Some((weight, name(bound.next()?)))
        })
        .collect();
    if shares.is_empty() { vec![(1, None)] } else { shares }
}

/// What the filter decides for one draw.
fn plan(
    config: &Config,
    key: &VirtualKey,
    question: &Question<'_>,
    draw: u64,
) -> Result<Plan, GatewayError> {
    let offers = |provider: &Provider| offered(provider, question.operation);
    resolve(config, key, question.model, offers, || draw)
}

/// The name of the alias that the key's or the global table has for a model, in the order in which the filter looks.
fn alias(config: &Config, key: &VirtualKey, model: &str) -> Option<String> {
    let tables = [&key.aliases, &config.aliases];
    if tables.iter().any(|table| table.get(model).is_some()) {
        return Some(model.to_owned());
    }
    tables.iter().find_map(|table| table.prefix_of(model)).map(|prefix| format!("{prefix}*"))
}

/// What the operator wrote for an alias: the key's own, else the global one.
fn alias_entry<'a>(
    raw_key: Option<&'a Node>,
    tree: &'a Node,
    alias: Option<&str>,
) -> Option<&'a Node> {
    let alias = alias?;
    let own = raw_key.and_then(|key| key.get("model_aliases"));
    own.and_then(|own| own.get(alias)).or_else(|| tree.get("model_aliases")?.get(alias))
}

/// The first entry of `models_allowed` that lets the request pass.
fn allowed_by(
    config: &Config,
    raw_key: Option<&Node>,
    alias: Option<&str>,
    provider: &Provider,
    model: &str,
) -> Option<String> {
    let entries = raw_key?.get("models_allowed")?.items();
    let is_provider = |name: &str| config.providers.by_name(name).is_some();
    entries.iter().filter_map(Node::text).map(str::to_owned).find(|entry| {
        Allowlist::only([entry.clone()], is_provider).allows(alias, &provider.name, model)
    })
}

fn target(
    config: &Config,
    tree: &Node,
    target: &Target,
    operation: Operation,
    weight: Option<u64>,
) -> Option<Value> {
    let provider = config.providers.get(target.provider)?;
    let path = upstream_path(operation, provider, path_of(operation)?);
    let mut shown = json!({
        "provider": &*provider.name,
        "model": &*target.model,
        "cluster": &*provider.cluster,
        "authority": &*provider.authority,
        "path": path,
        "credential": credential(config, tree, target.provider, provider),
    });
    if let (Some(weight), Some(shown)) = (weight, shown.as_object_mut()) {
        shown.insert("weight".to_owned(), weight.into());
    }
    Some(shown)
}

/// Whether the name of a variable is written as such names are: what has small letters may be a key that was pasted there.
pub fn is_surely_a_name(variable: &str) -> bool {
    !variable.contains(|letter: char| letter.is_ascii_lowercase())
}

/// Which header carries a credential and where it is from; never the credential.
fn credential(config: &Config, tree: &Node, id: ProviderId, provider: &Provider) -> Value {
    let Some(credential) = &provider.credential else {
        return json!({"header": null, "from": null});
    };
    let index = config.providers.iter().position(|(other, _)| other == id);
    let raw = index.and_then(|index| tree.get("providers")?.items().get(index));
    let variable = raw.and_then(|raw| raw.at(&["auth", "key_env"])).and_then(Node::text);
    let from = match (variable, index) {
        (Some(name), _) if is_surely_a_name(name) => format!("key_env {name}"),
        (Some(_), Some(index)) => format!("providers[{index}].auth.key_env"),
        _ => "literal".to_owned(),
    };
    json!({"header": &*credential.header, "from": from})
}

fn now() -> u64 {
    #[expect(clippy::disallowed_methods, reason = "a program of its own: there is no host to ask")]
    let now = SystemTime::now();
    now.duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs())
}
