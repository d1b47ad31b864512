//! What a server attaches to a call comes back with it, whatever the client speaks: Gemini's thought signatures.

use super::*;
use crate::test;

const RESPONSES: &str = "/v1/responses";
const MESSAGES: &str = "/v1/messages";

/// Two calls, as a chat server tells them; something is attached to the first.
fn calls() -> Value {
    let call = |id: &str| json!({"id": id, "type": "function", "function": {"name": "f", "arguments": "{}"}});
    let mut calls = json!([call("call_1"), call("call_2")]);
    calls[0]["extra_content"] = json!({"google": {"thought_signature": "CpMD+/9a=="}});
    calls
}

fn asked(path: &str, model: &str, stream: bool, turns: &[Value]) -> Value {
    let tool = match path {
        RESPONSES => json!({"type": "function", "name": "f", "parameters": {}}),
        _ => json!({"name": "f", "input_schema": {"type": "object"}}),
    };
    let mut asked = json!({"model": model, "stream": stream, "max_tokens": 9, "tools": [tool]});
    let mut said = vec![json!({"role": "user", "content": "hi"})];
    said.extend_from_slice(turns);
    asked[if path == RESPONSES { "input" } else { "messages" }] = said.into();
    asked
}

/// The ids by which the client knows the calls.
fn told(config: &Rc<Config>, path: &str, stream: bool) -> [String; 2] {
    let (kind, member) = match stream {
        true => ("text/event-stream", "delta"),
        false => ("application/json", "message"),
    };
    let mut calls = calls();
    if stream {
        calls[0]["index"] = 0.into();
        calls[1]["index"] = 1.into();
    }
    let said = json!({"role": "assistant", "content": null, "tool_calls": calls});
    let answer = json!({"id": "c1", "created": 9, "model": "m-1",
        "choices": [{"index": 0, member: said, "finish_reason": "tool_calls"}]});
    let answer = match stream {
        true => format!("data: {answer}\n\ndata: [DONE]\n\n"),
        false => answer.to_string(),
    };
    let mut host = send(config, path, &[], &asked(path, "quick", stream, &[]).to_string());
    let head = fields(&[(":status", "200"), ("content-type", kind)]);
    host.respond(&head, &cut(answer.as_bytes(), 40), End::Alone);
    let body = String::from_utf8(host.answer.body).unwrap();
    let mut ids: Vec<_> = body.split('"').filter(|text| text.starts_with("call_")).collect();
    ids.retain(|id| *id != "call_id");
    ids.sort_unstable();
    ids.dedup();
    let [first, second] = ids[..] else { panic!("{body}") };
    [first.to_owned(), second.to_owned()]
}

/// The next turn: the calls by these ids, and what the tools said.
fn turns(path: &str, ids: &[String; 2]) -> Vec<Value> {
    if path == RESPONSES {
        let call =
            |id| json!({"type": "function_call", "call_id": id, "name": "f", "arguments": "{}"});
        let said = |id| json!({"type": "function_call_output", "call_id": id, "output": "x"});
        return ids.iter().map(call).chain(ids.iter().map(said)).collect();
    }
    let uses =
        ids.clone().map(|id| json!({"type": "tool_use", "id": id, "name": "f", "input": {}}));
    let results =
        ids.clone().map(|id| json!({"type": "tool_result", "tool_use_id": id, "content": "x"}));
    vec![json!({"role": "assistant", "content": uses}), json!({"role": "user", "content": results})]
}

#[test]
fn what_is_attached_to_a_call_comes_back_with_it() {
    let config = config_with(json!({"providers": [
        {"name": "alpha", "base_url": "https://alpha.test/v1"},
        {"name": "other", "base_url": "https://other.test/v1"},
    ], "virtual_keys": [{"id": "team", "key": "vk-team"}]}));
    for path in [RESPONSES, MESSAGES] {
        let ids = told(&config, path, false);
        assert_eq!(ids, told(&config, path, true), "a stream tells what a plain answer does");
        assert!(ids[0].bytes().all(|byte| byte.is_ascii_alphanumeric() || b"_-".contains(&byte)));
        let turns = turns(path, &ids);
        for (model, attached, dropped) in
            [("quick", true, None), ("other/m", false, Some("extra_content"))]
        {
            let mut host = send(&config, path, &[], &asked(path, model, false, &turns).to_string());
            let chat: Value = serde_json::from_slice(&host.request.body).unwrap();
            let mut want = calls();
            if !attached {
                want[0].as_object_mut().unwrap().remove("extra_content");
            }
            assert_eq!(chat["messages"][1]["tool_calls"], want, "{path} {model}");
            assert_eq!(chat["messages"][2]["tool_call_id"], "call_1");
            assert_eq!(chat["messages"][3]["tool_call_id"], "call_2");
            let answer = br#"{"id":"c","created":1,"model":"m","choices":[{"index":0,"message":{"role":"assistant","content":"x"},"finish_reason":"stop"}]}"#;
            let head = fields(&[(":status", "200"), ("content-type", "application/json")]);
            host.respond(&head, &[answer], End::Alone);
            assert_eq!(get(&host.answer.head, "x-langwatch-params-dropped"), dropped, "{path}");
        }
    }
}
