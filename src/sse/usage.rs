//! What `usage` objects say.

use crate::json::cursor::Value;

/// Whether a token count other than zero is given. Servers put `{0,0,0}` or nulls where they know
/// nothing yet.
pub(super) fn counts(usage: &Value<'_>) -> bool {
    usage.members().map_while(Result::ok).any(|(key, value)| {
        value.as_f64().is_some_and(|count| count > 0.0)
            && key.as_str().is_some_and(|key| key.contains("token"))
    })
}

/// Whether prompt tokens came from a cache, by every name known for it: OpenAI (chat, Responses),
/// DeepSeek, Moonshot, Anthropic behind a proxy.
pub(super) fn cached(usage: &Value<'_>) -> bool {
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
