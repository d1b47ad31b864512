//! What one worker may hold for all its requests together (`limits.max_held_bytes`), and how much of that one virtual
//! key or one provider may take.
//!
//! All streams of a worker share one memory: without a bound, one client or one server could end them all. Counted is what
//! is held in this memory (bodies that are collected, unfinished events, converted answers, what a Response repeats of its
//! request) and what Envoy holds for us. An [`Account`] says after each event how much its request holds, and gives
//! everything back when it is dropped.

use std::cell::{Cell, RefCell};
use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::rc::Rc;
use std::sync::Arc;

use crate::error::{Code, GatewayError};
use crate::policy::key::VirtualKey;
use crate::policy::{Config, ProviderId};

/// When a client that was refused for want of room may try again, in seconds.
pub const RETRY_AFTER_SECONDS: &str = "1";

/// The most that one exchange may hold without being counted, in bytes.
const SMALL: usize = 4096;

/// The budget of one configuration on one worker.
#[derive(Debug)]
pub struct Budget {
    limit: usize,
    key_share: usize,
    provider_share: usize,
    /// What holds less is not counted: each stream costs Envoy and this filter more than this anyway, and a small chat is
    /// not worth the counting.
    small: usize,
    /// Of the whole worker: after a new configuration, streams of the old one still hold theirs.
    total: Rc<Cell<usize>>,
    /// By the key's id.
    by_key: RefCell<HashMap<Arc<str>, usize>>,
    by_provider: RefCell<HashMap<ProviderId, usize>>,
}

impl Budget {
    /// The budget that a configuration gives. `total`: what all configurations of this worker hold.
    #[must_use]
    pub fn new(config: &Config, total: Rc<Cell<usize>>) -> Self {
        let size = |bytes| usize::try_from(bytes).unwrap_or(usize::MAX);
        let limit = size(config.limits.max_held_bytes);
        let share = |count| size(config.limits.share(count));
        Self {
            limit,
            key_share: share(config.virtual_keys.len()),
            provider_share: share(config.providers.len()),
            small: SMALL.min(limit / 1024),
            total,
            by_key: RefCell::default(),
            by_provider: RefCell::default(),
        }
    }

    /// What the worker holds, in bytes.
    #[must_use]
    pub fn held(&self) -> usize {
        self.total.get()
    }
}

/// What one request holds.
#[derive(Debug)]
pub(super) struct Account {
    budget: Rc<Budget>,
    key: Option<Arc<VirtualKey>>,
    provider: Option<ProviderId>,
    held: usize,
}

impl Account {
    pub(super) fn new(budget: Rc<Budget>) -> Self {
        Self { budget, key: None, provider: None, held: 0 }
    }

    /// The request holds `bytes` now, for this key and this provider.
    ///
    /// # Errors
    /// `overloaded` where that is more than the worker, the key or the provider may hold; less than before is never too
    /// much.
    #[inline]
    pub(super) fn set(
        &mut self,
        bytes: usize,
        key: Option<&Arc<VirtualKey>>,
        provider: Option<ProviderId>,
    ) -> Result<(), GatewayError> {
        let bytes = if bytes < self.budget.small { 0 } else { bytes };
        // Nearly all events change nothing.
        if bytes == self.held && (bytes == 0 || self.provider == provider) {
            return Ok(());
        }
        self.change(bytes, key, provider)
    }

    #[cold]
    fn change(
        &mut self,
        bytes: usize,
        key: Option<&Arc<VirtualKey>>,
        provider: Option<ProviderId>,
    ) -> Result<(), GatewayError> {
        let grows = bytes > self.held;
        self.give_back();
        self.key = key.cloned();
        self.provider = provider;
        self.held = bytes;
        let budget = &*self.budget;
        let total = budget.total.get().saturating_add(bytes);
        budget.total.set(total);
        let add = |held: &mut usize| {
            *held = held.saturating_add(bytes);
            *held
        };
        let of_key = self.key.as_ref().map_or(0, |key| {
            let mut held = budget.by_key.borrow_mut();
            add(held.entry(Arc::clone(&key.id)).or_default())
        });
        let of_provider = self
            .provider
            .map_or(0, |id| add(budget.by_provider.borrow_mut().entry(id).or_default()));
        let whose = if of_key > budget.key_share {
            "its requests of this virtual key"
        } else if of_provider > budget.provider_share {
            "its requests to this provider"
        } else if total > budget.limit {
            "all its requests"
        } else {
            return Ok(());
        };
        if !grows {
            return Ok(());
        }
        Err(GatewayError::new(
            Code::Overloaded,
            format!(
                "This gateway holds as much as it may for {whose}. Try again in a moment, or send and ask for less at \
                 once."
            ),
        ))
    }

    fn give_back(&mut self) {
        let bytes = std::mem::take(&mut self.held);
        if bytes == 0 {
            return;
        }
        let budget = &*self.budget;
        budget.total.set(budget.total.get().saturating_sub(bytes));
        if let Some(key) = &self.key
            && let Entry::Occupied(mut held) = budget.by_key.borrow_mut().entry(Arc::clone(&key.id))
        {
            *held.get_mut() = held.get().saturating_sub(bytes);
            // There may be very many keys: only those that hold something are known here.
            if *held.get() == 0 {
                held.remove();
            }
        }
        if let Some(id) = self.provider
            && let Some(held) = budget.by_provider.borrow_mut().get_mut(&id)
        {
            *held = held.saturating_sub(bytes);
        }
    }
}

impl Drop for Account {
    fn drop(&mut self) {
        self.give_back();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::policy::key::test_key;
    use crate::test;

    fn budget(limit: usize, key_share: usize, provider_share: usize) -> Rc<Budget> {
        Rc::new(Budget {
            limit,
            key_share,
            provider_share,
            small: 0,
            total: Rc::default(),
            by_key: RefCell::default(),
            by_provider: RefCell::default(),
        })
    }

    #[test]
    fn everything_is_given_back() {
        let budget = budget(100, 60, 50);
        let key = Arc::new(test_key("a"));
        let mut account = Account::new(Rc::clone(&budget));
        for (bytes, provider, want) in [
            (40, None, true),
            (40, Some(ProviderId(0)), true),
            (51, Some(ProviderId(0)), false),
            // Less than before is never refused, though it is still too much.
            (51, Some(ProviderId(1)), true),
            (61, None, false),
            (0, None, true),
            (60, None, true),
        ] {
            let got = account.set(bytes, Some(&key), provider);
            assert_eq!(got.is_ok(), want, "{bytes} {provider:?}");
            assert_eq!(budget.held(), bytes);
        }
        let mut other = Account::new(Rc::clone(&budget));
        assert!(other.set(40, Some(&Arc::new(test_key("b"))), None).is_ok());
        assert!(other.set(41, Some(&Arc::new(test_key("b"))), None).is_err());
        drop((account, other));
        assert_eq!(budget.held(), 0);
        assert!(budget.by_key.borrow().is_empty());
        assert!(budget.by_provider.borrow().values().all(|held| *held == 0));
    }
}
