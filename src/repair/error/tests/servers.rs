//! Errors as real servers word them, in three forms: under an error status, inside of a 200, as an event of a stream. What they
//! say is the same in each.

use super::*;
use crate::test;

mod gateways;
mod hosts;

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
