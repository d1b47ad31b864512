//! How streams begin and end: comments, errors, cuts.

use super::*;
use crate::test;

#[test]
fn comments_become_pings() {
    let stream = format!(
        ": wait\n\n:\n\ndata: {}\n\n: keep-alive\n\ndata: {}\n\ndata: [DONE]\n\n",
        text("a"),
        finish("stop")
    );
    let got = events(stream.as_bytes());
    assert!(got.starts_with("event: ping\ndata: {\"type\":\"ping\"}\n\nevent: ping\ndata: {\"type\":\"ping\"}\n\nevent: message_start\n"));
    assert_eq!(got.matches("event: ping").count(), 3);
    assert!(!got.contains("keep-alive"));
    assert_eq!(assembled(&got)["content"][0]["text"], "a");
}

fn error_of(events: &str) -> Value {
    let (_, data) = events.split_once("event: error\ndata: ").expect(events);
    assert!(
        data.ends_with("}\n\n") && data.matches("\n\n").count() == 1,
        "behind the error: {events}"
    );
    serde_json::from_str(data).unwrap()
}

#[test]
fn an_error_is_the_last_event() {
    for (error, kind) in [
        (json!({"message": "busy", "type": "overloaded_error", "code": null}), "overloaded_error"),
        (json!({"message": "slow", "type": "rate_limit_error", "code": null}), "rate_limit_error"),
        (json!({"message": "slow", "type": "x", "code": "429"}), "rate_limit_error"),
        (
            json!({"message": "bad", "type": "invalid_request_error", "code": null}),
            "invalid_request_error",
        ),
        (json!({"message": "boom", "type": "server_error", "code": "500"}), "api_error"),
    ] {
        let stream =
            format!("data: {}\n\ndata: {}\n\ndata: [DONE]\n\n", text("a"), json!({"error": error}));
        let got = error_of(&events(stream.as_bytes()));
        assert_eq!(
            got,
            json!({"type": "error", "error": {"type": kind, "message": error["message"]}, "request_id": "req-1"})
        );
    }
}

#[test]
fn a_stream_that_is_cut_ends_in_an_error() {
    let mut converter = MessageConverter::new(options(true));
    let mut got = converter.push(format!("data: {}\n\n", text("a")).as_bytes());
    got.extend(converter.finish());
    let got = error_of(&String::from_utf8(got).unwrap());
    assert_eq!(got["error"]["type"], "api_error");
    assert!(
        got["error"]["message"].as_str().unwrap().ends_with("(upstream_stream_truncated)"),
        "{got}"
    );
    assert!(converter.has_failed() && converter.is_done());
    // What the normaliser says of it comes out the same.
    let said = json!({"error": {"message": "cut", "type": "api_error", "param": null, "code": "upstream_stream_truncated"}});
    let got = error_of(&events(format!("data: {}\n\ndata: {said}\n\n", text("a")).as_bytes()));
    assert_eq!(got["error"]["message"], "cut (upstream_stream_truncated)");
}

#[test]
fn an_end_without_done_is_an_end() {
    let mut converter = MessageConverter::new(options(true));
    let mut got =
        converter.push(format!("data: {}\n\ndata: {}\n\n", text("a"), finish("stop")).as_bytes());
    got.extend(converter.finish());
    assert_eq!(assembled(&String::from_utf8(got).unwrap())["stop_reason"], "end_turn");
}

#[test]
fn a_server_that_streams_unasked_gives_a_message() {
    let mut converter = MessageConverter::new(options(false));
    assert!(
        converter
            .push(&sse(&[text("a"), call(0, Some("c"), Some("f"), "{}"), finish("stop")]))
            .is_empty()
    );
    let got: Value = serde_json::from_slice(&converter.into_message().unwrap()).unwrap();
    assert_eq!(got["stop_reason"], "tool_use");
    let mut cut = MessageConverter::new(options(false));
    assert!(cut.push(format!("data: {}\n\n", text("a")).as_bytes()).is_empty());
    assert_eq!(cut.into_message().unwrap_err().status, 502);
}

#[test]
fn an_answer_that_is_too_large_ends_in_an_error() {
    let small = MessageOptions { max_answer_bytes: 1000, ..options(true) };
    let mut converter = MessageConverter::new(small);
    let mut got = Vec::new();
    for _ in 0..50 {
        got.extend(converter.push(format!("data: {}\n\n", text(&"x".repeat(100))).as_bytes()));
    }
    let got = String::from_utf8(got).unwrap();
    assert_eq!(error_of(&got)["error"]["type"], "api_error");
    assert!(converter.push(b"data: x\n\n").is_empty() && converter.finish().is_empty());
}

#[test]
fn a_full_context_is_said_in_anthropics_words() {
    let full = |message: &str| {
        let error = json!({"error": {"message": message, "type": "invalid_request_error", "param": null, "code": "context_length_exceeded"}});
        let got = events(format!("data: {error}\n\n").as_bytes());
        error_of(&got)["error"]["message"].as_str().unwrap().to_owned()
    };
    let words = "This model's maximum context length is 4096 tokens. However, your request has 5000 input tokens.";
    assert_eq!(full(words), format!("prompt is too long: 5000 tokens > 4096 maximum ({words})"));
    let words = "This model's maximum context length is 40960 tokens. However, you requested 44000 tokens (12000 in the messages, 32000 in the completion).";
    assert_eq!(
        full(words),
        format!(
            "input length and `max_tokens` exceed context limit: 12000 + 32000 > 40960 ({words})"
        )
    );
    assert_eq!(full("Context size exceeded"), "prompt is too long (Context size exceeded)");
    assert_eq!(
        full("prompt is too long: 9 tokens > 8 maximum"),
        "prompt is too long: 9 tokens > 8 maximum"
    );
}
