//! A Responses request becomes a chat request that is JSON, with its calls paired, or is refused.
#![no_main]

use libfuzzer_sys::fuzz_target;
use openai_gateway_filter::dialect::responses::request::{ChatRequestOptions, to_chat};
use openai_gateway_filter::dialect::seal::Sealer;
use openai_gateway_filter::policy::Takes;
use openai_gateway_filter::wire::json::cursor;
use openai_gateway_filter_fuzz::tree;

fuzz_target!(|data: &[u8]| {
    for reasoning_field in [None, Some("reasoning_content")] {
        let takes = Takes::DEFAULT;
        let sealer = Sealer::new(b"secret", "id");
        let options = ChatRequestOptions {
            model: "m",
            provider: "p",
            stream_usage: true,
            reasoning_field,
            takes,
            sealer: Some(&sealer),
            compacts: false,
        };
        let Ok(chat) = to_chat(data, &options) else { continue };
        assert!(cursor::parse(&chat.body).is_ok());
        for (name, json) in &chat.context.repeated {
            assert!(cursor::parse(json).is_ok(), "{name}");
        }
        for name in &chat.dropped {
            assert!(name.len() <= 64 && name.bytes().all(|byte| byte.is_ascii_graphic()));
        }
        assert!(chat.dropped.len() <= 33);
        let Some(body) = tree(&chat.body) else { continue };
        let mut open: Vec<&str> = Vec::new();
        for message in body["messages"].as_array().expect("messages") {
            if message["role"] == "tool" {
                assert_eq!(message["tool_call_id"], open.remove(0));
                continue;
            }
            assert!(open.is_empty());
            let calls = message["tool_calls"].as_array().map(Vec::as_slice).unwrap_or_default();
            open = calls.iter().map(|call| call["id"].as_str().expect("id")).collect();
        }
        assert!(open.is_empty());
    }
});
