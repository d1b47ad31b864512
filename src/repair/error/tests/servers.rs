//! Errors as real servers word them, in three forms: under an error status, inside of a 200, as an event of a stream. What they
//! say is the same in each.

use super::*;
use crate::test;

/// Of a server: its status, its body, the status that the body means by itself, the code, and a part of the message.
type Sample = (u16, &'static str, u16, Option<&'static str>, &'static str);

const CONTEXT: Option<&str> = Some("context_length_exceeded");

fn check(samples: &[Sample]) {
    let mut wrong = Vec::new();
    for (status, body, meant, code, part) in samples {
        let under = read_http(*status, None, body.as_bytes()).0;
        let inside = from_ok(Operation::ChatCompletions, body.as_bytes());
        let event = from_event(body.as_bytes(), Event::default());
        let kept = if *code == CONTEXT { 400 } else { *status };
        for (form, want, answer) in [
            ("status", kept, Some(under.clone())),
            ("200", *meant, inside),
            ("event", *meant, event),
        ] {
            let Some(answer) = answer else {
                wrong.push(format!("{form}: no error in {body}"));
                continue;
            };
            let error = &answer.error;
            let is_right = answer.status == want
                && error.code.as_deref() == *code
                && error.message.contains(part)
                && error.message == under.error.message
                && !error.kind.contains([':', '/', '#'])
                && (form == "status" || error.kind == under.error.kind || kept != want);
            if !is_right {
                wrong.push(format!("{form}: {} {error:?}\n  of {status} {body}", answer.status));
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn engines() {
    check(&[
        // vLLM
        (
            400,
            r#"{"error":{"message":"This model's maximum context length is 4096 tokens. However, your request has 5000 input tokens. Please reduce the length of the input messages.","type":"BadRequestError","param":"input_tokens","code":400}}"#,
            400,
            CONTEXT,
            "4096",
        ),
        (
            404,
            r#"{"object":"error","message":"The model `x` does not exist.","type":"NotFoundError","param":null,"code":404}"#,
            404,
            Some("404"),
            "does not exist",
        ),
        // SGLang
        (
            400,
            r#"{"object":"error","message":"Input length (9000 tokens) exceeds the maximum allowed length (8192 tokens).","type":"Bad Request","param":null,"code":400}"#,
            400,
            CONTEXT,
            "8192",
        ),
        // TGI
        (
            422,
            r#"{"error":"Input validation error: `inputs` tokens + `max_new_tokens` must be <= 4096. Given: 4000 `inputs` tokens and 200 `max_new_tokens`","error_type":"validation"}"#,
            400,
            CONTEXT,
            "4096",
        ),
        (
            429,
            r#"{"error":"Model is overloaded","error_type":"overloaded"}"#,
            503,
            None,
            "Model is overloaded",
        ),
        // Ollama
        (
            404,
            r#"{"error":"model \"llama9\" not found, try pulling it first"}"#,
            502,
            None,
            "llama9",
        ),
        (
            404,
            r#"{"error":{"message":"model 'x' not found","type":"not_found_error","param":null,"code":null}}"#,
            404,
            None,
            "model 'x'",
        ),
        // llama.cpp
        (
            400,
            r#"{"error":{"code":400,"message":"the request exceeds the available context size, try increasing it","type":"exceed_context_size_error","n_prompt_tokens":9000,"n_ctx":4096}}"#,
            400,
            CONTEXT,
            "available context size",
        ),
        (
            503,
            r#"{"error":{"code":503,"message":"Loading model","type":"unavailable_error"}}"#,
            503,
            Some("503"),
            "Loading model",
        ),
        // LocalAI
        (
            500,
            r#"{"error":{"code":500,"message":"could not load model: rpc error: code = Unknown desc = failed","type":""}}"#,
            500,
            Some("500"),
            "could not load",
        ),
        // KServe, Triton
        (
            404,
            r#"{"error":"Request for unknown model: 'x' is not found"}"#,
            502,
            None,
            "unknown model",
        ),
        // SageMaker
        (
            424,
            r#"{"ErrorCode":"CLIENT_ERROR_FROM_MODEL","LogStreamArn":"arn:x","Message":"Received client error (400) from primary","OriginalMessage":"{\"object\":\"error\",\"message\":\"This model's maximum context length is 4096 tokens, however you requested 5000 tokens\",\"type\":\"BadRequestError\",\"code\":400}","OriginalStatusCode":400}"#,
            400,
            CONTEXT,
            "Received client error",
        ),
        // NIM
        (
            404,
            r#"{"status":404,"title":"Not Found","detail":"Function 'x': Not found for account 'y'"}"#,
            404,
            Some("404"),
            "Function 'x'",
        ),
        (
            400,
            r#"{"type":"urn:inference-service:problem-details:bad-request","title":"Bad Request","detail":"Inference error"}"#,
            400,
            None,
            "Inference error",
        ),
    ]);
}

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

#[test]
fn pages_of_proxies() {
    for (status, body, message) in [
        (
            502,
            "<html>\r\n<head><title>502 Bad Gateway</title></head>\r\n<body>\r\n<center><h1>502 Bad Gateway</h1></center>\r\n<hr><center>nginx/1.25.3</center>\r\n</body>\r\n</html>",
            "502 Bad Gateway",
        ),
        (
            503,
            "<html><body><h1>503 Service Unavailable</h1>\nNo server is available to handle this request.\n</body></html>",
            "503 Service Unavailable",
        ),
        (
            503,
            "<html>\r\n<head><title>503 Service Temporarily Unavailable</title></head><body></body></html>",
            "503 Service Temporarily Unavailable",
        ),
    ] {
        let answer = rewritten(status, body);
        assert_eq!((answer.status, answer.error.message.as_str()), (status, message));
        assert!(answer.is_page);
        let inside = from_ok(Operation::ChatCompletions, body.as_bytes()).expect(body);
        assert_eq!(inside.status, 502);
        assert!(inside.error.message.contains(message));
    }
}
