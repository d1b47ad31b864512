//! What a virtual key sees, and the answer that says so.
//!
//! A model is shown only if a request for it would be let through: the rules are those of
//! [`crate::policy::model::resolve`].

use std::collections::HashSet;

use super::fetch::{ListOutcome, ListOutcomes};
use crate::error::{Code, GatewayError};
use crate::policy::key::VirtualKey;
use crate::policy::model::{AliasTable, Targets, is_usable, refusal, resolve};
use crate::policy::{Config, ProviderId};
use crate::repair::model_list::ListedModel;
use crate::wire::json::string;
use crate::wire::percent;

/// `owned_by` of an alias.
pub const OWNER: &str = "openai-gateway-filter";

/// What is asked for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Want {
    /// GET /models
    All,
    /// GET /models/{id}, decoded.
    One(String),
    /// GET /models/{id} with an id that no model can have.
    Nothing,
}

/// A good answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ModelsAnswer {
    /// JSON: a list, or one model.
    pub body: Vec<u8>,
    /// `<prefix>-models-incomplete`: the providers that are left out, by name, with commas between.
    pub incomplete: Option<String>,
}

impl Want {
    /// Reads the path of [`crate::policy::operation::RequestTarget`]: `/models` or `/models/{id}`. The id may hold
    /// slashes, plain or as `%2F`; it is decoded once.
    #[must_use]
    pub fn from_path(path: &str) -> Self {
        match path.strip_prefix("/models").and_then(|rest| rest.strip_prefix('/')) {
            None | Some("") => Self::All,
            Some(id) => decoded(id).map_or(Self::Nothing, Self::One),
        }
    }
}

/// The providers whose own lists are needed: bound to the key, without a curated list, offering the
/// operation, and for a single model only those that could serve it.
#[must_use]
pub fn needed(config: &Config, key: &VirtualKey, want: &Want) -> Vec<ProviderId> {
    let live = |id: &ProviderId| {
        config.providers.get(*id).is_some_and(|provider| provider.models.is_none())
    };
    match want {
        Want::Nothing => Vec::new(),
        Want::All => key.bound.iter().filter(live).collect(),
        Want::One(id) if targets(config, key, id).is_some() => Vec::new(),
        Want::One(id) => resolve(config, key, id, |_| Ok(()), || 0)
            .map(|plan| plan.first.provider)
            .iter()
            .copied()
            .filter(live)
            .collect(),
    }
}

/// The answer once every list of [`needed`] is there.
///
/// Models come in this order: aliases by name, then the providers as the key is bound to them, each
/// curated list as the operator wrote it and each fetched one by id. No id comes twice.
///
/// # Errors
/// `upstream_error` when no provider could be asked, or the only one that would know; and
/// `model_not_found` for a single model that the key does not see.
pub fn answer(
    config: &Config,
    key: &VirtualKey,
    want: &Want,
    lists: &ListOutcomes,
) -> Result<ModelsAnswer, GatewayError> {
    match want {
        Want::All => all(config, key, lists),
        Want::One(id) => one(config, key, id, lists),
        Want::Nothing => Err(not_found(config, "")),
    }
}

fn all(
    config: &Config,
    key: &VirtualKey,
    lists: &ListOutcomes,
) -> Result<ModelsAnswer, GatewayError> {
    let mut incomplete = Vec::new();
    let mut asked = 0_usize;
    let mut failed = 0_usize;
    let mut unlisted = 0_usize;
    let mut has_aliases = false;
    let mut body = ListBody::new();
    for name in visible_aliases(config, key) {
        has_aliases = true;
        body.add(name, 0, OWNER, b"");
    }
    for id in key.bound.iter() {
        let Some(provider) = config.providers.get(id) else { continue };
        asked += 1;
        let shown = |model: &str| {
            let name = format!("{}/{model}", provider.name);
            let usable = key.allowed.allows(None, &provider.name, model);
            // A request with an alias's name goes where the alias leads.
            (usable && targets(config, key, &name).is_none()).then_some(name)
        };
        if let Some(models) = &provider.models {
            for name in models.iter().filter_map(shown) {
                body.add(&name, 0, &provider.name, b"");
            }
            continue;
        }
        match lists.get(id) {
            Some(ListOutcome::Listed(list)) => {
                for model in &list.models {
                    if let Some(name) = shown(&model.id) {
                        body.add(&name, model.created, owner(model, &provider.name), &model.extra);
                    }
                }
                if list.cut {
                    incomplete.push(&*provider.name);
                }
            }
            outcome => {
                match outcome {
                    Some(ListOutcome::Unlisted) => unlisted += 1,
                    _ => failed += 1,
                }
                incomplete.push(&*provider.name);
            }
        }
    }
    if asked > 0 && failed == asked {
        return Err(no_answer(&incomplete));
    }
    // An empty list would say that the only server has no models; it has no list.
    if let ([name], 1, false) = (incomplete.as_slice(), asked, has_aliases)
        && unlisted == 1
    {
        return Err(GatewayError::new(
            Code::UnknownUrl,
            format!("Provider {name} lists no models: it has no /models endpoint."),
        ));
    }
    let incomplete = (!incomplete.is_empty()).then(|| incomplete.join(", "));
    Ok(ModelsAnswer { body: body.finish(), incomplete })
}

fn one(
    config: &Config,
    key: &VirtualKey,
    id: &str,
    lists: &ListOutcomes,
) -> Result<ModelsAnswer, GatewayError> {
    let found = |created, owner: &str, extra: &[u8]| {
        let mut body = Vec::new();
        write_model(&mut body, id, created, owner, extra);
        Ok(ModelsAnswer { body, incomplete: None })
    };
    if targets(config, key, id).is_some() {
        return if is_usable_alias(config, key, id) {
            found(0, OWNER, b"")
        } else {
            Err(not_found(config, id))
        };
    }
    // A model that the key may not use looks like one that does not exist.
    let plan = resolve(config, key, id, |_| Ok(()), || 0).map_err(|_| not_found(config, id))?;
    let target = plan.first;
    let provider = config.providers.get(target.provider).ok_or_else(|| not_found(config, id))?;
    if provider.models.is_some() {
        return found(0, &provider.name, b"");
    }
    match lists.get(target.provider) {
        Some(ListOutcome::Listed(list)) => {
            let model = list.models.iter().find(|model| is_reached(&model.id, &target.model));
            let model = model.ok_or_else(|| not_found(config, id))?;
            found(model.created, owner(model, &provider.name), &model.extra)
        }
        Some(ListOutcome::Unlisted) => Err(not_found(config, id)),
        _ => Err(no_answer(&[&provider.name])),
    }
}

/// Whether a request for `asked` reaches the model that a server lists as `listed`: Ollama takes an id
/// without a tag for its tag `latest`.
fn is_reached(listed: &str, asked: &str) -> bool {
    listed == asked
        || (!asked.contains(':')
            && listed.strip_suffix(":latest").is_some_and(|untagged| untagged == asked))
}

/// The aliases that lead somewhere for this key, by name.
fn visible_aliases<'a>(config: &'a Config, key: &'a VirtualKey) -> Vec<&'a str> {
    let names = key.aliases.names().chain(config.aliases.names());
    let mut names: Vec<&str> = names.filter(|name| is_usable_alias(config, key, name)).collect();
    names.sort_unstable();
    names.dedup();
    names
}

/// What an alias stands for; the key's own entry wins.
fn targets<'a>(config: &'a Config, key: &'a VirtualKey, name: &str) -> Option<&'a Targets> {
    AliasTable::resolve(&key.aliases, &config.aliases, name)
}

/// Whether `name` is an alias that the key may use: a request for it is let through, by one draw at least.
fn is_usable_alias(config: &Config, key: &VirtualKey, name: &str) -> bool {
    targets(config, key, name).is_some_and(|targets| is_usable(config, key, name, targets))
}

fn owner<'a>(model: &'a ListedModel, provider: &'a str) -> &'a str {
    if model.owned_by.is_empty() { provider } else { &model.owned_by }
}

/// A list that is being written.
struct ListBody {
    text: Vec<u8>,
    ids: HashSet<String>,
}

impl ListBody {
    fn new() -> Self {
        Self { text: br#"{"object":"list","data":["#.to_vec(), ids: HashSet::new() }
    }

    fn add(&mut self, id: &str, created: u64, owner: &str, extra: &[u8]) {
        if !self.ids.insert(id.to_owned()) {
            return;
        }
        if self.ids.len() > 1 {
            self.text.push(b',');
        }
        write_model(&mut self.text, id, created, owner, extra);
    }

    fn finish(mut self) -> Vec<u8> {
        self.text.extend_from_slice(b"]}");
        self.text
    }
}

fn write_model(out: &mut Vec<u8>, id: &str, created: u64, owner: &str, extra: &[u8]) {
    out.extend_from_slice(br#"{"id":"#);
    out.extend_from_slice(&string::encode(id));
    out.extend_from_slice(
        format!(r#","object":"model","created":{created},"owned_by":"#).as_bytes(),
    );
    out.extend_from_slice(&string::encode(owner));
    out.extend_from_slice(extra);
    out.push(b'}');
}

fn not_found(config: &Config, id: &str) -> GatewayError {
    refusal(config, Code::ModelNotFound, id)
}

fn no_answer(providers: &[&str]) -> GatewayError {
    GatewayError::new(
        Code::UpstreamError,
        format!("No list of models could be had from: {}. Try again.", providers.join(", ")),
    )
}

/// `None` for what no model can be called: invalid UTF-8 and control characters.
fn decoded(text: &str) -> Option<String> {
    let id = String::from_utf8(percent::decode(text.as_bytes())).ok()?;
    (!id.chars().any(char::is_control)).then_some(id)
}
