//! What holds for every stream and every way to cut it.

use std::sync::LazyLock;

use proptest::prelude::*;

use super::recorded::{Case, cases};
use super::*;
use crate::repair::chat::WholeOrChunk;
use crate::repair::chat::laws::answers;

/// A body that shows as text when a law fails.
#[derive(Clone)]
pub(super) struct Body(pub(super) Vec<u8>);

impl std::fmt::Debug for Body {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "b\"{}\"", self.0.escape_ascii())
    }
}

fn kinds() -> impl Strategy<Value = StreamKind> {
    prop::sample::select(vec![
        StreamKind::Chat,
        StreamKind::Completions,
        StreamKind::Transcription,
        StreamKind::Responses,
        StreamKind::Messages,
    ])
}

/// Pieces that drifting streams are made of; `[DONE]` comes only last (see [`streams`]).
fn pieces() -> impl Strategy<Value = Vec<u8>> {
    let fixed = [
        r#"{"id":"c","object":"chat.completion.chunk","model":"m","choices":[{"index":0,"delta":{"content":"Hé"},"finish_reason":null}]}"#,
        r#"{"id":"c","object":"text_completion","model":"m","choices":[{"index":0,"text":"Hi","finish_reason":null}]}"#,
        r#"{"choices":[{"index":0,"delta":{},"finish_reason":"stop"}]}"#,
        r#"{"choices":[],"usage":{"total_tokens":3}}"#,
        r#"{"choices":[{"delta":{"tool_calls":[{"function":{"name":"f","arguments":"{}"}}]},"finish_reason":"eos"}],"usage":{"total_tokens":0}}"#,
        "{\n  \"choices\": [\n{\"index\":0,\n\"delta\":\n{\"content\":\"x\"}}\n]}",
        r#"{"type":"response.completed","sequence_number":4,"response":{"model":"m"}}"#,
        r#"{"type":"transcript.text.done","text":"x"}"#,
        r#"{"type":"ping"}"#,
        r#"{"type":"message_start","message":{"model":"m","usage":{"input_tokens":3}}}"#,
        r#"{"type":"content_block_delta","index":0,"delta":{"type":"text_delta","text":"x"}}"#,
        r#"{"type":"message_stop"}"#,
        r#"{"error":{"message":"m","code":429}}"#,
        r#"{"choices":[NaN]}"#,
        "{",
        "}",
        "\"",
        "[",
        "[1]",
        "text",
        "data:",
        "data: ",
        "data",
        "event: error",
        "event: ping",
        "event: content_block_delta",
        "id: 1",
        "error: {\"message\":\"x\"}",
        ": comment",
        ":",
        ":HTTP_STATUS/429",
        "\u{feff}",
        " ",
        "\0",
        "\x1e",
        " : comment",
        "\n",
        "\r",
        "\r\n",
        "\n\n",
        "\n",
        "\n",
    ];
    prop_oneof![
        20 => prop::sample::select(fixed.map(|piece| piece.as_bytes().to_vec()).to_vec()),
        1 => prop::collection::vec(any::<u8>(), 0..6),
    ]
}

fn streams() -> impl Strategy<Value = Body> {
    let done =
        prop::sample::select(vec!["", "data: [DONE]", "[done]\n\n", "data: \"[DONE]\"\r\n: x"]);
    (prop::collection::vec(pieces(), 0..24), done)
        .prop_map(|(pieces, done)| Body([&pieces.concat()[..], done.as_bytes()].concat()))
}

pub(super) fn cut<'a>(body: &'a [u8], cuts: &[prop::sample::Index]) -> Vec<&'a [u8]> {
    let mut at: Vec<usize> = cuts.iter().map(|cut| cut.index(body.len() + 1)).collect();
    at.extend([0, body.len()]);
    at.sort_unstable();
    at.windows(2).map(|pair| &body[pair[0]..pair[1]]).collect()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(500))]

    #[test]
    fn output_does_not_depend_on_the_chunks(
        Body(body) in streams(),
        kind in kinds(),
        limit in prop::sample::select(vec![40, 150, 1 << 20]),
        renamed in any::<bool>(),
        cuts in prop::collection::vec(any::<prop::sample::Index>(), 0..12),
    ) {
        let options = Options {
            kind,
            max_event_bytes: limit,
            response_model: renamed.then(|| "mine".to_owned()),
            request: Default::default(),
        };
        let whole = run(options.clone(), &[&body], StreamEnd::Clean);
        prop_assert_eq!(&run(options.clone(), &cut(&body, &cuts), StreamEnd::Clean), &whole);
        prop_assert_eq!(&run(options, &in_steps(&body, 1), StreamEnd::Clean), &whole);
    }

    #[test]
    fn output_is_canonical(Body(body) in streams(), kind in kinds()) {
        let (out, head) = run(options(kind), &[&body], StreamEnd::Clean);
        if kind.api().is_some() && head == StreamHead::Stream {
            prop_assert_eq!(read(&out).done, 1);
        }
        for line in out.split(|&byte| byte == b'\n') {
            prop_assert!(std::str::from_utf8(line).is_ok());
            if let Some(payload) = line.strip_prefix(b"data: ") {
                let is_json = serde_json::from_slice::<serde::de::IgnoredAny>(payload).is_ok();
                prop_assert!(is_json || payload == b"[DONE]");
            }
        }
    }

    #[test]
    fn normalising_twice_changes_nothing(Body(body) in streams(), kind in kinds()) {
        let first = match kind {
            StreamKind::Transcription => {
                &b"data: {\"type\":\"transcript.text.delta\",\"delta\":\"x\"}\n\n"[..]
            }
            _ => &b"data: {\"choices\":[{\"index\":0,\"delta\":{},\"text\":\"\"}]}\n\n"[..],
        };
        let (once, head) = run(options(kind), &[first, &body], StreamEnd::Clean);
        prop_assert_eq!(head, StreamHead::Stream);
        let (twice, _) = run(options(kind), &[&once], StreamEnd::Clean);
        prop_assert_eq!(String::from_utf8(twice).unwrap(), String::from_utf8(once).unwrap());
    }

    #[test]
    fn recorded_streams_in_any_chunks(
        case in any::<prop::sample::Index>(),
        cuts in prop::collection::vec(any::<prop::sample::Index>(), 0..20),
    ) {
        static CASES: LazyLock<Vec<Case>> = LazyLock::new(cases);
        let case = case.get(&CASES);
        prop_assume!(case.asked_for_stream() && !case.is_compressed());
        let whole = run(case.options(), &[&case.body], case.end());
        prop_assert_eq!(run(case.options(), &cut(&case.body, &cuts), case.end()), whole);
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2000))]

    #[test]
    fn what_is_repaired_is_no_canonical_chunk(
        (api, payload) in prop::sample::select(vec![Api::Chat, Api::Completions])
            .prop_flat_map(|api| (Just(api), answers(api, WholeOrChunk::Chunk))),
    ) {
        let kind = match api {
            Api::Chat => StreamKind::Chat,
            Api::Completions => StreamKind::Completions,
        };
        if let Some((found, _)) = scan::chunk(payload.as_bytes(), kind)
            && found.call.is_none()
        {
            let about = chunk::ChunkContext {
                api,
                // Choices that nobody asked for are another matter.
                request: RequestFacts { choices: 64, ..RequestFacts::default() },
                event: crate::repair::error::Event::default(),
                response_model: None,
            };
            let mut progress = crate::repair::chat::progress::Progress::default();
            let outcome = chunk::repair(payload.as_bytes(), &mut progress, about);
            let passes = matches!(outcome, chunk::ChunkOutcome::Emit(None, facts)
                if facts.finished == found.finish.is_some()
                    && facts.cached == found.counted.then_some(false));
            prop_assert!(passes, "{payload}: {outcome:?}");
        }
    }
}

/// What stands inside a string, or breaks out of it.
pub(super) fn insides() -> impl Strategy<Value = Vec<u8>> {
    let odd = prop::sample::select(vec![
        "\"",
        "\\",
        "\\u00e9",
        "\\\"",
        "\",\"error\":{",
        "\t",
        "\u{2028}",
    ]);
    prop::collection::vec(
        prop_oneof![
            4 => "[a-z ]{0,8}".prop_map(String::into_bytes),
            2 => odd.prop_map(|odd| odd.as_bytes().to_vec()),
            1 => prop::collection::vec(any::<u8>(), 0..3),
        ],
        0..4,
    )
    .prop_map(|parts| parts.concat())
}

proptest! {
    #[test]
    fn a_memory_finds_what_a_scan_finds(
        first in insides(),
        second in insides(),
        shape in 0..3,
    ) {
        let payload = |inside: &[u8]| {
            let (head, tail): (&[u8], &[u8]) = match shape {
                0 => (br#"{"object":"chat.completion.chunk","choices":[{"index":0,"delta":{"content":""#, br#""},"finish_reason":"stop"}],"usage":null}"#),
                1 => (br#"{"choices":[{"index":0,"delta":{"tool_calls":[{"index":3,"function":{"arguments":""#, br#""}}]}}],"model":"m"}"#),
                _ => (br#"{"model":"m","obfuscation":""#, br#"","choices":[{"index":0,"delta":{"role":"assistant"}}]}"#),
            };
            [head, inside, tail].concat()
        };
        let (first, second) = (payload(&first), payload(&second));
        if let Some((found, slots)) = scan::chunk(&first, StreamKind::Chat) {
            let mut template = template::Template::default();
            template.learn(&first, slots, found);
            let scanned = scan::chunk(&second, StreamKind::Chat);
            if let Some((known, found)) = template.find(&second).zip(template.found()) {
                prop_assert_eq!(known.len, second.len());
                let without_place = |chunk: scan::CanonicalChunk| scan::CanonicalChunk { model: None, ..chunk };
                let (scanned, slots) = scanned.unwrap();
                prop_assert_eq!(without_place(scanned), without_place(found));
                prop_assert_eq!(slots.values(&second), known.values);
            }
        }
    }
}
