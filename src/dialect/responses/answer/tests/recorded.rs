//! Streams that real servers sent (`tests/quirks`), through the normaliser as in the filter.

use std::path::Path;

use serde_json::Value;

use super::{ResponseConverter, grammar, options};
use crate::repair::chat::RequestFacts;
use crate::repair::sse::{self, SseNormalizer, StreamEnd, StreamHead, StreamKind, StreamOutput};

/// The events of a body in pieces of `size` bytes; `None` where it is an HTTP error instead.
fn converted(body: &[u8], request: RequestFacts, size: usize) -> Option<Vec<u8>> {
    let limits = sse::Options {
        kind: StreamKind::Chat,
        max_event_bytes: 1 << 20,
        response_model: None,
        request,
    };
    let mut normalizer = SseNormalizer::new(limits);
    let mut converter = ResponseConverter::new(options(true));
    let mut out = Vec::new();
    for piece in body.chunks(size) {
        match normalizer.push(piece) {
            StreamOutput::Unchanged => out.extend(converter.push(piece)),
            StreamOutput::Bytes(bytes) => out.extend(converter.push(&bytes)),
        }
    }
    out.extend(converter.push(&normalizer.finish(StreamEnd::Clean)));
    out.extend(converter.finish());
    (*normalizer.head() == StreamHead::Stream).then_some(out)
}

fn text_of(item: &Value) -> String {
    let parts = item["content"].as_array().cloned().unwrap_or_default();
    parts.iter().filter_map(|part| part["text"].as_str()).collect()
}

#[test]
fn every_recorded_stream_keeps_its_text_calls_and_end() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/quirks/cases");
    let pending = std::fs::read_to_string(folder.join("../pending.txt")).unwrap();
    let mut seen = 0;
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        let id = path.file_name().unwrap().to_str().unwrap().to_owned();
        let meta: Value =
            serde_json::from_slice(&std::fs::read(path.join("meta.json")).unwrap()).unwrap();
        let expected = &meta["expected"];
        if !id.starts_with("a-")
            || meta["request"]["path"] != "/v1/chat/completions"
            || meta["upstream"]["headers"].get("content-encoding").is_some()
            || expected["kind"] != "sse"
            || pending.lines().any(|line| line == id)
            // A Response has one answer.
            || meta["request"]["body"].get("n").is_some()
        {
            continue;
        }
        let body = std::fs::read(path.join("upstream.body")).unwrap();
        let asked = &meta["request"]["body"];
        let request = RequestFacts {
            choices: asked["n"].as_u64().unwrap_or(1),
            wants_usage: asked["stream_options"]["include_usage"] == true,
            names_tool: false,
        };
        let Some(out) = converted(&body, request, usize::MAX) else { continue };
        seen += 1;
        let events = grammar::check(&out);
        let last = &events.last().unwrap()["response"];
        let output = last["output"].as_array().unwrap();
        let messages = output.iter().filter(|item| item["type"] == "message");
        let text: String = messages.map(text_of).collect();
        match expected["text_len"].as_u64() {
            Some(length) => assert_eq!(text.len() as u64, length, "{id}"),
            None => assert_eq!(text, expected["text"].as_str().unwrap(), "{id}"),
        }
        let status = match (expected["error"].is_object(), expected["finish_reason"].as_str()) {
            (true, _) => "failed",
            (false, Some("length" | "content_filter")) => "incomplete",
            (false, _) => "completed",
        };
        assert_eq!(last["status"], status, "{id}");
        let wanted = expected["tool_calls"].as_array().cloned().unwrap_or_default();
        let calls: Vec<&Value> =
            output.iter().filter(|item| item["type"] == "function_call").collect();
        assert_eq!(calls.len(), wanted.len(), "{id}");
        for (call, want) in calls.iter().zip(&wanted) {
            assert_eq!((&call["name"], &call["arguments"]), (&want["name"], &want["arguments"]));
        }
        assert!(last["usage"].is_object() || !expected["usage"].is_object(), "{id}");
        let events_in_pieces = converted(&body, request, 7).unwrap();
        assert_eq!(grammar::check(&events_in_pieces).last().unwrap()["response"], *last, "{id}");
    }
    assert!(seen > 20, "{seen} recordings");
}
