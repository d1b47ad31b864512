//! Whatever a chat server answers, the Responses events made of it are numbered, end once, hold the
//! plain answer at their end, and do not depend on how the stream was cut.
#![no_main]

use std::rc::Rc;

use libfuzzer_sys::fuzz_target;
use openai_gateway_filter::dialect::responses::answer::{
    ResponseConverter, ResponseOptions, whole,
};
use openai_gateway_filter::dialect::responses::{AnswerContext, CalledTool, ToolNames};
use openai_gateway_filter::repair::sse::{
    self, SseNormalizer, StreamEnd, StreamHead, StreamKind, StreamOutput,
};
use openai_gateway_filter_fuzz::{MAX_INPUT, chunks, tree};
use serde_json::Value;

fn options(stream: bool) -> ResponseOptions {
    let shell = CalledTool { name: "shell".to_owned(), namespace: None, custom: true };
    let context = AnswerContext {
        repeated: vec![("tools", br#"[{"type":"function","name":"get_weather"}]"#.into())],
        tools: ToolNames([("shell".to_owned(), shell)].into_iter().collect()),
        stream,
        ..AnswerContext::default()
    };
    ResponseOptions {
        context: Rc::new(context),
        sealer: None,
        id: "x".to_owned(),
        now: 1,
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
) -> Option<(Vec<u8>, ResponseConverter)> {
    let kind = StreamKind::Chat;
    let limits = sse::Options {
        kind,
        max_event_bytes: 16 * 1024,
        response_model: None,
        request: Default::default(),
    };
    let mut normalizer = SseNormalizer::new(limits);
    let mut converter = ResponseConverter::new(options(stream));
    let mut out = Vec::new();
    for chunk in chunks {
        match normalizer.push(chunk) {
            StreamOutput::Unchanged => out.extend(converter.push(chunk)),
            StreamOutput::Bytes(bytes) => out.extend(converter.push(&bytes)),
        }
    }
    let last = normalizer.finish(StreamEnd::Clean);
    if let StreamHead::Error(_) = normalizer.head() {
        assert!(out.is_empty());
        return None;
    }
    out.extend(converter.push(&last));
    out.extend(converter.finish());
    assert!(converter.is_done());
    Some((out, converter))
}

/// The last event's Response.
fn check(out: &[u8]) -> Value {
    let text = std::str::from_utf8(out).expect("UTF-8");
    let mut last = None;
    let events = text.split_terminator("\n\n").filter(|event| !event.starts_with(':'));
    for (number, event) in events.enumerate() {
        assert!(last.is_none(), "nothing follows the last event");
        let (name, data) = event.split_once('\n').expect("two lines");
        let data = data.strip_prefix("data: ").expect("data");
        let mut data = tree(data.as_bytes()).expect("JSON");
        assert_eq!(name.strip_prefix("event: "), data["type"].as_str());
        assert_eq!(data["sequence_number"], number);
        if ["response.completed", "response.incomplete", "response.failed"]
            .contains(&data["type"].as_str().unwrap_or_default())
        {
            last = Some(data["response"].take());
        }
    }
    last.expect("a last event")
}

fuzz_target!(|data: &[u8]| {
    if data.len() > MAX_INPUT {
        return;
    }
    if let Ok((response, _)) = whole(options(false), data) {
        assert_eq!(tree(&response).expect("JSON")["object"], "response");
    }
    let Some((out, _)) = run(true, [data]) else { return };
    let end = check(&out);
    // A plain answer from the same stream is the same.
    let (none, silent) = run(false, [data]).expect("a stream");
    assert!(none.is_empty());
    match silent.into_response() {
        Ok(response) => assert_eq!(tree(&response), Some(end)),
        Err(answer) => assert_eq!(end["error"]["message"], answer.error.message),
    }
    // Usage that comes after [DONE] in the same chunk is put before it: then cuts do matter.
    if !data.windows(4).any(|four| four.eq_ignore_ascii_case(b"done")) {
        assert_eq!(run(true, chunks(data)).map(|(out, _)| out), Some(out.clone()));
        assert_eq!(run(true, data.chunks(1)).map(|(out, _)| out), Some(out));
    }
});
