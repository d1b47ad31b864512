//! Recorded quirks of real servers, categories B (errors) and C (embeddings), through the pure
//! normalisers. The whole module in a real Envoy is tested elsewhere; here a failure names the rule.
#![cfg(not(target_arch = "wasm32"))]
// A test says by its panic what is wrong with its data.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, clippy::panic)]

use std::path::PathBuf;

use openai_gateway_filter::error::ErrorAnswer;
use openai_gateway_filter::policy::operation::Operation;
use openai_gateway_filter::repair::chat::{Api, RequestFacts, completion};
use openai_gateway_filter::repair::drift::trim_drift;
use openai_gateway_filter::repair::embeddings::{
    self, EmbeddingsFacts, Format, Recogniser, Recognition,
};
use openai_gateway_filter::repair::error::{from_ok, read_http};
use openai_gateway_filter::repair::mend::{Infinite, mend};
use serde_json::Value;

struct Case {
    id: String,
    meta: Value,
    body: Vec<u8>,
}

fn cases(category: &str) -> Vec<Case> {
    let dir = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/quirks/cases");
    let pending = std::fs::read_to_string(dir.join("../pending.txt")).unwrap();
    let mut cases: Vec<Case> = std::fs::read_dir(dir)
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .filter(|path| path.file_name().unwrap().to_str().unwrap().starts_with(category))
        .filter(|path| !pending.lines().any(|id| path.ends_with(id)))
        .map(|path| Case {
            id: path.file_name().unwrap().to_str().unwrap().to_owned(),
            meta: serde_json::from_slice(&std::fs::read(path.join("meta.json")).unwrap()).unwrap(),
            body: std::fs::read(path.join("upstream.body")).unwrap(),
        })
        .collect();
    cases.sort_by(|a, b| a.id.cmp(&b.id));
    assert!(!cases.is_empty(), "no cases of {category}");
    cases
}

/// What the client gets: a status and a JSON body.
struct Outcome {
    status: u16,
    body: Value,
}

impl From<ErrorAnswer> for Outcome {
    fn from(answer: ErrorAnswer) -> Self {
        let body = serde_json::from_slice(&answer.error.to_envelope()).unwrap();
        Self { status: answer.status, body }
    }
}

fn normalise_errors(case: &Case) -> Outcome {
    let upstream = &case.meta["upstream"];
    let status = u16::try_from(upstream["status"].as_u64().unwrap()).unwrap();
    let content_type = upstream["headers"]["content-type"].as_str().map(str::as_bytes);
    let path = case.meta["request"]["path"].as_str().unwrap();
    if status < 400 && path.ends_with("/completions") {
        let api = if path.contains("/chat/") { Api::Chat } else { Api::Completions };
        return match completion::answer(api, &case.body, RequestFacts::default(), 1 << 20) {
            Ok(answer) => Outcome { status, body: serde_json::from_slice(&answer.body).unwrap() },
            Err(answer) => (*answer).into(),
        };
    }
    let rewritten = if status >= 400 {
        from_http(status, content_type, &case.body)
    } else {
        from_ok(Operation::ChatCompletions, &case.body)
    };
    match rewritten {
        Some(answer) => answer.into(),
        None => {
            let json = &case.body[trim_drift(&case.body)];
            let mended = mend(json, Infinite::Logprob);
            let body = serde_json::from_slice(mended.as_deref().unwrap_or(json)).unwrap();
            Outcome { status, body }
        }
    }
}

/// Checks `outcome` against one expected answer; says what differs.
/// `by_parts`: a message tells what must stand in it, not all of it (cases of the second day).
fn differs(expected: &Value, by_parts: bool, outcome: &Outcome) -> Option<String> {
    let status = u64::from(outcome.status);
    let alternatives = expected["status_alternatives"].as_array().cloned().unwrap_or_default();
    if expected["status"] != status && !alternatives.contains(&status.into()) {
        return Some(format!("status {status}, not {}", expected["status"]));
    }
    match expected["kind"].as_str() {
        Some("json_error") => error_differs(&expected["error"], by_parts, &outcome.body),
        Some("json") => subset_differs(&expected["body_subset"], &outcome.body)
            .or_else(|| subset_differs(&expected["usage"], &outcome.body["usage"])),
        other => Some(format!("unknown kind {other:?}")),
    }
}

fn error_differs(expected: &Value, by_parts: bool, body: &Value) -> Option<String> {
    let error = &body["error"];
    let shape = error["message"].as_str().is_some_and(|message| !message.is_empty())
        && error["type"].as_str().is_some_and(|kind| !kind.is_empty())
        && (error["param"].is_null() || error["param"].is_string())
        && matches!(error["code"], Value::Null | Value::String(_))
        && error.get("param").is_some()
        && error.get("code").is_some();
    if !shape || body.as_object().unwrap().len() != 1 {
        return Some(format!("not the envelope: {body}"));
    }
    let loose = |value: &Value| value.as_str().map_or_else(|| value.to_string(), str::to_owned);
    for (name, want) in expected.as_object().unwrap() {
        let said = error[name].as_str().unwrap_or_default();
        let generic = name == "message"
            && want.as_str().is_some_and(|want| {
                want.starts_with("<generic:") || (by_parts && said.contains(want))
            });
        if !want.is_null() && !generic && loose(want) != loose(&error[name]) {
            return Some(format!("error.{name} {}, not {want}", error[name]));
        }
    }
    None
}

/// Whether `expected` is not contained in `given`: objects member by member, lists one to one.
fn subset_differs(expected: &Value, given: &Value) -> Option<String> {
    match (expected, given) {
        (Value::Null, _) => None,
        (Value::Object(want), Value::Object(have)) => want
            .iter()
            .find_map(|(name, want)| {
                let have = have.get(name)?;
                subset_differs(want, have)
            })
            .or_else(|| {
                want.keys()
                    .find(|name| !have.contains_key(*name))
                    .map(|name| format!("no {name} in {given}"))
            }),
        (Value::Array(want), Value::Array(have)) if want.len() == have.len() => {
            want.iter().zip(have).find_map(|(want, have)| subset_differs(want, have))
        }
        (Value::Number(want), Value::Number(have)) if want.as_f64() == have.as_f64() => None,
        _ if expected == given => None,
        _ => Some(format!("{given}, not {expected}")),
    }
}

fn check(case: &Case, outcome: &Outcome, failures: &mut Vec<String>) {
    let expected = &case.meta["expected"];
    let allowed = expected["one_of"].as_array().cloned().unwrap_or_else(|| vec![expected.clone()]);
    let by_parts = case.meta.get("tier").is_some();
    let found: Vec<String> =
        allowed.iter().filter_map(|one| differs(one, by_parts, outcome)).collect();
    if found.len() == allowed.len() {
        failures.push(format!("{}: {}", case.id, found.join(" / ")));
    }
}

#[test]
fn errors() {
    let mut failures = Vec::new();
    // What audio may be is for its readers to say, on a real Envoy.
    let is_chat = |case: &Case| !case.meta["request"]["path"].as_str().unwrap().contains("/audio/");
    for case in cases("b-").into_iter().filter(is_chat) {
        check(&case, &normalise_errors(&case), &mut failures);
    }
    assert!(failures.is_empty(), "{}", failures.join("\n"));
}

/// What an error body leaves as, if not as it came.
fn from_http(status: u16, content_type: Option<&[u8]>, body: &[u8]) -> Option<ErrorAnswer> {
    let (answer, is_canonical) = read_http(status, content_type, body);
    (!is_canonical).then_some(answer)
}

#[test]
fn normalising_an_error_twice_changes_nothing() {
    for case in cases("b-") {
        let Some(status) = case.meta["upstream"]["status"].as_u64().filter(|status| *status >= 400)
        else {
            continue;
        };
        let status = u16::try_from(status).unwrap();
        if let Some(answer) = from_http(status, None, &case.body) {
            let again = from_http(answer.status, None, &answer.error.to_envelope());
            assert_eq!(again, None, "{}", case.id);
        }
    }
}

/// What `input` of a request counts.
fn facts(request: &Value) -> EmbeddingsFacts {
    let inputs = match &request["input"] {
        Value::Array(items) if items.iter().all(Value::is_number) => 1,
        Value::Array(items) => items.len(),
        _ => 1,
    };
    let base64 = request["encoding_format"] == "base64";
    EmbeddingsFacts {
        inputs: Some(inputs),
        format: if base64 { Format::Base64 } else { Format::Float },
        model: request["model"].as_str().unwrap_or_default().to_owned(),
    }
}

#[test]
fn embeddings() {
    let mut failures = Vec::new();
    for case in cases("c-") {
        let facts = facts(&case.meta["request"]["body"]);
        let outcome = match embeddings::answer(&case.body, &facts) {
            Ok(body) => Outcome { status: 200, body: serde_json::from_slice(&body).unwrap() },
            Err(answer) => (*answer).into(),
        };
        check(&case, &outcome, &mut failures);
    }
    assert!(failures.is_empty(), "{}", failures.join("\n"));
}

#[test]
fn small_embeddings_are_always_checked_as_a_whole() {
    for case in cases("c-") {
        let verdict = Recogniser::new(&facts(&case.meta["request"]["body"])).push(&case.body);
        assert!(matches!(verdict, Recognition::Undecided | Recognition::Hold), "{}", case.id);
    }
}

#[test]
fn the_same_vectors_come_as_base64_when_that_was_asked() {
    for case in cases("c-") {
        let facts = facts(&case.meta["request"]["body"]);
        let base64 = EmbeddingsFacts { format: Format::Base64, ..facts.clone() };
        let float = embeddings::answer(&case.body, &facts);
        let Ok(body) = embeddings::answer(&case.body, &base64) else {
            assert!(float.is_err(), "{}", case.id);
            continue;
        };
        let back = embeddings::answer(&body, &facts).unwrap();
        let data = |body: &[u8]| serde_json::from_slice::<Value>(body).unwrap()["data"].clone();
        assert_eq!(data(&back), data(&float.unwrap()), "{}", case.id);
    }
}
