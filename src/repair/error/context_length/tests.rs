use super::*;
use crate::test;

/// Wordings of servers and clouds, with the figures that they tell: prompt, max_tokens, limit.
type Row = (&'static str, [u64; 3]);

const WORDINGS: [Row; 60] = [
    // vLLM, from 0.2 to 0.13; DeepSeek, DeepInfra and Novita repeat the first.
    (
        "This model's maximum context length is 4096 tokens. However, you requested 5000 tokens (4000 in the messages, 1000 in the completion). Please reduce the length of the messages or completion.",
        [4000, 1000, 4096],
    ),
    (
        "This model's maximum context length is 8192 tokens. However, your request has 9000 input tokens. Please reduce the length of the input messages.",
        [9000, 0, 8192],
    ),
    (
        "'max_tokens' or 'max_completion_tokens' is too large: 8000. This model's maximum context length is 8192 tokens and your request has 500 input tokens (8000 > 8192 - 500).",
        [500, 8000, 8192],
    ),
    (
        "The decoder prompt (length 9000) is longer than the maximum model length of 8192. Make sure that `max_model_len` is no smaller than the number of text tokens.",
        [9000, 0, 8192],
    ),
    (
        "This model's maximum context length is 40960 tokens. However, you requested 32000 output tokens and your prompt contains at least 8961 input tokens, for a total of at least 40961 tokens. Please reduce the length of the input prompt or the number of requested output tokens.",
        [8961, 32000, 40960],
    ),
    (
        "You passed 40961 input tokens and requested 1 output tokens. However, the model's context length is only 40960 tokens, resulting in a maximum input length of 40959 tokens. Please reduce the length of the input prompt.",
        [40961, 1, 40960],
    ),
    (
        "This model's maximum context length is 512 tokens. However, you requested 600 tokens in the input for embedding generation. Please reduce the length of the input.",
        [600, 0, 512],
    ),
    (
        "The prompt (total length 9000) is too long to fit into the model (context length 8192). For image inputs, the number of image tokens depends on the number of images.",
        [9000, 0, 8192],
    ),
    ("max_tokens must be at least 1, got -904.", [0, 0, 0]),
    // SGLang.
    (
        "The input (9000 tokens) is longer than the model's context length (8192 tokens).",
        [9000, 0, 8192],
    ),
    (
        "Requested token count exceeds the model's maximum context length of 8192 tokens. You requested a total of 9000 tokens: 8000 tokens from the input messages and 1000 tokens for the completion. Please reduce the number of tokens in the input messages or the completion to fit within the limit.",
        [8000, 1000, 8192],
    ),
    (
        "Input length (9000 tokens) exceeds the maximum allowed length (8186 tokens). Use a shorter input or enable --allow-auto-truncate.",
        [9000, 0, 8186],
    ),
    // llama.cpp, llama-cpp-python, LocalAI.
    (
        "the request exceeds the available context size. try increasing the context size or enable context shift",
        [0, 0, 0],
    ),
    (
        "request (9000 tokens) exceeds the available context size (8192 tokens), try increasing it",
        [9000, 0, 8192],
    ),
    (
        "rpc error: code = InvalidArgument desc = request (9000 tokens) exceeds the available context size (8192 tokens), try increasing it",
        [9000, 0, 8192],
    ),
    ("Context size has been exceeded.", [0, 0, 0]),
    (
        "input (600 tokens) is too large to process. increase the physical batch size (current batch size: 512)",
        [600, 0, 512],
    ),
    ("Requested tokens (9000) exceed context window of 8192", [9000, 0, 8192]),
    // Ollama.
    ("the input length exceeds the context length", [0, 0, 0]),
    ("input exceeds maximum context length and cannot be truncated further", [0, 0, 0]),
    ("prompt too long; exceeded max context length by 20 tokens", [0, 0, 0]),
    // TGI, TEI, Together, LoRAX.
    (
        "Input validation error: `inputs` tokens + `max_new_tokens` must be <= 4096. Given: 4000 `inputs` tokens and 1000 `max_new_tokens`",
        [4000, 1000, 4096],
    ),
    (
        "Input validation error: `inputs` must have less than 1024 tokens. Given: 2000",
        [2000, 0, 1024],
    ),
    // Groq, Cerebras.
    ("Please reduce the length of the messages or completion.", [0, 0, 0]),
    (
        "Please reduce the length of the messages or completion. Current length is 9000 while limit is 8192",
        [9000, 0, 8192],
    ),
    // Fireworks.
    ("The prompt is too long: 140000, model maximum context length: 131071", [140_000, 0, 131_071]),
    // DeepInfra.
    ("Requested input length 9000 exceeds maximum input length 8191", [9000, 0, 8191]),
    // Mistral.
    (
        "Prompt contains 40000 tokens and 0 draft tokens, too large for model with 32768 maximum context length",
        [40_000, 0, 32_768],
    ),
    (
        "Prompt contains 40,000 tokens, too large for model with 32,768 maximum context length",
        [40_000, 0, 32_768],
    ),
    // OpenAI.
    (
        "This model's maximum context length is 8192 tokens. However, your messages resulted in 9000 tokens. Please reduce the length of the messages.",
        [9000, 0, 8192],
    ),
    (
        "This model's maximum context length is 4097 tokens, however you requested 5000 tokens (4500 in your prompt; 500 for the completion). Please reduce your prompt; or completion length.",
        [4500, 500, 4097],
    ),
    (
        "Your input exceeds the context window of this model. Please adjust your input and try again.",
        [0, 0, 0],
    ),
    // Anthropic.
    ("prompt is too long: 210000 tokens > 200000 maximum", [210_000, 0, 200_000]),
    (
        "input length and `max_tokens` exceed context limit: 190000 + 20000 > 200000, decrease input length or `max_tokens` and try again",
        [190_000, 20_000, 200_000],
    ),
    // Google.
    (
        "The input token count (1200000) exceeds the maximum number of tokens allowed (1048575).",
        [1_200_000, 0, 1_048_575],
    ),
    (
        "Unable to submit request because the input token count is 40000 but model only supports up to 32768. Reduce the input token count and try again.",
        [40_000, 0, 32_768],
    ),
    // Bedrock.
    ("Input is too long for requested model.", [0, 0, 0]),
    (
        "Too many input tokens. Max input tokens: 128000, request input token count: 130000",
        [130_000, 0, 128_000],
    ),
    // Cohere.
    (
        "too many tokens: total number of tokens in the prompt cannot exceed 4081 - received 5000. Try using a shorter prompt.",
        [5000, 0, 4081],
    ),
    // xAI.
    (
        "This model's maximum prompt length is 131072 but the request contains 140000 tokens.",
        [140_000, 0, 131_072],
    ),
    // OpenRouter.
    (
        "This endpoint's maximum context length is 8192 tokens. However, you requested about 9000 tokens (8000 of text input, 1000 in the output). Please reduce the length of either one, or use the \"middle-out\" transform to compress your prompt automatically.",
        [8000, 1000, 8192],
    ),
    // LM Studio.
    (
        "Trying to keep the first 5000 tokens when context the overflows. However, the model is loaded with context length of only 4096 tokens, which is not enough.",
        [5000, 0, 4096],
    ),
    (
        "The number of tokens to keep from the initial prompt is greater than the context length (n_keep: 5000>= n_ctx: 4096).",
        [5000, 0, 4096],
    ),
    // DashScope, GLM, Moonshot, MiniMax.
    ("Range of input length should be [1, 6000]", [0, 0, 6000]),
    ("Prompt exceeds max length", [0, 0, 0]),
    ("Invalid request: Your request exceeded model token limit: 8192", [0, 0, 8192]),
    ("Input token length too long", [0, 0, 0]),
    ("invalid params, context window exceeds limit (2013)", [0, 0, 0]),
    // SambaNova, Copilot, watsonx, Workers AI.
    (
        "The maximum context length of X is 8192. However, answering your request will take 9000 tokens. Please reduce the length of the messages or the specified max_completion_tokens value.",
        [9000, 0, 8192],
    ),
    ("prompt token count of 70000 exceeds the limit of 64000", [70_000, 0, 64_000]),
    (
        "the number of input tokens 5000 cannot exceed the total tokens limit 4096 for this model",
        [5000, 0, 4096],
    ),
    (
        "AiError: The estimated number of input and maximum output tokens (9000) exceeded this model context window limit (8192).",
        [9000, 0, 8192],
    ),
    // TabbyAPI, TensorRT-LLM, OVMS, MLC, sentence-transformers.
    ("Prompt length 9000 is greater than max_seq_len 8192", [9000, 0, 8192]),
    ("Context length 9000 is greater than max_seq_len 8192", [9000, 0, 8192]),
    (
        "The sum of prompt length (9000.0), query length (0) should not exceed max_num_tokens (8192)",
        [9000, 0, 8192],
    ),
    (
        "Prompt length (9000) exceeds maximum input length (8192). Set log level to info and check TRTGptModel logs",
        [9000, 0, 8192],
    ),
    ("Number of prompt tokens: 9000 exceeds model max length: 8192", [9000, 0, 8192]),
    (
        "Request prompt has 9000 tokens in total, larger than the model input length limit 8192.",
        [9000, 0, 8192],
    ),
    (
        "Token indices sequence length is longer than the specified maximum sequence length for this model (600 > 512)",
        [600, 0, 512],
    ),
    ("Prompt too big: 9000 tokens do not fit, the context window is 8192", [9000, 0, 8192]),
];

#[test]
fn wordings_and_their_figures() {
    let mut wrong = Vec::new();
    for (message, want) in WORDINGS {
        let found = read_figures(&plain(message));
        let found = [found.prompt, found.max_tokens, found.limit].map(Option::unwrap_or_default);
        if !is_said(500, &[], message) || found != want {
            wrong.push(format!("{message}: {found:?}, not {want:?}"));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn other_limits_are_other_errors() {
    for message in [
        "Request too large for model `x` in organization `o` service tier `on_demand` on tokens per minute (TPM): Limit 6000, Requested 9000, please reduce your message size and try again.",
        "max_tokens is too large: 100000. This model supports at most 16384 completion tokens, whereas you provided 100000.",
        "`max_tokens` must be less than or equal to `8192`, the maximum value for `max_tokens` is less than the `context_window` for this model",
        "max_tokens must be at least 1, got -1.",
        "max_tokens must be at least 1, got 0.",
        "batch size 64 > maximum allowed batch size 32",
        "truncate_prompt_tokens value (9000) is greater than max_model_len (8192). Please, select a smaller truncation size.",
        "The input image is too large: input is too large, at most 20 MB",
        "Input file exceeds 25 MB: input exceeds the file size",
        "`max_new_tokens` must be <= 512. Given: 600",
        "You exceeded your current quota, please check your plan and billing details.",
        "Rate limit reached: the context window of your tier is exceeded",
        "The model's max seq len (131072) is larger than the maximum number of tokens that can be stored in KV cache (9000).",
        "stop: list too long, at most 4 stop sequences",
        "The model `context-length-8k` does not exist",
        "Internal Server Error",
        "",
    ] {
        assert!(!is_said(400, &[], message), "{message}: {}", plain(message));
    }
}

#[test]
fn names_and_numbers_say_it_as_well() {
    for hint in
        ["context_length_exceeded", "ContextWindowExceededError", "exceed_context_size_error"]
    {
        assert!(is_said(400, &[Value::from(hint)], "no"), "{hint}");
    }
    assert!(is_said(400, &[Value::from("1261")], "no"));
    assert!(!is_said(400, &[Value::from("context_shift"), Value::from(400)], "no"));
    for status in [401, 403, 404, 429] {
        assert!(!is_said(status, &[Value::from(CODE)], WORDINGS[0].0), "{status}");
    }
}

#[test]
fn members_of_the_error_tell_figures() {
    let mut error = ErrorObject {
        message: "the request exceeds the available context size".to_owned(),
        kind: "exceed_context_size_error".to_owned(),
        param: None,
        code: Some(CODE.to_owned()),
        extra: serde_json::Map::new(),
    };
    error.extra.insert("n_prompt_tokens".to_owned(), 9000.into());
    error.extra.insert("n_ctx".to_owned(), 8192.into());
    let want = Figures { prompt: Some(9000), max_tokens: None, limit: Some(8192) };
    assert_eq!(figures(&error), Some(want));
    assert!(!want.fits_without_answer());
    error.code = None;
    assert_eq!(figures(&error), None);
}
