//! What was loaded, for the start log: names and counts, never a secret.

use std::fmt;

use crate::policy::key::Weakness;
use crate::policy::{Config, ProviderKind};

impl ProviderKind {
    /// The name in the configuration.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Openai => "openai",
            Self::Vllm => "vllm",
        }
    }
}

impl Config {
    /// One line, such as `2 providers: groq (openai, cluster groq), vllm (vllm, cluster local);
    /// 3 virtual keys (1 revoked); 1 model alias; cache respect; path prefix /v1`.
    #[must_use]
    pub fn summary(&self) -> String {
        let providers: Vec<String> = self
            .providers
            .iter()
            .map(|(_, provider)| {
                let (name, kind, cluster) =
                    (&provider.name, provider.kind.as_str(), &provider.cluster);
                format!("{name} ({kind}, cluster {cluster})")
            })
            .collect();
        let revoked = self.virtual_keys.iter().filter(|key| key.revoked).count();
        let own: usize = self.virtual_keys.iter().map(|key| key.aliases.len()).sum();
        format!(
            "{}: {}; {}{}; {}{}; cache {}; path prefix {}",
            count(self.providers.len(), "provider", "providers"),
            providers.join(", "),
            count(self.virtual_keys.len(), "virtual key", "virtual keys"),
            if revoked > 0 { format!(" ({revoked} revoked)") } else { String::new() },
            count(self.aliases.len(), "model alias", "model aliases"),
            if own > 0 { format!(" (and {own} of single keys)") } else { String::new() },
            self.cache.as_str(),
            if self.path_prefix.is_empty() { "/" } else { &self.path_prefix },
        )
    }

    /// What an operator should hear about at start although the configuration is valid.
    #[must_use]
    pub fn warnings(&self) -> Vec<ConfigWarning> {
        let mut warnings = Vec::new();
        if self.virtual_keys.is_empty() {
            warnings.push(ConfigWarning {
                path: "virtual_keys",
                key: None,
                message: format!(
                    "virtual_keys is empty: every request under {} is refused with 401",
                    if self.path_prefix.is_empty() { "/" } else { &self.path_prefix },
                ),
            });
        }
        warnings.extend(self.limits_warning());
        warnings.extend(self.weak_keys(Weakness::Short, "key", |keys| {
            format!(
                "{} shorter than 16 characters and could be guessed: {keys}; mint others with at least 128 random bits",
                keys.are()
            )
        }));
        warnings.extend(self.weak_keys(Weakness::Placeholder, "key_sha256", |keys| {
            format!(
                "the digest of {} a placeholder, or that of a text which everybody knows (nothing, a line feed, `null`): {keys}; \
                 openai-gateway vk new prints a key with its digest",
                keys.are()
            )
        }));
        let keys = self.virtual_keys.iter();
        let shown = keys.filter(|key| key.weakness == Some(Weakness::Shown)).count();
        if shown > 0 {
            // Without their names, which are keys.
            let which = count(shown, "virtual key is its own id", "virtual keys are their own ids");
            warnings.push(ConfigWarning {
                path: "virtual_keys",
                key: None,
                message: format!("{which}: logs, metrics and headers show it; give it another"),
            });
        }
        warnings
    }

    /// What a request may hold by the one limit, and may not by its key's or its provider's share of the other.
    fn limits_warning(&self) -> Option<ConfigWarning> {
        let limits = &self.limits;
        let largest = [
            ("max_buffered_bytes", limits.max_buffered_bytes),
            ("max_answer_bytes", limits.max_answer_bytes),
            ("max_sse_event_bytes", limits.max_sse_event_bytes),
        ];
        let (name, bytes) = largest.into_iter().max_by_key(|(_, bytes)| *bytes)?;
        let counts = [("virtual key", self.virtual_keys.len()), ("provider", self.providers.len())];
        let shares = counts.map(|(what, count)| (what, count, limits.share(count)));
        let (what, count, share) = shares.into_iter().min_by_key(|(_, _, share)| *share)?;
        let part = if count > 1 { "a quarter" } else { "three quarters" };
        let needed =
            if count > 1 { bytes.saturating_mul(4) } else { bytes.div_ceil(3).saturating_mul(4) };
        (share < bytes).then(|| ConfigWarning {
            path: "limits.max_held_bytes",
            key: None,
            message: format!(
                "one {what} may hold {share} bytes, {part} of max_held_bytes ({}), and {name} is {bytes}: what is larger is refused with \
                 503 however often it is tried again. Set {name} to {share} or less, or max_held_bytes to {needed} or more",
                limits.max_held_bytes
            ),
        })
    }

    /// One warning for all keys of a weakness, said of `field` of the first one.
    fn weak_keys(
        &self,
        weakness: Weakness,
        field: &'static str,
        message: impl Fn(WeakKeys<'_>) -> String,
    ) -> Option<ConfigWarning> {
        let keys = self.virtual_keys.iter().filter(|key| key.weakness == Some(weakness));
        let ids: Vec<&str> = keys.map(|key| &*key.id).collect();
        let key = (*ids.first()?).to_owned();
        Some(ConfigWarning { path: field, key: Some(key), message: message(WeakKeys(&ids)) })
    }
}

/// What is accepted, and should be thought about. It holds names and numbers, never a secret.
#[derive(Debug)]
pub struct ConfigWarning {
    /// The field: of the virtual key [`Self::key`] where there is one, else from the top.
    pub path: &'static str,
    /// The id of the virtual key, the first one of several.
    pub key: Option<String>,
    /// What is the matter and what to set.
    pub message: String,
}

impl fmt::Display for ConfigWarning {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

/// The ids of some virtual keys.
#[derive(Clone, Copy)]
struct WeakKeys<'a>(&'a [&'a str]);

impl WeakKeys<'_> {
    fn are(self) -> String {
        count(self.0.len(), "virtual key is", "virtual keys are")
    }
}

impl fmt::Display for WeakKeys<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        /// More names than anybody reads.
        const SHOWN: usize = 10;
        let shown: Vec<&str> = self.0.iter().take(SHOWN).copied().collect();
        f.write_str(&shown.join(", "))?;
        f.write_str(if self.0.len() > SHOWN { ", …" } else { "" })
    }
}

fn count(number: usize, one: &str, many: &str) -> String {
    format!("{number} {}", if number == 1 { one } else { many })
}
