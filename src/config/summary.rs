//! What was loaded, for the start log: names and counts, never a secret.

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
    pub fn warnings(&self) -> Vec<String> {
        let mut warnings = Vec::new();
        if self.virtual_keys.is_empty() {
            warnings.push(format!(
                "virtual_keys is empty: every request under {} is refused with 401",
                if self.path_prefix.is_empty() { "/" } else { &self.path_prefix },
            ));
        }
        let short: Vec<&str> =
            self.virtual_keys.iter().filter(|key| key.is_short).map(|key| &*key.id).collect();
        if !short.is_empty() {
            /// More names than anybody reads.
            const SHOWN: usize = 10;
            let more = if short.len() > SHOWN { ", …" } else { "" };
            warnings.push(format!(
                "{} shorter than 16 characters and could be guessed: {}{more}; mint others with at least 128 random bits",
                count(short.len(), "virtual key is", "virtual keys are"),
                short.iter().take(SHOWN).copied().collect::<Vec<_>>().join(", "),
            ));
        }
        warnings
    }
}

fn count(number: usize, one: &str, many: &str) -> String {
    format!("{number} {}", if number == 1 { one } else { many })
}
