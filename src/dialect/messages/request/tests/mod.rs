mod conversation;
#[cfg(not(target_arch = "wasm32"))]
mod laws;
mod refusals;
mod settings;
mod tools;

use serde_json::{Value, json};

use super::{ChatFromMessages, MessagesOptions, to_chat};
use crate::error::{Code, GatewayError};
use crate::policy::Takes;
use crate::wire::json::cursor;

const OPTIONS: MessagesOptions<'static> = MessagesOptions {
    model: "m",
    provider: "p",
    stream_usage: true,
    reasoning_field: None,
    cache_control: false,
    takes: Takes::DEFAULT,
    continues: false,
};

fn convert(
    request: &Value,
    options: &MessagesOptions<'_>,
) -> Result<ChatFromMessages, GatewayError> {
    to_chat(request.to_string().as_bytes(), options)
}

/// The chat request as a tree; its bytes must be JSON for the filter's own reader too.
fn tree(chat: &ChatFromMessages) -> Value {
    cursor::parse(&chat.body).unwrap();
    serde_json::from_slice(&chat.body).unwrap()
}

/// A request with these members beside those that every one has.
fn request(members: &Value) -> Value {
    let mut request =
        json!({"model": "a", "max_tokens": 9, "messages": [{"role": "user", "content": "hi"}]});
    for (name, value) in members.as_object().unwrap() {
        request[name] = value.clone();
    }
    request
}

/// The chat request with these members, and what was left out.
fn with(members: &Value, options: &MessagesOptions<'_>) -> (Value, Vec<String>) {
    let chat = convert(&request(members), options).unwrap();
    (tree(&chat), chat.dropped)
}

/// The chat messages that these become; nothing may be left out.
fn messages_with(messages: &Value, options: &MessagesOptions<'_>) -> Value {
    let (mut chat, dropped) = with(&json!({"messages": messages}), options);
    assert_eq!(dropped, Vec::<String>::new(), "{messages}");
    chat["messages"].take()
}

fn messages(messages: &Value) -> Value {
    messages_with(messages, &OPTIONS)
}

/// A server that takes system messages anywhere.
fn anywhere() -> MessagesOptions<'static> {
    MessagesOptions { takes: Takes { system_anywhere: true, ..Takes::DEFAULT }, ..OPTIONS }
}
