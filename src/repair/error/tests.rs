use super::*;
use crate::policy::operation::Operation;
use crate::test;
use serde_json::json;

#[cfg(not(target_arch = "wasm32"))]
mod laws;
mod servers;

/// What an error body leaves as, if not as it came.
fn from_http(status: u16, content_type: Option<&[u8]>, body: &[u8]) -> Option<ErrorAnswer> {
    let (answer, is_canonical) = read_http(status, content_type, body);
    (!is_canonical).then_some(answer)
}

fn rewritten(status: u16, body: &str) -> ErrorAnswer {
    from_http(status, None, body.as_bytes()).unwrap_or_else(|| panic!("unchanged: {body}"))
}

#[test]
fn shapes_of_4xx_and_5xx() {
    for (status, body, want_status, want) in [
        (
            404,
            r#"{"error":"no model"}"#,
            404,
            json!({"message":"no model","type":"not_found_error","param":null,"code":null}),
        ),
        (
            400,
            r#"{"detail":"bad"}"#,
            400,
            json!({"message":"bad","type":"invalid_request_error","param":null,"code":null}),
        ),
        (
            400,
            r#"{"detail":{"error":{"message":"deep","code":"x"}}}"#,
            400,
            json!({"message":"deep","type":"invalid_request_error","param":null,"code":"x"}),
        ),
        (
            401,
            r#"{"statusCode":401,"message":"Bad token","error":"Unauthorized"}"#,
            401,
            json!({"message":"Bad token","type":"authentication_error","param":null,"code":"401"}),
        ),
        (
            401,
            r#"{"error":"invalid_token","error_description":"It expired"}"#,
            401,
            json!({"message":"It expired","type":"authentication_error","param":null,"code":"invalid_token"}),
        ),
        (
            500,
            r#"{"timestamp":"t","status":500,"error":"Internal Server Error","path":"/x"}"#,
            500,
            json!({"message":"Internal Server Error","type":"api_error","param":null,"code":"500"}),
        ),
        (
            403,
            r#"{"type":"about:blank","title":"Forbidden","status":403,"detail":"No access"}"#,
            403,
            json!({"message":"No access","type":"permission_error","param":null,"code":"403"}),
        ),
        (
            400,
            r#"["one","two"]"#,
            400,
            json!({"message":"one; two","type":"invalid_request_error","param":null,"code":null}),
        ),
        (
            503,
            r#""busy""#,
            503,
            json!({"message":"busy","type":"api_error","param":null,"code":null}),
        ),
        (
            429,
            r#"{"error":{"code":"rate_limit_exceeded"}}"#,
            429,
            json!({"message":"The upstream answered with the error \"rate_limit_exceeded\".","type":"rate_limit_error","param":null,"code":"rate_limit_exceeded"}),
        ),
        (
            400,
            r#"{"error":{"message":{"message":"inner","code":7}}}"#,
            400,
            json!({"message":"inner","type":"invalid_request_error","param":null,"code":"7"}),
        ),
        (
            400,
            r#"{"error":{"message":"m","param":3,"code":true,"type":null,"hint":"h"}}"#,
            400,
            json!({"message":"m","type":"invalid_request_error","param":null,"code":null,"hint":"h"}),
        ),
        (
            502,
            "data: {\"error\":{\"message\":\"in sse\"}}\n\n",
            502,
            json!({"message":"in sse","type":"api_error","param":null,"code":null}),
        ),
        (
            525,
            "",
            502,
            json!({"message":"The upstream answered HTTP 525 with an empty body.","type":"api_error","param":null,"code":null}),
        ),
        (
            500,
            "{}",
            500,
            json!({"message":"The upstream answered HTTP 500 with no readable message.","type":"api_error","param":null,"code":null}),
        ),
        (
            500,
            "\u{1f}\u{8b}\u{8}\u{0}\u{0}\u{0}",
            500,
            json!({"message":"The upstream answered HTTP 500 with no readable message.","type":"api_error","param":null,"code":null}),
        ),
        (
            503,
            "no healthy upstream",
            503,
            json!({"message":"The upstream has no healthy host at the moment. Try again later.","type":"api_error","param":null,"code":"upstream_error"}),
        ),
    ] {
        let answer = rewritten(status, body);
        assert_eq!(answer.status, want_status, "{body}");
        assert_eq!(serde_json::to_value(&answer.error).unwrap(), want, "{body}");
    }
}

#[test]
fn the_request_is_not_repeated() {
    let finding =
        r#"{"type":"x","loc":["body","n"],"msg":"no","input":"secret","ctx":{"v":"secret"}}"#;
    let python = "[{'type': 'x', 'loc': ('body', 'n'), 'msg': 'no', 'input': 'secret'}]";
    for body in [
        format!(r#"{{"detail":[{finding}]}}"#),
        format!(r#"{{"error":{{"message":"bad","details":[{finding}]}}}}"#),
        json!({"object":"error","message":python,"type":"BadRequestError","param":null,"code":400})
            .to_string(),
        json!({"error":{"message":python,"type":"Bad Request","param":null,"code":400}})
            .to_string(),
        json!({"message":"bad","input":"secret"}).to_string(),
    ] {
        let answer = rewritten(400, &body);
        let out = String::from_utf8(answer.error.to_envelope()).unwrap();
        assert!(!out.contains("secret"), "{out}");
    }
}

#[test]
fn bodies_nested_on_purpose_end() {
    for name in ["errors", "detail", "error", "message", "response"] {
        for (open, close) in [(format!("{{\"{name}\":["), "]}"), (format!("{{\"{name}\":"), "}")] {
            let body = [open.repeat(60), "1".to_owned(), close.repeat(60)].concat();
            let answer = rewritten(500, &body);
            assert_eq!(answer.status, 500);
        }
    }
}

/// A type is judged as it would leave: cleaned, cut and trimmed.
#[test]
fn types_that_say_nothing() {
    for name in ["\0", " \u{7} ", "\n\0\n", "\0about:blank", "err\u{1}or"] {
        let body = serde_json::json!({"error": {"message": "m", "type": name}}).to_string();
        let answer = rewritten(400, &body);
        assert_eq!(answer.error.kind, "invalid_request_error", "{name:?}");
    }
}

#[test]
fn canonical_bodies_are_left_alone() {
    let canonical = r#" {"error": {"message":"m","type":"t","param":null,"code":"404","extra":{"a":[1]}}}
"#;
    assert_eq!(from_http(404, None, canonical.as_bytes()), None);
    assert_ne!(from_http(524, None, canonical.as_bytes()), None);
    for other in [
        r#"{"error":{"message":"m","type":"t","param":null}}"#,
        r#"{"error":{"message":"m","type":"","param":null,"code":null}}"#,
        r#"{"error":{"message":"m","type":"t","param":1,"code":null}}"#,
        r#"{"error":{"message":"m","type":"t","param":null,"code":404}}"#,
        r#"{"error":{"message":"m","type":"t","param":null,"code":null},"user_id":"u"}"#,
        "{\"error\":{\"message\":\"m\",\"type\":\"t\",\"param\":null,\"code\":null}}\n<!-- padding -->",
        "{\"error\":{\"message\":\"m\tn\",\"type\":\"t\",\"param\":null,\"code\":null}}",
        r#"{"error":{"message":"m\u0000","type":"t","param":null,"code":null}}"#,
        r#"{"error":{"message":"<html><h1>x</h1></html>","type":"t","param":null,"code":null}}"#,
    ] {
        assert_ne!(from_http(404, None, other.as_bytes()), None, "{other}");
    }
}

#[test]
fn errors_in_200() {
    for (body, status, message) in [
        (r#"{"error":{"code":"429","message":"m"}}"#, 429, "m"),
        (r#"{"error":{"code":"model_not_found","message":"m"}}"#, 404, "m"),
        (r#"{"error":{"status":"RESOURCE_EXHAUSTED","message":"m"}}"#, 429, "m"),
        (r#"{"error":{"type":"overloaded_error","message":"m"},"type":"error"}"#, 529, "m"),
        (r#"{"error":{"type":"rate_limit_error","message":"m"},"type":"error"}"#, 429, "m"),
        (r#"{"error":{"code":"1302","message":"m"}}"#, 429, "m"),
        (r#"{"error":{"code":1113,"message":"m"}}"#, 402, "m"),
        (r#"{"error":{"message":"m"}}"#, 502, "m"),
        (r#"{"error":"m"}"#, 502, "m"),
        (r#"[{"error":{"message":"m","code":503}}]"#, 503, "m"),
        (r#"{"object":"Error","message":"m"}"#, 502, "m"),
        (r#"{"detail":"Not Found"}"#, 502, "Not Found"),
        (r#"{"code":10402,"msg":"m","data":{"x":1}}"#, 504, "m"),
        (r#"{"success":false,"errors":[{"code":5007,"message":"m"}],"result":null}"#, 404, "m"),
        (r#"{"choices":[{"index":0}],"error":{"message":"m","code":500}}"#, 500, "m"),
        (r#"{"choices":[{"index":0}],"x_groq":{"error":"over_capacity"}}"#, 502, "over_capacity"),
        (
            r#"{"choices":[{"index":0}],"base_resp":{"status_code":1002,"status_msg":"m"}}"#,
            429,
            "m",
        ),
        (r#"{"choices":[{"finish_reason":"error","error":{"code":503,"message":"m"}}]}"#, 503, "m"),
        (r#"{"id":"x","model":"m","error":"m"}"#, 502, "m"),
        (r#"{"code":500,"data":{"error":"m"}}"#, 500, "m"),
        (r#"{"code":0,"data":{"error":{"message":"m","code":"rate_limit_exceeded"}}}"#, 429, "m"),
        (r#"{"retcode":-1,"retmsg":"m"}"#, 502, "m"),
        (r#"{"ret_code":404,"ret_msg":"m"}"#, 404, "m"),
        (r#"{"status":"error","error_description":"m"}"#, 502, "m"),
        (r#"{"status":"failed","message":"m"}"#, 502, "m"),
        (r#"{"choices":[{"index":0}],"error":{"message":"m","code":"1"}}"#, 502, "m"),
        (r#"{"header":{"code":10013,"message":"m"}}"#, 502, "m"),
        ("\n: wait\n{\"error\":\"m\"}\ndata: [DONE]\n", 502, "m"),
        (r#"{"message":"m","result":{"x":1}}"#, 502, "m"),
        (r#"{"message":"m","body":{"choices":[]}}"#, 502, "m"),
        (r#"{"code":1,"msg":"m","data":{"choices":[{"index":0}]}}"#, 502, "m"),
    ] {
        let answer = from_ok(Operation::ChatCompletions, body.as_bytes())
            .unwrap_or_else(|| panic!("{body}"));
        assert_eq!((answer.status, answer.error.message.as_str()), (status, message), "{body}");
    }
}

#[test]
fn good_answers_are_no_errors() {
    for (operation, body) in [
        (
            Operation::ChatCompletions,
            r#"{"choices":[{"message":{"content":"error"}}],"error":null}"#,
        ),
        (
            Operation::ChatCompletions,
            r#"{"choices":[{"index":0}],"detail":"x","message":"y","code":1}"#,
        ),
        (
            Operation::ChatCompletions,
            r#"{"choices":[{"index":0}],"error":{"message":"","code":0}}"#,
        ),
        (
            Operation::ChatCompletions,
            r#"{"choices":[{"index":0}],"error":{"message":"success","code":0}}"#,
        ),
        (
            Operation::ChatCompletions,
            r#"{"choices":[{"index":0}],"error":{"code":200,"message":"x"}}"#,
        ),
        (Operation::ChatCompletions, r#"{"choices":[{"index":0}],"error":"Success"}"#),
        (
            Operation::ChatCompletions,
            r#"{"choices":[{"index":0}],"error":{"code":"OK","message":"x"}}"#,
        ),
        (
            Operation::ChatCompletions,
            r#"{"choices":[{"index":0}],"base_resp":{"status_code":"0"}}"#,
        ),
        (Operation::ChatCompletions, r#"{"object":"chat.completion","choices":[],"usage":{}}"#),
        (Operation::ChatCompletions, r#"{"code":0,"message":"success","data":{"choices":[]}}"#),
        (
            Operation::ChatCompletions,
            r#"{"model":"m","message":{"role":"assistant","content":"x"}}"#,
        ),
        (
            Operation::Responses,
            r#"{"object":"response","status":"failed","error":{"message":"m"}}"#,
        ),
        (Operation::Batches, r#"{"object":"batch","errors":{"data":[1]}}"#),
        (Operation::Embeddings, r#"{"data":[{"embedding":[1]}],"error":"","message":"x"}"#),
        (Operation::Embeddings, "[0.25,-0.5]"),
        (Operation::Embeddings, r#"{"object":"","data":null,"model":"","usage":{}}"#),
        (Operation::Rerank, r#"{"results":[{"index":0}],"message":"x"}"#),
        (Operation::Rerank, r#"[{"index":0,"score":0.5}]"#),
        (Operation::Transcriptions, r#"{"text":""}"#),
        (Operation::Transcriptions, ""),
        (Operation::Transcriptions, "1\n00:00:00,000 --> 00:00:01,000\nInternal error\n"),
        (Operation::Files, "<html>"),
        (Operation::Speech, "ID3\u{4}"),
        (Operation::Models, r#"{"object":"list","data":null}"#),
    ] {
        assert_eq!(from_ok(operation, body.as_bytes()), None, "{body}");
    }
}

#[test]
fn what_others_asked_for_is_no_answer() {
    for body in [
        r#"{"object":"response","status":"failed","error":{"message":"m"}}"#,
        r#"{"object":"batch","status":"failed","error":{"message":"m"}}"#,
        r#"{"object":"model","error":{"message":"m"}}"#,
        r#"{"object":"list","data":[{"x":1}],"error":{"message":"m"}}"#,
        r#"{"results":[1],"status":"failed","message":"m"}"#,
    ] {
        for operation in [
            Operation::ChatCompletions,
            Operation::Embeddings,
            Operation::Moderations,
            Operation::Rerank,
            Operation::ImageGeneration,
            Operation::Speech,
            Operation::Transcriptions,
        ] {
            let answer = from_ok(operation, body.as_bytes()).expect(body);
            assert_eq!(answer.error.message, "m", "{operation:?} {body}");
        }
    }
}

#[test]
fn what_is_no_answer_is_502() {
    for (body, word) in [
        ("", "empty"),
        (" \n", "empty"),
        ("<!doctype html><title>Sign in</title>", "Sign in"),
        ("{\"id\":\"x\",\"choi", "cut off"),
        ("Internal Server Error", "Internal Server Error"),
        ("\u{1f}\u{fffd}\u{8}\u{0}", "compressed"),
        ("\"some words\"", "some words"),
        ("7", "bare"),
        ("[]", ""),
        ("[1]", "array"),
    ] {
        let answer = from_ok(Operation::ChatCompletions, body.as_bytes());
        if word.is_empty() {
            assert_eq!(answer, None, "{body}");
            continue;
        }
        let answer = answer.unwrap_or_else(|| panic!("{body}"));
        assert_eq!(answer.status, 502);
        assert_eq!(answer.error.code.as_deref(), Some("invalid_upstream_response"));
        assert!(answer.error.message.contains(word), "{}", answer.error.message);
    }
}

#[test]
fn an_answer_that_was_broken_off() {
    for (body, want) in [
        (
            r#"{"choices":[{"message":{"content":"la"},"finish_reason":null}],"usage":{"prompt_tokens":0,"completion_tokens":0}}"#,
            true,
        ),
        (
            r#"{"choices":[{"message":{"content":"la"}}],"usage":{"prompt_tokens":0,"completion_tokens":0}}"#,
            true,
        ),
        (
            r#"{"choices":[{"finish_reason":""}],"usage":{"prompt_tokens":0,"completion_tokens":0}}"#,
            true,
        ),
        (
            r#"{"choices":[{"finish_reason":"stop"}],"usage":{"prompt_tokens":0,"completion_tokens":0}}"#,
            false,
        ),
        (
            r#"{"choices":[{"finish_reason":null}],"usage":{"prompt_tokens":3,"completion_tokens":0}}"#,
            false,
        ),
        (r#"{"choices":[{"finish_reason":null}]}"#, false),
        (r#"{"choices":[]}"#, false),
    ] {
        assert_eq!(
            broken_off(&crate::wire::json::cursor::parse(body.as_bytes()).unwrap()).is_some(),
            want,
            "{body}"
        );
    }
}

#[test]
fn events() {
    let plain = Event::default();
    let marked = Event { marked: true, status: None };
    for (data, event, want) in [
        (r#"{"error":{"message":"m","http_status_code":422}}"#, plain, Some((422, "m"))),
        (r#"{"text":"oom","error_code":50002}"#, plain, Some((500, "oom"))),
        (r#"{"error":"m","error_type":"generation"}"#, plain, Some((424, "m"))),
        (r#"{"choices":[{"delta":{}}],"error":null}"#, plain, None),
        (r#"{"choices":[],"usage":{"total_tokens":1}}"#, plain, None),
        (
            r#"{"type":"response.failed","response":{"error":{"message":"m"}}}"#,
            plain,
            Some((502, "m")),
        ),
        (r#"{"type":"mcp_tool_result","content":"x"}"#, plain, None),
        (
            r#"{"code":"InvalidParameter","message":"m"}"#,
            Event { marked: true, status: Some(400) },
            Some((400, "m")),
        ),
        (r#"{"error":{"message":"m"},"message":"m"}"#, marked, Some((500, "m"))),
        ("plain words", marked, Some((500, "plain words"))),
        ("plain words", plain, None),
        ("[DONE]", plain, None),
    ] {
        let found = from_event(data.as_bytes(), event);
        let found = found.as_ref().map(|a| (a.status, a.error.message.as_str()));
        assert_eq!(found, want, "{data}");
    }
}

#[test]
fn printed_exceptions_are_read_for_what_they_are_around() {
    for (body, message, code) in [
        (
            r#"{"error":"Error code: 429 - {'error': {'message': 'slow', 'type': 'requests', 'param': None, 'code': 'rate_limit_exceeded'}}"}"#,
            "Error code: 429 - {'error': {'message': 'slow', 'type': 'requests', 'param': None, 'code': 'rate_limit_exceeded'}}",
            Some("rate_limit_exceeded"),
        ),
        (
            r#"{"detail":"HTTP 429: {\"message\":\"slow\",\"code\":7}"}"#,
            r#"HTTP 429: {"message":"slow","code":7}"#,
            Some("7"),
        ),
        (
            r#"{"error":{"message":"litellm.RateLimitError: XAIException - {\"error\":\"slow\"}"}}"#,
            r#"litellm.RateLimitError: XAIException - {"error":"slow"}"#,
            None,
        ),
        (
            r#"{"error":"Client error '429 Too Many Requests' for url 'http://10.0.0.4:8000/v1/x'"}"#,
            "Client error '429 Too Many Requests'",
            None,
        ),
        (
            r#"{"error":"429 Client Error: slow for url: http://10.0.0.4/v1/x"}"#,
            "429 Client Error: slow",
            None,
        ),
        (r#"{"status":{"code":429,"message":"slow"}}"#, "slow", Some("429")),
        (r#"{"errno":429,"errmsg":"slow"}"#, "slow", Some("429")),
        (r#"{"error":{"message":"slow","code":"429 Too Many"}}"#, "slow", Some("429 Too Many")),
    ] {
        for answer in [
            rewritten(429, body),
            from_ok(Operation::ChatCompletions, body.as_bytes()).expect(body),
            from_event(body.as_bytes(), Event::default()).expect(body),
        ] {
            assert_eq!((answer.status, answer.error.message.as_str()), (429, message), "{body}");
            assert_eq!(answer.error.code.as_deref(), code, "{body}");
        }
    }
    for (body, message) in [
        (r#"{"isSuccess":false,"errorInfo":"no worker"}"#, "no worker"),
        (r#"{"id":"1","state":"failed","failureReason":"no worker"}"#, "no worker"),
        (r#"{"error":{"issues":[{"code":"x","path":["n"],"message":"Required"}]}}"#, "Required"),
        (r#"{"title":"Bad","violations":[{"field":"n","message":"too low"}]}"#, "too low"),
    ] {
        assert_eq!(rewritten(400, body).error.message, message, "{body}");
    }
    let traced = r#"{"error":{"message":"m","type":"t","param":null,"code":null,"traceback":"File /srv/a.py"}}"#;
    assert_eq!(rewritten(500, traced).error.extra, Map::new());
}

#[test]
fn a_result_in_an_envelope_is_no_error() {
    for (operation, body) in [
        (Operation::Transcriptions, r#"{"message":"ok","result":{"text":"hi"}}"#),
        (Operation::Rerank, r#"{"message":"success","result":{"results":[{"index":0}]}}"#),
        (Operation::Embeddings, r#"{"msg":"done","response":{"data":[{"embedding":[1]}]}}"#),
        (Operation::ImageGeneration, r#"{"code":1,"msg":"ok","result":{"images":["QQ=="]}}"#),
        (Operation::Models, r#"{"code":1,"message":"success","data":{"models":["m"]}}"#),
    ] {
        assert_eq!(from_ok(operation, body.as_bytes()), None, "{body}");
    }
}

/// Only a short name is a type; an address names none, but may name the status.
#[test]
fn types_are_short_names() {
    for (given, want) in [
        ("rate_limit_error", "rate_limit_error"),
        ("Bad Request", "Bad Request"),
        ("invalid.request-error", "invalid.request-error"),
        ("com.amazon.coral.availability#ThrottlingException", "ThrottlingException"),
        ("ThrottlingException:http://internal.test/coral/", "ThrottlingException"),
        ("about:blank", "api_error"),
        ("urn:problem-type:rate-limit", "api_error"),
        ("tag:example.com,2025:no-worker", "api_error"),
        ("/problems/no-worker", "api_error"),
        ("https://example.com/problems/no-worker", "api_error"),
        ("../no-worker", "api_error"),
        ("#no-worker", "api_error"),
        ("The server that was asked has no worker", "api_error"),
        ("{\"a\":1}", "api_error"),
    ] {
        let body = json!({"error": {"message": "m", "type": given}}).to_string();
        let answer = read_http(500, None, body.as_bytes()).0;
        assert_eq!(answer.error.kind, want, "{given}");
    }
    let long = json!({"error": {"message": "m", "type": "x".repeat(65)}}).to_string();
    assert_eq!(rewritten(500, &long).error.kind, "api_error");
    for (kind, status) in [
        ("urn:problem-type:rate-limit-exceeded", 429),
        ("https://example.com/problems/model-not-found/", 404),
        ("https://rate-limit.example.com/problems/other", 502),
    ] {
        let body = json!({"type": kind, "title": "m", "error": {"message": "m"}}).to_string();
        let answer = from_ok(Operation::ChatCompletions, body.as_bytes()).unwrap();
        assert_eq!(answer.status, status, "{kind}");
    }
}

/// Wherever an error holds the one that it passes on, that is read; its words are told once.
#[test]
fn errors_inside_of_errors() {
    let inner = json!({"message": "The prompt is too long: 9 tokens > 8 maximum", "type": "t", "code": "c"});
    let text = json!({"error": inner}).to_string();
    for name in ["cause", "innererror", "inner_error", "value", "original_error", "details", "raw"]
    {
        for held in [inner.clone(), json!({"error": inner}), json!([inner]), json!(text)] {
            for error in [
                json!({"message": "Provider returned error", name: held}),
                json!({"message": "Provider returned error", "metadata": {name: held, "provider_name": "p"}}),
            ] {
                for body in [json!({"error": error}), error] {
                    let answer = rewritten(502, &body.to_string()).error;
                    assert_eq!(answer.code.as_deref(), Some("context_length_exceeded"), "{body}");
                    let want =
                        "Provider returned error: The prompt is too long: 9 tokens > 8 maximum";
                    assert_eq!(answer.message, want, "{body}");
                }
            }
        }
        // A text that is no body may be anything: it is not told, and counts for what it means.
        let body = json!({"error": {"message": "Provider returned error", name: "prompt is too long: 9 > 8"}});
        let answer = rewritten(502, &body.to_string()).error;
        assert_eq!(answer.message, "Provider returned error", "{body}");
        assert_eq!(answer.code.as_deref(), Some("context_length_exceeded"), "{body}");
    }
    // What is said outside counts first.
    let body = json!({"error": {"message": "m", "code": 429, "type": "outer", "cause": inner}});
    let answer = rewritten(429, &body.to_string()).error;
    assert_eq!((answer.code.as_deref(), &*answer.kind), (Some("429"), "outer"));
}
