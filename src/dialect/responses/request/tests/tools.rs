//! Tools, their names and the choice among them.

use serde_json::{Value, json};

use super::{OPTIONS, added, chat, convert, merge, messages, tree};
use crate::dialect::responses::CalledTool;
use crate::test;

fn function(name: &str) -> Value {
    json!({"type": "function", "name": name, "parameters": {"type": "object"}})
}

fn chat_function(name: &str) -> Value {
    let parameters = json!({"type": "object", "properties": {}});
    json!({"type": "function", "function": {"name": name, "parameters": parameters}})
}

/// The chat request's tools, for tools that are all carried.
fn tools(tools: &Value) -> Value {
    let (mut chat, dropped) = added(&json!({"tools": tools}));
    assert_eq!(dropped, Vec::<String>::new());
    chat["tools"].take()
}

fn names(tools: &Value) -> Vec<&str> {
    tools
        .as_array()
        .unwrap()
        .iter()
        .map(|tool| tool["function"]["name"].as_str().unwrap())
        .collect()
}

#[test]
fn functions() {
    let schema = json!({"type": "object", "properties": {"a": {"type": "string"}}});
    assert_eq!(
        tools(&json!([
            {"type": "function", "name": "f", "description": "d", "parameters": schema,
                "strict": true, "defer_loading": true, "cache_control": {"type": "ephemeral"}},
            {"type": "function", "name": "g", "description": null, "parameters": null, "strict": null},
            {"type": "function", "function": {"name": "h", "parameters": schema, "strict": false}},
        ])),
        json!([
            {"type": "function", "function":
                {"name": "f", "description": "d", "parameters": schema, "strict": true},
                "cache_control": {"type": "ephemeral"}},
            {"type": "function", "function":
                {"name": "g", "parameters": {"type": "object", "properties": {}}}},
            {"type": "function", "function": {"name": "h", "parameters": schema, "strict": false}},
        ])
    );
}

#[test]
fn a_custom_tool_is_a_function_with_one_text() {
    let parameters = json!({
        "type": "object",
        "properties": {
            "input": {"type": "string", "description": "The whole input of the tool, as plain text."},
        },
        "required": ["input"],
        "additionalProperties": false,
    });
    let grammar = json!({"type": "grammar", "syntax": "lark", "definition": "start: \"a\"\n"});
    let nested = json!({"type": "grammar", "grammar": {"syntax": "regex", "definition": "a+"}});
    let request = json!({"input": "x", "tools": [
        {"type": "custom", "name": "plain"},
        {"type": "custom", "name": "patch", "description": "Patches.", "format": grammar},
        {"type": "custom", "custom": {"name": "run", "format": nested}},
        {"type": "custom", "name": "text", "description": "T.", "format": {"type": "text"}},
    ]});
    assert_eq!(
        chat(&request)["tools"],
        json!([
            {"type": "function", "function": {"name": "plain", "parameters": parameters}},
            {"type": "function", "function": {"name": "patch", "parameters": parameters,
                "description":
                    "Patches.\n\nThe input must follow this lark grammar:\nstart: \"a\"\n"}},
            {"type": "function", "function": {"name": "run", "parameters": parameters,
                "description": "The input must follow this regex grammar:\na+"}},
            {"type": "function", "function":
                {"name": "text", "description": "T.", "parameters": parameters}},
        ])
    );
    let context = convert(&request, &OPTIONS).unwrap().context;
    assert_eq!(context.tools.0.len(), 4);
    assert_eq!(
        context.tools.0["patch"],
        CalledTool { name: "patch".into(), namespace: None, custom: true }
    );
}

#[test]
fn a_namespace_is_in_the_names_of_its_tools_and_comes_back() {
    let request = json!({
        "tools": [
            function("list"),
            {"type": "namespace", "name": "crm", "description": "The \"CRM\".", "tools": [
                function("list"),
                {"type": "custom", "name": "query", "description": "Asks."},
            ]},
            {"type": "namespace", "name": "mcp__fs__", "description": "", "tools": [function("read")]},
        ],
        "input": [
            {"type": "function_call", "call_id": "1", "name": "list", "arguments": "{}"},
            {"type": "function_call", "call_id": "2", "name": "list", "namespace": "crm",
                "arguments": "{}"},
            {"type": "custom_tool_call", "call_id": "3", "name": "query", "namespace": "crm",
                "input": "q"},
            {"type": "function_call", "call_id": "4", "name": "gone", "namespace": "old.one",
                "arguments": "{}"},
            {"type": "function_call_output", "call_id": "1", "output": ""},
            {"type": "function_call_output", "call_id": "2", "output": ""},
            {"type": "custom_tool_call_output", "call_id": "3", "output": ""},
            {"type": "function_call_output", "call_id": "4", "output": ""},
        ],
    });
    let got = convert(&request, &OPTIONS).unwrap();
    let chat = tree(&got);
    assert_eq!(names(&chat["tools"]), ["list", "crm__list", "crm__query", "mcp__fs__read"]);
    assert_eq!(
        names(&chat["messages"][0]["tool_calls"]),
        ["list", "crm__list", "crm__query", "old_one__gone"]
    );
    assert_eq!(
        chat["tools"][1]["function"]["description"],
        "This tool is one of the group \"crm\": The \"CRM\"."
    );
    assert_eq!(chat["tools"][2]["function"]["description"], "Asks.");
    let called = |name: &str, namespace: &str, custom| CalledTool {
        name: name.into(),
        namespace: Some(namespace.into()),
        custom,
    };
    let back = got.context.tools.0;
    assert_eq!(back.len(), 4);
    assert_eq!(back["crm__list"], called("list", "crm", false));
    assert_eq!(back["crm__query"], called("query", "crm", true));
    assert_eq!(back["mcp__fs__read"], called("read", "mcp__fs__", false));
    assert_eq!(back["old_one__gone"], called("gone", "old.one", false));
}

#[test]
fn names_that_do_not_fit_are_made_to_and_stay_apart() {
    let long = "n".repeat(100);
    let request = json!({"input": "x", "tools": [
        {"type": "namespace", "name": "a", "tools": [function("b"), function(&long)]},
        function("a__b"),
        function("x.y"),
        function("x/y"),
        function("x_y"),
        function("\u{e9}\u{4e2d}"),
        function(&long),
    ]});
    let got = convert(&request, &OPTIONS).unwrap();
    let chat = tree(&got);
    let sent = names(&chat["tools"]);
    // Tools keep the names that they may keep, whoever else wants them.
    assert_eq!((sent[2], sent[5], sent[6]), ("a__b", "x_y", "__"));
    for (index, name) in sent.iter().enumerate() {
        assert!((1..=64).contains(&name.len()), "{name}");
        assert!(name.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_' || b == b'-'));
        assert!(!sent[..index].contains(name), "{name}");
    }
    assert!(sent[0].starts_with("a__b_") && sent[3].starts_with("x_y_"));
    let back = &got.context.tools.0;
    assert_eq!(back.len(), 6);
    assert_eq!(back[sent[4]].name, "x/y");
    assert_eq!(back[sent[7]].name, long);
    assert_eq!(back[sent[1]].namespace.as_deref(), Some("a"));
    assert_eq!(convert(&request, &OPTIONS).unwrap(), got);
}

#[test]
fn tools_without_a_chat_form_are_named() {
    for (listed, left, dropped) in [
        (json!([{"type": "web_search"}]), 0, vec!["web_search"]),
        (
            json!([{"type": "mcp", "server_label": "x"}, function("f"), {"type": "mcp"},
                {"type": "a b,\u{e9}"}]),
            1,
            vec!["mcp", "a_b__"],
        ),
        (
            json!([{"type": "namespace", "name": "n", "tools": [{"type": "file_search"}]}]),
            0,
            vec!["file_search"],
        ),
    ] {
        let (chat, names) = added(&json!({
            "tools": listed, "tool_choice": "auto", "parallel_tool_calls": false,
        }));
        assert_eq!(names, dropped);
        assert_eq!(chat.get("tools").map_or(0, |tools| tools.as_array().unwrap().len()), left);
        // Servers refuse these without tools.
        assert_eq!(chat.get("tool_choice").is_some(), left > 0);
        assert_eq!(chat.get("parallel_tool_calls").is_some(), left > 0);
    }
    let many: Vec<Value> = (0..99).map(|n| json!({"type": format!("t{n}").repeat(50)})).collect();
    let (_, names) = added(&json!({"tools": many}));
    assert_eq!((names.len(), names[32].as_str()), (33, "..."));
    assert!(names.iter().all(|name| name.len() <= 64));
}

#[test]
fn tools_that_the_conversation_brings() {
    let request = json!({
        "tools": [function("f")],
        "input": [
            {"type": "additional_tools", "role": "developer", "tools": [
                {"type": "namespace", "name": "n", "tools": [function("g")]},
            ]},
            {"role": "user", "content": "x"},
            {"type": "tool_search_output", "call_id": "c", "tools": [function("f"), function("h")]},
        ],
    });
    assert_eq!(names(&chat(&request)["tools"]), ["f", "n__g", "h"]);
}

#[test]
fn choices() {
    let listed = json!([
        function("f"),
        {"type": "custom", "name": "c"},
        {"type": "namespace", "name": "n", "tools": [function("f"), function("g")]},
        {"type": "web_search"},
    ]);
    let all = vec!["f", "c", "n__f", "n__g"];
    let force = |name: &str| json!({"type": "function", "function": {"name": name}});
    for (choice, want, offered) in [
        (json!("auto"), json!("auto"), all.clone()),
        (json!("none"), json!("none"), all.clone()),
        (json!("required"), json!("required"), all.clone()),
        (json!(null), json!(null), all.clone()),
        (json!({"type": "function", "name": "f"}), force("f"), all.clone()),
        (json!({"type": "function", "function": {"name": "f"}}), force("f"), all.clone()),
        (json!({"type": "custom", "name": "c"}), force("c"), all.clone()),
        (json!({"type": "function", "name": "f", "namespace": "n"}), force("n__f"), all.clone()),
        (
            json!({"type": "allowed_tools", "mode": "auto", "tools": [
                {"type": "function", "name": "f"}, {"type": "web_search"}]}),
            json!("auto"),
            vec!["f"],
        ),
        (
            json!({"type": "allowed_tools", "mode": "required", "tools": [
                {"type": "custom", "name": "c"}, {"type": "namespace", "name": "n"}]}),
            json!("required"),
            vec!["c", "n__f", "n__g"],
        ),
        (
            json!({"type": "allowed_tools", "allowed_tools": {"mode": "auto", "tools": [
                {"type": "function", "function": {"name": "f"}}]}}),
            json!("auto"),
            vec!["f"],
        ),
    ] {
        let (chat, dropped) = added(&json!({
            "tools": listed, "tool_choice": choice, "parallel_tool_calls": true,
        }));
        assert_eq!(dropped, ["web_search"]);
        assert_eq!(chat.get("tool_choice").unwrap_or(&Value::Null), &want, "{choice}");
        assert_eq!(names(&chat["tools"]), offered, "{choice}");
        assert_eq!(chat["parallel_tool_calls"], true);
    }
    // None of the tools that may be called is there: the model may call none.
    let (chat, _) = added(&json!({"tools": listed, "tool_choice":
        {"type": "allowed_tools", "mode": "auto", "tools": [{"type": "web_search"}]}}));
    assert_eq!(chat, json!({}));
}

#[test]
fn a_history_keeps_its_names_when_tools_are_listed() {
    let item = json!([
        {"type": "function_call", "call_id": "1", "name": "f", "namespace": "n", "arguments": "{}"},
        {"type": "function_call_output", "call_id": "1", "output": ""},
    ]);
    let alone = messages(&item);
    let mut request = json!({"input": item});
    merge(
        &mut request,
        &json!({"tools": [
            {"type": "namespace", "name": "n", "tools": [function("f")]},
        ]}),
    );
    let chat = chat(&request);
    assert_eq!(chat["messages"], alone);
    assert_eq!(chat["tools"], json!([chat_function("n__f")]));
}

#[test]
fn several_tools_of_one_namespace() {
    let function = |name: &str| json!({"type": "function", "name": name});
    let group = |tools: &[Value]| json!({"type": "namespace", "name": "app", "tools": tools});
    let mut beside = function("i");
    beside["namespace"] = "app".into();
    let request = json!({"input": [
        {"role": "user", "content": "x"},
        {"type": "function_call", "call_id": "c", "namespace": "app", "name": "h", "arguments": "{}"},
        {"type": "function_call_output", "call_id": "c", "output": "1"},
    ], "tools": [
        group(&[function("f"), function("g")]), group(&[function("h")]), beside, function("f"), function("i"),
    ]});
    let got = convert(&request, &OPTIONS).unwrap();
    assert_eq!(got.dropped, Vec::<String>::new());
    let chat = tree(&got);
    let names: Vec<&str> = chat["tools"]
        .as_array()
        .unwrap()
        .iter()
        .map(|tool| tool["function"]["name"].as_str().unwrap())
        .collect();
    assert_eq!(names, ["app__f", "app__g", "app__h", "app__i", "f", "i"]);
    assert_eq!(chat["messages"][1]["tool_calls"][0]["function"]["name"], "app__h");
    for name in ["f", "g", "h", "i"] {
        let called = &got.context.tools.0[&format!("app__{name}")];
        assert_eq!((&*called.name, called.namespace.as_deref()), (name, Some("app")));
    }
    assert!(!got.context.tools.0.contains_key("f"));
}
