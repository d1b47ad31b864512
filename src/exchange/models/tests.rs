use std::sync::Arc;

use serde_json::{Value, json};

use super::call::TIMEOUT_MS;
use super::fetch::{FAILURE_MS, MAX_REMEMBERED, MAX_RUNNING};
use super::outcome::Refusal;
use super::*;
use crate::policy::ProviderId;
use crate::policy::key::VirtualKey;
use crate::repair::model_list::parse_list;
use crate::test;
use crate::wire::headers::Headers;

/// Three providers: `live` and `other` have lists of their own, `fixed` a curated one.
fn config() -> Config {
    let text = json!({
        "providers": [
            {"name": "live", "base_url": "http://live.test/api/v1", "cluster": "live_cluster", "auth": {"key": "sk-upstream-0123456789ab"}},
            {"name": "fixed", "base_url": "http://fixed.test", "models": ["m2", "m1", "org/m"]},
            {"name": "other", "base_url": "http://other.test:8000/v1"},
            {"name": "chat", "base_url": "http://chat.test", "operations": ["chat_completions"]},
        ],
        "model_aliases": {"fast": "live/small", "far": "other/x", "fixed/m1": "live/big"},
        "virtual_keys": [
            {"id": "all", "key": "vk-all"},
            {"id": "one", "key": "vk-one", "providers": ["live"]},
            {"id": "some", "key": "vk-some", "providers": ["fixed", "live"], "models_allowed": ["live/a*", "m2", "fast"],
             "model_aliases": {"mine": "fixed/m2", "hidden": "live/zzz", "fast": "live/b"}},
            {"id": "none", "key": "vk-none", "models_allowed": []},
            {"id": "curated", "key": "vk-curated", "providers": ["fixed"]},
            {"id": "mute", "key": "vk-mute", "providers": ["chat"]},
            {"id": "lone", "key": "vk-lone", "providers": ["live"], "models_allowed": ["live/a*"]},
        ],
        "models_cache_seconds": 60,
    });
    Config::from_plugin_configuration(text.to_string().as_bytes(), &|_| None).expect("valid")
}

fn key(config: &Config, id: &str) -> Arc<VirtualKey> {
    config.virtual_keys.authenticate(format!("vk-{id}").as_bytes(), || 0).expect("known")
}

fn provider(config: &Config, name: &str) -> ProviderId {
    config.providers.by_name(name).expect("known")
}

fn listed(ids: &[&str]) -> ListOutcome {
    ListOutcome::Listed(std::sync::Arc::new(
        parse_list(json!(ids).to_string().as_bytes(), 9_999).unwrap(),
    ))
}

/// An error of a provider's own.
fn own(status: u16, body: &str) -> Option<Arc<Refusal>> {
    let (answer, _) = crate::repair::error::read_http(status, None, body.as_bytes());
    Some(Arc::new(Refusal { answer, kept: Vec::new() }))
}

fn failed() -> ListOutcome {
    ListOutcome::Failed(None)
}

fn unlisted() -> ListOutcome {
    ListOutcome::Unlisted(None)
}

/// A code, or the status and words of an upstream's own error.
fn denied(denial: Denial) -> String {
    match denial {
        Denial::Own(error) => error.code.as_str().to_owned(),
        Denial::Upstreams(_, said) => {
            format!("{} {}", said.answer.status, said.answer.error.message)
        }
    }
}

/// Gives every provider that is needed its outcome, and answers. Asked for one model, providers give `model`.
fn ask_both(
    id: &str,
    want: &Want,
    outcomes: &[(&str, ListOutcome)],
    model: &ModelOutcome,
) -> Result<ModelsAnswer, String> {
    let config = config();
    let key = key(&config, id);
    let mut known = Outcomes::default();
    for _ in 0..3 {
        let questions = needed(&config, &key, want, &known);
        if questions.is_empty() {
            return answer(&config, &key, want, &known).map_err(denied);
        }
        for question in questions {
            let name = &*config.providers.get(question.provider()).unwrap().name;
            let found = || outcomes.iter().find(|(known, _)| *known == name);
            let outcome = match &question {
                ModelsQuestion::List(_) if name == "chat" => outcome::Outcome::List(unlisted()),
                ModelsQuestion::List(_) => outcome::Outcome::List(
                    found().map_or_else(failed, |(_, outcome)| outcome.clone()),
                ),
                ModelsQuestion::Model(..) => outcome::Outcome::Model(model.clone()),
            };
            known.add(&question, outcome);
        }
    }
    panic!("it asks for ever")
}

fn ask(id: &str, want: &Want, outcomes: &[(&str, ListOutcome)]) -> Result<ModelsAnswer, String> {
    ask_both(id, want, outcomes, &ModelOutcome::Unanswered)
}

fn ids(answer: &ModelsAnswer) -> Vec<String> {
    let body: Value = serde_json::from_slice(&answer.body).unwrap();
    assert_eq!(body["object"], "list");
    let data = body["data"].as_array().unwrap();
    data.iter().map(|model| model["id"].as_str().unwrap().to_owned()).collect()
}

fn list(
    id: &str,
    outcomes: &[(&str, ListOutcome)],
) -> Result<(Vec<String>, Option<String>), String> {
    ask(id, &Want::All, outcomes).map(|answer| (ids(&answer), answer.incomplete))
}

#[test]
fn a_list_is_scoped_to_the_key() {
    let lists = [("live", listed(&["a1", "b", "org/a2"])), ("other", listed(&["x"]))];
    let (ids, incomplete) = list("all", &lists).unwrap();
    assert_eq!(
        ids,
        [
            "far",
            "fast",
            "fixed/m1",
            "live/a1",
            "live/b",
            "live/org/a2",
            "fixed/m2",
            "fixed/org/m",
            "other/x"
        ]
    );
    assert_eq!(incomplete.as_deref(), Some("chat"));

    // "hidden" leads to a model that is not allowed; "fast" is allowed by name.
    let (ids, incomplete) = list("some", &lists).unwrap();
    assert_eq!(ids, ["fast", "mine", "fixed/m2", "live/a1"]);
    assert_eq!(incomplete, None);

    assert_eq!(list("none", &lists).unwrap().0, [""; 0]);
    assert_eq!(
        list("curated", &[]).unwrap(),
        (vec!["fixed/m2".to_owned(), "fixed/org/m".to_owned()], None)
    );
}

#[test]
fn an_entry_is_openai_s() {
    let live =
        br#"{"data":[{"id":"a","created":5,"owned_by":"Org","context_length":9},{"id":"b\"\\"}]}"#;
    let live = ListOutcome::Listed(std::sync::Arc::new(parse_list(live, 9_999).unwrap()));
    let answer = ask("one", &Want::All, &[("live", live)]).unwrap();
    let body: Value = serde_json::from_slice(&answer.body).unwrap();
    assert_eq!(
        body,
        json!({"object": "list", "data": [
            {"id": "fast", "object": "model", "created": 0, "owned_by": "openai-gateway-filter"},
            {"id": "fixed/m1", "object": "model", "created": 0, "owned_by": "openai-gateway-filter"},
            {"id": "live/a", "object": "model", "created": 5, "owned_by": "Org", "context_length": 9},
            {"id": "live/b\"\\", "object": "model", "created": 0, "owned_by": "live"},
        ]})
    );
}

#[test]
fn failures() {
    let good = || listed(&["a"]);
    let named = |names: &str| Ok(Some(names.to_owned()));
    let told = |text: &str| Err(text.to_owned());
    for (id, live, other, want) in [
        ("all", good(), failed(), named("other, chat")),
        ("all", failed(), failed(), named("live, other, chat")),
        ("one", failed(), good(), told("upstream_error")),
        // It has the global alias.
        ("one", unlisted(), good(), named("live")),
        ("all", unlisted(), unlisted(), named("live, other, chat")),
        ("some", failed(), good(), named("live")),
        // The only provider speaks for itself.
        (
            "one",
            ListOutcome::Failed(own(503, r#"{"error":"loading"}"#)),
            good(),
            told("503 loading"),
        ),
        (
            "one",
            ListOutcome::Failed(own(401, r#"{"detail":"bad key"}"#)),
            good(),
            told("401 Provider live refused the gateway's credential: bad key"),
        ),
        ("all", ListOutcome::Failed(own(503, "no")), good(), named("live, chat")),
        (
            "lone",
            ListOutcome::Unlisted(own(404, r#"{"detail":"Not Found"}"#)),
            good(),
            told("404 Not Found"),
        ),
        (
            "lone",
            ListOutcome::Unlisted(own(405, "")),
            good(),
            told("405 The upstream answered HTTP 405 with an empty body."),
        ),
        ("lone", unlisted(), good(), told("unknown_url")),
        // Nothing of models that the key may not use.
        (
            "lone",
            ListOutcome::Failed(own(400, r#"{"error":"No such. Available models are: a1, zz"}"#)),
            good(),
            told("400 No such. Available models are: a1"),
        ),
    ] {
        let got = list(id, &[("live", live), ("other", other)]).map(|(_, incomplete)| incomplete);
        assert_eq!(got, want, "{id}");
    }
    let mut cut = parse_list(br#"["a"]"#, 9).unwrap();
    cut.cut = true;
    let cut = ListOutcome::Listed(std::sync::Arc::new(cut));
    assert_eq!(list("one", &[("live", cut)]).unwrap().1.as_deref(), Some("live"));
}

#[test]
fn one_model() {
    let lists = [("live", listed(&["a1", "b", "org/a2", "50%"])), ("other", failed())];
    for (id, path, want) in [
        ("all", "/models/live/a1", Ok("live/a1")),
        ("all", "/models/live%2Fa1", Ok("live/a1")),
        ("all", "/models/live/org/a2", Ok("live/org/a2")),
        ("all", "/models/live%2forg%2Fa2", Ok("live/org/a2")),
        ("all", "/models/live/50%25", Ok("live/50%")),
        ("all", "/models/live/50%2525", Err("model_not_found")),
        ("all", "/models/fast", Ok("fast")),
        ("all", "/models/fixed/m2", Ok("fixed/m2")),
        ("all", "/models/fixed/missing", Err("model_not_found")),
        ("all", "/models/live/zz", Err("model_not_found")),
        ("all", "/models/nowhere", Err("model_not_found")),
        ("all", "/models/other/x", Err("upstream_error")),
        // The primary provider's own ids, as a request may use them.
        ("one", "/models/a1", Ok("a1")),
        ("one", "/models/other/x", Err("model_not_found")),
        ("one", "/models/far", Err("model_not_found")),
        ("some", "/models/live/a1", Ok("live/a1")),
        ("some", "/models/live/b", Err("model_not_found")),
        ("some", "/models/%6Cive/%62", Err("model_not_found")),
        ("some", "/models/hidden", Err("model_not_found")),
        ("some", "/models/mine", Ok("mine")),
        ("none", "/models/live/a1", Err("model_not_found")),
        ("mute", "/models/chat/x", Err("model_not_found")),
        ("all", "/models/live/%ff", Err("model_not_found")),
        ("all", "/models/live/a%0a", Err("model_not_found")),
        ("all", "/models/live/a%", Err("model_not_found")),
        ("all", "/models/live/a%+1", Err("model_not_found")),
        ("all", "/models/live/", Err("model_not_found")),
    ] {
        let got = ask(id, &Want::from_path(path), &lists).map(|answer| {
            let body: Value = serde_json::from_slice(&answer.body).unwrap();
            assert_eq!(body["object"], "model");
            body["id"].as_str().unwrap().to_owned()
        });
        assert_eq!(got, want.map(str::to_owned).map_err(str::to_owned), "{id} {path}");
    }
    assert_eq!(Want::from_path("/models"), Want::All);
    assert_eq!(Want::from_path("/models/"), Want::All);
}

#[test]
fn one_model_that_the_list_does_not_show() {
    let found = |id: &str| {
        ModelOutcome::Found(Arc::new(
            crate::repair::model_list::parse_model(
                json!({"id": id, "object": "model", "owned_by": "up"}).to_string().as_bytes(),
                id,
                9_999,
            )
            .unwrap(),
        ))
    };
    let list = || listed(&["a1", "tiny:latest"]);
    let refused = |status| ListOutcome::Failed(own(status, "no"));
    let (missing, unanswered) = (ModelOutcome::Missing, ModelOutcome::Unanswered);
    for (path, list, model, want) in [
        ("live/tiny", list(), found("tiny:latest"), Ok("live/tiny")),
        ("tiny", list(), found("tiny"), Ok("tiny")),
        ("live/new", list(), found("new"), Ok("live/new")),
        ("live/new", unlisted(), found("new"), Ok("live/new")),
        // Its list shows it: it is not asked further.
        ("live/a1", list(), missing.clone(), Ok("live/a1")),
        ("live/tiny", list(), unanswered.clone(), Ok("live/tiny")),
        ("live/tiny", list(), missing.clone(), Err("model_not_found")),
        ("live/x", list(), unanswered.clone(), Err("model_not_found")),
        ("live/x", unlisted(), unanswered.clone(), Err("model_not_found")),
        ("live/x", list(), ModelOutcome::Failed(None), Err("upstream_error")),
        ("live/x", list(), ModelOutcome::Failed(own(503, "busy")), Err("503 busy")),
        // A path that it does not know.
        ("live/x", list(), ModelOutcome::Failed(own(403, "{}")), Err("model_not_found")),
        ("live/tiny", list(), ModelOutcome::Failed(own(403, "{}")), Ok("live/tiny")),
        (
            "live/x",
            unlisted(),
            ModelOutcome::Failed(own(403, r#"{"error":"no"}"#)),
            Err("403 Provider live refused the gateway's credential: no"),
        ),
        ("live/x", failed(), found("x"), Err("upstream_error")),
        // The server refuses the list, not the model.
        ("live/x", refused(403), found("x"), Ok("live/x")),
        ("live/x", refused(400), found("x"), Ok("live/x")),
        ("live/x", refused(410), unanswered.clone(), Err("model_not_found")),
        ("live/x", refused(403), ModelOutcome::Failed(own(503, "busy")), Err("503 busy")),
        // It is down, or refuses everything.
        ("live/x", refused(500), found("x"), Err("500 no")),
        ("live/x", refused(429), found("x"), Err("429 no")),
        ("live/x", refused(408), found("x"), Err("408 no")),
        (
            "live/x",
            refused(401),
            found("x"),
            Err("401 Provider live refused the gateway's credential: no"),
        ),
        ("live/x", list(), ModelOutcome::Busy, Err("overloaded")),
        ("live/x", unlisted(), ModelOutcome::Busy, Err("overloaded")),
        ("live/tiny", list(), ModelOutcome::Busy, Ok("live/tiny")),
    ] {
        let want_path = Want::from_path(&format!("/models/{path}"));
        let got = ask_both("one", &want_path, &[("live", list)], &model).map(|answer| {
            let body: Value = serde_json::from_slice(&answer.body).unwrap();
            body["id"].as_str().unwrap().to_owned()
        });
        assert_eq!(got, want.map(str::to_owned).map_err(str::to_owned), "{path} {model:?}");
    }
    // The allowlist comes first, whatever the provider says.
    let want = Want::from_path("/models/live/tiny");
    let got = ask_both("lone", &want, &[("live", list())], &found("tiny"));
    assert_eq!(got, Err("model_not_found".to_owned()));
}

#[test]
fn only_what_is_needed_is_asked() {
    let config = config();
    let names = |id: &str, want: &str| -> Vec<&str> {
        needed(&config, &key(&config, id), &Want::from_path(want), &Outcomes::default())
            .into_iter()
            .map(|question| &*config.providers.get(question.provider()).unwrap().name)
            .collect()
    };
    assert_eq!(names("all", "/models"), ["live", "other", "chat"]);
    assert_eq!(names("curated", "/models"), [""; 0]);
    assert_eq!(names("all", "/models/other/x"), ["other"]);
    assert_eq!(names("all", "/models/fixed/m2"), [""; 0]);
    assert_eq!(names("all", "/models/fast"), [""; 0]);
    assert_eq!(names("some", "/models/live/b"), [""; 0]);
    assert_eq!(names("all", "/models/%ff"), [""; 0]);
}

/// The recorded lists, through the whole way.
#[test]
fn recorded_lists() {
    for (body, want) in [
        (
            &include_bytes!(concat!(
                env!("CARGO_MANIFEST_DIR"),
                "/tests/quirks/cases/d-llamacpp-both/upstream.body"
            ))[..],
            vec!["live/m.gguf"],
        ),
        (
            include_bytes!(concat!(
                env!("CARGO_MANIFEST_DIR"),
                "/tests/quirks/cases/d-ollama-data-null/upstream.body"
            )),
            vec![],
        ),
        (
            include_bytes!(concat!(
                env!("CARGO_MANIFEST_DIR"),
                "/tests/quirks/cases/d-ollama-tags/upstream.body"
            )),
            vec!["live/m:latest"],
        ),
        (
            include_bytes!(concat!(
                env!("CARGO_MANIFEST_DIR"),
                "/tests/quirks/cases/d-together-array/upstream.body"
            )),
            vec!["live/org/m"],
        ),
        (
            include_bytes!(concat!(
                env!("CARGO_MANIFEST_DIR"),
                "/tests/quirks/cases/d-xinference-rich/upstream.body"
            )),
            vec!["live/uid"],
        ),
    ] {
        let outcome = ListOutcome::Listed(std::sync::Arc::new(parse_list(body, 99_999).unwrap()));
        let answer = ask("one", &Want::All, &[("live", outcome)]).unwrap();
        let got = ids(&answer);
        assert_eq!(got, [vec!["fast", "fixed/m1"], want].concat());
        assert!(!String::from_utf8(answer.body).unwrap().contains("10.0.0.1"));
    }
    let many = include_bytes!(concat!(
        env!("CARGO_MANIFEST_DIR"),
        "/tests/quirks/cases/d-allowlist/upstream.body"
    ));
    assert_eq!(parse_list(many, 99_999).unwrap().models.len(), 100);
}

fn lists_of(
    fetches: &mut Fetches,
    config: &Config,
    stream: u32,
    providers: &[ProviderId],
    now: u64,
) -> FetchProgress {
    let needs = |_: &Outcomes| providers.iter().copied().map(ModelsQuestion::List).collect();
    fetches.ask(config, stream, needs, Outcomes::default(), now)
}

const NO_HEAD: &Headers = &Headers::new(Vec::new());

/// Calls that went out: their tokens follow each other.
fn send(fetches: &mut Fetches, calls: Vec<Call>, first: u32) {
    for (call, token) in calls.into_iter().zip(first..) {
        fetches.sent(call, token);
    }
}

fn said(status: u16, body: &[u8]) -> Option<CallAnswer<'_>> {
    Some(CallAnswer { status, headers: NO_HEAD, body })
}

#[test]
fn fetching_runs_once_and_everybody_waits() {
    let config = config();
    let (live, other) = (provider(&config, "live"), provider(&config, "other"));
    let mut fetches = Fetches::new();

    let FetchProgress::Wait(calls) = lists_of(&mut fetches, &config, 1, &[live, other], 1_000)
    else {
        panic!("ready")
    };
    assert_eq!(calls.len(), 2);
    assert_eq!(
        (calls[0].question().provider(), calls[0].cluster(), calls[0].timeout_ms()),
        (live, "live_cluster", TIMEOUT_MS)
    );
    assert_eq!(calls[0].path(), "/api/v1/models");
    assert_eq!(
        calls[0].headers().collect::<Vec<_>>(),
        [
            (":method", "GET"),
            (":authority", "live.test"),
            ("accept", "application/json"),
            ("authorization", "Bearer sk-upstream-0123456789ab"),
        ]
    );
    assert!(!format!("{calls:?}").contains("sk-upstream-0123456789ab"));
    send(&mut fetches, calls, 71);

    // Others wait for the same calls; one goes away.
    for stream in [2, 3] {
        let FetchProgress::Wait(calls) = lists_of(&mut fetches, &config, stream, &[live], 1_500)
        else {
            panic!("ready")
        };
        assert!(calls.is_empty());
    }
    fetches.forget(3);

    let ready = fetches.answered(71, said(200, br#"["b","a","b"]"#), 2_000).ready;
    assert_eq!(ready.iter().map(|(stream, _)| *stream).collect::<Vec<_>>(), [2]);
    assert_eq!(ready[0].1.list(live), Some(&listed(&["a", "b"])));
    // An unknown token and one that came already change nothing.
    assert!(fetches.answered(71, said(200, b"[]"), 2_000).ready.is_empty());
    assert!(fetches.answered(99, None, 2_000).ready.is_empty());

    let ready = fetches.answered(72, None, 3_000).ready;
    assert_eq!(ready.len(), 1);
    assert_eq!((ready[0].0, ready[0].1.list(live)), (1, Some(&listed(&["a", "b"]))));
    assert_eq!(ready[0].1.list(other), Some(&failed()));

    // Within the time no call is made; a failure is kept for less.
    let FetchProgress::Ready(got) = lists_of(&mut fetches, &config, 4, &[live, other], 3_999)
    else {
        panic!("waits")
    };
    assert_eq!(got.list(other), Some(&failed()));
    let FetchProgress::Wait(mut calls) = lists_of(&mut fetches, &config, 5, &[live, other], 4_000)
    else {
        panic!("ready")
    };
    assert_eq!(calls.iter().map(|call| call.question().provider()).collect::<Vec<_>>(), [other]);
    let ready = fetches.not_sent(calls.remove(0), 4_000);
    assert_eq!(ready.len(), 1);
    assert_eq!(ready[0].1.list(other), Some(&failed()));

    let FetchProgress::Ready(_) = lists_of(&mut fetches, &config, 6, &[live], 61_999) else {
        panic!("waits")
    };
    let FetchProgress::Wait(_) = lists_of(&mut fetches, &config, 7, &[live], 62_000) else {
        panic!("ready")
    };
}

#[test]
fn answers_of_all_kinds() {
    let config = config();
    let live = provider(&config, "live");
    for (answer, want) in [
        (said(200, b"[]"), listed(&[])),
        (said(200, b"<html>"), failed()),
        (
            said(200, br#"{"error":{"message":"no"}}"#),
            ListOutcome::Failed(own(502, r#"{"error":{"message":"no"}}"#)),
        ),
        (
            said(200, br#"{"error":{"message":"no","code":404}}"#),
            ListOutcome::Unlisted(own(404, r#"{"error":{"message":"no","code":404}}"#)),
        ),
        (said(307, b""), failed()),
        (said(404, b""), ListOutcome::Unlisted(own(404, ""))),
        (said(405, b""), ListOutcome::Unlisted(own(405, ""))),
        (said(401, b"[]"), ListOutcome::Failed(own(401, "[]"))),
        (said(504, b"upstream request timeout"), failed()),
        (said(504, b"late"), ListOutcome::Failed(own(504, "late"))),
        (None, failed()),
    ] {
        let mut fetches = Fetches::new();
        let FetchProgress::Wait(calls) = lists_of(&mut fetches, &config, 1, &[live], 0) else {
            panic!("ready")
        };
        send(&mut fetches, calls, 1);
        let ready = fetches.answered(1, answer, 0).ready;
        assert_eq!(ready[0].1.list(live), Some(&want), "{answer:?}");
    }

    let chat = provider(&config, "chat");
    let FetchProgress::Ready(got) = lists_of(&mut Fetches::new(), &config, 1, &[chat], 0) else {
        panic!("waits")
    };
    assert_eq!(got.list(chat), Some(&unlisted()));
    let FetchProgress::Ready(got) = lists_of(&mut Fetches::new(), &config, 1, &[], 0) else {
        panic!("waits")
    };
    assert_eq!(got, Outcomes::default());
}

#[test]
fn answers_about_one_model() {
    let config = config();
    let live = provider(&config, "live");
    let id = |outcome: &ModelOutcome| match outcome {
        ModelOutcome::Found(model) => format!("found {}", model.id),
        ModelOutcome::Missing => "missing".to_owned(),
        ModelOutcome::Unanswered => "unanswered".to_owned(),
        ModelOutcome::Failed(_) => "failed".to_owned(),
        ModelOutcome::Busy => "busy".to_owned(),
    };
    for (status, body, want) in [
        (
            200,
            r#"{"id":"o/tiny","object":"model","created":1,"owned_by":"library"}"#,
            "found o/tiny",
        ),
        (200, r#"{"id":"o/tiny:latest","object":"model"}"#, "found o/tiny:latest"),
        (200, r#"{"data":{"id":"o/tiny"}}"#, "found o/tiny"),
        (200, r#"{"code":0,"data":{"model":{"name":"o/tiny"}}}"#, "found o/tiny"),
        (200, r#"{"type":"model","id":"claude","display_name":"Claude"}"#, "found claude"),
        (200, r#"{"id":"o/tiny","object":"model","created":NaN}"#, "found o/tiny"),
        (200, r#"{"object":"list","data":[{"id":"x"},{"id":"o/tiny"}]}"#, "found o/tiny"),
        (200, r#"{"object":"list","data":[{"id":"x"}]}"#, "unanswered"),
        (200, r#"{"id":"req-1","status":"ok"}"#, "unanswered"),
        (
            200,
            r#"{"error":"Unexpected endpoint or method. (GET /v1/models/o%2Ftiny)"}"#,
            "unanswered",
        ),
        (200, r#"{"error":{"message":"model o/tiny not found"}}"#, "missing"),
        (200, "<html></html>", "unanswered"),
        (200, "", "unanswered"),
        (404, r#"{"detail":"Not Found"}"#, "unanswered"),
        (404, r#"{"error":{"message":"model 'o/tiny' not found"}}"#, "missing"),
        (405, "", "unanswered"),
        (501, "", "unanswered"),
        (403, "", "failed"),
        (500, "", "failed"),
        (302, "", "failed"),
    ] {
        let mut fetches = Fetches::new();
        let question = ModelsQuestion::Model(live, "o/tiny".into());
        let needs = |_: &Outcomes| vec![question.clone()];
        let FetchProgress::Wait(calls) = fetches.ask(&config, 1, needs, Outcomes::default(), 0)
        else {
            panic!("ready")
        };
        assert_eq!(calls[0].path(), "/api/v1/models/o%2Ftiny");
        send(&mut fetches, calls, 1);
        // Who asks at the same time waits for the same call.
        let FetchProgress::Wait(calls) = fetches.ask(&config, 2, needs, Outcomes::default(), 0)
        else {
            panic!("ready")
        };
        assert!(calls.is_empty());
        let ready = fetches.answered(1, said(status, body.as_bytes()), 0).ready;
        assert_eq!(ready.len(), 2);
        assert_eq!(id(ready[0].1.model(live).unwrap()), want, "{status} {body}");
        // A model is not kept; that there is none costs no second call for a while.
        let again = fetches.ask(&config, 3, needs, Outcomes::default(), FAILURE_MS - 1);
        match again {
            FetchProgress::Wait(mut calls) => {
                assert!(calls.len() == 1 && want.starts_with("found"), "{want}");
                assert!(fetches.not_sent(calls.remove(0), FAILURE_MS - 1).len() == 1);
            }
            FetchProgress::Ready(got) => assert_eq!(id(got.model(live).unwrap()), want),
        }
        let later = fetches.ask(&config, 4, needs, Outcomes::default(), 3 * FAILURE_MS);
        assert!(matches!(later, FetchProgress::Wait(calls) if calls.len() == 1));
    }
}

/// Whatever names a client makes up, few calls run for them at a time, and the same name makes one.
#[test]
fn models_that_are_not_there_make_few_calls() {
    let config = config();
    let (live, other) = (provider(&config, "live"), provider(&config, "other"));
    let mut fetches = Fetches::new();
    let ask = |fetches: &mut Fetches, provider, id: &str, now| {
        let question = ModelsQuestion::Model(provider, id.into());
        match fetches.ask(&config, 1, |_| vec![question.clone()], Outcomes::default(), now) {
            FetchProgress::Wait(calls) => Err(calls),
            FetchProgress::Ready(got) => Ok(got.model(provider).cloned().unwrap()),
        }
    };
    let asked = |fetches: &mut Fetches, provider, id: &str, now| {
        ask(fetches, provider, id, now).map_err(|calls| calls.len())
    };
    for number in 0..MAX_RUNNING {
        let calls = ask(&mut fetches, live, &format!("m{number}"), 0).unwrap_err();
        assert_eq!(calls.len(), 1);
        send(&mut fetches, calls, number as u32);
    }
    assert_eq!(asked(&mut fetches, live, "one-more", 0), Ok(ModelOutcome::Busy));
    assert_eq!(asked(&mut fetches, live, "m3", 0), Err(0), "it waits for the call that runs");
    assert_eq!(asked(&mut fetches, other, "one-more", 0), Err(1), "each provider by itself");

    assert_eq!(fetches.answered(0, said(404, b"{}"), 0).ready.len(), 1);
    assert_eq!(asked(&mut fetches, live, "m0", FAILURE_MS - 1), Ok(ModelOutcome::Unanswered));
    let mut calls = ask(&mut fetches, live, "one-more", 0).unwrap_err();
    assert_eq!(calls.len(), 1, "one has come back");
    assert_eq!(asked(&mut fetches, live, "m0", FAILURE_MS), Ok(ModelOutcome::Busy), "forgotten");
    fetches.not_sent(calls.remove(0), FAILURE_MS);

    // The oldest goes.
    for number in 0..=MAX_REMEMBERED {
        let mut calls = ask(&mut fetches, live, &format!("n{number}"), FAILURE_MS).unwrap_err();
        assert_eq!(calls.len(), 1);
        fetches.not_sent(calls.remove(0), FAILURE_MS);
    }
    let is_kept = Ok(ModelOutcome::Failed(None));
    assert_eq!(asked(&mut fetches, live, "n1", FAILURE_MS), is_kept);
    assert_eq!(asked(&mut fetches, live, "n0", FAILURE_MS), Err(1));
}

/// What a provider says itself is told as each other error of it is: without its key, with its limits.
#[test]
fn a_providers_own_words_and_head() {
    let config = config();
    let reply = |want: Want, status: u16, fields: &[(&str, &[u8])], body: &str| {
        let query = ModelsQuery {
            key: key(&config, "lone"),
            want,
            style: ListStyle::Openai,
            request_id: None,
        };
        let mut fetches = Fetches::new();
        let mut got = Outcomes::default();
        let head = Headers::from_pairs(fields);
        for token in 1..4 {
            let needs = |known: &Outcomes| query.needed(&config, known);
            match fetches.ask(&config, 1, needs, got, 0) {
                FetchProgress::Ready(outcomes) => return query.reply(&config, &outcomes),
                FetchProgress::Wait(mut calls) => {
                    fetches.sent(calls.remove(0), token);
                    let answer = CallAnswer { status, headers: &head, body: body.as_bytes() };
                    got = fetches.answered(token, Some(answer), 0).ready.remove(0).1;
                }
            }
        }
        panic!("it asks for ever")
    };
    let fields: [(&str, &[u8]); 7] = [
        ("retry-after", b"7 sk-upstream-0123456789ab"),
        ("retry-after-ms", b"7000"),
        ("x-should-retry", b"true"),
        ("x-ratelimit-limit-requests", b"sk%2dupstream-0123456789ab"),
        ("ratelimit-reset", b"9"),
        ("x-secret", b"sk-upstream-0123456789ab"),
        ("set-cookie", b"a=b"),
    ];
    for key in [
        "sk-upstream-0123456789ab",
        "s k - u p s t r e a m - 0 1 2 3 4 5 6 7 8 9 a b",
        r"sk\u002dupstream-0123456789ab",
        r"sk\\-upstream-0123456789ab",
        "sk&#45;upstream-0123456789ab",
        "ba9876543210-maertspu-ks",
    ] {
        let words =
            format!(r#"{{"error":{{"message":"for {key}: no","code":"{key}","at":"{key}"}}}}"#);
        for want in [Want::All, Want::One("a".to_owned())] {
            for status in [400, 403, 429, 500, 200] {
                let reply = reply(want.clone(), status, &fields, &words);
                let body = String::from_utf8(reply.body).unwrap();
                assert!(body.contains("[redacted]") || status == 200, "{key} {status} {body}");
                for left in ["upstream", "u p s t", "maerts"] {
                    assert!(!body.contains(left), "{key} {status} {body}");
                }
                if !body.contains("for ") {
                    continue;
                }
                let of = |name: &str| {
                    let found = reply.headers.iter().find(|(known, _)| known == name);
                    found.map(|(_, value)| value.as_str())
                };
                assert_eq!(of("retry-after"), Some("7 [redacted]"), "{status}");
                assert_eq!(of("retry-after-ms"), Some("7000"));
                assert_eq!(of("x-should-retry"), Some("true"));
                assert_eq!(of("x-ratelimit-limit-requests"), Some("[redacted]"));
                assert_eq!(of("ratelimit-reset"), Some("9"));
                assert_eq!((of("x-secret"), of("set-cookie")), (None, None));
            }
        }
    }
    // The gateway's own limit says when to come again.
    let query = ModelsQuery {
        key: key(&config, "lone"),
        want: Want::One("a".to_owned()),
        style: ListStyle::Openai,
        request_id: None,
    };
    let live = provider(&config, "live");
    let mut known = Outcomes::from_iter([(live, unlisted())]);
    let question = ModelsQuestion::Model(live, "a".into());
    known.add(&question, outcome::Outcome::Model(ModelOutcome::Busy));
    let reply = query.reply(&config, &known);
    assert_eq!(reply.status, 503);
    assert!(reply.headers.iter().any(|(name, value)| name == "retry-after" && value == "1"));
}
