//! Whole conversions: chat answers and streams in, messages and their events out.

mod breaks;
mod ends;
mod grammar;
#[cfg(not(target_arch = "wasm32"))]
mod laws;
mod plain;

use std::rc::Rc;

use serde_json::{Value, json};

use super::*;
use crate::dialect::messages::MessageContext;
pub(crate) use grammar::assembled;

pub(super) fn options(stream: bool) -> MessageOptions {
    let renamed = [("short_0123".to_owned(), "a very long name".to_owned())].into_iter().collect();
    MessageOptions {
        context: Rc::new(MessageContext { renamed, stream }),
        id: "x".to_owned(),
        request_id: Some("req-1".into()),
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
pub(super) fn delta(delta: &Value) -> Value {
    json!({"id": "c", "object": "chat.completion.chunk", "created": 1, "model": "m", "choices": [{"index": 0, "delta": delta, "finish_reason": null}]})
}

/// A chunk with this finish reason.
pub(super) fn finish(reason: &str) -> Value {
    json!({"id": "c", "model": "m", "choices": [{"index": 0, "delta": {}, "finish_reason": reason}]})
}

/// A chunk with nothing but usage.
pub(super) fn usage(usage: &Value) -> Value {
    json!({"id": "c", "model": "m", "choices": [], "usage": usage})
}

/// A chunk with a piece of a call.
pub(super) fn call(index: u64, id: Option<&str>, name: Option<&str>, arguments: &str) -> Value {
    let mut call = json!({"index": index, "function": {"arguments": arguments}});
    if let Some(id) = id {
        call["id"] = id.into();
    }
    if let Some(name) = name {
        call["function"]["name"] = name.into();
    }
    delta(&json!({"tool_calls": [call]}))
}

pub(super) fn text(text: &str) -> Value {
    delta(&json!({"content": text}))
}

/// The events of a stream, in one piece.
pub(super) fn events(canonical: &[u8]) -> String {
    let mut converter = MessageConverter::new(options(true));
    let mut out = converter.push(canonical);
    out.extend(converter.finish());
    String::from_utf8(out).unwrap()
}

/// The message that the events of these chunks make; checks the grammar.
pub(super) fn message(chunks: &[Value]) -> Value {
    assembled(&events(&sse(chunks)))
}

/// What a plain call answers with this chat message.
pub(super) fn plain(message: &Value, reason: &str) -> Result<Value, Box<ErrorAnswer>> {
    let chat = json!({
        "id": "c", "object": "chat.completion", "model": "m",
        "choices": [{"index": 0, "message": message, "finish_reason": reason}],
        "usage": {"prompt_tokens": 10, "completion_tokens": 2, "total_tokens": 12},
    });
    let (body, _) = whole(options(false), chat.to_string().as_bytes())?;
    Ok(serde_json::from_slice(&body).unwrap())
}
