//! From the model id that a client sends to a provider and its own model id.

use std::rc::Rc;
use std::sync::Arc;

use super::{AliasChoice, AliasTable, Allowlist, Fallback, Targets, check_id};
use crate::error::{Code, GatewayError};
use crate::policy::key::VirtualKey;
use crate::policy::operation::printable;
use crate::policy::{Config, Provider, ProviderId};

/// A provider and what it is asked for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Target {
    /// The provider to send to.
    pub provider: ProviderId,
    /// The upstream's own model id.
    pub model: Rc<str>,
}

/// A resolved model: where a request for it may go.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Plan {
    /// Where it goes first.
    pub first: Target,
    /// Where it goes next, should the ones before not answer.
    pub rest: Vec<Target>,
    /// Which cluster it is routed to.
    pub way: Way,
}

/// How Envoy gets to a plan's targets.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Way {
    /// In the first target's own cluster; it is the only one.
    Own,
    /// In the cluster over all targets of a fallback.
    Fallback {
        /// What the routing header says.
        cluster: Arc<str>,
        /// How often another target may be tried, where that is less often than the operator meant.
        retries: Option<usize>,
    },
}

/// What an id stands for, before it is known whether the key may use it.
enum Candidate<'a> {
    /// Nothing that the key is bound to.
    Nowhere,
    /// One provider's model.
    One {
        provider: ProviderId,
        model: &'a str,
        /// The alias that was used.
        alias: Option<&'a str>,
    },
    /// An alias's fallback, of which the key is bound to one target at least.
    Fallback(&'a Fallback),
}

/// Resolves `id` for `key`, checks its allowlist (docs/reference.md, "How a model id is resolved"), and
/// that the provider `offers` what is asked.
/// `draw` is asked where weighted targets are to be decided between: the same number always gives the
/// same choice.
///
/// An id that leads nowhere is held against the allowlist as it is spelled. So a key with an
/// allowlist learns that a model does not exist only for ids that it might use, and gets the same
/// 403 for all others, whether they exist or not.
///
/// # Errors
/// `invalid_model`, `model_not_allowed` (decided before `model_not_found`), `model_not_found`, and what
/// `offers` says.
pub fn resolve(
    config: &Config,
    key: &VirtualKey,
    id: &str,
    offers: impl Fn(&Provider) -> Result<(), GatewayError>,
    draw: impl FnOnce() -> u64,
) -> Result<Plan, GatewayError> {
    check_id(id)?;
    let (provider_id, model, alias) = match locate(config, key, id, draw) {
        Candidate::Fallback(fallback) => return plan(config, key, id, fallback, offers),
        Candidate::One { provider, model, alias } => (provider, model, alias),
        Candidate::Nowhere if key.allowed.allows_id(id) => {
            return Err(refusal(config, Code::ModelNotFound, id));
        }
        Candidate::Nowhere => return Err(refusal(config, Code::ModelNotAllowed, id)),
    };
    let found = config.providers.get(provider_id);
    let provider = found.ok_or_else(|| refusal(config, Code::ModelNotFound, id))?;
    if !key.allowed.allows(alias, &provider.name, model) {
        return Err(refusal(config, Code::ModelNotAllowed, id));
    }
    if model.is_empty() || !serves(provider, model) {
        return Err(refusal(config, Code::ModelNotFound, id));
    }
    offers(provider)?;
    let first = Target { provider: provider_id, model: model.into() };
    Ok(Plan { first, rest: Vec::new(), way: Way::Own })
}

/// What is left of a fallback's targets: up to the first that the key's allowlist refuses, without those
/// that the key is not bound to, that don't list the model, and that don't offer the operation.
///
/// Envoy tries the targets in the order of the configuration, so that what comes behind one that is left
/// out can't be reached; where the first is, the next that is left is asked alone.
fn plan(
    config: &Config,
    key: &VirtualKey,
    id: &str,
    fallback: &Fallback,
    offers: impl Fn(&Provider) -> Result<(), GatewayError>,
) -> Result<Plan, GatewayError> {
    let mut left = Vec::with_capacity(fallback.targets().len());
    let mut refused = Code::ModelNotFound;
    let mut unoffered = None;
    let mut reachable = 0;
    for (index, target) in fallback.targets().iter().enumerate() {
        let Some(provider) = config.providers.get(target.provider) else { continue };
        if !key.bound.contains(target.provider) {
            continue;
        }
        if !key.allowed.allows(Some(id), &provider.name, &target.model) {
            refused = Code::ModelNotAllowed;
            break;
        }
        if !serves(provider, &target.model) {
            continue;
        }
        if let Err(error) = offers(provider) {
            unoffered.get_or_insert(error);
            continue;
        }
        reachable += usize::from(reachable == index);
        left.push(Target { provider: target.provider, model: target.model.as_str().into() });
    }
    if left.is_empty() {
        return Err(unoffered.unwrap_or_else(|| refusal(config, refused, id)));
    }
    left.truncate(reachable.max(1));
    let first = left.remove(0);
    let way = if reachable == 0 {
        Way::Own
    } else {
        let retries = (reachable < fallback.targets().len()).then_some(left.len());
        Way::Fallback { cluster: Arc::clone(fallback.cluster()), retries }
    };
    Ok(Plan { first, rest: left, way })
}

/// Whether a request for `id`, an alias that leads to `targets`, is let through by one draw at least, as far as the key and
/// the lists of models say.
pub fn is_usable(config: &Config, key: &VirtualKey, id: &str, targets: &Targets) -> bool {
    targets.choices().any(|(_, choice)| match choice {
        AliasChoice::One(target) => {
            key.bound.contains(target.provider)
                && config.providers.get(target.provider).is_some_and(|provider| {
                    key.allowed.allows(Some(id), &provider.name, &target.model)
                        && serves(provider, &target.model)
                })
        }
        AliasChoice::Fallback(fallback) => plan(config, key, id, fallback, |_| Ok(())).is_ok(),
    })
}

/// Whether the configuration names the model of `target`, so that it may stand in a label: as an alias's target, in the
/// provider's list, or in the key's allowlist. `id`: what the client asked for.
#[must_use]
pub fn is_named(config: &Config, key: &VirtualKey, id: &str, target: &Target) -> bool {
    let Target { provider: at, model } = target;
    let Some(provider) = config.providers.get(*at) else { return false };
    provider.models.as_ref().is_some_and(|list| list.contains(model))
        || config.alias_targets.contains(*at, model)
        || key.allowed.names(&provider.name, model)
        || AliasTable::resolve(&key.aliases, &config.aliases, id)
            .is_some_and(|targets| targets.lead_to(*at, model))
}

/// Where a request goes that may leave its model to the provider, and does: to the key's primary one, with
/// no model named.
///
/// # Errors
/// `model_not_allowed` for a key with an allowlist, and `missing_model` where the provider has a curated
/// list: nobody here knows which model the default is.
pub fn default(
    config: &Config,
    key: &VirtualKey,
    offers: impl Fn(&Provider) -> Result<(), GatewayError>,
) -> Result<Plan, GatewayError> {
    let refused = |code, why: &str| {
        let message = format!("{why} Name one in \"model\", such as \"provider/model\".");
        Err(GatewayError::new(code, message).with_param("model"))
    };
    let primary = key.bound.primary().and_then(|at| Some((at, config.providers.get(at)?)));
    match primary {
        _ if !matches!(key.allowed, Allowlist::All) => refused(
            Code::ModelNotAllowed,
            "This virtual key may use certain models only, and the request names none.",
        ),
        Some((at, provider)) if provider.models.is_none() => {
            offers(provider)?;
            let first = Target { provider: at, model: "".into() };
            Ok(Plan { first, rest: Vec::new(), way: Way::Own })
        }
        _ => refused(Code::MissingModel, "The body has no \"model\", and the provider no default."),
    }
}

/// The steps of resolution, in order; each O(1) or O(length of the id).
fn locate<'a>(
    config: &'a Config,
    key: &'a VirtualKey,
    id: &'a str,
    draw: impl FnOnce() -> u64,
) -> Candidate<'a> {
    let on = |provider, model: &'a str, alias| Candidate::One { provider, model, alias };

    if let Some(targets) = AliasTable::resolve(&key.aliases, &config.aliases, id) {
        let draw = if targets.is_split() { draw() } else { 0 };
        // A global alias may lead to providers that this key is not bound to: those don't count.
        return match targets.pick_among(draw, |target| key.bound.contains(target.provider)) {
            Some(AliasChoice::One(target)) => on(target.provider, &target.model, Some(id)),
            Some(AliasChoice::Fallback(fallback)) => Candidate::Fallback(fallback),
            None => Candidate::Nowhere,
        };
    }
    if let Some((name, rest)) = id.split_once('/')
        && let Some(at) = config.providers.by_name(name)
        && key.bound.contains(at)
    {
        return on(at, rest, None);
    }
    let mut listing =
        config.providers.listing(id).iter().copied().filter(|at| key.bound.contains(*at));
    if let (Some(only), None) = (listing.next(), listing.next()) {
        return on(only, id, None);
    }
    let primary = key.bound.primary().and_then(|at| Some((at, config.providers.get(at)?)));
    match primary {
        Some((at, provider)) if serves(provider, id) => on(at, id, None),
        _ => Candidate::Nowhere,
    }
}

fn serves(provider: &Provider, model: &str) -> bool {
    provider.models.as_ref().is_none_or(|list| list.contains(model))
}

/// Both refusals say the same: what was asked for, and where to see what there is.
pub(crate) fn refusal(config: &Config, code: Code, id: &str) -> GatewayError {
    let (shown, prefix) = (printable(id, 200), &config.path_prefix);
    let what = match code {
        Code::ModelNotAllowed => {
            format!("The model `{shown}` is not allowed for this virtual key.")
        }
        _ => format!("The model `{shown}` does not exist for this virtual key."),
    };
    GatewayError::new(code, format!("{what} GET {prefix}/models lists the models that it may use."))
        .with_param("model")
}
