//! The way up: who may pass, what is found, what goes on and when.

use super::*;
use crate::exchange::models::{CallAnswer, FetchProgress, Fetches, Outcomes};
use crate::test;

const BODY: &str = r#"{"messages":[{"role":"user","content":"hi"}],"model":"alpha/gpt-4o"}"#;
const PASSED: &str = r#"{"messages":[{"role":"user","content":"hi"}],"model":"gpt-4o"}"#;

fn refused(more: &[(&str, &str)], body: &str) -> (u16, String) {
    let host = send(&config(), CHAT, more, body);
    assert!(!host.request.ended);
    host.refusal()
}

#[test]
fn head_and_body_are_rewritten() {
    let credentials = [
        ("x-api-key", "client"),
        ("api-key", "client"),
        ("accept-encoding", "gzip"),
        ("x-gateway-cluster", "elsewhere"),
        ("x-langwatch-provider", "forged"),
        ("x-langwatch-cache", "respect"),
        ("x-custom", "kept"),
    ];
    let host = send(&config(), &format!("{CHAT}?a=b"), &credentials, BODY);
    let head = &host.request.head;
    for (name, want) in [
        (":path", Some("/openai/v1/chat/completions?a=b")),
        (":authority", Some("alpha.test")),
        ("authorization", Some("Bearer sk-alpha")),
        ("content-length", Some(PASSED.len().to_string().as_str())),
        ("x-gateway-cluster", Some("alpha")),
        ("x-custom", Some("kept")),
        ("x-api-key", None),
        ("api-key", None),
        ("accept-encoding", None),
        ("x-langwatch-provider", None),
    ] {
        assert_eq!(get(head, name), want, "{name}");
    }
    assert_eq!(head.last().unwrap().0, "x-gateway-cluster", "each change chooses the route anew");
    assert_eq!(host.request.body, PASSED.as_bytes());
    assert!(host.request.ended);
    let want = [(Note::Request, "team chat_completions alpha/gpt-4o".to_owned())];
    assert_eq!(host.notes, want, "each costs a call");
}

#[test]
fn a_credential_of_another_kind() {
    let host = send(&config(), CHAT, &[("x-beta-key", "client")], r#"{"model":"beta/m"}"#);
    assert_eq!(get(&host.request.head, "x-beta-key"), Some("Key sk-beta"));
    assert_eq!(get(&host.request.head, "authorization"), None);
    assert_eq!(get(&host.request.head, ":path"), Some("/v1/chat/completions"));
    let host = send(&config(), CHAT, &[], r#"{"model":"org/qwen"}"#);
    assert_eq!(get(&host.request.head, "authorization"), None, "local has none");
    assert_eq!(get(&host.request.head, ":authority"), Some("localhost:8000"));
    assert_eq!(host.request.body, br#"{"model":"org/qwen"}"#);
}

#[test]
fn outside_of_the_prefix_nothing_is_ours_but_our_own_headers() {
    let forged = [("x-gateway-cluster", "alpha"), ("x-langwatch-model", "x"), ("x-else", "kept")];
    let host = send(&config(), "/health", &forged, "anything");
    assert!(host.request.ended && host.reply.is_none());
    assert_eq!(host.request.body, b"anything");
    for (name, want) in [
        ("x-gateway-cluster", None),
        ("x-langwatch-model", None),
        ("x-else", Some("kept")),
        ("authorization", Some("Bearer vk-team")),
    ] {
        assert_eq!(get(&host.request.head, name), want, "{name}");
    }
    let plain = send(&config(), "/v1x/chat/completions", &[], "anything");
    assert_eq!(plain.request.head, {
        let mut head = post("/v1x/chat/completions", &[]);
        head.extend(fields(&[("content-length", "8")]));
        head
    });
    assert!(plain.notes.is_empty());
}

#[test]
fn nothing_of_the_clients_own_goes_to_a_provider() {
    let mine = [
        ("cookie", "s3cret"),
        ("proxy-authorization", "s3cret"),
        ("x-goog-api-key", "s3cret"),
        ("openai-organization", "s3cret"),
        ("openai-project", "s3cret"),
        ("x-beta-key", "s3cret"),
        ("x-envoy-original-dst-host", "s3cret"),
        ("x-envoy-max-retries", "s3cret"),
        ("x-gateway-destination-endpoint", "s3cret"),
    ];
    let kept =
        [("openai-beta", "b"), ("user-agent", "u"), ("x-request-id", "r"), ("traceparent", "t")];
    let path =
        format!("{CHAT}?key=s3cret&a=b&api_key=s3cret&API-Key=s3cret&keys=c&access_token=s3cret");
    let more: Vec<_> = mine.into_iter().chain(kept).collect();
    let host = send(&config(), &path, &more, BODY);
    let head = &host.request.head;
    for (name, value) in head {
        assert!(!String::from_utf8_lossy(value).contains("s3cret"), "{name}");
    }
    for (name, value) in kept.into_iter().skip(1) {
        assert!(
            get(head, name).is_some_and(|got| got == value || name == "x-request-id"),
            "{name}"
        );
    }
    assert_eq!(get(head, ":path"), Some("/openai/v1/chat/completions?a=b&keys=c"));
    let alone = send(&config(), &format!("{CHAT}?key=s3cret"), &[], BODY);
    assert_eq!(get(&alone.request.head, ":path"), Some("/openai/v1/chat/completions"));
    // The same set holds for trailers.
    let mut host = Host::new(&config());
    let step = host.exchange.on_request_head(&headers(&post(CHAT, &[])), false, &Around::default());
    host.step(step, false);
    let removed = host.exchange.trailer_removals(&headers(&fields(&more)));
    let names: Vec<&str> = removed.iter().map(HeaderEdit::name).collect();
    assert_eq!(names, mine.map(|(name, _)| name));
}

#[test]
fn an_operator_changes_a_providers_head() {
    let config = config_with(json!({"providers": [{
        "name": "alpha", "base_url": "https://alpha.test/v1", "auth": {"key": "sk-alpha"},
        "request_headers": {"remove": ["x-internal"], "set": {"OpenAI-Organization": "org-ours"}},
    }], "virtual_keys": [{"id": "team", "key": "vk-team"}], "model_aliases": {}}));
    let more = [("x-internal", "a"), ("openai-organization", "org-theirs"), ("x-else", "b")];
    let host = send(&config, CHAT, &more, BODY);
    for (name, want) in [
        ("x-internal", None),
        ("openai-organization", Some("org-ours")),
        ("x-else", Some("b")),
        ("authorization", Some("Bearer sk-alpha")),
    ] {
        assert_eq!(get(&host.request.head, name), want, "{name}");
    }
}

/// Envoy follows a redirect with the head that was rewritten: nothing of the operator's goes along.
#[test]
fn a_redirect_out_of_the_prefix_takes_nothing_of_a_provider_along() {
    let config = config_with(json!({"providers": [
        {"name": "alpha", "base_url": "https://alpha.test/v1", "auth": {"key": "sk-alpha"},
         "request_headers": {"set": {"X-Empty": ""}}},
        {"name": "beta", "base_url": "https://beta.test/v1", "auth": {"mode": "none"},
         "request_headers": {"set": {"Accept": "application/json", "X-Api-Secret": "s3cret", "X-Empty": ""}}},
    ], "virtual_keys": [{"id": "team", "key": "vk-team"}], "model_aliases": {}}));
    let followed = ("x-envoy-original-url", "https://beta.test/v1/chat/completions");
    let (ours, accept) = (("x-api-secret", "s3cret"), ("accept", "application/json"));
    for (more, passes) in [
        (&[followed, ours, accept][..], false),
        (&[followed, ("authorization", "Bearer sk-alpha")], false),
        // Nobody followed a redirect: who has these may send them.
        (&[ours, accept], true),
        (&[("authorization", "Bearer sk-alpha")], true),
        // Anybody's redirect, anybody's headers.
        (&[followed], true),
        (&[followed, accept], true),
        (&[followed, ("x-empty", "")], true),
        (&[followed, accept, ("x-api-secret", "another")], true),
    ] {
        let host = send(&config, "/elsewhere", more, "");
        assert_eq!(host.reply.is_none(), passes, "{more:?}");
        if !passes {
            assert_eq!(host.refusal(), (500, "internal_error".to_owned()), "{more:?}");
        }
    }
}

#[test]
fn a_path_that_leads_below_the_prefix_is_written_plainly() {
    for (prefix, path) in [
        ("/v1", "/v1%2fchat/completions"),
        ("/v1", "/v1%2Fchat/completions?x=1"),
        ("/v1", "/%761/chat/completions"),
        ("/v1", "/%2576%31/chat/completions"),
        ("/v1", "//v1/chat/completions"),
        ("/v1", "/./v1/models"),
        ("/v1", "/a/../v1/models"),
        ("/v1", "/a/%2e%2e/v1/models"),
        ("/v1", "/\\v1/chat/completions"),
        ("/v1", "/V1/models"),
        ("/v1", "/v1;x/models"),
        ("/v1", "/v1%00/models"),
        ("/v1", "/v1%20/models"),
        ("/v1", "/V1"),
        ("/v1", "/%25252525252576"),
        ("/llm/v1", "/llm//v1/models"),
        ("/llm/v1", "/LLM/V1"),
        ("/llm/v1", "/llm%2fv1/models"),
    ] {
        let config = config_with(json!({ "path_prefix": prefix }));
        let host = send(&config, path, &[], BODY);
        assert_eq!(host.refusal(), (404, "unknown_url".to_owned()), "{path}");
        assert!(!host.request.head_sent, "{path}");
    }
    for path in
        ["/", "/health", "/v1beta/x", "/v", "/v10", "/api/v1/x", "/x%2fv1", "/v1x", "/a/v1/../v1"]
    {
        let host = send(&config(), path, &[], "anything");
        assert!(host.reply.is_none() && host.request.ended, "{path}");
    }
}

#[test]
fn nothing_may_lie_outside() {
    let config = config_with(json!({"outside": "refuse"}));
    for path in ["/", "/health", "/v2/chat/completions"] {
        let host = send(&config, path, &[], "anything");
        assert_eq!(host.refusal(), (404, "unknown_url".to_owned()), "{path}");
    }
    assert!(send(&config, CHAT, &[("upgrade", "h2c")], BODY).request.ended);
}

#[test]
fn refusals_at_the_head() {
    let config = config();
    let many = &*format!("{CHAT}?{}", "%&".repeat(1_000));
    let cut_elsewhere = &*format!("{CHAT}?{}", "a?".repeat(1_000));
    let escaped = &*format!("{CHAT}?{}", "a%26".repeat(1_000));
    let of_models = &*format!("/v1/models?{}", "a=1;".repeat(1_000));
    for (path, more, want) in [
        (CHAT, vec![("authorization", "Bearer nobody")], (401, "invalid_api_key")),
        (CHAT, vec![("authorization", "Basic vk-team")], (401, "invalid_api_key")),
        (CHAT, vec![("authorization", "Bearer vk-off")], (403, "virtual_key_revoked")),
        (CHAT, vec![("content-encoding", "gzip")], (415, "unsupported_content_encoding")),
        (CHAT, vec![("content-length", "33554433")], (413, "request_too_large")),
        (CHAT, vec![("x-langwatch-cache", "off")], (400, "cache_override_invalid")),
        (CHAT, vec![(":method", "GET")], (405, "method_not_allowed")),
        ("/v1/nothing", vec![], (404, "unknown_url")),
        ("/v1/chat/completions?model=x", vec![], (400, "duplicate_model")),
        (many, vec![], (400, "unsupported_parameter")),
        (cut_elsewhere, vec![], (400, "unsupported_parameter")),
        (escaped, vec![], (400, "duplicate_model")),
        (of_models, vec![(":method", "GET")], (400, "unsupported_parameter")),
        ("/v1/files", vec![], (400, "unsupported_operation")),
        ("/v1/audio/translations", vec![], (400, "invalid_multipart")),
        (CHAT, vec![("upgrade", "websocket")], (400, "unsupported_operation")),
        (CHAT, vec![(":protocol", "websocket")], (400, "unsupported_operation")),
        ("/v1/chat/completions?mode%C1%AC=x", vec![], (400, "duplicate_model")),
        ("/v1%2fchat/completions", vec![], (404, "unknown_url")),
        ("/V1/chat/completions", vec![], (404, "unknown_url")),
    ] {
        let mut host = Host::new(&config);
        let step =
            host.exchange.on_request_head(&headers(&post(path, &more)), false, &Around::default());
        host.step(step, false);
        assert_eq!(host.refusal(), (want.0, want.1.to_owned()), "{path} {more:?}");
        assert!(!host.request.head_sent);
        let reply = host.reply.as_ref().unwrap();
        let id = reply.headers.iter().find(|(name, _)| name == "x-langwatch-request-id");
        assert_eq!(id.map(|(_, value)| value.as_str()), Some("req-1"));
        // What still comes of the request goes nowhere, and our own answer is left alone.
        assert!(!host.exchange.reads_request_body());
        assert!(matches!(host.exchange.on_request_body(b"", Next::End), RequestStep::Drop));
        let back = fields(&[(":status", "401"), ("content-type", "application/json")]);
        let step = host.exchange.on_response_head(&headers(&back), false, &Around::default());
        assert!(matches!(step, ResponseStep::Continue));
        assert!(!host.exchange.reads_response_body());
        assert!(matches!(host.exchange.on_response_body(b"", Next::End), ResponseStep::Continue));
    }
}

#[test]
fn refusals_in_the_body() {
    let narrow = [("authorization", "Bearer vk-narrow")];
    for (more, body, want) in [
        (&narrow[..], r#"{"model":"alpha/o1"}"#, (403, "model_not_allowed")),
        (&narrow[..], r#"{"model":"beta/gpt-4o"}"#, (403, "model_not_allowed")),
        (&[], r#"{"model":"local/none"}"#, (404, "model_not_found")),
        (&[], r#"{"messages":[]}"#, (400, "missing_model")),
        (&[], "", (400, "invalid_json")),
        (&[], r#"{"model":7}"#, (400, "invalid_model")),
        (&[], r#"{"model":"alpha/a","MODEL":"alpha/b"}"#, (400, "duplicate_model")),
        (&[], r#"{"model":"alpha/a"} {}"#, (400, "invalid_json")),
        (&[], r#"[{"model":"alpha/a"}]"#, (400, "invalid_json")),
    ] {
        assert_eq!(refused(more, body), (want.0, want.1.to_owned()), "{body}");
    }
    let host = send(&config(), "/v1/audio/speech", &[], r#"{"model":"llama"}"#);
    assert_eq!(host.refusal(), (400, "unsupported_operation".to_owned()));
    assert!(send(&config(), "/v1/responses", &[], r#"{"model":"beta/a"}"#).request.ended);
}

#[test]
fn a_request_without_a_body_names_no_model() {
    let host = Host::request(&config(), &post(CHAT, &[]), &[], End::WithData);
    assert_eq!(host.refusal().0, 400);
}

#[test]
fn bytes_flow_once_the_model_is_known() {
    let config = config();
    let body = format!(r#"{{"user":"u","model":"alpha/m","prompt":"{}"}}"#, "x".repeat(50_000));
    let mut host = Host::new(&config);
    host.request.head = post(CHAT, &[("content-length", &body.len().to_string())]);
    let step =
        host.exchange.on_request_head(&headers(&host.request.head), false, &Around::default());
    host.step(step, false);
    let known = body.find("alpha/m").unwrap() + "alpha/m\"".len();
    for (at, chunk) in body.as_bytes().chunks(1).enumerate() {
        host.push(chunk, false);
        // Not before the model's end, and from then on with every byte.
        assert_eq!(host.request.head_sent, at + 1 >= known, "at {at}");
        if host.request.head_sent {
            assert!(host.request.held.is_empty());
            assert_eq!(host.request.body.len(), at + 1 - "alpha/".len());
        }
    }
    host.push(b"", true);
    assert_eq!(host.request.body, body.replace("alpha/", "").as_bytes());
    assert!(host.request.ended);
}

#[test]
fn what_is_wrong_late_is_never_handed_on_in_full() {
    let config = config();
    for (tail, code) in [
        (r#","model":"alpha/b"}"#, "duplicate_model"),
        ("}}", "invalid_json"),
        ("", "invalid_json"),
        (r#","x":tru}"#, "invalid_json"),
    ] {
        let body = format!(r#"{{"model":"alpha/m","prompt":"{}"{tail}"#, "x".repeat(5_000));
        for declared in [true, false] {
            let length = body.len().to_string();
            let more = if declared { vec![("content-length", length.as_str())] } else { vec![] };
            let host =
                Host::request(&config, &post(CHAT, &more), &cut(body.as_bytes(), 100), End::Alone);
            assert_eq!(host.refusal(), (400, code.to_owned()), "{tail}");
            assert!(host.request.head_sent && !host.request.ended, "{tail}");
            assert!(!declared || host.request.body.len() < body.len() - "alpha/".len());
        }
    }
}

#[test]
fn lengths() {
    let config = config();
    // A short body that is complete is given a length; a long one and one with trailers are not.
    let long = format!(r#"{{"model":"alpha/m","prompt":"{}"}}"#, "x".repeat(5_000));
    let short = r#"{"model":"alpha/m"}"#;
    for (body, end, want) in [
        (short, End::Alone, Some("13")),
        (short, End::WithData, Some("13")),
        (short, End::Trailers, None),
        (&long, End::Alone, None),
    ] {
        let host = Host::request(&config, &post(CHAT, &[]), &cut(body.as_bytes(), 1_000), end);
        assert_eq!(get(&host.request.head, "content-length"), want, "{end:?}");
        assert_eq!(host.request.body, body.replace("alpha/", "").as_bytes());
        assert!(host.request.ended);
    }
}

#[test]
fn limits() {
    let small = json!({"limits": {"max_request_bytes": 1000, "max_buffered_bytes": 100}});
    let config = config_with(small);
    let host = |body: &str, size| {
        Host::request(&config, &post(CHAT, &[]), &cut(body.as_bytes(), size), End::Alone)
    };
    let fill = |count: usize| "x".repeat(count);
    let late = |count| format!(r#"{{"a":"{}","model":"alpha/m"}}"#, fill(count));
    let early = |count| format!(r#"{{"model":"alpha/m","a":"{}"}}"#, fill(count));
    for size in [1, 7, 5_000] {
        assert!(host(&late(70), size).request.ended, "{size}");
        assert_eq!(host(&late(95), size).refusal(), (413, "request_too_large".to_owned()));
        assert!(host(&early(900), size).request.ended, "{size}");
        assert_eq!(host(&early(1_000), size).refusal(), (413, "request_too_large".to_owned()));
    }
}

#[test]
fn forms() {
    let config = config();
    let form = [("content-type", "multipart/form-data; boundary=B")];
    let model = "--B\r\nContent-Disposition: form-data; name=\"model\"\r\n\r\nalpha/w\r\n";
    let file = format!(
        "--B\r\nContent-Disposition: form-data; name=\"file\"; filename=\"f\"\r\n\r\n{}\r\n",
        "\0--B-\r\n".repeat(500)
    );
    for body in [format!("{model}{file}--B--\r\n"), format!("{file}{model}--B--\r\n")] {
        for size in [1, 1_000, 100_000] {
            let head = post("/v1/audio/transcriptions", &form);
            let host = Host::request(&config, &head, &cut(body.as_bytes(), size), End::Alone);
            assert_eq!(host.request.body, body.replace("alpha/", "").as_bytes());
            assert!(host.request.ended);
        }
    }
}

#[test]
fn cache_modes() {
    let config = config();
    let body = r#"{"a":{"cache_control":{"type":"ephemeral"}},"model":"alpha/m"}"#;
    for (more, mode, want) in [
        (vec![], "respect", r#"{"a":{"cache_control":{"type":"ephemeral"}},"model":"m"}"#),
        (vec![("x-langwatch-cache", "disable")], "disable", r#"{"a":{},"model":"m"}"#),
        (vec![("authorization", "Bearer vk-bare")], "disable", r#"{"a":{},"model":"m"}"#),
    ] {
        let mut host = send(&config, CHAT, &more, body);
        assert_eq!(String::from_utf8_lossy(&host.request.body), want);
        let length = want.len().to_string();
        assert_eq!(get(&host.request.head, "content-length"), Some(length.as_str()));
        let asked = get(&host.request.head, "cache-control");
        assert_eq!(asked, (mode == "disable").then_some("no-cache"));
        let answer = br#"{"choices":[{"index":0,"message":{"role":"assistant","content":"a"}}],"usage":{"cached_tokens":5}}"#;
        let head = fields(&[(":status", "200"), ("content-type", "application/json")]);
        host.respond(&head, &[answer], End::Alone);
        assert_eq!(get(&host.answer.head, "x-langwatch-cache-mode"), Some(mode));
        let outcome = if mode == "disable" { "bypass" } else { "hit" };
        assert_eq!(get(&host.answer.head, "x-langwatch-cache"), Some(outcome));
        assert_eq!(host.note(Note::Cache), None, "the header says it");
    }
}

#[test]
fn another_attempt_gives_the_same_request() {
    for changes in [
        json!({}),
        // The rewritten path may lie under the prefix as well.
        json!({"providers": [{"name": "alpha", "base_url": "http://a.test", "auth": {"key": "k"}}],
               "virtual_keys": [{"id": "team", "key": "vk-team"}]}),
    ] {
        let config = config_with(changes);
        for sent in [BODY, r#"{"model":"quick","cache_control":1}"#] {
            let more = [("x-langwatch-cache", "disable")];
            let first = send(&config, CHAT, &more, sent);
            assert!(first.request.ended);
            // The head as it was left, with the client's body, or with the rewritten one.
            for body in [sent.as_bytes(), &first.request.body] {
                for size in [3, 1_000] {
                    let chunks = cut(body, size);
                    let head = &first.request.head;
                    let second = Host::again(&config, head, &chunks, End::Alone, &first.notes);
                    assert_eq!(second.request.body, first.request.body);
                    assert!(second.request.ended);
                    let mut heads = [head.clone(), second.request.head];
                    heads.iter_mut().for_each(|head| head.sort());
                    assert_eq!(heads[0], heads[1]);
                }
            }
        }
    }
}

#[test]
fn another_attempt_needs_its_note() {
    let config = config();
    let first = send(&config, CHAT, &[], BODY);
    let under_prefix = post(CHAT, &[("authorization", "Bearer sk-alpha")]);
    let again = |body: &str, notes: &[(Note, String)]| {
        Host::again(&config, &under_prefix, &[body.as_bytes()], End::Alone, notes)
    };
    assert!(again(BODY, &first.notes).request.ended);
    for bad in [
        "",
        "team",
        "team x",
        "team none alpha/gpt-4o",
        "team chat_completions none/gpt-4o",
        "none chat_completions alpha/gpt-4o",
        "chat_completions alpha/gpt-4o",
    ] {
        let notes = [(Note::Request, bad.to_owned())];
        assert_eq!(again(BODY, &notes).refusal(), (500, "internal_error".to_owned()), "{bad}");
    }
    assert_eq!(again(BODY, &[]).refusal(), (401, "invalid_api_key".to_owned()));
    // No body gets another model than the one that was allowed.
    let other = again(r#"{"model":"alpha/other"}"#, &first.notes);
    assert_eq!(other.request.body, br#"{"model":"gpt-4o"}"#);
}

#[test]
fn model_lists() {
    let config = config();
    let get_models = |path: &str, key: &str| {
        let key = format!("Bearer {key}");
        let head = post(path, &[(":method", "GET"), ("authorization", &key)]);
        Host::request(&config, &head, &[], End::WithData)
    };
    let mut host = get_models("/v1/models", "vk-team");
    assert!(host.reply.is_none() && !host.request.head_sent);
    // A body of the question is of no interest, and goes nowhere.
    host.push(b"{}", true);
    assert!(!host.request.head_sent);
    let query = host.query.take().unwrap();
    let needs = |known: &Outcomes| query.needed(&config, known);
    let mut fetches = Fetches::new();
    let FetchProgress::Wait(calls) = fetches.ask(&config, 1, needs, Outcomes::default(), 0) else {
        panic!("nothing to fetch")
    };
    assert_eq!(calls.len(), 2, "local has a curated list");
    let paths: Vec<_> = calls.iter().map(|call| call.path()).collect();
    assert_eq!(paths, ["/openai/v1/models", "/v1/models"]);
    let [first, second] = <[_; 2]>::try_from(calls).expect("two");
    fetches.sent(first, 10);
    assert!(fetches.not_sent(second, 0).is_empty());
    let head = Headers::default();
    let answer = CallAnswer { status: 200, headers: &head, body: br#"["gpt-4o"]"# };
    let ready = fetches.answered(10, Some(answer), 0).ready;
    let [(1, lists)] = &ready[..] else { panic!("{ready:?}") };
    let reply = query.reply(&config, lists);
    let body: Value = serde_json::from_slice(&reply.body).unwrap();
    let ids: Vec<_> = body["data"].as_array().unwrap().iter().map(|model| &model["id"]).collect();
    assert_eq!(ids, ["quick", "alpha/gpt-4o", "local/llama", "local/org/qwen"]);
    let left_out = reply.headers.iter().find(|(name, _)| name == "x-langwatch-models-incomplete");
    assert_eq!(left_out.map(|(_, value)| value.as_str()), Some("beta"));

    let one = get_models("/v1/models/local%2Forg%2Fqwen/", "vk-local").query.unwrap();
    assert!(one.needed(&config, &Outcomes::default()).is_empty());
    assert_eq!(one.reply(&config, &Default::default()).status, 200);
    let none = get_models("/v1/models/alpha/gpt-4o", "vk-local").query.unwrap();
    assert_eq!(none.reply(&config, &Default::default()).status, 404);
    assert_eq!(get_models("/v1/models", "nobody").refusal().0, 401);
}

#[test]
fn usage_is_asked_for_beside_all_other_edits() {
    let config = |refused: Value| {
        config_with(json!({
            "usage": {"mode": "require"},
            "providers": [{"name": "alpha", "base_url": "http://alpha.test", "auth": {"mode": "none"}, "drop_params": refused}],
            "virtual_keys": [{"id": "team", "key": "vk-team"}],
            "model_aliases": {},
        }))
    };
    let rest = r#""model":"alpha/m","stream":true,"messages":[]"#;
    for body in [
        format!(r#"{{"seed":1,"user":"u",{rest}}}"#),
        format!(r#"{{{rest},"stream_options":null,"seed":1,"user":"u"}}"#),
        format!(r#"{{"seed":1,"stream_options":{{"cache_control":{{}}}},"user":"u",{rest}}}"#),
        format!(r#"{{"user":{{"cache_control":{{}}}},"stream_options":{{}},{rest},"seed":2}}"#),
    ] {
        for cache in ["respect", "disable", "force"] {
            let host = send(
                &config(json!(["seed", "user"])),
                CHAT,
                &[("x-langwatch-cache", cache)],
                &body,
            );
            let mut sent: Value = serde_json::from_slice(&host.request.body).unwrap();
            assert_eq!(sent["stream_options"]["include_usage"], true, "{cache} {body}");
            sent["stream_options"] = json!(0);
            let want = json!({"model": "m", "stream": true, "messages": [], "stream_options": 0});
            assert_eq!(sent, want, "{cache} {body}");
            let host = send(
                &config(json!(["Stream_Options"])),
                CHAT,
                &[("x-langwatch-cache", cache)],
                &body,
            );
            let sent: Value = serde_json::from_slice(&host.request.body).unwrap();
            assert_eq!(sent.get("stream_options"), None, "not asked: {cache} {body}");
        }
    }
}
