//! Plain answers: a chat completion in, a Response out.

use serde_json::{Value, json};

use super::{completion, options, plain};
use crate::dialect::responses::answer::whole;
use crate::test;

fn output(message: Value) -> Value {
    plain(&completion(message, "stop"))["output"].take()
}

fn text(text: &str) -> Value {
    json!({"type":"output_text","text":text,"annotations":[],"logprobs":[]})
}

fn message(index: usize, content: Value) -> Value {
    json!({"id":format!("msg_x_{index}"),"type":"message","status":"completed","role":"assistant",
        "content":content})
}

fn reasoning(index: usize, text: &str) -> Value {
    json!({"id":format!("rs_x_{index}"),"type":"reasoning","status":"completed","summary":[],
        "content":[{"type":"reasoning_text","text":text}]})
}

fn call(index: usize, call_id: &str, name: &str, arguments: &str) -> Value {
    json!({"id":format!("fc_x_{index}"),"type":"function_call","status":"completed",
        "call_id":call_id,"name":name,"arguments":arguments})
}

#[test]
fn a_response_is_complete_and_in_order() {
    let mut chat = completion(json!({"role":"assistant","content":"Hé \"x\"\n"}), "stop");
    chat["usage"] = json!({"prompt_tokens":3,"completion_tokens":2,"total_tokens":5});
    let (response, cached) = whole(options(false), chat.to_string().as_bytes()).unwrap();
    assert_eq!(cached, Some(false));
    assert_eq!(
        String::from_utf8(response).unwrap(),
        concat!(
            r#"{"id":"resp_x","object":"response","created_at":1700000000,"status":"completed","#,
            r#""background":false,"error":null,"incomplete_details":null,"model":"m","output":["#,
            r#"{"id":"msg_x_0","type":"message","status":"completed","role":"assistant","content":["#,
            r#"{"type":"output_text","text":"Hé \"x\"\n","annotations":[],"logprobs":[]}]}],"#,
            r#""instructions":null,"service_tier":"auto","tools":[{"type":"function","name":"plain"},"#,
            r#"{"type":"function","name":"plainer"},{"type":"function","name":"other"},"#,
            r#"{"type":"custom","name":"shell"}],"#,
            r#""usage":{"input_tokens":3,"input_tokens_details":{"cached_tokens":0,"cache_write_tokens":0},"#,
            r#""output_tokens":2,"output_tokens_details":{"reasoning_tokens":0},"total_tokens":5},"#,
            r#""completed_at":1800000000}"#,
        )
    );
}

#[test]
fn what_the_upstream_leaves_out() {
    let (response, cached) = whole(
        options(false),
        br#"{"choices":[{"message":{"content":"x"}}],"created":0,"model":"","service_tier":"flex"}"#,
    )
    .unwrap();
    let response: Value = serde_json::from_slice(&response).unwrap();
    assert_eq!(cached, None);
    assert_eq!(response["created_at"], 1_800_000_000);
    assert_eq!(response["model"], "asked-model");
    assert_eq!(response["service_tier"], "flex");
    assert_eq!(response["usage"], Value::Null);
    assert_eq!(response["status"], "completed");
}

#[test]
fn the_model_may_be_replaced_and_own_members_are_not_repeated() {
    let mut options = options(false);
    options.response_model = Some("alias".to_owned());
    let context = std::rc::Rc::make_mut(&mut options.context);
    context.repeated = vec![("status", b"1".into()), ("metadata", b"{}".into())];
    let chat = completion(json!({"content":"x"}), "stop").to_string();
    let (response, _) = whole(options, chat.as_bytes()).unwrap();
    let response: Value = serde_json::from_slice(&response).unwrap();
    assert_eq!(response["model"], "alias");
    assert_eq!(response["status"], "completed");
    assert_eq!(response["metadata"], json!({}));
}

#[test]
fn messages() {
    for (said, want) in [
        (json!({"content":"x"}), json!([message(0, json!([text("x")]))])),
        (json!({"content":""}), json!([])),
        (json!({"content":null}), json!([])),
        (json!({}), json!([])),
        (
            json!({"content":null,"refusal":"No."}),
            json!([message(0, json!([{"type":"refusal","refusal":"No."}]))]),
        ),
        (
            json!({"content":"I","refusal":"No."}),
            json!([message(0, json!([text("I"), {"type":"refusal","refusal":"No."}]))]),
        ),
        (
            json!({"content":[{"type":"text","text":"a"},"b",{"type":"output_text","text":{"text":"c"}},{"type":"image_url"}]}),
            json!([message(0, json!([text("abc")]))]),
        ),
        (
            json!({"content":[{"type":"thinking","thinking":[{"type":"text","text":"hm"}]},{"type":"text","text":"a"},{"type":"refusal","refusal":"n"}]}),
            json!([
                reasoning(0, "hm"),
                message(1, json!([text("a"), {"type":"refusal","refusal":"n"}]))
            ]),
        ),
        (json!({"content":{"type":"text","text":"a"}}), json!([message(0, json!([text("a")]))])),
    ] {
        assert_eq!(output(said.clone()), want, "{said}");
    }
}

#[test]
fn reasoning_by_any_name_once() {
    let answer = message(1, json!([text("x")]));
    for said in [
        json!({"reasoning_content":"hm","content":"x"}),
        json!({"content":"x","reasoning":"hm"}),
        json!({"content":"x","reasoning":"hm","reasoning_content":"hm"}),
        json!({"content":"x","reasoning":"hm","reasoning_content":""}),
        json!({"content":"x","reasoning":{"content":"hm","summary":"s"}}),
        json!({"content":"x","reasoning":[{"type":"text","text":"h"},"m"]}),
        json!({"content":"x","reasoning":null,"reasoning_details":[{"type":"reasoning.text","text":"hm"},{"type":"reasoning.encrypted","data":"e"}]}),
        json!({"content":"x","reasoning":"hm","reasoning_details":[{"type":"reasoning.text","text":"hm"}]}),
    ] {
        assert_eq!(output(said.clone()), json!([reasoning(0, "hm"), answer]), "{said}");
    }
}

#[test]
fn tool_calls() {
    for (calls, want) in [
        (
            json!([{"id":"a","type":"function","function":{"name":"plain","arguments":"{\"q\":1}"}},
                {"id":"b","type":"function","function":{"name":"unknown","arguments":""}}]),
            json!([call(0, "a", "plain", "{\"q\":1}"), call(1, "b", "unknown", "{}")]),
        ),
        // No id, one id for two, the index a constant.
        (
            json!([{"index":0,"function":{"name":"plain","arguments":"{}"}},
                {"index":0,"id":"a","function":{"name":"plain","arguments":"{}"}},
                {"index":0,"id":"a","function":{"name":"other","arguments":"{}"}}]),
            json!([
                call(0, "call_x_0", "plain", "{}"),
                call(1, "a", "plain", "{}"),
                call(2, "call_x_2", "other", "{}")
            ]),
        ),
        (
            json!([{"id":"a","function":{"name":"plain","arguments":{"q":["é"]}}},
                {"id":"b","function":{"name":"plain","arguments":null}},
                {"id":"c","name":"plain","arguments":"{}"}]),
            json!([
                call(0, "a", "plain", "{\"q\":[\"é\"]}"),
                call(1, "b", "plain", "{}"),
                call(2, "c", "plain", "{}")
            ]),
        ),
    ] {
        assert_eq!(output(json!({"content":"","tool_calls":calls})), want, "{calls}");
    }
    let said = json!({"content":"Look:","function_call":{"name":"plain","arguments":"{}"}});
    let want = json!([message(0, json!([text("Look:")])), call(1, "call_x_1", "plain", "{}")]);
    assert_eq!(output(said), want);
}

#[test]
fn tools_are_called_what_the_client_calls_them() {
    let calls = json!([
        {"id":"a","function":{"name":"files__read","arguments":"{}"}},
        {"id":"b","function":{"name":"shell","arguments":"{\"input\":\"ls\\n\\\"\"}"}},
        {"id":"c","function":{"name":"files__sh","arguments":"ls"}},
        {"id":"d","function":{"name":"shell","arguments":{"input":"pwd"}}},
        {"id":"e","type":"custom","custom":{"name":"shell","input":"id"}},
    ]);
    let custom = |index: usize, call_id: &str, input: &str| {
        json!({"id":format!("ctc_x_{index}"),"type":"custom_tool_call","status":"completed",
            "call_id":call_id,"name":"shell","input":input})
    };
    let mut namespaced = call(0, "a", "read", "{}");
    namespaced["namespace"] = "files".into();
    let mut both = custom(2, "c", "ls");
    both["name"] = "sh".into();
    both["namespace"] = "files".into();
    assert_eq!(
        output(json!({"tool_calls":calls})),
        json!([
            namespaced,
            custom(1, "b", "ls\n\""),
            both,
            custom(3, "d", "pwd"),
            custom(4, "e", "id")
        ])
    );
}

#[test]
fn annotations_and_log_probabilities() {
    let citation = json!({"start_index":0,"end_index":1,"title":"T","url":"u"});
    let said = json!({"content":"x","annotations":[
        {"type":"url_citation","url_citation":citation},
        {"type":"file_citation","file_id":"f"},
        {"type":"url_citation","url_citation":{}},
        {"untyped":1}, 3]});
    let mut chat = completion(said, "stop");
    chat["choices"][0]["logprobs"] =
        json!({"content":[{"token":"x","logprob":-0.5,"bytes":[120],"top_logprobs":[]}]});
    let part = &plain(&chat)["output"][0]["content"][0];
    assert_eq!(
        part["annotations"],
        json!([
            {"type":"url_citation","start_index":0,"end_index":1,"title":"T","url":"u"},
            {"type":"file_citation","file_id":"f"},
            {"type":"url_citation"}
        ])
    );
    assert_eq!(
        part["logprobs"],
        json!([{"token":"x","bytes":[120],"logprob":-0.5,"top_logprobs":[]}])
    );
}

#[test]
fn annotations_without_text_have_a_message() {
    let got = output(
        json!({"annotations":[{"type":"a"}],"tool_calls":[{"id":"a","function":{"name":"plain"}}]}),
    );
    assert_eq!(got[0]["type"], "function_call");
    assert_eq!(got[1]["content"][0]["annotations"], json!([{"type":"a"}]));
}

#[test]
fn what_cuts_an_answer() {
    let said = json!({"reasoning":"hm","content":"x","tool_calls":[{"id":"a","function":{"name":"plain","arguments":"{"}}]});
    for (reason, want) in [
        ("length", "max_output_tokens"),
        ("MAX_TOKENS", "max_output_tokens"),
        ("content_filter", "content_filter"),
    ] {
        let response = plain(&completion(said.clone(), reason));
        assert_eq!(response["status"], "incomplete");
        assert_eq!(response["incomplete_details"], json!({"reason":want}));
        assert_eq!(response["completed_at"], Value::Null);
        let statuses: Vec<_> =
            response["output"].as_array().unwrap().iter().map(|item| &item["status"]).collect();
        // What was followed by something was complete.
        assert_eq!(statuses, ["completed", "completed", "incomplete"]);
    }
    for reason in ["stop", "tool_calls", "function_call", "end_turn", ""] {
        assert_eq!(plain(&completion(said.clone(), reason))["status"], "completed");
    }
}

#[test]
fn the_first_choice_counts() {
    let chat = json!({"choices":[{"index":1,"message":{"content":"b"}},{"index":0,"message":{"content":"a"}}]});
    assert_eq!(plain(&chat)["output"][0]["content"][0]["text"], "a");
    let chat = json!({"choices":[{"index":0,"delta":{"content":"a"}}]});
    assert_eq!(plain(&chat)["output"][0]["content"][0]["text"], "a");
}

#[test]
fn what_is_no_chat_completion() {
    for (chat, want) in [
        (&b"{}"[..], "no choices"),
        (b"{\"choices\":[]}", "no choices"),
        (b"{\"choices\":[null]}", "no choices"),
        (b"{\"choices\":{}}", "no choices"),
        (b"{\"choices\":[{\"text\":\"x\"}]}", "no message"),
        (b"[]", "no choices"),
        (b"null", "no choices"),
        (b"", "not JSON"),
        (b"<html>", "not JSON"),
        (b"{\"choices\":[{\"message\":{}}]} x", "not JSON"),
    ] {
        let error = whole(options(false), chat).unwrap_err();
        assert_eq!(error.code.as_str(), "invalid_upstream_response");
        assert!(error.message.contains(want), "{}: {}", error.message, chat.escape_ascii());
    }
}

#[test]
fn an_answer_has_its_limit() {
    let chat = completion(json!({"content":"x".repeat(100)}), "stop").to_string();
    let mut options = options(false);
    // The text, its item and its part.
    options.max_answer_bytes = 100 + 2 * 128;
    assert!(whole(options.clone(), chat.as_bytes()).is_ok());
    options.max_answer_bytes -= 1;
    let error = whole(options, chat.as_bytes()).unwrap_err();
    assert_eq!(error.message, "The upstream's answer is larger than 355 bytes.");
    assert_eq!(error.code.status(), 502);
}

#[test]
fn broken_unicode_is_mended() {
    let chat = b"{\"choices\":[{\"message\":{\"content\":\"a\xff\\ud83d b\"}}]}";
    let (response, _) = whole(options(false), chat).unwrap();
    let response: Value = serde_json::from_slice(&response).unwrap();
    assert_eq!(response["output"][0]["content"][0]["text"], "a\u{fffd}\u{fffd} b");
}
