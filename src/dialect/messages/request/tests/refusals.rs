//! What is refused, with its path.

use super::*;
use crate::test;

fn refused(request: &Value) -> (Code, String) {
    let error = convert(request, &OPTIONS).expect_err(&request.to_string());
    (error.code, error.param.map(String::from).unwrap_or_default())
}

/// Each with the path at fault.
fn assert_refused(cases: &[(Value, &str)]) {
    for (members, path) in cases {
        let (code, param) = refused(&request(members));
        assert_eq!((code, param.as_str()), (Code::UnsupportedParameter, *path), "{members}");
    }
}

#[test]
fn parameters() {
    assert_refused(&[
        (json!({"max_tokens": null}), "max_tokens"),
        (json!({"max_tokens": "9"}), "max_tokens"),
        (json!({"max_tokens": 0}), "max_tokens"),
        (json!({"max_tokens": 1.5}), "max_tokens"),
        (json!({"n": 2}), "n"),
        (json!({"thread": {"type": "create"}}), "thread"),
        (json!({"stream": "true"}), "stream"),
        (json!({"temperature": "hot"}), "temperature"),
        (json!({"stop_sequences": "a"}), "stop_sequences"),
        (json!({"stop_sequences": ["a", 1]}), "stop_sequences[1]"),
        (json!({"system": 1}), "system"),
        (json!({"system": [{"type": "image"}]}), "system[0].type"),
        (json!({"system": [{"type": "text", "text": 1}]}), "system[0].text"),
        (json!({"system": ["a"]}), "system[0]"),
        (json!({"metadata": {"user_id": 1}}), "metadata.user_id"),
        (json!({"thinking": {"type": "enabled"}}), "thinking.budget_tokens"),
        (json!({"thinking": {}}), "thinking.type"),
        (json!({"output_config": {"effort": 1}}), "output_config.effort"),
        (json!({"output_config": {"format": {"type": "text"}}}), "output_config.format.type"),
        (json!({"output_format": {"type": "json_schema"}}), "output_format.schema"),
        (json!({"messages": null}), "messages"),
        (json!({"messages": {}}), "messages"),
        (json!({"messages": []}), "messages"),
        (json!({"messages": [{"role": "user", "content": ""}]}), "messages"),
    ]);
}

#[test]
fn tools() {
    assert_refused(&[
        (json!({"tools": {}}), "tools"),
        (json!({"tools": ["a"]}), "tools[0]"),
        (json!({"tools": [{"input_schema": {}}]}), "tools[0].name"),
        (json!({"tools": [{"name": ""}]}), "tools[0].name"),
        (json!({"tools": [{"name": "a"}, {"name": "a"}]}), "tools[1].name"),
        (json!({"tools": [{"name": "a", "input_schema": []}]}), "tools[0].input_schema"),
        (json!({"tools": [{"name": "a", "description": 1}]}), "tools[0].description"),
        (json!({"tools": [{"name": "a", "strict": "yes"}]}), "tools[0].strict"),
        (json!({"tool_choice": "auto"}), "tool_choice"),
        (json!({"tool_choice": {}}), "tool_choice.type"),
        (json!({"tool_choice": {"type": "required"}}), "tool_choice.type"),
        (json!({"tool_choice": {"type": "tool"}}), "tool_choice.name"),
        (
            json!({"tools": [{"name": "a"}], "tool_choice": {"type": "tool", "name": "b"}}),
            "tool_choice.name",
        ),
        (
            json!({"tools": [{"name": "a"}], "tool_choice": {"type": "auto", "disable_parallel_tool_use": 1}}),
            "tool_choice.disable_parallel_tool_use",
        ),
    ]);
}

#[test]
fn blocks_of_the_newest_message() {
    let newest = |block: Value| json!({"messages": [{"role": "user", "content": "a"}, {"role": "user", "content": [{"type": "text", "text": "b"}, block]}]});
    let at = |member: &str| format!("messages[1].content[1]{member}");
    for (block, member) in [
        (json!("text"), ""),
        (json!({"text": "x"}), ".type"),
        (json!({"type": "text"}), ".text"),
        (json!({"type": "text", "text": 1}), ".text"),
        (json!({"type": "brand_new"}), ".type"),
        (json!({"type": "container_upload", "file_id": "f"}), ".type"),
        (json!({"type": "tool_use", "id": "t", "name": "f", "input": {}}), ".type"),
        (json!({"type": "image"}), ".source"),
        (json!({"type": "image", "source": {"type": "base64", "data": "x"}}), ".source.media_type"),
        (
            json!({"type": "image", "source": {"type": "base64", "media_type": "image/png"}}),
            ".source.data",
        ),
        (json!({"type": "image", "source": {"type": "url"}}), ".source.url"),
        (json!({"type": "image", "source": {"type": "file", "file_id": "f"}}), ".source.type"),
        (json!({"type": "document", "source": {"type": "file", "file_id": "f"}}), ".source.type"),
        (json!({"type": "document", "source": {"type": "text"}}), ".source.data"),
        (json!({"type": "tool_result", "tool_use_id": "x"}), ".tool_use_id"),
        (json!({"type": "tool_result"}), ".tool_use_id"),
        (json!({"type": "tool_result", "tool_use_id": "x", "content": 1}), ".content"),
        (json!({"type": "tool_result", "tool_use_id": "x", "is_error": "no"}), ".is_error"),
        (
            json!({"type": "tool_result", "tool_use_id": "x", "content": [{"type": "text"}]}),
            ".content[0].text",
        ),
    ] {
        assert_refused(&[(newest(block), &at(member))]);
    }
}

#[test]
fn messages_that_are_none() {
    let all = |messages: Value| json!({"messages": messages});
    assert_refused(&[
        (all(json!(["a"])), "messages[0]"),
        (all(json!([{"content": "a"}])), "messages[0].role"),
        (all(json!([{"role": "tool", "content": "a"}])), "messages[0].role"),
        (all(json!([{"role": "user"}])), "messages[0].content"),
        (all(json!([{"role": "user", "content": 1}])), "messages[0].content"),
        (all(json!([{"role": "user", "content": null}])), "messages[0].content"),
    ]);
}

#[test]
fn calls_and_results_that_do_not_pair_up() {
    let call = |id: &str| json!({"type": "tool_use", "id": id, "name": "f", "input": {}});
    let result = |id: &str| json!({"type": "tool_result", "tool_use_id": id, "content": "r"});
    let all = |calls: Value, results: Value| json!({"messages": [{"role": "user", "content": "a"}, {"role": "assistant", "content": calls}, {"role": "user", "content": results}]});
    assert_refused(&[
        (all(json!([call("1"), call("2")]), json!([result("1")])), "messages[1].content[1].id"),
        (all(json!([call("1")]), json!("no result")), "messages[1].content[0].id"),
        (
            all(json!([call("1")]), json!([result("1"), result("2")])),
            "messages[2].content[1].tool_use_id",
        ),
        (
            all(json!([call("1")]), json!([result("1"), result("1")])),
            "messages[2].content[1].tool_use_id",
        ),
        (all(json!([call("1"), call("1")]), json!([result("1")])), "messages[1].content[1].id"),
        (all(json!("none"), json!([result("1")])), "messages[2].content[0].tool_use_id"),
        (
            json!({"messages": [{"role": "user", "content": [result("1")]}]}),
            "messages[0].content[0].tool_use_id",
        ),
        (
            json!({"messages": [{"role": "user", "content": "a"}, {"role": "assistant", "content": [call("1")]}]}),
            "messages[1].content[0].id",
        ),
        (all(json!([{"type": "tool_use", "name": "f"}]), json!("x")), "messages[1].content[0].id"),
        (
            all(json!([{"type": "tool_use", "id": "1", "name": ""}]), json!("x")),
            "messages[1].content[0].name",
        ),
        (
            all(json!([{"type": "tool_use", "id": "1", "name": "f", "input": [1]}]), json!("x")),
            "messages[1].content[0].input",
        ),
    ]);
    // A result in a later turn is not the call's.
    let late = json!({"messages": [
        {"role": "user", "content": "a"}, {"role": "assistant", "content": [call("1")]}, {"role": "user", "content": [result("1")]},
        {"role": "assistant", "content": "b"}, {"role": "user", "content": [result("1")]},
    ]});
    assert_refused(&[(late, "messages[4].content[0].tool_use_id")]);
}

#[test]
fn names_that_servers_read_as_others() {
    for (name, param) in [
        ("Messages", "messages"),
        ("MAX_TOKENS", "max_tokens"),
        ("maxTokens", "max_tokens"),
        ("Stop", "stop"),
        ("max_completion_tokens", "max_completion_tokens"),
    ] {
        let mut asked = request(&json!({}));
        asked[name] = json!("x");
        assert_eq!(refused(&asked), (Code::DuplicateParameter, param.to_owned()), "{name}");
    }
    for (written, name) in [
        (json!({"stop_sequences": ["a"], "stop": "b"}), "stop"),
        (json!({"metadata": {"user_id": "a"}, "user": "b"}), "user"),
        (
            json!({"output_format": {"type": "json_schema", "schema": {}}, "response_format": {}}),
            "response_format",
        ),
    ] {
        assert_eq!(refused(&request(&written)), (Code::DuplicateParameter, name.to_owned()));
    }
    // Alone they are the chat server's own.
    let (chat, _) = with(
        &json!({"stop": "b", "user": "u", "response_format": {"type": "json_object"}}),
        &OPTIONS,
    );
    assert_eq!((&chat["stop"], &chat["user"]), (&json!("b"), &json!("u")));
    let body =
        br#"{"model":"a","max_tokens":1,"messages":[{"role":"user","content":"a"}],"messages":[]}"#;
    assert_eq!(to_chat(body, &OPTIONS).unwrap_err().code, Code::DuplicateParameter);
}

#[test]
fn bodies_that_are_none() {
    for (body, code) in
        [(&b"[]"[..], Code::InvalidJson), (b"{", Code::InvalidJson), (b"", Code::InvalidJson)]
    {
        assert_eq!(to_chat(body, &OPTIONS).unwrap_err().code, code);
    }
    let deep = format!(r#"{{"model":"a","messages":{}{}}}"#, "[".repeat(600), "]".repeat(600));
    assert_eq!(to_chat(deep.as_bytes(), &OPTIONS).unwrap_err().code, Code::InvalidJson);
    let many = request(
        &json!({"messages": [{"role": "user", "content": vec![json!({"type": "text", "text": "a"}); 40_000]}]}),
    );
    assert_eq!(refused(&many).0, Code::RequestTooLarge);
}
