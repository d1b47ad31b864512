//! What the filter accepts in its settings and an operator should think about.

use std::sync::Arc;
use std::time::{SystemTime, UNIX_EPOCH};

use openai_gateway_filter::config::ROOT;
use openai_gateway_filter::error::Code;
use openai_gateway_filter::policy::key::VirtualKey;
use openai_gateway_filter::policy::model::id_problem;
use openai_gateway_filter::policy::operation::Operation;
use openai_gateway_filter::policy::{Config, Models, Provider, UsageMode};

use super::document::Node;
use super::endpoints::is_near;
use super::explain::{self, Question};
use super::report::Report;
use super::routes::without_port;
use super::settings::Lines;

/// Warnings about settings that are valid.
pub fn check(report: &mut Report<'_>, tree: &Node, config: &Config, places: &Lines) {
    let keys = tree.get("virtual_keys").map(Node::items).unwrap_or_default();
    for warning in config.warnings() {
        let whose = |id: String| keys.iter().position(|key| key.text_of("id") == id);
        let path = match warning.key.and_then(whose) {
            Some(index) => format!("virtual_keys[{index}].{}", warning.path),
            None => warning.path.to_owned(),
        };
        report.warning(places.line(&path), path, warning.message);
    }
    pasted(report, tree, places);
    shared_keys(report, config, tree, places);
    for (index, key) in keys.iter().enumerate() {
        let at = format!("virtual_keys[{index}]");
        literal(report, key, &at, places, "key_sha256 (openai-gateway vk new prints one)");
        splits(report, config, tree, key, &at, places);
        useless(report, config, key, &at, places);
    }
    let providers = tree.get("providers").map(Node::items).unwrap_or_default();
    for (index, provider) in providers.iter().enumerate() {
        let at = format!("providers[{index}].auth");
        if let Some(auth) = provider.get("auth") {
            literal(report, auth, &at, places, "key_env");
            in_the_clear(report, provider, auth, index, places);
        } else {
            without_auth(report, provider, index, places);
        }
        unasked(report, config, provider, index, places);
        by_alias_only(report, provider, index, places);
    }
    expired(report, keys, config, places);
}

fn literal(report: &mut Report<'_>, node: &Node, at: &str, places: &Lines, instead: &str) {
    if node.get("key").and_then(Node::text).is_some_and(|key| !key.is_empty()) {
        let path = format!("{at}.key");
        let why = format!(
            "the key itself stands here, for everybody who may read the file or /config_dump: use {instead}"
        );
        report.warning(places.line(&path), path, why);
    }
}

/// A key where the name of its variable belongs. That it is no variable shows where the file tells the VM's environment.
fn pasted(report: &mut Report<'_>, tree: &Node, places: &Lines) {
    const LONGER_THAN_A_NAME: usize = 24;
    let list = |name: &str| tree.get(name).map(Node::items).unwrap_or_default().iter().enumerate();
    let auths = list("providers").map(|(index, it)| {
        (format!("providers[{index}].auth.key_env"), it.at(&["auth", "key_env"]))
    });
    let keys = list("virtual_keys")
        .map(|(index, it)| (format!("virtual_keys[{index}].key_env"), it.get("key_env")));
    let seal = ("seal_key_env".to_owned(), tree.get("seal_key_env"));
    for (path, node) in auths.chain(keys).chain([seal]) {
        let name = node.and_then(Node::text).unwrap_or_default();
        let has_digits = name.contains(|letter: char| letter.is_ascii_digit());
        if name.len() >= LONGER_THAN_A_NAME && has_digits && !explain::is_surely_a_name(name) {
            let why = "looks like the key itself: put it into a variable of the VM, and the variable's name here";
            report.warning(places.line(&path), path, why);
        }
    }
}

/// An allowlist that lets some draws of a split pass and not others.
fn splits(
    report: &mut Report<'_>,
    config: &Config,
    tree: &Node,
    raw: &Node,
    at: &str,
    places: &Lines,
) {
    let Some(key) = config.virtual_keys.by_id(raw.text_of("id")) else { return };
    let names = |node: &'_ Node| -> Vec<String> {
        let aliases = node.get("model_aliases").map(Node::members).unwrap_or_default().iter();
        aliases.filter(|it| !it.node.items().is_empty()).map(|it| it.name.clone()).collect()
    };
    let mut all = names(raw);
    all.extend(names(tree));
    all.sort();
    all.dedup();
    for alias in &all {
        let draws = of_alias(config, key, alias);
        if draws.are_mixed() && draws.refused.iter().any(is_denied) {
            let path = format!("{at}.models_allowed");
            let why = format!(
                "alias {alias} is a split of which only some targets are allowed: name the alias itself in models_allowed, \
                 or its requests are refused now and then"
            );
            report.warning(places.line(&path), path, why);
        }
    }
    // What leads nowhere at all.
    for alias in raw.get("model_aliases").map(Node::members).unwrap_or_default() {
        let draws = of_alias(config, key, &alias.name);
        if draws.are_all_refused() && draws.refused.iter().all(is_denied) {
            let path = ROOT.field("model_aliases").field(&alias.name).to_string();
            let why = "models_allowed of this key refuses every request for it: add the alias's name there";
            report.warning(alias.line, format!("{at}.{path}"), why);
        }
    }
}

fn of_alias(config: &Config, key: &VirtualKey, alias: &str) -> explain::Draws {
    let question = Question { key: &key.id, model: alias, operation: Operation::ChatCompletions };
    explain::draws(config, key, &question)
}

fn is_denied(lost: &explain::Lost) -> bool {
    lost.code == Code::ModelNotAllowed
}

/// One variable for servers of different owners: one of them gets the other's key.
fn shared_keys(report: &mut Report<'_>, config: &Config, tree: &Node, places: &Lines) {
    let raw = tree.get("providers").map(Node::items).unwrap_or_default();
    let all: Vec<(usize, &str, &str, &str)> = config
        .providers
        .iter()
        .zip(raw)
        .enumerate()
        .filter_map(|(index, ((_, provider), raw))| {
            let variable = raw.at(&["auth", "key_env"])?.text()?;
            let host = without_port(&provider.authority);
            (!is_near(host)).then(|| (index, variable, owner_of(host), &*provider.name))
        })
        .collect();
    for (at, (index, variable, owner, name)) in all.iter().enumerate() {
        let other = all.iter().take(at).find(|(_, other, of, _)| other == variable && of != owner);
        if let Some((_, _, _, other)) = other {
            let path = format!("providers[{index}].auth.key_env");
            let why = format!(
                "the same variable as that of provider {other}, whose host is another's: {name} gets the key of {other}, or the other way \
                 about"
            );
            report.warning(places.line(&path), path, why);
        }
    }
}

/// The end of a host's name by which owners are told apart, roughly: its last two labels.
fn owner_of(host: &str) -> &str {
    let second = host.rmatch_indices('.').nth(1).map(|(at, _)| at.saturating_add(1));
    second.and_then(|at| host.get(at..)).unwrap_or(host)
}

/// Entries that match nothing that the key could ask for: of a provider that it is not bound to, or of none of the models that
/// are listed where every provider has a list.
fn useless(report: &mut Report<'_>, config: &Config, key: &Node, at: &str, places: &Lines) {
    let entries = key.get("models_allowed").map(Node::items).unwrap_or_default();
    let Some(key) = config.virtual_keys.by_id(key.text_of("id")) else { return };
    for (index, entry) in entries.iter().enumerate() {
        let Some(entry) = entry.text() else { continue };
        if let Some(why) = matches_nothing(config, key, entry) {
            let path = format!("{at}.models_allowed[{index}]");
            report.warning(places.line(&path), path, format!("allows nothing: {why}"));
        }
    }
}

/// Listed models that no request may name as they are.
fn by_alias_only(report: &mut Report<'_>, provider: &Node, index: usize, places: &Lines) {
    let models = provider.get("models").map(Node::items).unwrap_or_default();
    for (entry, model) in models.iter().enumerate() {
        if let Some(why) = model.text().and_then(id_problem) {
            let path = format!("providers[{index}].models[{entry}]");
            let why = format!("only an alias can lead to this model: in a request, its id {why}");
            report.warning(places.line(&path), path, why);
        }
    }
}

/// Why an entry of `models_allowed` matches nothing.
fn matches_nothing(config: &Config, key: &VirtualKey, entry: &str) -> Option<String> {
    let lists = |provider: &Provider| {
        let mut models = provider.models.iter().flat_map(Models::iter);
        models.any(|model| {
            matches_pattern(entry, &format!("{}/{model}", provider.name))
                || matches_pattern(entry, model)
        })
    };
    let named = entry
        .split_once('/')
        .and_then(|(name, model)| Some((config.providers.by_name(name)?, model)));
    if let Some((id, model)) = named {
        let provider = config.providers.get(id)?;
        return if !key.bound.contains(id) {
            Some(format!("the key is not bound to provider {}", provider.name))
        } else if model.is_empty() {
            Some(format!("no model of provider {} has an empty name", provider.name))
        } else if provider.models.is_some() && !lists(provider) {
            Some(format!("models of provider {} does not hold it", provider.name))
        } else {
            None
        };
    }
    let bound = || config.providers.iter().filter(|(id, _)| key.bound.contains(*id));
    let may_be_any = bound().any(|(_, provider)| provider.models.is_none() || lists(provider));
    let tables = || [&key.aliases, &config.aliases].into_iter();
    // What is asked for by the beginning of an alias can't be listed.
    let has_beginnings = tables().any(|table| table.names().count() < table.len());
    let is_alias = tables().any(|table| table.names().any(|name| matches_pattern(entry, name)));
    (!may_be_any && !has_beginnings && !is_alias)
        .then(|| "it is no alias, and no provider of the key lists it".to_owned())
}

fn in_the_clear(
    report: &mut Report<'_>,
    provider: &Node,
    auth: &Node,
    index: usize,
    places: &Lines,
) {
    let has_key = auth.get("key").is_some() || auth.get("key_env").is_some();
    let Some(rest) = provider.text_of("base_url").strip_prefix("http://") else { return };
    let host = rest.split(['/', ':']).next().unwrap_or_default();
    if has_key && !is_near(host) {
        let path = format!("providers[{index}].base_url");
        let why = "the credential goes to a public host in the clear: use https, and transport_socket on the cluster";
        report.warning(places.line(&path), path, why);
    }
}

/// A server out on the internet that gets no credential, and nobody has said that it needs none.
fn without_auth(report: &mut Report<'_>, provider: &Node, index: usize, places: &Lines) {
    let Some(rest) = provider.text_of("base_url").strip_prefix("https://") else { return };
    if !is_near(rest.split(['/', ':']).next().unwrap_or_default()) {
        let path = format!("providers[{index}].auth");
        let why = "no credential is sent: set auth: {key_env: NAME}, or auth: {mode: none} where the server needs none";
        report.warning(places.line(&path), path, why);
    }
}

/// A server whose streams may not be asked for what a key requires.
fn unasked(
    report: &mut Report<'_>,
    config: &Config,
    provider: &Node,
    index: usize,
    places: &Lines,
) {
    let Some(id) = config.providers.by_name(provider.text_of("name")) else { return };
    let is_asked = config.providers.get(id).is_none_or(|provider| provider.stream_usage);
    let requires =
        |key: &Arc<VirtualKey>| key.usage.mode == UsageMode::Require && key.bound.contains(id);
    if let (false, Some(key)) = (is_asked, config.virtual_keys.iter().find(|key| requires(key))) {
        let path = format!("providers[{index}].stream_usage");
        let why = format!(
            "usage.mode of virtual key {} is require, and the streams of this server are not asked: their tokens are \
             estimated",
            key.id
        );
        report.warning(places.line(&path), path, why);
    }
}

fn expired(report: &mut Report<'_>, keys: &[Node], config: &Config, places: &Lines) {
    #[expect(clippy::disallowed_methods, reason = "a program of its own: there is no host to ask")]
    let now = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs());
    for key in config.virtual_keys.iter() {
        let index = keys.iter().position(|raw| raw.text_of("id") == &*key.id);
        if let Some(index) = index.filter(|_| key.expires_at.is_some_and(|at| at <= now)) {
            let path = format!("virtual_keys[{index}].expires_at");
            report.warning(places.line(&path), path, "has passed: this key is refused");
        }
    }
}

/// `*` for any run of characters.
fn matches_pattern(pattern: &str, text: &str) -> bool {
    openai_gateway_filter::policy::pattern::Pattern::new(pattern).matches(text.bytes())
}
