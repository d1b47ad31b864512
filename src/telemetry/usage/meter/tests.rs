mod odd;

use super::*;
use crate::telemetry::usage::Counts;
use crate::test;

/// The request's own tokens, where the answer does not tell them.
const ASKED: u64 = 50;

fn counts(operation: Operation, pieces: &[&[u8]]) -> Option<[u64; 4]> {
    counted(operation, pieces)
        .map(|counts| [counts.input, counts.output, counts.cached, counts.total])
}

fn counted(operation: Operation, pieces: &[&[u8]]) -> Option<Counts> {
    let mut meter = Meter::default();
    meter.begin(operation);
    for piece in pieces {
        meter.push(piece);
    }
    Some(meter.reading()?.counts(ASKED))
}

/// Checks what an answer counts to, whole and byte by byte.
fn check(operation: Operation, answer: &str, source: Source, want: [u64; 4]) {
    let bytes = answer.as_bytes();
    let whole = counted(operation, &[bytes]);
    assert_eq!(whole.map(|counts| counts.source), Some(source), "{answer}");
    assert_eq!(counts(operation, &[bytes]), Some(want), "{answer}");
    let pieces: Vec<&[u8]> = bytes.chunks(1).collect();
    assert_eq!(counted(operation, &pieces), whole, "{answer}");
}

fn chat(choices: &str, rest: &str) -> String {
    format!(r#"{{"object":"chat.completion","choices":[{choices}]{rest}}}"#)
}

fn events(payloads: &[&str]) -> String {
    payloads.iter().map(|payload| format!("data: {payload}\n\n")).collect()
}

#[test]
fn usage_is_taken_as_it_is() {
    let usage = r#","usage":{"prompt_tokens":7,"completion_tokens":3,"total_tokens":10,"prompt_tokens_details":{"cached_tokens":2}}"#;
    let choice = r#"{"index":0,"message":{"role":"assistant","content":"Hello there, you"}}"#;
    check(Operation::ChatCompletions, &chat(choice, usage), Source::Upstream, [7, 3, 2, 10]);
    let first = r#"{"usage":{"prompt_tokens":7,"completion_tokens":3,"total_tokens":10},"choices":[{"text":"x"}]}"#;
    check(Operation::Completions, first, Source::Upstream, [7, 3, 0, 10]);
    let stream = events(&[
        r#"{"choices":[{"index":0,"delta":{"content":"Hello there, you"}}],"usage":null}"#,
        r#"{"choices":[],"usage":{"prompt_tokens":7,"completion_tokens":3,"total_tokens":10}}"#,
        "[DONE]",
    ]);
    check(Operation::ChatCompletions, &stream, Source::Upstream, [7, 3, 0, 10]);
    // With each chunk: the last one counts.
    let stream = events(&[
        r#"{"usage":{"prompt_tokens":7,"completion_tokens":1,"total_tokens":8},"choices":[{"index":0,"delta":{"content":"Hello there, you"}}]}"#,
        r#"{"choices":[{"index":0,"delta":{"content":"!"}}],"usage":{"prompt_tokens":7,"completion_tokens":2,"total_tokens":9}}"#,
    ]);
    check(Operation::ChatCompletions, &stream, Source::Upstream, [7, 2, 0, 9]);
}

#[test]
fn without_usage_text_is_counted() {
    let said = |message: &str| chat(&format!(r#"{{"index":0,"message":{message}}}"#), "");
    for (message, bytes) in [
        (r#"{"role":"assistant","content":"Hello there, you"}"#, 16),
        (r#"{"content":"a"}"#, 1),
        (r#"{"content":""}"#, 0),
        (r#"{"content":null}"#, 0),
        // Escapes are what they stand for.
        (r#"{"content":"\u00e9\n\"\u20ac\ud83d\ude00\u0041abcde"}"#, 2 + 2 + 3 + 4 + 1 + 5),
        (r#"{"content":"12345678","reasoning_content":"1234"}"#, 12),
        // The same thoughts under two names.
        (r#"{"content":"1234","reasoning_content":"1234","reasoning":"1234"}"#, 8),
        (r#"{"content":null,"refusal":"12345678"}"#, 8),
        (
            r#"{"tool_calls":[{"id":"long-id-of-a-call","function":{"name":"f","arguments":"{\"a\":12}"}}]}"#,
            9,
        ),
        (r#"{"function_call":{"name":"get","arguments":"{\"a\":123}"}}"#, 12),
        (r#"{"tool_calls":[{"custom":{"name":"f","input":"1234567"}}]}"#, 8),
        (r#"{"audio":{"data":"AAAAAAAAAAAAAAAA","transcript":"12345678"}}"#, 8),
        (r#"{"content":"1234","annotations":[{"text":"12345678"}],"role":"assistant"}"#, 4),
    ] {
        let output = if bytes == 0 { 0 } else { (bytes / 4).max(1) };
        let want = [ASKED, output, 0, ASKED + output];
        check(Operation::ChatCompletions, &said(message), Source::Estimated, want);
        let delta = message.replace("\"message\"", "\"delta\"");
        let stream = events(&[
            &format!(r#"{{"choices":[{{"index":0,"delta":{delta}}}]}}"#),
            r#"{"choices":[{"index":0,"delta":{},"finish_reason":"stop"}]}"#,
            "[DONE]",
        ]);
        check(Operation::ChatCompletions, &stream, Source::Estimated, want);
    }
    let two = r#"{"message":{"content":"1234"}},{"message":{"content":"5678"},"logprobs":{"content":[{"token":"5678"}]}}"#;
    check(Operation::ChatCompletions, &chat(two, ""), Source::Estimated, [50, 2, 0, 52]);
    check(
        Operation::Completions,
        r#"{"choices":[{"text":"12345678"}]}"#,
        Source::Estimated,
        [50, 2, 0, 52],
    );
}

#[test]
fn zeros_beside_text_are_no_usage() {
    let said = r#"{"message":{"content":"12345678"}}"#;
    let zeros = r#","usage":{"prompt_tokens":0,"completion_tokens":0,"total_tokens":0}"#;
    check(Operation::ChatCompletions, &chat(said, zeros), Source::Estimated, [50, 2, 0, 52]);
    check(Operation::ChatCompletions, &chat("", zeros), Source::Upstream, [0, 0, 0, 0]);
    let half = r#","usage":{"prompt_tokens":9,"completion_tokens":0,"total_tokens":9}"#;
    check(Operation::ChatCompletions, &chat(said, half), Source::Estimated, [9, 2, 0, 11]);
    let input = r#","usage":{"prompt_tokens":9}"#;
    check(Operation::ChatCompletions, &chat(said, input), Source::Estimated, [9, 2, 0, 11]);
    let total = r#","usage":{"total_tokens":9}"#;
    check(Operation::ChatCompletions, &chat(said, total), Source::Estimated, [7, 2, 0, 9]);
    let bad = r#","usage":{"prompt_tokens":9,"completion_tokens":"many","total_tokens":9}"#;
    check(Operation::ChatCompletions, &chat(said, bad), Source::Estimated, [50, 2, 0, 52]);
}

#[test]
fn responses_say_all_twice() {
    let output = r#"[{"type":"reasoning","summary":[{"text":"1234"}],"encrypted_content":"AAAAAAAA"},
        {"type":"message","content":[{"type":"output_text","text":"12345678","annotations":[]}]},
        {"type":"function_call","name":"f","arguments":"1234567"}]"#;
    let plain = format!(r#"{{"object":"response","error":null,"output":{output}}}"#);
    check(Operation::Responses, &plain, Source::Estimated, [50, 5, 0, 55]);
    let usage = r#"{"input_tokens":9,"input_tokens_details":{"cached_tokens":4},"output_tokens":2,"total_tokens":11}"#;
    let counted = format!(r#"{{"output":{output},"usage":{usage}}}"#);
    check(Operation::Responses, &counted, Source::Upstream, [9, 2, 4, 11]);
    let deltas = [
        r#"{"type":"response.created","response":{"output":[],"usage":null,"error":null}}"#,
        r#"{"type":"response.reasoning_summary_text.delta","delta":"1234"}"#,
        r#"{"delta":"12345678","type":"response.output_text.delta"}"#,
        r#"{"type":"response.function_call_arguments.delta","delta":"1234567"}"#,
        r#"{"type":"response.audio.delta","delta":"AAAAAAAAAAAAAAAAAA"}"#,
    ];
    let done = r#"{"type":"response.output_text.done","text":"12345678"}"#;
    let last = format!(r#"{{"type":"response.completed","response":{{"output":{output}}}}}"#);
    let last = last.replace('\n', " ");
    check(Operation::Responses, &events(&deltas), Source::Estimated, [50, 4, 0, 54]);
    let all = [&deltas[..], &[done, &last]].concat();
    check(Operation::Responses, &events(&all), Source::Estimated, [50, 5, 0, 55]);
    check(Operation::Responses, &events(&[&last]), Source::Estimated, [50, 5, 0, 55]);
    let last = format!(r#"{{"type":"response.completed","response":{{"usage":{usage}}}}}"#);
    let all = [&deltas[..], &[&last]].concat();
    check(Operation::Responses, &events(&all), Source::Upstream, [9, 2, 4, 11]);
}

#[test]
fn messages_count_their_cache() {
    let plain = r#"{"type":"message","content":[{"type":"thinking","thinking":"1234","signature":"AAAAAAAA"},
        {"type":"text","text":"12345678"},{"type":"tool_use","id":"x","name":"f","input":{"a":123}}]"#;
    check(Operation::Messages, &format!("{plain}}}"), Source::Estimated, [50, 5, 0, 55]);
    let usage = r#"{"input_tokens":9,"cache_read_input_tokens":5,"cache_creation_input_tokens":1,"output_tokens":2}"#;
    check(
        Operation::Messages,
        &format!(r#"{plain},"usage":{usage}}}"#),
        Source::Upstream,
        [15, 2, 5, 17],
    );
    let start = r#"{"type":"message_start","message":{"content":[],"usage":{"input_tokens":25,"cache_read_input_tokens":100,"output_tokens":1}}}"#;
    let said = [
        start,
        r#"{"type":"content_block_start","content_block":{"type":"text","text":""}}"#,
        r#"{"type":"ping"}"#,
        r#"{"type":"content_block_delta","delta":{"type":"text_delta","text":"12345678"}}"#,
        r#"{"type":"content_block_delta","delta":{"type":"thinking_delta","thinking":"1234"}}"#,
        r#"{"type":"content_block_delta","delta":{"type":"signature_delta","signature":"AAAAAA"}}"#,
        r#"{"type":"content_block_start","content_block":{"type":"tool_use","name":"f","input":{}}}"#,
        r#"{"type":"content_block_delta","delta":{"type":"input_json_delta","partial_json":"{\"a\":1}"}}"#,
    ];
    let last = r#"{"type":"message_delta","delta":{"stop_reason":"end_turn"},"usage":{"output_tokens":15}}"#;
    let all = [&said[..], &[last, r#"{"type":"message_stop"}"#]].concat();
    check(Operation::Messages, &events(&all), Source::Upstream, [125, 15, 100, 140]);
    check(Operation::Messages, &events(&said), Source::Estimated, [125, 5, 100, 130]);
    check(Operation::Messages, &events(&said[1..]), Source::Estimated, [50, 5, 0, 55]);
    check(Operation::Messages, &events(&[start]), Source::Upstream, [125, 1, 100, 126]);
}

#[test]
fn what_is_no_text_counts_by_its_usage_alone() {
    for (answer, source, want) in [
        (
            r#"{"data":[{"embedding":[1,2]}],"usage":{"prompt_tokens":5,"total_tokens":5}}"#,
            Source::Upstream,
            [5, 0, 0, 5],
        ),
        (r#"{"data":[{"embedding":[1,2]}]}"#, Source::Estimated, [50, 0, 0, 50]),
        (
            r#"{"data":[],"usage":{"prompt_tokens":0,"total_tokens":0}}"#,
            Source::Upstream,
            [0, 0, 0, 0],
        ),
        (
            r#"{"results":[{"document":{"text":"12345678"}}],"usage":{"total_tokens":5}}"#,
            Source::Upstream,
            [5, 0, 0, 5],
        ),
        (
            r#"{"results":[],"meta":{"tokens":{"input_tokens":5,"output_tokens":0}}}"#,
            Source::Upstream,
            [5, 0, 0, 5],
        ),
        (
            r#"{"results":[],"meta":{"billed_units":{"search_units":5}}}"#,
            Source::Estimated,
            [50, 0, 0, 50],
        ),
        ("\u{1}\u{2}", Source::Estimated, [50, 0, 0, 50]),
    ] {
        check(Operation::Embeddings, answer, source, want);
        check(Operation::Rerank, answer, source, want);
    }
}

#[test]
fn transcriptions_are_text_or_events() {
    let usage =
        r#","usage":{"type":"tokens","input_tokens":14,"output_tokens":5,"total_tokens":19}"#;
    for (answer, source, want) in [
        (format!(r#"{{"text":"12345678"{usage}}}"#), Source::Upstream, [14, 5, 0, 19]),
        (
            r#"{"text":"12345678","segments":[{"text":"12345678"}],"usage":{"type":"duration","seconds":9}}"#.to_owned(),
            Source::Estimated,
            [50, 2, 0, 52],
        ),
        ("Hello there, you".to_owned(), Source::Estimated, [50, 4, 0, 54]),
        ("WEBVTT\n\n00:00".to_owned(), Source::Estimated, [50, 3, 0, 53]),
        (
            events(&[
                r#"{"type":"transcript.text.delta","delta":"12345678"}"#,
                &format!(r#"{{"type":"transcript.text.done","text":"12345678"{usage}}}"#),
            ]),
            Source::Upstream,
            [14, 5, 0, 19],
        ),
        (
            events(&[
                r#"{"type":"transcript.text.delta","delta":"12345678"}"#,
                r#"{"type":"transcript.text.done","text":"12345678"}"#,
            ]),
            Source::Estimated,
            [50, 2, 0, 52],
        ),
    ] {
        check(Operation::Transcriptions, &answer, source, want);
    }
}

#[test]
fn errors_cost_nothing_before_any_text() {
    let said = r#"{"choices":[{"index":0,"delta":{"content":"12345678"}}]}"#;
    for error in [
        r#"{"error":{"message":"a long message of what went wrong"}}"#,
        r#"{"error":"a long message of what went wrong"}"#,
        r#"{"type":"error","error":{"type":"overloaded_error"}}"#,
        r#"{"type":"response.failed","response":{"error":{"code":"server_error"}}}"#,
    ] {
        let only = events(&[r#"{"choices":[{"index":0,"delta":{"role":"assistant"}}]}"#, error]);
        assert_eq!(counts(Operation::ChatCompletions, &[only.as_bytes()]), None, "{error}");
        assert_eq!(counts(Operation::ChatCompletions, &[error.as_bytes()]), None, "{error}");
        check(
            Operation::ChatCompletions,
            &events(&[said, error]),
            Source::Estimated,
            [50, 2, 0, 52],
        );
    }
    for fine in ["null", "\"\"", "false", "[]"] {
        let answer = chat(
            "",
            &format!(r#","error":{fine},"usage":{{"prompt_tokens":1,"completion_tokens":1}}"#),
        );
        check(Operation::ChatCompletions, &answer, Source::Upstream, [1, 1, 0, 2]);
    }
    let mut meter = Meter::default();
    meter.begin(Operation::ChatCompletions);
    meter.void();
    assert_eq!(meter.reading(), None);
}

#[test]
fn framing_does_not_matter() {
    let payload = r#"{"choices":[{"delta":{"content":"12345678"}}]}"#;
    let usage = r#"{"choices":[],"usage":{"prompt_tokens":7,"completion_tokens":3}}"#;
    for stream in [
        format!("data: {payload}\n\ndata: {usage}\n\ndata: [DONE]\n\n"),
        format!("\u{feff}data:{payload}\r\n\r\ndata:{usage}\r\n\r\n"),
        format!(
            "{}\u{feff}\u{feff}\n data: x\ndata: {payload}\n\ndata: {usage}\n\n",
            "\r ".repeat(99)
        ),
        format!("event: x\rdata: {payload}\r\rid: 3\rdata: {usage}\r\r"),
        format!(": ping\n\ndata: {payload}\ndata: {usage}\n\n"),
        format!(
            "data: {payload}\n\ndata: {{\"choices\":[],\r\ndata: \"usage\":\r\ndata: {{\"prompt_tokens\":7,\"completion_tokens\":3}}}}\r\n\r\n"
        ),
        format!(
            "data: {payload}\n\ndata: nonsense\n\ndata: {{\"a\ndata: {usage}\n\ndata: {usage}\n\n"
        ),
        format!("\n\nretry: 3\ndat: x\ndata: {payload}\n\ndata: {usage}"),
    ] {
        check(Operation::ChatCompletions, &stream, Source::Upstream, [7, 3, 0, 10]);
        let untold = stream.replace("usage", "others");
        check(Operation::ChatCompletions, &untold, Source::Estimated, [50, 2, 0, 52]);
    }
}

#[test]
fn cut_answers_count_what_was_sent() {
    let plain = r#"{"choices":[{"message":{"content":"12345678"#;
    check(Operation::ChatCompletions, plain, Source::Estimated, [50, 2, 0, 52]);
    check(Operation::ChatCompletions, &format!("data: {plain}"), Source::Estimated, [50, 2, 0, 52]);
    let usage = r#"{"choices":[{"text":"1234"}],"usage":{"prompt_tokens":7,"completion_tokens":3"#;
    check(Operation::ChatCompletions, usage, Source::Estimated, [50, 1, 0, 51]);
    let large = format!(
        r#"{{"usage":{{"prompt_tokens":1,"completion_tokens":2,"x":"{}"}}}}"#,
        "x".repeat(20_000)
    );
    check(Operation::ChatCompletions, &large, Source::Estimated, [50, 0, 0, 50]);
    check(Operation::ChatCompletions, "", Source::Estimated, [50, 0, 0, 50]);
    assert_eq!(Meter::default().reading(), Some(Reading::estimated(0)), "no answer has come");
}

#[test]
fn nothing_is_too_deep() {
    let deep = format!(
        r#"{{"choices":[{{"message":{{"content":"1234","x":{}1{}}}}}]}}"#,
        "[".repeat(400),
        "]".repeat(400)
    );
    check(Operation::ChatCompletions, &deep, Source::Estimated, [50, 1, 0, 51]);
    let deeper = format!(r#"{{"choices":[{{"message":{{"content":"1234","x":{}"#, "[".repeat(4000));
    check(Operation::ChatCompletions, &deeper, Source::Estimated, [50, 1, 0, 51]);
    for nested in
        ["{\"message\":", "{\"response\":", "{\"choices\":[", "[", "{\"delta\":", "{\"content\":["]
    {
        let answer = nested.repeat(300);
        assert!(counts(Operation::Messages, &[answer.as_bytes()]).is_some(), "{nested}");
    }
}

#[cfg(not(target_arch = "wasm32"))]
mod laws {
    use super::*;
    use proptest::prelude::*;

    /// Pieces of answers of all dialects, framed well and badly.
    fn pieces() -> impl Strategy<Value = String> {
        let parts = [
            "\u{feff}",
            "                                                                        ",
            "data: ",
            "data:",
            "\n\n",
            "\n",
            "\r\n",
            "\r",
            "event: x\n",
            ": x\n",
            "[DONE]",
            "{",
            "}",
            "[",
            "]",
            ",",
            "\"",
            "\\u00",
            "e9",
            "\\",
            "\u{1}",
            "é",
            "text",
            r#"{"choices":[{"index":0,"delta":{"content":"hello \u00e9 \"x\" there"}}]}"#,
            r#"{"choices":[{"delta":{"reasoning":"abc","tool_calls":[{"function":{"arguments":"{}"}}]}}],"#,
            r#""usage":{"prompt_tokens":7,"completion_tokens":"3","total_tokens":10}"#,
            r#"{"usage":{"input_tokens":7,"output_tokens":-3}}"#,
            r#"{"type":"message_delta","usage":{"output_tokens":15,"x":[{"a":"}"}]}}"#,
            r#"{"type":"content_block_delta","delta":{"type":"text_delta","text":"hello"}}"#,
            r#"{"type":"response.audio.delta","delta":"AAAAAA"}"#,
            r#"{"output":[{"name":"f","arguments":{"a":[1,2]},"content":[{"text":"abcdefgh"}]}]"#,
            r#"{"error":{"message":"x"}}"#,
            r#"{"\u0074ext":"abcdefgh"}"#,
            // Events like the last one.
            "data: {\"choices\":[{\"delta\":{\"content\":\"a\"}}]}\n\n",
            "data: {\"choices\":[{\"delta\":{\"content\":\"longer \\u20ac \\\" é\"}}]}\n\n",
            "data: {\"choices\":[{\"delta\":{\"content\":\"\\u0\"}}]}\n\n",
            "data: {\"choices\":[{\"delta\":{\"content\":\"a\"}}],\"error\":\"x\"}\n\n",
            "data: {\"choices\":[{\"delta\":{\"content\":\"a\"}}]}\r\n\r\n",
            "data: {\"type\":\"response.audio.delta\",\"delta\":\"AA\"}\n\n",
            "data: {\"type\":\"response.output_text.delta\",\"delta\":\"AA\"}\n\n",
        ];
        prop::collection::vec(prop::sample::select(parts.to_vec()), 0..16)
            .prop_map(|parts| parts.concat())
    }

    proptest! {
        #[test]
        fn cuts_do_not_matter(
            answer in pieces(),
            cuts in prop::collection::vec(0_usize..2000, 0..8),
            operation in prop::sample::select(vec![Operation::ChatCompletions, Operation::Embeddings]),
        ) {
            let bytes = answer.as_bytes();
            let mut cuts: Vec<usize> = cuts.iter().map(|cut| cut % (bytes.len() + 1)).collect();
            cuts.sort_unstable();
            let mut meter = Meter::default();
            meter.begin(operation);
            let mut from = 0;
            for cut in cuts.into_iter().chain([bytes.len()]) {
                meter.push(&bytes[from..cut]);
                from = cut;
                // Nor does it matter when somebody asks.
                let so_far = meter.reading().map(|reading| reading.counts(ASKED));
                prop_assert_eq!(so_far, counted(operation, &[&bytes[..cut]]));
            }
        }
    }
}
