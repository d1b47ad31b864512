//! Answers in one piece.

use super::*;
use crate::test;

#[test]
fn a_whole_message() {
    let got = plain(
        &json!({"role": "assistant", "reasoning_content": "hm", "content": "hi \"you\"\n", "tool_calls": [
            {"id": "call_1", "type": "function", "function": {"name": "f", "arguments": "{\"a\": [1, \"}\"]}"}},
            {"id": "call_2", "type": "function", "function": {"name": "short_0123", "arguments": ""}},
        ]}),
        "tool_calls",
    )
    .unwrap();
    assert_eq!(
        got,
        json!({
            "id": "msg_x", "type": "message", "role": "assistant", "model": "m",
            "content": [
                {"type": "thinking", "thinking": "hm", "signature": ""},
                {"type": "text", "text": "hi \"you\"\n"},
                {"type": "tool_use", "id": "call_1", "name": "f", "input": {"a": [1, "}"]}},
                {"type": "tool_use", "id": "call_2", "name": "a very long name", "input": {}},
            ],
            "stop_reason": "tool_use", "stop_sequence": null,
            "usage": {"input_tokens": 10, "cache_creation_input_tokens": 0, "cache_read_input_tokens": 0, "output_tokens": 2},
        })
    );
}

#[test]
fn reasons_to_stop() {
    let calls = json!([{"id": "c", "function": {"name": "f", "arguments": "{}"}}]);
    for (content, calls, reason, want) in [
        (json!("a"), json!(null), "stop", "end_turn"),
        (json!("a"), json!([]), "stop", "end_turn"),
        (json!("a"), json!(null), "length", "max_tokens"),
        (json!("a"), json!(null), "tool_calls", "end_turn"),
        (json!("a"), json!(null), "function_call", "end_turn"),
        (json!("a"), json!(null), "content_filter", "refusal"),
        (json!("a"), json!(null), "eos", "end_turn"),
        (json!("a"), calls.clone(), "stop", "tool_use"),
        (json!(null), calls.clone(), "tool_calls", "tool_use"),
        (json!(null), calls.clone(), "function_call", "tool_use"),
        (json!("a"), calls.clone(), "length", "max_tokens"),
    ] {
        let got = plain(&json!({"content": content, "tool_calls": calls}), reason).unwrap();
        assert_eq!(got["stop_reason"], want, "{reason} {calls}");
        assert_eq!(got["stop_sequence"], json!(null));
    }
}

#[test]
fn a_stop_sequence_where_the_server_says_which() {
    for (member, value, want) in [
        ("stop_reason", json!("END"), json!(["stop_sequence", "END"])),
        ("matched_stop", json!("END"), json!(["stop_sequence", "END"])),
        ("stop_reason", json!(151_645), json!(["end_turn", null])),
        ("stop_reason", json!(null), json!(["end_turn", null])),
        ("stop_reason", json!(""), json!(["end_turn", null])),
    ] {
        let chat = json!({"choices": [{"message": {"content": "a"}, "finish_reason": "stop", member: value}]});
        let (body, _) = whole(options(false), chat.to_string().as_bytes()).unwrap();
        let got: Value = serde_json::from_slice(&body).unwrap();
        assert_eq!(json!([got["stop_reason"], got["stop_sequence"]]), want, "{chat}");
    }
}

#[test]
fn a_refusal_is_text() {
    let got = plain(&json!({"content": null, "refusal": "no"}), "stop").unwrap();
    assert_eq!(got["content"], json!([{"type": "text", "text": "no"}]));
    assert_eq!(got["stop_reason"], "refusal");
}

#[test]
fn nothing_said_is_no_block() {
    for message in [
        json!({"content": ""}),
        json!({"content": null}),
        json!({"content": []}),
        json!({"role": "assistant", "content": "", "tool_calls": []}),
    ] {
        assert_eq!(plain(&message, "stop").unwrap()["content"], json!([]), "{message}");
    }
}

#[test]
fn token_counts() {
    for (counts, want) in [
        (json!({"prompt_tokens": 10, "completion_tokens": 2}), [10, 0, 2]),
        (
            json!({"prompt_tokens": 10, "completion_tokens": 2, "prompt_tokens_details": {"cached_tokens": 4}}),
            [6, 4, 2],
        ),
        (
            json!({"prompt_tokens": 10, "prompt_cache_hit_tokens": 10, "completion_tokens": 2}),
            [0, 10, 2],
        ),
        (json!({"prompt_tokens": 10, "cached_tokens": 12, "completion_tokens": 2}), [0, 10, 2]),
        (
            json!({"prompt_tokens": 10, "completion_tokens": 2, "prompt_tokens_details": {"cached_tokens": 4}, "prompt_cache_hit_tokens": 4}),
            [6, 4, 2],
        ),
        (json!(null), [0, 0, 0]),
    ] {
        let chat = json!({"choices": [{"message": {"content": "a"}, "finish_reason": "stop"}], "usage": counts});
        let (body, cached) = whole(options(false), chat.to_string().as_bytes()).unwrap();
        let got: Value = serde_json::from_slice(&body).unwrap();
        let [input, read, output] = want;
        let want = json!({"input_tokens": input, "cache_creation_input_tokens": 0, "cache_read_input_tokens": read, "output_tokens": output});
        assert_eq!(got["usage"], want, "{counts}");
        assert_eq!(cached, (!counts.is_null()).then_some(read > 0));
        let got = message(&[text("a"), finish("stop"), usage(&counts)]);
        assert_eq!(got["usage"], want, "{counts}");
    }
}

#[test]
fn models() {
    let named = |model: &str| {
        let chat = json!({"model": model, "choices": [{"message": {"content": "a"}, "finish_reason": "stop"}]});
        chat.to_string().into_bytes()
    };
    let model = |options: MessageOptions, chat: &[u8]| {
        let got: Value = serde_json::from_slice(&whole(options, chat).unwrap().0).unwrap();
        got["model"].as_str().unwrap().to_owned()
    };
    assert_eq!(model(options(false), &named("u")), "u");
    assert_eq!(model(options(false), &named("")), "asked-model");
    let requested = MessageOptions { response_model: Some("r".to_owned()), ..options(false) };
    assert_eq!(model(requested, &named("u")), "r");
}

#[test]
fn ids_of_calls() {
    let one = |id: Value| json!({"id": id, "function": {"name": "f", "arguments": "{}"}});
    let got = plain(&json!({"tool_calls": [one("a é\"".into()), one("a é\"".into()), one(json!(null)), one("".into())]}), "stop").unwrap();
    let ids: Vec<_> = got["content"]
        .as_array()
        .unwrap()
        .iter()
        .map(|block| block["id"].as_str().unwrap())
        .collect();
    assert_eq!(ids, ["a é\"", "toolu_x_1", "toolu_x_2", "toolu_x_3"]);
}

#[test]
fn inputs() {
    for (arguments, want) in [
        (json!("{}"), json!({})),
        (json!(""), json!({})),
        (json!("  \n"), json!({})),
        (json!("null"), json!({})),
        (json!(null), json!({})),
        (json!({"a": 1}), json!({"a": 1})),
        (json!(" {\"a\":\"\\u00e9\\n\"} "), json!({"a": "é\n"})),
    ] {
        let got = plain(
            &json!({"tool_calls": [{"id": "c", "function": {"name": "f", "arguments": arguments}}]}),
            "tool_calls",
        );
        assert_eq!(got.unwrap()["content"][0]["input"], want, "{arguments}");
        if let Some(arguments) = arguments.as_str() {
            let got = message(&[call(0, Some("c"), Some("f"), arguments), finish("tool_calls")]);
            assert_eq!(got["content"][0]["input"], want, "{arguments}");
        }
    }
    let got = plain(&json!({"tool_calls": [{"id": "c", "function": {"name": "f"}}]}), "tool_calls");
    assert_eq!(got.unwrap()["content"][0]["input"], json!({}));
}

#[test]
fn arguments_that_are_no_object_are_an_error() {
    for arguments in
        ["{", "{\"a\":1", "[1]", "1", "\"x\"", "true", "{} x", "{}{}", "{'a': 1}", "nul"]
    {
        let got = plain(
            &json!({"content": "t", "tool_calls": [{"id": "c", "function": {"name": "f", "arguments": arguments}}]}),
            "tool_calls",
        );
        let error = got.expect_err(arguments);
        assert_eq!((error.status, error.own.is_some()), (502, true));
        assert!(error.error.message.contains("\"f\""), "{}", error.error.message);
        let got = events(&sse(&[
            text("t"),
            call(0, Some("c"), Some("f"), arguments),
            finish("tool_calls"),
        ]));
        assert!(
            got.contains("event: error\n") && !got.contains("message_stop"),
            "{arguments}: {got}"
        );
    }
}

#[test]
fn a_call_that_is_cut_by_the_limit_is_left_out() {
    let one = |arguments: &str| json!({"id": arguments, "function": {"name": "f", "arguments": arguments}});
    let got =
        plain(&json!({"content": "t", "tool_calls": [one("{\"a\":1}"), one("{\"b\":")]}), "length")
            .unwrap();
    assert_eq!(
        got["content"],
        json!([{"type": "text", "text": "t"}, {"type": "tool_use", "id": "{\"a\":1}", "name": "f", "input": {"a": 1}}])
    );
    assert_eq!(got["stop_reason"], "max_tokens");
    // A stream has passed its deltas already.
    let got = message(&[text("t"), call(0, Some("c"), Some("f"), "{\"b\":"), finish("length")]);
    assert_eq!(got["content"][1]["input"], json!(null));
    assert_eq!(got["stop_reason"], "max_tokens");
}

#[test]
fn a_call_that_is_cut_before_its_name_is_left_out() {
    let nameless = |arguments: &str| json!({"id": "c", "function": {"arguments": arguments}});
    for arguments in ["", "{\"b\":"] {
        let said = json!({"content": "t", "tool_calls": [nameless(arguments)]});
        let chunks = [text("t"), call(0, Some("c"), None, arguments)];
        let want = json!([{"type": "text", "text": "t"}]);
        let got = plain(&said, "length").unwrap();
        assert_eq!((&got["content"], &got["stop_reason"]), (&want, &json!("max_tokens")));
        let [first, second] = chunks.clone();
        let got = message(&[first, second, finish("length")]);
        assert_eq!((&got["content"], &got["stop_reason"]), (&want, &json!("max_tokens")));
        // Otherwise there is nothing to call.
        assert_eq!(plain(&said, "tool_calls").unwrap_err().status, 502);
        let [first, second] = chunks;
        let got = events(&sse(&[first, second, finish("tool_calls")]));
        assert!(got.contains("event: error\n") && !got.contains("message_stop"), "{got}");
    }
}

#[test]
fn answers_that_are_none() {
    for chat in [
        "",
        "{",
        "[]",
        "{}",
        r#"{"choices":[]}"#,
        r#"{"choices":[{"finish_reason":"stop"}]}"#,
        r#"{"choices":[{"message":{"content":7}}]}"#,
    ] {
        let error = whole(options(false), chat.as_bytes()).expect_err(chat);
        assert_eq!(error.status, 502, "{chat}");
    }
    let long = json!({"choices": [{"message": {"content": "x".repeat(2000)}}]}).to_string();
    let small = MessageOptions { max_answer_bytes: 1000, ..options(false) };
    assert_eq!(whole(small, long.as_bytes()).unwrap_err().status, 502);
}
