//! From the model id that a client sends to a provider and its own model id.

mod alias;
mod allowlist;

pub use alias::{AliasEntry, AliasTable, AliasTarget, Targets};
pub use allowlist::{Allowlist, Patterns};

use std::rc::Rc;

use crate::error::{Code, GatewayError};
use crate::policy::key::VirtualKey;
use crate::policy::operation::printable;
use crate::policy::{Config, ProviderId};
use crate::wire::model_span::MAX_MODEL_ID_BYTES;
use crate::wire::paths::{is_dots, lenient_segments};
use crate::wire::percent;

/// A resolved model.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Target {
    /// The provider to send to.
    pub provider: ProviderId,
    /// The upstream's own model id.
    pub model: Rc<str>,
}

/// What an id stands for, before it is known whether the key may use it.
struct Candidate<'a> {
    /// A provider that the key is bound to, or `None` if the id leads to none.
    provider: Option<ProviderId>,
    /// The upstream's own id; the id as it was sent if it leads to no provider.
    model: &'a str,
    /// The alias that was used.
    alias: Option<&'a str>,
    /// Whether the provider serves the model, as far as its curated list tells.
    served: bool,
}

/// Resolves `id` for `key` and checks its allowlist (docs/reference.md, "How a model id is resolved").
/// `draw` is asked where weighted targets are to be decided between: the same number always gives the
/// same choice.
///
/// An id that leads nowhere is held against the allowlist as it is spelled. So a key with an
/// allowlist learns that a model does not exist only for ids that it might use, and gets the same
/// 403 for all others, whether they exist or not.
///
/// # Errors
/// `invalid_model`, `model_not_allowed` (decided before `model_not_found`) and `model_not_found`.
pub fn resolve(
    config: &Config,
    key: &VirtualKey,
    id: &str,
    draw: impl FnOnce() -> u64,
) -> Result<Target, GatewayError> {
    check_id(id)?;
    let candidate = locate(config, key, id, draw);
    let provider = candidate.provider.and_then(|at| Some((at, config.providers.get(at)?)));
    let allowed = match provider {
        Some((_, provider)) => key.allowed.allows(candidate.alias, &provider.name, candidate.model),
        None => key.allowed.allows_id(id),
    };
    if !allowed {
        return Err(refusal(config, Code::ModelNotAllowed, id));
    }
    match provider {
        Some((at, _)) if candidate.served => {
            Ok(Target { provider: at, model: candidate.model.into() })
        }
        _ => Err(refusal(config, Code::ModelNotFound, id)),
    }
}

/// Where a request goes that may leave its model to the provider, and does: to the key's primary one, with
/// no model named.
///
/// # Errors
/// `model_not_allowed` for a key with an allowlist, and `missing_model` where the provider has a curated
/// list: nobody here knows which model the default is.
pub fn default(config: &Config, key: &VirtualKey) -> Result<Target, GatewayError> {
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
            Ok(Target { provider: at, model: "".into() })
        }
        _ => refused(Code::MissingModel, "The body has no \"model\", and the provider no default."),
    }
}

/// What every model id must be, wherever it is written.
///
/// # Errors
/// `invalid_model`.
pub fn check_id(id: &str) -> Result<(), GatewayError> {
    let problem = if id.is_empty() {
        "is empty"
    } else if id.len() > MAX_MODEL_ID_BYTES {
        "is longer than 1,024 bytes"
    } else if id.chars().any(char::is_control) || hides_control(id) {
        "holds a control character"
    } else if climbs(id) {
        "has a segment `.` or `..`, as a path"
    } else {
        return Ok(());
    };
    Err(GatewayError::new(Code::InvalidModel, format!("The model id {problem}. Send a valid one."))
        .with_param("model"))
}

/// Whether a server that decodes the id finds a control character: a NUL ends it for some.
fn hides_control(id: &str) -> bool {
    id.contains('%')
        && percent::decode_fully(id.as_bytes())
            .is_none_or(|decoded| decoded.iter().any(u8::is_ascii_control))
}

/// Whether a server that reads the id as a path could end in another place than where it seems to lead: past what an
/// allowlist's `family/*` means. However the path is written.
fn climbs(id: &str) -> bool {
    let is_plain = |byte: u8| byte.is_ascii_graphic() && !matches!(byte, b'%' | b';' | b'\\');
    if id.bytes().all(is_plain) {
        return id.split('/').any(is_dots);
    }
    lenient_segments(id.as_bytes())
        .is_none_or(|segments| segments.iter().any(|segment| is_dots(segment)))
}

/// The steps of resolution, in order; each O(1) or O(length of the id).
fn locate<'a>(
    config: &'a Config,
    key: &'a VirtualKey,
    id: &'a str,
    draw: impl FnOnce() -> u64,
) -> Candidate<'a> {
    let nowhere = Candidate { provider: None, model: id, alias: None, served: false };
    let on = |at: ProviderId, model: &'a str, alias: Option<&'a str>| Candidate {
        provider: Some(at),
        model,
        alias,
        served: !model.is_empty() && serves(config, at, model),
    };

    if let Some(targets) = AliasTable::resolve(&key.aliases, &config.aliases, id) {
        let draw = if targets.is_split() { draw() } else { 0 };
        // A global alias may lead to providers that this key is not bound to: those don't count.
        return match targets.pick_among(draw, |target| key.bound.contains(target.provider)) {
            Some(target) => on(target.provider, &target.model, Some(id)),
            None => nowhere,
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
    match key.bound.primary() {
        Some(primary) if serves(config, primary, id) => on(primary, id, None),
        _ => nowhere,
    }
}

fn serves(config: &Config, at: ProviderId, model: &str) -> bool {
    config
        .providers
        .get(at)
        .is_some_and(|provider| provider.models.as_ref().is_none_or(|list| list.contains(model)))
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

#[cfg(test)]
mod tests;
