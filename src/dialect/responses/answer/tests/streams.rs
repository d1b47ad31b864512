//! Streams: chunks in, events out. Every stream goes through the grammar's check.

use serde_json::{Value, json};

use super::{
    ResponseConverter, call, completion, convert, delta, events, finish, grammar, last, more,
    options, outline, plain, sse,
};
use crate::test;

#[test]
fn text_byte_for_byte() {
    let out = convert(&sse(&[
        delta(json!({"role":"assistant","content":""})),
        delta(json!({"content":"Hé\n"})),
        finish("stop"),
        json!({"id":"c","choices":[],"usage":{"prompt_tokens":1,"completion_tokens":1,"total_tokens":2,"prompt_tokens_details":{"cached_tokens":1}}}),
    ]));
    let tools = r#""instructions":null,"service_tier":"auto","tools":[{"type":"function","name":"plain"},{"type":"function","name":"plainer"},{"type":"function","name":"other"},{"type":"custom","name":"shell"}]"#;
    let begun = format!(
        r#"{{"id":"resp_x","object":"response","created_at":1700000000,"status":"in_progress","background":false,"error":null,"incomplete_details":null,"model":"m","output":[],{tools},"usage":null,"completed_at":null}}"#
    );
    let item = r#"{"id":"msg_x_0","type":"message","status":"completed","role":"assistant","content":[{"type":"output_text","text":"Hé\n","annotations":[],"logprobs":[]}]}"#;
    let ended = format!(
        r#"{{"id":"resp_x","object":"response","created_at":1700000000,"status":"completed","background":false,"error":null,"incomplete_details":null,"model":"m","output":[{item}],{tools},"usage":{{"input_tokens":1,"input_tokens_details":{{"cached_tokens":1,"cache_write_tokens":0}},"output_tokens":1,"output_tokens_details":{{"reasoning_tokens":0}},"total_tokens":2}},"completed_at":1800000000}}"#
    );
    let place = r#""item_id":"msg_x_0","output_index":0,"content_index":0"#;
    let part = r#"{"type":"output_text","text":"","annotations":[],"logprobs":[]}"#;
    let whole = part.replace(r#""text":"""#, r#""text":"Hé\n""#);
    let want = [
        ("created", format!(r#""response":{begun}"#)),
        ("in_progress", format!(r#""response":{begun}"#)),
        ("output_item.added", r#""output_index":0,"item":{"id":"msg_x_0","type":"message","status":"in_progress","role":"assistant","content":[]}"#.to_owned()),
        ("content_part.added", format!(r#"{place},"part":{part}"#)),
        ("output_text.delta", format!(r#"{place},"delta":"Hé\n","logprobs":[]"#)),
        ("output_text.done", format!(r#"{place},"text":"Hé\n","logprobs":[]"#)),
        ("content_part.done", format!(r#"{place},"part":{whole}"#)),
        ("output_item.done", format!(r#""output_index":0,"item":{item}"#)),
        ("completed", format!(r#""response":{ended}"#)),
    ];
    let want: String = want
        .iter()
        .enumerate()
        .map(|(number, (name, members))| {
            format!("event: response.{name}\ndata: {{\"type\":\"response.{name}\",\"sequence_number\":{number},{members}}}\n\n")
        })
        .collect();
    assert_eq!(String::from_utf8(out.clone()).unwrap(), want);
    grammar::check(&out);
}

#[test]
fn everything_in_its_order() {
    let got = events(&[
        delta(json!({"role":"assistant","content":null})),
        delta(json!({"reasoning_content":"h"})),
        delta(json!({"reasoning_content":"m","content":""})),
        delta(json!({"reasoning_content":null,"content":"a"})),
        delta(json!({"content":"b"})),
        delta(call(0, "a", "plain", "")),
        delta(more(0, "{\"q\":")),
        delta(call(1, "b", "other", "{}")),
        delta(more(0, "1}")),
        finish("tool_calls"),
    ]);
    assert_eq!(
        outline(&got),
        [
            "created",
            "in_progress",
            "output_item.added 0 in_progress",
            "content_part.added 0",
            "reasoning_text.delta 0 h",
            "reasoning_text.delta 0 m",
            "reasoning_text.done 0",
            "content_part.done 0",
            "output_item.done 0 completed",
            "output_item.added 1 in_progress",
            "content_part.added 1",
            "output_text.delta 1 a",
            "output_text.delta 1 b",
            "output_text.done 1",
            "content_part.done 1",
            "output_item.done 1 completed",
            // `plain` may still become `plainer`: its item waits for the arguments.
            "output_item.added 2 in_progress",
            "function_call_arguments.delta 2 {\"q\":",
            "output_item.added 3 in_progress",
            "function_call_arguments.delta 3 {}",
            "function_call_arguments.delta 2 1}",
            "function_call_arguments.done 2",
            "output_item.done 2 completed",
            "function_call_arguments.done 3",
            "output_item.done 3 completed",
            "completed",
        ]
    );
    let whole = plain(&completion(
        json!({"reasoning_content":"hm","content":"ab","tool_calls":[
            {"id":"a","function":{"name":"plain","arguments":"{\"q\":1}"}},
            {"id":"b","function":{"name":"other","arguments":"{}"}}]}),
        "tool_calls",
    ));
    assert_eq!(last(&got), &whole);
}

#[test]
fn no_token_waits_for_the_next() {
    let mut converter = ResponseConverter::new(options(true));
    let mut push = |chunk: &Value| {
        String::from_utf8(converter.push(format!("data: {chunk}\n\n").as_bytes())).unwrap()
    };
    let first = push(&delta(json!({"role":"assistant"})));
    assert!(first.contains("response.created") && first.contains("response.in_progress"));
    assert_eq!(push(&delta(json!({"content":""}))), "");
    assert!(push(&delta(json!({"content":"x"}))).contains("\"delta\":\"x\""));
    // A name that was offered, and begins no other: the call shows with it.
    assert!(push(&delta(call(0, "a", "other", ""))).contains("\"call_id\":\"a\""));
    assert!(push(&delta(more(0, "{"))).contains("function_call_arguments.delta"));
    assert_eq!(push(&finish("stop")), "", "more may follow, and usage");
    let usage = push(&json!({"choices":[],"usage":{"prompt_tokens":1,"total_tokens":1}}));
    assert_eq!(usage, "");
    let end = String::from_utf8(converter.push(b"data: [DONE]\n\n")).unwrap();
    assert!(end.starts_with("event: response.function_call_arguments.done\n"));
    assert!(end.contains("event: response.completed\n"));
    assert!(converter.is_done());
    assert_eq!(converter.cached(), Some(false));
    assert!(converter.push(b"data: {\"choices\":[]}\n\n: late\n\n").is_empty());
    assert!(converter.finish().is_empty());
}

#[test]
fn text_behind_a_call_is_an_item_of_its_own() {
    let got = events(&[
        delta(json!({"content":"a"})),
        delta(call(0, "a", "other", "{")),
        delta(json!({"content":"b"})),
        delta(more(0, "}")),
        delta(call(1, "b", "other", "{}")),
        delta(json!({"content":"c"})),
        finish("stop"),
    ]);
    let done: Vec<String> =
        outline(&got).into_iter().filter(|line| line.starts_with("output_item")).collect();
    assert_eq!(
        done,
        [
            "output_item.added 0 in_progress",
            "output_item.done 0 completed",
            "output_item.added 1 in_progress",
            "output_item.added 2 in_progress",
            "output_item.added 3 in_progress",
            "output_item.added 4 in_progress",
            "output_item.done 1 completed",
            "output_item.done 2 completed",
            "output_item.done 3 completed",
            "output_item.done 4 completed",
        ]
    );
    let texts: Vec<_> =
        last(&got)["output"].as_array().unwrap().iter().map(|i| &i["content"][0]["text"]).collect();
    assert_eq!(texts, [&json!("a"), &Value::Null, &json!("b"), &Value::Null, &json!("c")]);
}

#[test]
fn names_in_pieces_or_repeated() {
    let name = |name: &str| json!({"tool_calls":[{"index":0,"function":{"name":name}}]});
    for (chunks, want) in [
        (vec![call(0, "a", "pl", ""), name("ain"), more(0, "{}")], "plain"),
        (vec![call(0, "a", "plain", ""), name("er"), more(0, "{}")], "plainer"),
        (vec![call(0, "a", "plain", ""), name("plain"), more(0, "{}"), name("plain")], "plain"),
        (vec![call(0, "a", "pla", ""), name("plain"), name("plainer")], "plainer"),
        (vec![call(0, "a", "other", "{}"), name("other")], "other"),
        (vec![call(0, "a", "new", ""), more(0, "{}"), name("er")], "new"),
        (vec![more(0, "{"), more(0, "}"), name("plain")], "plain"),
        (vec![call(0, "a", "files__", ""), name("read")], "read"),
    ] {
        let mut chunks: Vec<_> = chunks.into_iter().map(delta).collect();
        chunks.push(finish("tool_calls"));
        let got = events(&chunks);
        assert_eq!(last(&got)["output"][0]["name"], want, "{chunks:?}");
        assert_eq!(last(&got)["output"].as_array().unwrap().len(), 1);
    }
}

#[test]
fn calls_are_told_apart_without_index_or_id() {
    let one = |call: Value| delta(json!({ "tool_calls": [call] }));
    let got = events(&[
        one(json!({"function":{"name":"other","arguments":"{"}})),
        one(json!({"function":{"arguments":"}"}})),
        one(json!({"function":{"name":"other","arguments":"{}"}})),
        one(json!({"id":"c","function":{"name":"other","arguments":"["}})),
        one(json!({"id":"c","function":{"arguments":"]"}})),
        one(json!({"index":7,"id":"c","function":{"name":"other","arguments":{"a":1}}})),
        finish("tool_calls"),
    ]);
    let calls: Vec<_> = last(&got)["output"]
        .as_array()
        .unwrap()
        .iter()
        .map(|call| (call["call_id"].as_str().unwrap(), call["arguments"].as_str().unwrap()))
        .collect();
    assert_eq!(
        calls,
        [("call_x_0", "{}"), ("call_x_1", "{}"), ("c", "[]"), ("call_x_3", "{\"a\":1}")]
    );
}

#[test]
fn the_legacy_call() {
    let got = events(&[
        delta(json!({"function_call":{"name":"other","arguments":""}})),
        delta(json!({"function_call":{"arguments":"{}"}})),
        finish("function_call"),
    ]);
    assert_eq!(
        last(&got),
        &plain(&completion(json!({"function_call":{"name":"other","arguments":"{}"}}), "stop"))
    );
}

#[test]
fn empty_arguments_are_done() {
    let got = events(&[delta(call(0, "a", "other", "")), finish("tool_calls")]);
    assert_eq!(
        outline(&got)[2..],
        [
            "output_item.added 0 in_progress",
            "function_call_arguments.delta 0 {}",
            "function_call_arguments.done 0",
            "output_item.done 0 completed",
            "completed"
        ]
    );
    assert_eq!(got[4]["arguments"], "{}");
    assert_eq!(got[4]["name"], "other");
}

#[test]
fn a_custom_tool_gets_its_input_as_it_comes() {
    let got = events(&[
        delta(call(0, "a", "shell", "")),
        delta(more(0, "{\"inp")),
        delta(more(0, "ut\": \"ls ")),
        delta(more(0, "-l\\")),
        delta(more(0, "n\\ud83d")),
        delta(more(0, "\\ude00 x\"")),
        delta(more(0, "}")),
        finish("tool_calls"),
    ]);
    assert_eq!(
        outline(&got)[2..],
        [
            "output_item.added 0 in_progress",
            "custom_tool_call_input.delta 0 ls ",
            "custom_tool_call_input.delta 0 -l",
            "custom_tool_call_input.delta 0 \n",
            "custom_tool_call_input.delta 0 \u{1f600} x",
            "custom_tool_call_input.done 0",
            "output_item.done 0 completed",
            "completed"
        ]
    );
    assert_eq!(last(&got)["output"][0]["input"], "ls -l\n\u{1f600} x");
    assert_eq!(last(&got)["output"][0]["id"], "ctc_x_0");
}

#[test]
fn refusals() {
    let got = events(&[
        delta(json!({"content":"I"})),
        delta(json!({"refusal":"No"})),
        delta(json!({"refusal":"."})),
        finish("stop"),
    ]);
    assert_eq!(
        outline(&got)[2..],
        [
            "output_item.added 0 in_progress",
            "content_part.added 0",
            "output_text.delta 0 I",
            "output_text.done 0",
            "content_part.done 0",
            "content_part.added 0",
            "refusal.delta 0 No",
            "refusal.delta 0 .",
            "refusal.done 0",
            "content_part.done 0",
            "output_item.done 0 completed",
            "completed"
        ]
    );
    assert_eq!(last(&got), &plain(&completion(json!({"content":"I","refusal":"No."}), "stop")));
}

#[test]
fn annotations_wait_for_their_text() {
    let note = json!({"type":"url_citation","url_citation":{"url":"u"}});
    let got = events(&[
        delta(json!({"annotations":[note]})),
        delta(json!({"content":"a"})),
        delta(json!({"annotations":[note]})),
        finish("stop"),
        json!({"choices":[{"index":0,"delta":{"annotations":[note]}}]}),
    ]);
    let flat = json!({"type":"url_citation","url":"u"});
    assert_eq!(last(&got)["output"][0]["content"][0]["annotations"], json!([flat, flat, flat]));
}

#[test]
fn log_probabilities_go_with_their_text() {
    let chunk = |content: &str, token: &str| {
        let mut chunk = delta(json!({ "content": content }));
        chunk["choices"][0]["logprobs"] =
            json!({"content":[{"token":token,"logprob":-1,"bytes":[1],"top_logprobs":[]}]});
        chunk
    };
    let mut thought = delta(json!({"reasoning":"hm"}));
    thought["choices"][0]["logprobs"] = json!({"content":[{"token":"hm","logprob":-1}]});
    let got = events(&[
        chunk("", "lost"),
        thought,
        chunk("a", "a"),
        chunk("", "half"),
        chunk("\u{1f600}", "b"),
        chunk("", "end"),
        finish("stop"),
    ]);
    let tokens = |value: &Value| -> Vec<String> {
        value
            .as_array()
            .unwrap()
            .iter()
            .map(|one| one["token"].as_str().unwrap().to_owned())
            .collect()
    };
    let shown: Vec<_> = got
        .iter()
        .filter(|event| event["type"] == "response.output_text.delta")
        .map(|event| tokens(&event["logprobs"]))
        .collect();
    assert_eq!(shown, [vec!["a"], vec!["half", "b"]]);
    assert_eq!(
        tokens(&last(&got)["output"][1]["content"][0]["logprobs"]),
        ["a", "half", "b", "end"]
    );
}

#[test]
fn comments_pass_on() {
    let mut converter = ResponseConverter::new(options(true));
    assert_eq!(converter.push(b": keep-alive\n\n"), b": keep-alive\n\n");
    let begun = converter.push(format!("data: {}\n\n: x\n\n", delta(json!({}))).as_bytes());
    assert!(begun.ends_with(b"}\n\n: x\n\n"));
    let mut silent = ResponseConverter::new(options(false));
    assert!(silent.push(b": keep-alive\n\n").is_empty());
}

#[test]
fn a_surrogate_pair_that_was_cut() {
    let chunk = |inner: &str| {
        format!("data: {{\"choices\":[{{\"delta\":{{\"content\":\"{inner}\"}}}}]}}\n\n")
    };
    let stream =
        [chunk("a\\ud83d"), chunk("\\ude00b"), chunk("c\\ud83d"), "data: [DONE]\n\n".to_owned()];
    let got = grammar::check(&convert(stream.concat().as_bytes()));
    assert_eq!(last(&got)["output"][0]["content"][0]["text"], "a\u{1f600}bc\u{fffd}");
}

#[test]
fn a_message_where_a_delta_was_due() {
    let got = events(&[completion(
        json!({"content":"a","tool_calls":[{"id":"a","function":{"name":"other","arguments":"{}"}},{"id":"b","function":{"name":"other","arguments":"{}"}}]}),
        "tool_calls",
    )]);
    let kinds: Vec<_> =
        last(&got)["output"].as_array().unwrap().iter().map(|item| &item["type"]).collect();
    assert_eq!(kinds, ["message", "function_call", "function_call"]);
}

#[test]
fn a_name_without_end_is_cut_off() {
    let name = |piece: &str| delta(json!({"tool_calls":[{"index":0,"function":{"name":piece}}]}));
    let mut chunks: Vec<Value> = (0..60).map(|at| name(&format!("{at:010}"))).collect();
    chunks.push(finish("tool_calls"));
    let got = events(&chunks);
    assert_eq!(last(&got)["output"][0]["name"].as_str().unwrap().len(), 520);
}
