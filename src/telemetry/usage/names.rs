//! Under which names servers count tokens: one table for all who read them.

/// Members of an answer that hold its counts. `usageMetadata` is Gemini's.
pub const USAGE: [&str; 4] = ["usage", "usageMetadata", "usage_metadata", "token_usage"];

/// Objects in such a member that hold the counts in its place: Groq's, and Cohere's, whose billed ones may be others.
pub const NESTED: [&str; 3] = ["usage", "tokens", "billed_units"];

/// The three counts, OpenAI's names first, then those of Anthropic and Bedrock, of JavaScript's SDKs, of Gemini, what
/// proxies make of them, of TGI and Ollama. Of several in one object the first one here that is not zero counts.
pub const MAIN: [&[&str]; 3] = [
    &[
        "prompt_tokens",
        "input_tokens",
        "promptTokens",
        "inputTokens",
        "promptTokenCount",
        "prompt_token_count",
        "input_token_count",
        "prompt_eval_count",
    ],
    &[
        "completion_tokens",
        "output_tokens",
        "completionTokens",
        "outputTokens",
        "candidatesTokenCount",
        "candidates_token_count",
        "completion_token_count",
        "output_token_count",
        "generated_tokens",
        "eval_count",
    ],
    &["total_tokens", "totalTokens", "totalTokenCount", "total_token_count"],
];

/// What Anthropic and Bedrock read from their cache beside the input's tokens.
pub const CACHE_READ: [&str; 2] = ["cache_read_input_tokens", "cacheReadInputTokens"];

/// What they write to it beside the input's tokens.
pub const CACHE_WRITTEN: [&str; 2] = ["cache_creation_input_tokens", "cacheWriteInputTokens"];

/// What was thought: Gemini counts it beside the candidates' tokens, OpenAI among the completion's, xAI beside them.
pub const THOUGHTS: [&str; 3] = ["thoughtsTokenCount", "thoughts_token_count", "reasoning_tokens"];

/// Objects that hold `cached_tokens`, and `cache_write_tokens`.
pub const DETAILS: [&str; 2] = ["prompt_tokens_details", "input_tokens_details"];

/// Objects that hold `reasoning_tokens`.
pub const OUTPUT_DETAILS: [&str; 2] = ["completion_tokens_details", "output_tokens_details"];

/// Tokens of the input that came from the cache: DeepSeek, Moonshot, Gemini.
pub const CACHED: [&str; 4] = [
    "prompt_cache_hit_tokens",
    "cached_tokens",
    "cachedContentTokenCount",
    "cached_content_token_count",
];

/// Whether the cache's tokens stand beside those that this name counts.
#[must_use]
pub fn leaves_out_cache(input: &str) -> bool {
    matches!(input, "input_tokens" | "inputTokens")
}

/// Whether the thoughts' tokens stand beside those that this name counts.
#[must_use]
pub fn leaves_out_thoughts(output: &str) -> bool {
    matches!(output, "candidatesTokenCount" | "candidates_token_count")
}
