//! The way down: what kind of answer it is, when its head goes on, and what the client gets.

use super::*;
use crate::test;

/// A request of `path` on its way, and the upstream's answer in `size`-byte pieces.
fn answered(
    config: &Rc<Config>,
    path: &str,
    asked: &str,
    head: &[(&str, &str)],
    body: &[u8],
    size: usize,
) -> Host {
    let mut host = send(config, path, &[], asked);
    assert!(host.request.ended, "{:?}", host.reply);
    host.respond(&fields(head), &cut(body, size), End::Alone);
    host
}

const JSON: [(&str, &str); 2] = [(":status", "200"), ("content-type", "application/json")];
const SSE: [(&str, &str); 2] = [(":status", "200"), ("content-type", "text/event-stream")];
const ASKED: &str = r#"{"model":"quick"}"#;
const STREAM: &str = r#"{"model":"quick","stream":true}"#;
const GOOD: &[u8] = br#"{"id":"c","model":"m","choices":[{"index":0,"message":{"role":"assistant","content":"a"}}],"usage":{"total_tokens":1}}"#;

fn error(host: &Host) -> (String, Value) {
    let head = &host.answer.head;
    assert_eq!(get(head, "content-type"), Some("application/json"));
    assert_eq!(get(head, "content-length"), Some(host.answer.body.len().to_string().as_str()));
    let body: Value = serde_json::from_slice(&host.answer.body).unwrap();
    (get(head, ":status").unwrap().to_owned(), body["error"].clone())
}

#[test]
fn a_good_answer_is_untouched_and_named() {
    for size in [1, 10, 1_000] {
        let host = answered(&config(), CHAT, ASKED, &JSON, GOOD, size);
        assert_eq!(host.answer.body, GOOD);
        assert!(host.answer.ended);
        for (name, want) in [
            (":status", "200"),
            ("x-langwatch-provider", "alpha"),
            ("x-langwatch-model", "gpt-4o-mini"),
            ("x-langwatch-request-id", "req-1"),
            ("x-langwatch-cache-mode", "respect"),
            ("x-langwatch-cache", "miss"),
        ] {
            assert_eq!(get(&host.answer.head, name), Some(want), "{name}");
        }
        assert_eq!(host.note(Note::Cache), None, "the header says it");
    }
}

#[test]
fn the_last_byte_of_a_declared_length_is_the_end() {
    let config = config();
    let cases = [
        (
            CHAT,
            ASKED,
            r#"{"choices":[{"index":0,"message":{"role":"assistant","content":"a"}}],"usage":{}}"#,
            "200",
        ),
        (CHAT, ASKED, r#"{"error":{"message":"busy","code":429}}"#, "429"),
        ("/v1/embeddings", r#"{"model":"alpha/m","input":"a"}"#, r#"{"embedding":[1]}"#, "200"),
    ];
    for (path, asked, body, want) in cases {
        for size in [1, 10, 1_000] {
            let mut host = send(&config, path, &[], asked);
            let mut head = fields(&JSON);
            head.extend(fields(&[("content-length", &body.len().to_string())]));
            host.answer.head = head.clone();
            let step = host.exchange.on_response_head(&headers(&head), false, &Around::default());
            host.answer_step(step, false);
            for chunk in cut(body.as_bytes(), size) {
                assert!(!host.answer.head_sent);
                host.answer_body(chunk, false);
            }
            assert!(host.answer.head_sent, "{body} in pieces of {size}");
            assert_eq!(get(&host.answer.head, ":status"), Some(want));
            let length = host.answer.body.len().to_string();
            assert_eq!(get(&host.answer.head, "content-length"), Some(length.as_str()));
            let sent = host.answer.body.clone();
            host.answer_body(b"", true);
            assert_eq!(host.answer.body, sent, "nothing is added at the end");
        }
    }
}

#[test]
fn a_long_answer_goes_on_early_without_its_cache_header() {
    let body = large("", "");
    let config = config();
    let mut host = send(&config, CHAT, &[], ASKED);
    let step = host.exchange.on_response_head(&headers(&fields(&JSON)), false, &Around::default());
    host.answer_step(step, false);
    for chunk in body.as_bytes().chunks(16_384) {
        host.answer_body(chunk, false);
        assert!(host.answer.held.len() < 300_000, "{} bytes are held", host.answer.held.len());
    }
    assert!(host.answer.head_sent);
    host.answer_body(b"", true);
    assert_eq!(host.answer.body, body.as_bytes());
    assert_eq!(get(&host.answer.head, "x-langwatch-cache"), None);
}

/// A chat answer of 600 kB: `inside` stands behind its text, `behind` the choices.
fn large(inside: &str, behind: &str) -> String {
    let text = "x".repeat(600_000);
    format!(
        r#"{{"choices":[{{"index":0,"message":{{"role":"assistant","content":"{text}"{inside}}},"finish_reason":"stop"}}]{behind}}}"#
    )
}

/// What a client gets of a large answer; `None` where it is broken off.
fn sent_large(operation: &str, body: &[u8], has_length: bool) -> Option<Vec<u8>> {
    let mut host = send(&config(), operation, &[], ASKED);
    let length = body.len().to_string();
    let mut head = JSON.to_vec();
    if has_length {
        head.push(("content-length", &length));
    }
    let step = host.exchange.on_response_head(&headers(&fields(&head)), false, &Around::default());
    host.answer_step(step, false);
    for chunk in body.chunks(16_384) {
        host.answer_body(chunk, false);
    }
    host.answer_body(b"", true);
    assert!(host.answer.head_sent);
    host.reply.is_none().then(|| host.answer.body.clone())
}

#[test]
fn what_shows_late_in_a_large_answer_is_mended_or_breaks_it_off() {
    for (inside, behind, want) in [
        ("", "", Some(("", ""))),
        (r#","score":NaN"#, "", Some((r#","score":null"#, ""))),
        ("", ",\"a\":\"\t\"", Some(("", ",\"a\":\"\\t\""))),
        (
            "",
            r#","usage":{"queue_time":0.5,"total_tokens":1}"#,
            Some(("", r#","usage":{"queue_time":0.5,"total_tokens":1}"#)),
        ),
        (r#","tool_calls":{}"#, "", None),
        ("", r#","error":{"message":"m"}"#, None),
        ("", r#","usage":{"total_tokens":"3"}"#, None),
        ("", ",", None),
    ] {
        let body = large(inside, behind).into_bytes();
        let want = want.map(|(inside, behind)| large(inside, behind).into_bytes());
        assert!(sent_large(CHAT, &body, false) == want, "{inside} {behind}");
        // With another length than was told it can't be mended.
        let same = want.filter(|want| *want == body);
        assert!(sent_large(CHAT, &body, true) == same, "{inside} {behind}");
    }
    let cut = &large("", "").into_bytes()[..500_000];
    assert!(sent_large(CHAT, cut, false).is_none());
}

#[test]
fn an_error_behind_a_large_beginning_tells_nothing() {
    for (error, size) in [
        (r#","error":{"message":"Incorrect key sk-alpha"}"#, 16_384),
        (r#","error":{"message":"Incorrect key sk-alpha"}"#, 7),
        (r#","error":"Incorrect key sk-alpha""#, 5),
        (r#","detail":null,"error": "Incorrect key c2stYWxwaGE=""#, 9),
    ] {
        let body = large("", error);
        let (start, rest) = body.split_at(body.len() - 100);
        for has_length in [false, true] {
            let mut host = send(&config(), CHAT, &[], ASKED);
            let length = body.len().to_string();
            let mut head = JSON.to_vec();
            head.extend(has_length.then_some(("content-length", &*length)));
            let step =
                host.exchange.on_response_head(&headers(&fields(&head)), false, &Around::default());
            host.answer_step(step, false);
            host.answer_body(start.as_bytes(), false);
            for chunk in rest.as_bytes().chunks(size) {
                host.answer_body(chunk, false);
            }
            assert!(host.answer.head_sent && host.answer.body.len() > 500_000);
            let sent = String::from_utf8(host.answer.body.clone()).unwrap();
            assert!(!sent.contains("Incorrect"), "{error}");
            host.answer_body(b"", true);
            assert!(host.reply.is_some(), "the answer is reset");
            assert!(!String::from_utf8(host.answer.body).unwrap().contains("Incorrect"));
        }
    }
    // What only looked like one goes on, whole.
    let body = large("", r#","error":null,"errors":[],"a":1"#);
    assert_eq!(sent_large(CHAT, body.as_bytes(), true).unwrap(), body.as_bytes());
}

#[test]
fn no_failed_response_names_other_models() {
    let narrow = [("authorization", "Bearer vk-narrow")];
    let config = config_with(json!({"virtual_keys": [
        {"id": "narrow", "key": "vk-narrow", "models_allowed": ["beta/small"]},
    ]}));
    let message = "model x not found. Available models: small, secret-large, secret-other";
    let error = json!({"code": "model_not_found", "message": message});
    let failed =
        json!({"id": "r", "object": "response", "status": "failed", "error": error, "output": []});
    let plain = r#"{"model":"beta/small","input":"hi"}"#;
    let host = {
        let mut host = send(&config, "/v1/responses", &narrow, plain);
        host.respond(&fields(&JSON), &[failed.to_string().as_bytes()], End::Alone);
        host
    };
    let mut all = vec![host];
    for last in [
        json!({"type": "error", "code": "model_not_found", "message": message, "param": null}),
        json!({"type": "response.failed", "response": failed}),
        json!({"error": error}),
    ] {
        let mut host =
            send(&config, "/v1/responses", &narrow, &plain.replace('}', r#","stream":true}"#));
        let first =
            json!({"type": "response.created", "response": {"id": "r", "object": "response"}});
        let events = [first, last].map(|event| format!("data: {event}\n\n"));
        let chunks: Vec<&[u8]> = events.iter().map(|event| event.as_bytes()).collect();
        host.respond(&fields(&SSE), &chunks, End::Alone);
        all.push(host);
    }
    for host in all {
        let text = String::from_utf8(host.answer.body).unwrap();
        assert!(text.contains("not found"), "{text}");
        assert!(!text.contains("secret"), "{text}");
    }
}

#[test]
fn an_answer_without_its_cache_header_goes_on_earlier_and_the_access_log_says_it() {
    let config = config_with(json!({"answer_headers": ["model"]}));
    let host = answered(&config, CHAT, ASKED, &JSON, GOOD, 10);
    assert_eq!(host.answer.body, GOOD);
    assert_eq!(get(&host.answer.head, "x-langwatch-model"), Some("gpt-4o-mini"));
    for name in ["provider", "request-id", "cache-mode", "cache"] {
        assert_eq!(get(&host.answer.head, &format!("x-langwatch-{name}")), None);
    }
    assert_eq!(host.note(Note::Cache), Some("miss"));

    let body = large("", "");
    let mut host = send(&config, CHAT, &[], ASKED);
    let step = host.exchange.on_response_head(&headers(&fields(&JSON)), false, &Around::default());
    host.answer_step(step, false);
    for chunk in body.as_bytes().chunks(4_096) {
        host.answer_body(chunk, false);
        assert!(host.answer.held.len() < 20_000, "{} bytes are held", host.answer.held.len());
    }
    host.answer_body(b"", true);
    assert_eq!(host.answer.body, body.as_bytes());
}

#[test]
fn a_reply_has_each_header_once() {
    let config = config();
    let head = [(":status", "401"), ("www-authenticate", "Key sk-alpha"), ("x-debug", "sk-alpha")];
    let mut host = send(&config, CHAT, &[], ASKED);
    host.respond(&fields(&head), &[], End::WithData);
    let named = |name: &str| {
        let reply = host.reply.as_ref().unwrap();
        reply.headers.iter().filter(|(found, _)| found == name).map(|(_, value)| &**value).collect()
    };
    let challenges: Vec<&str> = named("www-authenticate");
    assert_eq!(challenges, ["Key [redacted]"]);
    let others: Vec<&str> = named("x-debug");
    assert!(others.is_empty(), "{others:?}");
}

#[test]
fn errors_become_envelopes() {
    let html = [(":status", "502"), ("content-type", "text/html"), ("retry-after", "7")];
    let flat = [(":status", "200"), ("content-type", "application/json")];
    for size in [1, 1_000] {
        let host = answered(&config(), CHAT, ASKED, &html, b"<title>Bad gateway</title>", size);
        let (status, body) = error(&host);
        assert_eq!((status.as_str(), &body["type"]), ("502", &json!("api_error")));
        assert_eq!(get(&host.answer.head, "retry-after"), Some("7"));
        assert_eq!(get(&host.answer.head, "x-langwatch-provider"), Some("alpha"));

        let inside = br#"{"object":"error","message":"no such model","code":404}"#;
        let (status, body) = error(&answered(&config(), CHAT, ASKED, &flat, inside, size));
        assert_eq!((status.as_str(), &body["message"]), ("404", &json!("no such model")));
    }
}

#[test]
fn an_error_without_a_body_gets_one() {
    let config = config();
    for (status, want) in [("503", 503), ("200", 502)] {
        let mut host = send(&config, CHAT, &[], ASKED);
        let head = [(":status", status), ("retry-after", "3"), ("server", "x")];
        host.respond(&fields(&head), &[], End::WithData);
        let reply = host.reply.as_ref().unwrap();
        assert_eq!(reply.status, want);
        let named = |name: &str| {
            reply.headers.iter().find(|(other, _)| other == name).map(|(_, value)| value.as_str())
        };
        assert_eq!(named("retry-after"), Some("3"));
        assert_eq!(named("x-langwatch-provider"), Some("alpha"));
        assert_eq!(named("server"), None);
    }
}

#[test]
fn heads_that_are_no_answers() {
    let config = config();
    for (status, counted) in [
        ("307", "redirect"),
        ("301", "redirect"),
        ("304", "redirect"),
        ("202", "unfinished"),
        ("204", "unfinished"),
    ] {
        let head =
            [(":status", status), ("location", "http://up.internal/v1"), ("retry-after", "3")];
        for chunks in [&[][..], &[b"see http://up.internal/v1".as_slice(), b"x"]] {
            let mut host = send(&config, CHAT, &[], ASKED);
            host.respond(&fields(&head), chunks, End::WithData);
            let (sent, fields, body) = match &host.reply {
                Some(reply) => {
                    (reply.status.to_string(), format!("{:?}", reply.headers), &reply.body)
                }
                None => {
                    let status = get(&host.answer.head, ":status").unwrap().to_owned();
                    (status, format!("{:?}", host.answer.head), &host.answer.body)
                }
            };
            let said = [fields.as_bytes(), body].concat();
            let said = String::from_utf8(said).unwrap();
            assert_eq!(sent, "502", "{status}");
            assert!(!said.contains("see http"), "{said}");
            assert!(counted == "unfinished" || !said.contains("\"location\""), "{said}");
            assert!(
                said.contains("retry-after") && said.contains("x-langwatch-provider"),
                "{said}"
            );
            assert_eq!(host.counted, [format!("openai_gateway.answers.{counted}.alpha")]);
        }
    }
}

#[test]
fn every_good_status_is_read() {
    let config = config();
    for (status, body, want) in [
        ("201", &br#"{"error":{"message":"m","code":429}}"#[..], "429"),
        ("201", GOOD, "201"),
        ("206", GOOD, "206"),
    ] {
        let head = [(":status", status), ("content-type", "application/json")];
        let host = answered(&config, CHAT, ASKED, &head, body, 7);
        assert_eq!(get(&host.answer.head, ":status"), Some(want));
    }
}

#[test]
fn a_coding_that_is_none_is_taken_off() {
    let config = config();
    for (coding, is_real) in [
        ("none", false),
        ("utf-8", false),
        ("", false),
        ("binary", false),
        ("gzip", true),
        ("X-GZIP", true),
        ("br", true),
        ("identity, zstd", true),
        ("identity", true),
    ] {
        let head = [
            (":status", "200"),
            ("content-type", "application/json"),
            ("content-encoding", coding),
        ];
        let host = answered(&config, CHAT, ASKED, &head, GOOD, 9);
        assert_eq!(
            get(&host.answer.head, "content-encoding"),
            is_real.then_some(coding),
            "{coding}"
        );
        let counted = match coding {
            "identity" => vec![],
            _ if is_real => vec!["openai_gateway.answers.unreadable.alpha".to_owned()],
            _ => vec!["openai_gateway.answers.mislabelled.alpha".to_owned()],
        };
        assert_eq!(host.counted, counted, "{coding}");
        assert_eq!(host.answer.body, GOOD);
    }
}

#[test]
fn a_refused_credential_is_the_gateways() {
    let config = config();
    let whole = r#"{"error":{"message":"Incorrect API key provided","type":"invalid_request_error","param":null,"code":"invalid_api_key"}}"#;
    for (status, body, message, code) in [
        ("401", whole, "Incorrect API key provided", "invalid_api_key"),
        ("401", r#"{"detail":"Unauthorized"}"#, "Unauthorized", "upstream_authentication_failed"),
        ("403", r#"{"error":"Forbidden"}"#, "Forbidden", "upstream_authentication_failed"),
        (
            "401",
            "",
            "The upstream answered HTTP 401 with an empty body.",
            "upstream_authentication_failed",
        ),
    ] {
        let head = [(":status", status), ("content-type", "application/json")];
        let host = answered(&config, CHAT, ASKED, &head, body.as_bytes(), 1_000);
        let (sent, error) = error(&host);
        assert_eq!((sent.as_str(), &error["code"]), (status, &json!(code)));
        let want = format!("Provider alpha refused the gateway's credential: {message}");
        assert_eq!(error["message"], want.as_str());
    }
    let flagged =
        r#"{"error":{"message":"Your input was flagged","type":"t","param":null,"code":null}}"#;
    let head = [(":status", "403"), ("content-type", "application/json")];
    let host = answered(&config, CHAT, ASKED, &head, flagged.as_bytes(), 1_000);
    assert_eq!(host.answer.body, flagged.as_bytes());
}

#[test]
fn what_is_no_answer_is_a_reply_of_our_own() {
    let config = config();
    let head = [(":status", "200"), ("content-type", "application/json"), ("retry-after", "3")];
    for piece in [1, 1_000] {
        let host = answered(&config, CHAT, ASKED, &head, b"[1]", piece);
        let reply = host.reply.as_ref().unwrap();
        assert_eq!(reply.details(), "openai_gateway:invalid_upstream_response");
        assert!(reply.headers.contains(&("retry-after".into(), "3".to_owned())));
        assert_eq!(error(&host).0, "502");
    }
    // A page could not read it.
    let mut request = post(CHAT, &[("origin", "https://app.example")]);
    request.extend(fields(&[("content-length", &ASKED.len().to_string())]));
    let mut host = Host::request(&config, &request, &[ASKED.as_bytes()], End::Alone);
    host.respond(&fields(&head), &[b"[1]"], End::Alone);
    assert_eq!((host.reply.is_some(), error(&host).0.as_str()), (false, "502"));
    // An upstream's error stays the upstream's answer.
    let host = answered(&config, CHAT, ASKED, &head, b"{\"error\":\"no\"}", 1_000);
    assert_eq!((host.reply.is_some(), error(&host).0.as_str()), (false, "502"));
}

#[test]
fn envoys_own_answers_are_enveloped() {
    let config = config();
    let text = [(":status", "504"), ("content-type", "text/plain")];
    let body = b"upstream request timeout";
    let (status, inner) = error(&answered(&config, CHAT, ASKED, &text, body, 1_000));
    assert_eq!((status.as_str(), &inner["type"]), ("504", &json!("api_error")));
    // Its buffer limit, while the request is still held.
    let mut host = Host::new(&config);
    let head = post(CHAT, &[]);
    let step = host.exchange.on_request_head(&headers(&head), false, &Around::default());
    host.step(step, false);
    host.push(br#"{"a":"#, false);
    let text = [(":status", "413"), ("content-type", "text/plain")];
    host.respond(&fields(&text), &[b"Payload Too Large"], End::Alone);
    let (status, inner) = error(&host);
    assert_eq!((status.as_str(), &inner["code"]), ("413", &json!("request_too_large")));
    assert_eq!(inner["param"], "model");
}

#[test]
fn streams() {
    let canonical = "data: {\"choices\":[{\"index\":0,\"delta\":{\"content\":\"a\"}}]}\n\ndata: {\"choices\":[{\"index\":0,\"delta\":{},\"finish_reason\":\"stop\"}]}\n\ndata: [DONE]\n\n";
    for (head, body) in [
        (&SSE, canonical.to_owned()),
        (&SSE, canonical.replace('\n', "\r\n")),
        (&SSE, canonical.replace("data: ", "data:")),
        (&JSON, canonical.to_owned()),
    ] {
        for size in [1, 20, 1_000] {
            let host = answered(&config(), CHAT, STREAM, head, body.as_bytes(), size);
            assert_eq!(String::from_utf8_lossy(&host.answer.body), canonical, "{body}");
            assert_eq!(get(&host.answer.head, "content-type"), Some("text/event-stream"));
            assert_eq!(get(&host.answer.head, "x-langwatch-cache"), None);
        }
    }
}

#[test]
fn the_head_of_a_stream_waits_for_its_first_event_only() {
    let config = config();
    let mut host = send(&config, CHAT, &[], STREAM);
    let step = host.exchange.on_response_head(&headers(&fields(&SSE)), false, &Around::default());
    host.answer_step(step, false);
    host.answer_body(b": waiting\n\n", false);
    assert!(!host.answer.head_sent);
    let event = b"data: {\"choices\":[{\"index\":0,\"delta\":{\"content\":\"a\"}}]}\n\n";
    host.answer_body(event, false);
    assert!(host.answer.head_sent && host.answer.body.ends_with(event));
    host.answer_body(event, false);
    assert!(host.answer.body.ends_with(&[&event[..], event].concat()));
    host.answer_body(b"", true);
    let text = String::from_utf8_lossy(&host.answer.body);
    assert!(text.contains("upstream_stream_truncated") && text.ends_with("data: [DONE]\n\n"));
}

#[test]
fn the_first_event_may_be_an_error() {
    let body = b"data: {\"error\":{\"message\":\"busy\",\"code\":429}}\n\ndata: [DONE]\n\n";
    for size in [1, 1_000] {
        let host = answered(&config(), CHAT, STREAM, &SSE, body, size);
        let (status, inner) = error(&host);
        assert_eq!((status.as_str(), &inner["message"]), ("429", &json!("busy")));
    }
}

#[test]
fn a_stream_notes_its_cache_outcome_at_the_end() {
    let body = b"data: {\"choices\":[{\"index\":0,\"delta\":{},\"finish_reason\":\"stop\"}]}\n\ndata: {\"choices\":[],\"usage\":{\"prompt_tokens\":9,\"total_tokens\":9,\"prompt_tokens_details\":{\"cached_tokens\":4}}}\n\ndata: [DONE]\n\n";
    for size in [1, 1_000] {
        let host = answered(&config(), CHAT, STREAM, &SSE, body, size);
        assert_eq!(host.note(Note::Cache), Some("hit"));
        assert_eq!(get(&host.answer.head, "x-langwatch-cache"), None);
    }
}

#[test]
fn embeddings() {
    let config = config();
    let path = "/v1/embeddings";
    let asked = r#"{"model":"quick","input":["a","b"]}"#;
    for size in [1, 1_000] {
        let host = answered(&config, path, asked, &JSON, b"[[0.5],[1]]", size);
        let body: Value = serde_json::from_slice(&host.answer.body).unwrap();
        assert_eq!(body["data"][1], json!({"object":"embedding","index":1,"embedding":[1]}));
        assert_eq!(body["model"], "gpt-4o-mini");
        let canonical = br#"{"object":"list","data":[{"object":"embedding","index":0,"embedding":[0.5]},{"object":"embedding","index":1,"embedding":[1]}],"model":"m","usage":{"prompt_tokens":1,"total_tokens":1}}"#;
        let host = answered(&config, path, asked, &JSON, canonical, size);
        assert_eq!(String::from_utf8_lossy(&host.answer.body), String::from_utf8_lossy(canonical));
        let base64 = r#"{"model":"quick","input":["a","b"],"encoding_format":"base64"}"#;
        let host = answered(&config, path, base64, &JSON, canonical, size);
        let body: Value = serde_json::from_slice(&host.answer.body).unwrap();
        assert_eq!(body["data"][0]["embedding"], "AAAAPw==");
        let host = answered(&config, path, asked, &JSON, b"[[[1],[2]],[[3],[4]]]", size);
        assert_eq!(error(&host).1["code"], "invalid_upstream_response");
    }
}

#[test]
fn bytes_of_other_kinds_pass_at_once() {
    let config = config();
    let bytes = b"\xff\xfb{\"error\":1}\n\ndata: x\n\n";
    let compressed =
        [(":status", "200"), ("content-type", "application/json"), ("content-encoding", "gzip")];
    let audio = [(":status", "200"), ("content-type", "audio/mpeg")];
    for (path, head) in [("/v1/audio/speech", &audio[..]), (CHAT, &compressed[..])] {
        let mut host = send(&config, path, &[], ASKED);
        let step =
            host.exchange.on_response_head(&headers(&fields(head)), false, &Around::default());
        host.answer_step(step, false);
        // Of audio the first bytes are looked at.
        assert_eq!(host.answer.head_sent, path == CHAT);
        for chunk in bytes.chunks(3) {
            host.answer_body(chunk, false);
            assert!(host.answer.held.is_empty());
        }
        host.answer_body(b"", true);
        assert_eq!(host.answer.body, bytes);
    }
}

#[test]
fn an_answer_that_must_be_held_is_bounded() {
    let config = config_with(json!({"limits": {"max_answer_bytes": 1000}}));
    let long = format!(r#"{{"note":"{}"}}"#, "x".repeat(2_000));
    let host = answered(&config, CHAT, ASKED, &JSON, long.as_bytes(), 100);
    let (status, inner) = error(&host);
    assert_eq!((status.as_str(), &inner["code"]), ("502", &json!("invalid_upstream_response")));
    assert!(host.answer.ended);
}

#[test]
fn the_requested_model_is_put_in_on_demand() {
    let config = config_with(json!({"response_model": "requested"}));
    let named = String::from_utf8_lossy(GOOD).replace("\"m\"", "\"quick\"");
    for size in [1, 1_000] {
        let host = answered(&config, CHAT, ASKED, &JSON, GOOD, size);
        assert_eq!(String::from_utf8_lossy(&host.answer.body), named);
        let length = named.len().to_string();
        assert_eq!(get(&host.answer.head, "content-length"), Some(length.as_str()));
    }
}

#[test]
fn an_answer_may_end_in_trailers() {
    let config = config();
    for (asked, head, body) in [
        (ASKED, &JSON, GOOD),
        (STREAM, &SSE, b"data: {\"choices\":[{\"index\":0,\"delta\":{},\"finish_reason\":\"stop\"}]}\n\ndata: [DONE]\n\n"),
    ] {
        let mut host = send(&config, CHAT, &[], asked);
        host.respond(&fields(head), &cut(body, 9), End::Trailers);
        assert_eq!(host.answer.body, body);
        assert!(host.answer.ended);
    }
}
