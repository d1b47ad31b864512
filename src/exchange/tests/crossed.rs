//! Servers that speak the Responses or the Messages API, and stream where nobody asked for it, or don't where somebody did.

use super::metered::answered;
use super::*;
use crate::test;

const ASKED: [(&str, &str); 2] = [
    (
        "/v1/messages",
        r#"{"model":"beta/m","max_tokens":9,"messages":[{"role":"user","content":"a"}]}"#,
    ),
    ("/v1/responses", r#"{"model":"beta/m","input":"a"}"#),
];
const WHOLE: [&str; 2] = [
    r#"{"id":"msg_1","type":"message","role":"assistant","model":"m","content":[{"type":"text","text":"Hi \"é\""},{"type":"tool_use","id":"t","name":"f","input":{"a":1}}],"stop_reason":"tool_use","stop_sequence":null,"usage":{"input_tokens":5,"output_tokens":3}}"#,
    r#"{"id":"r","object":"response","status":"completed","error":null,"model":"m","output":[{"type":"message","id":"i","role":"assistant","status":"completed","content":[{"type":"output_text","text":"Hi","annotations":[]}]}],"usage":{"input_tokens":5,"output_tokens":3,"total_tokens":8}}"#,
];

#[test]
fn an_answer_takes_the_form_that_was_asked_for() {
    for ((path, plain), whole) in ASKED.into_iter().zip(WHOLE) {
        let mut stream: Value = serde_json::from_str(plain).unwrap();
        stream["stream"] = true.into();
        let stream = stream.to_string();
        let wanted: Value = serde_json::from_str(whole).unwrap();
        for label in ["application/json", "text/event-stream", "text/plain"] {
            for size in [1, 9, 10_000] {
                let head = [(":status", "200"), ("content-type", label)];
                let host = answered(path, &stream, &head, whole.as_bytes(), size);
                assert_eq!(
                    get(&host.answer.head, "content-type"),
                    Some("text/event-stream"),
                    "{path} {label}"
                );
                let events = host.answer.body;
                assert!(events.starts_with(b"event: "), "{path} {label}");
                let host = answered(path, plain, &head, &events, size);
                assert_eq!(
                    get(&host.answer.head, "content-type"),
                    Some("application/json"),
                    "{path} {label}"
                );
                let back: Value = serde_json::from_slice(&host.answer.body).unwrap();
                assert_eq!(back, wanted, "{path} {label} {size}");
                let counts = host.exchange.counts().unwrap();
                assert_eq!((counts.input, counts.output), (5, 3), "{path} {label}");
            }
        }
    }
}

#[test]
fn an_error_in_a_stream_that_nobody_asked_for_is_an_error() {
    let events = [
        "event: error\ndata: {\"type\":\"error\",\"error\":{\"type\":\"rate_limit_error\",\"message\":\"Slow down\"}}\n\n",
        "event: error\ndata: {\"error\":{\"code\":429,\"message\":\"Slow down\"}}\n\n",
    ];
    for (path, plain) in ASKED {
        for event in events {
            let head = [(":status", "200"), ("content-type", "text/event-stream")];
            let host = answered(path, plain, &head, event.as_bytes(), 11);
            assert_eq!(get(&host.answer.head, ":status"), Some("429"), "{path} {event}");
            let said: Value = serde_json::from_slice(&host.answer.body).unwrap();
            assert_eq!(said["error"]["message"], "Slow down");
        }
    }
}
