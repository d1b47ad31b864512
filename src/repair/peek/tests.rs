use super::*;
use crate::test;

fn verdict(operation: Operation, body: &str) -> Classification {
    Peek::new(operation).push(body.as_bytes())
}

#[test]
fn good_answers_are_known_early() {
    for (operation, body) in [
        (Operation::ChatCompletions, r#"{"id":"x","object":"chat.completion","choices":[{"#),
        (Operation::ChatCompletions, r#"{"error":null,"message":"","choices":[{"#),
        (Operation::ChatCompletions, "\u{feff}\n: wait\r\n {\"choices\" : [ {"),
        (Operation::Responses, r#"{"id":"r","object":"response""#),
        (Operation::Rerank, r#"{"id":"r","results":[{"#),
        (Operation::ImageGeneration, r#"{"created":1,"data":[{"#),
        (Operation::Transcriptions, r#"{"text":"""#),
        (Operation::Transcriptions, "1\n00:00"),
        (Operation::Files, ""),
    ] {
        assert_eq!(verdict(operation, body), Classification::Good, "{body}");
    }
}

#[test]
fn little_says_nothing() {
    for body in [
        "",
        " \n",
        ": wait",
        "{",
        r#"{"id":"x","model":"m","created":1"#,
        r#"{"choices":["#,
        "\u{feff}",
    ] {
        assert_eq!(verdict(Operation::ChatCompletions, body), Classification::Undecided, "{body}");
    }
}

#[test]
fn what_may_be_an_error_is_held() {
    for body in [
        r#"{"id":"x","choices":null,"created":1,"base_resp":{"#,
        r#"{"object":"error","#,
        r#"{"object":"Error","#,
        r#"{"id":"x","error":{"#,
        r#"{"model":"m","error":"text""#,
        r#"{"model":"m","error":true"#,
        r#"{"choices":[],"#,
        r#"{"data":[{}]}"#,
        r#"{"type":"error","#,
        r#"{"message":"x""#,
        r#"{"base_resp":{"#,
        r#"{"id":"x"}"#,
        "{}",
        "[",
        "<html>",
        "data: {",
        "{\"a\":x",
    ] {
        assert_eq!(verdict(Operation::ChatCompletions, body), Classification::Suspect, "{body}");
    }
    assert_eq!(verdict(Operation::Transcriptions, "<html>"), Classification::Suspect);
    let failed = r#"{"object":"response","error":{"#;
    assert_eq!(verdict(Operation::Responses, failed), Classification::Good);
    for operation in [Operation::Moderations, Operation::Rerank, Operation::ImageGeneration] {
        assert_eq!(verdict(operation, failed), Classification::Suspect);
    }
}

#[test]
fn the_label_of_the_other_operation_is_to_be_repaired() {
    let (chat, text) = (Operation::ChatCompletions, Operation::Completions);
    for (operation, label, drifts) in [
        (chat, "chat.completion", false),
        (chat, "text_completion", true),
        (chat, "chat.completion.chunk", true),
        (text, "text_completion", false),
        (text, "chat.completion", true),
        (Operation::Embeddings, "list", false),
    ] {
        let mut peek = Peek::new(operation);
        peek.push(format!(r#"{{"object":"{label}","#).as_bytes());
        assert_eq!(peek.drifts(), drifts, "{operation:?} {label}");
    }
}

#[test]
fn framing_is_measured() {
    let mut peek = Peek::new(Operation::ChatCompletions);
    let body = b"\n: wait\n{\"choices\":[{\"a\":1}]}\n\ndata: [DONE]\n\n";
    assert_eq!(peek.push(body), Classification::Good);
    assert_eq!((peek.skip(), peek.end()), (8, Some(29)));
    let mut peek = Peek::new(Operation::ChatCompletions);
    peek.push(b"\n\n{\"choices\":[{\"a\":1}]}");
    assert_eq!((peek.skip(), peek.end()), (0, Some(23)));
}

#[test]
fn a_late_error_is_noticed() {
    for (body, want) in [
        (r#"{"choices":[{"index":0,"message":{},"finish_reason":"stop"}],"error":null}"#, false),
        (r#"{"choices":[{"index":0,"message":{},"finish_reason":"error"}]}"#, true),
        (r#"{"choices":[{"index":0,"message":{"finish_reason":"error"}}]}"#, true),
        (r#"{"choices":[{"index":0,"message":{"a":{"finish_reason":"error"}}}]}"#, false),
        (r#"{"choices":[{"index":0,"message":{}}],"error":{"message":"m"}}"#, true),
        (r#"{"choices":[{"index":0,"message":{}}],"base_resp":{"status_code":0}}"#, true),
        (r#"{"choices":[{"index":0}]}"#, true),
        (r#"{"choices":[{"message":{}}]}"#, true),
        (r#"{"choices":[{"index":0,"message":{"content":[]}}]}"#, true),
        (r#"{"choices":[{"index":0,"message":{"content":null}}]}"#, false),
        (
            r#"{"choices":[{"index":0,"message":{"tool_calls":[{"id":"a","type":"function","function":{"name":"f","arguments":"{}"}}]},"finish_reason":"tool_calls"}]}"#,
            false,
        ),
        (
            r#"{"choices":[{"index":0,"message":{"tool_calls":[{"id":"a","type":"function","function":{"name":"f","arguments":"{}"}}]},"finish_reason":"stop"}]}"#,
            true,
        ),
        (
            r#"{"choices":[{"index":0,"message":{"tool_calls":[{"id":"a","type":"function","function":{"name":"f","arguments":{}}}]}}]}"#,
            true,
        ),
        (
            r#"{"choices":[{"index":0,"message":{"tool_calls":[{"type":"function","function":{"name":"f","arguments":"{}"}}]}}]}"#,
            true,
        ),
        (r#"{"choices":[{"index":0,"message":{}}],"usage":{"total_tokens":"3"}}"#, true),
        (
            r#"{"choices":[{"index":0,"message":{}}],"usage":{"prompt_tokens":1,"completion_tokens":2,"total_tokens":3}}"#,
            false,
        ),
        (r#"{"choices":[{"index":0,"message":{}}],"usage":{"total_tokens":3}}"#, true),
        (r#"{"choices":[{"index":0,"message":{}}],"meta":{"usage":{"total_tokens":3}}}"#, true),
        (r#"{"choices":[{"index":0,"message":{}}],"token_usage":{"total_tokens":3}}"#, true),
        (r#"{"choices":[{"index":0,"message":{}}],"meta":null}"#, false),
        // An error that says nothing becomes null where that is still possible.
        (r#"{"error":0,"choices":[{"index":0,"message":{}}]}"#, true),
        (r#"{"choices":[{"index":0,"message":{}}],"error":0}"#, false),
    ] {
        let head = r#"{"id":"x","object":"chat.completion","created":1,"model":"m","#;
        let body = body
            .replacen('{', head, 1)
            .replace(r#""message":{}"#, r#""message":{"role":"assistant"}"#)
            .replace(r#""message":{"#, r#""message":{"role":"assistant","#)
            .replace(r#"{"role":"assistant","role":"assistant"}"#, r#"{"role":"assistant"}"#);
        let mut peek = Peek::new(Operation::ChatCompletions);
        assert_eq!(peek.push(body.as_bytes()), Classification::Good);
        assert_eq!(peek.drifts(), want, "{body}");
    }
}
