//! `models_allowed`.

use std::iter;
use std::sync::Arc;

use super::Interned;
use crate::policy::pattern::Pattern;

/// `models_allowed`.
#[derive(Debug, Clone, Default)]
pub enum Allowlist {
    /// Absent: everything.
    #[default]
    All,
    /// Only what an entry matches; no entry, nothing.
    Only(Arc<Patterns>),
}

/// Patterns in which `*` stands for any run of characters, `/` included. Entries without a `*` are
/// looked up in sorted lists, so that a long list of exact ids costs hardly more than a short one.
///
/// An entry whose text before the first `/` is the name of a provider means this provider: it says nothing about
/// aliases, nor about another provider's own id that is spelled the same (`openrouter` has a model `groq/llama`).
#[derive(Debug, Default, PartialEq, Eq, Hash)]
pub struct Patterns {
    /// Of any alias and any provider's own id.
    exact: Box<[Arc<str>]>,
    /// Of one provider: `provider/model`.
    qualified: Box<[Arc<str>]>,
    /// Held against each spelling.
    wild: Box<[Pattern]>,
    /// Held against `provider/model` alone.
    wild_qualified: Box<[Pattern]>,
}

impl Allowlist {
    /// A list of entries. `is_provider` knows the configured providers' names.
    #[must_use]
    pub fn only(
        entries: impl IntoIterator<Item = String>,
        is_provider: impl Fn(&str) -> bool,
    ) -> Self {
        Self::interned(entries, is_provider, &mut Interned::default())
    }

    /// Like [`only`](Self::only), sharing with other lists what is equal.
    pub fn interned(
        entries: impl IntoIterator<Item = String>,
        is_provider: impl Fn(&str) -> bool,
        shared: &mut Interned,
    ) -> Self {
        let (mut exact, mut qualified) = (Vec::new(), Vec::new());
        let (mut wild, mut wild_qualified) = (Vec::new(), Vec::new());
        for entry in entries {
            let is_qualified =
                entry.split_once('/').is_some_and(|(provider, _)| is_provider(provider));
            match (entry.contains('*'), is_qualified) {
                (true, true) => wild_qualified.push(Pattern::new(&entry)),
                (true, false) => wild.push(Pattern::new(&entry)),
                (false, true) => qualified.push(shared.names.intern(entry.as_str())),
                (false, false) => exact.push(shared.names.intern(entry.as_str())),
            }
        }
        exact.sort_unstable();
        qualified.sort_unstable();
        Self::Only(shared.patterns.intern(Patterns {
            exact: exact.into(),
            qualified: qualified.into(),
            wild: wild.into(),
            wild_qualified: wild_qualified.into(),
        }))
    }

    /// Whether an entry matches the alias's name (if one was used), `provider/model`, or the
    /// upstream's own model id. Allocates nothing.
    #[must_use]
    pub fn allows(&self, alias: Option<&str>, provider: &str, model: &str) -> bool {
        match self {
            Self::All => true,
            Self::Only(patterns) => {
                alias.is_some_and(|alias| patterns.matches(alias))
                    || patterns.matches(model)
                    || patterns.matches_joined(provider, model)
            }
        }
    }

    /// Whether an entry without a `*` is the upstream's own model id, or `provider/model`.
    #[must_use]
    pub fn names(&self, provider: &str, model: &str) -> bool {
        match self {
            Self::All => false,
            Self::Only(patterns) => {
                patterns.names(model) || patterns.names_joined(&joined(provider, model))
            }
        }
    }

    /// Whether an entry matches `id` as it is spelled, for an id that leads to no provider.
    #[must_use]
    pub fn allows_id(&self, id: &str) -> bool {
        match self {
            Self::All => true,
            Self::Only(patterns) => {
                let joined = |(provider, model)| patterns.matches_joined(provider, model);
                patterns.matches(id) || id.split_once('/').is_some_and(joined)
            }
        }
    }
}

/// The bytes of `provider/model`.
fn joined(provider: &str, model: &str) -> impl Iterator<Item = u8> + Clone {
    provider.bytes().chain(iter::once(b'/')).chain(model.bytes())
}

impl Patterns {
    fn names(&self, id: &str) -> bool {
        self.exact.binary_search_by(|known| (**known).cmp(id)).is_ok()
    }

    fn names_joined(&self, joined: &(impl Iterator<Item = u8> + Clone)) -> bool {
        let is_listed = |known: &Arc<str>| known.bytes().cmp(joined.clone());
        self.qualified.binary_search_by(is_listed).is_ok()
    }

    fn matches(&self, id: &str) -> bool {
        self.names(id) || self.wild.iter().any(|pattern| pattern.matches(id.bytes()))
    }

    fn matches_joined(&self, provider: &str, model: &str) -> bool {
        let joined = joined(provider, model);
        let is_match = |pattern: &Pattern| pattern.matches(joined.clone());
        self.names_joined(&joined)
            || self.wild.iter().any(is_match)
            || self.wild_qualified.iter().any(is_match)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::test;

    fn allows(entries: &[&str], alias: Option<&str>, provider: &str, model: &str) -> bool {
        only(entries).allows(alias, provider, model)
    }

    /// With two providers configured.
    fn only(entries: &[&str]) -> Allowlist {
        Allowlist::only(entries.iter().map(|entry| (*entry).to_owned()), |name| {
            ["groq", "openrouter"].contains(&name)
        })
    }

    #[test]
    fn matches_alias_qualified_and_upstream_id() {
        for (entries, alias, provider, model, want) in [
            (&[][..], None, "groq", "llama", false),
            (&[], Some("a"), "groq", "llama", false),
            (&["*"], None, "groq", "llama", true),
            (&["llama"], None, "groq", "llama", true),
            (&["LLAMA"], None, "groq", "llama", false),
            (&["groq/llama"], None, "groq", "llama", true),
            (&["groq/llama"], None, "vllm", "llama", false),
            (&["groq/llama"], None, "openrouter", "groq/llama", false),
            (&["groq/*"], None, "openrouter", "groq/llama", false),
            (&["groq/llama"], Some("groq/llama"), "openrouter", "x", false),
            (&["groq/l*"], Some("groq/llama"), "openrouter", "x", false),
            (&["openrouter/groq/llama"], None, "openrouter", "groq/llama", true),
            (&["*/llama"], None, "openrouter", "groq/llama", true),
            (&["meta/llama"], None, "groq", "meta/llama", true),
            (&["meta/*"], None, "groq", "meta/llama", true),
            (&["meta/llama"], Some("meta/llama"), "groq", "x", true),
            (&["groq/meta/llama"], None, "groq", "meta/llama", true),
            (&["groq"], None, "groq", "llama", false),
            (&["groq/"], None, "groq", "llama", false),
            (&["groq/*"], None, "groq", "meta/llama", true),
            (&["groq/*"], None, "groqx", "llama", false),
            (&["gr*ma"], None, "groq", "llama", true),
            (&["*/llama"], None, "groq", "llama", true),
            (&["*/llama"], None, "groq", "xllama", false),
            (&["fast"], Some("fast"), "groq", "llama", true),
            (&["f*"], Some("fast"), "groq", "llama", true),
            (&["fast"], None, "groq", "llama", false),
            (&["x", "y*", "llama"], None, "groq", "llama", true),
        ] {
            let got = allows(entries, alias, provider, model);
            assert_eq!(got, want, "{entries:?} {alias:?} {provider}/{model}");
        }
        assert!(Allowlist::All.allows(None, "a", "b") && Allowlist::All.allows_id("x"));
    }

    #[test]
    fn a_spelling_alone() {
        let list = only(&["groq/*", "openrouter/a", "m"]);
        assert!(list.allows_id("groq/x") && list.allows_id("openrouter/a") && list.allows_id("m"));
        assert!(!list.allows_id("x") && !list.allows_id("a") && !only(&[]).allows_id("m"));
    }
}
