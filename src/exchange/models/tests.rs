use std::sync::Arc;

use serde_json::{Value, json};

use super::fetch::TIMEOUT_MS;
use super::*;
use crate::error::Code;
use crate::policy::key::VirtualKey;
use crate::policy::{Config, ProviderId};
use crate::repair::model_list::parse_list;
use crate::test;

/// Three providers: `live` and `other` have lists of their own, `fixed` a curated one.
fn config() -> Config {
    let text = json!({
        "providers": [
            {"name": "live", "base_url": "http://live.test/api/v1", "cluster": "live_cluster", "auth": {"key": "sk-upstream"}},
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

/// Gives every provider that is needed its outcome, and answers.
fn ask(id: &str, want: &Want, outcomes: &[(&str, ListOutcome)]) -> Result<ModelsAnswer, Code> {
    let config = config();
    let key = key(&config, id);
    let lists = needed(&config, &key, want).into_iter().filter_map(|id| {
        let name = &*config.providers.get(id)?.name;
        if name == "chat" {
            return Some((id, ListOutcome::Unlisted));
        }
        let (_, outcome) = outcomes.iter().find(|(known, _)| *known == name)?;
        Some((id, outcome.clone()))
    });
    answer(&config, &key, want, &lists.collect()).map_err(|error| error.code)
}

fn ids(answer: &ModelsAnswer) -> Vec<String> {
    let body: Value = serde_json::from_slice(&answer.body).unwrap();
    assert_eq!(body["object"], "list");
    let data = body["data"].as_array().unwrap();
    data.iter().map(|model| model["id"].as_str().unwrap().to_owned()).collect()
}

fn list(id: &str, outcomes: &[(&str, ListOutcome)]) -> Result<(Vec<String>, Option<String>), Code> {
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
    for (id, live, other, want) in [
        ("all", good(), ListOutcome::Failed, Ok(Some("other, chat"))),
        ("all", ListOutcome::Failed, ListOutcome::Failed, Ok(Some("live, other, chat"))),
        ("one", ListOutcome::Failed, good(), Err(Code::UpstreamError)),
        // It has the global alias.
        ("one", ListOutcome::Unlisted, good(), Ok(Some("live"))),
        ("all", ListOutcome::Unlisted, ListOutcome::Unlisted, Ok(Some("live, other, chat"))),
        ("some", ListOutcome::Failed, good(), Ok(Some("live"))),
    ] {
        let got = list(id, &[("live", live), ("other", other)]).map(|(_, incomplete)| incomplete);
        assert_eq!(got, want.map(|names| names.map(str::to_owned)), "{id}");
    }
    let mut cut = parse_list(br#"["a"]"#, 9).unwrap();
    cut.cut = true;
    let cut = ListOutcome::Listed(std::sync::Arc::new(cut));
    assert_eq!(list("one", &[("live", cut)]).unwrap().1.as_deref(), Some("live"));
}

#[test]
fn one_model() {
    let lists = [("live", listed(&["a1", "b", "org/a2", "50%"])), ("other", ListOutcome::Failed)];
    for (id, path, want) in [
        ("all", "/models/live/a1", Ok("live/a1")),
        ("all", "/models/live%2Fa1", Ok("live/a1")),
        ("all", "/models/live/org/a2", Ok("live/org/a2")),
        ("all", "/models/live%2forg%2Fa2", Ok("live/org/a2")),
        ("all", "/models/live/50%25", Ok("live/50%")),
        ("all", "/models/live/50%2525", Err(Code::ModelNotFound)),
        ("all", "/models/fast", Ok("fast")),
        ("all", "/models/fixed/m2", Ok("fixed/m2")),
        ("all", "/models/fixed/missing", Err(Code::ModelNotFound)),
        ("all", "/models/live/zz", Err(Code::ModelNotFound)),
        ("all", "/models/nowhere", Err(Code::ModelNotFound)),
        ("all", "/models/other/x", Err(Code::UpstreamError)),
        // The primary provider's own ids, as a request may use them.
        ("one", "/models/a1", Ok("a1")),
        ("one", "/models/other/x", Err(Code::ModelNotFound)),
        ("one", "/models/far", Err(Code::ModelNotFound)),
        ("some", "/models/live/a1", Ok("live/a1")),
        ("some", "/models/live/b", Err(Code::ModelNotFound)),
        ("some", "/models/%6Cive/%62", Err(Code::ModelNotFound)),
        ("some", "/models/hidden", Err(Code::ModelNotFound)),
        ("some", "/models/mine", Ok("mine")),
        ("none", "/models/live/a1", Err(Code::ModelNotFound)),
        ("mute", "/models/chat/x", Err(Code::ModelNotFound)),
        ("all", "/models/live/%ff", Err(Code::ModelNotFound)),
        ("all", "/models/live/a%0a", Err(Code::ModelNotFound)),
        ("all", "/models/live/a%", Err(Code::ModelNotFound)),
        ("all", "/models/live/a%+1", Err(Code::ModelNotFound)),
        ("all", "/models/live/", Err(Code::ModelNotFound)),
    ] {
        let got = ask(id, &Want::from_path(path), &lists).map(|answer| {
            let body: Value = serde_json::from_slice(&answer.body).unwrap();
            assert_eq!(body["object"], "model");
            body["id"].as_str().unwrap().to_owned()
        });
        assert_eq!(got, want.map(str::to_owned), "{id} {path}");
    }
    assert_eq!(Want::from_path("/models"), Want::All);
    assert_eq!(Want::from_path("/models/"), Want::All);
}

#[test]
fn only_what_is_needed_is_asked() {
    let config = config();
    let names = |id: &str, want: &str| -> Vec<&str> {
        needed(&config, &key(&config, id), &Want::from_path(want))
            .into_iter()
            .map(|id| &*config.providers.get(id).unwrap().name)
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

#[test]
fn fetching_runs_once_and_everybody_waits() {
    let config = config();
    let (live, other) = (provider(&config, "live"), provider(&config, "other"));
    let mut fetches = Fetches::new();

    let FetchProgress::Wait(calls) = fetches.ask(&config, 1, &[live, other], 1_000) else {
        panic!("ready")
    };
    assert_eq!(calls.len(), 2);
    assert_eq!(
        (calls[0].id, calls[0].cluster, calls[0].timeout_ms),
        (live, "live_cluster", TIMEOUT_MS)
    );
    assert_eq!(
        calls[0].headers(),
        [
            (":method", "GET"),
            (":path", "/api/v1/models"),
            (":authority", "live.test"),
            ("accept", "application/json"),
            ("authorization", "Bearer sk-upstream"),
        ]
    );
    assert!(!format!("{calls:?}").contains("sk-upstream"));
    fetches.sent(live, 71);
    fetches.sent(other, 72);

    // Others wait for the same calls; one goes away.
    for stream in [2, 3] {
        let FetchProgress::Wait(calls) = fetches.ask(&config, stream, &[live], 1_500) else {
            panic!("ready")
        };
        assert!(calls.is_empty());
    }
    fetches.forget(3);

    let ready = fetches.answered(71, Some((200, br#"["b","a","b"]"#)), 2_000);
    assert_eq!(ready.iter().map(|(stream, _)| *stream).collect::<Vec<_>>(), [2]);
    assert_eq!(ready[0].1.get(live), Some(&listed(&["a", "b"])));
    // An unknown token and one that came already change nothing.
    assert!(fetches.answered(71, Some((200, b"[]")), 2_000).is_empty());
    assert!(fetches.answered(99, None, 2_000).is_empty());

    let ready = fetches.answered(72, None, 3_000);
    assert_eq!(ready.len(), 1);
    assert_eq!((ready[0].0, ready[0].1.get(live)), (1, Some(&listed(&["a", "b"]))));
    assert_eq!(ready[0].1.get(other), Some(&ListOutcome::Failed));

    // Within the time no call is made; a failure is kept for less.
    let FetchProgress::Ready(got) = fetches.ask(&config, 4, &[live, other], 3_999) else {
        panic!("waits")
    };
    assert_eq!(got.get(other), Some(&ListOutcome::Failed));
    let FetchProgress::Wait(calls) = fetches.ask(&config, 5, &[live, other], 4_000) else {
        panic!("ready")
    };
    assert_eq!(calls.iter().map(|call| call.id).collect::<Vec<_>>(), [other]);
    let ready = fetches.not_sent(other, 4_000);
    assert_eq!(ready.len(), 1);
    assert_eq!(ready[0].1.get(other), Some(&ListOutcome::Failed));

    let FetchProgress::Ready(_) = fetches.ask(&config, 6, &[live], 61_999) else { panic!("waits") };
    let FetchProgress::Wait(_) = fetches.ask(&config, 7, &[live], 62_000) else { panic!("ready") };
}

#[test]
fn answers_of_all_kinds() {
    let config = config();
    let live = provider(&config, "live");
    for (answer, want) in [
        (Some((200, &b"[]"[..])), listed(&[])),
        (Some((200, b"<html>")), ListOutcome::Failed),
        (Some((200, br#"{"error":{"message":"no"}}"#)), ListOutcome::Failed),
        (Some((404, b"")), ListOutcome::Unlisted),
        (Some((405, b"")), ListOutcome::Unlisted),
        (Some((401, b"[]")), ListOutcome::Failed),
        (Some((504, b"upstream request timeout")), ListOutcome::Failed),
        (None, ListOutcome::Failed),
    ] {
        let mut fetches = Fetches::new();
        let FetchProgress::Wait(_) = fetches.ask(&config, 1, &[live], 0) else { panic!("ready") };
        fetches.sent(live, 1);
        let ready = fetches.answered(1, answer, 0);
        assert_eq!(ready[0].1.get(live), Some(&want), "{answer:?}");
    }

    let chat = provider(&config, "chat");
    let FetchProgress::Ready(got) = Fetches::new().ask(&config, 1, &[chat], 0) else {
        panic!("waits")
    };
    assert_eq!(got.get(chat), Some(&ListOutcome::Unlisted));
    let FetchProgress::Ready(got) = Fetches::new().ask(&config, 1, &[], 0) else { panic!("waits") };
    assert_eq!(got, ListOutcomes::default());
}
