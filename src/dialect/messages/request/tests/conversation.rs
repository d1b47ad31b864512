//! What the messages become.

use super::*;
use crate::test;

fn user(content: Value) -> Value {
    json!({"role": "user", "content": content})
}

fn assistant(content: Value) -> Value {
    json!({"role": "assistant", "content": content})
}

fn text(text: &str) -> Value {
    json!({"type": "text", "text": text})
}

fn tool_use(id: &str) -> Value {
    json!({"type": "tool_use", "id": id, "name": "f", "input": {"a": 1}})
}

fn result(id: &str, content: Value) -> Value {
    json!({"type": "tool_result", "tool_use_id": id, "content": content})
}

fn call(id: &str) -> Value {
    json!({"id": id, "type": "function", "function": {"name": "f", "arguments": "{\"a\":1}"}})
}

#[test]
fn text_becomes_a_string() {
    let got = messages(&json!([
        user("a".into()),
        assistant(json!([text("b"), text(""), text("c")])),
        user(json!([text("d")]))
    ]));
    assert_eq!(got, json!([user("a".into()), assistant("b\nc".into()), user("d".into())]));
}

#[test]
fn the_system_prompt_is_one_message_in_front() {
    for (system, want) in [
        (json!("be"), json!("be")),
        (
            json!([text("a"), text(""), {"type": "text", "text": "b", "cache_control": {"type": "ephemeral"}}]),
            json!("a\n\nb"),
        ),
        (json!("x-anthropic-billing-header: cc_version=1; cch=2\nbe"), json!("be")),
        (
            json!([
                text("x-anthropic-billing-header: cch=1"),
                text("X-Anthropic-Billing-Header: 2\nx-anthropic-billing-header:3\nb")
            ]),
            json!("b"),
        ),
        (json!("see x-anthropic-billing-header: 1"), json!("see x-anthropic-billing-header: 1")),
    ] {
        let (chat, dropped) = with(&json!({"system": system}), &OPTIONS);
        assert_eq!(
            chat["messages"],
            json!([{"role": "system", "content": want}, user("hi".into())]),
            "{system}"
        );
        assert_eq!(dropped, Vec::<String>::new());
    }
    for system in [
        json!(null),
        json!(""),
        json!([]),
        json!([text("")]),
        json!("x-anthropic-billing-header: 1"),
    ] {
        let (chat, _) = with(&json!({"system": system}), &OPTIONS);
        assert_eq!(chat["messages"], json!([user("hi".into())]), "{system}");
    }
}

#[test]
fn a_system_message_stays_where_it_is() {
    let said = json!([
        {"role": "system", "content": "first"},
        user("a".into()),
        {"role": "system", "content": [text("now")]},
        assistant("b".into()),
        user("c".into()),
        {"role": "system", "content": "later"},
    ]);
    let noted = |text: &str| format!("Instruction of the system:\n\n{text}");
    assert_eq!(
        messages(&said),
        json!([
            {"role": "system", "content": "first"},
            user(format!("a\n\n{}", noted("now")).into()),
            assistant("b".into()),
            user(format!("c\n\n{}", noted("later")).into()),
        ])
    );
    let anywhere = anywhere();
    assert_eq!(
        messages_with(&said, &anywhere),
        json!([
            {"role": "system", "content": "first"},
            user("a".into()),
            {"role": "system", "content": "now"},
            assistant("b".into()),
            user("c".into()),
            {"role": "system", "content": "later"},
        ])
    );
}

#[test]
fn a_system_message_stands_behind_the_results_of_the_calls_before_it() {
    for said in [
        json!([user("a".into()), assistant(json!([tool_use("t")])), {"role": "system", "content": "s"}, user(json!([result("t", "r".into())]))]),
        json!([user("a".into()), assistant(json!([tool_use("t")])), user(json!([result("t", "r".into())])), {"role": "system", "content": "s"}]),
    ] {
        let anywhere = anywhere();
        let got = messages_with(&said, &anywhere);
        assert_eq!(got[2], json!({"role": "tool", "tool_call_id": "t", "content": "r"}));
        assert_eq!(got[3], json!({"role": "system", "content": "s"}));
        let got = messages(&said);
        assert_eq!(got[3], user("Instruction of the system:\n\ns".into()));
    }
}

#[test]
fn consecutive_messages_of_one_role_are_joined() {
    let got = messages(&json!([
        user("a".into()),
        user(json!([text("b"), text("c")])),
        assistant("d".into()),
        assistant(json!([tool_use("1")])),
        assistant(json!([text("e"), tool_use("2")])),
        user(json!([result("2", "y".into())])),
        user(json!([result("1", "x".into()), text("f")])),
        user("g".into()),
    ]));
    assert_eq!(
        got,
        json!([
            user("a\n\nb\nc".into()),
            {"role": "assistant", "content": "d\n\ne", "tool_calls": [call("1"), call("2")]},
            {"role": "tool", "tool_call_id": "1", "content": "x"},
            {"role": "tool", "tool_call_id": "2", "content": "y"},
            user("f\n\ng".into()),
        ])
    );
}

#[test]
fn messages_without_content_go_away() {
    let got = messages(&json!([
        user("a".into()),
        assistant("".into()),
        assistant(json!([])),
        assistant(json!([{"type": "thinking", "thinking": "hm", "signature": "s"}])),
        user(json!([text("")])),
        user("b".into()),
    ]));
    assert_eq!(got, json!([user("a\n\nb".into())]));
}

#[test]
fn results_stand_in_the_order_of_the_calls_and_text_behind_them() {
    let got = messages(&json!([
        user("go".into()),
        assistant(json!([text("ok"), tool_use("b"), tool_use("a")])),
        user(json!([
            text("before"),
            result("a", "ra".into()),
            text("between"),
            result("b", "rb".into()),
            text("after")
        ])),
    ]));
    assert_eq!(
        got,
        json!([
            user("go".into()),
            {"role": "assistant", "content": "ok", "tool_calls": [call("b"), call("a")]},
            {"role": "tool", "tool_call_id": "b", "content": "rb"},
            {"role": "tool", "tool_call_id": "a", "content": "ra"},
            user("before\nbetween\nafter".into()),
        ])
    );
}

#[test]
fn an_id_may_come_again_in_another_turn() {
    let turn =
        [assistant(json!([tool_use("call_0")])), user(json!([result("call_0", "r".into())]))];
    let mut all = vec![user("a".into())];
    all.extend(turn.iter().cloned().chain(turn.iter().cloned()));
    assert_eq!(messages(&json!(all)).as_array().unwrap().len(), 5);
}

#[test]
fn a_call_without_text_has_null_content() {
    let got = messages(&json!([
        user("a".into()),
        assistant(json!([tool_use("t")])),
        user(json!([result("t", json!(null))]))
    ]));
    assert_eq!(got[1], json!({"role": "assistant", "content": null, "tool_calls": [call("t")]}));
    assert_eq!(got[2], json!({"role": "tool", "tool_call_id": "t", "content": ""}));
}

#[test]
fn inputs_are_compact_and_otherwise_stay_as_they_are() {
    for (input, want) in [
        ("{}", "{}"),
        ("null", "{}"),
        (r#"{ "a" : [ 1.0 , "x \" y" ] , "é":"\u00e9" }"#, r#"{"a":[1.0,"x \" y"],"é":"\u00e9"}"#),
        (r#"{"b":1e400,"a":" "}"#, r#"{"b":1e400,"a":" "}"#),
        (r#""{\"a\": 1}""#, r#"{"a": 1}"#),
        (r#""""#, "{}"),
        (r#"" null\n""#, "{}"),
        (r#""{\"a\": \"\u00e9""#, r#"{"invalid_arguments":"{\"a\": \"\u00e9"}"#),
        (r#""[1]""#, r#"{"invalid_arguments":"[1]"}"#),
    ] {
        let body = format!(
            r#"{{"model":"a","max_tokens":1,"messages":[{{"role":"user","content":"x"}},{{"role":"assistant","content":[{{"type":"tool_use","id":"t","name":"f","input":{input}}}]}},{{"role":"user","content":[{{"type":"tool_result","tool_use_id":"t"}}]}}]}}"#
        );
        let chat = tree(&to_chat(body.as_bytes(), &OPTIONS).unwrap());
        assert_eq!(chat["messages"][1]["tool_calls"][0]["function"]["arguments"], want, "{input}");
    }
}

#[test]
fn errors_of_tools_say_so() {
    let failed = |content| json!({"type": "tool_result", "tool_use_id": "t", "is_error": true, "content": content});
    for (content, want) in [
        (json!("no"), "Error: no"),
        (json!([text("a"), text("b")]), "Error: a\nb"),
        (json!(null), "Error: "),
        (json!([]), "Error: "),
    ] {
        let got = messages(&json!([
            user("a".into()),
            assistant(json!([tool_use("t")])),
            user(json!([failed(content)]))
        ]));
        assert_eq!(got[2]["content"], want);
    }
}

#[test]
fn images_and_documents() {
    let png = json!({"type": "base64", "media_type": "image/png", "data": "iVBO"});
    let got = messages(&json!([user(json!([
        text("look"),
        {"type": "image", "source": png, "cache_control": {"type": "ephemeral"}},
        {"type": "image", "source": {"type": "url", "url": "https://x/y.png"}},
        {"type": "document", "title": "T.pdf", "source": {"type": "base64", "media_type": "application/pdf", "data": "JVBE"}},
        {"type": "document", "source": {"type": "base64", "media_type": "application/pdf", "data": "JVBE"}},
        {"type": "document", "source": {"type": "text", "media_type": "text/plain", "data": "words"}},
        {"type": "document", "title": "T", "context": "C", "source": {"type": "text", "data": "words"}},
        {"type": "document", "source": {"type": "content", "content": [text("inner"), {"type": "image", "source": png}]}},
        {"type": "document", "title": "T", "context": "C", "source": {"type": "content", "content": [text("inner")]}},
        {"type": "document", "title": "T", "source": {"type": "content", "content": "words"}},
    ]))]));
    let image = json!({"type": "image_url", "image_url": {"url": "data:image/png;base64,iVBO"}});
    let file = |name: &str| json!({"type": "file", "file": {"filename": name, "file_data": "data:application/pdf;base64,JVBE"}});
    assert_eq!(
        got[0]["content"],
        json!([
            text("look"),
            image,
            {"type": "image_url", "image_url": {"url": "https://x/y.png"}},
            file("T.pdf"),
            file("document.pdf"),
            text("words"),
            text("T\n\nC\n\nwords"),
            text("inner"),
            image,
            text("T\n\nC"),
            text("inner"),
            text("T\n\nwords"),
        ])
    );
}

#[test]
fn images_in_results_stand_in_a_user_message_behind_them() {
    let image = json!({"type": "image", "source": {"type": "base64", "media_type": "image/png", "data": "iVBO"}});
    let got = messages(&json!([
        user("a".into()),
        assistant(json!([tool_use("1"), tool_use("2")])),
        user(json!([
            result("1", json!([image])),
            {"type": "tool_result", "tool_use_id": "2", "is_error": true, "content": [text("t"), image]},
            text("and?"),
        ])),
    ]));
    let shown = json!({"type": "image_url", "image_url": {"url": "data:image/png;base64,iVBO"}});
    assert_eq!(
        got[2],
        json!({"role": "tool", "tool_call_id": "1", "content": "The output is in the user message that follows."})
    );
    assert_eq!(got[3], json!({"role": "tool", "tool_call_id": "2", "content": "Error: t"}));
    assert_eq!(
        got[4],
        user(json!([
            text("Output of the tool call 1:"),
            shown,
            text("Output of the tool call 2:"),
            shown,
            text("and?")
        ]))
    );
}

#[test]
fn blocks_of_other_servers_in_a_result_become_text() {
    let got = messages(&json!([
        user("a".into()),
        assistant(json!([tool_use("t")])),
        user(json!([result(
            "t",
            json!([
                {"type": "tool_reference", "tool_name": "grep"},
                {"type": "search_result", "title": "T", "source": "https://s", "content": [text("found")]},
            ])
        )])),
    ]));
    assert_eq!(got[2]["content"], "Tool available: grep\nT\nhttps://s\nfound");
}

#[test]
fn what_is_unknown_in_the_history_is_named_and_never_refused() {
    let (chat, dropped) = with(
        &json!({"messages": [
            user(json!([{"type": "container_upload", "file_id": "f"}, text("a"), {"type": "image", "source": {"type": "file", "file_id": "f"}}])),
            assistant(json!([
                {"type": "server_tool_use", "id": "s", "name": "web_search", "input": {}},
                {"type": "web_search_tool_result", "tool_use_id": "s", "content": []},
                {"type": "mcp_tool_use", "id": "m", "name": "x", "server_name": "y", "input": {}},
                {"type": "mcp_tool_result", "tool_use_id": "m", "content": []},
                {"type": "redacted_thinking", "data": "xxx"},
                {"type": "new thing"},
                text("b"),
                tool_use("t"),
            ])),
            user(json!([result("t", json!([{"type": "brand_new"}, text("r")])), {"type": "document", "source": {"type": "url", "url": "https://x"}}])),
        ]}),
        &OPTIONS,
    );
    assert_eq!(
        dropped,
        [
            "container_upload",
            "image.file",
            "server_tool_use",
            "web_search_tool_result",
            "mcp_tool_use",
            "mcp_tool_result",
            "new_thing",
            "brand_new",
            "document.url"
        ]
    );
    assert_eq!(
        chat["messages"],
        json!([
            user("a".into()),
            {"role": "assistant", "content": "b", "tool_calls": [call("t")]},
            {"role": "tool", "tool_call_id": "t", "content": "r"},
        ])
    );
}

#[test]
fn thinking_goes_where_the_server_wants_it() {
    let said = json!([
        user("a".into()),
        assistant(
            json!([{"type": "thinking", "thinking": "one", "signature": ""}, {"type": "redacted_thinking", "data": "x"}, {"type": "thinking", "thinking": "two", "signature": ""}, text("b")])
        ),
        user("c".into()),
    ]);
    assert_eq!(messages(&said)[1], assistant("b".into()));
    let options = MessagesOptions { reasoning_field: Some("reasoning_content"), ..OPTIONS };
    assert_eq!(
        messages_with(&said, &options)[1],
        json!({"role": "assistant", "content": "b", "reasoning_content": "one\n\ntwo"})
    );
}

#[test]
fn thinking_in_a_message_of_its_own_belongs_to_what_it_led_to() {
    let thinks = |text: &str| assistant(json!([{"type": "thinking", "thinking": text}]));
    let options = MessagesOptions { reasoning_field: Some("reasoning"), ..OPTIONS };
    let got = messages_with(
        &json!([
            user("a".into()),
            thinks("lost"),
            user("b".into()),
            thinks("one"),
            assistant("".into()),
            assistant(json!([{"type": "thinking", "thinking": "two"}, tool_use("t")])),
            user(json!([result("t", "r".into())])),
        ]),
        &options,
    );
    assert_eq!(
        got,
        json!([
            user("a\n\nb".into()),
            {"role": "assistant", "content": null, "reasoning": "one\n\ntwo", "tool_calls": [call("t")]},
            {"role": "tool", "tool_call_id": "t", "content": "r"},
        ])
    );
}

#[test]
fn a_prefill_stays_last_byte_for_byte() {
    let said = json!({"messages": [user("a".into()), assistant("{ \"x\":  ".into())]});
    let (chat, _) = with(&said, &OPTIONS);
    assert_eq!(chat["messages"][1], assistant("{ \"x\":  ".into()));
    assert!(chat.get("continue_final_message").is_none());
    let (chat, _) = with(&said, &MessagesOptions { continues: true, ..OPTIONS });
    assert_eq!(chat["continue_final_message"], true);
    assert_eq!(chat["add_generation_prompt"], false);
    let (chat, _) = with(&json!({}), &MessagesOptions { continues: true, ..OPTIONS });
    assert!(chat.get("continue_final_message").is_none());
}

#[test]
fn cache_markers_go_along_where_the_server_takes_them() {
    let mark = json!({"type": "ephemeral"});
    let marked =
        |said: &str| json!({"type": "text", "text": said, "cache_control": {"type": "ephemeral"}});
    let asked = json!({
        "cache_control": mark,
        "system": [text("a"), marked("b")],
        "tools": [{"name": "f", "input_schema": {"type": "object", "properties": {"cache_control": {"type": "string"}}}, "cache_control": mark}],
        "messages": [
            user(json!([marked("c")])),
            assistant(json!([{"type": "tool_use", "id": "t", "name": "f", "input": {"cache_control": 1}, "cache_control": mark}])),
            user(json!([{"type": "tool_result", "tool_use_id": "t", "content": "r", "cache_control": mark}])),
        ],
    });
    let (chat, dropped) = with(&asked, &OPTIONS);
    assert_eq!(dropped, Vec::<String>::new());
    assert_eq!(chat["messages"][0]["content"], "a\n\nb");
    assert_eq!(chat["messages"][3]["content"], "r");
    let marks = |chat: &Value| {
        chat.to_string().matches("\"cache_control\":{\"type\":\"ephemeral\"}").count()
    };
    assert_eq!(marks(&chat), 0);
    assert_eq!(chat["tools"][0]["function"]["parameters"], asked["tools"][0]["input_schema"]);
    assert_eq!(
        chat["messages"][2]["tool_calls"][0]["function"]["arguments"],
        r#"{"cache_control":1}"#
    );

    let (chat, _) = with(&asked, &MessagesOptions { cache_control: true, ..OPTIONS });
    assert_eq!(chat["messages"][0]["content"], json!([text("a"), marked("b")]));
    assert_eq!(chat["messages"][1]["content"], json!([marked("c")]));
    assert_eq!(chat["messages"][3]["content"], json!([marked("r")]));
    assert_eq!((&chat["cache_control"], &chat["tools"][0]["cache_control"]), (&mark, &mark));
}
