//! Whole conversions: chat answers and streams in, Responses and their events out.

mod ends;
mod grammar;
#[cfg(not(target_arch = "wasm32"))]
mod laws;
mod plain;
#[cfg(not(target_arch = "wasm32"))]
mod recorded;
mod sealed;
mod streams;

use std::rc::Rc;

use serde_json::{Value, json};

use super::*;
use crate::dialect::responses::ToolNames;

/// What the tests' request repeats, and its tools: `plain` and `other` are functions of their own
/// names, `shell` is a custom tool, `files__read` stands for `read` in the namespace `files`.
pub(super) fn options(stream: bool) -> ResponseOptions {
    let called = |name: &str, namespace: Option<&str>, custom| CalledTool {
        name: name.to_owned(),
        namespace: namespace.map(str::to_owned),
        custom,
    };
    let tools = [
        ("shell".to_owned(), called("shell", None, true)),
        ("files__read".to_owned(), called("read", Some("files"), false)),
        ("files__sh".to_owned(), called("sh", Some("files"), true)),
    ];
    let context = AnswerContext {
        repeated: vec![
            ("instructions", b"null".into()),
            ("service_tier", b"\"auto\"".into()),
            (
                "tools",
                br#"[{"type":"function","name":"plain"},{"type":"function","name":"plainer"},{"type":"function","name":"other"},{"type":"custom","name":"shell"}]"#.into(),
            ),
        ],
        tools: ToolNames(tools.into_iter().collect()),
        stream,
        ..AnswerContext::default()
    };
    ResponseOptions {
        context: Rc::new(context),
        sealer: None,
        id: "x".to_owned(),
        now: 1_800_000_000,
        provider: "p".into(),
        model: "asked-model".to_owned(),
        response_model: None,
        max_answer_bytes: 1 << 20,
    }
}

/// `data:` events, `[DONE]` at the end.
pub(super) fn sse(chunks: &[Value]) -> Vec<u8> {
    let mut out = String::new();
    for chunk in chunks {
        out.push_str(&format!("data: {chunk}\n\n"));
    }
    out.push_str("data: [DONE]\n\n");
    out.into_bytes()
}

/// A chunk with this delta.
pub(super) fn delta(delta: Value) -> Value {
    json!({"id":"c","object":"chat.completion.chunk","created":1_700_000_000,"model":"m",
        "choices":[{"index":0,"delta":delta,"finish_reason":null}]})
}

/// A chunk with this finish reason.
pub(super) fn finish(reason: &str) -> Value {
    json!({"id":"c","object":"chat.completion.chunk","created":1_700_000_000,"model":"m",
        "choices":[{"index":0,"delta":{},"finish_reason":reason}]})
}

/// A chat completion with this message.
pub(super) fn completion(message: Value, reason: &str) -> Value {
    json!({"id":"c","object":"chat.completion","created":1_700_000_000,"model":"m",
        "choices":[{"index":0,"message":message,"finish_reason":reason}]})
}

/// What a converter makes of a stream in one piece.
pub(super) fn convert(stream: &[u8]) -> Vec<u8> {
    let mut converter = ResponseConverter::new(options(true));
    let mut out = converter.push(stream);
    out.extend(converter.finish());
    assert!(converter.is_done());
    out
}

/// The events of a stream, checked.
pub(super) fn events(chunks: &[Value]) -> Vec<Value> {
    grammar::check(&convert(&sse(chunks)))
}

/// The Response of a plain answer.
pub(super) fn plain(chat: &Value) -> Value {
    let (response, _) = whole(options(false), chat.to_string().as_bytes()).unwrap();
    serde_json::from_slice(&response).unwrap()
}

/// `type` of each event, with what matters of it behind a space.
pub(super) fn outline(events: &[Value]) -> Vec<String> {
    let told = |event: &Value| {
        let name = event["type"].as_str().unwrap();
        let name = name.strip_prefix("response.").unwrap();
        let index = event["output_index"].as_u64().map(|index| format!(" {index}"));
        let what = match event.get("delta").or(event["item"].get("status")) {
            Some(what) => format!(" {}", what.as_str().unwrap()),
            None => String::new(),
        };
        format!("{name}{}{what}", index.unwrap_or_default())
    };
    events.iter().map(told).collect()
}

pub(super) fn last(events: &[Value]) -> &Value {
    &events.last().unwrap()["response"]
}

pub(super) fn call(index: u64, id: &str, name: &str, arguments: &str) -> Value {
    json!({"tool_calls":[{"index":index,"id":id,"type":"function","function":{"name":name,"arguments":arguments}}]})
}

pub(super) fn more(index: u64, arguments: &str) -> Value {
    json!({"tool_calls":[{"index":index,"function":{"arguments":arguments}}]})
}
