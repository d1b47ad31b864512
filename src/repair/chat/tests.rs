//! Whole answers: what is repaired, kind by kind.

use serde_json::{Value, json};

use super::completion::answer;
use super::{Api, RequestFacts, collect};
use crate::error::ErrorAnswer;
use crate::test;

const MAX: usize = 1 << 20;

fn read_as(api: Api, body: &str, request: RequestFacts) -> Result<Value, Box<ErrorAnswer>> {
    match answer(api, body.as_bytes(), request, MAX) {
        Ok(completion) => Ok(serde_json::from_slice(&completion.body).unwrap()),
        Err(answer) => Err(answer),
    }
}

fn chat(body: &str) -> Result<Value, Box<ErrorAnswer>> {
    read_as(Api::Chat, body, RequestFacts::default())
}

fn with_choice(choice: &str) -> String {
    format!(
        r#"{{"id":"c","object":"chat.completion","created":1,"model":"m","choices":[{choice}]}}"#
    )
}

/// The choice that leaves for one that comes.
fn choice(choice: &str) -> Value {
    chat(&with_choice(choice)).unwrap()["choices"][0].clone()
}

fn fails(body: &str) -> ErrorAnswer {
    *chat(body).unwrap_err()
}

#[test]
fn what_is_right_keeps_its_bytes() {
    for body in [
        with_choice(
            r#"{"index":0,"message":{"role":"assistant","content":"a"},"finish_reason":"stop","logprobs":null}"#,
        ),
        with_choice(
            r#"{"index":0,"message":{"role":"assistant","content":null,"tool_calls":[{"id":"a","type":"function","function":{"name":"f","arguments":"{}"}}]},"finish_reason":"tool_calls"}"#,
        ),
        with_choice(
            r#"{"index":0,"message":{"role":"assistant","content":null,"tool_calls":[{"id":"a","type":"custom","custom":{"name":"f","input":"x"}}]},"finish_reason":"tool_calls"}"#,
        ),
    ] {
        let completion = answer(Api::Chat, body.as_bytes(), RequestFacts::default(), MAX).unwrap();
        assert_eq!(completion.body, body.as_bytes());
        assert_eq!(completion.repairs.iter().count(), 0);
    }
}

#[test]
fn a_message_under_another_name() {
    for given in [
        r#"{"index":0,"delta":{"role":"assistant","content":"Hi"},"finish_reason":"stop"}"#,
        r#"{"index":0,"message":null,"delta":{"content":"Hi"},"finish_reason":"stop"}"#,
        r#"{"index":0,"text":"Hi","finish_reason":"stop"}"#,
        r#"{"message":{"content":"Hi"},"finish_reason":"stop"}"#,
    ] {
        let got = choice(given);
        let message = &got["message"];
        assert_eq!((&message["role"], &message["content"]), (&json!("assistant"), &json!("Hi")));
        assert_eq!(got["index"], 0, "{given}");
    }
    for given in [
        r#"{"choices":[{"index":0,"message":{"content":"Hi"},"finish_reason":"eos_token"}]}"#,
        r#"{"choices":[{"index":0,"text":"Hi","finish_reason":"stop"}]}"#,
        r#"{"choices":[{"text":[{"type":"text","text":"Hi"}],"finish_reason":"eos"}]}"#,
    ] {
        let got = read_as(Api::Completions, given, RequestFacts::default()).unwrap();
        assert_eq!(got["choices"][0]["text"], "Hi", "{given}");
        assert_eq!(got["choices"][0]["finish_reason"], "stop", "{given}");
    }
}

#[test]
fn content_that_is_no_string() {
    for (content, text, reasoning) in [
        (r#"[{"type":"text","text":"a"},{"type":"text","text":"b"}]"#, json!("ab"), Value::Null),
        (
            r#"[{"type":"thinking","thinking":[{"type":"text","text":"h\n"}]},{"type":"text","text":"a"}]"#,
            json!("a"),
            json!("h\n"),
        ),
        (r#"[{"type":"thinking","thinking":"h"}]"#, Value::Null, json!("h")),
        (r#"["a","b"]"#, json!("ab"), Value::Null),
        (r#"{"type":"text","text":"a"}"#, json!("a"), Value::Null),
        (r#"{"parts":[{"text":"a"}]}"#, json!("a"), Value::Null),
        (r#"{"city":"Oslo"}"#, json!(r#"{"city":"Oslo"}"#), Value::Null),
        ("[1,2]", json!("[1,2]"), Value::Null),
        ("7", json!("7"), Value::Null),
        (
            r#"[{"type":"reference","ids":[1]},{"type":"text","text":"a"}]"#,
            json!(r#"{"type":"reference","ids":[1]}a"#),
            Value::Null,
        ),
    ] {
        let got = choice(&format!(
            r#"{{"index":0,"message":{{"role":"assistant","content":{content}}},"finish_reason":"stop"}}"#
        ));
        assert_eq!(got["message"]["content"], text, "{content}");
        assert_eq!(got["message"]["reasoning_content"], reasoning, "{content}");
    }
    let got =
        choice(r#"{"index":0,"message":{"content":"a","reasoning":[{"text":"h"},{"text":"m"}]}}"#);
    assert_eq!(got["message"]["reasoning"], "hm");
}

#[test]
fn texts_are_found_wherever_they_stand() {
    let parts = r#"[{"type":"thinking","thinking":"h"},{"type":"text","text":"Hello"}]"#;
    for (said, reasoning) in [
        (format!(r#""message":{parts}"#), json!("h")),
        (format!(r#""content":{parts}"#), json!("h")),
        (format!(r#""message":null,"delta":{parts}"#), json!("h")),
        (format!(r#""message":{{"text":{parts}}}"#), json!("h")),
        (format!(r#""message":{{"content":null,"text":{parts}}}"#), json!("h")),
        (r#""content":{"parts":[{"text":"Hello"}]}"#.to_owned(), Value::Null),
        (r#""message":{"content":null,"text":"Hello"}"#.to_owned(), Value::Null),
        (r#""message":{"content":"","text":"Hello"}"#.to_owned(), Value::Null),
        (r#""message":{"text":"Hello","content":[]}"#.to_owned(), Value::Null),
        (r#""message":{"content":"Hello","text":"Bye"}"#.to_owned(), Value::Null),
        (
            r#""message":{"content":"Hello","reasoning":[{"text":"h"}],"reasoning_content":null}"#
                .to_owned(),
            Value::Null,
        ),
    ] {
        let got = choice(&format!(r#"{{"index":0,{said},"finish_reason":"stop"}}"#));
        assert_eq!(got["message"]["content"], "Hello", "{said}");
        assert_eq!(got["message"]["reasoning_content"], reasoning, "{said}");
        assert_eq!(got["message"]["role"], "assistant", "{said}");
    }
    let got = choice(
        r#"{"index":0,"message":[{"type":"refusal","refusal":"No"}],"finish_reason":"stop"}"#,
    );
    assert_eq!(got["message"], json!({"role": "assistant", "content": null, "refusal": "No"}));
}

#[test]
fn a_refusal_that_is_no_string() {
    for (said, refusal) in [
        (r#""refusal":false,"content":[{"type":"refusal","refusal":"I can not"}]"#, "I can not"),
        (r#""refusal":{},"content":[{"type":"refusal","refusal":"I can not"}]"#, "I can not"),
        (r#""refusal":"No","content":[{"type":"refusal","refusal":"I can not"}]"#, "No"),
        (r#""content":null,"refusal":{"text":"I can not"}"#, "I can not"),
        (r#""content":null,"refusal":[{"type":"refusal","refusal":"I can not"}]"#, "I can not"),
        (r#""content":null,"refusal":["I can ","not"]"#, "I can not"),
    ] {
        let got = choice(&format!(
            r#"{{"index":0,"message":{{"role":"bot",{said}}},"finish_reason":"stop"}}"#
        ));
        let want = json!({"role": "assistant", "content": null, "refusal": refusal});
        assert_eq!(got["message"], want, "{said}");
    }
    for none in ["false", "0", "{}", "[]", "null"] {
        let got = choice(&format!(
            r#"{{"index":0,"message":{{"role":"bot","content":"a","refusal":{none}}},"finish_reason":"stop"}}"#
        ));
        let want = json!({"role": "assistant", "content": "a", "refusal": null});
        assert_eq!(got["message"], want, "{none}");
    }
}

#[test]
fn tool_calls_that_are_not_as_they_should_be() {
    for calls in [
        r#"[{"id":"t","type":"function","function":{"name":"f","arguments":{"a":1}}}]"#,
        r#"{"id":"t","type":"function","function":{"name":"f","arguments":"{\"a\":1}"}}"#,
        r#"[{"id":"t","name":"f","arguments":{"a":1}}]"#,
        r#"[{"id":"t","function":{"name":"f","parameters":{"a":1}}}]"#,
        r#"[{"id":"t","function":"f","arguments":"{\"a\":1}"}]"#,
        r#"[{"id":"t","type":"function","function":{"name":"f","arguments":{"a":1}}},null]"#,
        r#"[[{"id":"t","type":"function","function":{"name":"f","arguments":"{\"a\":1}"}}]]"#,
    ] {
        let got = choice(&format!(
            r#"{{"index":0,"message":{{"role":"assistant","content":null,"tool_calls":{calls}}},"finish_reason":"stop"}}"#
        ));
        let call = &got["message"]["tool_calls"][0];
        let want = json!({"id": "t", "type": "function", "function": {"name": "f", "arguments": r#"{"a":1}"#}});
        assert_eq!(*call, want, "{calls}");
        assert_eq!(got["finish_reason"], "tool_calls", "{calls}");
    }
    let (f, g) = (r#"{"function":{"name":"f"}}"#, r#"{"function":{"name":"g"}}"#);
    let got = choice(&format!(
        r#"{{"index":0,"message":{{"content":null,"tool_calls":{{"10":{g},"9":{f}}}}}}}"#
    ));
    let calls = got["message"]["tool_calls"].as_array().unwrap();
    let names: Vec<_> = calls.iter().map(|call| &call["function"]["name"]).collect();
    assert_eq!(names, ["f", "g"]);
    let got = choice(r#"{"index":0,"message":{"tool_calls":[{"function":{"name":"f"}}]}}"#);
    let call = &got["message"]["tool_calls"][0];
    assert!(call["id"].as_str().unwrap().starts_with("call_"));
    assert_eq!((&call["type"], &call["function"]["arguments"]), (&json!("function"), &json!("{}")));
    let got = choice(
        r#"{"index":0,"message":{"function_call":{"name":"f","arguments":{"a":1}}},"finish_reason":"function_call"}"#,
    );
    assert_eq!(got["message"]["function_call"]["arguments"], r#"{"a":1}"#);
}

#[test]
fn a_call_that_the_request_named_ends_in_stop() {
    let body = with_choice(
        r#"{"index":0,"message":{"role":"assistant","content":null,"tool_calls":[{"id":"a","type":"function","function":{"name":"f","arguments":"{}"}}]},"finish_reason":"stop"}"#,
    );
    let request = RequestFacts { names_tool: true, ..RequestFacts::default() };
    let got = read_as(Api::Chat, &body, request).unwrap();
    assert_eq!(got["choices"][0]["finish_reason"], "stop");
}

#[test]
fn a_call_behind_a_word_that_nobody_knows_ends_as_behind_stop() {
    let call = r#""tool_calls":[{"index":0,"id":"a","type":"function","function":{"name":"f","arguments":"{}"}}]"#;
    for word in ["tool_ca klls", "odd", "tools", "stop"] {
        let whole = choice(&format!(
            r#"{{"index":0,"message":{{"role":"assistant","content":null,{call}}},"finish_reason":"{word}"}}"#
        ));
        let stream = format!(
            "data: {{\"choices\":[{{\"index\":0,\"delta\":{{{call}}}}}]}}\n\ndata: {{\"choices\":[{{\"index\":0,\"delta\":{{}},\"finish_reason\":\"{word}\"}}]}}\n\ndata: [DONE]\n\n"
        );
        let collected = chat(&stream).unwrap();
        assert_eq!(whole["finish_reason"], "tool_calls", "{word}");
        assert_eq!(collected["choices"][0]["finish_reason"], "tool_calls", "{word}");
    }
    let text = r#"{"index":0,"message":{"role":"assistant","content":"a"},"finish_reason":"odd"}"#;
    assert_eq!(choice(text)["finish_reason"], "stop");
}

#[test]
fn finish_reasons() {
    for (given, want) in [
        (r#""finish_reason":"eos_token""#, json!("stop")),
        (r#""finish_reason":"STOP""#, json!("stop")),
        (r#""finish_reason":{"type":"length","length":16}"#, json!("length")),
        (r#""finish_reason":null,"finishReason":"MAX_TOKENS""#, json!("length")),
        (r#""finishReason":"SAFETY""#, json!("content_filter")),
        (r#""finish_reason":"sensitive""#, json!("content_filter")),
        (r#""finish_reason":"model_context_window_exceeded""#, json!("length")),
        (r#""finish_reason":"null""#, Value::Null),
        (r#""finish_reason":"stop","native_finish_reason":"STOP""#, json!("stop")),
        (r#""finish_reason":"its_own""#, json!("stop")),
        (r#""finish_reason":["stop"]"#, json!("stop")),
        (r#""finish_reason":2"#, json!("length")),
        (r#""stop_reason":"max_tokens""#, json!("length")),
        (r#""finish_reason":null,"done_reason":"stop""#, json!("stop")),
        (r#""finish_details":{"type":"max_tokens"}"#, json!("length")),
        (r#""finish_reason":"stop","stop_reason":7"#, json!("stop")),
        (r#""finish_reason":1"#, json!("stop")),
        (r#""finish_reason":4"#, json!("content_filter")),
        (r#""finish_reason":[{"type":"length"}]"#, json!("length")),
        (r#""finish_reason":{"reason":{"type":"length"}}"#, json!("length")),
        (r#""finish_reason":[["length"]]"#, json!("length")),
        (r#""finish_reason":[[[["length"]]]]"#, Value::Null),
        (r#""finish_reason":0"#, Value::Null),
    ] {
        let got = choice(&format!(r#"{{"index":0,"message":{{"content":"a"}},{given}}}"#));
        assert_eq!(got["finish_reason"], want, "{given}");
    }
}

#[test]
fn a_number_that_nobody_knows_is_told() {
    for number in ["5", "17", "1.5", "-1"] {
        let got = choice(&format!(
            r#"{{"index":0,"message":{{"content":"a"}},"finish_reason":{number}}}"#
        ));
        let told = (&got["finish_reason"], &got["native_finish_reason"]);
        assert_eq!(told, (&json!("stop"), &json!(number)));
    }
}

#[test]
fn failures_under_other_names() {
    for (given, words, status) in [
        (r#""finish_reason":"abort""#, "abort", 502),
        (r#""finish_reason":"ERROR""#, "ERROR", 502),
        (r#""finish_reason":"insufficient_system_resource""#, "insufficient_system_resource", 502),
        (r#""finish_reason":"engine_failure""#, "engine_failure", 502),
        (r#""finish_reason":{"type":"abort","message":"m"}"#, "abort", 502),
        (r#""finish_reason":"stop","native_finish_reason":"network_error""#, "network_error", 502),
        (r#""finish_reason":null,"error":{"code":503,"message":"gone"}"#, "gone", 503),
        (r#""finish_reason":"stop","error":"gone""#, "gone", 502),
    ] {
        let answer =
            fails(&with_choice(&format!(r#"{{"index":0,"message":{{"content":"a"}},{given}}}"#)));
        assert!(answer.error.message.contains(words), "{given}: {}", answer.error.message);
        assert_eq!(answer.status, status, "{given}");
    }
}

#[test]
fn an_error_that_says_success_is_none() {
    for error in [
        r#"{"code":0,"message":"success"}"#,
        r#"{"code":"0","message":""}"#,
        r#"{"code":200,"message":"ok"}"#,
        r#""success""#,
        "0",
    ] {
        let body = with_choice(r#"{"index":0,"message":{"role":"assistant","content":"a"}}"#);
        let body = body.replacen('{', &format!(r#"{{"error":{error},"#), 1);
        assert_eq!(chat(&body).unwrap()["error"], Value::Null, "{error}");
    }
}

#[test]
fn one_level_is_looked_through() {
    let inner = with_choice(
        r#"{"index":0,"message":{"role":"assistant","content":"a"},"finish_reason":"eos"}"#,
    );
    for body in [
        format!(r#"{{"code":0,"msg":"ok","data":{inner}}}"#),
        format!(r#"{{"success":true,"result":{inner}}}"#),
        format!("[{inner}]"),
        format!(r#"{{"response":[{inner}]}}"#),
        format!("data: {inner}\n\ndata: [DONE]\n\n"),
        inner.replace("[{", "{").replace("}]", "}"),
    ] {
        let got = chat(&body).unwrap();
        assert_eq!(got["choices"][0]["message"]["content"], "a", "{body}");
        assert_eq!(got["choices"][0]["finish_reason"], "stop", "{body}");
    }
}

#[test]
fn an_answer_that_was_made_a_text_is_read_at_any_level() {
    let inner = with_choice(
        r#"{"index":0,"message":{"role":"assistant","content":"a"},"finish_reason":"eos"}"#,
    );
    let text = |json: &str| Value::from(json).to_string();
    let pretty = serde_json::from_str::<Value>(&inner).unwrap();
    let pretty = serde_json::to_string_pretty(&pretty).unwrap();
    for body in [
        text(&inner),
        format!(r#"{{"data":{}}}"#, text(&pretty)),
        format!(r#"{{"code":0,"data":{{"result":{}}}}}"#, text(&pretty)),
        format!(r#"{{"body":{{"data":{{"result":{}}}}}}}"#, text(&pretty)),
        format!(r#"{{"data":{}}}"#, text(&format!(r#"{{"result":{}}}"#, text(&pretty)))),
    ] {
        let got = chat(&body).unwrap();
        assert_eq!(got["choices"][0]["message"]["content"], "a", "{body}");
        assert_eq!(got["choices"][0]["finish_reason"], "stop", "{body}");
    }
}

#[test]
fn an_envelope_that_tells_of_success_is_opened() {
    let inner = with_choice(
        r#"{"index":0,"message":{"role":"assistant","content":"a"},"finish_reason":"stop"}"#,
    );
    for (before, after) in [
        (r#"{"success":true,"message":"ok","result":"#, "}"),
        (r#"{"msg":"success","response":"#, "}"),
        (r#"{"code":1,"msg":"success","data":"#, "}"),
        (r#"{"message":"done","payload":"#, "}"),
        (r#"{"message":"OK","body":"#, r#","detail":"served from the second zone"}"#),
        (r#"{"reason":"stop","completion":"#, r#","code":"1000","message":"Success"}"#),
    ] {
        let body = format!("{before}{inner}{after}");
        let got = chat(&body).unwrap();
        assert_eq!(got["choices"][0]["message"]["content"], "a", "{body}");
    }
    for (before, after) in [
        (r#"{"success":false,"message":"busy","result":"#, "}"),
        (r#"{"error":"busy","response":"#, "}"),
        (r#"{"code":429,"message":"busy","result":"#, "}"),
        (r#"{"status":"failed","msg":"busy","payload":"#, "}"),
    ] {
        let body = format!("{before}{inner}{after}");
        assert_eq!(chat(&body).unwrap_err().error.message, "busy", "{body}");
    }
}

#[test]
fn no_answer_is_an_error_with_its_words() {
    for (body, words) in [
        ("{}", ""),
        (r#"{"id":"","object":"","choices":null,"usage":null}"#, ""),
        (r#"{"id":"c","choices":[],"usage":{"prompt_tokens":1}}"#, ""),
        (r#"{"choices":[{"index":0,"message":null,"finish_reason":"length"}]}"#, ""),
        (r#"{"choices":[{"index":0,"finish_reason":"stop"}]}"#, ""),
        (r#"{"retcode":-1,"retmsg":"not loaded"}"#, "not loaded"),
        (r#"{"status":"error","error_description":"bad key"}"#, "bad key"),
        (r#"{"code":500,"data":{"error":"no worker"}}"#, "no worker"),
        (r#"{"result":{"msg":"no worker"}}"#, "no worker"),
        ("\"no worker\"", "no worker"),
        ("no worker", "no worker"),
        ("null", ""),
        ("[]", ""),
    ] {
        let answer = fails(body);
        assert!(answer.status >= 400, "{body}");
        assert!(answer.error.message.contains(words), "{body}: {}", answer.error.message);
    }
}

/// What was to be said is withheld, which is told as OpenAI tells it, and no failure.
#[test]
fn a_filtered_answer_needs_no_message() {
    for choice in [
        r#"{"index":0,"message":null,"finish_reason":"content_filter"}"#,
        r#"{"index":0,"finish_reason":"content_filter"}"#,
        r#"{"index":0,"finish_reason":"SAFETY"}"#,
        r#"{"index":0,"finish_reason":"sensitive","delta":null}"#,
    ] {
        let answer = chat(&format!("{{\"choices\":[{choice}]}}")).unwrap();
        let choice = &answer["choices"][0];
        assert_eq!(choice["finish_reason"], "content_filter");
        assert_eq!(
            choice["message"],
            json!({"role": "assistant", "content": null, "refusal": null})
        );
    }
}

#[test]
fn nearly_json_is_mended() {
    for (logprob, want) in
        [("NaN", Value::Null), ("-Infinity", json!(-9999.0)), ("Infinity", Value::Null)]
    {
        let got = choice(&format!(
            r#"{{"index":0,"message":{{"content":"a"}},"logprobs":{{"content":[{{"logprob":{logprob}}}]}}}}"#
        ));
        assert_eq!(got["logprobs"]["content"][0]["logprob"], want);
    }
    let got = choice("{\"index\":0,\"message\":{\"content\":\"a\tb\nc\"}}");
    assert_eq!(got["message"]["content"], "a\tb\nc");
}

#[test]
fn counts_stand_at_the_top_as_numbers() {
    for body in [
        r#"{"choices":[{"index":0,"message":{"content":"a"}}],"usage":{"prompt_tokens":"3","total_tokens":"5"}}"#,
        r#"{"choices":[{"index":0,"message":{"content":"a"}}],"usage":{"prompt_tokens":3.0,"total_tokens":5.0}}"#,
        r#"{"choices":[{"index":0,"message":{"content":"a"},"usage":{"prompt_tokens":3,"total_tokens":5}}]}"#,
        r#"{"choices":[{"index":0,"delta":{"content":"a","usage":{"prompt_tokens":3,"total_tokens":5}}}]}"#,
        r#"{"choices":[{"index":0,"message":{"content":"a"}}],"meta":{"usage":{"prompt_tokens":3,"total_tokens":5}}}"#,
        r#"{"choices":[{"index":0,"message":{"content":"a"}}],"usage":null,"x_groq":{"usage":{"prompt_tokens":3,"total_tokens":5}}}"#,
    ] {
        let got = chat(body).unwrap();
        assert_eq!(got["usage"]["prompt_tokens"], 3, "{body}");
        assert_eq!(got["usage"]["total_tokens"], 5, "{body}");
    }
}

#[test]
fn counts_of_other_apis_are_openais() {
    for (usage, want) in [
        // Anthropic counts what the cache took or gave beside the input, OpenAI among it.
        (
            r#"{"input_tokens":10,"output_tokens":5,"cache_read_input_tokens":100,"cache_creation_input_tokens":7}"#,
            [117, 5, 122],
        ),
        (r#"{"inputTokens":10,"outputTokens":5,"cacheReadInputTokens":100}"#, [110, 5, 115]),
        (
            r#"{"input_tokens":10,"output_tokens":5,"cache_read_input_tokens":100,"total_tokens":115}"#,
            [110, 5, 115],
        ),
        // The total says that the input has it.
        (
            r#"{"input_tokens":110,"output_tokens":5,"cache_read_input_tokens":100,"total_tokens":115}"#,
            [110, 5, 115],
        ),
        (
            r#"{"prompt_tokens":110,"completion_tokens":5,"input_tokens":10,"cache_read_input_tokens":100}"#,
            [110, 5, 115],
        ),
        // Gemini counts thoughts beside the candidates.
        (
            r#"{"promptTokenCount":10,"candidatesTokenCount":5,"thoughtsTokenCount":20,"totalTokenCount":35}"#,
            [10, 25, 35],
        ),
        (
            r#"{"prompt_token_count":10,"candidates_token_count":5,"thoughts_token_count":20}"#,
            [10, 25, 35],
        ),
    ] {
        let body =
            format!(r#"{{"choices":[{{"index":0,"message":{{"content":"a"}}}}],"usage":{usage}}}"#);
        let got = &chat(&body).unwrap()["usage"];
        let got = ["prompt_tokens", "completion_tokens", "total_tokens"].map(|name| &got[name]);
        assert_eq!(got, want.map(|count| json!(count)).each_ref(), "{usage}");
    }
}

#[test]
fn a_stream_is_put_together() {
    let chunks = [
        r#"{"id":"c","object":"chat.completion.chunk","created":1,"model":"m","choices":[{"index":0,"delta":{"role":"assistant","reasoning_content":"h"}}]}"#,
        r#"{"id":"c","choices":[{"index":0,"delta":{"content":"H\ud83d"},"logprobs":{"content":[{"token":"a"}]}}]}"#,
        r#"{"id":"c","choices":[{"index":0,"delta":{"content":"\ude00"},"logprobs":{"content":[{"token":"b"}]}}]}"#,
        r#"{"id":"c","choices":[{"index":1,"delta":{"tool_calls":[{"index":0,"id":"t","type":"function","function":{"name":"f","arguments":"{\"a\""}}]}}]}"#,
        r#"{"id":"c","choices":[{"index":1,"delta":{"tool_calls":[{"index":0,"function":{"arguments":":1}"}}]},"finish_reason":"tool_calls"}]}"#,
        r#"{"id":"c","choices":[{"index":0,"delta":{},"finish_reason":"eos"}],"usage":{"total_tokens":7}}"#,
    ];
    let sse: String = chunks.map(|chunk| format!("data: {chunk}\n\n")).concat();
    let want = json!({
        "object": "chat.completion", "id": "c", "created": 1, "model": "m",
        "choices": [
            {"index": 0, "message": {"role": "assistant", "reasoning_content": "h", "content": "H😀"},
             "logprobs": {"content": [{"token": "a"}, {"token": "b"}]}, "finish_reason": "stop"},
            {"index": 1, "message": {"role": "assistant", "content": null, "tool_calls": [
                {"id": "t", "type": "function", "function": {"name": "f", "arguments": "{\"a\":1}"}}]},
             "finish_reason": "tool_calls"},
        ],
        "usage": {"total_tokens": 7},
    });
    for body in [
        format!("{sse}data: [DONE]\n\n"),
        sse,
        chunks.join("\n"),
        format!("[{}]", chunks.join(",")),
    ] {
        let request = RequestFacts { choices: 2, ..RequestFacts::default() };
        assert_eq!(read_as(Api::Chat, &body, request).unwrap(), want, "{body}");
    }
    let cut = format!("data: {}\n\ndata: {}\n\n", chunks[0], chunks[1]);
    assert_eq!(fails(&cut).status, 502);
    let error = format!("{cut}data: {{\"error\":{{\"message\":\"busy\",\"code\":429}}}}\n\n");
    assert_eq!((fails(&error).status, &*fails(&error).error.message), (429, "busy"));
    // What no chunk said of a call is filled in.
    let bare = chat(
        "data: {\"choices\":[{\"index\":0,\"delta\":{\"tool_calls\":[{\"index\":0,\"function\":{\"name\":\"f\",\"arguments\":\"{}\"}}]},\"finish_reason\":\"stop\"}]}\n\ndata: [DONE]\n\n",
    );
    let call = &bare.unwrap()["choices"][0]["message"]["tool_calls"][0];
    assert_eq!(call["type"], "function");
    assert!(call["id"].as_str().unwrap().starts_with("call_"));
    let text = read_as(
        Api::Completions,
        "data: {\"choices\":[{\"index\":0,\"text\":\"a\"}]}\n\ndata: {\"choices\":[{\"index\":0,\"text\":\"b\",\"finish_reason\":\"stop\"}]}\n\n",
        RequestFacts::default(),
    );
    assert_eq!(text.unwrap()["choices"][0]["text"], "ab");
}

/// OpenRouter sends annotations and details of reasoning piece by piece, others all of them each time.
#[test]
fn lists_of_a_stream_grow() {
    for (lists, want) in [
        (&["[1]", "[2]"][..], "[1,2]"),
        (&["[1]", "[1, 2]", "[1, 2, 3]"], "[1, 2, 3]"),
        (&["[]", "[1]", "[]", "[12]"], "[1,12]"),
        (&["[1]", "[1]", "null"], "[1]"),
        (&[r#"[{"a":1}]"#, r#"[ {"a":2} ]"#], r#"[{"a":1},{"a":2}]"#),
    ] {
        let chunks = lists.iter().map(|list| {
            format!(r#"data: {{"choices":[{{"index":0,"delta":{{"content":"x","annotations":{list}}}}}]}}"#)
        });
        let end = r#"data: {"choices":[{"index":0,"delta":{},"finish_reason":"stop"}]}"#;
        let stream = chunks.chain([end.to_owned()]).collect::<Vec<_>>().join("\n\n");
        let message = &chat(&stream).unwrap()["choices"][0]["message"];
        let want: Value = serde_json::from_str(want).unwrap();
        assert_eq!(message["annotations"], want, "{lists:?}");
    }
}

/// What a server cut is a bad answer, whatever the stream was to become.
#[test]
fn a_cut_stream_that_nobody_asked_for() {
    let chunk = r#"data: {"choices":[{"index":0,"delta":{"content":"a"}}]}"#;
    let cut = chat(&format!("{chunk}\n\n{chunk}\n\n")).unwrap_err();
    assert_eq!(cut.status, 502, "{cut:?}");
    let delta = b"data: {\"type\":\"transcript.text.delta\",\"delta\":\"a\"}\n\n";
    let cut = collect::transcript(delta, MAX).unwrap_err();
    assert_eq!(cut.status, 502, "{cut:?}");
}

/// What came of the deltas of a call is one of a function, whatever type they told.
#[test]
fn a_collected_call_is_right() {
    let body = br#"data: {"choices":[{"index":0,"delta":{"tool_calls":[{"index":0,"id":"a","type":"functio","functio":{"name":"f"}}]}}]}

data: {"choices":[{"index":0,"delta":{},"finish_reason":"tool_calls"}]}

data: [DONE]

"#;
    let collected = answer(Api::Chat, body, RequestFacts::default(), 16 * 1024).unwrap();
    let again = answer(Api::Chat, &collected.body, RequestFacts::default(), 16 * 1024);
    assert_eq!(again.unwrap().body, collected.body);
}

/// Name and text of a call are put together by one rule, a function's and a custom tool's; no arguments are an empty object.
#[test]
fn the_texts_of_collected_calls_are_whole() {
    let body = br#"data: {"choices":[{"index":0,"delta":{"tool_calls":[{"index":0,"id":"a","type":"custom","custom":{"name":"f","input":"on"}},{"index":1,"id":"b","type":"function","function":{"name":"g","arguments":""}}]}}]}

data: {"choices":[{"index":0,"delta":{"tool_calls":[{"index":0,"custom":{"input":"e"}}]}}]}

data: {"choices":[{"index":0,"delta":{},"finish_reason":"tool_calls"}]}

data: [DONE]

"#;
    let collected = answer(Api::Chat, body, RequestFacts::default(), 16 * 1024).unwrap();
    let collected: Value = serde_json::from_slice(&collected.body).unwrap();
    assert_eq!(
        collected["choices"][0]["message"]["tool_calls"],
        json!([
            {"type": "custom", "id": "a", "custom": {"name": "f", "input": "one"}},
            {"type": "function", "id": "b", "function": {"name": "g", "arguments": "{}"}},
        ])
    );
}
