//! Laws for any request.

use std::collections::HashSet;

use proptest::prelude::*;
use serde_json::{Map, Value, json};

use super::{ChatRequestOptions, OPTIONS, tree};
use crate::dialect::chat::write::{ChatRequestBody, Dropped};
use crate::dialect::responses::request::to_chat;
use crate::policy::Takes;

/// Any JSON, with the names and words that the conversion knows in it.
fn any_json() -> impl Strategy<Value = Value> {
    let word = prop_oneof![
        3 => prop::sample::select(vec![
            "message", "user", "assistant", "developer", "function_call", "function_call_output",
            "custom_tool_call", "custom_tool_call_output", "reasoning", "input_text", "input_image",
            "input_file", "refusal", "function", "custom", "namespace", "web_search", "grammar",
            "allowed_tools", "required", "auto", "json_schema", "text", "a", "b", "",
        ]).prop_map(str::to_owned),
        1 => "[a-z\\\\\"\u{1}\n\u{e9}]{0,6}",
    ];
    let name = prop_oneof![
        9 => prop::sample::select(vec![
            "input", "type", "role", "content", "text", "call_id", "name", "namespace", "arguments",
            "output", "summary", "tools", "tool_choice", "parameters", "format", "strict", "mode",
            "instructions", "stream", "reasoning", "effort", "include", "image_url", "file_data",
            "function", "json_schema", "schema", "syntax", "definition", "top_logprobs", "n",
            "max_output_tokens", "cache_control", "id",
        ]).prop_map(str::to_owned),
        1 => "[a-z\\\\\"]{0,4}",
    ];
    let leaf = prop_oneof![
        4 => word.prop_map(Value::from),
        1 => any::<i16>().prop_map(Value::from),
        1 => any::<bool>().prop_map(Value::from),
        1 => Just(Value::Null),
    ];
    leaf.prop_recursive(6, 60, 6, move |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..4).prop_map(Value::from),
            prop::collection::vec((name.clone(), inner), 0..6)
                .prop_map(|members| Value::Object(members.into_iter().collect())),
        ]
    })
}

/// An item that is well formed, or one that is anything.
fn item() -> impl Strategy<Value = Value> {
    let id = || prop::sample::select(vec!["c1", "c2", "c3"]);
    let content = || {
        prop_oneof![
            Just(json!("t\"\\")),
            Just(
                json!([{"type": "input_text", "text": "a"}, {"type": "output_text", "text": "b"}])
            ),
            Just(json!([{"type": "input_image", "image_url": "u"}])),
            Just(json!([])),
        ]
    };
    prop_oneof![
        4 => (prop::sample::select(vec!["user", "assistant", "system", "developer"]), content())
            .prop_map(|(role, content)| json!({"role": role, "content": content})),
        6 => (id(), prop::option::of(Just("n"))).prop_map(|(id, namespace)| json!({
            "type": "function_call", "call_id": id, "name": "f", "namespace": namespace,
            "arguments": "{}"})),
        2 => id().prop_map(|id| json!({
            "type": "custom_tool_call", "call_id": id, "name": "c", "input": "\"\\\n"})),
        8 => (id(), content()).prop_map(|(id, output)| json!({
            "type": "function_call_output", "call_id": id, "output": output})),
        2 => Just(json!({"type": "reasoning", "summary": [{"text": "r"}]})),
        1 => Just(json!({"type": "web_search_call"})),
    ]
}

/// Walks the messages as a chat server does: an assistant's calls are answered at once, all of them,
/// in their order, and nothing else is.
fn check_pairs(messages: &[Value], anywhere: bool) {
    let mut expected: Vec<&str> = Vec::new();
    for (index, message) in messages.iter().enumerate() {
        if message["role"] == "tool" {
            assert_eq!(message["tool_call_id"], expected.remove(0));
            continue;
        }
        assert!(expected.is_empty(), "{messages:?}");
        assert!(message["role"] != "system" || index == 0 || anywhere);
        let calls = message["tool_calls"].as_array().map(Vec::as_slice).unwrap_or_default();
        expected = calls.iter().map(|call| call["id"].as_str().unwrap()).collect();
    }
    assert!(expected.is_empty());
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(512))]

    #[test]
    fn anything_is_converted_or_refused(
        value in any_json(),
        extra in any_json(),
        reasoning: bool,
        system_anywhere: bool,
    ) {
        let field = reasoning.then_some("reasoning_content");
        let takes = Takes { system_anywhere, ..Takes::DEFAULT };
        let options = ChatRequestOptions { reasoning_field: field, takes, ..OPTIONS };
        let mut members = Map::new();
        members.insert("input".into(), value.clone());
        members.insert("tools".into(), extra);
        for request in [value, Value::Object(members)] {
            if let Ok(chat) = to_chat(request.to_string().as_bytes(), &options) {
                let tree = tree(&chat);
                check_pairs(tree["messages"].as_array().unwrap(), system_anywhere);
                prop_assert!(tree["messages"][0].is_object());
                for (_, json) in &chat.context.repeated {
                    prop_assert!(serde_json::from_slice::<Value>(json).is_ok());
                }
            }
        }
    }

    #[test]
    fn any_bytes_are_converted_or_refused(bytes in proptest::collection::vec(any::<u8>(), 0..64)) {
        let mut body = br#"{"input":""#.to_vec();
        body.extend_from_slice(&bytes);
        body.extend_from_slice(b"\"}");
        for body in [&bytes, &body] {
            if let Ok(chat) = to_chat(body, &OPTIONS) {
                prop_assert!(crate::wire::json::cursor::parse(&chat.body).is_ok());
            }
        }
    }

    #[test]
    fn every_call_keeps_its_outputs(items in proptest::collection::vec(item(), 0..10)) {
        // Whether the calls pair up, said in another way.
        let mut open = HashSet::new();
        let paired = items.iter().all(|item| {
            let id = item["call_id"].as_str().unwrap_or_default();
            match item["type"].as_str().unwrap_or_default() {
                "function_call" | "custom_tool_call" => open.insert(id),
                "function_call_output" => open.remove(id),
                _ => true,
            }
        }) && open.is_empty();
        let request = json!({"input": items, "instructions": "i"});
        let chat = to_chat(request.to_string().as_bytes(), &OPTIONS);
        prop_assert_eq!(chat.is_ok(), paired);
        if let Ok(chat) = chat {
            let messages = tree(&chat)["messages"].take();
            let messages = messages.as_array().unwrap();
            check_pairs(messages, false);
            let calls = |items: &[Value]| items.iter().filter(|i| !i["call_id"].is_null()).count();
            let tools = messages.iter().filter(|message| message["role"] == "tool").count();
            prop_assert_eq!(calls(&items), tools * 2);
        }
    }

    /// A longer conversation begins as it did before, so that a server's cache of it is of use.
    #[test]
    fn what_follows_does_not_change_what_stands_before(
        items in proptest::collection::vec(item(), 1..10),
        cut in 0usize..10,
        system_anywhere: bool,
    ) {
        let takes = Takes { system_anywhere, ..Takes::DEFAULT };
        let converted = |items: &[Value]| {
            let request = json!({"input": items, "instructions": "i"});
            let options = ChatRequestOptions { takes, ..OPTIONS };
            let chat = to_chat(request.to_string().as_bytes(), &options).ok()?;
            Some(tree(&chat)["messages"].as_array().unwrap().clone())
        };
        // A user message in front: what leads is one message, and grows with what else leads.
        let mut all = vec![json!({"role": "user", "content": "x"})];
        all.extend(items);
        let cut = cut.min(all.len()).max(1);
        // An answer that goes on is the same message, as it is of one turn.
        let goes_on = all.get(cut).is_some_and(|next| {
            next["role"] == "assistant" || next["type"].as_str().is_some_and(|t| t.ends_with("call"))
        });
        if let (Some(whole), Some(before), false) = (converted(&all), converted(&all[..cut]), goes_on) {
            prop_assert_eq!(&whole[..before.len()], &before[..]);
        }
    }

    #[test]
    fn what_is_escaped_twice_comes_back(text in "\\PC{0,20}", control in "[\u{0}-\u{1f}\"\\\\]{0,8}") {
        let literal = serde_json::to_string(&format!("{text}{control}")).unwrap();
        let mut out = ChatRequestBody::new(b"", OPTIONS.takes, Dropped::default());
        out.raw(b"\"");
        out.escaped(literal.as_bytes());
        out.raw(b"\"");
        let back: String = serde_json::from_slice(&out.finish().0).unwrap();
        prop_assert_eq!(back, literal);
    }
}
