//! Everything beside the conversation and its tools.

use super::*;
use crate::test;

#[test]
fn parameters_by_their_chat_names() {
    let (chat, dropped) = with(
        &json!({
            "temperature": 0.5, "top_p": 0.9, "top_k": 5, "stop_sequences": ["a", "b"], "min_p": 0.1,
            "metadata": {"user_id": "u"}, "chat_template_kwargs": {"enable_thinking": false},
        }),
        &OPTIONS,
    );
    assert_eq!(
        chat,
        json!({
            "model": "m", "messages": [{"role": "user", "content": "hi"}], "max_tokens": 9,
            "temperature": 0.5, "top_p": 0.9, "stop": ["a", "b"], "user": "u", "top_k": 5, "min_p": 0.1,
            "chat_template_kwargs": {"enable_thinking": false},
        })
    );
    assert_eq!(dropped, Vec::<String>::new());
    let (chat, _) = with(
        &json!({"stop_sequences": [], "metadata": null, "temperature": null, "n": 1}),
        &OPTIONS,
    );
    assert_eq!(
        chat,
        json!({"model": "m", "messages": [{"role": "user", "content": "hi"}], "max_tokens": 9})
    );
}

#[test]
fn streams_ask_for_usage() {
    let (chat, _) = with(
        &json!({"stream": true, "stream_options": {"include_usage": false, "continuous_usage_stats": true}}),
        &OPTIONS,
    );
    assert_eq!(chat["stream"], true);
    assert_eq!(
        chat["stream_options"],
        json!({"include_usage": true, "continuous_usage_stats": true})
    );
    let (chat, dropped) =
        with(&json!({"stream": true}), &MessagesOptions { stream_usage: false, ..OPTIONS });
    assert_eq!((chat.get("stream_options"), dropped.len()), (None, 0));
    let (chat, _) = with(&json!({"stream": false}), &OPTIONS);
    assert!(chat.get("stream").is_none());
}

#[test]
fn efforts() {
    let enabled = |budget: u64| json!({"type": "enabled", "budget_tokens": budget});
    let effort = |effort: &str| json!({"effort": effort});
    let none = json!(null);
    for (thinking, config, want) in [
        (none.clone(), none.clone(), None),
        (enabled(1024), none.clone(), Some("low")),
        (enabled(4096), none.clone(), Some("low")),
        (enabled(4097), none.clone(), Some("medium")),
        (enabled(16_384), none.clone(), Some("medium")),
        (enabled(16_385), none.clone(), Some("high")),
        (enabled(1024), effort("medium"), Some("medium")),
        (json!({"type": "adaptive"}), none.clone(), None),
        (json!({"type": "adaptive"}), effort("low"), Some("low")),
        (json!({"type": "adaptive"}), effort("xhigh"), Some("high")),
        (json!({"type": "disabled"}), effort("high"), None),
        (none.clone(), effort("max"), Some("high")),
    ] {
        let asked = json!({"thinking": thinking, "output_config": config});
        let (chat, dropped) = with(&asked, &OPTIONS);
        assert_eq!(chat.get("reasoning_effort").and_then(Value::as_str), want, "{asked}");
        assert_eq!(dropped, Vec::<String>::new());
        let (chat, dropped) = with(
            &asked,
            &MessagesOptions {
                takes: Takes { reasoning_effort: false, ..Takes::DEFAULT },
                ..OPTIONS
            },
        );
        assert!(chat.get("reasoning_effort").is_none());
        assert_eq!(dropped.len(), usize::from(want.is_some()), "{asked}");
    }
}

#[test]
fn the_schema_of_the_answer() {
    let schema = json!({"type": "object", "properties": {"a": {"type": "string"}}, "additionalProperties": false});
    let format = json!({"type": "json_schema", "schema": schema});
    let want = json!({"type": "json_schema", "json_schema": {"name": "output", "schema": schema}});
    for asked in [json!({"output_config": {"format": format}}), json!({"output_format": format})] {
        let (chat, dropped) = with(&asked, &OPTIONS);
        assert_eq!((&chat["response_format"], dropped.len()), (&want, 0));
    }
}

#[test]
fn null_is_as_good_as_absent() {
    for name in ["user_profile_id", "anthropic_beta", "fallback_credit_token", "verbosity"] {
        let (chat, dropped) = with(&json!({name: null}), &OPTIONS);
        assert_eq!((chat.get(name), dropped.len()), (None, 0), "{name}");
        let (chat, dropped) = with(&json!({name: "x"}), &OPTIONS);
        assert_eq!((chat.get(name), dropped), (None, vec![name.to_owned()]));
    }
    // What is the server's own passes as it is.
    let (chat, dropped) = with(&json!({"top_k": null}), &OPTIONS);
    assert_eq!((chat.get("top_k"), dropped.len()), (Some(&Value::Null), 0));
}

#[test]
fn a_long_user_id_is_hashed() {
    let id = |count: usize| json!({"metadata": {"user_id": "ü".repeat(count)}});
    let (chat, _) = with(&id(64), &OPTIONS);
    assert_eq!(chat["user"], "ü".repeat(64));
    let (chat, _) = with(&id(65), &OPTIONS);
    let user = chat["user"].as_str().unwrap();
    assert!(user.len() == 64 && user.bytes().all(|byte| byte.is_ascii_hexdigit()), "{user}");
    let (other, _) = with(&id(66), &OPTIONS);
    assert_ne!(other["user"], chat["user"]);
}

#[test]
fn what_only_anthropics_servers_know_is_named() {
    let clears = |kind: &str| json!({"edits": [{"type": kind, "keep": "all"}]});
    let (chat, dropped) = with(
        &json!({
            "service_tier": "auto", "container": "c", "betas": ["b"], "inference_geo": "us", "speed": "fast",
            "context_management": clears("clear_tool_uses_20250919"), "metadata": {"user_id": null, "x": 1},
            "output_config": {"effort": "huge", "task_budget": 1},
        }),
        &OPTIONS,
    );
    assert_eq!(
        chat,
        json!({"model": "m", "messages": [{"role": "user", "content": "hi"}], "max_tokens": 9})
    );
    assert_eq!(
        dropped,
        [
            "output_config.effort",
            "output_config.task_budget",
            "metadata.x",
            "service_tier",
            "context_management",
            "container",
            "betas",
            "inference_geo",
            "speed"
        ]
    );
    for unnamed in [
        json!({"context_management": clears("clear_thinking_20251015")}),
        json!({"context_management": null, "betas": null}),
        json!({"context_management": {"edits": []}}),
    ] {
        let (_, dropped) = with(&unnamed, &OPTIONS);
        assert_eq!(dropped, Vec::<String>::new(), "{unnamed}");
    }
}

#[test]
fn what_is_tokenized_is_the_conversation_and_its_tools() {
    let request = json!({
        "model": "a", "system": "s", "tools": [{"name": "f"}], "tool_choice": {"type": "auto"}, "thinking": {"type": "adaptive"},
        "messages": [{"role": "user", "content": "hi"}],
    });
    let (body, dropped) =
        super::super::to_tokenize(request.to_string().as_bytes(), &OPTIONS).unwrap();
    let got: Value = serde_json::from_slice(&body).unwrap();
    assert_eq!(
        got,
        json!({
            "model": "m", "messages": [{"role": "system", "content": "s"}, {"role": "user", "content": "hi"}],
            "tools": [{"type": "function", "function": {"name": "f", "parameters": {"type": "object", "properties": {}}}}],
        })
    );
    assert_eq!(dropped, Vec::<String>::new());
}
