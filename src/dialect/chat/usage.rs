//! What a chat answer's `usage` counts, by every name that servers have for it.

use crate::repair::usage;
use crate::wire::json::cursor::Value;

/// Token counts, and whether some of them came from a prompt cache.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct Usage {
    pub(crate) input: u64,
    pub(crate) cache_read: u64,
    pub(crate) cache_write: u64,
    pub(crate) output: u64,
    pub(crate) reasoning: u64,
    pub(crate) total: u64,
    pub(crate) cached: bool,
}

impl Usage {
    /// Reads a chat completion's `usage`. `None` where it counts nothing: some servers put zeros or
    /// nulls where they know nothing (yet).
    pub(crate) fn read(usage: &Value<'_>) -> Option<Self> {
        let mut found = Self { cached: usage::cached(usage), ..Self::default() };
        let (mut total, mut prompt) = (None, None);
        for (key, value) in usage.members() {
            let Some(name) = key.as_str() else { continue };
            let count = count(&value);
            match &*name {
                "prompt_tokens" => prompt = count,
                "input_tokens" => set(&mut found.input, count),
                "completion_tokens" | "output_tokens" => set(&mut found.output, count),
                "total_tokens" => total = count,
                "prompt_cache_hit_tokens" | "cached_tokens" | "cache_read_input_tokens" => {
                    set(&mut found.cache_read, count);
                }
                "cache_creation_input_tokens" => set(&mut found.cache_write, count),
                "reasoning_tokens" => set(&mut found.reasoning, count),
                "prompt_tokens_details" | "input_tokens_details" => {
                    set(&mut found.cache_read, inner(&value, "cached_tokens"));
                    set(&mut found.cache_write, inner(&value, "cache_write_tokens"));
                }
                "completion_tokens_details" | "output_tokens_details" => {
                    set(&mut found.reasoning, inner(&value, "reasoning_tokens"));
                }
                _ => {}
            }
        }
        // Anthropic's own name leaves out what came from the cache.
        found.input = prompt.filter(|prompt| *prompt > 0).unwrap_or(found.input);
        found.total = total
            .filter(|total| *total > 0)
            .unwrap_or_else(|| found.input.saturating_add(found.output));
        (found.total > 0).then_some(found)
    }
}

/// The first count that says something stays: the same one may stand under several names.
fn set(slot: &mut u64, count: Option<u64>) {
    if *slot == 0 {
        *slot = count.unwrap_or(0);
    }
}

fn inner(details: &Value<'_>, name: &str) -> Option<u64> {
    details.get(name).and_then(|value| count(&value))
}

/// A whole number that JSON and its readers agree on; servers send `12.0` as well.
fn count(value: &Value<'_>) -> Option<u64> {
    const MAX_SAFE: f64 = 9_007_199_254_740_991.0;
    value.as_f64().filter(|count| (0.0..=MAX_SAFE).contains(count)).map(|count| count as u64)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::test;
    use crate::wire::json::cursor;

    #[test]
    fn openais_name_counts_before_anthropics() {
        for usage in [
            r#"{"input_tokens":10,"cache_read_input_tokens":100,"prompt_tokens":110}"#,
            r#"{"prompt_tokens":110,"input_tokens":10,"cache_read_input_tokens":100}"#,
            r#"{"prompt_tokens":0,"input_tokens":110,"cache_read_input_tokens":100}"#,
        ] {
            let usage = Usage::read(&cursor::parse(usage.as_bytes()).unwrap()).unwrap();
            assert_eq!((usage.input, usage.cache_read, usage.cached), (110, 100, true));
        }
    }
}
