//! What a client keeps for the gateway, sealed: reasoning and compactions. The gateway keeps no state, so
//! they come back with the next request, and only who sealed them can read them.
//!
//! XChaCha20-Poly1305 under a key derived by HKDF-SHA256, base64url behind a version. The key is made of
//! the operator's secret and the virtual key's id, so that it outlives a rotation of the virtual key;
//! without a secret, of the virtual key itself. What is sealed for one virtual key, or for one purpose,
//! can't be opened for another.
//!
//! What is opened is no more trustworthy than what any client sends: who holds the virtual key can make
//! the sealing key. So it is text, and is escaped like any other.

use std::cell::{Cell, OnceCell};
use std::fmt;
use std::hash::{BuildHasher, RandomState};
use std::rc::Rc;

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use chacha20poly1305::aead::{Aead, Payload};
use chacha20poly1305::{KeyInit, XChaCha20Poly1305, XNonce};
use hkdf::Hkdf;
use sha2::Sha256;

/// Begins what is sealed in this way. Another way of sealing gets another.
const VERSION: &str = "gw1.";
/// Bytes of a nonce.
const NONCE: usize = 24;

/// What is sealed. A part of the seal: one can't be passed off as the other.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Purpose {
    /// What the model thought.
    Reasoning,
    /// A summary in the place of a conversation.
    Compaction,
}

impl Purpose {
    fn name(self) -> &'static [u8] {
        match self {
            Self::Reasoning => b"reasoning",
            Self::Compaction => b"compaction",
        }
    }
}

/// Seals and opens for one virtual key.
pub struct Sealer {
    /// What the sealing key is derived of.
    secret: Box<[u8]>,
    id: Box<str>,
    /// Derived when it is first needed: hardly any request brings what is sealed, and few answers have something to seal.
    key: OnceCell<[u8; 32]>,
}

impl fmt::Debug for Sealer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Sealer([redacted])")
    }
}

impl Sealer {
    /// The sealer of a virtual key: `secret` is the operator's, or the key itself, `id` the key's.
    #[must_use]
    pub fn new(secret: &[u8], id: &str) -> Self {
        Self { secret: secret.into(), id: id.into(), key: OnceCell::new() }
    }

    fn key(&self) -> Option<&[u8; 32]> {
        if self.key.get().is_none() {
            let mut key = [0; 32];
            let info = [b"openai-gateway-filter seal 1\0", self.id.as_bytes()];
            Hkdf::<Sha256>::new(None, &self.secret).expand_multi_info(&info, &mut key).ok()?;
            self.key.set(key).ok()?;
        }
        self.key.get()
    }

    fn cipher(&self) -> Option<XChaCha20Poly1305> {
        Some(XChaCha20Poly1305::new(self.key()?.into()))
    }

    /// What another instance of the filter makes the same sealer of. It seals and opens, and tells nothing of the virtual key
    /// that it is made of.
    pub(crate) fn export(&self) -> Option<String> {
        Some(URL_SAFE_NO_PAD.encode(self.key()?))
    }

    /// The sealer that was exported; `None` for what no sealer exports.
    pub(crate) fn import(exported: &str) -> Option<Self> {
        let key: [u8; 32] = URL_SAFE_NO_PAD.decode(exported).ok()?.try_into().ok()?;
        Some(Self { secret: Box::default(), id: Box::default(), key: key.into() })
    }

    /// `text`, sealed. The nonce must never come again.
    fn seal(&self, purpose: Purpose, text: &str, nonce: [u8; NONCE]) -> Option<String> {
        let payload = Payload { msg: text.as_bytes(), aad: purpose.name() };
        let sealed = self.cipher()?.encrypt(&XNonce::from(nonce), payload).ok()?;
        let mut out = VERSION.to_owned();
        URL_SAFE_NO_PAD.encode_string([&nonce[..], &sealed].concat(), &mut out);
        Some(out)
    }

    /// What was sealed for this virtual key and purpose; `None` for anything else: another server's,
    /// another key's, another version's, what was changed on its way.
    #[must_use]
    pub fn open(&self, purpose: Purpose, sealed: &str) -> Option<String> {
        let bytes = URL_SAFE_NO_PAD.decode(sealed.strip_prefix(VERSION)?).ok()?;
        let (nonce, sealed) = bytes.split_at_checked(NONCE)?;
        let nonce: [u8; NONCE] = nonce.try_into().ok()?;
        let payload = Payload { msg: sealed, aad: purpose.name() };
        String::from_utf8(self.cipher()?.decrypt(&XNonce::from(nonce), payload).ok()?).ok()
    }
}

/// Seals what one answer gives out. No nonce comes again: each is 16 random bytes of this answer and a
/// count.
#[derive(Debug)]
pub struct AnswerSealer {
    sealer: Rc<Sealer>,
    random: [u8; 16],
    count: Cell<u64>,
}

impl AnswerSealer {
    /// A sealer for one answer.
    #[must_use]
    pub fn new(sealer: Rc<Sealer>) -> Self {
        // std keys its hashes with random numbers of the host, 128 bits for each worker; under an unknown
        // key its SipHash can't be told from a random function.
        let state = RandomState::new();
        let mut random = [0; 16];
        for (index, half) in random.chunks_mut(8).enumerate() {
            half.copy_from_slice(&state.hash_one(index).to_le_bytes());
        }
        Self { sealer, random, count: Cell::new(0) }
    }

    /// `text`, sealed; `None` where it can't be: after 2^64 others.
    #[must_use]
    pub fn seal(&self, purpose: Purpose, text: &str) -> Option<String> {
        let count = self.count.get();
        self.count.set(count.checked_add(1)?);
        let mut nonce = [0; NONCE];
        let (random, counted) = nonce.split_at_mut_checked(self.random.len())?;
        random.copy_from_slice(&self.random);
        counted.copy_from_slice(&count.to_le_bytes());
        self.sealer.seal(purpose, text, nonce)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::test;

    fn sealer(secret: &str, id: &str) -> Rc<Sealer> {
        Rc::new(Sealer::new(secret.as_bytes(), id))
    }

    #[test]
    fn what_was_sealed_comes_back() {
        let mine = sealer("s", "team");
        let answer = AnswerSealer::new(mine.clone());
        for text in ["", "because", "\u{0}\"\\\u{1f600}"] {
            let sealed = answer.seal(Purpose::Reasoning, text).unwrap();
            assert!(sealed.starts_with(VERSION) && sealed.is_ascii());
            assert_eq!(mine.open(Purpose::Reasoning, &sealed).as_deref(), Some(text));
            // Made anew from the same secret.
            assert_eq!(
                sealer("s", "team").open(Purpose::Reasoning, &sealed).as_deref(),
                Some(text)
            );
        }
    }

    #[test]
    fn an_exported_sealer_is_the_same_one() {
        let mine = sealer("s", "team");
        let exported = mine.export().unwrap();
        assert!(exported.bytes().all(|byte| byte.is_ascii_graphic()));
        let other = Sealer::import(&exported).unwrap();
        let sealed = AnswerSealer::new(mine).seal(Purpose::Reasoning, "t").unwrap();
        assert_eq!(other.open(Purpose::Reasoning, &sealed).as_deref(), Some("t"));
        for none in ["", "AAAA", "*", &format!("{exported}AAAA")] {
            assert!(Sealer::import(none).is_none());
        }
    }

    #[test]
    fn nobody_else_opens_it() {
        let sealed = AnswerSealer::new(sealer("s", "team")).seal(Purpose::Reasoning, "t").unwrap();
        for other in [sealer("s", "other"), sealer("t", "team"), sealer("", "")] {
            assert_eq!(other.open(Purpose::Reasoning, &sealed), None);
        }
        assert_eq!(sealer("s", "team").open(Purpose::Compaction, &sealed), None);
    }

    #[test]
    fn what_was_changed_is_not_opened() {
        let mine = sealer("s", "team");
        let sealed = AnswerSealer::new(mine.clone()).seal(Purpose::Reasoning, "a text").unwrap();
        let bytes = URL_SAFE_NO_PAD.decode(sealed.strip_prefix(VERSION).unwrap()).unwrap();
        for at in 0..bytes.len() {
            let mut changed = bytes.clone();
            changed[at] ^= 1;
            let changed = format!("{VERSION}{}", URL_SAFE_NO_PAD.encode(&changed));
            assert_eq!(mine.open(Purpose::Reasoning, &changed), None, "byte {at}");
            let cut = format!("{VERSION}{}", URL_SAFE_NO_PAD.encode(&bytes[..at]));
            assert_eq!(mine.open(Purpose::Reasoning, &cut), None, "cut at {at}");
        }
        let later = sealed.replacen("gw1.", "gw2.", 1);
        for foreign in
            ["", "gw1.", "gw1.é", "gAAAAABo", later.as_str(), sealed.strip_prefix(VERSION).unwrap()]
        {
            assert_eq!(mine.open(Purpose::Reasoning, foreign), None, "{foreign}");
        }
    }

    #[test]
    fn no_nonce_comes_again() {
        let mine = sealer("s", "team");
        let (one, two) = (AnswerSealer::new(mine.clone()), AnswerSealer::new(mine));
        let sealed: Vec<String> = [&one, &one, &one, &two]
            .iter()
            .map(|sealer| sealer.seal(Purpose::Reasoning, "x").unwrap())
            .collect();
        let nonces: std::collections::HashSet<&str> =
            sealed.iter().map(|s| s.get(4..36).unwrap()).collect();
        assert_eq!(nonces.len(), sealed.len());
    }

    #[test]
    fn debug_shows_nothing() {
        assert_eq!(format!("{:?}", sealer("s", "team")), "Sealer([redacted])");
    }
}
