//! Requests as a real coding CLI sends them (tests/envoy/data/codex).

use serde_json::{Value, json};

use super::{ChatRequestOptions, OPTIONS, to_chat, tree};
use crate::dialect::responses::CalledTool;
use crate::test;

const FIRST_TURN: &str =
    include_str!(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/envoy/data/codex/first_turn.json"));
const FUNCTION_TOOLS: &str = include_str!(concat!(
    env!("CARGO_MANIFEST_DIR"),
    "/tests/envoy/data/codex/function_tools.json"
));
const CUSTOM_TOOL: &str =
    include_str!(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/envoy/data/codex/custom_tool.json"));
const ADDITIONAL_TOOLS: &str = include_str!(concat!(
    env!("CARGO_MANIFEST_DIR"),
    "/tests/envoy/data/codex/additional_tools.json"
));

fn roles(chat: &Value) -> Vec<&str> {
    let messages = chat["messages"].as_array().unwrap();
    messages.iter().map(|message| message["role"].as_str().unwrap()).collect()
}

fn names(list: &Value) -> Vec<&str> {
    list.as_array().unwrap().iter().map(|tool| tool["function"]["name"].as_str().unwrap()).collect()
}

#[test]
fn a_first_turn() {
    let got = to_chat(FIRST_TURN.as_bytes(), &OPTIONS).unwrap();
    assert_eq!(got.dropped, ["web_search", "prompt_cache_key", "client_metadata"]);
    assert!(got.context.stream);
    let chat = tree(&got);
    assert_eq!(roles(&chat), ["system", "user", "user"]);
    let request: Value = serde_json::from_str(FIRST_TURN).unwrap();
    let text = |item: usize, part: usize| &request["input"][item]["content"][part]["text"];
    assert_eq!(
        chat["messages"][0]["content"],
        format!(
            "{}\n\n{}\n{}",
            text(0, 0).as_str().unwrap(),
            text(1, 0).as_str().unwrap(),
            text(1, 1).as_str().unwrap()
        )
    );
    assert_eq!(&chat["messages"][2]["content"], text(3, 0));
    assert_eq!(
        names(&chat["tools"]),
        [
            "exec_command",
            "write_stdin",
            "request_user_input",
            "view_image",
            "multi_agent_v1__close_agent",
            "multi_agent_v1__resume_agent",
            "multi_agent_v1__send_input",
            "multi_agent_v1__spawn_agent",
            "multi_agent_v1__wait_agent",
            "get_goal",
            "create_goal",
            "update_goal",
        ]
    );
    assert_eq!(chat["tools"][0]["function"]["parameters"], request["tools"][0]["parameters"]);
    let members: Vec<_> = chat.as_object().unwrap().keys().map(String::as_str).collect();
    assert_eq!(
        members,
        [
            "messages",
            "model",
            "parallel_tool_calls",
            "stream",
            "stream_options",
            "tool_choice",
            "tools",
        ]
    );
}

#[test]
fn a_turn_with_functions() {
    let options = ChatRequestOptions { reasoning_field: Some("reasoning_content"), ..OPTIONS };
    let got = to_chat(FUNCTION_TOOLS.as_bytes(), &options).unwrap();
    assert_eq!(got.dropped, ["web_search", "prompt_cache_key", "client_metadata"]);
    let chat = tree(&got);
    assert_eq!(
        roles(&chat),
        ["system", "user", "user", "assistant", "tool", "tool", "tool", "tool"]
    );
    let answer = &chat["messages"][3];
    assert_eq!(answer["content"], "I make it.");
    assert_eq!(answer["reasoning_content"], "I must make a file.");
    assert_eq!(
        names(&answer["tool_calls"]),
        ["exec_command", "exec_command", "get_goal", "multi_agent_v1__close_agent"]
    );
    let (called, listed) = (names(&answer["tool_calls"]), names(&chat["tools"]));
    assert!(called.iter().all(|name| listed.contains(name)));
}

#[test]
fn a_turn_with_a_custom_tool() {
    let got = to_chat(CUSTOM_TOOL.as_bytes(), &OPTIONS).unwrap();
    assert_eq!(
        got.dropped,
        ["tool_search", "web_search", "text.verbosity", "prompt_cache_key", "client_metadata"]
    );
    let chat = tree(&got);
    assert_eq!(chat["reasoning_effort"], "medium");
    let call = &chat["messages"][3]["tool_calls"][2]["function"];
    assert_eq!(call["name"], "apply_patch");
    let arguments: Value = serde_json::from_str(call["arguments"].as_str().unwrap()).unwrap();
    assert_eq!(
        arguments,
        json!({"input":
            "*** Begin Patch\n*** Add File: patched.txt\n+from the patch\n*** End Patch"})
    );
    assert!(got.context.tools.0["apply_patch"].custom);
}

#[test]
fn a_turn_whose_tools_stand_in_the_conversation() {
    let got = to_chat(ADDITIONAL_TOOLS.as_bytes(), &OPTIONS).unwrap();
    assert_eq!(
        got.dropped,
        ["text.verbosity", "reasoning.context", "prompt_cache_key", "client_metadata"]
    );
    let chat = tree(&got);
    assert_eq!(roles(&chat), ["system", "user", "user", "assistant", "tool"]);
    assert_eq!(
        names(&chat["tools"])[..3],
        ["functions__exec", "functions__wait", "functions__request_user_input"]
    );
    assert_eq!(names(&chat["messages"][3]["tool_calls"]), ["functions__exec"]);
    assert_eq!(
        got.context.tools.0["functions__exec"],
        CalledTool { name: "exec".into(), namespace: Some("functions".into()), custom: true }
    );
}
