//! What a virtual key sees, and the answer that says so.
//!
//! A model is shown only if a request for it would be let through: the rules are those of
//! [`crate::policy::model::resolve`].

use std::collections::HashSet;
use std::sync::Arc;

use super::fetch::MAX_RUNNING;
use super::outcome::{ListOutcome, ModelOutcome, ModelsQuestion, Outcomes, Refusal};
use crate::error::{Code, GatewayError};
use crate::exchange::response::{conceal_models, name_credential};
use crate::policy::key::VirtualKey;
use crate::policy::model::{AliasTable, Target, Targets, id_problem, is_usable, refusal, resolve};
use crate::policy::{Config, Provider, ProviderId};
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

/// Why there is no answer.
#[derive(Debug, Clone, PartialEq)]
pub enum Denial {
    /// An error of the gateway's own.
    Own(GatewayError),
    /// What the only provider that could be asked says itself, fit for the client.
    Upstreams(ProviderId, Box<Refusal>),
}

impl From<GatewayError> for Denial {
    fn from(error: GatewayError) -> Self {
        Self::Own(error)
    }
}

/// What must be asked of providers beside what is `known` of them: bound to the key, without a curated list. For a single
/// model that is the list of the provider that a request for it would reach; and the model itself, where that list does
/// not show it. So each model of a list costs no call of its own, and one that is newer than the list, or that the
/// server knows by another name (Ollama's `tiny` for `tiny:latest`), is found.
#[must_use]
pub fn needed(
    config: &Config,
    key: &VirtualKey,
    want: &Want,
    known: &Outcomes,
) -> Vec<ModelsQuestion> {
    let live = |id: &ProviderId| {
        config.providers.get(*id).is_some_and(|provider| provider.models.is_none())
    };
    match want {
        Want::Nothing => Vec::new(),
        Want::All => {
            let unknown = |id: &ProviderId| known.list(*id).is_none();
            key.bound.iter().filter(live).filter(unknown).map(ModelsQuestion::List).collect()
        }
        Want::One(id) if targets(config, key, id).is_some() => Vec::new(),
        Want::One(id) => resolve(config, key, id, |_| Ok(()), || 0)
            .ok()
            .map(|plan| plan.first)
            .filter(|target| live(&target.provider))
            .and_then(|target| next_question(&target, known))
            .into_iter()
            .collect(),
    }
}

/// What to ask next for one model.
fn next_question(target: &Target, known: &Outcomes) -> Option<ModelsQuestion> {
    match known.list(target.provider) {
        None => Some(ModelsQuestion::List(target.provider)),
        // A server that is down is not asked twice. One that refuses the list may still tell of a model.
        Some(ListOutcome::Failed(said)) if !is_of_list(said.as_ref()) => None,
        Some(ListOutcome::Listed(list)) if list.models.iter().any(|m| m.id == *target.model) => {
            None
        }
        Some(_) if known.model(target.provider).is_some() => None,
        Some(_) => Some(ModelsQuestion::Model(target.provider, Arc::from(&*target.model))),
    }
}

/// Whether a failure is the list's alone: a server's own words that this cannot be had. A wrong credential is wrong for
/// everything.
fn is_of_list(said: Option<&Arc<Refusal>>) -> bool {
    said.is_some_and(|said| said.is_refusal() && said.answer.status != 401)
}

/// The answer once everything of [`needed`] is there.
///
/// Models come in this order: aliases by name, then the providers as the key is bound to them, each
/// curated list as the operator wrote it and each fetched one by id. No id comes twice.
///
/// # Errors
/// `upstream_error` when no provider could be asked, or the only one that would know; what that one says itself, where it
/// answered with an error; `overloaded` where too many models are being asked of it; and `model_not_found` for a single
/// model that the key does not see.
pub fn answer(
    config: &Config,
    key: &VirtualKey,
    want: &Want,
    known: &Outcomes,
) -> Result<ModelsAnswer, Denial> {
    match want {
        Want::All => all(config, key, known),
        Want::One(id) => one(config, key, id, known),
        Want::Nothing => Err(not_found(config, "")),
    }
}

fn all(config: &Config, key: &VirtualKey, known: &Outcomes) -> Result<ModelsAnswer, Denial> {
    let mut incomplete = Vec::new();
    let mut asked = 0_usize;
    let mut failed = 0_usize;
    let mut silent = 0_usize;
    let mut said = None;
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
            // No request may name some ids, and one with an alias's name goes where the alias leads.
            let leads_here = id_problem(&name).is_none() && targets(config, key, &name).is_none();
            (usable && leads_here).then_some(name)
        };
        if let Some(models) = &provider.models {
            for name in models.iter().filter_map(shown) {
                body.add(&name, 0, &provider.name, b"");
            }
            continue;
        }
        match known.list(id) {
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
                silent += 1;
                if let Some(ListOutcome::Unlisted(own) | ListOutcome::Failed(own)) = outcome {
                    said = own.as_ref();
                }
                if !matches!(outcome, Some(ListOutcome::Unlisted(_))) {
                    failed += 1;
                }
                incomplete.push(&*provider.name);
            }
        }
    }
    // An empty list would say that the only server has no models; it has no list.
    let only = key.bound.primary().and_then(|id| Some((id, config.providers.get(id)?)));
    match only.filter(|_| asked == 1 && silent == 1) {
        Some((id, provider)) if failed == 1 || !has_aliases => {
            return Err(match said {
                Some(said) => told((id, provider), key, None, said),
                None if failed == 1 => no_answer(&incomplete),
                None => unlisted(provider),
            });
        }
        _ if asked > 0 && failed == asked => return Err(no_answer(&incomplete)),
        _ => {}
    }
    let incomplete = (!incomplete.is_empty()).then(|| incomplete.join(", "));
    Ok(ModelsAnswer { body: body.finish(), incomplete })
}

fn one(
    config: &Config,
    key: &VirtualKey,
    id: &str,
    known: &Outcomes,
) -> Result<ModelsAnswer, Denial> {
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
    let failed = |said: Option<&Arc<Refusal>>| match said {
        Some(said) => told((target.provider, provider), key, Some((id, &target.model)), said),
        None => no_answer(&[&provider.name]),
    };
    let list = match known.list(target.provider) {
        Some(ListOutcome::Listed(list)) => Some(list),
        Some(ListOutcome::Unlisted(_)) => None,
        Some(ListOutcome::Failed(said)) if is_of_list(said.as_ref()) => None,
        Some(ListOutcome::Failed(said)) => return Err(failed(said.as_ref())),
        None => return Err(failed(None)),
    };
    let listed = |is: fn(&str, &str) -> bool| {
        list.and_then(|list| list.models.iter().find(|model| is(&model.id, &target.model)))
    };
    let model = match (listed(str::eq), known.model(target.provider)) {
        (Some(model), _) => Some(model),
        (None, Some(ModelOutcome::Found(model))) => Some(&**model),
        (None, Some(ModelOutcome::Missing)) => None,
        (None, Some(ModelOutcome::Failed(said))) => match listed(is_reached) {
            Some(model) => Some(model),
            // A server refuses a path that it does not know with any 4xx; its list says that there is no such model.
            None if list.is_some() && said.as_ref().is_some_and(|said| said.is_refusal()) => None,
            None => return Err(failed(said.as_ref())),
        },
        (None, Some(ModelOutcome::Busy)) => {
            Some(listed(is_reached).ok_or_else(|| busy(&provider.name))?)
        }
        (None, _) => listed(is_reached),
    };
    let model = model.ok_or_else(|| not_found(config, id))?;
    found(model.created, owner(model, &provider.name), &model.extra)
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

fn not_found(config: &Config, id: &str) -> Denial {
    refusal(config, Code::ModelNotFound, id).into()
}

fn no_answer(providers: &[&str]) -> Denial {
    let providers = providers.join(", ");
    let message = format!("No list of models could be had from: {providers}. Try again.");
    GatewayError::new(Code::UpstreamError, message).into()
}

fn busy(provider: &str) -> Denial {
    let message = format!(
        "Provider {provider} is being asked for {MAX_RUNNING} models that its list does not show, the most at a time. Try again."
    );
    GatewayError::new(Code::Overloaded, message).into()
}

/// The only provider's operations, as the operator names them, have no list among them.
fn unlisted(provider: &Provider) -> Denial {
    let name = &provider.name;
    let message = format!("Provider {name} lists no models: it has no /models endpoint.");
    GatewayError::new(Code::UnknownUrl, message).into()
}

/// What a provider says itself, to a client that asked for a model (by its own name, and the provider's).
fn told(
    (id, provider): (ProviderId, &Provider),
    key: &VirtualKey,
    asked: Option<(&str, &str)>,
    said: &Refusal,
) -> Denial {
    let Refusal { mut answer, kept } = said.clone();
    let is_asked = |name: &str| asked.is_some_and(|(id, model)| name == id || name == model);
    conceal_models(provider, key, &is_asked, &mut answer);
    name_credential(provider, &mut answer);
    Denial::Upstreams(id, Box::new(Refusal { answer, kept }))
}

/// `None` for what no model can be called: invalid UTF-8 and control characters.
fn decoded(text: &str) -> Option<String> {
    let id = String::from_utf8(percent::decode(text.as_bytes())).ok()?;
    (!id.chars().any(char::is_control)).then_some(id)
}
