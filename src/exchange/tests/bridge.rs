//! Responses requests that go upstream as chat requests, and the way back.

use super::*;
use crate::test;

const RESPONSES: &str = "/v1/responses";
const JSON: [(&str, &str); 2] = [(":status", "200"), ("content-type", "application/json")];
const SSE: [(&str, &str); 2] = [(":status", "200"), ("content-type", "text/event-stream")];
const PLAIN: &str = r#"{"model":"quick","input":"hi"}"#;
const STREAM: &str = r#"{"model":"quick","stream":true,"input":"hi"}"#;
const CHAT_ANSWER: &[u8] = br#"{"id":"c1","object":"chat.completion","created":9,"model":"m-1","choices":[{"index":0,"message":{"role":"assistant","content":"Hello"},"finish_reason":"stop"}],"usage":{"prompt_tokens":3,"completion_tokens":1,"total_tokens":4,"prompt_tokens_details":{"cached_tokens":2}}}"#;
const CHAT_STREAM: &[u8] = b"data: {\"id\":\"c1\",\"object\":\"chat.completion.chunk\",\"created\":9,\"model\":\"m-1\",\"choices\":[{\"index\":0,\"delta\":{\"role\":\"assistant\",\"content\":\"Hel\"},\"finish_reason\":null}]}\n\ndata: {\"id\":\"c1\",\"object\":\"chat.completion.chunk\",\"created\":9,\"model\":\"m-1\",\"choices\":[{\"index\":0,\"delta\":{\"content\":\"lo\"},\"finish_reason\":\"stop\"}]}\n\ndata: {\"id\":\"c1\",\"object\":\"chat.completion.chunk\",\"created\":9,\"model\":\"m-1\",\"choices\":[],\"usage\":{\"prompt_tokens\":3,\"completion_tokens\":1,\"total_tokens\":4,\"prompt_tokens_details\":{\"cached_tokens\":2}}}\n\ndata: [DONE]\n\n";

fn upstream(host: &Host) -> Value {
    serde_json::from_slice(&host.request.body).unwrap()
}

fn answered(config: &Rc<Config>, asked: &str, head: &[(&str, &str)], chunks: &[&[u8]]) -> Host {
    let mut host = send(config, RESPONSES, &[], asked);
    assert!(host.request.ended, "{:?}", host.reply);
    host.respond(&fields(head), chunks, End::Alone);
    host
}

fn response(host: &Host) -> Value {
    let head = &host.answer.head;
    assert_eq!(get(head, ":status"), Some("200"));
    assert_eq!(get(head, "content-type"), Some("application/json"));
    let body: Value = serde_json::from_slice(&host.answer.body).unwrap();
    assert_eq!(body["object"], "response");
    nameless(&body)
}

/// A Response without what makes its ids unique.
fn nameless(response: &Value) -> Value {
    let id = response["id"].as_str().unwrap().strip_prefix("resp_").unwrap();
    assert!(id.starts_with("req1") && id.len() == 20, "{id}");
    serde_json::from_str(&response.to_string().replace(id, "ID")).unwrap()
}

/// `data` of every event, with the name of its `event:` line checked.
fn events(body: &[u8]) -> Vec<Value> {
    let text = std::str::from_utf8(body).unwrap();
    text.split_terminator("\n\n")
        .filter(|event| !event.starts_with(':'))
        .map(|event| {
            let (name, data) = event.split_once("\ndata: ").unwrap();
            let data: Value = serde_json::from_str(data).unwrap();
            assert_eq!(Some(name), data["type"].as_str().map(|t| format!("event: {t}")).as_deref());
            data
        })
        .collect()
}

#[test]
fn the_upstream_gets_a_chat_request() {
    let config = config();
    let body = r#"{"input":"hi","instructions":"Be brief.","model":"quick","max_output_tokens":9}"#;
    for size in [1, 20, 1_000] {
        let mut head = post("/v1/responses?x=1", &[]);
        head.extend(fields(&[("content-length", &body.len().to_string())]));
        let host = Host::request(&config, &head, &cut(body.as_bytes(), size), End::Alone);
        let head = &host.request.head;
        assert_eq!(get(head, ":path"), Some("/openai/v1/chat/completions?x=1"));
        assert_eq!(get(head, "authorization"), Some("Bearer sk-alpha"));
        let length = host.request.body.len().to_string();
        assert_eq!(get(head, "content-length"), Some(length.as_str()));
        let chat = upstream(&host);
        assert_eq!(chat["model"], "gpt-4o-mini");
        assert_eq!(
            chat["messages"],
            json!([{"role": "system", "content": "Be brief."}, {"role": "user", "content": "hi"}])
        );
        assert_eq!(chat.get("input"), None);
        assert_eq!(host.note(Note::Request), Some("team responses alpha/gpt-4o-mini"));
    }
}

#[test]
fn a_plain_answer_is_a_response() {
    for size in [1, 7, 10_000] {
        let host = answered(&config(), PLAIN, &JSON, &cut(CHAT_ANSWER, size));
        let length = host.answer.body.len().to_string();
        assert_eq!(get(&host.answer.head, "content-length"), Some(length.as_str()));
        assert_eq!(get(&host.answer.head, "x-langwatch-cache"), Some("hit"));
        assert_eq!(get(&host.answer.head, "x-langwatch-params-dropped"), None);
        let body = response(&host);
        assert_eq!(body["model"], "m-1");
        assert_eq!(body["id"], "resp_ID");
        assert_eq!(body["output"][0]["content"][0]["text"], "Hello");
        assert_eq!(body["usage"]["input_tokens"], 3);
        assert_eq!(get(&host.answer.head, "x-langwatch-cache"), Some("hit"));
    }
}

#[test]
fn a_stream_that_nobody_asked_for_is_a_response_too() {
    for size in [1, 30, 10_000] {
        for head in [JSON, SSE] {
            let streamed = answered(&config(), PLAIN, &head, &cut(CHAT_STREAM, size));
            let plain = answered(&config(), PLAIN, &JSON, &[CHAT_ANSWER]);
            assert_eq!(response(&streamed), response(&plain));
        }
    }
}

#[test]
fn a_stream_is_a_stream_of_events() {
    for size in [1, 30, 10_000] {
        let host = answered(&config(), STREAM, &SSE, &cut(CHAT_STREAM, size));
        assert_eq!(upstream(&host)["stream_options"], json!({"include_usage": true}));
        assert_eq!(get(&host.answer.head, "content-type"), Some("text/event-stream"));
        assert_eq!(get(&host.answer.head, "content-length"), None);
        let events = events(&host.answer.body);
        assert_eq!(events[0]["type"], "response.created");
        let last = events.last().unwrap();
        assert_eq!(last["type"], "response.completed");
        let plain = answered(&config(), PLAIN, &JSON, &[CHAT_ANSWER]);
        assert_eq!(nameless(&last["response"]), response(&plain));
        assert_eq!(host.note(Note::Cache), Some("hit"));
    }
}

#[test]
fn events_leave_with_their_chunks() {
    let config = config();
    let mut host = send(&config, RESPONSES, &[], STREAM);
    let head = host.exchange.on_response_head(&headers(&fields(&SSE)), false, &Around::default());
    host.answer_step(head, false);
    let first = CHAT_STREAM.split_inclusive(|&byte| byte == b'\n').next().unwrap();
    host.answer_body(first, false);
    let events = events(&host.answer.body);
    assert_eq!(events.last().unwrap()["delta"], "Hel");
}

#[test]
fn json_to_a_stream_is_a_stream() {
    let host = answered(&config(), STREAM, &JSON, &[CHAT_ANSWER]);
    let events = events(&host.answer.body);
    assert_eq!(events.last().unwrap()["response"]["output"][0]["content"][0]["text"], "Hello");
}

#[test]
fn errors_before_the_first_event_are_errors_of_http() {
    let body = br#"{"object":"error","message":"too long","type":"BadRequestError","code":400}"#;
    let event = [b"data: ", &body[..], b"\n\n"].concat();
    for (asked, head, answer) in [
        (PLAIN, JSON, &body[..]),
        (STREAM, SSE, &event),
        (PLAIN, SSE, &event),
        (STREAM, JSON, body),
    ] {
        let host = answered(&config(), asked, &head, &cut(answer, 9));
        assert_eq!(get(&host.answer.head, ":status"), Some("400"), "{asked}");
        let body: Value = serde_json::from_slice(&host.answer.body).unwrap();
        assert_eq!(body["error"]["message"], "too long");
    }
    let host = answered(&config(), STREAM, &[(":status", "429"), ("retry-after", "3")], &[b"slow"]);
    assert_eq!(get(&host.answer.head, ":status"), Some("429"));
    assert_eq!(get(&host.answer.head, "retry-after"), Some("3"));
}

#[test]
fn what_is_no_chat_completion_is_a_bad_gateway() {
    for body in [&b"{}"[..], b"[]", b"{\"choices\":[]}", b"{\"choices\":[{\"index\":0"] {
        let host = answered(&config(), PLAIN, &JSON, &[body]);
        assert_eq!(get(&host.answer.head, ":status"), Some("502"), "{body:?}");
    }
}

#[test]
fn a_cut_stream_fails() {
    let cut = CHAT_STREAM.get(..200).unwrap();
    let host = answered(&config(), STREAM, &SSE, &[cut]);
    let events = events(&host.answer.body);
    let last = events.last().unwrap();
    assert_eq!(last["type"], "response.failed");
    assert_eq!(last["response"]["status"], "failed");
    assert_eq!(last["response"]["error"]["code"], "upstream_stream_truncated");
    assert_eq!(last["response"]["output"][0]["content"][0]["text"], "Hel");
}

/// As for a chat completion: it is the upstream that failed.
#[test]
fn a_cut_stream_that_nobody_asked_for_is_a_bad_gateway() {
    let good = CHAT_STREAM.get(..200).unwrap();
    let broken = [good, b"data: {\"choices\":[{\n\n"].concat();
    for stream in [good, &broken] {
        let host = answered(&config(), PLAIN, &SSE, &[stream]);
        assert_eq!(get(&host.answer.head, ":status"), Some("502"));
        let body: Value = serde_json::from_slice(&host.answer.body).unwrap();
        assert!(body["error"]["code"].is_string(), "{body}");
    }
}

#[test]
fn a_long_answer_is_not_held_by_envoy() {
    let text = "x".repeat(700_000);
    let body = String::from_utf8(CHAT_ANSWER.to_vec()).unwrap().replace("Hello", &text);
    let config = config();
    let mut host = send(&config, RESPONSES, &[], PLAIN);
    host.answer.head = fields(&JSON);
    let head = host.exchange.on_response_head(&headers(&fields(&JSON)), false, &Around::default());
    host.answer_step(head, false);
    for chunk in body.as_bytes().chunks(16_384) {
        assert!(host.answer.body.is_empty());
        host.answer_body(chunk, false);
        assert!(host.answer.held.len() < 400_000, "held");
    }
    // All is written before the end, which may come with trailers: Envoy lets nothing be added there.
    let written = host.answer.body.len();
    assert!(host.answer.head_sent && written > text.len());
    host.answer_body(b"\n", false);
    host.answer_body(b"", true);
    assert_eq!(host.answer.body.len(), written);
    assert_eq!(get(&host.answer.head, "content-length"), None);
    assert_eq!(response(&host)["output"][0]["content"][0]["text"], text);
    assert_eq!(host.note(Note::Cache), Some("hit"));

    let config = config_with(json!({"limits": {"max_answer_bytes": 500_000}}));
    let chunks = cut(body.as_bytes(), 16_384);
    let mut host = send(&config, RESPONSES, &[], PLAIN);
    host.respond(&fields(&JSON), &chunks, End::Alone);
    // Its head had gone on: Envoy resets the stream.
    assert_eq!(host.reply.unwrap().status, 502);
}

#[test]
fn a_request_over_many_lines_does_not_break_events() {
    let asked = "{\n  \"model\": \"quick\",\r\n  \"stream\": true,\n  \"input\": \"hi\",\n  \"text\": {\n    \"verbosity\": \"low\"\n  },\n  \"metadata\": {\r    \"a\\n\": \"b  c\"\n  },\n  \"tools\": [\n    {\n      \"type\": \"function\",\n      \"name\": \"f\",\n      \"parameters\": {\n        \"type\": \"object\"\n      }\n    }\n  ]\n}";
    let host = answered(&config(), asked, &SSE, &[CHAT_STREAM]);
    let text = std::str::from_utf8(&host.answer.body).unwrap();
    assert!(text.lines().all(|line| {
        line.is_empty() || line.starts_with("event: ") || line.starts_with("data: {")
    }));
    let asked: Value = serde_json::from_str(asked).unwrap();
    for event in events(&host.answer.body) {
        if let Some(response) = event.get("response") {
            assert_eq!(response["tools"], asked["tools"]);
            assert_eq!(response["metadata"], asked["metadata"]);
            assert_eq!(response["text"]["verbosity"], "low");
        }
    }
}

#[test]
fn no_failure_repeats_the_providers_key() {
    let error = b"\ndata: {\"error\":{\"message\":\"Bad key: sk-alpha\",\"code\":401}}\n\n";
    let first = CHAT_STREAM.split_inclusive(|&byte| byte == b'\n').next().unwrap();
    let bridged = answered(&config(), STREAM, &SSE, &[first, error]);
    let failed = events(&bridged.answer.body).pop().unwrap();
    assert_eq!(failed["response"]["error"]["message"], "Bad key: [redacted]");
    let mut chat = send(&config(), "/v1/chat/completions", &[], &STREAM.replace("input", "x"));
    chat.respond(&fields(&SSE), &[first, error], End::Alone);
    for host in [bridged, chat] {
        assert_eq!(memchr::memmem::find(&host.answer.body, b"sk-alpha"), None);
    }
}

/// A native server's stream as the client gets it, in pieces of `size` bytes.
fn native(events: &[&str], size: usize) -> String {
    let mut stream = Vec::new();
    for (number, event) in events.iter().enumerate() {
        let (name, rest) = event.split_once(' ').unwrap();
        stream.extend_from_slice(
            format!("event: {name}\ndata: {{\"type\":\"{name}\",\"sequence_number\":{number},{rest}}}\n\n")
                .as_bytes(),
        );
    }
    let mut host = send(&config(), "/v1/responses", &[], &STREAM.replace("quick", "beta/m"));
    host.respond(&fields(&SSE), &cut(&stream, size), End::Alone);
    String::from_utf8(host.answer.body).unwrap()
}

#[test]
fn nor_does_the_failure_of_a_native_server() {
    let created = r#"response.created "response":{}"#;
    let bad = [r#"error "message":"Bad key: sk-beta""#, r#"response.failed "message":"sk-beta""#];
    for events in [vec![created, bad[0]], vec![created, bad[1]], vec![created, bad[0], bad[1]]] {
        for size in [1, 7, 100, 1_000] {
            let answer = native(&events, size);
            assert!(!answer.contains("sk-beta"), "{answer}");
            assert_eq!(answer.matches("[redacted]").count(), events.len() - 1, "{answer}");
        }
    }
}

#[test]
fn nor_does_the_failed_response_of_a_native_server() {
    let head = fields(&[(":status", "200"), ("content-type", "application/json")]);
    for (error, want) in [
        (r#"{"message":"Bad key: sk-beta"}"#, r#"{"message":"Bad key: [redacted]"}"#),
        ("null", "null"),
    ] {
        let body = format!(
            r#"{{"id":"r","object":"response","error":{error},"output":[],"instructions":"sk-beta"}}"#
        );
        let want = match error {
            "null" => body.clone(),
            _ => body.replace(error, want).replace("sk-beta", "[redacted]"),
        };
        for size in [1, 1_000] {
            let asked = r#"{"model":"beta/m","input":"hi"}"#;
            let mut host = send(&config(), "/v1/responses", &[], asked);
            host.respond(&head, &cut(body.as_bytes(), size), End::Alone);
            assert_eq!(std::str::from_utf8(&host.answer.body).unwrap(), want);
            let length = get(&host.answer.head, "content-length");
            assert!(length.is_none_or(|length| length == want.len().to_string()));
        }
    }
}

#[test]
fn a_good_answer_may_say_what_the_key_says() {
    let events = [
        r#"response.created "response":{}"#,
        r#"response.output_text.delta "delta":"sk-beta""#,
        r#"response.completed "response":{"output":["sk-beta"]}"#,
    ];
    for size in [1, 7, 1_000] {
        assert_eq!(native(&events, size).matches("sk-beta").count(), 2);
    }
}

#[test]
fn an_answer_that_can_not_be_converted_is_a_bad_gateway() {
    for asked in [PLAIN, STREAM] {
        let head = [(":status", "200"), ("content-encoding", "gzip")];
        let host = answered(&config(), asked, &head, &[b"\x1f\x8b", b"\x08"]);
        assert_eq!(get(&host.answer.head, ":status"), Some("502"));
        assert_eq!(get(&host.answer.head, "content-encoding"), None);
        let body: Value = serde_json::from_slice(&host.answer.body).unwrap();
        assert_eq!(body["error"]["code"], "invalid_upstream_response");
    }
}

#[test]
fn any_success_is_converted() {
    let head = [(":status", "201"), ("content-type", "application/json")];
    let host = answered(&config(), PLAIN, &head, &[CHAT_ANSWER]);
    let body: Value = serde_json::from_slice(&host.answer.body).unwrap();
    assert_eq!(
        (get(&host.answer.head, ":status"), &body["object"]),
        (Some("201"), &json!("response"))
    );
}

#[test]
fn what_is_not_carried_over_is_named() {
    let asked = r#"{"model":"quick","input":"hi","tools":[{"type":"web_search"}]}"#;
    let host = answered(&config(), asked, &JSON, &[CHAT_ANSWER]);
    assert_eq!(get(&host.answer.head, "x-langwatch-params-dropped"), Some("web_search"));
    let host = send(&config(), RESPONSES, &[], r#"{"model":"quick","previous_response_id":"r"}"#);
    assert_eq!(host.refusal(), (400, "unsupported_parameter".to_owned()));
}

#[test]
fn the_requested_model_is_named_where_that_is_wanted() {
    let config = config_with(json!({"response_model": "requested"}));
    let host = answered(&config, PLAIN, &JSON, &[CHAT_ANSWER]);
    assert_eq!(response(&host)["model"], "quick");
    let host = answered(&config, STREAM, &SSE, &[CHAT_STREAM]);
    for event in events(&host.answer.body) {
        if let Some(response) = event.get("response") {
            assert_eq!(response["model"], "quick");
        }
    }
}

#[test]
fn cache_modes_apply_to_the_chat_request() {
    let marked = r#"{"model":"quick","input":[{"role":"user","content":[{"type":"input_text","text":"a","cache_control":{"type":"ephemeral"}}]}]}"#;
    let marker = |mode: &str, body: &str| {
        let host = send(&config(), RESPONSES, &[("x-langwatch-cache", mode)], body);
        upstream(&host)["messages"][0]["content"][0]["cache_control"].clone()
    };
    assert_eq!(marker("respect", marked), json!({"type": "ephemeral"}));
    assert_eq!(marker("disable", marked), Value::Null);
    assert_eq!(marker("force", PLAIN), json!({"type": "ephemeral"}));
    let instructed = PLAIN.replace("\"input\"", r#""instructions":"Be brief.","input""#);
    assert_eq!(marker("force", &instructed), json!({"type": "ephemeral"}));
}

#[test]
fn a_second_attempt_converts_again() {
    let config = config();
    let first = send(&config, RESPONSES, &[], PLAIN);
    let body = PLAIN.as_bytes();
    let mut second = Host::again(&config, &first.request.head, &[body], End::Alone, &first.notes);
    assert_eq!(second.request.body, first.request.body);
    let sorted = |host: &Host| {
        let mut head = host.request.head.clone();
        head.sort();
        head
    };
    assert_eq!(sorted(&second), sorted(&first));
    // Without a time of the upstream's it is the request's.
    let answer = String::from_utf8(CHAT_ANSWER.to_vec()).unwrap().replace("\"created\":9,", "");
    second.respond(&fields(&JSON), &[answer.as_bytes()], End::Alone);
    assert_eq!(response(&second)["created_at"], NOW);
}

#[test]
fn bodies_that_grow_past_the_limit_are_refused() {
    let config = config_with(json!({"limits": {"max_buffered_bytes": 100}}));
    let host = send(&config, RESPONSES, &[], &PLAIN.replace("hi", &"x".repeat(200)));
    assert_eq!(host.refusal(), (413, "request_too_large".to_owned()));
    let many = r#"{"model":"quick","input":"hi","stream":true,"instructions":"x"}"#;
    let config = config_with(json!({"limits": {"max_buffered_bytes": many.len()}}));
    let host = send(&config, RESPONSES, &[], many);
    assert_eq!(host.refusal(), (413, "request_too_large".to_owned()));
}
