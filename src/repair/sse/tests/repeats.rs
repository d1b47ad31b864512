//! Streams whose events repeat: those that are compared with the last one leave as those that are read.

use proptest::prelude::*;

use super::laws::{Body, cut, insides};
use super::shapes::data;
use super::*;

/// Payloads with a text (`@`) and a number (`#`), by protocol.
const SHAPES: [(StreamKind, &[&str]); 4] = [
    (
        StreamKind::Chat,
        &[
            r#"{"id":"c","object":"chat.completion.chunk","model":"m","choices":[{"index":0,"delta":{"content":"@"},"finish_reason":null}]}"#,
            r#"{"object":"chat.completion.chunk","choices":[{"index":0,"delta":{"content":"@","reasoning_content":"@"}}],"model":"m","usage":null}"#,
            r#"{"choices":[{"index":0,"delta":{"tool_calls":[{"index":0,"function":{"arguments":"@"}}]}}],"model":"m"}"#,
            r#"{"choices":[{"index":0,"delta":{"content":"@"}}],"usage":{"prompt_tokens":3,"completion_tokens":2,"total_tokens":#}}"#,
            r#"{"choices":[{"index":0,"delta":{"content":"@"},"finish_reason":"stop"}]}"#,
            r#"{"choices":[{"delta":{"content":"@"}}]}"#,
            r#"{"choices":[],"model":"m","usage":{"prompt_tokens":3,"total_tokens":#}}"#,
            r#"{"choices":[ ],"usage":{"total_tokens":#}}"#,
        ],
    ),
    (
        StreamKind::Completions,
        &[
            r#"{"object":"text_completion","model":"m","choices":[{"index":0,"text":"@","finish_reason":null}]}"#,
            r#"{"model":"m","choices":[{"index":0,"text":"@","finish_reason":"length"}]}"#,
            r#"{"choices":[],"model":"m","usage":{"prompt_tokens":0,"completion_tokens":#}}"#,
        ],
    ),
    (
        StreamKind::Responses,
        &[
            r#"{"type":"response.output_text.delta","sequence_number":#,"delta":"@","obfuscation":"@"}"#,
            r#"{"sequence_number":#,"delta":"@","type":"response.output_text.delta"}"#,
            r#"{"type":"response.in_progress","sequence_number":#,"response":{"model":"m"}}"#,
            r#"{"type":"response.completed","sequence_number":#,"response":{"model":"m"}}"#,
            r#"{"type":"transcript.text.delta","delta":"@"}"#,
        ],
    ),
    (
        StreamKind::Messages,
        &[
            r#"{"type":"content_block_delta","index":#,"delta":{"type":"text_delta","text":"@"}}"#,
            r#"{"index":#,"type":"content_block_delta","delta":{"type":"text_delta","text":"@"}}"#,
            r#"{"type":"message_start","message":{"model":"m"}}"#,
            r#"{"type":"content_block_stop","index":#}"#,
            r#"{"type":"message_stop"}"#,
        ],
    ),
];

/// What stands before and behind a payload.
const FRAMES: [(&str, &str); 18] = [
    ("data: ", "\n\n"),
    ("data:", "\n\n"),
    ("data: ", "\r\n\r\n"),
    ("data:", "\r\n\r\n"),
    ("data: ", "\n"),
    ("data: ", "\r\n"),
    ("data: ", "\r"),
    ("data: ", "\r\r"),
    ("data: ", "\n\r\n"),
    ("data: ", "\r\n\n"),
    ("data:  ", " \n\n"),
    (" data: ", "\n\n"),
    ("event: response.output_text.delta\ndata: ", "\n\n"),
    ("event: response.output_text.delta\r\ndata: ", "\r\n\r\n"),
    ("event: other\ndata:", "\n\n"),
    ("event: content_block_delta\ndata: ", "\n\n"),
    ("event: content_block_stop\r\ndata: ", "\r\n\r\n"),
    ("event: error\ndata: ", "\n\n"),
];

/// What comes between events.
const BETWEEN: [&str; 14] = [
    "",
    "",
    "",
    "\n",
    "\r\n",
    ": comment\n\n",
    ":\r\n\r\n",
    "id: 1\n",
    "event: ping\n\n",
    "event: error\n\n",
    ":HTTP_STATUS/429\n",
    "data: {\"choices\":[{\"index\":0,\"delta\":{\"tool_calls\":[{\"index\":0,\"id\":\"a\",\"function\":{\"name\":\"f\",\"arguments\":\"\"}}]}}]}\n\n",
    "data: {\"choices\":[{\"index\":0,\"delta\":{},\"finish_reason\":\"stop\"}]}\n\n",
    "data: {\"error\":{\"message\":\"m\",\"code\":429}}\n\n",
];

/// A few events of one shape, mostly in one frame.
fn repeats(shape: &'static str) -> impl Strategy<Value = Vec<u8>> {
    let frame = || prop_oneof![1 => Just(FRAMES[0]), 3 => prop::sample::select(FRAMES.to_vec())];
    let event = (insides(), insides(), any::<u8>(), prop::option::weighted(0.1, frame()));
    let between = prop::sample::select(BETWEEN.to_vec());
    (frame(), prop::collection::vec(event, 1..5), between).prop_map(move |(frame, events, end)| {
        let mut out = Vec::new();
        for (first, second, number, other) in events {
            let (before, behind) = other.unwrap_or(frame);
            out.extend_from_slice(before.as_bytes());
            let mut texts = [first, second].into_iter();
            for byte in shape.bytes() {
                match byte {
                    b'@' => out.extend(texts.next().unwrap()),
                    b'#' => out.extend_from_slice(number.to_string().as_bytes()),
                    other => out.push(other),
                }
            }
            out.extend_from_slice(behind.as_bytes());
        }
        out.extend_from_slice(end.as_bytes());
        out
    })
}

fn streams() -> impl Strategy<Value = (StreamKind, Body)> {
    prop::sample::select(SHAPES.to_vec()).prop_flat_map(|(kind, shapes)| {
        let runs = prop::sample::select(shapes.to_vec()).prop_flat_map(repeats);
        (Just(kind), prop::collection::vec(runs, 1..6).prop_map(|runs| Body(runs.concat())))
    })
}

type Told = (String, StreamHead, Option<bool>);

fn told(options: &Options, chunks: &[&[u8]], forgets: bool) -> Told {
    let mut normalizer = SseNormalizer::new(options.clone());
    let mut out = Vec::new();
    for chunk in chunks {
        if !forgets && normalizer.passes(chunk) {
            out.extend_from_slice(chunk);
            continue;
        }
        match normalizer.push(chunk) {
            StreamOutput::Unchanged => out.extend_from_slice(chunk),
            StreamOutput::Bytes(bytes) => out.extend(bytes),
        }
        if forgets {
            normalizer.forget();
        }
    }
    out.extend(normalizer.finish(StreamEnd::Clean));
    (String::from_utf8(out).unwrap(), normalizer.head().clone(), normalizer.cached())
}

/// What comes of a stream a byte at a time, without a memory.
fn read_slowly(options: &Options, body: &[u8]) -> Told {
    told(options, &in_steps(body, 1), true)
}

/// Each event in a chunk of its own.
fn event_by_event(mut body: &[u8]) -> Vec<&[u8]> {
    let mut chunks = Vec::new();
    while let Some(end) = body.windows(2).position(|two| two == b"\n\n") {
        let (event, rest) = body.split_at(end + 2);
        chunks.push(event);
        body = rest;
    }
    chunks.push(body);
    chunks
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 4 * ProptestConfig::default().cases, ..ProptestConfig::default() })]

    #[test]
    fn what_is_compared_leaves_as_what_is_read(
        (kind, Body(body)) in streams(),
        limit in prop::sample::select(vec![120, 150, 1 << 20, 1 << 20]),
        renamed in any::<bool>(),
        cuts in prop::collection::vec(any::<prop::sample::Index>(), 0..6),
    ) {
        let response_model = renamed.then(|| "my \"own\"".to_owned());
        let options = Options { kind, max_event_bytes: limit, response_model, request: Default::default() };
        let read = read_slowly(&options, &body);
        for chunks in [vec![&body[..]], cut(&body, &cuts), in_steps(&body, 1), event_by_event(&body)] {
            prop_assert_eq!(told(&options, &chunks, false), read.clone());
        }
    }
}

const DELTA: &str = r#"{"object":"chat.completion.chunk","model":"m","choices":[{"index":0,"delta":{"content":"@"},"finish_reason":null}]}"#;

#[test]
fn an_event_that_comes_alone_passes_if_it_is_like_the_last_one() {
    let event = |text: &str| format!("data: {}\n\n", DELTA.replace('@', text));
    let normalizer = |last: &str| {
        let mut normalizer = SseNormalizer::new(options(StreamKind::Chat));
        assert!(!normalizer.passes(event("a").as_bytes()));
        assert_eq!(normalizer.push(event("a").as_bytes()), StreamOutput::Unchanged);
        let _out = normalizer.push(last.as_bytes());
        normalizer
    };
    for text in ["b", "", "\u{e9}", "\\n", &"long ".repeat(20)] {
        assert!(normalizer("").passes(event(text).as_bytes()), "{text}");
    }
    let one = event("b");
    let finish = one.replace("null", "\"stop\"");
    let (cut, beheaded) = (one.strip_suffix('\n').unwrap(), one.strip_prefix('d').unwrap());
    let twice = one.repeat(2);
    for other in ["", "\n", cut, beheaded, &twice, &event("\t"), &finish] {
        assert!(!normalizer("").passes(other.as_bytes()), "{other}");
    }
    for before in ["data: {", "event: x\n", "data: [DONE]\n\n", &finish, "\r"] {
        assert!(!normalizer(before).passes(one.as_bytes()), "{before}");
    }
    for before in [": x\n\n", "\n", "id: 1\n\n"] {
        assert!(normalizer(before).passes(one.as_bytes()), "{before}");
    }
}

#[test]
fn framing_is_made_canonical() {
    let events = ["a", "\u{e9}", "\\u00e9\\n", ""].map(|text| DELTA.replace('@', text));
    let events: Vec<&str> = events.iter().map(String::as_str).collect();
    for (before, behind) in FRAMES {
        let body: String =
            events.iter().map(|payload| format!("{before}{payload}{behind}")).collect();
        let mut normalizer = SseNormalizer::new(options(StreamKind::Chat));
        match normalizer.push(body.as_bytes()) {
            StreamOutput::Unchanged => assert_eq!((before, behind), FRAMES[0]),
            StreamOutput::Bytes(out) => {
                assert_eq!(String::from_utf8(out).unwrap(), data(&events), "{before}{behind}");
            }
        }
    }
}

#[test]
fn a_renamed_model_is_renamed_in_each_event() {
    let model = "a\"b";
    let options = Options { response_model: Some(model.to_owned()), ..options(StreamKind::Chat) };
    let events = ["a", "b", "c"].map(|text| DELTA.replace('@', text));
    let renamed = events.clone().map(|event| event.replace(r#""m""#, r#""a\"b""#));
    let mut normalizer = SseNormalizer::new(options);
    let body = data(&events.iter().map(String::as_str).collect::<Vec<_>>());
    let StreamOutput::Bytes(out) = normalizer.push(body.as_bytes()) else { panic!() };
    let want = data(&renamed.iter().map(String::as_str).collect::<Vec<_>>());
    assert_eq!(String::from_utf8(out).unwrap(), want);
}

#[test]
fn a_call_that_nobody_made_is_not_compared() {
    let delta = r#"{"choices":[{"index":0,"delta":{"tool_calls":[{"index":1,"function":{"arguments":"@"}}]}}]}"#;
    let events = ["a", "b", "c"].map(|text| delta.replace('@', text));
    let body = data(&events.iter().map(String::as_str).collect::<Vec<_>>());
    let found = shapes::read_chat(&body);
    let [.., (id, _, arguments)] = &found.tool_calls[..] else { panic!() };
    assert!(id.starts_with("call_"));
    assert_eq!(arguments, "abc");
}

#[test]
fn named_events_leave_as_they_came() {
    let event = |name: &str, number: u64, text: &str| {
        format!(
            "event: {name}\ndata: {{\"type\":\"response.output_text.delta\",\"sequence_number\":{number},\"delta\":\"{text}\"}}\n\n"
        )
    };
    let name = "response.output_text.delta";
    let body =
        [event(name, 1, "a"), event(name, 2, "b"), event("other", 3, "c"), event(name, 4, "d")];
    let mut normalizer = SseNormalizer::new(options(StreamKind::Responses));
    assert_eq!(normalizer.push(body.concat().as_bytes()), StreamOutput::Unchanged);
    let end = String::from_utf8(normalizer.finish(StreamEnd::Clean)).unwrap();
    assert!(end.contains(r#""sequence_number":5"#), "{end}");

    let spaced =
        "event: response.x \ndata: {\"type\":\"response.x \",\"delta\":\"a\"}\n\n".repeat(3);
    let options = options(StreamKind::Responses);
    let read = read_slowly(&options, spaced.as_bytes());
    assert_eq!(told(&options, &[spaced.as_bytes()], false), read);
}

#[test]
fn what_stood_before_an_event_ends_with_it() {
    let event = |text: &str| format!("data: {}\n\n", DELTA.replace('@', text));
    for between in [":HTTP_STATUS/429\n", "id: 1\n", "event: ping\n", "event: error\n", ": x\n"] {
        for error in ["", "data: {\"error\":{\"message\":\"m\"}}\n\n"] {
            let body = [&event("a"), between, &event("b"), error, &event("c")].concat();
            let options = options(StreamKind::Chat);
            let body = body.as_bytes();
            let read = read_slowly(&options, body);
            for chunks in [vec![body], event_by_event(body)] {
                assert_eq!(told(&options, &chunks, false), read, "{between}{error}");
            }
        }
    }
}
