//! Those who pass on what other servers say.

use super::*;
use crate::test;

#[test]
fn gateways() {
    check(&[
        // OpenRouter
        (
            400,
            r#"{"error":{"message":"Provider returned error","code":400,"metadata":{"raw":"{\"error\":{\"message\":\"This endpoint's maximum context length is 32768 tokens. However, you requested about 40000 tokens\",\"type\":\"invalid_request_error\"}}","provider_name":"P"}},"user_id":"u"}"#,
            400,
            CONTEXT,
            "Provider returned error: This endpoint's",
        ),
        (
            502,
            r#"{"error":{"message":"Provider returned error","code":502,"metadata":{"raw":"prompt is too long: 210000 tokens > 200000 maximum","provider_name":"P"}}}"#,
            400,
            CONTEXT,
            "Provider returned error",
        ),
        (
            429,
            r#"{"error":{"message":"Provider returned error","code":429,"metadata":{"raw":"z is rate-limited upstream","provider_name":"P"}},"user_id":"u"}"#,
            429,
            Some("429"),
            "Provider returned error",
        ),
        (
            403,
            r#"{"error":{"message":"Input was flagged","code":403,"metadata":{"reasons":["violence"],"flagged_input":"x","provider_name":"P","model_slug":"x"}}}"#,
            403,
            Some("403"),
            "Input was flagged",
        ),
        // Azure
        (
            400,
            r#"{"error":{"message":"The response was filtered due to the prompt triggering Azure OpenAI's content management policy.","type":null,"param":"prompt","code":"content_filter","status":400,"innererror":{"code":"ResponsibleAIPolicyViolation","content_filter_result":{"hate":{"filtered":true,"severity":"high"}}}}}"#,
            400,
            Some("content_filter"),
            "content management policy.",
        ),
        (
            429,
            r#"{"error":{"code":"TooManyRequests","message":"The call failed","innererror":{"code":"RateLimitReached","innererror":{"message":"Requests have exceeded the call rate limit of your tier."}}}}"#,
            429,
            Some("TooManyRequests"),
            "The call failed: Requests have",
        ),
        (
            400,
            r#"{"error":{"code":"UserError","message":"The request is invalid.","details":[{"code":"context_length_exceeded","message":"This model's maximum context length is 8192 tokens.","target":"messages"}]}}"#,
            400,
            CONTEXT,
            "The request is invalid.: This model's",
        ),
        (
            404,
            r#"{"error":{"code":"DeploymentNotFound","message":"The API deployment for this resource does not exist."}}"#,
            404,
            Some("DeploymentNotFound"),
            "API deployment",
        ),
        (
            429,
            r#"{"statusCode":429,"message":"Rate limit is exceeded. Try again in 3 seconds."}"#,
            429,
            Some("429"),
            "Try again",
        ),
        (
            413,
            r#"{"error":{"code":"tokens_limit_reached","message":"Request body too large for gpt-4o model.","details":"Request body too large for gpt-4o model."}}"#,
            400,
            Some("tokens_limit_reached"),
            "Request body too large",
        ),
        // LiteLLM
        (
            400,
            r#"{"error":{"message":"litellm.ContextWindowExceededError: litellm.BadRequestError: OpenAIException - {\"error\":{\"message\":\"This model's maximum context length is 8192 tokens.\",\"type\":\"invalid_request_error\",\"param\":\"messages\",\"code\":\"context_length_exceeded\"}}\nmodel=gpt-4. fallbacks=None","type":null,"param":null,"code":"400"}}"#,
            400,
            CONTEXT,
            "litellm.ContextWindowExceededError",
        ),
        (
            429,
            r#"{"error":{"message":"litellm.RateLimitError: OpenAIException - Rate limit reached. Received Model Group=x\nAvailable Model Group Fallbacks=None","type":"throttling_error","param":null,"code":"429"}}"#,
            429,
            Some("429"),
            "Rate limit reached",
        ),
        (
            500,
            r#"{"error":{"message":"litellm.APIError: XException - {\"code\":\"Throttling\",\"message\":\"slow down\"}. Received Model Group=x","type":null,"param":null,"code":null}}"#,
            429,
            Some("Throttling"),
            "slow down",
        ),
        // new-api
        (
            403,
            r#"{"error":{"message":"用户额度不足","type":"new_api_error","param":"","code":"insufficient_user_quota"}}"#,
            429,
            Some("insufficient_user_quota"),
            "用户额度不足",
        ),
        (
            503,
            r#"{"error":{"message":"bad response status code 503 (request id: x)","type":"upstream_error","param":"503","code":"bad_response_status_code"}}"#,
            503,
            Some("bad_response_status_code"),
            "503",
        ),
        (
            503,
            r#"{"error":{"message":"No available channel for model x","type":"new_api_error","param":"","code":"model_not_found"}}"#,
            404,
            Some("model_not_found"),
            "No available channel",
        ),
        // Vercel, Portkey, Kong, Cloudflare
        (
            400,
            r#"{"error":{"message":"Invalid error response format: gateway","type":"internal_server_error","value":{"error":{"message":"prompt is too long: 210000 tokens > 200000 maximum","type":"invalid_request_error"}}}}"#,
            400,
            CONTEXT,
            "Invalid error response",
        ),
        (
            404,
            r#"{"error":{"message":"openai error: The model `x` does not exist","type":"invalid_request_error","param":null,"code":"model_not_found"},"provider":"openai"}"#,
            404,
            Some("model_not_found"),
            "does not exist",
        ),
        (
            429,
            r#"{"message":"API rate limit exceeded","request_id":"x"}"#,
            502,
            None,
            "API rate limit",
        ),
        (
            401,
            r#"{"success":false,"result":[],"messages":[],"error":[{"code":2009,"message":"Unauthorized"}]}"#,
            502,
            Some("2009"),
            "Unauthorized",
        ),
        // gRPC's status as JSON
        (
            429,
            r#"{"code":8,"message":"quota exceeded","details":[]}"#,
            429,
            Some("8"),
            "quota exceeded",
        ),
        (
            503,
            r#"{"error":{"grpc_code":14,"http_code":503,"message":"no worker","http_status":"Service Unavailable","details":[]}}"#,
            503,
            Some("503"),
            "no worker",
        ),
        (
            500,
            r#"{"error":"rpc error: code = ResourceExhausted desc = out of slots"}"#,
            429,
            None,
            "out of slots",
        ),
        (
            500,
            r#"{"detail":"An error occurred (ThrottlingException) when calling the Converse operation: Too many requests"}"#,
            429,
            None,
            "Converse",
        ),
        (
            500,
            r#"{"detail":"429 RESOURCE_EXHAUSTED. {'error': {'code': 429, 'message': 'Quota exceeded', 'status': 'RESOURCE_EXHAUSTED'}}"}"#,
            429,
            Some("429"),
            "Quota exceeded",
        ),
        // Problems by RFC 9457
        (
            429,
            r#"{"type":"tag:example.com,2025:rate-limit-exceeded","title":"Too Many Requests","detail":"Slow down"}"#,
            429,
            None,
            "Slow down",
        ),
        (
            429,
            r#"{"type":"/problems/quota-exceeded","title":"Too Many Requests","detail":"Slow down"}"#,
            429,
            None,
            "Slow down",
        ),
        (
            503,
            r#"{"type":"about:blank","title":"Service Unavailable","status":503,"detail":"No worker"}"#,
            503,
            Some("503"),
            "No worker",
        ),
        // Elasticsearch
        (
            429,
            r#"{"error":{"root_cause":[{"type":"status_exception","reason":"Received a rate limit status code"}],"type":"status_exception","reason":"Received a rate limit status code","caused_by":{"type":"x","reason":"Slow down"}},"status":429}"#,
            429,
            Some("429"),
            "Received a rate limit status code",
        ),
    ]);
}
