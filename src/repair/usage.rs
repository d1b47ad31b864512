//! What an answer's `usage` tells about the prompt cache.

use crate::telemetry::usage::names;
use crate::wire::bytes::is_same;
use crate::wire::json::cursor::Value;

/// Whether prompt tokens came from a cache, by every name known for it: OpenAI (chat, Responses),
/// DeepSeek, Moonshot, Anthropic behind a proxy.
#[must_use]
pub fn cached(usage: &Value<'_>) -> bool {
    let mut seen = [false; names::DETAILS.len() + names::CACHED.len() + names::CACHE_READ.len()];
    usage.members().any(|(key, value)| {
        let own = key.name();
        let mut names = cache_names().zip(&mut seen);
        let Some((name, seen)) = names.find(|(name, _)| is_same(&own, name.as_bytes())) else {
            return false;
        };
        // Of members with the same name the first one counts.
        let first = !std::mem::replace(seen, true);
        let count =
            if name.ends_with("_details") { value.get("cached_tokens") } else { Some(value) };
        first && count.and_then(|count| count.as_f64()).is_some_and(|count| count > 0.0)
    })
}

/// Whether a server that sends this counts cached tokens, be they none.
#[must_use]
pub fn counts_cached(usage: &Value<'_>) -> bool {
    usage.members().any(|(key, _)| cache_names().any(|name| key.is(name)))
}

/// Members that tell of cached tokens, or hold one that does.
fn cache_names() -> impl Iterator<Item = &'static &'static str> {
    names::DETAILS.iter().chain(&names::CACHED).chain(&names::CACHE_READ)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::test;
    use crate::wire::json::cursor;

    #[test]
    fn every_known_name() {
        for (usage, want) in [
            (r#"{"prompt_tokens_details":{"cached_tokens":3}}"#, true),
            (r#"{"input_tokens_details":{"cached_tokens":3}}"#, true),
            (r#"{"prompt_cache_hit_tokens":1,"prompt_cache_miss_tokens":0}"#, true),
            (r#"{"cached_tokens":1}"#, true),
            (r#"{"cache_read_input_tokens":1}"#, true),
            (r#"{"prompt_tokens":9,"prompt_tokens_details":{"cached_tokens":0}}"#, false),
            (r#"{"prompt_tokens_details":null}"#, false),
            (r#"{"cached_tokens":0,"cached_tokens":1}"#, false),
            (
                r#"{"prompt_tokens_details":null,"prompt_tokens_details":{"cached_tokens":1}}"#,
                false,
            ),
            (r#"{"prompt_tokens_details":null,"\u0063ached_tokens":1}"#, true),
            (r#"null"#, false),
        ] {
            assert_eq!(cached(&cursor::parse(usage.as_bytes()).unwrap()), want, "{usage}");
        }
    }
}
