//! What an exchange may ask, by Envoy's functions. None of them changes anything: a head is shown in place meanwhile.

use std::time::{SystemTime, UNIX_EPOCH};

use super::abi::LogLevel;
use super::calls::{Filter, log};
use crate::exchange::{Note, Surroundings};

/// Where a host's metadata names its provider: the namespace and the key.
const HOST_PROVIDER: (&str, &str) = ("openai-gateway", "provider");

/// What an exchange may ask, by Envoy's functions.
pub struct Around(pub Filter);

impl Surroundings for Around {
    fn now(&self) -> u64 {
        now_ms() / 1_000
    }

    fn recall(&self, note: Note) -> Option<Vec<u8>> {
        self.0.filter_state(note)
    }

    fn attempt(&self) -> u64 {
        self.0.attempt()
    }

    fn host_provider(&self) -> Option<Vec<u8>> {
        self.0.host_metadata(HOST_PROVIDER.0, HOST_PROVIDER.1)
    }

    fn host_provider_kind(&self) -> Option<&'static str> {
        let kind = self.0.host_metadata_kind(HOST_PROVIDER.0, HOST_PROVIDER.1)?;
        let cluster = self.0.cluster().unwrap_or_default();
        log(
            LogLevel::Warn,
            &format!(
                "metadata openai-gateway.provider of a host is {kind}, and must be a string: cluster {}",
                String::from_utf8_lossy(&cluster)
            ),
        );
        Some(kind)
    }

    fn cluster(&self) -> Option<Vec<u8>> {
        self.0.cluster()
    }

    fn answer_details(&self) -> Option<Vec<u8>> {
        self.0.code_details()
    }
}

#[allow(clippy::disallowed_methods, reason = "the host tells the core the time; this is the host")]
pub fn now_ms() -> u64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    u64::try_from(since.as_millis()).unwrap_or(u64::MAX)
}
