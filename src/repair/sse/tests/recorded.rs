//! Streams that real servers sent (`tests/quirks`).

use super::*;

pub(super) struct Case {
    id: String,
    meta: Value,
    pub(super) body: Vec<u8>,
}

impl Case {
    pub(super) fn asked_for_stream(&self) -> bool {
        self.meta["request"]["body"]["stream"] == true
    }

    pub(super) fn kind(&self) -> StreamKind {
        match self.meta["request"]["path"].as_str().unwrap() {
            "/v1/completions" => StreamKind::Completions,
            _ => StreamKind::Chat,
        }
    }

    pub(super) fn end(&self) -> StreamEnd {
        if self.meta["upstream"]["close"] == "reset" { StreamEnd::Reset } else { StreamEnd::Clean }
    }

    pub(super) fn options(&self) -> Options {
        let body = &self.meta["request"]["body"];
        let request = RequestFacts {
            choices: body["n"].as_u64().unwrap_or(1),
            wants_usage: body["stream_options"]["include_usage"] == true,
            names_tool: body["tool_choice"].is_object(),
        };
        Options { request, ..options(self.kind()) }
    }

    pub(super) fn is_compressed(&self) -> bool {
        self.meta["upstream"]["headers"].get("content-encoding").is_some()
    }
}

/// Whether a case is not handled yet (`tests/quirks/pending.txt`).
fn is_pending(id: &str) -> bool {
    let list = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/quirks/pending.txt");
    std::fs::read_to_string(list).unwrap().lines().any(|line| line == id)
}

pub(super) fn cases() -> Vec<Case> {
    let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/quirks/cases");
    let mut found: Vec<_> = std::fs::read_dir(folder)
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .filter_map(|path| {
            let id = path.file_name()?.to_str()?.to_owned();
            let meta: Value =
                serde_json::from_slice(&std::fs::read(path.join("meta.json")).unwrap()).unwrap();
            (meta["category"] == "A" && !is_pending(&id)).then(|| Case {
                id,
                meta,
                body: std::fs::read(path.join("upstream.body")).unwrap(),
            })
        })
        .collect();
    found.sort_by(|a, b| a.id.cmp(&b.id));
    found
}

/// Why an outcome is not the expected one.
fn mismatch(expected: &Value, by_parts: bool, out: &[u8], head: &StreamHead) -> Option<String> {
    let wrong = |what: &str, got: String| Some(format!("{what}: {got}"));
    let message_fits = |want: &Value, got: &Value| {
        let want = want["message"].as_str().unwrap();
        // Of the second day's cases a message tells what must stand in it, not all of it.
        let got = got["message"].as_str().unwrap();
        want.starts_with("<generic") || got == want || (by_parts && got.contains(want))
    };
    if let StreamHead::Error(answer) = head {
        let body: Value = serde_json::from_slice(&answer.error.to_envelope()).unwrap();
        // The first event was an error: a status instead of the event.
        let is_error = expected["error"].is_object();
        if !is_error || !message_fits(&expected["error"], &body["error"]) {
            return wrong("error", body.to_string());
        }
        if expected["kind"] == "json_error" && expected["status"] != answer.status {
            return wrong("status", answer.status.to_string());
        }
        for member in ["type", "code"] {
            let want = &expected["error"][member];
            if !want.is_null() && *want != body["error"][member] {
                return wrong(member, body.to_string());
            }
        }
        return None;
    }
    if expected["kind"] != "sse" {
        return wrong("kind", "a stream".to_owned());
    }
    let got = read(out);
    let text = expected["text"].as_str().unwrap();
    let text_fits = match expected["text_len"].as_u64() {
        Some(len) => got.text.len() as u64 == len,
        None => got.text == text,
    };
    if !text_fits {
        return wrong("text", got.text);
    }
    if expected["finish_reason"].as_str() != got.finish.as_deref() {
        return wrong("finish_reason", format!("{:?}", got.finish));
    }
    match (&expected["error"], &got.error) {
        (Value::Null, None) => {}
        (want, Some(got)) if want.is_object() && message_fits(want, got) => {}
        (_, got) => return wrong("error", format!("{got:?}")),
    }
    if got.done != 1 {
        return wrong("done", got.done.to_string());
    }
    for (member, want) in expected["usage"].as_object().into_iter().flatten() {
        if got.usage.as_ref().map(|usage| &usage[member]) != Some(want) {
            return wrong("usage", format!("{:?}", got.usage));
        }
    }
    let calls = expected["tool_calls"].as_array().into_iter().flatten();
    let calls: Vec<_> = calls
        .enumerate()
        .map(|(at, call)| {
            let id = call["id"].as_str().unwrap();
            let made = got.tool_calls.get(at).map(|call| call.0.clone()).unwrap_or_default();
            let id = if id.starts_with('<') && !made.is_empty() { made } else { id.to_owned() };
            let member = |name: &str| call[name].as_str().unwrap().to_owned();
            (id, member("name"), member("arguments"))
        })
        .collect();
    if expected["tool_calls"].is_array() && calls != got.tool_calls {
        return wrong("tool_calls", format!("{:?}", got.tool_calls));
    }
    None
}

#[test]
fn recorded_streams() {
    let mut checked = 0;
    for case in cases().iter().filter(|case| case.asked_for_stream() && !case.is_compressed()) {
        let whole = run(case.options(), &[&case.body], case.end());
        let expected = &case.meta["expected"];
        let by_parts = case.meta.get("tier").is_some();
        let any = expected["one_of"].as_array().cloned().unwrap_or_else(|| vec![expected.clone()]);
        let wrong: Vec<_> =
            any.iter().map(|expected| mismatch(expected, by_parts, &whole.0, &whole.1)).collect();
        assert!(
            wrong.iter().any(Option::is_none),
            "{}: {wrong:?}\n{}",
            case.id,
            String::from_utf8_lossy(&whole.0)
        );
        for step in [1, 2, 3, 7, 64, 150, 1000] {
            let cut = run(case.options(), &in_steps(&case.body, step), case.end());
            assert!(cut == whole, "{} in steps of {step}", case.id);
        }
        checked += 1;
    }
    assert!(checked > 50, "{checked}");
}

#[test]
fn recorded_json_bodies_are_told_from_streams() {
    for case in cases().iter().filter(|case| !case.is_compressed()) {
        let is_json = matches!(detect(&case.body), StreamFormat::Json(_));
        // A stream may begin with a bare JSON line; a body that was not asked as a stream is JSON.
        let is_plain = !case.asked_for_stream() && case.meta["request"]["body"].is_object();
        assert!(is_json || !is_plain, "{}", case.id);
        if is_plain {
            let StreamFormat::Json(start) = detect(&case.body) else { panic!("{}", case.id) };
            serde_json::from_slice::<Value>(&case.body[start..]).unwrap();
        }
    }
}
