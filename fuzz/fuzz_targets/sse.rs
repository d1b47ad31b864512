//! Whatever a stream looks like, what leaves is canonical, however it was cut.
#![no_main]

use libfuzzer_sys::fuzz_target;
use openai_gateway_filter::repair::native;
use openai_gateway_filter::repair::sse::{
    Options, SseNormalizer, StreamEnd, StreamHead, StreamKind, StreamOutput,
};
use openai_gateway_filter::wire::json::cursor;
use openai_gateway_filter_fuzz::{MAX_INPUT, chunks};

fn run<'a>(kind: StreamKind, chunks: impl IntoIterator<Item = &'a [u8]>) -> (StreamHead, Vec<u8>) {
    let options = Options {
        kind,
        max_event_bytes: 16 * 1024,
        response_model: None,
        request: Default::default(),
    };
    let mut normalizer = SseNormalizer::new(options);
    let mut out = Vec::new();
    for chunk in chunks {
        match normalizer.push(chunk) {
            StreamOutput::Unchanged => out.extend_from_slice(chunk),
            StreamOutput::Bytes(bytes) => out.extend(bytes),
        }
    }
    out.extend(normalizer.finish(StreamEnd::Clean));
    (normalizer.head().clone(), out)
}

fn check(out: &[u8]) {
    let events: Vec<&[u8]> = split(out);
    let (last, before) = events.split_last().expect("a stream has events");
    assert_eq!(*last, b"data: [DONE]");
    for event in before {
        if let Some(payload) = event.strip_prefix(b"data: ") {
            assert!(cursor::parse(payload).is_ok(), "{}", String::from_utf8_lossy(payload));
        } else {
            assert!(event.starts_with(b":"), "{}", String::from_utf8_lossy(event));
        }
    }
}

/// The events of canonical framing.
fn split(out: &[u8]) -> Vec<&[u8]> {
    let mut events = Vec::new();
    let mut rest = out;
    while !rest.is_empty() {
        let end = rest.windows(2).position(|pair| pair == b"\n\n").expect("each event is closed");
        events.push(&rest[..end]);
        rest = &rest[end + 2..];
    }
    events
}

fuzz_target!(|data: &[u8]| {
    if data.len() > MAX_INPUT {
        return;
    }
    for kind in [StreamKind::Messages, StreamKind::Responses] {
        if let Ok((answer, _)) = native::answer(kind, data, 16 * 1024) {
            assert!(cursor::parse(&answer).is_ok(), "{}", String::from_utf8_lossy(&answer));
        }
    }
    for kind in [StreamKind::Chat, StreamKind::Completions] {
        let (head, out) = run(kind, [data]);
        if head == StreamHead::Stream {
            check(&out);
        } else {
            assert!(out.is_empty());
        }
        // Usage that comes after [DONE] in the same chunk is put before it: then cuts do matter.
        if !data.windows(4).any(|four| four.eq_ignore_ascii_case(b"done")) {
            assert_eq!((head.clone(), out.clone()), run(kind, chunks(data)));
            assert_eq!((head, out), run(kind, data.chunks(1)));
        }
    }
    for kind in [StreamKind::Responses, StreamKind::Transcription, StreamKind::Messages] {
        let whole = run(kind, [data]);
        let cut = run(kind, chunks(data));
        if kind == StreamKind::Messages {
            assert_eq!(whole, cut);
        }
    }
});
