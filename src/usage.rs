//! What an answer's `usage` tells about the prompt cache.

use crate::json::cursor::Value;

/// Whether prompt tokens came from a cache, by every name known for it: OpenAI (chat, Responses),
/// DeepSeek, Moonshot, Anthropic behind a proxy.
#[must_use]
pub fn cached(usage: &Value<'_>) -> bool {
    let some = |value: Option<Value<'_>>| {
        value.and_then(|value| value.as_f64()).is_some_and(|count| count > 0.0)
    };
    let details = |name| usage.get(name).and_then(|details| details.get("cached_tokens"));
    some(details("prompt_tokens_details"))
        || some(details("input_tokens_details"))
        || ["prompt_cache_hit_tokens", "cached_tokens", "cache_read_input_tokens"]
            .into_iter()
            .any(|name| some(usage.get(name)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::json::cursor;
    use crate::test;

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
            (r#"null"#, false),
        ] {
            assert_eq!(cached(&cursor::parse(usage.as_bytes()).unwrap()), want, "{usage}");
        }
    }
}
