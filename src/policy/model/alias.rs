//! `model_aliases`: names of the operator's own, each for one target, a fallback or a weighted split of
//! either.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use super::Interned;
use crate::policy::ProviderId;
use crate::wire::bytes::is_same;

/// A name and where it leads.
pub type AliasEntry = (Arc<str>, Arc<Targets>);

/// `model_aliases`: exact names, and beginnings of names, which are written with a `*` at their end.
///
/// Sorted lists, since there may be one of them for each of a hundred thousand keys.
#[derive(Debug, Clone, Default)]
pub struct AliasTable {
    /// By name.
    by_name: Arc<[AliasEntry]>,
    /// The longest first.
    by_prefix: Arc<[AliasEntry]>,
}

/// Up to so many names are looked at one after the other: by their lengths, which stand in the table, as the letters do not.
const SHORT_TABLE: usize = 16;

/// Where an alias leads: one choice, or several by weight.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Targets {
    /// At least one; `cumulative` weights ascend.
    choices: Vec<(u64, AliasChoice)>,
}

/// What one draw of an alias gives.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum AliasChoice {
    /// One target, in its provider's cluster.
    One(AliasTarget),
    /// Several, one after the other.
    Fallback(Fallback),
}

/// Targets that Envoy tries one after the other, in a cluster over all of theirs.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Fallback {
    targets: Box<[AliasTarget]>,
    cluster: Arc<str>,
}

/// A configured provider and its model id.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct AliasTarget {
    /// The provider.
    pub provider: ProviderId,
    /// The upstream's own id.
    pub model: String,
}

/// The targets of all names of a table.
#[derive(Debug, Default)]
pub struct AliasTargets(HashMap<ProviderId, HashSet<Box<str>>>);

impl AliasTargets {
    /// The targets of all names of `table`.
    #[must_use]
    pub fn of(table: &AliasTable) -> Self {
        let mut known = Self::default();
        for target in table.targets() {
            known.0.entry(target.provider).or_default().insert(target.model.as_str().into());
        }
        known
    }

    /// Whether a name leads to `model` at `provider`.
    #[must_use]
    pub fn contains(&self, provider: ProviderId, model: &str) -> bool {
        self.0.get(&provider).is_some_and(|models| models.contains(model))
    }
}

impl AliasTable {
    /// A table of names; the last of equal names counts.
    #[must_use]
    pub fn new(entries: impl IntoIterator<Item = (String, Targets)>) -> Self {
        Self::interned(entries, &mut Interned::default())
    }

    /// Like [`new`](Self::new), sharing with other tables what is equal.
    pub fn interned(
        entries: impl IntoIterator<Item = (String, Targets)>,
        shared: &mut Interned,
    ) -> Self {
        let mut by_name: HashMap<Arc<str>, Arc<Targets>> = HashMap::new();
        let mut by_prefix: HashMap<Arc<str>, Arc<Targets>> = HashMap::new();
        for (name, targets) in entries {
            let (table, name) = match name.strip_suffix('*') {
                Some(prefix) => (&mut by_prefix, prefix),
                None => (&mut by_name, name.as_str()),
            };
            table.insert(shared.names.intern(name), shared.targets.intern(targets));
        }
        let mut by_name: Vec<AliasEntry> = by_name.into_iter().collect();
        by_name.sort_unstable_by(|(one, _), (other, _)| one.cmp(other));
        let mut by_prefix: Vec<AliasEntry> = by_prefix.into_iter().collect();
        by_prefix.sort_unstable_by(|(one, _), (other, _)| {
            other.len().cmp(&one.len()).then_with(|| one.cmp(other))
        });
        Self {
            by_name: shared.aliases.intern(by_name),
            by_prefix: shared.aliases.intern(by_prefix),
        }
    }

    /// The targets of an exact name.
    #[must_use]
    pub fn get(&self, name: &str) -> Option<&Targets> {
        let entry = if self.by_name.len() <= SHORT_TABLE {
            let is_it = |(known, _): &&AliasEntry| is_same(known.as_bytes(), name.as_bytes());
            self.by_name.iter().find(is_it)
        } else {
            let at = self.by_name.binary_search_by(|(known, _)| (**known).cmp(name)).ok()?;
            self.by_name.get(at)
        };
        entry.map(|(_, targets)| &**targets)
    }

    /// The targets of the longest beginning of `name` that is written with a `*`.
    #[must_use]
    pub fn get_by_prefix(&self, name: &str) -> Option<&Targets> {
        self.entry_by_prefix(name).map(|(_, targets)| &**targets)
    }

    /// That beginning itself, without its `*`.
    #[must_use]
    pub fn prefix_of(&self, name: &str) -> Option<&str> {
        self.entry_by_prefix(name).map(|(prefix, _)| &**prefix)
    }

    fn entry_by_prefix(&self, name: &str) -> Option<&AliasEntry> {
        self.by_prefix.iter().find(|(prefix, _)| name.starts_with(&**prefix))
    }

    /// What `name` stands for: a key's own alias or a global one, exact names first, then beginnings.
    #[must_use]
    pub fn resolve<'a>(own: &'a Self, global: &'a Self, name: &str) -> Option<&'a Targets> {
        own.get(name)
            .or_else(|| global.get(name))
            .or_else(|| own.get_by_prefix(name))
            .or_else(|| global.get_by_prefix(name))
    }

    /// The exact names, sorted.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.by_name.iter().map(|(name, _)| &**name)
    }

    /// The exact names with their targets, sorted by name.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &Targets)> {
        self.by_name.iter().map(|(name, targets)| (&**name, &**targets))
    }

    /// Where all of the names lead.
    pub fn targets(&self) -> impl Iterator<Item = &AliasTarget> {
        self.by_name.iter().chain(&*self.by_prefix).flat_map(|(_, targets)| targets.targets())
    }

    /// Whether one of the names, exact or with a `*`, leads to a fallback.
    #[must_use]
    pub fn has_fallback(&self) -> bool {
        self.by_name.iter().chain(&*self.by_prefix).any(|(_, targets)| targets.has_fallback())
    }

    /// How many names there are, those with a `*` among them.
    #[must_use]
    pub fn len(&self) -> usize {
        self.by_name.len() + self.by_prefix.len()
    }

    /// Whether there is none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

impl Fallback {
    /// `None` for fewer than two targets, and for two of one provider: what an attempt gets is chosen by
    /// its provider.
    #[must_use]
    pub fn new(targets: Vec<AliasTarget>, cluster: Arc<str>) -> Option<Self> {
        let is_repeated = |(index, target): (usize, &AliasTarget)| {
            targets.iter().take(index).any(|other| other.provider == target.provider)
        };
        let is_wrong = targets.len() < 2 || targets.iter().enumerate().any(is_repeated);
        (!is_wrong).then(|| Self { targets: targets.into(), cluster })
    }

    /// In the order in which they are tried.
    #[must_use]
    pub fn targets(&self) -> &[AliasTarget] {
        &self.targets
    }

    /// What the routing header says.
    #[must_use]
    pub fn cluster(&self) -> &Arc<str> {
        &self.cluster
    }
}

impl AliasChoice {
    /// The targets, in the order in which they are tried.
    #[must_use]
    pub fn targets(&self) -> &[AliasTarget] {
        match self {
            Self::One(target) => std::slice::from_ref(target),
            Self::Fallback(fallback) => fallback.targets(),
        }
    }
}

impl Targets {
    /// A split by weight. `None` for no choice at all, a weight of 0, and a sum beyond 64 bits.
    #[must_use]
    pub fn new(weighted: impl IntoIterator<Item = (u64, AliasChoice)>) -> Option<Self> {
        let mut total: u64 = 0;
        let mut choices = Vec::new();
        for (weight, choice) in weighted {
            total = total.checked_add(weight).filter(|_| weight > 0)?;
            choices.push((total, choice));
        }
        (total > 0).then_some(Self { choices })
    }

    /// A single choice.
    #[must_use]
    pub fn one(choice: AliasChoice) -> Self {
        Self { choices: vec![(1, choice)] }
    }

    /// The choices with their weights, in the operator's order.
    pub fn choices(&self) -> impl Iterator<Item = (u64, &AliasChoice)> {
        let mut before = 0;
        self.choices.iter().map(move |(cumulative, choice)| {
            let weight = cumulative.saturating_sub(before);
            before = *cumulative;
            (weight, choice)
        })
    }

    /// All targets of all choices.
    pub fn targets(&self) -> impl Iterator<Item = &AliasTarget> {
        self.choices.iter().flat_map(|(_, choice)| choice.targets())
    }

    /// Whether one of the targets is `model` at `provider`.
    #[must_use]
    pub fn lead_to(&self, provider: ProviderId, model: &str) -> bool {
        self.targets().any(|target| target.provider == provider && target.model == model)
    }

    /// Whether one of the choices is a fallback.
    #[must_use]
    pub fn has_fallback(&self) -> bool {
        self.choices.iter().any(|(_, choice)| matches!(choice, AliasChoice::Fallback(_)))
    }

    /// Whether there is a choice.
    #[must_use]
    pub fn is_split(&self) -> bool {
        self.choices.len() > 1
    }

    /// The choice that `draw` falls on: shares are as the weights for uniform draws.
    #[must_use]
    pub fn pick(&self, draw: u64) -> Option<&AliasChoice> {
        let (total, _) = self.choices.last()?;
        let point = draw.checked_rem(*total)?;
        let at = self.choices.partition_point(|(cumulative, _)| *cumulative <= point);
        self.choices.get(at).map(|(_, choice)| choice)
    }

    /// Like [`pick`](Self::pick), among the choices that have a target which `usable` accepts; `None` if
    /// there is none.
    pub fn pick_among(
        &self,
        draw: u64,
        usable: impl Fn(&AliasTarget) -> bool,
    ) -> Option<&AliasChoice> {
        let usable = |choice: &AliasChoice| choice.targets().iter().any(&usable);
        if self.choices.iter().all(|(_, choice)| usable(choice)) {
            return self.pick(draw);
        }
        let shares = || self.choices().filter(|(_, choice)| usable(choice));
        let total = shares().fold(0, |sum: u64, (weight, _)| sum.saturating_add(weight));
        let mut point = draw.checked_rem(total)?;
        for (weight, choice) in shares() {
            match point.checked_sub(weight) {
                Some(rest) => point = rest,
                None => return Some(choice),
            }
        }
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::test;

    fn target(number: u32) -> AliasTarget {
        AliasTarget { provider: ProviderId(number), model: format!("m{number}") }
    }

    fn split(weights: &[u64]) -> Option<Targets> {
        Targets::new(weights.iter().copied().zip((0..).map(target).map(AliasChoice::One)))
    }

    fn first(choice: &AliasChoice) -> u32 {
        choice.targets()[0].provider.0
    }

    #[test]
    fn fallbacks() {
        let fallback = |numbers: &[u32]| {
            Fallback::new(numbers.iter().copied().map(target).collect(), "both".into())
        };
        assert_eq!(fallback(&[]), None);
        assert_eq!(fallback(&[1]), None);
        assert_eq!(fallback(&[1, 2, 1]), None);
        let both = fallback(&[2, 1]).unwrap();
        assert_eq!((&**both.cluster(), both.targets().len()), ("both", 2));
        let split =
            Targets::new([(1, AliasChoice::One(target(0))), (1, AliasChoice::Fallback(both))])
                .unwrap();
        assert!(split.has_fallback() && split.is_split());
        let targets = split.choices().flat_map(|(_, choice)| choice.targets());
        assert_eq!(targets.map(|target| target.provider.0).collect::<Vec<_>>(), [0, 2, 1]);
        // A choice is usable with any of its targets.
        let among = |number| split.pick_among(0, |target| target.provider.0 == number).map(first);
        assert_eq!([0, 1, 2, 3].map(among), [Some(0), Some(2), Some(2), None]);
    }

    /// How often each target comes up in one round of draws.
    fn counts(round: u64, pick: impl Fn(u64) -> Option<u32>) -> Vec<u64> {
        let mut counts = vec![0; 3];
        for draw in 0..round {
            counts[pick(draw).unwrap() as usize] += 1;
        }
        counts
    }

    #[test]
    fn shares_are_as_the_weights() {
        let targets = split(&[90, 9, 1]).unwrap();
        let pick = |draw| Some(first(targets.pick(draw)?));
        assert_eq!(counts(100, pick), [90, 9, 1]);
        assert_eq!(pick(7), pick(107));
        assert!(pick(u64::MAX).is_some());
        let one = Targets::one(AliasChoice::One(target(2)));
        assert_eq!(one.pick(0), one.pick(u64::MAX));
    }

    #[test]
    fn shares_among_usable_targets() {
        let targets = split(&[90, 9, 1]).unwrap();
        let pick = |draw| Some(first(targets.pick_among(draw, |t| t.provider.0 != 0)?));
        assert_eq!(counts(10, pick), [0, 9, 1]);
        let all = |draw| Some(first(targets.pick_among(draw, |_| true)?));
        assert_eq!(counts(100, all), [90, 9, 1]);
        assert_eq!(targets.pick_among(5, |_| false), None);
    }

    #[test]
    fn impossible_splits() {
        assert_eq!(split(&[]), None);
        assert_eq!(split(&[0]), None);
        assert_eq!(split(&[1, 0]), None);
        assert_eq!(split(&[u64::MAX, 1]), None);
        let large = split(&[u64::MAX - 1, 1]).unwrap();
        assert_eq!(first(large.pick(u64::MAX - 1).unwrap()), 1);
        assert_eq!(first(large.pick(u64::MAX - 2).unwrap()), 0);
    }

    #[test]
    fn names_are_exact() {
        let table =
            AliasTable::new([("gpt-4o".to_owned(), Targets::one(AliasChoice::One(target(1))))]);
        assert!(table.get("gpt-4o").is_some());
        assert!(table.get("GPT-4o").is_none() && table.get("gpt-4o ").is_none());
        assert_eq!(table.names().collect::<Vec<_>>(), ["gpt-4o"]);
        assert_eq!((table.len(), table.is_empty()), (1, false));
    }

    #[test]
    fn every_name_is_found_in_short_and_long_tables() {
        for count in 0..3 * SHORT_TABLE as u32 {
            let names = (0..count).map(|number| (format!("{:x}", number * 7), number));
            let entries = names
                .clone()
                .map(|(name, number)| (name, Targets::one(AliasChoice::One(target(number)))));
            let table = AliasTable::new(entries);
            for (name, number) in names {
                assert_eq!(table.get(&name).and_then(|it| it.pick(0)).map(first), Some(number));
                assert_eq!(table.get(&format!("{name}.")), None);
            }
            assert_eq!(table.get(""), None);
        }
    }

    #[test]
    fn the_longest_beginning_counts_where_no_name_does() {
        let table = |names: &[(&str, u32)]| {
            let entries = names.iter().map(|(name, at)| {
                ((*name).to_owned(), Targets::one(AliasChoice::One(target(*at))))
            });
            AliasTable::new(entries)
        };
        let own = table(&[("claude-*", 1), ("claude-haiku-*", 2), ("claude-haiku-x", 3)]);
        let global = table(&[("claude-opus", 4), ("claude-opus-*", 5), ("gpt-*", 6), ("*", 7)]);
        for (name, want) in [
            ("claude-haiku-x", 3),
            ("claude-haiku-y", 2),
            ("claude-haiku-", 2),
            ("claude-haiku", 1),
            ("claude-", 1),
            ("claude-opus", 4),
            ("claude-opus-5", 1),
            ("gpt-5", 6),
            ("claude", 7),
            ("CLAUDE-x", 7),
        ] {
            let got = AliasTable::resolve(&own, &global, name).unwrap();
            assert_eq!(first(got.pick(0).unwrap()), want, "{name}");
        }
        assert_eq!(AliasTable::resolve(&own, &AliasTable::default(), "gpt-5"), None);
        assert_eq!((own.len(), own.names().count()), (3, 1));
    }
}
