//! What the items become.

use serde_json::{Value, json};

use super::{ChatRequestOptions, OPTIONS, chat, convert, messages, tree};
use crate::policy::Takes;
use crate::test;

fn user(text: &str) -> Value {
    json!({"role": "user", "content": text})
}

fn call(id: &str, name: &str, arguments: &str) -> Value {
    json!({"type": "function_call", "call_id": id, "name": name, "arguments": arguments})
}

fn output(id: &str, output: &str) -> Value {
    json!({"type": "function_call_output", "call_id": id, "output": output})
}

fn tool_call(id: &str, name: &str, arguments: &str) -> Value {
    json!({"id": id, "type": "function", "function": {"name": name, "arguments": arguments}})
}

fn calls(calls: &[Value]) -> Value {
    json!({"role": "assistant", "content": null, "tool_calls": calls})
}

fn tool(id: &str, content: &str) -> Value {
    json!({"role": "tool", "tool_call_id": id, "content": content})
}

#[test]
fn text_comes_as_it_was_escaped() {
    let body = br#"{"input":"a\u00e9\/\n","model":"provider/m"}"#;
    let chat = super::to_chat(body, &OPTIONS).unwrap();
    assert_eq!(
        String::from_utf8(chat.body).unwrap(),
        r#"{"model":"m","messages":[{"role":"user","content":"a\u00e9\/\n"}]}"#
    );
    let quoted = ChatRequestOptions { model: "a\"b", ..OPTIONS };
    assert_eq!(tree(&super::to_chat(body, &quoted).unwrap())["model"], "a\"b");
}

#[test]
fn messages_of_every_role_and_form() {
    assert_eq!(
        messages(&json!([
            {"type": "message", "role": "user", "content": "a", "id": "msg_1", "status": "completed"},
            {"role": "assistant", "content": [
                {"type": "output_text", "text": "b", "annotations": [], "logprobs": []},
            ], "phase": "commentary"},
            {"role": "user", "content": [
                {"type": "input_text", "text": "c"},
                {"type": "text", "text": "d"},
            ]},
            {"role": "assistant", "content": [{"type": "refusal", "refusal": "No."}]},
            {"role": "user", "content": []},
        ])),
        json!([
            {"role": "user", "content": "a"},
            {"role": "assistant", "content": "b"},
            {"role": "user", "content": "c\nd"},
            {"role": "assistant", "content": "No."},
            {"role": "user", "content": ""},
        ])
    );
}

#[test]
fn what_instructs_at_the_beginning_joins_the_one_system_message() {
    let request = json!({"instructions": "i", "input": [
        {"role": "developer", "content": [
            {"type": "input_text", "text": "a"},
            {"type": "input_text", "text": "b"},
        ]},
        {"role": "system", "content": "c"},
        user("x"),
        user("y"),
    ]});
    assert_eq!(
        chat(&request)["messages"],
        json!([{"role": "system", "content": "i\n\na\nb\n\nc"}, user("x"), user("y")])
    );
    // Without items it is the conversation; an empty one is none.
    assert_eq!(
        chat(&json!({"instructions": "i", "input": []}))["messages"],
        json!([{"role": "system", "content": "i"}])
    );
    assert_eq!(chat(&json!({"instructions": "", "input": "x"}))["messages"], json!([user("x")]));
    assert_eq!(chat(&json!({"instructions": null, "input": ""}))["messages"], json!([user("")]));
}

#[test]
fn what_instructs_later_stays_where_it_is() {
    let image = json!({"type": "input_image", "image_url": "u"});
    let input = json!([
        user("one"),
        {"role": "assistant", "content": "two"},
        {"role": "developer", "content": [{"type": "input_text", "text": "mode: plan"}]},
        user("three"),
        {"role": "system", "content": [
            {"type": "input_text", "text": "a"}, {"type": "input_text", "text": "b"},
        ]},
        {"role": "developer", "content": ""},
        {"role": "system", "content": []},
        {"role": "developer", "content": [{"type": "input_text", "text": "see"}, image]},
    ]);
    let request = json!({"instructions": "base", "input": input});
    let base = json!({"role": "system", "content": "base"});
    let answer = json!({"role": "assistant", "content": "two"});
    let shown = json!({"type": "image_url", "image_url": {"url": "u"}});
    assert_eq!(
        chat(&request)["messages"],
        json!([
            base,
            user("one"),
            answer,
            user("Instruction of the developer:\n\nmode: plan"),
            user("three"),
            user("Instruction of the system:\n\na\nb"),
            {"role": "user", "content": [
                {"type": "text", "text": "Instruction of the developer:"},
                {"type": "text", "text": "see"},
                shown,
            ]},
        ])
    );
    let takes = Takes { system_anywhere: true, ..Takes::DEFAULT };
    let got = convert(&request, &ChatRequestOptions { takes, ..OPTIONS }).unwrap();
    assert_eq!(
        tree(&got)["messages"],
        json!([
            base,
            user("one"),
            answer,
            {"role": "system", "content": "mode: plan"},
            user("three"),
            {"role": "system", "content": "a\nb"},
            {"role": "system", "content": [{"type": "text", "text": "see"}, shown]},
        ])
    );
}

#[test]
fn an_instruction_among_calls_stands_behind_their_outputs() {
    let call =
        |id: &str| json!({"type": "function_call", "call_id": id, "name": "f", "arguments": "{}"});
    let output = |id: &str| json!({"type": "function_call_output", "call_id": id, "output": id});
    let note = json!({"role": "developer", "content": "n"});
    for items in [
        json!([user("x"), call("1"), call("2"), note, output("1"), output("2")]),
        json!([user("x"), call("1"), call("2"), output("1"), note, output("2")]),
        json!([user("x"), call("1"), call("2"), output("1"), output("2"), note]),
    ] {
        let messages = messages(&items);
        let roles: Vec<_> = messages.as_array().unwrap().iter().map(|m| &m["role"]).collect();
        assert_eq!(roles, ["user", "assistant", "tool", "tool", "user"], "{items}");
        assert_eq!(messages[4]["content"], "Instruction of the developer:\n\nn");
    }
}

#[test]
fn an_output_that_no_call_asked_for_is_a_users_message() {
    let output = |mut item: Value, kind: &str, output: Value| {
        item["type"] = kind.into();
        item["output"] = output;
        item
    };
    let named = json!({"id": "fco_1", "name": "automation_update", "namespace": "app"});
    let image =
        json!([{"type": "input_text", "text": "t"}, {"type": "input_image", "image_url": "u"}]);
    assert_eq!(
        messages(&json!([
            output(named, "function_call_output", json!("Automation: nightly")),
            output(json!({"name": "f", "call_id": null}), "custom_tool_call_output", json!("a")),
            output(json!({}), "function_call_output", json!([{"type": "input_text", "text": "b"}])),
            output(json!({"name": "g", "namespace": ""}), "function_call_output", image),
            user("go"),
        ])),
        json!([
            user("Output of the tool app.automation_update:\n\nAutomation: nightly"),
            user("Output of the tool f:\n\na"),
            user("Output of a tool:\n\nb"),
            {"role": "user", "content": [
                {"type": "text", "text": "Output of the tool g:"},
                {"type": "text", "text": "t"},
                {"type": "image_url", "image_url": {"url": "u"}},
            ]},
            user("go"),
        ])
    );
}

#[test]
fn a_reference_to_reasoning_alone_is_left_out_and_named() {
    let request = json!({"input": [
        user("x"), {"type": "item_reference", "id": "rs_1"}, {"id": "rs_2"}, user("y"),
    ]});
    let got = convert(&request, &OPTIONS).unwrap();
    assert_eq!(got.dropped, ["item_reference"]);
    assert_eq!(tree(&got)["messages"], json!([user("x"), user("y")]));
}

#[test]
fn parts_that_are_not_text() {
    assert_eq!(
        messages(&json!([{"role": "user", "content": [
            {"type": "input_text", "text": "see"},
            {"type": "input_image", "image_url": "data:image/png;base64,AA", "detail": "low"},
            {"type": "input_image", "image_url": "https://a/b", "detail": "original", "file_id": null},
            {"type": "input_image", "image_url": "https://a/c"},
            {"type": "input_file", "filename": "a.pdf", "file_data": "data:x", "file_url": null},
            {"type": "input_file", "file_id": "file_1", "detail": "high"},
            {"type": "input_audio", "input_audio": {"data": "AA", "format": "wav"}},
            {"type": "video_url", "video_url": {"url": "https://a/d"}},
        ]}])),
        json!([{"role": "user", "content": [
            {"type": "text", "text": "see"},
            {"type": "image_url", "image_url": {"url": "data:image/png;base64,AA", "detail": "low"}},
            {"type": "image_url", "image_url": {"url": "https://a/b", "detail": "high"}},
            {"type": "image_url", "image_url": {"url": "https://a/c"}},
            {"type": "file", "file": {"filename": "a.pdf", "file_data": "data:x"}},
            {"type": "file", "file": {"file_id": "file_1"}},
            {"type": "input_audio", "input_audio": {"data": "AA", "format": "wav"}},
            {"type": "video_url", "video_url": {"url": "https://a/d"}},
        ]}])
    );
}

#[test]
fn a_parts_own_members_stay_with_it() {
    let marker = json!({"type": "ephemeral"});
    assert_eq!(
        messages(&json!([
            {"role": "system", "content": "s"},
            {"role": "system", "content": [
                {"type": "input_text", "text": "t", "cache_control": marker},
            ]},
            {"role": "user", "content": [
                {"type": "input_text", "text": "a", "prompt_cache_breakpoint": null},
                {"type": "input_text", "text": "b", "cache_control": marker},
                {"type": "input_image", "image_url": "u", "cache_control": marker},
                {"type": "input_file", "file_data": "d", "cache_control": marker},
            ]},
        ])),
        json!([
            {"role": "system", "content": [
                {"type": "text", "text": "s"},
                {"type": "text", "text": "t", "cache_control": marker},
            ]},
            {"role": "user", "content": [
                {"type": "text", "text": "a"},
                {"type": "text", "text": "b", "cache_control": marker},
                {"type": "image_url", "image_url": {"url": "u"}, "cache_control": marker},
                {"type": "file", "file": {"file_data": "d"}, "cache_control": marker},
            ]},
        ])
    );
}

#[test]
fn calls_join_the_answer_that_made_them() {
    assert_eq!(
        messages(&json!([
            user("x"),
            {"role": "assistant", "content": "I look."},
            call("c1", "read", r#"{"path":"a\"b"}"#),
            call("c2", "list", ""),
            output("c2", "two"),
            output("c1", "one"),
            call("c3", "read", "{}"),
            {"type": "function_call_output", "call_id": "c3", "output": [
                {"type": "input_text", "text": "l1"},
                {"type": "output_text", "text": "l2"},
            ]},
            {"role": "assistant", "content": "Done."},
        ])),
        json!([
            user("x"),
            {"role": "assistant", "content": "I look.", "tool_calls": [
                tool_call("c1", "read", r#"{"path":"a\"b"}"#),
                tool_call("c2", "list", "{}"),
            ]},
            tool("c1", "one"),
            tool("c2", "two"),
            calls(&[tool_call("c3", "read", "{}")]),
            tool("c3", "l1\nl2"),
            {"role": "assistant", "content": "Done."},
        ])
    );
}

#[test]
fn outputs_move_behind_their_calls() {
    assert_eq!(
        messages(&json!([
            call("c1", "f", "{}"),
            user("wait"),
            call("c2", "f", "{}"),
            output("c1", "one"),
            call("c3", "f", "{}"),
            output("c3", "three"),
            output("c2", "two"),
        ])),
        json!([
            calls(&[tool_call("c1", "f", "{}")]),
            tool("c1", "one"),
            user("wait"),
            calls(&[tool_call("c2", "f", "{}")]),
            tool("c2", "two"),
            calls(&[tool_call("c3", "f", "{}")]),
            tool("c3", "three"),
        ])
    );
    // The model spoke after it called, and before it was answered: one answer, the calls last.
    assert_eq!(
        messages(&json!([
            {"role": "assistant", "content": "a"},
            {"role": "assistant", "content": "b"},
            call("c1", "f", "{}"),
            {"role": "assistant", "content": "c"},
            call("c2", "f", "{}"),
            output("c1", "one"),
            output("c2", "two"),
        ])),
        json!([
            {"role": "assistant", "content": "a"},
            {"role": "assistant", "content": "b\n\nc", "tool_calls": [
                tool_call("c1", "f", "{}"), tool_call("c2", "f", "{}"),
            ]},
            tool("c1", "one"),
            tool("c2", "two"),
        ])
    );
}

#[test]
fn a_call_id_may_come_again_once_it_is_answered() {
    assert_eq!(
        messages(&json!([
            call("call_0", "f", "{}"),
            output("call_0", "one"),
            call("call_0", "g", "{}"),
            output("call_0", "two"),
        ])),
        json!([
            calls(&[tool_call("call_0", "f", "{}")]),
            tool("call_0", "one"),
            calls(&[tool_call("call_0", "g", "{}")]),
            tool("call_0", "two"),
        ])
    );
}

#[test]
fn call_ids_pair_by_value_not_by_spelling() {
    let body = br#"{"input":[
        {"type":"function_call","call_id":"c\u0031","name":"f","arguments":"{}"},
        {"type":"function_call_output","call_id":"c1","output":"x"}]}"#;
    let chat = tree(&super::to_chat(body, &OPTIONS).unwrap());
    assert_eq!(chat["messages"], json!([calls(&[tool_call("c1", "f", "{}")]), tool("c1", "x")]));
}

#[test]
fn custom_calls_carry_their_text_as_an_argument() {
    let text = "*** Begin \"Patch\"\n\\a\t\u{e9}\u{1}";
    let got = messages(&json!([
        {"type": "custom_tool_call", "call_id": "c1", "name": "patch", "input": text, "id": "ctc_1"},
        {"type": "custom_tool_call_output", "call_id": "c1", "output": [
            {"type": "input_text", "text": "ok"},
        ]},
    ]));
    let function = &got[0]["tool_calls"][0]["function"];
    assert_eq!(function["name"], "patch");
    let arguments: Value = serde_json::from_str(function["arguments"].as_str().unwrap()).unwrap();
    assert_eq!(arguments, json!({"input": text}));
    assert_eq!(got[1], tool("c1", "ok"));
}

#[test]
fn arguments_that_are_no_object_go_inside_of_one() {
    let mut deep = "[".repeat(600);
    deep.insert_str(0, "{\"a\":");
    for arguments in [
        "{\"cmd\": \"ls",
        "{\"a\": \"say \"hi\"\"}",
        "{\"a\": 1} {\"a\": 2}",
        "{\"a\": \"x\ny\"}",
        "[1]",
        "\"text\"",
        "rm -rf \u{1}\\",
        &deep,
    ] {
        let got = messages(&json!([call("c", "f", arguments), output("c", "no JSON")]));
        let sent = got[0]["tool_calls"][0]["function"]["arguments"].as_str().unwrap();
        let sent: Value = serde_json::from_str(sent).unwrap();
        assert_eq!(sent, json!({"invalid_arguments": arguments}));
    }
    let long = "x".repeat(1 << 20);
    for (arguments, want) in [
        (&*long, &*long),
        (" {\"a\" : 1}\n", " {\"a\" : 1}\n"),
        ("{\"a\":\"\\u00e9\\n\"}", "{\"a\":\"\\u00e9\\n\"}"),
        ("", "{}"),
        (" \n", "{}"),
        ("null", "{}"),
    ] {
        let got = messages(&json!([call("c", "f", arguments), output("c", "r")]));
        assert_eq!(got[0]["tool_calls"][0]["function"]["arguments"], want);
    }
}

#[test]
fn images_of_a_tool_follow_in_a_user_message() {
    let image = json!({"type": "input_image", "image_url": "data:x"});
    let url = json!({"type": "image_url", "image_url": {"url": "data:x"}});
    let label =
        |id: &str| json!({"type": "text", "text": format!("Output of the tool call {id}:")});
    assert_eq!(
        messages(&json!([
            call("c1", "view", "{}"),
            call("c2", "view", "{}"),
            call("c3", "view", "{}"),
            {"type": "function_call_output", "call_id": "c1", "output": [image]},
            {"type": "function_call_output", "call_id": "c2", "output": [
                {"type": "input_text", "text": "see"}, image,
            ]},
            {"type": "function_call_output", "call_id": "c3", "output": []},
            user("x"),
        ])),
        json!([
            calls(&[
                tool_call("c1", "view", "{}"),
                tool_call("c2", "view", "{}"),
                tool_call("c3", "view", "{}"),
            ]),
            tool("c1", "The output is in the user message that follows."),
            tool("c2", "see"),
            tool("c3", ""),
            {"role": "user", "content": [label("c1"), url, label("c2"), url]},
            user("x"),
        ])
    );
}

#[test]
fn reasoning_goes_back_to_a_server_that_wants_it() {
    let request = json!({"input": [
        user("x"),
        {"type": "reasoning", "id": "rs_1", "summary": [{"type": "summary_text", "text": "s"}],
            "content": [{"type": "reasoning_text", "text": "I think\n"}],
            "encrypted_content": null},
        {"role": "assistant", "content": "a"},
        {"type": "reasoning", "id": "rs_2", "summary": [
            {"type": "summary_text", "text": "one"}, {"type": "summary_text", "text": "two"}]},
        call("c1", "f", "{}"),
        {"type": "reasoning", "id": "rs_3", "summary": [], "content": [], "encrypted_content": null},
        {"type": "reasoning", "id": "rs_4", "summary": [{"type": "summary_text", "text": "three"}]},
        call("c2", "f", "{}"),
        output("c1", "1"),
        output("c2", "2"),
        {"type": "reasoning", "id": "rs_5", "summary": [{"type": "summary_text", "text": "lost"}]},
        user("y"),
    ]});
    let both = [tool_call("c1", "f", "{}"), tool_call("c2", "f", "{}")];
    let options = ChatRequestOptions { reasoning_field: Some("reasoning_content"), ..OPTIONS };
    assert_eq!(
        tree(&convert(&request, &options).unwrap())["messages"],
        json!([
            user("x"),
            {"role": "assistant", "content": "a",
                "reasoning_content": "I think\n\n\none\n\ntwo\n\nthree", "tool_calls": both},
            tool("c1", "1"),
            tool("c2", "2"),
            user("y"),
        ])
    );
    assert_eq!(
        chat(&request)["messages"],
        json!([
            user("x"),
            {"role": "assistant", "content": "a", "tool_calls": both},
            tool("c1", "1"),
            tool("c2", "2"),
            user("y"),
        ])
    );
}

#[test]
fn reasoning_belongs_to_the_message_behind_it() {
    let thought = |text: &str| json!({"type": "reasoning", "summary": [{"text": text}]});
    let request = json!({"input": [
        thought("one"), {"role": "assistant", "content": "a"},
        thought("two"), {"role": "assistant", "content": "b"},
    ]});
    let options = ChatRequestOptions { reasoning_field: Some("reasoning"), ..OPTIONS };
    assert_eq!(
        tree(&convert(&request, &options).unwrap())["messages"],
        json!([
            {"role": "assistant", "content": "a", "reasoning": "one"},
            {"role": "assistant", "content": "b", "reasoning": "two"},
        ])
    );
}

#[test]
fn items_of_a_servers_own_tools_are_left_out_and_named() {
    let request = json!({"input": [
        user("x"),
        {"type": "web_search_call", "id": "ws_1", "status": "completed", "action": {}},
        {"type": "web_search_call", "id": "ws_2", "status": "completed", "action": {}},
        {"type": "local_shell_call", "id": "l_1", "call_id": "c1", "action": {}},
        {"type": "local_shell_call_output", "id": "l_1", "output": "x"},
        {"role": "assistant", "content": "a"},
    ]});
    let got = convert(&request, &OPTIONS).unwrap();
    assert_eq!(got.dropped, ["web_search_call", "local_shell_call", "local_shell_call_output"]);
    assert_eq!(tree(&got)["messages"], json!([user("x"), {"role": "assistant", "content": "a"}]));
}
