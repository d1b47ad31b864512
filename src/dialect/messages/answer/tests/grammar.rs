//! The grammar of the events, and the message that a client puts together from them.

use super::*;

/// Checks the events of a stream that ends well against the API's grammar, as strictly as the documentation words it,
/// and puts the message together as the official SDKs do.
///
/// # Panics
/// At the first event that is out of place.
pub(crate) fn assembled(events: &str) -> Value {
    let mut message = Value::Null;
    let mut open: Option<(u64, String)> = None;
    let mut next = 0;
    let mut is_over = false;
    assert!(events.ends_with("\n\n"), "{events}");
    for event in events.trim_end_matches('\n').split("\n\n") {
        let (name, data) = event.split_once('\n').expect(event);
        let name = name.strip_prefix("event: ").expect(event);
        let data: Value = serde_json::from_str(data.strip_prefix("data: ").expect(event)).unwrap();
        assert_eq!(data["type"], name);
        assert!(!is_over, "behind the end: {event}");
        if name == "ping" {
            continue;
        }
        assert_eq!(message.is_null(), name == "message_start", "{event}");
        match name {
            "message_start" => {
                message = data["message"].clone();
                assert_eq!(message["content"], json!([]));
                assert!(
                    message["stop_reason"].is_null() && message["usage"]["output_tokens"].is_u64()
                );
            }
            "content_block_start" => {
                assert!(open.is_none(), "two open blocks: {event}");
                assert_eq!(data["index"], next, "{event}");
                let block = data["content_block"].clone();
                match block["type"].as_str().unwrap() {
                    "text" => assert_eq!(block, json!({"type": "text", "text": ""})),
                    "thinking" => assert_eq!(
                        block,
                        json!({"type": "thinking", "thinking": "", "signature": ""})
                    ),
                    "tool_use" => {
                        assert_eq!(block["input"], json!({}));
                        assert!(!block["id"].as_str().unwrap().is_empty());
                    }
                    other => panic!("{other}"),
                }
                message["content"].as_array_mut().unwrap().push(block);
                open = Some((next, String::new()));
                next += 1;
            }
            "content_block_delta" => {
                let (index, json) = open.as_mut().expect("a delta without its block");
                assert_eq!(data["index"], *index, "{event}");
                let block = message["content"].as_array_mut().unwrap().last_mut().unwrap();
                if data["delta"]["type"] == "citations_delta" {
                    assert_eq!(block["type"], "text", "{event}");
                    let cited = &mut block["citations"];
                    let cited = if cited.is_null() { json!([]) } else { cited.take() };
                    let mut cited: Vec<Value> = serde_json::from_value(cited).unwrap();
                    cited.push(data["delta"]["citation"].clone());
                    block["citations"] = cited.into();
                    continue;
                }
                let (kind, member) = match block["type"].as_str().unwrap() {
                    "text" => ("text_delta", "text"),
                    "thinking" => ("thinking_delta", "thinking"),
                    _ => ("input_json_delta", "partial_json"),
                };
                assert_eq!(data["delta"]["type"], kind, "{event}");
                let new = data["delta"][member].as_str().unwrap();
                assert!(!new.is_empty(), "an empty delta: {event}");
                match member {
                    "partial_json" => json.push_str(new),
                    _ => block[member] = format!("{}{new}", block[member].as_str().unwrap()).into(),
                }
            }
            "content_block_stop" => {
                let (index, json) = open.take().expect("a stop without its block");
                assert_eq!(data["index"], index, "{event}");
                let block = message["content"].as_array_mut().unwrap().last_mut().unwrap();
                if !json.is_empty() {
                    // What is cut can't be read; the message says max_tokens.
                    block["input"] = serde_json::from_str(&json).unwrap_or(Value::Null);
                }
            }
            "message_delta" => {
                assert!(open.is_none(), "{event}");
                message["stop_reason"] = data["delta"]["stop_reason"].clone();
                message["stop_sequence"] = data["delta"]["stop_sequence"].clone();
                message["usage"] = data["usage"].clone();
            }
            "message_stop" => {
                assert!(message["stop_reason"].is_string(), "{event}");
                is_over = true;
            }
            other => panic!("{other}"),
        }
    }
    assert!(is_over, "no end: {events}");
    let blocks = message["content"].as_array().unwrap();
    let calls = blocks.iter().any(|block| block["type"] == "tool_use");
    let reason = message["stop_reason"].as_str().unwrap();
    assert!(reason != "tool_use" || calls, "{message}");
    assert!(!calls || !matches!(reason, "end_turn" | "stop_sequence"), "{message}");
    message
}
