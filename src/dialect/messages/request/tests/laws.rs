//! What holds for every request.

use proptest::prelude::*;

use super::*;

fn block() -> impl Strategy<Value = Value> {
    let text = "[a-z\"\\\\\n é]{0,6}";
    prop_oneof![
        4 => text.prop_map(|text| json!({"type": "text", "text": text})),
        2 => ("[ab]", "[fg]").prop_map(|(id, name)| json!({"type": "tool_use", "id": id, "name": name, "input": {"x": [1, "}"]}})),
        2 => ("[ab]", any::<bool>(), text).prop_map(|(id, failed, text)| json!({"type": "tool_result", "tool_use_id": id, "is_error": failed, "content": text})),
        1 => text.prop_map(|data| json!({"type": "image", "source": {"type": "base64", "media_type": "image/png", "data": data}})),
        1 => text.prop_map(|text| json!({"type": "thinking", "thinking": text, "signature": ""})),
        1 => "[a-z_]{1,8}".prop_map(|kind| json!({"type": kind})),
        1 => Just(json!({"type": "document", "source": {"type": "text", "data": "d"}})),
    ]
}

fn message() -> impl Strategy<Value = Value> {
    let content = prop_oneof![
        "[a-z]{0,4}".prop_map(Value::from),
        prop::collection::vec(block(), 0..4).prop_map(Value::from),
    ];
    (prop_oneof![Just("user"), Just("assistant"), Just("system")], content)
        .prop_map(|(role, content)| json!({"role": role, "content": content}))
}

/// What chat servers demand of messages.
fn assert_well_formed(chat: &Value) {
    let messages = chat["messages"].as_array().unwrap();
    assert!(!messages.is_empty());
    let mut due: Vec<&Value> = Vec::new();
    let mut last = "";
    for message in messages {
        let role = message["role"].as_str().unwrap();
        if role == "tool" {
            assert_eq!(due.first(), Some(&&message["tool_call_id"]), "{chat}");
            due.remove(0);
            assert!(message["content"].is_string());
        } else {
            assert!(due.is_empty(), "{chat}");
            assert_ne!(role, last, "two messages of one role: {chat}");
        }
        let calls = message.get("tool_calls").and_then(Value::as_array);
        due.extend(calls.into_iter().flatten().map(|call| &call["id"]));
        for call in calls.into_iter().flatten() {
            let arguments = call["function"]["arguments"].as_str().unwrap();
            assert!(serde_json::from_str::<Value>(arguments).unwrap().is_object());
        }
        assert!(
            calls.is_some()
                || role == "tool"
                || message["content"] != Value::Null && message["content"] != ""
        );
        last = role;
    }
    assert!(due.is_empty());
}

proptest! {
    /// Whatever comes, what goes out is what chat servers take.
    #[test]
    fn messages_are_well_formed(messages in prop::collection::vec(message(), 1..8), anywhere in any::<bool>()) {
        let options = MessagesOptions { takes: Takes { system_anywhere: anywhere, ..Takes::DEFAULT }, ..OPTIONS };
        if let Ok(chat) = convert(&request(&json!({"messages": messages})), &options) {
            assert_well_formed(&tree(&chat));
        }
    }

    /// White space between tokens makes no difference.
    #[test]
    fn spelling_does_not_matter(messages in prop::collection::vec(message(), 1..6)) {
        let request = request(&json!({"messages": messages}));
        let plain = to_chat(request.to_string().as_bytes(), &OPTIONS);
        let pretty = to_chat(serde_json::to_string_pretty(&request).unwrap().as_bytes(), &OPTIONS);
        prop_assert_eq!(plain, pretty);
    }

    /// No text makes it panic.
    #[test]
    fn any_bytes(bytes in prop::collection::vec(any::<u8>(), 0..64)) {
        let _outcome = to_chat(&bytes, &OPTIONS);
    }
}
