//! Those who serve models to others.

use super::*;
use crate::test;

#[test]
fn hosts() {
    check(&[
        // OpenAI
        (
            429,
            r#"{"error":{"message":"You exceeded your current quota","type":"insufficient_quota","param":null,"code":"insufficient_quota"}}"#,
            429,
            Some("insufficient_quota"),
            "current quota",
        ),
        (
            503,
            r#"{"error":{"message":"Our servers are busy","type":"service_unavailable_error","param":null,"code":"server_is_overloaded"}}"#,
            503,
            Some("server_is_overloaded"),
            "busy",
        ),
        (
            429,
            r#"{"error":{"type":"usage_limit_reached","message":"The usage limit has been reached","plan_type":"plus","resets_in_seconds":100}}"#,
            429,
            None,
            "usage limit",
        ),
        // Anthropic
        (
            529,
            r#"{"type":"error","error":{"type":"overloaded_error","message":"Overloaded"},"request_id":"r"}"#,
            529,
            None,
            "Overloaded",
        ),
        // Groq
        (
            413,
            r#"{"error":{"message":"Request too large for model `x` on tokens per minute (TPM): Limit 6000, Requested 8000","type":"tokens","code":"rate_limit_exceeded"}}"#,
            429,
            Some("rate_limit_exceeded"),
            "TPM",
        ),
        (
            400,
            r#"{"error":{"message":"The model `x` has been decommissioned.","type":"invalid_request_error","code":"model_decommissioned"}}"#,
            404,
            Some("model_decommissioned"),
            "decommissioned",
        ),
        // Together, Fireworks, DeepInfra
        (
            422,
            r#"{"id":"x","error":{"message":"Input validation error: `inputs` must have less than 8193 tokens. Given: 9000","type":"invalid_request_error","param":null,"code":null}}"#,
            400,
            CONTEXT,
            "8193",
        ),
        (
            404,
            r#"{"error":{"object":"error","type":"invalid_request_error","code":"NOT_FOUND","message":"Model not found, inaccessible, and/or not deployed"}}"#,
            404,
            Some("NOT_FOUND"),
            "not deployed",
        ),
        (429, r#"{"detail":{"error":"Model busy, retry later"}}"#, 502, None, "Model busy"),
        // Mistral, Cohere
        (
            400,
            r#"{"object":"error","message":"Invalid model: x","type":"invalid_model","param":null,"code":"1500"}"#,
            400,
            Some("1500"),
            "Invalid model",
        ),
        (
            400,
            r#"{"id":"x","message":"too many tokens: total number of tokens in the prompt cannot exceed 4081 - received 5000. Try using a shorter prompt."}"#,
            400,
            CONTEXT,
            "4081",
        ),
        // xAI
        (
            429,
            r#"{"code":"Some resource has been exhausted","error":"Your team has used all of its credits"}"#,
            429,
            Some("Some resource has been exhausted"),
            "Your team",
        ),
        (
            404,
            r#"{"code":"Some requested entity was not found","error":"The model x does not exist"}"#,
            404,
            Some("Some requested entity was not found"),
            "The model x",
        ),
        // Cerebras, SambaNova, Perplexity
        (
            429,
            r#"{"message":"Tokens per minute limit exceeded","type":"too_many_tokens_error","param":"quota","code":"token_quota_exceeded"}"#,
            429,
            Some("token_quota_exceeded"),
            "per minute",
        ),
        (
            400,
            r#"{"message":"Please reduce the length of the messages or completion. Current length is 9000 while limit is 8192","type":"invalid_request_error","param":"messages","code":"context_length_exceeded"}"#,
            400,
            CONTEXT,
            "8192",
        ),
        (
            429,
            r#"{"error":{"code":null,"message":"Slow down","param":null,"type":"rate_limit_exceeded_error"}}"#,
            429,
            None,
            "Slow down",
        ),
        (
            400,
            r#"{"error":{"message":"Invalid model 'x'. Permitted models can be found in the documentation.","type":"invalid_model","code":400}}"#,
            400,
            Some("400"),
            "Invalid model",
        ),
        // HF router
        (
            400,
            r#"{"error":{"message":"The requested model 'x' is not supported by any provider you have enabled.","type":"invalid_request_error","param":"model","code":"model_not_supported"}}"#,
            400,
            Some("model_not_supported"),
            "not supported",
        ),
        (
            503,
            r#"{"error":"Model x is currently loading","estimated_time":20.0}"#,
            502,
            None,
            "currently loading",
        ),
        // Moonshot, Zhipu, Baichuan
        (
            400,
            r#"{"error":{"message":"Invalid request: Your request exceeded model token limit: 8192 (requested: 9000)","type":"invalid_request_error"}}"#,
            400,
            CONTEXT,
            "8192",
        ),
        (
            429,
            r#"{"error":{"type":"exceeded_current_quota_error","message":"You exceeded your current token quota"}}"#,
            429,
            None,
            "token quota",
        ),
        (
            429,
            r#"{"error":{"message":"The engine is currently overloaded","type":"engine_overloaded_error"}}"#,
            503,
            None,
            "engine",
        ),
        (
            429,
            r#"{"error":{"code":"1302","message":"您的账户已达到速率限制"}}"#,
            429,
            Some("1302"),
            "速率限制",
        ),
        (
            401,
            r#"{"error":{"code":"invalid_api_key","param":null,"type":"invalid_request_error","message":"Incorrect API key"}}"#,
            401,
            Some("invalid_api_key"),
            "Incorrect",
        ),
        // SiliconFlow
        (
            400,
            r#"{"code":20012,"message":"Model does not exist. Please check it carefully.","data":null}"#,
            502,
            Some("20012"),
            "does not exist",
        ),
        // DashScope
        (
            429,
            r#"{"code":"Throttling.RateQuota","message":"Requests rate limit exceeded, please try again later.","request_id":"x"}"#,
            429,
            Some("Throttling.RateQuota"),
            "rate limit",
        ),
        (
            429,
            r#"{"error":{"code":"limit_requests","message":"You exceeded your current request limit.","type":"limit_requests","param":null},"request_id":"x"}"#,
            429,
            Some("limit_requests"),
            "request limit",
        ),
        (
            400,
            r#"{"error":{"code":"data_inspection_failed","param":null,"message":"Input data may contain inappropriate content.","type":"data_inspection_failed"},"id":"x"}"#,
            400,
            Some("data_inspection_failed"),
            "inappropriate",
        ),
        // Volcengine Ark
        (
            429,
            r#"{"error":{"code":"RateLimitExceeded.EndpointTPMExceeded","message":"The Tokens Per Minute (TPM) limit of the associated endpoint has been exceeded.","param":"","type":"TooManyRequests"}}"#,
            429,
            Some("RateLimitExceeded.EndpointTPMExceeded"),
            "TPM",
        ),
        (
            403,
            r#"{"error":{"code":"AccountOverdueError","message":"The request failed because your account has an overdue balance.","param":"","type":"Forbidden"}}"#,
            402,
            Some("AccountOverdueError"),
            "overdue",
        ),
        (
            404,
            r#"{"error":{"code":"InvalidEndpointOrModel.NotFound","message":"The model or endpoint x does not exist","param":"","type":"NotFound"}}"#,
            404,
            Some("InvalidEndpointOrModel.NotFound"),
            "does not exist",
        ),
        (
            400,
            r#"{"error":{"code":"SensitiveContentDetected","message":"The request failed because the input may contain sensitive information.","param":"","type":"BadRequest"}}"#,
            400,
            Some("SensitiveContentDetected"),
            "sensitive",
        ),
        // Workers AI, Databricks, watsonx
        (
            429,
            r#"{"errors":[{"message":"AiError: AiError: Capacity temporarily exceeded, please try again.","code":3040}],"success":false,"result":{},"messages":[]}"#,
            429,
            Some("3040"),
            "Capacity",
        ),
        (
            429,
            r#"{"error_code":"REQUEST_LIMIT_EXCEEDED","message":"REQUEST_LIMIT_EXCEEDED: Exceeded workspace rate limit"}"#,
            429,
            Some("REQUEST_LIMIT_EXCEEDED"),
            "workspace",
        ),
        (
            404,
            r#"{"error_code":"RESOURCE_DOES_NOT_EXIST","message":"The given endpoint does not exist"}"#,
            404,
            Some("RESOURCE_DOES_NOT_EXIST"),
            "given endpoint",
        ),
        (
            403,
            r#"{"errors":[{"code":"token_quota_reached","message":"Consumed 10000 tokens","more_info":"x"}],"trace":"x","status_code":403}"#,
            403,
            Some("token_quota_reached"),
            "Consumed",
        ),
        // Bedrock
        (
            429,
            r#"{"message":"Too many tokens, please wait before trying again.","__type":"ThrottlingException"}"#,
            429,
            None,
            "please wait",
        ),
        (
            400,
            r#"{"__type":"com.amazon.coral.validate#ValidationException","message":"Input is too long for requested model."}"#,
            400,
            CONTEXT,
            "too long",
        ),
        (
            429,
            r#"{"throttlingException":{"message":"Too many requests"}}"#,
            429,
            None,
            "Too many requests",
        ),
        // Vertex, Gemini
        (
            429,
            r#"[{"error":{"code":429,"message":"Resource exhausted. Please try again later.","status":"RESOURCE_EXHAUSTED"}}]"#,
            429,
            Some("429"),
            "Resource exhausted",
        ),
        (
            400,
            r#"{"error":{"code":400,"message":"API key not valid. Please pass a valid API key.","status":"INVALID_ARGUMENT","details":[{"@type":"type.googleapis.com/google.rpc.ErrorInfo","reason":"API_KEY_INVALID","domain":"googleapis.com"},{"@type":"type.googleapis.com/google.rpc.LocalizedMessage","locale":"en-US","message":"API key not valid. Please pass a valid API key."}]}}"#,
            400,
            Some("400"),
            "API key not valid",
        ),
    ]);
}
