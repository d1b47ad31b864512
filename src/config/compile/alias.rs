//! `model_aliases`, global and of a virtual key.

use super::super::field::Field;
use super::super::problems::{Path, Problems};
use super::super::raw::{RawAliases, RawChoice, RawTargets};
use super::super::text;
use super::ProviderNames;
use crate::policy::key::Bound;
use crate::policy::model::{AliasTarget, Targets};

/// The good entries. With `bound`, targets must be among these providers.
pub(super) fn compile(
    raw: Field<RawAliases>,
    at: &Path<'_>,
    names: &ProviderNames,
    bound: Option<&Bound>,
    problems: &mut Problems,
) -> Vec<(String, Targets)> {
    let mut compiled = Vec::new();
    for (alias, targets) in raw.given(at, problems).unwrap_or_default() {
        let at = at.field(&alias);
        if !text::is_printable(&alias) {
            problems.add(&at, "an alias must not be empty or hold control characters");
        }
        if alias.strip_suffix('*').unwrap_or(&alias).contains('*') {
            problems.add(&at, "an alias may have one *, at its end");
        }
        let targets = match targets.given(&at, problems) {
            None => None,
            Some(RawTargets::One(target)) => {
                self::target(&target, &at, names, bound, problems).map(Targets::one)
            }
            Some(RawTargets::Split(choices)) => split(choices, &at, names, bound, problems),
        };
        compiled.extend(targets.map(|targets| (alias, targets)));
    }
    compiled
}

fn split(
    raw: Vec<Field<RawChoice>>,
    at: &Path<'_>,
    names: &ProviderNames,
    bound: Option<&Bound>,
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
        let target = choice
            .target
            .required(&at_target, problems)
            .and_then(|text| target(&text, &at_target, names, bound, problems));
        let at_weight = at.field("weight");
        let weight = match choice.weight {
            Field::Wrong(reason) => {
                let shares = "weights are shares of their sum: write 1 and 1 for halves";
                problems.add(&at_weight, format!("{reason}; {shares}"));
                None
            }
            weight => weight.required(&at_weight, problems).map(|weight| weight.0),
        };
        if weight == Some(0) {
            problems.add(&at_weight, "must be 1 or more");
        }
        choices.extend(weight.filter(|weight| *weight > 0).zip(target));
    }
    let complete = choices.len() == given;
    let targets = Targets::new(choices);
    if complete && targets.is_none() {
        problems.add(at, "the sum of the weights must fit 64 bits");
    }
    targets
}

fn target(
    text: &str,
    at: &Path<'_>,
    names: &ProviderNames,
    bound: Option<&Bound>,
    problems: &mut Problems,
) -> Option<AliasTarget> {
    let (name, model) = match text.split_once('/') {
        Some((name, model)) if !name.is_empty() && text::is_printable(model) => (name, model),
        _ => {
            problems.add(at, "must be `provider/model`");
            return None;
        }
    };
    let Some(provider) = names.get(name) else {
        problems.add(at, "must be `provider/model`, and no provider of that name is configured");
        return None;
    };
    if bound.is_some_and(|bound| !bound.contains(provider)) {
        problems.add(at, "leads to a provider that this virtual key is not bound to");
        return None;
    }
    if !names.serves(provider, model) {
        problems.add(at, "leads to a model that this provider's own list (`models`) does not hold");
        return None;
    }
    Some(AliasTarget { provider, model: model.to_owned() })
}
