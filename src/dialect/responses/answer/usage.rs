//! Token counts by the Responses API's names.

use crate::repair::usage;
use crate::wire::json::cursor::Value;

use super::text::number;

/// Token counts, and whether some of them came from a prompt cache.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) struct Usage {
    input: u64,
    cache_read: u64,
    cache_write: u64,
    output: u64,
    reasoning: u64,
    total: u64,
    pub(super) cached: bool,
}

impl Usage {
    /// Reads a chat completion's `usage`. `None` where it counts nothing: some servers put zeros or
    /// nulls where they know nothing (yet).
    pub(super) fn read(usage: &Value<'_>) -> Option<Self> {
        let mut found = Self { cached: usage::cached(usage), ..Self::default() };
        let mut total = None;
        for (key, value) in usage.members() {
            let Some(name) = key.as_str() else { continue };
            let count = count(&value);
            match &*name {
                "prompt_tokens" | "input_tokens" => set(&mut found.input, count),
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
        found.total = total
            .filter(|total| *total > 0)
            .unwrap_or_else(|| found.input.saturating_add(found.output));
        (found.total > 0).then_some(found)
    }

    /// Writes the Response's `usage`. `cache_write_tokens` is in the SDKs' types, not everywhere in
    /// the API reference.
    pub(super) fn write(&self, out: &mut Vec<u8>) {
        for (name, count) in [
            (&b"{\"input_tokens\":"[..], self.input),
            (b",\"input_tokens_details\":{\"cached_tokens\":", self.cache_read),
            (b",\"cache_write_tokens\":", self.cache_write),
            (b"},\"output_tokens\":", self.output),
            (b",\"output_tokens_details\":{\"reasoning_tokens\":", self.reasoning),
            (b"},\"total_tokens\":", self.total),
        ] {
            out.extend_from_slice(name);
            number(count, out);
        }
        out.push(b'}');
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

    fn converted(usage: &str) -> Option<String> {
        let usage = Usage::read(&cursor::parse(usage.as_bytes()).unwrap())?;
        let mut out = Vec::new();
        usage.write(&mut out);
        Some(String::from_utf8(out).unwrap())
    }

    fn want(input: u64, read: u64, write: u64, output: u64, reasoning: u64, total: u64) -> String {
        format!(
            r#"{{"input_tokens":{input},"input_tokens_details":{{"cached_tokens":{read},"cache_write_tokens":{write}}},"output_tokens":{output},"output_tokens_details":{{"reasoning_tokens":{reasoning}}},"total_tokens":{total}}}"#
        )
    }

    #[test]
    fn every_known_name() {
        for (usage, want) in [
            (
                r#"{"prompt_tokens":3,"completion_tokens":2,"total_tokens":5}"#,
                want(3, 0, 0, 2, 0, 5),
            ),
            (r#"{"prompt_tokens":3,"completion_tokens":2}"#, want(3, 0, 0, 2, 0, 5)),
            (
                r#"{"input_tokens":3.0,"output_tokens":2,"total_tokens":null}"#,
                want(3, 0, 0, 2, 0, 5),
            ),
            (
                r#"{"prompt_tokens":9,"completion_tokens":5,"total_tokens":14,"prompt_tokens_details":{"cached_tokens":4,"cache_write_tokens":2},"completion_tokens_details":{"reasoning_tokens":3}}"#,
                want(9, 4, 2, 5, 3, 14),
            ),
            (
                r#"{"prompt_tokens":9,"prompt_tokens_details":null,"prompt_cache_hit_tokens":8}"#,
                want(9, 8, 0, 0, 0, 9),
            ),
            (
                r#"{"prompt_tokens":9,"cached_tokens":8,"reasoning_tokens":1}"#,
                want(9, 8, 0, 0, 1, 9),
            ),
            (
                r#"{"input_tokens":9,"cache_read_input_tokens":8,"cache_creation_input_tokens":1}"#,
                want(9, 8, 1, 0, 0, 9),
            ),
            (
                r#"{"prompt_tokens":1,"completion_tokens":-4,"total_tokens":1e99}"#,
                want(1, 0, 0, 0, 0, 1),
            ),
        ] {
            assert_eq!(converted(usage).unwrap(), want, "{usage}");
        }
    }

    #[test]
    fn nothing_counted_is_no_usage() {
        for usage in ["null", "{}", "[]", r#"{"prompt_tokens":0,"total_tokens":0}"#, "7"] {
            assert_eq!(converted(usage), None, "{usage}");
        }
    }
}
