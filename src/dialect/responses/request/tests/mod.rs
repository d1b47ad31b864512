mod codex;
mod conversation;
mod refusals;
mod sealed;
mod settings;
mod tools;

#[cfg(not(target_arch = "wasm32"))]
mod laws;

use serde_json::{Value, json};

use super::{ChatRequest, ChatRequestOptions, to_chat};
use crate::error::{Code, GatewayError};
use crate::policy::Takes;
use crate::wire::json::cursor;

const OPTIONS: ChatRequestOptions<'static> = ChatRequestOptions {
    model: "m",
    provider: "p",
    stream_usage: true,
    reasoning_field: None,
    takes: Takes::DEFAULT,
    sealer: None,
    compacts: false,
};

fn convert(request: &Value, options: &ChatRequestOptions<'_>) -> Result<ChatRequest, GatewayError> {
    to_chat(request.to_string().as_bytes(), options)
}

/// The chat request as a tree; its bytes must be JSON for the filter's own reader too.
fn tree(chat: &ChatRequest) -> Value {
    cursor::parse(&chat.body).unwrap();
    serde_json::from_slice(&chat.body).unwrap()
}

/// The chat request of `request`, of which nothing may be left out.
fn chat(request: &Value) -> Value {
    let chat = convert(request, &OPTIONS).unwrap();
    assert_eq!(chat.dropped, Vec::<String>::new(), "{request}");
    tree(&chat)
}

/// The messages that the items become.
fn messages(input: &Value) -> Value {
    let mut chat = chat(&json!({"model": "a", "input": input}));
    chat["messages"].take()
}

/// The members that `extra` adds to a request with no more than an input, and what was left out.
fn added(extra: &Value) -> (Value, Vec<String>) {
    let mut request = json!({"model": "a", "input": "x"});
    merge(&mut request, extra);
    let chat = convert(&request, &OPTIONS).unwrap();
    let mut tree = tree(&chat);
    let members = tree.as_object_mut().unwrap();
    assert_eq!(members.remove("model").unwrap(), "m");
    assert_eq!(members.remove("messages").unwrap(), json!([{"role": "user", "content": "x"}]));
    (tree, chat.dropped)
}

fn merge(into: &mut Value, from: &Value) {
    for (name, value) in from.as_object().unwrap() {
        into[name] = value.clone();
    }
}

/// The path and the message of the refusal of `request`.
fn refused(request: &Value) -> (String, String) {
    let error = convert(request, &OPTIONS).unwrap_err();
    assert_eq!(error.code, Code::UnsupportedParameter, "{request}");
    (error.param.unwrap().into_owned(), error.message)
}
