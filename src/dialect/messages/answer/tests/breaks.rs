//! What bridges of others are known to break.

use super::*;
use crate::test;

fn kinds(message: &Value) -> Vec<&str> {
    message["content"]
        .as_array()
        .unwrap()
        .iter()
        .map(|block| block["type"].as_str().unwrap())
        .collect()
}

#[test]
fn text_and_a_call_that_end_in_stop_are_a_tool_use() {
    let got =
        message(&[text("I look"), call(0, Some("c"), Some("f"), "{\"a\":1}"), finish("stop")]);
    assert_eq!(got["stop_reason"], "tool_use");
    assert_eq!(kinds(&got), ["text", "tool_use"]);
    assert_eq!(got["content"][1]["input"], json!({"a": 1}));
}

#[test]
fn arguments_in_the_chunk_of_the_name_and_after_it_are_all_told() {
    let got = message(&[
        call(0, Some("c"), Some("f"), "{\"a"),
        call(0, None, None, "\":1"),
        call(0, None, None, "}"),
        finish("tool_calls"),
    ]);
    assert_eq!(got["content"][0]["input"], json!({"a": 1}));
    let all = events(&sse(&[
        call(0, Some("c"), Some("f"), "{\"a"),
        call(0, None, None, "\":1}"),
        finish("tool_calls"),
    ]));
    let at = |what: &str| all.find(what).unwrap_or_else(|| panic!("{what}: {all}"));
    assert!(at("content_block_start") < at("input_json_delta"));
    assert!(all.contains(r#""partial_json":"{\"a""#));
}

#[test]
fn parallel_calls_one_after_the_other_stream_as_they_come() {
    let mut converter = MessageConverter::new(options(true));
    let mut push = |chunk: &Value| {
        let bytes = converter.push(format!("data: {chunk}\n\n").as_bytes());
        String::from_utf8(bytes).unwrap()
    };
    push(&call(0, Some("a"), Some("f"), "{\"x\":1}"));
    let second = push(&call(1, Some("b"), Some("g"), "{\"y\""));
    assert!(
        second.contains("content_block_stop") && second.contains(r#""partial_json":"{\"y\"""#),
        "{second}"
    );
    assert!(push(&call(1, None, None, ":2}")).contains(r#""partial_json":":2}""#));
}

#[test]
fn parallel_calls_that_interleave_are_kept_apart() {
    let got = message(&[
        call(0, Some("a"), Some("f"), ""),
        call(1, Some("b"), Some("g"), ""),
        call(1, None, None, "{\"y\":"),
        call(0, None, None, "{\"x\":"),
        text("in between"),
        call(0, None, None, "1}"),
        call(1, None, None, "2}"),
        finish("tool_calls"),
    ]);
    assert_eq!(kinds(&got), ["tool_use", "tool_use", "text"]);
    assert_eq!(
        (&got["content"][0]["input"], &got["content"][1]["input"]),
        (&json!({"x": 1}), &json!({"y": 2}))
    );
    assert_eq!(got["content"][2]["text"], "in between");
    assert_eq!(got["stop_reason"], "tool_use");
}

#[test]
fn text_between_the_pieces_of_a_call_waits_for_its_end() {
    let got = message(&[
        call(0, Some("a"), Some("f"), "{\"x\":"),
        text("so "),
        text("so"),
        call(0, None, None, "1}"),
        finish("tool_calls"),
    ]);
    assert_eq!(kinds(&got), ["tool_use", "text"]);
    assert_eq!(
        (&got["content"][0]["input"], &got["content"][1]["text"]),
        (&json!({"x": 1}), &json!("so so"))
    );
}

#[test]
fn a_call_without_arguments_beside_others() {
    let got = message(&[
        call(0, Some("a"), Some("f"), ""),
        call(1, Some("b"), Some("g"), "{\"y\":2}"),
        call(2, Some("c"), Some("h"), "null"),
        finish("tool_calls"),
    ]);
    let inputs: Vec<_> =
        got["content"].as_array().unwrap().iter().map(|block| &block["input"]).collect();
    assert_eq!(inputs, [&json!({}), &json!({"y": 2}), &json!({})]);
}

#[test]
fn names_in_pieces_repeated_and_with_every_chunk() {
    for pieces in [&["re", "ad"][..], &["read", "read"], &["re", "read"]] {
        let mut chunks = vec![call(0, Some("a"), None, "")];
        chunks.extend(pieces.iter().map(|piece| call(0, None, Some(piece), "")));
        chunks.extend([call(0, None, None, "{}"), finish("tool_calls")]);
        assert_eq!(message(&chunks)["content"][0]["name"], "read", "{pieces:?}");
    }
    let got = message(&[
        call(0, Some("a"), Some("read"), "{\"x\""),
        call(0, Some("a"), Some("read"), ":1}"),
        finish("stop"),
    ]);
    assert_eq!(
        (&got["content"][0]["name"], &got["content"][0]["input"]),
        (&json!("read"), &json!({"x": 1}))
    );
}

#[test]
fn usage_of_a_trailing_chunk_is_all_told_and_cached_tokens_once() {
    let counts = json!({"prompt_tokens": 100, "completion_tokens": 7, "prompt_tokens_details": {"cached_tokens": 60}});
    let got = message(&[text("a"), finish("stop"), usage(&counts)]);
    assert_eq!(
        got["usage"],
        json!({"input_tokens": 40, "cache_creation_input_tokens": 0, "cache_read_input_tokens": 60, "output_tokens": 7})
    );
}

#[test]
fn no_delta_waits_for_the_next_event() {
    let mut converter = MessageConverter::new(options(true));
    for word in ["a", "b", "c"] {
        let told = converter.push(format!("data: {}\n\n", text(word)).as_bytes());
        assert!(String::from_utf8(told).unwrap().contains(&format!("\"text\":\"{word}\"")));
    }
    let told = converter
        .push(format!("data: {}\n\n", call(0, Some("a"), Some("f"), "{\"x\":")).as_bytes());
    assert!(String::from_utf8(told).unwrap().contains(r#"{\"x\":"#));
}

#[test]
fn an_empty_delta_opens_no_block() {
    let got = message(&[
        delta(&json!({"role": "assistant", "content": ""})),
        delta(&json!({"content": null})),
        finish("stop"),
    ]);
    assert_eq!(got["content"], json!([]));
    assert_eq!(got["stop_reason"], "end_turn");
    let got = message(&[
        delta(&json!({"role": "assistant", "content": "", "tool_calls": []})),
        call(0, Some("c"), Some("f"), "{}"),
        finish("tool_calls"),
    ]);
    assert_eq!(kinds(&got), ["tool_use"]);
}

#[test]
fn thinking_comes_first_and_ends_where_text_begins() {
    for name in ["reasoning_content", "reasoning"] {
        let got = message(&[
            delta(&json!({name: "h"})),
            delta(&json!({name: "m"})),
            text("a"),
            finish("stop"),
        ]);
        assert_eq!(
            got["content"],
            json!([{"type": "thinking", "thinking": "hm", "signature": ""}, {"type": "text", "text": "a"}])
        );
    }
}

#[test]
fn a_surrogate_pair_that_is_cut_between_chunks_is_joined() {
    let half = |escape: &str| {
        format!(
            "data: {{\"choices\":[{{\"index\":0,\"delta\":{{\"content\":\"{escape}\"}}}}]}}\n\n"
        )
    };
    let stream =
        [half("\\ud83d"), half("\\ude00!"), half("\\ud83d"), "data: [DONE]\n\n".to_owned()]
            .concat();
    assert_eq!(assembled(&events(stream.as_bytes()))["content"][0]["text"], "😀!\u{fffd}");
}

#[test]
fn half_a_pair_in_arguments_is_replaced_and_a_pair_that_is_cut_is_joined() {
    for (pieces, want) in [
        (&["{\"a\":\"\\ude00", "\"}"][..], "\u{fffd}"),
        (&["{\"a\":\"\\ud83d", "\\ude00\"}"], "\u{1f600}"),
        (&["{\"a\":\"\\ud8", "3d\\", "ude00\"}"], "\u{1f600}"),
        (&["{\"a\":\"\\", "ud83d", "x\"}"], "\u{fffd}x"),
        (&["{\"a\":\"\\", "\\ude00\"}"], "\\ude00"),
        (&["{\"a\":\"\u{1f600}\\n\"}"], "\u{1f600}\n"),
    ] {
        let mut chunks = vec![call(0, Some("c"), Some("f"), "")];
        chunks.extend(pieces.iter().map(|piece| call(0, None, None, piece)));
        chunks.push(finish("tool_calls"));
        let got = message(&chunks);
        assert_eq!(got["content"][0]["input"]["a"], want, "{pieces:?}");
        let whole = json!({"tool_calls": [{"id": "c", "function": {"name": "f", "arguments": pieces.concat()}}]});
        assert_eq!(plain(&whole, "tool_calls").unwrap()["content"][0]["input"]["a"], want);
    }
}
