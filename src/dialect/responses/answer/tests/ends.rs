//! How streams end: cut, failed, too large, or asked for by nobody.

use serde_json::{Value, json};

use super::{
    ResponseConverter, call, completion, convert, delta, events, finish, grammar, last, more,
    options, outline, plain, sse, whole,
};
use crate::test;

#[test]
fn what_cuts_an_answer() {
    let got = events(&[
        delta(json!({"content":"a"})),
        delta(call(0, "a", "other", "{\"q")),
        finish("length"),
    ]);
    assert_eq!(
        outline(&got)[8..],
        [
            "output_item.added 1 in_progress",
            "function_call_arguments.delta 1 {\"q",
            "function_call_arguments.done 1",
            "output_item.done 1 incomplete",
            "incomplete"
        ]
    );
    assert_eq!(last(&got)["incomplete_details"]["reason"], "max_output_tokens");
    let got = events(&[delta(json!({"content":"a"})), finish("content_filter")]);
    assert_eq!(last(&got)["incomplete_details"]["reason"], "content_filter");
}

#[test]
fn an_error_ends_the_stream() {
    for (error, code) in [
        (
            json!({"message":"m","type":"api_error","param":null,"code":"context_length_exceeded"}),
            "context_length_exceeded",
        ),
        (
            json!({"message":"m","type":"rate_limit_error","param":null,"code":429}),
            "rate_limit_exceeded",
        ),
        (json!({"message":"m","type":"api_error","param":null,"code":null}), "server_error"),
    ] {
        let got = events(&[
            delta(json!({"reasoning":"hm"})),
            delta(json!({"content":"a"})),
            delta(call(0, "a", "other", "{")),
            json!({ "error": error }),
            delta(json!({"content":"late"})),
        ]);
        let statuses: Vec<_> = last(&got)["output"]
            .as_array()
            .unwrap()
            .iter()
            .map(|item| item["status"].as_str().unwrap())
            .collect();
        assert_eq!(statuses, ["completed", "completed", "incomplete"]);
        assert_eq!(last(&got)["error"], json!({"code":code,"message":"m"}));
        assert_eq!(outline(&got).last().unwrap(), "failed");
    }
    // Before any chunk.
    let got = events(&[json!({"error":{"message":"m"}})]);
    assert_eq!(outline(&got), ["created", "in_progress", "failed"]);
}

#[test]
fn an_end_that_is_none() {
    for (stream, code) in [
        (sse(&[]), "invalid_upstream_response"),
        (sse(&[json!({"choices":[],"usage":{"total_tokens":1}})]), "invalid_upstream_response"),
        (
            sse(&[json!({"choices":[{"index":1,"delta":{"content":"x"}}]})]),
            "invalid_upstream_response",
        ),
        (b"".to_vec(), "upstream_stream_truncated"),
        (
            b"data: {\"choices\":[{\"delta\":{\"content\":\"x\"}}]}\n\n".to_vec(),
            "upstream_stream_truncated",
        ),
        (b"data: {\"choices\":[{}\n\n".to_vec(), "invalid_upstream_response"),
    ] {
        let got = grammar::check(&convert(&stream));
        assert_eq!(last(&got)["error"]["code"], code, "{}", stream.escape_ascii());
        let mut converter = ResponseConverter::new(options(false));
        assert!(converter.push(&stream).is_empty());
        let answer = converter.into_response().unwrap_err();
        assert_eq!((answer.status, answer.error.code.as_deref()), (502, Some(code)));
    }
}

#[test]
fn an_end_without_done_or_finish_reason() {
    // `[DONE]` says that the answer is complete; so does a finish reason.
    let text = delta(json!({"content":"x"}));
    let got = events(std::slice::from_ref(&text));
    assert_eq!(last(&got)["status"], "completed");
    let stream = format!("data: {text}\n\ndata: {}\n\n", finish("length"));
    let got = grammar::check(&convert(stream.as_bytes()));
    assert_eq!(last(&got)["status"], "incomplete");
    // The last line may lack its end.
    let got = grammar::check(&convert(format!("data: {text}\n\ndata: [DONE]").as_bytes()));
    assert_eq!(last(&got)["status"], "completed");
}

#[test]
fn what_comes_behind_the_finish_reason() {
    let got = events(&[
        delta(json!({"content":"a"})),
        finish("stop"),
        delta(json!({"content":"b"})),
        finish("stop"),
    ]);
    assert_eq!(last(&got)["output"].as_array().unwrap().len(), 1);
    assert_eq!(last(&got)["output"][0]["content"][0]["text"], "ab");
    let got = events(&[
        delta(call(0, "a", "other", "{}")),
        finish("tool_calls"),
        delta(more(0, "")),
        delta(more(0, "{}")),
    ]);
    assert_eq!(last(&got)["output"][0]["arguments"], "{}{}");
}

#[test]
fn too_much_text_ends_in_a_failure() {
    let mut options = options(true);
    options.max_answer_bytes = 330;
    let mut converter = ResponseConverter::new(options.clone());
    let mut out = Vec::new();
    for _ in 0..100 {
        out.extend(
            converter
                .push(format!("data: {}\n\n", delta(json!({"content":"x".repeat(30)}))).as_bytes()),
        );
    }
    assert!(converter.is_done());
    let got = grammar::check(&out);
    assert_eq!(last(&got)["output"][0]["content"][0]["text"], "x".repeat(60));
    assert_eq!(
        last(&got)["error"],
        json!({"code":"invalid_upstream_response","message":"The upstream's answer is larger than 330 bytes."})
    );
    assert_eq!(converter.into_response().unwrap_err().status, 502);

    // A line without end, in pieces and at once.
    let line = [b"data: ".to_vec(), vec![b' '; (1 << 20) + 400]].concat();
    let mut pieces = ResponseConverter::new(options.clone());
    let out: Vec<u8> = line.chunks(1000).flat_map(|piece| pieces.push(piece)).collect();
    assert!(pieces.is_done());
    let mut at_once = ResponseConverter::new(options);
    assert_eq!(at_once.push(&[&line[..], b"\n\n"].concat()), out);
    assert_eq!(last(&grammar::check(&out))["error"]["code"], "invalid_upstream_response");
}

#[test]
fn a_stream_that_nobody_asked_for() {
    let stream = sse(&[
        delta(json!({"content":"a"})),
        delta(json!({"content":"b"})),
        finish("stop"),
        json!({"choices":[],"usage":{"prompt_tokens":2,"total_tokens":2,"cached_tokens":1}}),
    ]);
    let mut converter = ResponseConverter::new(options(false));
    assert!(converter.push(&stream).is_empty());
    assert!(converter.finish().is_empty());
    assert_eq!(converter.cached(), Some(true));
    let response: Value = serde_json::from_slice(&converter.into_response().unwrap()).unwrap();
    let mut chat = completion(json!({"content":"ab"}), "stop");
    chat["usage"] = json!({"prompt_tokens":2,"total_tokens":2,"cached_tokens":1});
    assert_eq!(response, plain(&chat));
}

#[test]
fn a_call_that_is_cut_before_its_name_is_left_out() {
    for arguments in ["", "{\"b\":"] {
        let calls = json!([{"index": 0, "id": "c", "type": "function", "function": {"arguments": arguments}}]);
        let said = json!({"content": "t", "tool_calls": calls});
        let got = plain(&completion(said.clone(), "length"));
        let texts = |got: &Value| {
            let items = got["output"].as_array().unwrap().iter();
            items.map(|item| item["content"][0]["text"].clone()).collect::<Vec<_>>()
        };
        assert_eq!((texts(&got), &got["status"]), (vec![json!("t")], &json!("incomplete")));
        let chunks = [delta(json!({"content": "t"})), delta(json!({"tool_calls": calls}))];
        let all = events(&[&chunks[..], &[finish("length")]].concat());
        let got = last(&all);
        assert_eq!((texts(got), &got["status"]), (vec![json!("t")], &json!("incomplete")));
        // Otherwise there is nothing to call.
        let chat = completion(said, "tool_calls").to_string();
        assert_eq!(whole(options(false), chat.as_bytes()).unwrap_err().status, 502);
        let all = events(&[&chunks[..], &[finish("tool_calls")]].concat());
        assert_eq!(last(&all)["status"], "failed");
    }
}
