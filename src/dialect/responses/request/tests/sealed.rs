//! What clients bring back sealed, and compactions of a conversation.

use std::rc::Rc;

use serde_json::{Value, json};

use super::{ChatRequestOptions, OPTIONS, convert, tree};
use crate::dialect::responses::AnswerForm;
use crate::dialect::seal::{AnswerSealer, Purpose, Sealer};
use crate::error::Code;
use crate::test;

fn sealer(id: &str) -> Rc<Sealer> {
    Rc::new(Sealer::new(b"s", id))
}

fn sealed(id: &str, purpose: Purpose, text: &str) -> String {
    AnswerSealer::new(sealer(id)).seal(purpose, text).unwrap()
}

fn reasoning(encrypted: &str, summary: Option<&str>) -> Value {
    let summary: Vec<Value> =
        summary.iter().map(|text| json!({"type": "summary_text", "text": text})).collect();
    json!({"type": "reasoning", "id": "rs_1", "summary": summary, "encrypted_content": encrypted})
}

fn user(text: &str) -> Value {
    json!({"role": "user", "content": text})
}

/// The messages of a request with this input, and what was left out.
fn converted(input: &Value, reasoning_field: Option<&str>) -> (Value, Vec<String>) {
    let mine = sealer("team");
    let options = ChatRequestOptions { reasoning_field, sealer: Some(&mine), ..OPTIONS };
    let got = convert(&json!({"input": input}), &options).unwrap();
    (tree(&got)["messages"].take(), got.dropped)
}

#[test]
fn sealed_reasoning_reaches_the_servers_field() {
    // Text that would be JSON if it were not escaped.
    let thought = "\",\"model\":\"other\u{1f600}\n";
    let input = json!([
        user("x"),
        reasoning(&sealed("team", Purpose::Reasoning, thought), Some("short")),
        {"type": "function_call", "call_id": "c", "name": "f", "arguments": "{}"},
        {"type": "function_call_output", "call_id": "c", "output": "1"},
    ]);
    let (messages, dropped) = converted(&input, Some("reasoning_content"));
    assert_eq!(messages[1]["reasoning_content"], thought);
    assert_eq!(messages[1]["role"], "assistant");
    assert_eq!(dropped, Vec::<String>::new());
    // A server without the field gets none, as before.
    let (messages, dropped) = converted(&input, None);
    assert_eq!((messages[1].get("reasoning_content"), dropped.len()), (None, 0));
}

#[test]
fn what_is_not_ours_is_left_out_and_named() {
    let changed = sealed("team", Purpose::Reasoning, "t").replace("gw1.", "gw2.");
    for foreign in [
        "gAAAAABo",
        "",
        &sealed("other", Purpose::Reasoning, "t"),
        &sealed("team", Purpose::Compaction, "t"),
        &changed,
    ] {
        for field in [None, Some("reasoning")] {
            let input =
                json!([user("x"), reasoning(foreign, None), {"role": "assistant", "content": "a"}]);
            let (messages, dropped) = converted(&input, field);
            assert_eq!(messages[1], json!({"role": "assistant", "content": "a"}), "{foreign}");
            assert_eq!(dropped, ["reasoning.encrypted_content"], "{foreign}");
        }
        // The summary that came with it is still of use.
        let input =
            json!([reasoning(foreign, Some("short")), {"role": "assistant", "content": "a"}]);
        assert_eq!(converted(&input, Some("reasoning")).0[0]["reasoning"], "short");
        let input = json!([{"type": "compaction", "encrypted_content": foreign}, user("x")]);
        if foreign != sealed("team", Purpose::Compaction, "t") && !foreign.starts_with("gw1.") {
            assert_eq!(
                converted(&input, None),
                (json!([user("x")]), vec!["compaction".to_owned()])
            );
        }
    }
}

#[test]
fn a_compaction_stands_for_what_came_before() {
    let input = json!([
        {"role": "developer", "content": "d"},
        user("kept"),
        {"type": "compaction", "id": "cmp_1", "encrypted_content": sealed("team", Purpose::Compaction, "a \"b\"")},
        {"role": "developer", "content": "e"},
        user("go"),
    ]);
    let (messages, dropped) = converted(&input, None);
    assert_eq!(dropped, Vec::<String>::new());
    assert_eq!(
        messages,
        json!([
            {"role": "system", "content": "d"},
            user("kept"),
            user("Summary of the conversation so far:\n\na \"b\""),
            user("Instruction of the developer:\n\ne"),
            user("go"),
        ])
    );
    for kind in ["compaction_summary", "context_compaction"] {
        let encrypted = sealed("team", Purpose::Compaction, "s");
        let input = json!([{"type": kind, "encrypted_content": encrypted}, user("go")]);
        assert_eq!(converted(&input, None).0[0], user("Summary of the conversation so far:\n\ns"));
    }
}

#[test]
fn a_compaction_is_asked_of_the_model() {
    let mine = sealer("team");
    let asked = |compacts: bool, trigger: bool| {
        let mut input = vec![
            user("one"),
            json!({"type": "function_call", "call_id": "c", "name": "f", "arguments": "{}"}),
            json!({"type": "function_call_output", "call_id": "c", "output": "1"}),
            json!({"type": "additional_tools", "tools": [{"type": "function", "name": "g"}]}),
        ];
        if trigger {
            input.push(json!({"type": "compaction_trigger"}));
        }
        let request = json!({"instructions": "i", "input": input, "stream": true,
            "tools": [{"type": "function", "name": "f"}], "tool_choice": "auto",
            "parallel_tool_calls": true, "text": {"format": {"type": "json_object"}},
            "include": ["reasoning.encrypted_content"]});
        convert(&request, &ChatRequestOptions { sealer: Some(&mine), compacts, ..OPTIONS }).unwrap()
    };
    for (compacts, trigger, form) in
        [(false, true, AnswerForm::Compaction), (true, false, AnswerForm::CompactionObject)]
    {
        let got = asked(compacts, trigger);
        let chat = tree(&got);
        let roles: Vec<&Value> =
            chat["messages"].as_array().unwrap().iter().map(|message| &message["role"]).collect();
        assert_eq!(roles, ["system", "user", "assistant", "tool", "user"]);
        assert!(chat["messages"][4]["content"].as_str().unwrap().starts_with("Write a summary"));
        for absent in ["tools", "tool_choice", "parallel_tool_calls", "response_format"] {
            assert_eq!(chat.get(absent), None, "{absent}");
        }
        assert_eq!(got.context.form, form);
        assert_eq!(got.context.stream, !compacts);
        assert_eq!(got.dropped, if compacts { vec!["stream"] } else { vec![] });
    }
}

#[test]
fn a_compaction_is_made_of_history_alone() {
    let mine = sealer("team");
    let unknown = json!({"type": "item_of_tomorrow", "id": "x"});
    let part = json!({"type": "part_of_tomorrow"});
    let said =
        |role: &str| json!({"role": role, "content": [{"type": "input_text", "text": "a"}, part]});
    for last in [unknown, said("assistant"), said("user")] {
        for (compacts, trigger) in [(false, true), (true, false), (false, false)] {
            let mut input = vec![user("one"), last.clone()];
            input.extend(trigger.then(|| json!({"type": "compaction_trigger"})));
            let options = ChatRequestOptions { sealer: Some(&mine), compacts, ..OPTIONS };
            let got = convert(&json!({"input": input}), &options);
            assert_eq!(got.is_ok(), compacts || trigger, "{last}");
            if let Ok(got) = got {
                assert!(got.dropped[0].ends_with("_of_tomorrow"), "{:?}", got.dropped);
            }
        }
    }
}

#[test]
fn what_makes_no_compaction() {
    let mine = sealer("team");
    let trigger = json!({"type": "compaction_trigger"});
    for (input, with_sealer, param) in [
        (json!([user("x"), trigger]), false, "input[1].type"),
        (json!([trigger, user("x")]), true, "input[0].type"),
        (json!([trigger]), true, "input"),
        (json!([{"type": "compaction"}]), true, "input[0].encrypted_content"),
        (
            json!([{"type": "compaction", "encrypted_content": 1}]),
            true,
            "input[0].encrypted_content",
        ),
        (
            json!([{"type": "reasoning", "encrypted_content": []}]),
            true,
            "input[0].encrypted_content",
        ),
    ] {
        let sealer = with_sealer.then_some(mine.as_ref());
        let error = convert(&json!({"input": input}), &ChatRequestOptions { sealer, ..OPTIONS });
        let error = error.unwrap_err();
        assert_eq!(
            (error.code, error.param.as_deref()),
            (Code::UnsupportedParameter, Some(param)),
            "{input}"
        );
    }
}

#[test]
fn what_the_answer_must_know() {
    for (request, seals, summarizes) in [
        (json!({}), false, false),
        (json!({"include": ["reasoning.encrypted_content"]}), true, false),
        (json!({"reasoning": {"summary": "auto"}}), false, true),
        (json!({"reasoning": {"generate_summary": "concise"}}), false, true),
        (json!({"reasoning": {"summary": "none", "effort": "low"}}), false, false),
        (json!({"reasoning": {"summary": null}, "include": null}), false, false),
    ] {
        let mut whole = json!({"input": "x"});
        super::merge(&mut whole, &request);
        let context = convert(&whole, &OPTIONS).unwrap().context;
        assert_eq!((context.seals_reasoning, context.summarizes), (seals, summarizes), "{request}");
    }
    let wrong = json!({"input": "x", "reasoning": {"summary": 1}});
    assert_eq!(super::refused(&wrong).0, "reasoning.summary");
}

#[test]
fn what_is_tokenized() {
    let request = json!({"input": "x", "instructions": "i", "temperature": 1, "stream": true,
        "tools": [{"type": "function", "name": "f"}], "tool_choice": "required"});
    let (body, _) = super::super::to_tokenize(request.to_string().as_bytes(), &OPTIONS).unwrap();
    let tree: Value = serde_json::from_slice(&body).unwrap();
    let members: Vec<&String> = tree.as_object().unwrap().keys().collect();
    assert_eq!(members, ["messages", "model", "tools"]);
}
