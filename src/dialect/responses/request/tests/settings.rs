//! The other parameters, and what the answer repeats.

use serde_json::{Value, json};

use super::{ChatRequestOptions, OPTIONS, added, convert, merge, tree};
use crate::error::Code;
use crate::policy::Takes;
use crate::test;

#[test]
fn parameters() {
    let schema = json!({"type": "object", "properties": {}, "additionalProperties": false});
    let format = |format: Value| json!({"text": {"format": format}});
    let response_format = |format: Value| json!({"response_format": format});
    for (request, chat, dropped) in [
        (json!({"max_output_tokens": 12}), json!({"max_tokens": 12}), vec![]),
        (
            json!({"temperature": 0.5, "top_p": 1e-1}),
            json!({"temperature": 0.5, "top_p": 0.1}),
            vec![],
        ),
        (json!({"reasoning": {"effort": "low"}}), json!({"reasoning_effort": "low"}), vec![]),
        (json!({"reasoning": {"effort": null, "summary": "auto"}}), json!({}), vec![]),
        (
            json!({"reasoning": {"context": "all_turns", "mode": "pro", "x": 1, "y": null}}),
            json!({}),
            vec!["reasoning.context", "reasoning.mode", "reasoning.x"],
        ),
        (json!({"reasoning": {"context": "auto", "mode": "standard"}}), json!({}), vec![]),
        (json!({"text": {"other": 1}}), json!({}), vec!["text.other"]),
        (format(json!({"type": "text"})), json!({}), vec![]),
        (
            format(json!({"type": "json_object"})),
            response_format(json!({"type": "json_object"})),
            vec![],
        ),
        (
            format(json!({"type": "json_schema", "name": "n", "schema": schema, "strict": true,
                "description": "d"})),
            response_format(json!({"type": "json_schema", "json_schema":
                {"name": "n", "schema": schema, "strict": true, "description": "d"}})),
            vec![],
        ),
        (
            format(json!({"type": "json_schema", "json_schema":
                {"name": "n", "schema": schema, "strict": null}})),
            response_format(json!({"type": "json_schema", "json_schema":
                {"name": "n", "schema": schema}})),
            vec![],
        ),
        (json!({"top_logprobs": 3}), json!({"logprobs": true, "top_logprobs": 3}), vec![]),
        (json!({"top_logprobs": 0}), json!({}), vec![]),
        (
            json!({"include": ["message.output_text.logprobs", "reasoning.encrypted_content"]}),
            json!({"logprobs": true}),
            vec![],
        ),
        (
            json!({"include": ["message.output_text.logprobs"], "top_logprobs": 0}),
            json!({"logprobs": true, "top_logprobs": 0}),
            vec![],
        ),
        (
            json!({"include": ["web_search_call.action.sources"]}),
            json!({}),
            vec!["include:web_search_call.action.sources"],
        ),
        (
            json!({"user": "u", "metadata": {"a": "b"}, "service_tier": "flex"}),
            json!({"user": "u", "metadata": {"a": "b"}, "service_tier": "flex"}),
            vec![],
        ),
        // What is asked for is what is done anyway.
        (
            json!({"store": false, "truncation": "disabled", "background": false, "stream": false,
                "stream_options": {"include_usage": true}}),
            json!({}),
            vec![],
        ),
        (
            json!({"truncation": "auto", "max_tool_calls": 2, "context_management": [],
                "image": {}, "background_options": {}, "access_programs": {}}),
            json!({}),
            vec![
                "truncation",
                "max_tool_calls",
                "access_programs",
                "background_options",
                "context_management",
                "image",
            ],
        ),
        // Null is absent.
        (
            json!({"previous_response_id": null, "conversation": null, "prompt": null,
                "background": null, "tools": null, "text": null, "reasoning": null,
                "metadata": null, "stream": null, "max_output_tokens": null, "include": null,
                "truncation": null, "image": null, "messages": null, "n": null}),
            json!({}),
            vec![],
        ),
        // A chat server's own.
        (
            json!({"seed": 7, "stop": ["a"], "frequency_penalty": 0.1, "presence_penalty": 0.2,
                "top_k": 5, "chat_template_kwargs": {"enable_thinking": false}, "unheard_of": null,
                "max_completion_tokens": 3, "n": 1, "logit_bias": {"1": 2}}),
            json!({"seed": 7, "stop": ["a"], "frequency_penalty": 0.1, "presence_penalty": 0.2,
                "top_k": 5, "chat_template_kwargs": {"enable_thinking": false}, "unheard_of": null,
                "max_completion_tokens": 3, "logit_bias": {"1": 2}}),
            vec![],
        ),
        // Two members for one thing: the one of the Responses API.
        (
            json!({"max_output_tokens": 1, "max_tokens": 2, "max_completion_tokens": 3,
                "reasoning": {"effort": "low"}, "reasoning_effort": "high"}),
            json!({"max_tokens": 1, "reasoning_effort": "low"}),
            vec!["max_completion_tokens", "max_tokens", "reasoning_effort"],
        ),
    ] {
        assert_eq!(
            added(&request),
            (chat, dropped.iter().map(|&name| name.into()).collect()),
            "{request}"
        );
    }
}

#[test]
fn numbers_and_names_stay_as_they_were_written() {
    let body =
        br#"{"model":"a","input":"x","temperature":1.0e-1,"s\u0065ed":12345678901234567890123}"#;
    let chat = super::to_chat(body, &OPTIONS).unwrap();
    assert_eq!(
        String::from_utf8(chat.body).unwrap(),
        r#"{"model":"m","messages":[{"role":"user","content":"x"}],"temperature":1.0e-1,"s\u0065ed":12345678901234567890123}"#
    );
}

#[test]
fn a_name_given_twice_is_refused() {
    for name in ["input", "temperature", "max_output_tokens", "stream"] {
        let body = format!(
            r#"{{"input":"x","temperature":1,"max_output_tokens":1,"stream":true,"{name}":2}}"#
        );
        let error = super::to_chat(body.as_bytes(), &OPTIONS).unwrap_err();
        assert_eq!((error.code, error.param.as_deref()), (Code::DuplicateParameter, Some(name)));
    }
    // Inside of one the last counts, as in most parsers.
    let body = br#"{"input":"y","top_p":null,"top_p":1,"text":{"verbosity":"low","verbosity":"high"},"reasoning":{"effort":"a","effort":"b"}}"#;
    let chat = super::to_chat(body, &OPTIONS).unwrap();
    assert_eq!(
        String::from_utf8(chat.body).unwrap(),
        r#"{"model":"m","messages":[{"role":"user","content":"y"}],"reasoning_effort":"b","top_p":1}"#
    );
}

#[test]
fn a_second_wish_for_usage_is_left_out() {
    for name in ["Include_Usage", "includeUsage", "include_usage\u{0}", "INCLUDE-USAGE"] {
        let request =
            json!({"input": "x", "stream": true, "stream_options": {name: false, "x": 1}});
        let got = convert(&request, &OPTIONS).unwrap();
        assert_eq!(tree(&got)["stream_options"], json!({"include_usage": true, "x": 1}), "{name}");
        assert_eq!(got.dropped.len(), 1, "{:?}", got.dropped);
    }
}

#[test]
fn a_name_that_servers_may_take_for_another_is_refused() {
    for name in
        ["MODEL", "Stream", "MESSAGES", "maxTokens", "N", "mess\\u0000ages", "tools[]", "In put"]
    {
        let body = format!(r#"{{"model":"m","input":"x","{name}":1}}"#);
        let error = super::to_chat(body.as_bytes(), &OPTIONS).unwrap_err();
        assert_eq!(error.code, Code::DuplicateParameter, "{name}");
    }
    let error = super::to_chat(b"{\"input\":\"x\",\"mess\xffages\":1}", &OPTIONS).unwrap_err();
    assert_eq!(error.code, Code::InvalidJson);
}

#[test]
fn a_stream_asks_for_usage_where_it_may() {
    let request = json!({"input": "x", "stream": true, "stream_options":
        {"include_obfuscation": false, "include_usage": false, "continuous_usage_stats": true}});
    let got = convert(&request, &OPTIONS).unwrap();
    assert!(got.context.stream && got.dropped.is_empty());
    let chat = tree(&got);
    assert_eq!(chat["stream"], true);
    assert_eq!(
        chat["stream_options"],
        json!({"include_usage": true, "continuous_usage_stats": true})
    );
    let got = convert(&request, &ChatRequestOptions { stream_usage: false, ..OPTIONS }).unwrap();
    assert_eq!((&tree(&got)["stream"], tree(&got).get("stream_options")), (&json!(true), None));
    assert!(!convert(&json!({"input": "x"}), &OPTIONS).unwrap().context.stream);
}

#[test]
fn all_reasoning_is_kept_where_the_server_takes_it() {
    let request = json!({"input": "x", "reasoning": {"context": "all_turns"}});
    let options = ChatRequestOptions { reasoning_field: Some("reasoning_content"), ..OPTIONS };
    assert_eq!(convert(&request, &options).unwrap().dropped, Vec::<String>::new());
}

fn repeated(request: &Value) -> Value {
    let context = convert(request, &OPTIONS).unwrap().context;
    let members = context
        .repeated
        .iter()
        .map(|(name, json)| ((*name).to_owned(), serde_json::from_slice(json).unwrap()));
    Value::Object(members.collect())
}

#[test]
fn the_answer_repeats_the_request() {
    let defaults = json!({
        "background": false, "instructions": null, "max_output_tokens": null,
        "max_tool_calls": null, "parallel_tool_calls": true, "previous_response_id": null,
        "prompt_cache_key": null, "reasoning": {"effort": null, "summary": null},
        "safety_identifier": null, "service_tier": "auto", "store": false, "temperature": 1.0,
        "text": {"format": {"type": "text"}}, "tool_choice": "auto", "tools": [],
        "top_logprobs": 0, "top_p": 1.0, "truncation": "disabled", "user": null, "metadata": {},
    });
    assert_eq!(repeated(&json!({"input": "x"})), defaults);
    let mut given = json!({
        "instructions": "i", "max_output_tokens": 5, "max_tool_calls": 1,
        "parallel_tool_calls": false, "prompt_cache_key": "k", "safety_identifier": "s",
        "service_tier": "flex", "store": true, "temperature": 0.2, "top_logprobs": 2, "top_p": 0.5,
        "truncation": "auto", "user": "u", "metadata": {"a": "b"}, "tool_choice": "none",
        "tools": [{"type": "web_search"}, {"type": "function", "name": "f", "parameters": null}],
        "reasoning": {"effort": null, "summary": "auto"}, "text": {"verbosity": "low"},
    });
    let mut request = json!({"input": "x"});
    merge(&mut request, &given);
    merge(
        &mut given,
        &json!({
            "background": false, "previous_response_id": null,
            "text": {"format": {"type": "text"}, "verbosity": "low"},
        }),
    );
    assert_eq!(repeated(&request), given);
}

#[test]
fn what_is_too_long_is_not_repeated() {
    let long = "x".repeat(1024 * 1024);
    let got = repeated(&json!({"input":"x","instructions":long,"user":"u"}));
    assert_eq!((&got["instructions"], &got["user"]), (&Value::Null, &json!("u")));
    // Together they are too long.
    let half = "x".repeat(600_000);
    let got = repeated(&json!({"input":"x","instructions":half,"metadata":{"a":half}}));
    assert_eq!((&got["instructions"], &got["metadata"]), (&json!(half), &json!({})));
}

/// A request with every hint, at each place where one may stand.
fn hints() -> Value {
    let mark = json!({"mode": "explicit"});
    json!({
        "prompt_cache_key": "k", "prompt_cache_retention": "24h", "prompt_cache_options": {"a": 1},
        "prompt_cache_to_come": 1, "safety_identifier": "s", "text": {"verbosity": "low"},
        "store": true, "client_metadata": {"a": "b"},
        "tools": [{"type": "function", "name": "f", "prompt_cache_breakpoint": mark}],
        "input": [{"role": "user", "content": [
            {"type": "input_text", "text": "x", "prompt_cache_breakpoint": mark},
        ]}],
    })
}

const HINTS: [&str; 8] = [
    "client_metadata",
    "prompt_cache_key",
    "prompt_cache_options",
    "prompt_cache_retention",
    "prompt_cache_to_come",
    "safety_identifier",
    "store",
    "verbosity",
];

#[test]
fn what_only_openai_knows_goes_to_none_but_openai() {
    let mut got = convert(&hints(), &OPTIONS).unwrap();
    let chat = tree(&got);
    let members: Vec<_> = chat.as_object().unwrap().keys().map(String::as_str).collect();
    assert_eq!(members, ["messages", "model", "tools"]);
    assert!(!String::from_utf8(got.body).unwrap().contains("breakpoint"));
    got.dropped.sort();
    let mut names =
        HINTS.map(|name| if name == "verbosity" { "text.verbosity" } else { name }).to_vec();
    names.push("prompt_cache_breakpoint");
    names.sort();
    assert_eq!(got.dropped, names);

    let takes = Takes { openai_hints: true, ..Takes::DEFAULT };
    let got = convert(&hints(), &ChatRequestOptions { takes, ..OPTIONS }).unwrap();
    assert_eq!(got.dropped, Vec::<String>::new());
    let chat = tree(&got);
    for name in HINTS {
        assert!(chat.get(name).is_some(), "{name}");
    }
    let mark = json!({"mode": "explicit"});
    assert_eq!(chat["messages"][0]["content"][0]["prompt_cache_breakpoint"], mark);
    assert_eq!(chat["tools"][0]["prompt_cache_breakpoint"], mark);
}

#[test]
fn a_hint_that_is_null_is_none() {
    let request = json!({"input": "x", "prompt_cache_retention": null, "verbosity": null,
        "store": null, "client_metadata": null, "safety_identifier": null});
    let got = convert(&request, &OPTIONS).unwrap();
    assert_eq!(got.dropped, Vec::<String>::new());
    assert_eq!(tree(&got).as_object().unwrap().len(), 2, "model and messages");
}

#[test]
fn an_effort_is_kept_from_a_server_that_refuses_it() {
    let takes = Takes { reasoning_effort: false, ..Takes::DEFAULT };
    let options = ChatRequestOptions { takes, ..OPTIONS };
    for (request, dropped) in [
        (json!({"input": "x", "reasoning": {"effort": "high"}}), vec!["reasoning.effort"]),
        (json!({"input": "x", "reasoning_effort": "low"}), vec!["reasoning_effort"]),
        (json!({"input": "x", "reasoning": {"effort": null}, "reasoning_effort": null}), vec![]),
    ] {
        let got = convert(&request, &options).unwrap();
        assert_eq!(got.dropped, dropped, "{request}");
        assert_eq!(tree(&got).get("reasoning_effort"), None, "{request}");
    }
}
