//! `model_aliases`, global and of a virtual key.

use super::super::field::{Field, Needed};
use super::super::problems::{Path, Problems};
use super::super::raw::{RawAliases, RawChoice, RawFallback, RawTargets};
use super::super::text;
use super::{ProviderNames, provider};
use crate::policy::key::{Bound, VirtualKeys};
use crate::policy::model::{
    AliasChoice, AliasTarget, Fallback, Targets, own_id_problem, pattern_problem,
};

/// Whose aliases they are, which says where they may lead.
#[derive(Clone, Copy)]
pub(super) enum Scope<'a> {
    /// Everybody's. Each provider of a fallback must be bound to one of the keys.
    Global(&'a VirtualKeys),
    /// A key's own: its providers, where they are known.
    Key(Option<&'a Bound>),
}

/// What targets are held against.
#[derive(Clone, Copy)]
struct Known<'a> {
    names: &'a ProviderNames,
    scope: Scope<'a>,
}

/// The good entries.
pub(super) fn compile(
    raw: Field<RawAliases>,
    at: &Path<'_>,
    names: &ProviderNames,
    scope: Scope<'_>,
    problems: &mut Problems,
) -> Vec<(String, Targets)> {
    let known = Known { names, scope };
    let mut compiled = Vec::new();
    for (alias, targets) in raw.given(at, problems).unwrap_or_default() {
        let at = at.field(&alias);
        if !text::is_printable(&alias) {
            problems.add(&at, "an alias must not be empty or hold control characters");
        } else if let Some(why) = pattern_problem(&alias) {
            problems.add(&at, format!("no request can ask for this alias: its name {why}"));
        }
        if alias.strip_suffix('*').unwrap_or(&alias).contains('*') {
            problems.add(&at, "an alias may have one *, at its end");
        }
        let targets = match targets.given(&at, problems) {
            None => None,
            Some(RawTargets::One(target)) => {
                target_of(&target, &at, known, problems).map(AliasChoice::One).map(Targets::one)
            }
            Some(RawTargets::Split(choices)) => split(choices, &at, known, problems),
            Some(RawTargets::Fallback(raw)) => {
                raw.unknown.report(&at, problems);
                let default =
                    (text::is_visible(&alias) && !alias.ends_with('*')).then_some(&*alias);
                fallback(raw, default, &at, known, problems).map(Targets::one)
            }
        };
        compiled.extend(targets.map(|targets| (alias, targets)));
    }
    compiled
}

fn split(
    raw: Vec<Field<RawChoice>>,
    at: &Path<'_>,
    known: Known<'_>,
    problems: &mut Problems,
) -> Option<Targets> {
    if raw.is_empty() {
        problems.add(at, "needs at least one target");
        return None;
    }
    let given = raw.len();
    let mut choices = Vec::with_capacity(given);
    for (index, choice) in raw.into_iter().enumerate() {
        let at = at.item(index);
        let Some(choice) = choice.given(&at, problems) else { continue };
        choice.unknown.report(&at, problems);
        let at_target = at.field("target");
        let compiled = if choice.fallback.is_there() {
            if choice.target.is_there() {
                problems.add(&at_target, "there is a fallback beside it; write one of the two");
            }
            let raw = RawFallback {
                fallback: Needed(choice.fallback),
                cluster: choice.cluster,
                ..RawFallback::default()
            };
            fallback(raw, None, &at, known, problems)
        } else {
            if choice.cluster.is_there() {
                let why = "a target goes to its provider's cluster; only a fallback has its own";
                problems.add(&at.field("cluster"), why);
            }
            let target = choice.target.required(&at_target, problems);
            target
                .and_then(|text| target_of(&text, &at_target, known, problems))
                .map(AliasChoice::One)
        };
        let at_weight = at.field("weight");
        let weight = match choice.weight {
            Needed(Field::Wrong(reason)) => {
                let shares = "weights are shares of their sum: write 1 and 1 for halves";
                problems.add(&at_weight, format!("{reason}; {shares}"));
                None
            }
            weight => weight.given(&at_weight, problems).map(|weight| {
                if let Some(why) = weight.problem() {
                    problems.add(&at_weight, why);
                }
                weight.0
            }),
        };
        choices.extend(weight.filter(|weight| *weight > 0).zip(compiled));
    }
    let complete = choices.len() == given;
    let targets = Targets::new(choices);
    if complete && targets.is_none() {
        problems.add(at, "the sum of the weights must fit 64 bits");
    }
    targets
}

/// `cluster`: what stands for an absent one, if anything can.
fn fallback(
    raw: RawFallback,
    cluster: Option<&str>,
    at: &Path<'_>,
    known: Known<'_>,
    problems: &mut Problems,
) -> Option<AliasChoice> {
    let at_cluster = at.field("cluster");
    let cluster = match (raw.cluster.is_there(), cluster) {
        (false, Some(cluster)) => Some(cluster.to_owned()),
        (false, None) => {
            problems.add(&at_cluster, "missing: the Envoy cluster over those of the providers");
            None
        }
        (true, _) => provider::cluster(raw.cluster, &at_cluster, problems),
    };
    let at_targets = at.field("fallback");
    let raw = raw.fallback.given(&at_targets, problems)?;
    if raw.len() < 2 {
        problems.add(&at_targets, "needs two targets or more");
        return None;
    }
    let given = raw.len();
    let mut targets: Vec<AliasTarget> = Vec::with_capacity(given);
    for (index, text) in raw.into_iter().enumerate() {
        let at = at_targets.item(index);
        let Some(text) = text.given(&at, problems) else { continue };
        let Some(target) = target_of(&text, &at, known, problems) else { continue };
        let first = targets.iter().position(|other| other.provider == target.provider);
        if let Some(first) = first {
            let why = format!(
                "the same provider as fallback[{first}]; what an attempt gets is chosen by its provider"
            );
            problems.add(&at, why);
        }
        if let Scope::Global(keys) = known.scope
            && !keys.is_empty()
            && !keys.iter().any(|key| key.bound.contains(target.provider))
        {
            problems.add(&at, "leads to a provider that no virtual key is bound to");
        }
        targets.push(target);
    }
    Fallback::new(targets, cluster?.into()).map(AliasChoice::Fallback)
}

fn target_of(
    text: &str,
    at: &Path<'_>,
    known: Known<'_>,
    problems: &mut Problems,
) -> Option<AliasTarget> {
    let (name, model) = match text.split_once('/') {
        Some((name, model)) if !name.is_empty() && text::is_printable(model) => (name, model),
        _ => {
            problems.add(at, "must be `provider/model`");
            return None;
        }
    };
    if let Some(why) = own_id_problem(model) {
        problems.add(at, format!("no request is sent for this target: its model id {why}"));
        return None;
    }
    let Some(provider) = known.names.get(name) else {
        problems.add(at, "must be `provider/model`, and no provider of that name is configured");
        return None;
    };
    if let Scope::Key(Some(bound)) = known.scope
        && !bound.contains(provider)
    {
        problems.add(at, "leads to a provider that this virtual key is not bound to");
        return None;
    }
    if !known.names.serves(provider, model) {
        problems.add(at, "leads to a model that this provider's own list (`models`) does not hold");
        return None;
    }
    Some(AliasTarget { provider, model: model.to_owned() })
}
