//! What a chat answer's `usage` counts, by every name that servers have for it.

use crate::repair::usage;
use crate::telemetry::usage::{Tokens, ToldCounts};
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
        let tokens = Tokens::read(usage).filter(|tokens| !tokens.is_zero())?;
        let ToldCounts { input, output, total, cached, written, thoughts, .. } = tokens.told();
        let (input, output) = (input.unwrap_or(0), output.unwrap_or(thoughts));
        Some(Self {
            input,
            cache_read: cached,
            cache_write: written,
            output,
            reasoning: thoughts,
            total: total.unwrap_or(0).max(input.saturating_add(output)),
            cached: usage::cached(usage),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::test;
    use crate::wire::json::cursor;

    #[test]
    fn openais_name_counts_before_anthropics() {
        for (usage, input) in [
            (r#"{"input_tokens":10,"cache_read_input_tokens":100,"prompt_tokens":110}"#, 110),
            (r#"{"prompt_tokens":110,"input_tokens":10,"cache_read_input_tokens":100}"#, 110),
            // Anthropic's own name leaves out what came from the cache.
            (r#"{"prompt_tokens":0,"input_tokens":10,"cache_read_input_tokens":100}"#, 110),
            (r#"{"input_tokens":110,"cache_read_input_tokens":100,"total_tokens":110}"#, 110),
        ] {
            let usage = Usage::read(&cursor::parse(usage.as_bytes()).unwrap()).unwrap();
            assert_eq!((usage.input, usage.cache_read, usage.cached), (input, 100, true));
        }
    }
}
