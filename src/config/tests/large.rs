//! A configuration as large as they come. The time is printed, not judged.

use std::time::Duration;

use serde_json::Map;

use super::*;
use crate::test;

/// Stands still where there is no clock (wasm32-unknown-unknown).
#[cfg(all(target_arch = "wasm32", target_os = "unknown"))]
struct Clock;

#[cfg(not(all(target_arch = "wasm32", target_os = "unknown")))]
struct Clock(std::time::Instant);

#[cfg(all(target_arch = "wasm32", target_os = "unknown"))]
impl Clock {
    fn start() -> Self {
        Self
    }

    fn elapsed(&self) -> Duration {
        Duration::ZERO
    }
}

#[cfg(not(all(target_arch = "wasm32", target_os = "unknown")))]
impl Clock {
    #[expect(clippy::disallowed_methods, reason = "no host to ask in a test")]
    fn start() -> Self {
        Self(std::time::Instant::now())
    }

    fn elapsed(&self) -> Duration {
        self.0.elapsed()
    }
}

#[test]
fn ten_thousand_keys() {
    let keys: Vec<Value> = (0..10_000)
        .map(|number| {
            json!({
                "id": format!("team-{number}"), "key": format!("vk-{number}"),
                "providers": ["groq"], "models_allowed": ["groq/llama-3*", "BAAI/bge-m3"],
                "model_aliases": {"gpt-4o": "groq/llama-3.3-70b"},
                "expires_at": "2027-01-01T00:00:00Z",
            })
        })
        .collect();
    let aliases: Map<String, Value> =
        (0..1_000).map(|number| (format!("alias-{number}"), json!("groq/m"))).collect();
    let mut config = base();
    config["virtual_keys"] = json!(keys);
    config["model_aliases"] = json!(aliases);
    for (form, bytes) in [
        ("JSON", config.to_string().into_bytes()),
        ("Struct", super::super::structpb::tests::encode(&config)),
    ] {
        let clock = Clock::start();
        let config = Config::from_plugin_configuration(&bytes, &env).unwrap();
        println!("10,000 keys and 1,000 aliases, {form}: {:?}", clock.elapsed());
        assert_eq!(config.virtual_keys.len(), 10_000);
        assert_eq!(config.aliases.len(), 1_000);
        let clock = Clock::start();
        for number in 0..10_000 {
            let presented = format!("vk-{number}");
            let key = config.virtual_keys.authenticate(presented.as_bytes(), || 0).unwrap();
            let id = format!("alias-{}", number % 1_000);
            let denied =
                crate::policy::model::resolve(&config, &key, &id, |_| Ok(()), || 0).unwrap_err();
            assert_eq!(denied.code, crate::error::Code::ModelNotAllowed);
            assert_eq!(*key.id, *format!("team-{number}"));
        }
        println!("authenticate + resolve, {form}: {:?} a request", clock.elapsed() / 10_000);
    }
}
