//! What is refused, and which member is blamed.

use serde_json::{Value, json};

use super::{OPTIONS, convert, refused, to_chat};
use crate::error::Code;
use crate::test;

fn blames(request: &Value, param: &str) {
    let (got, message) = refused(request);
    assert_eq!(got, param, "{request}");
    assert!(message.len() > 20 && message.ends_with(['.', '…']), "{message}");
}

#[test]
fn too_many_parameters_are_refused() {
    let mut request = json!({"model":"a","input":"x"});
    for index in 0..1_000 {
        request[format!("x{index:04}")] = json!(1);
    }
    assert!(convert(&request, &OPTIONS).is_ok());
    request["y"] = json!(1);
    let error = convert(&request, &OPTIONS).unwrap_err();
    assert_eq!((error.code, error.param), (Code::UnsupportedParameter, None));
}

#[test]
fn long_names_are_refused() {
    let tools = |namespace: usize, name: usize| {
        json!({"model":"a","input":"x","tools":[{"type":"namespace","name":"n".repeat(namespace),
            "tools":[{"type":"function","name":"f".repeat(name)}]}]})
    };
    assert!(convert(&tools(512, 512), &OPTIONS).is_ok());
    assert_eq!(refused(&tools(513, 1)).0, "tools[0].name");
    assert_eq!(refused(&tools(1, 513)).0, "tools[0].tools[0].name");
}

/// Further in, a name that is too long to be held against all others is left out.
#[test]
fn names_that_are_too_long_to_be_looked_at_are_left_out() {
    for (name, stays) in [
        ("x".repeat(4_096), true),
        ("x".repeat(4_097), false),
        ("\u{e9}".repeat(256), true),
        ("\u{301}".repeat(1_000_000), false),
    ] {
        let request = json!({"model":"a","input":"x","tools":[{"type":"function","name":"f",name.clone():1}]});
        let chat = convert(&request, &OPTIONS).unwrap();
        assert_eq!(String::from_utf8(chat.body).unwrap().contains(&name), stays);
        assert_eq!(chat.dropped.is_empty(), stays, "{:?}", chat.dropped);
    }
}

#[test]
fn items() {
    let call =
        |id: &str| json!({"type": "function_call", "call_id": id, "name": "f", "arguments": "{}"});
    let output = |id: &str| json!({"type": "function_call_output", "call_id": id, "output": "x"});
    for (items, param) in [
        (json!([7]), "input[0]"),
        (json!([{}]), "input[0].type"),
        (json!([{"type": 1}]), "input[0].type"),
        (json!([{"role": "user", "content": "x"}, {"type": "other"}]), "input[1].type"),
        (json!([{"type": "item_reference", "id": "a"}]), "input[0].type"),
        (json!([{"id": "a"}]), "input[0].id"),
        (json!([{"type": "compaction", "encrypted_content": "a"}]), "input"),
        (json!([{"type": "compaction_trigger"}]), "input[0].type"),
        (json!([{"type": "message", "content": "x"}]), "input[0].role"),
        (json!([{"role": "tool", "content": "x"}]), "input[0].role"),
        (json!([{"role": 1, "content": "x"}]), "input[0].role"),
        (json!([{"role": "user"}]), "input[0].content"),
        (json!([{"role": "user", "content": null}]), "input[0].content"),
        (json!([{"role": "user", "content": {"type": "input_text"}}]), "input[0].content"),
        (json!([{"type": "additional_tools", "tools": {}}]), "input[0].tools"),
        (
            json!([{"type": "additional_tools", "tools": [{"type": "function"}]}]),
            "input[0].tools[0].name",
        ),
        (json!([{"type": "reasoning", "summary": "x"}]), "input[0].summary"),
        (json!([{"type": "reasoning", "summary": [], "content": "x"}]), "input[0].content"),
        // Calls.
        (json!([{"type": "function_call", "name": "f", "arguments": "{}"}]), "input[0].call_id"),
        (
            json!([{"type": "function_call", "call_id": "", "name": "f", "arguments": "{}"}]),
            "input[0].call_id",
        ),
        (json!([{"type": "function_call", "call_id": "a", "arguments": "{}"}]), "input[0].name"),
        (
            json!([{"type": "function_call", "call_id": "a", "name": "", "arguments": "{}"}]),
            "input[0].name",
        ),
        (
            json!([{"type": "function_call", "call_id": "a", "name": "f", "arguments": {}}]),
            "input[0].arguments",
        ),
        (json!([{"type": "function_call", "call_id": "a", "name": "f"}]), "input[0].arguments"),
        (
            json!([{"type": "function_call", "call_id": "a", "name": "f", "arguments": "{}",
            "namespace": 1}]),
            "input[0].namespace",
        ),
        (
            json!([{"type": "custom_tool_call", "call_id": "a", "name": "f", "arguments": "{}"}]),
            "input[0].input",
        ),
        (json!([call("a"), {"type": "function_call_output", "output": "x"}]), "input[0].call_id"),
        (json!([{"type": "function_call_output", "name": 1, "output": "x"}]), "input[0].name"),
        (json!([{"type": "function_call_output", "name": "f"}]), "input[0].output"),
        (
            json!([{"type": "function_call_output", "call_id": "", "output": "x"}]),
            "input[0].call_id",
        ),
        (json!([call("a"), {"type": "function_call_output", "call_id": "a"}]), "input[1].output"),
        (
            json!([call("a"), {"type": "function_call_output", "call_id": "a", "output": {}}]),
            "input[1].output",
        ),
        (
            json!([call("a"), {"type": "function_call_output", "call_id": "a",
            "output": [{"type": "input_text"}]}]),
            "input[1].output[0].text",
        ),
        // Pairs.
        (json!([call("a")]), "input[0].call_id"),
        (json!([call("a"), call("b"), output("a")]), "input[1].call_id"),
        (json!([output("a")]), "input[0].call_id"),
        (json!([output("a"), call("a")]), "input[0].call_id"),
        (json!([call("a"), call("a"), output("a")]), "input[1].call_id"),
        (json!([call("a"), output("a"), output("a")]), "input[2].call_id"),
    ] {
        blames(&json!({"input": items}), param);
    }
}

#[test]
fn content_parts() {
    for (part, member) in [
        (json!({"text": "x"}), ".type"),
        (json!({"type": 1}), ".type"),
        (json!({"type": "other"}), ".type"),
        (json!({"type": "input_text"}), ".text"),
        (json!({"type": "output_text", "text": 1}), ".text"),
        (json!({"type": "refusal", "text": "x"}), ".refusal"),
        (json!({"type": "input_image"}), ".image_url"),
        (json!({"type": "input_image", "image_url": {"url": "x"}}), ".image_url"),
        (json!({"type": "input_image", "image_url": "x", "detail": 1}), ".detail"),
        (json!({"type": "input_image", "file_id": "x"}), ".file_id"),
        (json!({"type": "input_file"}), ".file_data"),
        (json!({"type": "input_file", "file_data": 1}), ".file_data"),
        (json!({"type": "input_file", "file_data": "x", "filename": 1}), ".filename"),
        (json!({"type": "input_file", "file_id": 1}), ".file_id"),
        (json!({"type": "input_file", "file_url": "x"}), ".file_url"),
        (json!("x"), ""),
    ] {
        let text = json!({"type": "input_text", "text": "x"});
        for role in ["user", "assistant", "system"] {
            let items = json!([{"role": role, "content": [text, part]}]);
            blames(&json!({"input": items}), &format!("input[0].content[1]{member}"));
        }
    }
}

#[test]
fn tools_and_choices() {
    let f = json!({"type": "function", "name": "f"});
    for (tools, param) in [
        (json!({}), "tools"),
        (json!([1]), "tools[0]"),
        (json!([{}]), "tools[0].type"),
        (json!([f, {"type": "function"}]), "tools[1].name"),
        (json!([{"type": "function", "name": ""}]), "tools[0].name"),
        (json!([{"type": "function", "function": {}}]), "tools[0].function.name"),
        (json!([{"type": "function", "function": 1}]), "tools[0].function"),
        (json!([{"type": "function", "name": "f", "parameters": "x"}]), "tools[0].parameters"),
        (json!([{"type": "function", "name": "f", "strict": 1}]), "tools[0].strict"),
        (json!([{"type": "function", "name": "f", "description": 1}]), "tools[0].description"),
        (json!([f, f]), "tools[1].name"),
        (json!([f, {"type": "custom", "name": "f"}]), "tools[1].name"),
        (json!([{"type": "custom", "name": "c", "format": {}}]), "tools[0].format.type"),
        (
            json!([{"type": "custom", "name": "c", "format": {"type": "grammar", "syntax": "lark"}}]),
            "tools[0].format.definition",
        ),
        (json!([{"type": "namespace", "tools": []}]), "tools[0].name"),
        (json!([{"type": "namespace", "name": "n"}]), "tools[0].tools"),
        (json!([{"type": "namespace", "name": "n", "tools": [f, f]}]), "tools[0].tools[1].name"),
        (json!([{"type": "namespace", "name": "n", "tools": [1]}]), "tools[0].tools[0]"),
    ] {
        blames(&json!({"input": "x", "tools": tools}), param);
    }
    for (choice, param) in [
        (json!("any"), "tool_choice"),
        (json!(1), "tool_choice"),
        (json!({}), "tool_choice.type"),
        (json!({"type": "web_search"}), "tool_choice.type"),
        (json!({"type": "mcp", "server_label": "x"}), "tool_choice.type"),
        (json!({"type": "function"}), "tool_choice.name"),
        (json!({"type": "function", "name": "g"}), "tool_choice.name"),
        (json!({"type": "function", "name": "f", "namespace": "n"}), "tool_choice.name"),
        (json!({"type": "allowed_tools", "tools": []}), "tool_choice.mode"),
        (json!({"type": "allowed_tools", "mode": "auto"}), "tool_choice.tools"),
        (
            json!({"type": "allowed_tools", "mode": "auto", "tools": [1]}),
            "tool_choice.tools[0].type",
        ),
        (
            json!({"type": "allowed_tools", "mode": "auto",
            "tools": [{"type": "function", "name": "g"}]}),
            "tool_choice.tools[0].name",
        ),
        (
            json!({"type": "allowed_tools", "mode": "required", "tools": [{"type": "web_search"}]}),
            "tool_choice",
        ),
    ] {
        blames(
            &json!({"input": "x", "tools": [f, {"type": "web_search"}], "tool_choice": choice}),
            param,
        );
    }
    // What must be called is not there.
    blames(
        &json!({"input": "x", "tools": [{"type": "web_search"}], "tool_choice": "required"}),
        "tool_choice",
    );
}

#[test]
fn parameters() {
    for (name, value, param) in [
        ("previous_response_id", json!("resp_1"), "previous_response_id"),
        ("conversation", json!("conv_1"), "conversation"),
        ("conversation", json!({"id": "conv_1"}), "conversation"),
        ("background", json!(true), "background"),
        ("background", json!("yes"), "background"),
        ("prompt", json!({"id": "pmpt_1"}), "prompt"),
        ("input", json!(7), "input"),
        ("input", json!({}), "input"),
        ("instructions", json!([]), "instructions"),
        ("max_output_tokens", json!("9"), "max_output_tokens"),
        ("max_tool_calls", json!("9"), "max_tool_calls"),
        ("metadata", json!([]), "metadata"),
        ("parallel_tool_calls", json!(1), "parallel_tool_calls"),
        ("prompt_cache_key", json!(1), "prompt_cache_key"),
        ("reasoning", json!("low"), "reasoning"),
        ("reasoning", json!({"effort": 1}), "reasoning.effort"),
        ("safety_identifier", json!(1), "safety_identifier"),
        ("service_tier", json!(1), "service_tier"),
        ("store", json!("no"), "store"),
        ("stream", json!("true"), "stream"),
        ("stream_options", json!(true), "stream_options"),
        ("temperature", json!("1"), "temperature"),
        ("text", json!("x"), "text"),
        ("text", json!({"verbosity": 1}), "text.verbosity"),
        ("text", json!({"format": {"type": "xml"}}), "text.format.type"),
        ("text", json!({"format": "text"}), "text.format.type"),
        ("text", json!({"format": {"type": "json_schema", "schema": {}}}), "text.format.name"),
        ("text", json!({"format": {"type": "json_schema", "name": "n"}}), "text.format.schema"),
        (
            "text",
            json!({"format": {"type": "json_schema", "json_schema": {"name": "n"}}}),
            "text.format.json_schema.schema",
        ),
        ("top_logprobs", json!(true), "top_logprobs"),
        ("top_p", json!("1"), "top_p"),
        ("truncation", json!(1), "truncation"),
        ("user", json!(1), "user"),
        ("include", json!("x"), "include"),
        ("include", json!([1]), "include[0]"),
        ("messages", json!([]), "messages"),
        ("functions", json!([]), "functions"),
        ("function_call", json!("auto"), "function_call"),
        ("n", json!(2), "n"),
    ] {
        let mut request = json!({"input": "x"});
        request[name] = value;
        blames(&request, param);
    }
}

#[test]
fn no_input() {
    for request in [
        json!({}),
        json!({"input": null}),
        json!({"input": []}),
        json!({"input": [], "instructions": ""}),
        json!({"input": [{"type": "web_search_call"}]}),
        json!({"input": [{"type": "reasoning", "summary": []}]}),
    ] {
        blames(&request, "input");
    }
    let (param, message) = refused(&json!({"messages": [{"role": "user", "content": "x"}]}));
    assert_eq!(param, "input");
    assert!(message.contains("/chat/completions"), "{message}");
}

#[test]
fn too_many_tools() {
    let tools = |count: usize| -> Value {
        (0..count).map(|n| json!({"type": "function", "name": format!("f{n}")})).collect()
    };
    assert!(super::convert(&json!({"input": "x", "tools": tools(10_000)}), &OPTIONS).is_ok());
    blames(&json!({"input": "x", "tools": tools(10_001)}), "tools");
}

#[test]
fn messages_say_which_call() {
    let long = "x".repeat(100);
    let item = json!({"type": "function_call", "call_id": long, "name": "f", "arguments": "{}"});
    let (_, message) = refused(&json!({"input": [item]}));
    assert_eq!(message, format!("No tool output found for function call {}….", "x".repeat(64)));
}

#[test]
fn what_is_no_object() {
    for body in [&b""[..], b"[]", b"7", b"\"x\"", b"{", b"{} {}", b"{\"input\":\"\xff"] {
        let error = to_chat(body, &OPTIONS).unwrap_err();
        assert_eq!((error.code, error.param), (Code::InvalidJson, None));
    }
}
