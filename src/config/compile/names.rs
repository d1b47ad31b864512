//! What other parts of the configuration have to know of its providers.

use std::collections::{HashMap, HashSet};

use crate::policy::ProviderId;

/// The configured providers. It holds those that are otherwise wrong, too, so that one mistake is not reported again
/// wherever the provider is named.
#[derive(Default)]
pub(super) struct ProviderNames {
    by_name: HashMap<String, ProviderId>,
    /// The curated lists of those that have one.
    listed: HashMap<ProviderId, HashSet<String>>,
}

impl ProviderNames {
    /// The provider of a name.
    pub(super) fn get(&self, name: &str) -> Option<ProviderId> {
        self.by_name.get(name).copied()
    }

    pub(super) fn insert(&mut self, name: String, id: ProviderId) {
        self.by_name.insert(name, id);
    }

    /// Gives a provider its curated list.
    pub(super) fn list<'m>(&mut self, name: &str, models: impl Iterator<Item = &'m str>) {
        if let Some(id) = self.get(name) {
            self.listed.insert(id, models.map(str::to_owned).collect());
        }
    }

    /// In the order of the configuration.
    pub(super) fn ids(&self) -> Vec<ProviderId> {
        let mut ids: Vec<ProviderId> = self.by_name.values().copied().collect();
        ids.sort_unstable();
        ids
    }

    /// Whether the provider serves the model, as far as its curated list tells.
    pub(super) fn serves(&self, id: ProviderId, model: &str) -> bool {
        self.listed.get(&id).is_none_or(|models| models.contains(model))
    }
}
