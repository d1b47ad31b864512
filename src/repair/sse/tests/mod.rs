//! Tests of the stream normaliser: recorded streams of real servers, single shapes, and laws that
//! hold for every stream.

mod drift;
mod laws;
mod recorded;
mod repeats;
mod shapes;
mod tool_calls;
mod typed_streams;

use super::*;
use serde_json::Value;

/// The code of an answer that was cut.
const TRUNCATED: &str = "upstream_stream_truncated";

fn options(kind: StreamKind) -> Options {
    Options { kind, max_event_bytes: 1 << 20, response_model: None, request: Default::default() }
}

/// The stream that one JSON answer becomes.
fn from_completion(json: &[u8], options: Options) -> Result<Vec<u8>, Box<ErrorAnswer>> {
    let mut normalizer = SseNormalizer::new(options);
    let mut out = match normalizer.push(json) {
        StreamOutput::Unchanged => json.to_vec(),
        StreamOutput::Bytes(bytes) => bytes,
    };
    out.extend(normalizer.finish(StreamEnd::Clean));
    match normalizer.head() {
        StreamHead::Error(answer) => Err(Box::new(answer.clone())),
        StreamHead::Undecided | StreamHead::Stream => Ok(out),
    }
}

/// Feeds `chunks` and returns all output and the head.
fn run(options: Options, chunks: &[&[u8]], end: StreamEnd) -> (Vec<u8>, StreamHead) {
    let mut normalizer = SseNormalizer::new(options);
    let mut out = Vec::new();
    for chunk in chunks {
        match normalizer.push(chunk) {
            StreamOutput::Unchanged => out.extend_from_slice(chunk),
            StreamOutput::Bytes(bytes) => out.extend(bytes),
        }
        assert!(*normalizer.head() == StreamHead::Stream || out.is_empty());
    }
    out.extend(normalizer.finish(end));
    assert_ne!(*normalizer.head(), StreamHead::Undecided);
    assert!(normalizer.is_done());
    (out, normalizer.head().clone())
}

fn chat(body: &[u8]) -> (String, StreamHead) {
    let (out, head) = run(options(StreamKind::Chat), &[body], StreamEnd::Clean);
    (String::from_utf8(out).unwrap(), head)
}

fn in_steps(body: &[u8], step: usize) -> Vec<&[u8]> {
    body.chunks(step).collect()
}

/// What a strict client reads.
#[derive(Debug, Default)]
struct Read {
    text: String,
    finish: Option<String>,
    usage: Option<Value>,
    tool_calls: Vec<(String, String, String)>,
    error: Option<Value>,
    done: usize,
    events: Vec<Value>,
}

/// Reads canonical framing and nothing else.
fn read(out: &[u8]) -> Read {
    let text = std::str::from_utf8(out).unwrap();
    let mut found = Read::default();
    assert!(text.is_empty() || text.ends_with("\n\n"), "{text:?}");
    for event in text.split_terminator("\n\n") {
        if event.starts_with(':') {
            assert!(!event.contains('\n'));
            continue;
        }
        let payload = event.strip_prefix("data: ").unwrap_or_else(|| panic!("{event:?}"));
        assert!(!payload.contains(['\n', '\r']), "{event:?}");
        assert_eq!(found.done, 0, "something follows [DONE]");
        if payload == "[DONE]" {
            found.done += 1;
            continue;
        }
        let chunk: Value = serde_json::from_str(payload).unwrap();
        if chunk["error"].is_object() {
            assert!(chunk["error"]["message"].is_string());
            found.error = Some(chunk["error"].clone());
            continue;
        }
        assert!(chunk["choices"].is_array(), "{chunk}");
        for choice in chunk["choices"].as_array().unwrap() {
            for part in [&choice["delta"]["content"], &choice["text"]] {
                found.text.push_str(part.as_str().unwrap_or_default());
            }
            if let Some(reason) = choice["finish_reason"].as_str() {
                found.finish = Some(reason.to_owned());
            }
            for call in choice["delta"]["tool_calls"].as_array().into_iter().flatten() {
                // Without its index a delta is lost to the client.
                let Some(index) = call["index"].as_u64() else { continue };
                let index = index as usize;
                if found.tool_calls.len() <= index {
                    found.tool_calls.resize(index + 1, Default::default());
                }
                let (id, name, arguments) = &mut found.tool_calls[index];
                id.push_str(call["id"].as_str().unwrap_or_default());
                name.push_str(call["function"]["name"].as_str().unwrap_or_default());
                arguments.push_str(call["function"]["arguments"].as_str().unwrap_or_default());
            }
        }
        if chunk["usage"].is_object() {
            found.usage = Some(chunk["usage"].clone());
        }
        found.events.push(chunk);
    }
    found
}
