//! Whatever a chat server answers, the events made of it follow the grammar of the Messages API, make the message that
//! the plain call gives, and do not depend on how the stream was cut.
#![no_main]

use std::rc::Rc;

use libfuzzer_sys::fuzz_target;
use openai_gateway_filter::dialect::messages::MessageContext;
use openai_gateway_filter::dialect::messages::answer::{MessageConverter, MessageOptions, whole};
use openai_gateway_filter::repair::sse::{
    self, SseNormalizer, StreamEnd, StreamHead, StreamKind, StreamOutput,
};
use openai_gateway_filter_fuzz::{MAX_INPUT, chunks, tree};
use serde_json::{Value, json};

fn options(stream: bool) -> MessageOptions {
    MessageOptions {
        context: Rc::new(MessageContext { stream, ..MessageContext::default() }),
        id: "x".to_owned(),
        request_id: None,
        provider: "p".into(),
        model: "m".to_owned(),
        response_model: None,
        max_answer_bytes: 4096,
    }
}

/// What the filter does with a stream: `None` where the answer is an HTTP error instead.
fn run<'a>(
    stream: bool,
    chunks: impl IntoIterator<Item = &'a [u8]>,
) -> Option<(Vec<u8>, MessageConverter)> {
    let kind = StreamKind::Chat;
    let limits = sse::Options {
        kind,
        max_event_bytes: 16 * 1024,
        response_model: None,
        request: Default::default(),
    };
    let mut normalizer = SseNormalizer::new(limits);
    let mut converter = MessageConverter::new(options(stream));
    let mut out = Vec::new();
    for chunk in chunks {
        match normalizer.push(chunk) {
            StreamOutput::Unchanged => out.extend(converter.push(chunk)),
            StreamOutput::Bytes(bytes) => out.extend(converter.push(&bytes)),
        }
    }
    let last = normalizer.finish(StreamEnd::Clean);
    if let StreamHead::Error(_) = normalizer.head() {
        return None;
    }
    out.extend(converter.push(&last));
    out.extend(converter.finish());
    assert!(converter.is_done());
    Some((out, converter))
}

/// The message that the events make, or the error that they end in.
fn assembled(out: &[u8]) -> Value {
    let text = std::str::from_utf8(out).expect("UTF-8");
    let mut message = Value::Null;
    let (mut open, mut is_over) = (None::<String>, false);
    for event in text.split_terminator("\n\n") {
        assert!(!is_over, "nothing follows the last event");
        let (name, data) = event.split_once('\n').expect("two lines");
        let data = tree(data.strip_prefix("data: ").expect("data").as_bytes()).expect("JSON");
        let name = name.strip_prefix("event: ").expect("a name");
        assert_eq!(data["type"], name);
        match name {
            "ping" => {}
            "error" => return data,
            "message_start" => message = data["message"].clone(),
            "content_block_start" => {
                assert!(open.replace(String::new()).is_none());
                let content = message["content"].as_array_mut().expect("a start");
                assert_eq!(data["index"], content.len());
                content.push(data["content_block"].clone());
            }
            "content_block_delta" => {
                let json = open.as_mut().expect("an open block");
                let block = message["content"]
                    .as_array_mut()
                    .and_then(|all| all.last_mut())
                    .expect("a block");
                match data["delta"]["type"].as_str() {
                    Some("text_delta") => append(&mut block["text"], &data["delta"]["text"]),
                    Some("thinking_delta") => {
                        append(&mut block["thinking"], &data["delta"]["thinking"])
                    }
                    Some("citations_delta") => {
                        assert_eq!(block["type"], "text");
                        let citation = data["delta"]["citation"].clone();
                        match block["citations"].as_array_mut() {
                            Some(all) => all.push(citation),
                            None => block["citations"] = json!([citation]),
                        }
                    }
                    _ => json.push_str(data["delta"]["partial_json"].as_str().expect("a piece")),
                }
            }
            "content_block_stop" => {
                let json = open.take().expect("an open block");
                let block = message["content"]
                    .as_array_mut()
                    .and_then(|all| all.last_mut())
                    .expect("a block");
                if !json.is_empty() {
                    block["input"] = tree(json.as_bytes()).unwrap_or(json!("cut"));
                }
            }
            "message_delta" => {
                assert!(open.is_none());
                message["stop_reason"] = data["delta"]["stop_reason"].clone();
                message["stop_sequence"] = data["delta"]["stop_sequence"].clone();
                message["usage"] = data["usage"].clone();
            }
            _ => is_over = true,
        }
    }
    assert!(is_over, "an end");
    message
}

fn append(text: &mut Value, new: &Value) {
    let text_now = text.as_str().expect("text");
    *text = format!("{text_now}{}", new.as_str().expect("a piece")).into();
}

fuzz_target!(|data: &[u8]| {
    if data.len() > MAX_INPUT {
        return;
    }
    if let Ok((message, _)) = whole(options(false), data) {
        assert_eq!(tree(&message).expect("JSON")["type"], "message");
    }
    let Some((out, _)) = run(true, [data]) else { return };
    let end = assembled(&out);
    // A plain answer from the same stream is the same, but for a call that was cut.
    let (none, silent) = run(false, [data]).expect("a stream");
    assert!(none.is_empty());
    match silent.into_message() {
        Ok(message) if end["stop_reason"] != "max_tokens" => assert_eq!(tree(&message), Some(end)),
        Ok(_) => {}
        Err(_) => assert_eq!(end["type"], "error"),
    }
    // Usage that comes after [DONE] in the same chunk is put before it: then cuts do matter.
    if !data.windows(4).any(|four| four.eq_ignore_ascii_case(b"done")) {
        assert_eq!(run(true, chunks(data)).map(|(out, _)| out), Some(out.clone()));
        assert_eq!(run(true, data.chunks(1)).map(|(out, _)| out), Some(out));
    }
});
