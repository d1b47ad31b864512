//! Tools and choices of them.

use super::*;
use crate::test;

fn tool(name: &str) -> Value {
    json!({"name": name, "input_schema": {"type": "object", "properties": {}}})
}

#[test]
fn a_tool_becomes_a_function() {
    let schema = json!({"type": "object", "properties": {"x": {"type": ["string", "null"]}}, "$schema": "s", "required": []});
    let (chat, dropped) = with(
        &json!({"tools": [
            {"name": "a", "description": "d", "input_schema": schema, "strict": true, "eager_input_streaming": true, "defer_loading": true, "input_examples": [{}], "allowed_callers": ["direct"]},
            {"type": "custom", "name": "b", "input_schema": {"type": "object"}},
            {"type": null, "name": "c", "input_schema": {"type": "object", "additionalProperties": false}},
            {"name": "d"},
            {"name": "e", "input_schema": {"$ref": "#/x"}},
        ]}),
        &OPTIONS,
    );
    let function = |function: Value| json!({"type": "function", "function": function});
    assert_eq!(
        chat["tools"],
        json!([
            function(
                json!({"name": "a", "description": "d", "parameters": schema, "strict": true})
            ),
            function(json!({"name": "b", "parameters": {"type": "object", "properties": {}}})),
            function(
                json!({"name": "c", "parameters": {"type": "object", "additionalProperties": false, "properties": {}}})
            ),
            function(json!({"name": "d", "parameters": {"type": "object", "properties": {}}})),
            function(json!({"name": "e", "parameters": {"$ref": "#/x"}})),
        ])
    );
    assert_eq!(dropped, Vec::<String>::new());
}

#[test]
fn tools_of_anthropics_servers_are_named() {
    let server = json!([
        {"type": "web_search_20250305", "name": "web_search"},
        {"type": "bash_20250124", "name": "bash"},
        {"type": "mcp_toolset", "mcp_server_name": "m"},
    ]);
    let names = ["web_search_20250305", "bash_20250124", "mcp_toolset"];
    let servers = json!([{"type": "url", "url": "https://x", "name": "m"}]);
    for choice in [
        json!({"type": "any"}),
        json!({"type": "tool", "name": "bash", "disable_parallel_tool_use": true}),
    ] {
        let (chat, dropped) = with(
            &json!({"tools": server, "tool_choice": choice, "mcp_servers": servers}),
            &OPTIONS,
        );
        for member in ["tools", "tool_choice", "parallel_tool_calls"] {
            assert!(chat.get(member).is_none(), "{member} {choice}");
        }
        assert_eq!(dropped, [&names[..], &["mcp_servers"]].concat());
    }
    let mut mixed = server.as_array().unwrap().clone();
    mixed.push(tool("f"));
    let (chat, dropped) = with(
        &json!({"tools": mixed, "tool_choice": {"type": "tool", "name": "bash"}, "mcp_servers": []}),
        &OPTIONS,
    );
    assert_eq!(chat["tools"].as_array().unwrap().len(), 1);
    assert!(chat.get("tool_choice").is_none());
    assert_eq!(dropped, names);
}

#[test]
fn choices() {
    for (choice, want, parallel) in [
        (json!({"type": "auto"}), json!("auto"), json!(null)),
        (json!({"type": "any"}), json!("required"), json!(null)),
        (json!({"type": "none"}), json!("none"), json!(null)),
        (
            json!({"type": "tool", "name": "f"}),
            json!({"type": "function", "function": {"name": "f"}}),
            json!(null),
        ),
        (json!({"type": "auto", "disable_parallel_tool_use": true}), json!("auto"), json!(false)),
        (
            json!({"type": "any", "disable_parallel_tool_use": false}),
            json!("required"),
            json!(null),
        ),
    ] {
        let (chat, _) = with(&json!({"tools": [tool("f")], "tool_choice": choice}), &OPTIONS);
        assert_eq!(
            (&chat["tool_choice"], &chat["parallel_tool_calls"]),
            (&want, &parallel),
            "{choice}"
        );
        let (chat, _) = with(&json!({"tools": [tool("f")], "tool_choice": null}), &OPTIONS);
        assert!(chat.get("tool_choice").is_none());
    }
    let (chat, _) = with(&json!({"tools": [], "tool_choice": {"type": "auto"}}), &OPTIONS);
    assert!(chat.get("tools").is_none() && chat.get("tool_choice").is_none());
}

#[test]
fn names_that_are_too_long_go_short_everywhere_and_come_back() {
    let long = format!("mcp__{}", "n".repeat(100));
    let accents = "é".repeat(65);
    let fits = "x".repeat(64);
    let chat = convert(
        &request(&json!({
            "tools": [tool(&long), tool(&fits), tool(&accents)],
            "tool_choice": {"type": "tool", "name": long},
            "messages": [
                {"role": "user", "content": "a"},
                {"role": "assistant", "content": [{"type": "tool_use", "id": "t", "name": long, "input": {}}]},
                {"role": "user", "content": [{"type": "tool_result", "tool_use_id": "t", "content": "r"}]},
            ],
        })),
        &OPTIONS,
    )
    .unwrap();
    let got = tree(&chat);
    let short = got["tools"][0]["function"]["name"].as_str().unwrap();
    // sha256sum of the name.
    assert_eq!(
        short,
        format!("{}_{}", "mcp__nnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnn", "f1700ead")
    );
    assert_eq!(short.len(), 64);
    assert_eq!(got["tools"][1]["function"]["name"], fits);
    assert_eq!(got["tools"][2]["function"]["name"].as_str().unwrap().chars().count(), 64);
    assert_eq!(got["tool_choice"]["function"]["name"], short);
    assert_eq!(got["messages"][1]["tool_calls"][0]["function"]["name"], short);
    assert_eq!(chat.context.renamed.len(), 2);
    assert_eq!(chat.context.renamed[short], long);
}
