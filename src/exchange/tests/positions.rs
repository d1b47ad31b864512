//! Two positions: the listener's instance decides, each attempt's instance rewrites.

use super::*;
use crate::test;

const BODY: &str = r#"{"messages":[],"model":"fast"}"#;

/// A fallback over three providers with three ways of a credential, in two positions.
fn two(changes: Value) -> Rc<Config> {
    let mut all = json!({
        "providers": [
            {"name": "alpha", "base_url": "https://alpha.test/openai/v1", "auth": {"key": "sk-alpha"}},
            {"name": "beta", "base_url": "http://beta.test:8080",
             "auth": {"mode": "header", "header": "X-Beta-Key", "prefix": "Key ", "key": "sk-beta"},
             "responses_api": "native"},
            {"name": "gamma", "base_url": "http://gamma.test/v1", "auth": {"mode": "none"},
             "upstream_clusters": ["gamma-*"]},
        ],
        "model_aliases": {
            "fast": {"fallback": ["alpha/gpt", "beta/org/llama", "gamma/fast"], "cluster": "over"},
        },
    });
    all.as_object_mut().unwrap().extend(changes.as_object().unwrap().clone());
    all["virtual_keys"] = json!([
        {"id": "team", "key": "vk-team"},
        {"id": "narrow", "key": "vk-narrow", "models_allowed": ["alpha/*", "beta/*"]},
    ]);
    config_with(all)
}

/// The listener's instance with a whole request.
fn listener(config: &Rc<Config>, path: &str, more: &[(&str, &str)], body: &str) -> Host {
    let host = send(config, path, more, body);
    assert!(host.request.ended, "{:?}", host.reply);
    assert_eq!(host.request.body, body.as_bytes(), "the listener changes nothing of a body");
    host
}

/// What Envoy knows of a request between its instances.
struct Between {
    config: Rc<Config>,
    head: Fields,
    body: Vec<u8>,
    notes: Vec<(Note, String)>,
    number: u64,
}

impl Between {
    fn new(config: &Rc<Config>, listener: &Host) -> Self {
        Self {
            config: config.clone(),
            head: listener.request.head.clone(),
            body: listener.request.body.clone(),
            notes: listener.notes.clone(),
            number: 0,
        }
    }

    /// The next attempt, at a host of this provider; its head stays for the one after it.
    fn attempt(&mut self, host_provider: Option<&str>, cluster: Option<&str>, size: usize) -> Host {
        self.number += 1;
        let around = Around {
            notes: &self.notes.clone(),
            attempt: self.number,
            host_provider,
            cluster,
            details: None,
        };
        let chunks = cut(&self.body, size);
        let host = Host::new(&self.config).asked(&self.head, &chunks, End::Alone, &around);
        self.head = host.request.head.clone();
        self.notes.extend(host.notes.clone());
        host
    }

    fn answered(&mut self, host: &mut Host, head: &Fields, body: &[u8]) {
        host.notes.clear();
        let around = Around { notes: &self.notes.clone(), ..Around::default() };
        let (chunks, end) = match body {
            b"" => (vec![], End::WithData),
            body => (vec![body], End::Alone),
        };
        host.respond_at(head, &chunks, end, &around);
        self.notes.extend(host.notes.clone());
    }

    fn trail(&self) -> Option<&str> {
        let note = self.notes.iter().rev().find(|(note, _)| *note == Note::Attempts);
        note.map(|(_, value)| value.as_str())
    }
}

fn json_head(status: &str) -> Fields {
    fields(&[(":status", status), ("content-type", "application/json")])
}

#[test]
fn the_listener_sends_no_credential() {
    let config = two(json!({}));
    let host = listener(&config, CHAT, &[("x-api-key", "client")], BODY);
    let head = &host.request.head;
    for (name, want) in [
        (":path", Some(CHAT)),
        (":authority", Some("gateway")),
        ("authorization", None),
        ("x-api-key", None),
        ("x-envoy-max-retries", None),
        ("x-gateway-cluster", Some("over")),
    ] {
        assert_eq!(get(head, name), want, "{name}");
    }
    assert_eq!(head.last().unwrap().0, "x-gateway-cluster", "each change chooses the route anew");
    assert_eq!(host.note(Note::Request), Some("team chat_completions alpha/gpt"));

    let plain = listener(&config, CHAT, &[], r#"{"model":"gamma/m"}"#);
    assert_eq!(get(&plain.request.head, "x-gateway-cluster"), Some("gamma"));
    let cut = listener(&config, CHAT, &[("authorization", "Bearer vk-narrow")], BODY);
    assert_eq!(get(&cut.request.head, "x-envoy-max-retries"), Some("1"));
}

#[test]
fn each_attempt_is_rewritten_for_its_host() {
    let config = two(json!({}));
    let host = listener(&config, &format!("{CHAT}?a=b"), &[], BODY);
    for size in [7, 1_000] {
        let mut between = Between::new(&config, &host);
        let mut seen = Vec::new();
        for (provider, cluster, path, authority, credential, model) in [
            (
                Some("alpha"),
                None,
                "/openai/v1/chat/completions?a=b",
                "alpha.test",
                Some(("authorization", "Bearer sk-alpha")),
                "gpt",
            ),
            (
                Some("beta"),
                Some("gamma-1"), // the metadata counts
                "/v1/chat/completions?a=b",
                "beta.test:8080",
                Some(("x-beta-key", "Key sk-beta")),
                "org/llama",
            ),
            (None, Some("gamma-1"), "/v1/chat/completions?a=b", "gamma.test", None, "fast"),
            // A provider's own cluster, though others are named for it.
            (None, Some("gamma"), "/v1/chat/completions?a=b", "gamma.test", None, "fast"),
            (
                None,
                Some("alpha"),
                "/openai/v1/chat/completions?a=b",
                "alpha.test",
                Some(("authorization", "Bearer sk-alpha")),
                "gpt",
            ),
        ] {
            let got = between.attempt(provider, cluster, size);
            assert!(got.request.ended);
            let head = &got.request.head;
            let want = BODY.replace("fast", model);
            assert_eq!(String::from_utf8_lossy(&got.request.body), want);
            assert_eq!(get(head, ":path"), Some(path));
            assert_eq!(get(head, ":authority"), Some(authority));
            assert_eq!(get(head, "content-length"), Some(want.len().to_string().as_str()));
            for name in ["authorization", "x-beta-key", "x-api-key"] {
                let want = credential.filter(|(header, _)| *header == name);
                assert_eq!(get(head, name), want.map(|(_, value)| value), "{name}");
            }
            let model = format!("team chat_completions {}/{model}", seen_name(provider, cluster));
            seen.push(model);
        }
        let noted: Vec<_> =
            between.notes.iter().filter(|(note, _)| *note == Note::Request).collect();
        assert_eq!(noted.len(), 5, "the first is the listener's");
        assert_eq!(noted.iter().map(|(_, value)| value).collect::<Vec<_>>(), {
            seen.iter().collect::<Vec<_>>()
        });
        assert_eq!(
            between.trail(),
            Some("alpha=none, beta=none, gamma=none, gamma=none, alpha=none")
        );
    }
}

fn seen_name<'a>(provider: Option<&'a str>, cluster: Option<&'a str>) -> &'a str {
    match (provider, cluster) {
        (Some(name), _) => name,
        (None, Some("gamma-1")) => "gamma",
        (None, other) => other.unwrap(),
    }
}

#[test]
fn nothing_is_sent_that_can_not_be_placed() {
    let config = two(json!({}));
    let internal = (500, "internal_error".to_owned());
    for (provider, cluster) in
        [(None, None), (Some("delta"), None), (Some("delta"), Some("alpha")), (None, Some("delta"))]
    {
        let mut between = Between::new(&config, &listener(&config, CHAT, &[], BODY));
        let host = between.attempt(provider, cluster, 1_000);
        assert_eq!(host.refusal(), internal, "{provider:?} {cluster:?}");
        assert!(!host.request.head_sent);
        assert_eq!(between.trail(), Some("-=refused"));
    }
    // What an operator wrote as a number, as the proxy-wasm host gives it: said, since it looks right in a file.
    for (provider, is_told) in [("\0\0\0\0\0\0\u{1c}@", true), ("delta", false)] {
        let mut between = Between::new(&config, &listener(&config, CHAT, &[], BODY));
        let host = between.attempt(Some(provider), Some("alpha"), 1_000);
        let body = String::from_utf8(host.reply.unwrap().body).unwrap();
        assert_eq!(body.contains("is no string, and must be a string"), is_told, "{body}");
    }
    // A cluster that two of them share: either could get the other's credential.
    let shared = two(json!({"providers": [
        {"name": "alpha", "base_url": "https://alpha.test/openai/v1", "auth": {"key": "sk-alpha"},
         "upstream_clusters": ["outbound|443||*"]},
        {"name": "beta", "base_url": "http://beta.test:8080", "upstream_clusters": ["outbound|443||beta.test"]},
        {"name": "gamma", "base_url": "http://gamma.test/v1"},
    ]}));
    let both = Some("outbound|443||beta.test");
    let mut between = Between::new(&shared, &listener(&shared, CHAT, &[], BODY));
    assert_eq!(between.attempt(None, both, 1_000).refusal(), internal);
    assert!(between.attempt(Some("beta"), both, 1_000).request.ended);
    assert!(between.attempt(None, Some("outbound|443||alpha.test"), 1_000).request.ended);

    // A cluster of another provider, in which the decided one is not.
    let plain = listener(&config, CHAT, &[], r#"{"model":"gamma/m"}"#);
    let host = Between::new(&config, &plain).attempt(None, Some("alpha"), 1_000);
    assert_eq!(host.refusal(), internal);

    // A decision that can't be read, and none.
    let mut between = Between::new(&config, &plain);
    let good = plain.note(Note::Decision).unwrap().to_owned();
    for bad in [
        String::new(),
        "x".to_owned(),
        good.replace("team", "nobody"),
        good.replace("gamma/m", "nobody/m"),
        good.replace("chat_completions", "chat"),
        good.replace("respect", "other"),
        good.replace("\ngamma/m\ngamma/m", "\ngamma/m"),
        good.replace("9-", "-"),
    ] {
        assert_ne!(bad, good);
        between.notes = vec![(Note::Decision, bad.clone())];
        assert_eq!(between.attempt(Some("gamma"), None, 1_000).refusal(), internal, "{bad:?}");
    }
    between.notes.clear();
    assert_eq!(between.attempt(Some("gamma"), None, 1_000).refusal(), internal);
    // A request that is none of ours passes, with nothing set.
    between.head = post("/healthz", &[("x-langwatch-model", "forged")]);
    let host = between.attempt(Some("gamma"), None, 1_000);
    assert!(host.request.ended && host.notes.is_empty());
    assert_eq!(host.request.body, between.body);
    assert_eq!(get(&host.request.head, "x-langwatch-model"), None);
    assert_eq!(get(&host.request.head, ":path"), Some("/healthz"));
}

#[test]
fn a_hidden_error_becomes_a_status_and_the_listener_leaves_what_is_done() {
    let config = two(json!({}));
    let listener = || listener(&config, CHAT, &[], BODY);
    let mut first = listener();
    let mut between = Between::new(&config, &first);
    let mut host = between.attempt(Some("alpha"), None, 1_000);
    let hidden = br#"{"error":{"message":"busy","type":"rate_limit_error"}}"#;
    between.answered(&mut host, &json_head("200"), hidden);
    assert_eq!(get(&host.answer.head, ":status"), Some("429"));
    assert_eq!(between.trail(), Some("alpha=429"));
    // Nobody else is there to be asked: Envoy's own reply is none that an attempt has made.
    let via = |details| Around { notes: &between.notes, details, ..Around::default() };
    assert!(listener().exchange.leaves_answer(&via(Some("via_upstream"))));
    assert!(!first.exchange.leaves_answer(&via(Some("no_healthy_upstream"))));
    first.respond_at(&json_head("503"), &[b"no healthy upstream"], End::Alone, &via(None));
    assert_eq!(get(&first.answer.head, "x-langwatch-provider"), Some("alpha"));
    assert!(first.answer.body.starts_with(b"{\"error\":{"));
    let mut host = between.attempt(Some("beta"), None, 1_000);
    assert_eq!(host.counted, ["openai_gateway.answers.retried.alpha"]);
    let good = br#"{"choices":[{"index":0,"message":{"content":"hi"},"finish_reason":"stop"}]}"#;
    between.answered(&mut host, &json_head("200"), good);
    assert_eq!(between.trail(), Some("alpha=429, beta=200"));
    assert_eq!(get(&host.answer.head, "x-langwatch-attempts"), Some("alpha=429, beta=200"));
    assert_eq!(get(&host.answer.head, "x-langwatch-provider"), Some("beta"));
    assert_eq!(get(&host.answer.head, "x-langwatch-model"), Some("org/llama"));

    // Nobody tries again after a good answer.
    let around = Around { notes: &between.notes, ..Around::default() };
    assert!(listener().exchange.leaves_answer(&around));
}

/// Whoever is asked again, and whether an answer came at all: each attempt counts once.
#[test]
fn an_attempt_that_another_one_follows_counts_for_its_provider() {
    let config = two(json!({}));
    for (body, hosts) in [
        (BODY, [Some("alpha"), Some("beta"), Some("beta")]),
        (r#"{"model":"gamma/m"}"#, [Some("gamma"); 3]),
    ] {
        let mut between = Between::new(&config, &listener(&config, CHAT, &[], body));
        let mut before = None;
        for provider in hosts {
            let host = between.attempt(provider, None, 1_000);
            let want = before.map(|name| format!("openai_gateway.answers.retried.{name}"));
            assert_eq!(host.counted, Vec::from_iter(want), "{body} {provider:?}");
            before = provider;
        }
    }
}

#[test]
fn an_instance_that_knows_of_one_position_sends_nothing_of_two() {
    let config = two(json!({}));
    let one = two(json!({"model_aliases": {}, "routing": {"positions": 1}}));
    for body in [BODY, r#"{"model":"gamma/m"}"#] {
        let mut between = Between::new(&config, &listener(&config, CHAT, &[], body));
        between.config = one.clone();
        let host = between.attempt(Some("gamma"), Some("gamma"), 1_000);
        assert_eq!(host.refusal(), (500, "internal_error".to_owned()));
        assert!(host.request.body.is_empty());
    }
}

#[test]
fn a_page_reads_an_error_whatever_an_attempt_did_to_the_head() {
    let config = two(json!({}));
    let first = listener(&config, CHAT, &[("origin", "https://app.example")], BODY);
    let mut between = Between::new(&config, &first);
    between.head.retain(|(name, _)| name != "origin");
    let mut host = between.attempt(Some("alpha"), None, 1_000);
    between.answered(&mut host, &json_head("200"), b"[1]");
    assert_eq!(between.trail(), Some("alpha=502"), "written over the answer");
    assert!(host.answer.body.starts_with(b"{\"error\":{"));
}

#[test]
fn the_listener_gives_the_reply_that_an_attempt_had() {
    let config = two(json!({}));
    for (came, body, status, says) in [
        ("503", "", "503", "HTTP 503 with an empty body"),
        ("429", "", "429", "HTTP 429 with an empty body"),
        ("200", "", "502", "HTTP 200 with an empty body"),
        ("204", "", "502", "HTTP 204"),
        ("307", "", "502", "HTTP 307, a redirect"),
    ] {
        let mut first = listener(&config, CHAT, &[], BODY);
        let mut between = Between::new(&config, &first);
        let mut host = between.attempt(Some("alpha"), None, 1_000);
        between.answered(&mut host, &json_head(came), body.as_bytes());
        assert!(host.reply.is_none(), "a reply would pass Envoy's retries by");
        assert_eq!(get(&host.answer.head, ":status"), Some(status));
        assert_eq!(between.trail(), Some(&*format!("alpha={status}?")));
        assert_eq!(host.counted.len(), 1, "{came}");
        let around =
            Around { notes: &between.notes, details: Some("via_upstream"), ..Around::default() };
        assert!(!first.exchange.leaves_answer(&around));
        first.respond_at(&json_head(status), &[], End::WithData, &around);
        let reply = first.reply.unwrap();
        assert_eq!(reply.status.to_string(), status);
        let body = String::from_utf8(reply.body).unwrap();
        assert!(body.starts_with("{\"error\":{") && body.contains(says), "{body}");
        assert_eq!(first.counted.len(), 0, "the attempt has counted it");
    }
}

#[test]
fn what_the_virtual_key_seals_can_be_sealed_without_it() {
    let config = two(json!({}));
    let sent = r#"{"input":"hi","model":"alpha/gpt","include":["reasoning.encrypted_content"]}"#;
    let first = listener(&config, "/v1/responses", &[], sent);
    let mut between = Between::new(&config, &first);
    let note = between.notes.iter().find(|(note, _)| *note == Note::Decision).unwrap().1.clone();
    assert!(!note.contains("vk-team"));
    let exported = note.split('\n').nth(6).unwrap();
    assert!(exported.len() > 40);
    let host = between.attempt(Some("alpha"), None, 10);
    let head = host.request.head.iter().map(|(name, value)| [name.as_bytes(), value].concat());
    for sent in [&head.collect::<Vec<_>>().concat(), &host.request.body] {
        assert!(!String::from_utf8_lossy(sent).contains(exported), "nothing of it goes upstream");
    }
}

#[test]
fn conversions_are_done_for_each_attempt_from_the_clients_own_body() {
    let config = two(json!({}));
    let sent = r#"{"input":"hi","model":"fast","stream":false}"#;
    let first = listener(&config, "/v1/responses", &[], sent);
    let mut between = Between::new(&config, &first);
    for _ in 0..2 {
        let chat = between.attempt(Some("alpha"), None, 10);
        assert_eq!(get(&chat.request.head, ":path"), Some("/openai/v1/chat/completions"));
        let body: Value = serde_json::from_slice(&chat.request.body).unwrap();
        assert_eq!(body["model"], "gpt");
        assert_eq!(body["messages"][0]["content"], "hi");
        let length = chat.request.body.len().to_string();
        assert_eq!(get(&chat.request.head, "content-length"), Some(length.as_str()));
        let native = between.attempt(Some("beta"), None, 10);
        assert_eq!(get(&native.request.head, ":path"), Some("/v1/responses"));
        assert_eq!(native.request.body, sent.replace("fast", "org/llama").as_bytes());
        let length = native.request.body.len().to_string();
        assert_eq!(get(&native.request.head, "content-length"), Some(length.as_str()));
    }
}

/// Envoy's `buffer` filter and Lua's `setBytes` tell the length of a body that came without one.
#[test]
fn a_length_told_between_the_positions_goes_where_the_body_becomes_another() {
    let aliases = json!({
        "fast": {"fallback": ["alpha/gpt", "beta/org/llama", "gamma/fast"], "cluster": "over"},
        "nine": "gamma/four",
    });
    let config = two(json!({"model_aliases": aliases}));
    let asked = |path: &str, body: &str| {
        let listener =
            Host::request(&config, &post(path, &[]), &cut(body.as_bytes(), 9), End::Trailers);
        let mut between = Between::new(&config, &listener);
        assert_eq!(get(&between.head, "content-length"), None, "{body}");
        between.head.push(("content-length".to_owned(), body.len().to_string().into_bytes()));
        between
    };
    for (path, body) in [
        (CHAT, r#"{"messages":[],"model":"fast"}"#),
        ("/v1/responses", r#"{"input":"hi","model":"fast","stream":false}"#),
    ] {
        let mut between = asked(path, body);
        for provider in ["alpha", "beta"] {
            let attempt = between.attempt(Some(provider), None, 9);
            assert!(attempt.request.ended, "{provider}: {:?}", attempt.reply);
            assert_ne!(attempt.request.body.len(), body.len());
            assert_eq!(get(&attempt.request.head, "content-length"), None, "{provider} of {body}");
        }
    }
    let mut between = asked(CHAT, r#"{"messages":[],"model":"nine"}"#);
    let attempt = between.attempt(Some("gamma"), None, 9);
    assert!(attempt.request.body.ends_with(br#""four"}"#));
    assert_eq!(get(&attempt.request.head, "content-length"), Some("30"));
}

#[test]
fn what_the_body_says_late_reaches_the_attempt() {
    let config = two(json!({}));
    let mut first = Host::new(&config);
    first.request.head = post(CHAT, &[]);
    let step =
        first.exchange.on_request_head(&headers(&first.request.head), false, &Around::default());
    first.step(step, false);
    first.push(br#"{"model":"gamma/m","messages":[],"#, false);
    assert!(first.request.head_sent && !first.request.ended);
    let mut between = Between::new(&config, &first);
    let mut host = between.attempt(Some("gamma"), None, 1_000);
    first.notes.clear();
    first.push(br#""stream":true}"#, true);
    assert_eq!(first.notes, [(Note::Facts, "1 0 0 0   ".to_owned())]);
    between.notes.extend(first.notes.clone());
    // A stream was asked for: JSON under another label is not what is waited for.
    let chunk = br#"data: {"choices":[{"index":0,"delta":{},"finish_reason":"stop"}]}"#;
    between.answered(
        &mut host,
        &fields(&[(":status", "200"), ("content-type", "text/plain")]),
        chunk,
    );
    assert_eq!(get(&host.answer.head, "content-type"), Some("text/event-stream"));
    assert!(host.answer.body.ends_with(b"data: [DONE]\n\n"));
}

/// Values that are no UTF-8, several of them, and none: the next attempt starts from the client's own head.
#[test]
fn what_one_attempt_changes_of_a_head_is_there_again_for_the_next() {
    let mut all = json!([
        {"name": "alpha", "base_url": "https://alpha.test/openai/v1", "auth": {"key": "sk-alpha"},
         "request_headers": {
            "set": {"x-text": "alpha", "x-bytes": "alpha", "x-none": "alpha"}, "remove": ["x-many", "x-pair"]}},
        {"name": "beta", "base_url": "http://beta.test:8080"},
        {"name": "gamma", "base_url": "http://gamma.test/v1"},
    ]);
    all[2]["request_headers"] = json!({"remove": ["x-bytes"]});
    let config = two(json!({"providers": all}));
    let mut host = listener(&config, CHAT, &[("x-text", "a\tb % c")], BODY);
    let own: [(&str, &[u8]); 6] = [
        ("x-bytes", b"caf\xe9 %e9"),
        ("x-many", b"1,2"),
        ("x-many", b""),
        ("x-many", b"\xff\xfe"),
        ("x-pair", b"a=b"),
        ("x-pair", b"c=\xe9"),
    ];
    let own = own.map(|(name, value)| (name.to_owned(), value.to_vec()));
    host.request.head.extend(own.clone());
    let values = |host: &Host, wanted: &str| -> Vec<Vec<u8>> {
        let found = host.request.head.iter().filter(|(name, _)| name == wanted);
        found.map(|(_, value)| value.clone()).collect()
    };
    let mut between = Between::new(&config, &host);
    let first = between.attempt(Some("alpha"), None, 1_000);
    assert_eq!(values(&first, "x-bytes"), [b"alpha"]);
    assert!(values(&first, "x-many").is_empty() && values(&first, "x-pair").is_empty());
    let third = between.attempt(Some("gamma"), None, 1_000);
    assert!(values(&third, "x-bytes").is_empty());
    for host in [
        third,
        between.attempt(Some("beta"), None, 1_000),
        between.attempt(Some("beta"), None, 1_000),
    ] {
        for (name, _) in &own {
            if name == "x-bytes" && values(&host, "x-bytes").is_empty() {
                continue;
            }
            let want: Vec<_> =
                own.iter().filter(|own| own.0 == *name).map(|own| own.1.clone()).collect();
            assert_eq!(values(&host, name), want, "{name}");
        }
        assert_eq!(get(&host.request.head, "x-text"), Some("a\tb % c"));
        assert_eq!(get(&host.request.head, "x-none"), None);
    }
    let last = between.attempt(Some("beta"), None, 1_000);
    assert_eq!(values(&last, "x-bytes"), [b"caf\xe9 %e9"]);
}
