//! Virtual keys: who may use what, and the table of digests.

use std::collections::HashMap;
use std::fmt;
use std::hash::{BuildHasherDefault, Hasher};
use std::sync::Arc;

use sha2::{Digest as _, Sha256};
use subtle::ConstantTimeEq;

use crate::error::{Code, GatewayError};
use crate::policy::model::{AliasTable, Allowlist};
use crate::policy::{CacheMode, ProviderId, UsageSettings};

/// SHA-256 of a virtual key.
pub type Digest = [u8; 32];

/// The longest virtual key, in bytes. A longer one is refused without being hashed.
pub const MAX_KEY_BYTES: usize = 4_096;

/// What an operator should hear about a key that is accepted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Weakness {
    /// Its literal has so few characters that it could be guessed.
    Short,
    /// Its digest is that of no key, or of one that everybody knows.
    Placeholder,
    /// It is its own id.
    Shown,
}

/// One virtual key: who may use what.
#[derive(Debug)]
pub struct VirtualKey {
    /// Shown in logs, metrics and headers; never the key.
    pub id: Arc<str>,
    /// Why it is a weak one, as far as that can be told.
    pub weakness: Option<Weakness>,
    /// The providers that it may use.
    pub bound: Arc<Bound>,
    /// `models_allowed`.
    pub allowed: Allowlist,
    /// The key's own aliases.
    pub aliases: AliasTable,
    /// The key's own cache mode.
    pub cache: Option<CacheMode>,
    /// What is done about its token counts.
    pub usage: UsageSettings,
    /// Switched off.
    pub revoked: bool,
    /// Seconds since the Unix epoch from which on the key is refused.
    pub expires_at: Option<u64>,
}

/// The providers that a key is bound to, in order; the first is the primary.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Bound {
    order: Box<[ProviderId]>,
    /// One bit a provider.
    bits: Box<[u64]>,
}

/// All virtual keys, found by digest and by id.
#[derive(Default)]
pub struct VirtualKeys {
    list: Vec<Arc<VirtualKey>>,
    /// Each digest and its key's place in `list`, sorted.
    digests: Vec<(Digest, u32)>,
    /// Where in `digests` those with these first 8 bytes begin; the rest is compared in constant time.
    by_prefix: HashMap<u64, u32, BuildHasherDefault<PrefixHasher>>,
    /// Places in `list`, sorted by id.
    by_id: Vec<u32>,
}

/// The SHA-256 of a key's bytes, as `key_sha256` of a configuration has it in hex.
///
/// ```
/// use openai_gateway_filter::policy::key::digest;
///
/// let hex: String = digest(b"vk-1").iter().map(|byte| format!("{byte:02x}")).collect();
/// assert!(hex.starts_with("f0bb42a4"));
/// ```
#[must_use]
pub fn digest(key: &[u8]) -> Digest {
    Sha256::digest(key).into()
}

impl Bound {
    /// Keeps the first of equal ids.
    #[must_use]
    pub fn new(order: impl IntoIterator<Item = ProviderId>) -> Self {
        let mut kept = Vec::new();
        let mut bits: Vec<u64> = Vec::new();
        for id in order {
            let (word, bit) = Self::place(id);
            if bits.len() <= word {
                bits.resize(word + 1, 0);
            }
            if let Some(word) = bits.get_mut(word)
                && *word & bit == 0
            {
                *word |= bit;
                kept.push(id);
            }
        }
        Self { order: kept.into(), bits: bits.into() }
    }

    /// Whether the key may use `id`, O(1).
    #[must_use]
    pub fn contains(&self, id: ProviderId) -> bool {
        let (word, bit) = Self::place(id);
        self.bits.get(word).is_some_and(|word| word & bit != 0)
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

    /// The word of `bits`, and the bit in it.
    fn place(id: ProviderId) -> (usize, u64) {
        ((id.0 / u64::BITS) as usize, 1 << (id.0 % u64::BITS))
    }
}

/// A table to which keys are added one by one.
#[derive(Default)]
pub(crate) struct VirtualKeysBuilder {
    list: Vec<Arc<VirtualKey>>,
    digests: Vec<(Digest, u32)>,
}

impl VirtualKeysBuilder {
    /// Adds a key. The caller has checked that its digests and its id are new.
    pub(crate) fn push(&mut self, digests: &[Digest], key: VirtualKey) {
        let at = u32::try_from(self.list.len()).unwrap_or(u32::MAX);
        self.digests.extend(digests.iter().map(|digest| (*digest, at)));
        self.list.push(Arc::new(key));
    }

    /// The table, with all that finds a key.
    pub(crate) fn build(self) -> VirtualKeys {
        let Self { mut list, mut digests } = self;
        list.shrink_to_fit();
        digests.shrink_to_fit();
        digests.sort_unstable();
        let mut by_prefix =
            HashMap::with_capacity_and_hasher(digests.len(), BuildHasherDefault::default());
        for ((digest, _), at) in digests.iter().zip(0..) {
            by_prefix.entry(prefix(digest)).or_insert(at);
        }
        let id = |at: &u32| list.get(*at as usize).map(|key| &*key.id);
        let mut by_id: Vec<u32> = (0..).take(list.len()).collect();
        by_id.sort_unstable_by(|one, other| id(one).cmp(&id(other)));
        VirtualKeys { list, digests, by_prefix, by_id }
    }
}

impl VirtualKeys {
    /// Builds the table. The caller has checked that digests are unique.
    #[must_use]
    pub fn new(keys: impl IntoIterator<Item = (Vec<Digest>, VirtualKey)>) -> Self {
        let mut builder = VirtualKeysBuilder::default();
        for (digests, key) in keys {
            builder.push(&digests, key);
        }
        builder.build()
    }

    /// The key of an id.
    #[must_use]
    pub fn by_id(&self, id: &str) -> Option<&Arc<VirtualKey>> {
        let known = |at: &u32| self.list.get(*at as usize);
        let at = self.by_id.binary_search_by(|at| known(at).map(|key| &*key.id).cmp(&Some(id)));
        known(self.by_id.get(at.ok()?)?)
    }

    /// Finds the presented key and checks that it may be used now. `clock` tells Unix seconds; it is
    /// asked only about a key that expires.
    ///
    /// # Errors
    /// `invalid_api_key`, `virtual_key_revoked`, `virtual_key_expired`.
    pub fn authenticate(
        &self,
        presented: &[u8],
        clock: impl Fn() -> u64,
    ) -> Result<Arc<VirtualKey>, GatewayError> {
        let key = self.find(presented).ok_or_else(|| {
            GatewayError::new(
                Code::InvalidApiKey,
                "Incorrect API key provided: this gateway does not know the virtual key. Check that \
                 it was copied in full, or ask the gateway's operator for one.",
            )
        })?;
        if key.revoked {
            return Err(GatewayError::new(
                Code::VirtualKeyRevoked,
                format!(
                    "The virtual key {} is revoked. Ask the gateway's operator for a new one.",
                    key.id
                ),
            ));
        }
        if key.expires_at.is_some_and(|at| clock() >= at) {
            return Err(GatewayError::new(
                Code::VirtualKeyExpired,
                format!(
                    "The virtual key {} has expired. Ask the gateway's operator for a new one.",
                    key.id
                ),
            ));
        }
        Ok(Arc::clone(key))
    }

    /// The key that was presented, whether it may be used or not: for logs and metrics.
    #[must_use]
    pub fn known(&self, presented: &[u8]) -> Option<Arc<VirtualKey>> {
        self.find(presented).cloned()
    }

    fn find(&self, presented: &[u8]) -> Option<&Arc<VirtualKey>> {
        if presented.len() > MAX_KEY_BYTES {
            return None;
        }
        let digest = digest(presented);
        let prefix = prefix(&digest);
        let first = *self.by_prefix.get(&prefix)?;
        let (_, at) = self
            .digests
            .get(first as usize..)?
            .iter()
            .take_while(|(known, _)| self::prefix(known) == prefix)
            .find(|(known, _)| bool::from(known.ct_eq(&digest)))?;
        self.list.get(*at as usize)
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

    /// The keys, in the order of the configuration.
    pub fn iter(&self) -> impl Iterator<Item = &Arc<VirtualKey>> {
        self.list.iter()
    }
}

impl fmt::Debug for VirtualKeys {
    /// Without the digests: a short key could be guessed from its digest.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(&self.list).finish()
    }
}

fn prefix(digest: &Digest) -> u64 {
    u64::from_le_bytes(digest.first_chunk().copied().unwrap_or_default())
}

/// What a digest begins with is a hash already.
#[derive(Default)]
struct PrefixHasher(u64);

impl Hasher for PrefixHasher {
    fn finish(&self) -> u64 {
        self.0
    }

    fn write(&mut self, bytes: &[u8]) {
        bytes.iter().for_each(|byte| self.0 = self.0.rotate_left(8) ^ u64::from(*byte));
    }

    fn write_u64(&mut self, prefix: u64) {
        self.0 = prefix;
    }
}

/// A key of which nothing is said.
#[cfg(test)]
pub(crate) fn test_key(id: &str) -> VirtualKey {
    VirtualKey {
        id: id.into(),
        weakness: None,
        bound: Arc::new(Bound::new([ProviderId(0)])),
        allowed: Allowlist::All,
        aliases: AliasTable::default(),
        cache: None,
        usage: UsageSettings::default(),
        revoked: false,
        expires_at: None,
    }
}

#[cfg(test)]
mod tests {
    use super::test_key as key;
    use super::*;
    use crate::test;

    #[test]
    fn bound_keeps_order_and_the_first_of_equals() {
        let ids = |numbers: &[u32]| numbers.iter().copied().map(ProviderId).collect::<Vec<_>>();
        let bound = Bound::new(ids(&[70, 3, 70, 64, 3]));
        assert_eq!(bound.iter().collect::<Vec<_>>(), ids(&[70, 3, 64]));
        assert_eq!(bound.primary(), Some(ProviderId(70)));
        for number in 0..200 {
            assert_eq!(bound.contains(ProviderId(number)), [70, 3, 64].contains(&number));
        }
        assert_eq!(Bound::new([]).primary(), None);
        assert!(!Bound::new([]).contains(ProviderId(0)));
    }

    #[test]
    fn is_found_by_its_id() {
        let ids = ["b", "a", "c", "B"];
        let keys = VirtualKeys::new(ids.map(|id| (vec![digest(id.as_bytes())], key(id))));
        for id in ids {
            assert_eq!(keys.by_id(id).map(|key| &*key.id), Some(id));
        }
        assert!(keys.by_id("").is_none() && keys.by_id("ab").is_none());
        assert_eq!(keys.iter().map(|key| &*key.id).collect::<Vec<_>>(), ids);
    }

    #[test]
    fn digests_that_begin_alike_are_told_apart() {
        let mut digests: Vec<Digest> = vec![digest(b"vk-a"); 4];
        for (digest, last) in digests.iter_mut().zip(1..) {
            digest[31] ^= last;
        }
        let mut table: Vec<_> =
            digests.into_iter().map(|digest| (vec![digest], key("decoy"))).collect();
        table.push((vec![digest(b"vk-a"), digest(b"vk-b")], key("real")));
        let keys = VirtualKeys::new(table);
        for presented in [b"vk-a", b"vk-b"] {
            assert_eq!(&*keys.authenticate(presented, || 0).unwrap().id, "real");
        }
        assert!(keys.authenticate(b"vk-c", || 0).is_err());
    }

    #[test]
    fn authenticates_by_digest() {
        let keys = VirtualKeys::new(vec![
            (vec![digest(b"vk-a")], key("a")),
            (vec![digest(b"vk-revoked")], VirtualKey { revoked: true, ..key("b") }),
            (vec![digest(b"vk-expiring")], VirtualKey { expires_at: Some(100), ..key("c") }),
            (
                vec![digest(b"vk-both")],
                VirtualKey { revoked: true, expires_at: Some(1), ..key("d") },
            ),
        ]);
        assert_eq!(keys.len(), 4);
        for (presented, now, want) in [
            (&b"vk-a"[..], 0, Ok("a")),
            (b"vk-expiring", 99, Ok("c")),
            (b"vk-expiring", 100, Err(Code::VirtualKeyExpired)),
            (b"vk-expiring", u64::MAX, Err(Code::VirtualKeyExpired)),
            (b"vk-revoked", 0, Err(Code::VirtualKeyRevoked)),
            (b"vk-both", 50, Err(Code::VirtualKeyRevoked)),
            (b"vk-A", 0, Err(Code::InvalidApiKey)),
            (b"vk-a ", 0, Err(Code::InvalidApiKey)),
            (b"", 0, Err(Code::InvalidApiKey)),
            (b"\xff\0", 0, Err(Code::InvalidApiKey)),
            (&[b'x'; 1 << 20], 0, Err(Code::InvalidApiKey)),
        ] {
            let got = keys.authenticate(presented, || now);
            assert_eq!(got.as_ref().map(|key| &*key.id).map_err(|e| e.code), want);
            if let Err(error) = got {
                let secret = String::from_utf8_lossy(presented);
                assert!(secret.is_empty() || !error.message.contains(&*secret));
            }
        }
    }

    #[test]
    fn equal_buckets_are_told_apart_by_the_whole_digest() {
        let real = digest(b"vk-a");
        let mut near = real;
        near[31] ^= 1;
        let keys = VirtualKeys::new(vec![(vec![near], key("near")), (vec![real], key("real"))]);
        assert_eq!(&*keys.authenticate(b"vk-a", || 0).unwrap().id, "real");
        let keys = VirtualKeys::new(vec![(vec![near], key("near"))]);
        assert_eq!(keys.authenticate(b"vk-a", || 0).unwrap_err().code, Code::InvalidApiKey);
    }

    #[test]
    fn debug_holds_no_digest() {
        let keys = VirtualKeys::new(vec![(vec![digest(b"vk-a")], key("a"))]);
        let text = format!("{keys:?}");
        assert!(text.contains("\"a\"") && !text.contains(&format!("{}", digest(b"vk-a")[0])));
    }
}
