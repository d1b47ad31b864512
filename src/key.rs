//! Virtual keys: the table of digests, and where a request carries its key.

use std::collections::HashMap;

use crate::config::{CacheMode, ProviderId};
use crate::error::GatewayError;
use crate::model::{AliasTable, Allowlist};

/// SHA-256 of a virtual key.
pub type Digest = [u8; 32];

/// One virtual key: who may use what.
#[derive(Debug)]
pub struct VirtualKey {
    /// Shown in logs, metrics and headers; never the key.
    pub id: String,
    /// The providers that it may use.
    pub bound: Bound,
    /// `models_allowed`.
    pub allowed: Allowlist,
    /// The key's own aliases.
    pub aliases: AliasTable,
    /// The key's own cache mode.
    pub cache: Option<CacheMode>,
    /// Switched off.
    pub revoked: bool,
    /// Seconds since the Unix epoch from which on the key is refused.
    pub expires_at: Option<u64>,
}

/// The providers that a key is bound to, in order; the first is the primary.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Bound {
    order: Box<[ProviderId]>,
    /// One bit a provider.
    bits: Box<[u64]>,
}

/// All virtual keys, found by digest.
#[derive(Debug, Default)]
pub struct VirtualKeys {
    list: Vec<VirtualKey>,
    /// By the first 8 bytes of the digest; the rest is compared in constant time.
    by_digest: HashMap<[u8; 8], Vec<(Digest, usize)>>,
}

impl Bound {
    /// Keeps the first of equal ids.
    #[must_use]
    pub fn new(order: impl IntoIterator<Item = ProviderId>) -> Self {
        let _ = order;
        Self { order: Box::new([]), bits: Box::new([]) }
    }

    /// Whether the key may use `id`, O(1).
    #[must_use]
    pub fn contains(&self, id: ProviderId) -> bool {
        let _ = (id, &self.bits);
        false
    }

    /// The first provider, `None` for an empty list.
    #[must_use]
    pub fn primary(&self) -> Option<ProviderId> {
        self.order.first().copied()
    }

    /// In order.
    pub fn iter(&self) -> impl Iterator<Item = ProviderId> {
        self.order.iter().copied()
    }
}

impl VirtualKeys {
    /// Builds the table. The caller has checked that digests are unique.
    #[must_use]
    pub fn new(keys: Vec<(Digest, VirtualKey)>) -> Self {
        let _ = keys;
        Self::default()
    }

    /// Finds the presented key and checks that it may be used at `now` (Unix seconds).
    ///
    /// # Errors
    /// `invalid_api_key`, `virtual_key_revoked`, `virtual_key_expired`.
    pub fn authenticate(&self, presented: &[u8], now: u64) -> Result<&VirtualKey, GatewayError> {
        let _ = (presented, now, &self.by_digest, &self.list);
        Err(GatewayError::new(crate::error::Code::InvalidApiKey, "not built yet"))
    }

    /// How many keys there are.
    #[must_use]
    pub fn len(&self) -> usize {
        self.list.len()
    }

    /// Whether there is none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.list.is_empty()
    }
}
