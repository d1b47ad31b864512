//! What holds for any error body.

use super::*;
use crate::repair::error::text::MAX_MESSAGE_CHARS;
use proptest::prelude::*;

/// JSON made of the names and values that error bodies are made of.
fn body() -> impl Strategy<Value = Value> {
    let text = prop_oneof![
        Just("m".to_owned()),
        Just(String::new()),
        Just("<html><title>t</title></html>".to_owned()),
        Just(r#"{"detail":[{"loc":["body","n"],"msg":"no"}]}"#.to_owned()),
        Just("[{'loc': ('body', 'n'), 'msg': 'no'}]".to_owned()),
        Just(r#"{"error":{"message":"too many words","code":"rate_limit"}}"#.to_owned()),
        Just("the prompt is too long".to_owned()),
        Just("urn:problem:no-quota".to_owned()),
        Just("429 Too Many Requests: {'error': 'no'} model=m".to_owned()),
        "[\\PC\u{0}\n]{0,12}",
    ];
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        (0u32..60_000).prop_map(Value::from),
        text.prop_map(Value::from),
    ];
    let name = prop::sample::select(vec![
        "error",
        "message",
        "type",
        "param",
        "code",
        "detail",
        "errors",
        "fault",
        "base_resp",
        "status_code",
        "status_msg",
        "msg",
        "loc",
        "input",
        "choices",
        "finish_reason",
        "x_groq",
        "data",
        "object",
        "status",
        "error_code",
        "text",
        "request_id",
        "metadata",
        "raw",
        "details",
        "cause",
        "innererror",
    ]);
    leaf.prop_recursive(4, 24, 5, move |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..3).prop_map(Value::from),
            prop::collection::vec((name.clone(), inner), 0..6).prop_map(|members| {
                members
                    .into_iter()
                    .map(|(name, value)| (name.to_owned(), value))
                    .collect::<Map<_, _>>()
                    .into()
            }),
        ]
    })
}

fn assert_canonical(answer: &ErrorAnswer) {
    assert!((400..=599).contains(&answer.status));
    assert!(!answer.error.message.is_empty() && !answer.error.kind.is_empty());
    assert!(answer.error.message.chars().count() <= MAX_MESSAGE_CHARS);
    let again = from_http(answer.status, None, &answer.error.to_envelope());
    assert_eq!(again, None, "{answer:?}");
}

#[test]
fn what_was_joined_is_read_as_when_it_comes_back() {
    for body in [
        r#"{"detail":[{"loc":"[{'loc': ('body', 'n'), 'msg': 'no'}]","msg":"m"}]}"#,
        r#"{"errors":["[{'loc': ('body', 'n'), ","'msg': 'no'}]"]}"#,
        r#"{"error":{"message":"HTTP 400:","cause":{"message":"{\"message\":\"no\"}"}}}"#,
        r#"{"errors":["Error code: 400 - {'error': 'a","b'}"]}"#,
    ] {
        assert_canonical(&from_http(400, None, body.as_bytes()).expect(body));
    }
}

#[test]
fn a_code_is_the_same_code_on_a_second_look_wherever_it_stood() {
    let long = "x".repeat(300);
    for body in [
        r#"{"error":"\u0000","msg":"no"}"#.to_owned(),
        r#"{"error":"quota\u0007_left","message":"no"}"#.to_owned(),
        format!(r#"{{"error":"{long}","message":"no"}}"#),
        r#"{"detail":[{"error":"/a\u0000|b","message":"no","param":"n"}]}"#.to_owned(),
        format!("<Error><Code>{long}</Code><Message>no</Message></Error>"),
        "<Error><Code>a&#7;b</Code><Message>no</Message></Error>".to_owned(),
        "<Error><Code>&#0;</Code><Message>no</Message></Error>".to_owned(),
    ] {
        assert_canonical(&from_http(400, None, body.as_bytes()).expect(&body));
    }
}

proptest! {
    #[test]
    fn any_json_becomes_canonical_and_stays_so(status in 400u16..600, body in body()) {
        if let Some(answer) = from_http(status, None, body.to_string().as_bytes()) {
            assert_canonical(&answer);
        }
    }

    #[test]
    fn any_bytes_become_canonical(status in 400u16..600, body in prop::collection::vec(any::<u8>(), 0..200)) {
        if let Some(answer) = from_http(status, Some(b"text/html"), &body) {
            assert_canonical(&answer);
        }
    }

    #[test]
    fn any_markup_becomes_canonical_without_it(
        body in "(<|>|/|!|--|html|title|h1|body|script|&lt;|&#60;|&amp;|a|\n| ){0,30}"
    ) {
        let html = format!("<html>{body}");
        if let Some(answer) = from_http(500, None, html.as_bytes()) {
            assert_canonical(&answer);
            prop_assert!(!answer.error.message.contains("<html"));
            prop_assert!(!answer.error.message.contains("</"));
        }
    }

    #[test]
    fn errors_in_events_are_canonical(event in body(), marked: bool) {
        let event_about = Event { marked, status: None };
        if let Some(answer) = from_event(event.to_string().as_bytes(), event_about) {
            assert_canonical(&answer);
        }
    }

    #[test]
    fn errors_in_200_are_canonical(body in body()) {
        if let Some(answer) = from_ok(Operation::ChatCompletions, body.to_string().as_bytes()) {
            assert_canonical(&answer);
        }
    }
}
