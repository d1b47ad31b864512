//! Streams whose events are named by `type`.

use super::*;

const CREATED: &str = "event: response.created\ndata: {\"type\":\"response.created\",\"sequence_number\":0,\"response\":{\"id\":\"r\",\"object\":\"response\",\"model\":\"m\",\"error\":null}}\n\n";
const DELTA: &str = "event: response.output_text.delta\ndata: {\"type\":\"response.output_text.delta\",\"sequence_number\":1,\"delta\":\"error\"}\n\n";
const COMPLETED: &str = "event: response.completed\ndata: {\"type\":\"response.completed\",\"sequence_number\":2,\"response\":{\"id\":\"r\",\"object\":\"response\",\"model\":\"m\",\"usage\":{\"input_tokens\":3,\"input_tokens_details\":{\"cached_tokens\":2},\"output_tokens\":1}}}\n\n";

fn responses(body: &str) -> (String, StreamHead) {
    let (out, head) = run(options(StreamKind::Responses), &[body.as_bytes()], StreamEnd::Clean);
    (String::from_utf8(out).unwrap(), head)
}

#[test]
fn responses_pass_unchanged() {
    let mut normalizer = SseNormalizer::new(options(StreamKind::Responses));
    for event in [CREATED, DELTA, ":\n\n", COMPLETED] {
        assert_eq!(normalizer.push(event.as_bytes()), StreamOutput::Unchanged, "{event}");
    }
    assert_eq!(normalizer.cached(), Some(true));
    assert_eq!(normalizer.finish(StreamEnd::Clean), b"");
    let failed = "event: response.failed\ndata: {\"type\":\"response.failed\",\"sequence_number\":1,\"response\":{\"error\":{\"code\":\"server_error\",\"message\":\"no\"}}}\n\n";
    let own = "event: error\ndata: {\"type\":\"error\",\"code\":\"x\",\"message\":\"no\",\"param\":null,\"sequence_number\":1}\n\n";
    for last in [failed, own] {
        let whole = format!("{CREATED}{last}");
        assert_eq!(responses(&whole), (whole, StreamHead::Stream));
    }
    // A server that sends [DONE] may.
    let whole = format!("{CREATED}{COMPLETED}data: [DONE]\n\n");
    assert_eq!(responses(&whole), (whole, StreamHead::Stream));
}

#[test]
fn responses_framing_is_repaired() {
    let drifting = format!("{CREATED}{DELTA}{COMPLETED}")
        .replace("\n\n", "\r\n\r\n")
        .replace("data: ", "data:");
    assert_eq!(responses(&drifting).0, format!("{CREATED}{DELTA}{COMPLETED}"));
}

#[test]
fn done_ends_no_response_that_is_open() {
    let done = "data: [DONE]\n\n";
    let cut = format!("{CREATED}{DELTA}");
    let (out, head) = responses(&format!("{cut}{done}"));
    assert_eq!(head, StreamHead::Stream);
    let last = out.strip_prefix(&cut).unwrap();
    assert!(last.starts_with("event: error\n") && last.contains(TRUNCATED), "{last}");
    assert!(!out.contains("[DONE]"));
    for first in ["", "data: upstream worker went away\n\n", ": wait\n\n"] {
        let (out, head) = responses(&format!("{first}{done}"));
        let StreamHead::Error(answer) = head else { panic!("{first}: {out}") };
        assert_eq!(answer.status, 502);
        assert!(!first.starts_with("data") || answer.error.message.contains("went away"));
    }
    let (out, head) = responses(&format!("{CREATED}data: upstream worker went away\n\n{done}"));
    assert_eq!(head, StreamHead::Stream);
    assert!(out.contains("upstream worker went away") && out.contains("event: error"), "{out}");
}

#[test]
fn responses_errors() {
    let (out, _) = responses(&format!("{CREATED}{DELTA}"));
    let last = out.strip_prefix(&format!("{CREATED}{DELTA}")).unwrap();
    let payload = last.strip_prefix("event: error\ndata: ").unwrap();
    let event: Value = serde_json::from_str(payload).unwrap();
    assert_eq!(event["type"], "error");
    assert_eq!(event["code"], TRUNCATED);
    assert_eq!(event["sequence_number"], 2);
    assert!(event["param"].is_null() && event["message"].is_string());
    let foreign = "data: {\"error\":{\"message\":\"busy\",\"code\":429}}\n\n";
    let (out, _) = responses(&format!("{CREATED}{foreign}"));
    assert!(
        out.ends_with("\n\n")
            && out.contains("\"message\":\"busy\"")
            && out.contains("event: error")
    );
    let own = "event: error\ndata: {\"type\":\"error\",\"code\":\"rate_limit_exceeded\",\"message\":\"slow\"}\n\n";
    for first in [foreign, own] {
        let (out, head) = responses(first);
        assert_eq!(out, "");
        assert!(matches!(head, StreamHead::Error(answer) if answer.status == 429), "{first}");
    }
}

#[test]
fn responses_model_is_renamed_where_it_stands() {
    let renamed =
        Options { response_model: Some("mine".to_owned()), ..options(StreamKind::Responses) };
    let body = format!("{CREATED}{DELTA}{COMPLETED}");
    let (out, _) = run(renamed, &[body.as_bytes()], StreamEnd::Clean);
    assert_eq!(String::from_utf8(out).unwrap(), body.replace("\"m\"", "\"mine\""));
}

#[test]
fn a_whole_response_becomes_a_stream() {
    let body = br#"{"id":"r","object":"response","status":"incomplete","error":null,"output":[]}"#;
    let out = from_completion(body, options(StreamKind::Responses)).unwrap();
    let out = String::from_utf8(out).unwrap();
    let payloads: Vec<Value> = out
        .lines()
        .filter_map(|line| line.strip_prefix("data: "))
        .map(|payload| serde_json::from_str(payload).unwrap())
        .collect();
    assert_eq!(payloads[0]["type"], "response.created");
    assert_eq!(payloads[1]["type"], "response.incomplete");
    assert_eq!(payloads[1]["response"]["id"], "r");
    assert!(out.starts_with("event: response.created\n") && !out.contains("[DONE]"));
}

#[test]
fn a_whole_response_tells_each_item() {
    let item = |id: &str| format!(r#"{{"id":"{id}","type":"message","content":[]}}"#);
    let body = format!(
        r#"{{"id":"r","object":"response","status":"completed","output":[{},{}]}}"#,
        item("a"),
        item("b")
    );
    let out = from_completion(body.as_bytes(), options(StreamKind::Responses)).unwrap();
    let out = String::from_utf8(out).unwrap();
    let payloads = out.lines().filter_map(|line| line.strip_prefix("data: "));
    let told: Vec<_> = payloads
        .map(|payload| {
            let event: Value = serde_json::from_str(payload).unwrap();
            let place = (event["output_index"].as_u64(), event["item"]["id"].clone());
            (event["sequence_number"].as_u64(), event["type"].clone(), place)
        })
        .collect();
    let none = || (None, Value::Null);
    let a = || (Some(0), Value::from("a"));
    let b = || (Some(1), Value::from("b"));
    let want = [
        ("response.created", none()),
        ("response.output_item.added", a()),
        ("response.output_item.done", a()),
        ("response.output_item.added", b()),
        ("response.output_item.done", b()),
        ("response.completed", none()),
    ];
    let want = (0_u64..).zip(want);
    let want: Vec<_> =
        want.map(|(at, (name, place))| (Some(at), Value::from(name), place)).collect();
    assert_eq!(told, want);
}

#[test]
fn transcriptions() {
    let run = |body: &str| {
        let (out, head) =
            run(options(StreamKind::Transcription), &[body.as_bytes()], StreamEnd::Clean);
        (String::from_utf8(out).unwrap(), head)
    };
    let delta = "data: {\"type\":\"transcript.text.delta\",\"delta\":\"Hi\"}\n\n";
    let done = "data: {\"type\":\"transcript.text.done\",\"text\":\"Hi\",\"usage\":{\"input_tokens\":1}}\n\n";
    let whole = format!("{delta}{done}");
    assert_eq!(run(&whole), (whole.clone(), StreamHead::Stream));
    assert!(run(delta).0.contains(TRUNCATED));
    let json = run(r#"{"text":"Hi","usage":{"input_tokens":1}}"#);
    assert_eq!(json, (whole, StreamHead::Stream));
    let chunk = "data: {\"object\":\"transcription.chunk\",\"choices\":[{\"index\":0,\"delta\":{\"content\":\"Hi\"},\"finish_reason\":\"stop\"}]}\n\n";
    let done = "data: {\"type\":\"transcript.text.done\",\"text\":\"Hi\"}\n\n";
    assert_eq!(run(chunk).0, format!("{delta}{done}"));
    assert_eq!(
        run(&format!("{chunk}data: [DONE]\n\n")).0,
        format!("{delta}{done}data: [DONE]\n\n")
    );
    assert!(
        matches!(run("data: {\"error\":{\"message\":\"no\",\"code\":400}}\n\n").1, StreamHead::Error(answer) if answer.status == 400)
    );
    let flat = "data: {\"type\":\"invalid_request_error\",\"message\":\"no\",\"code\":400}\n\n";
    let own = "data: {\"type\":\"error\",\"error\":{\"message\":\"no\"}}\n\n";
    for error in [flat, own] {
        let out = run(&format!("{delta}{error}")).0;
        assert!(out.starts_with(delta) && out.contains(r#"{"error":{"message":"no""#), "{out}");
        assert!(out.ends_with("data: [DONE]\n\n"));
    }
}

#[test]
fn foreign_events_of_a_responses_stream_pass() {
    let keepalive = "event: keepalive\ndata: {\"type\":\"keepalive\",\"sequence_number\":1}\n\n";
    let whole = format!("{CREATED}{keepalive}{COMPLETED}");
    assert_eq!(responses(&whole), (whole, StreamHead::Stream));
}
