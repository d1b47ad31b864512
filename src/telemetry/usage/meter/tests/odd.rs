//! Token counts as nobody should tell them.

use super::*;
use crate::test;

const USAGE: &str = r#"{"prompt_tokens":7,"completion_tokens":3,"total_tokens":10}"#;
const TOLD: (Source, [u64; 4]) = (Source::Upstream, [7, 3, 0, 10]);
/// Eight bytes of text.
const SAID: &str = r#"{"choices":[{"index":0,"delta":{"content":"12345678"}}]}"#;
const ESTIMATED: (Source, [u64; 4]) = (Source::Estimated, [ASKED, 2, 0, ASKED + 2]);

/// A chunk without choices that has these members.
fn with(members: &str) -> String {
    format!(r#"{{"choices":[],{members}}}"#)
}

fn usage() -> String {
    with(&format!(r#""usage":{USAGE}"#))
}

fn miscounted(operation: Operation, answer: &str) -> bool {
    let mut meter = Meter::default();
    meter.begin(operation);
    meter.push(answer.as_bytes());
    meter.is_miscounted()
}

/// Checks a stream's counts, and whether they are named as wrong.
fn stream(payloads: &[&str], (source, want): (Source, [u64; 4]), wrong: bool) {
    let body = events(payloads);
    check(Operation::ChatCompletions, &body, source, want);
    assert_eq!(miscounted(Operation::ChatCompletions, &body), wrong, "{body}");
}

#[test]
fn wherever_in_a_stream_they_stand() {
    let (usage, u) = (usage(), USAGE);
    let beside = SAID.replace("]}", &format!(r#"],"usage":{u}}}"#));
    let null = with(r#""usage":null"#);
    let groq = with(&format!(r#""x_groq":{{"id":"r","usage":{u}}}"#));
    let error = format!(r#"{{"error":{{"message":"busy"}},"usage":{u}}}"#);
    let grown = |output: u64| {
        SAID.replacen(
            '{',
            &format!(r#"{{"usage":{{"prompt_tokens":7,"completion_tokens":{output}}},"#),
            1,
        )
    };
    let (one, two, three) = (grown(1), grown(2), grown(3));
    stream(&[SAID, &usage, "[DONE]"], TOLD, false);
    stream(&[SAID, &usage, &usage], TOLD, false);
    stream(&[SAID, &null, &usage, &null], TOLD, false);
    stream(&[&beside], TOLD, false);
    stream(&[SAID, &groq], TOLD, false);
    stream(&[&one, &two, &three], TOLD, false);
    // What was said after they were told was not counted.
    stream(&[&usage, SAID], (Source::Estimated, [7, 3, 0, 10]), false);
    stream(&[SAID, &usage, SAID], (Source::Estimated, [7, 4, 0, 11]), false);
    // An error, and what was said before it.
    stream(&[SAID, &error], TOLD, false);
    assert_eq!(counts(Operation::ChatCompletions, &[events(&[&error]).as_bytes()]), None);
    // Of each piece alone: the text tells more.
    let pieces = vec![one.as_str(); 100];
    stream(&pieces, (Source::Estimated, [7, 200, 0, 207]), true);
    // All of them from the first piece on.
    let whole = grown(190);
    let pieces = vec![whole.as_str(); 100];
    stream(&pieces, (Source::Upstream, [7, 190, 0, 197]), false);
}

#[test]
fn whatever_they_look_like() {
    for (members, told, wrong) in [
        (r#""usage":{"prompt_tokens":" 7 ","completion_tokens":"3"}"#, TOLD, false),
        (r#""usage":{"prompt_tokens":7.0,"completion_tokens":3e0}"#, TOLD, false),
        (r#""us\u0061ge":{"prompt_tok\u0065ns":7,"completion_tokens":3}"#, TOLD, false),
        (
            r#""usage":{"prompt_tokens":1,"completion_tokens":1},"usage":{"prompt_tokens":7,"completion_tokens":3}"#,
            TOLD,
            false,
        ),
        (r#""usage":{"prompt_tokens":7,"completion_tokens":3},"usage":null"#, TOLD, false),
        (
            r#""usage":{"prompt_tokens":1,"completion_tokens":1,"prompt_tokens":7,"completion_tokens":3}"#,
            TOLD,
            false,
        ),
        (r#""usage":[{"prompt_tokens":7,"completion_tokens":3}]"#, ESTIMATED, false),
        (r#""usage":"prompt_tokens=7""#, ESTIMATED, false),
        (r#""usage":7"#, ESTIMATED, false),
        (r#""usage":{}"#, ESTIMATED, false),
        (r#""usage":{"prompt_tokens":-7,"completion_tokens":3}"#, ESTIMATED, true),
        (r#""usage":{"prompt_tokens":7,"completion_tokens":1e30}"#, ESTIMATED, true),
        (r#""usage":{"prompt_tokens":7,"completion_tokens":"1e30"}"#, ESTIMATED, true),
        (r#""usage":{"prompt_tokens":7,"completion_tokens":3.5}"#, ESTIMATED, true),
        (r#""usage":{"prompt_tokens":7,"completion_tokens":"NaN"}"#, ESTIMATED, true),
        (r#""usage":{"prompt_tokens":true,"completion_tokens":3}"#, ESTIMATED, true),
        (r#""usage":{"prompt_tokens":{},"completion_tokens":3}"#, ESTIMATED, true),
        // Bare words are no JSON.
        (r#""usage":{"prompt_tokens":NaN,"completion_tokens":3}"#, ESTIMATED, false),
        (r#""usage":{"prompt_tokens":0,"completion_tokens":0}"#, ESTIMATED, true),
        (r#""usage":{"prompt_tokens":7,"completion_tokens":3,"total_tokens":4}"#, TOLD, true),
        (
            r#""usage":{"prompt_tokens":7,"completion_tokens":3,"total_tokens":12}"#,
            (Source::Upstream, [7, 3, 0, 12]),
            false,
        ),
        (r#""usage":{"prompt_tokens":7,"total_tokens":10}"#, TOLD, false),
        (r#""usage":{"completion_tokens":3,"total_tokens":10}"#, TOLD, false),
        (
            r#""usage":{"prompt_tokens":7,"completion_tokens":3,"total_tokens":10,"prompt_tokens_details":{"cached_tokens":70}}"#,
            (Source::Upstream, [7, 3, 7, 10]),
            true,
        ),
        (
            r#""usage":{"prompt_tokens":7,"completion_tokens":3,"total_tokens":10,"completion_tokens_details":{"reasoning_tokens":70}}"#,
            TOLD,
            true,
        ),
        (
            r#""usage":{"prompt_tokens":7,"completion_tokens":3,"completion_tokens_details":{"reasoning_tokens":70}}"#,
            (Source::Upstream, [7, 73, 0, 80]),
            false,
        ),
        (
            r#""usage":{"prompt_tokens":7,"completion_tokens_details":{"reasoning_tokens":70}}"#,
            (Source::Estimated, [7, 70, 0, 77]),
            false,
        ),
        (
            r#""usage":{"input_tokens":2,"cache_read_input_tokens":4,"cache_creation_input_tokens":1,"output_tokens":3}"#,
            (Source::Upstream, [7, 3, 4, 10]),
            false,
        ),
        (
            r#""usage":{"input_tokens":7,"input_tokens_details":{"cached_tokens":4},"output_tokens":3,"total_tokens":10}"#,
            (Source::Upstream, [7, 3, 4, 10]),
            false,
        ),
        (
            r#""usageMetadata":{"promptTokenCount":7,"candidatesTokenCount":1,"thoughtsTokenCount":2,"totalTokenCount":10}"#,
            TOLD,
            false,
        ),
        (r#""usage":{"prompt_eval_count":7,"eval_count":3}"#, TOLD, false),
        (
            r#""usage":{"billed_units":{"input_tokens":1,"output_tokens":1},"tokens":{"input_tokens":7,"output_tokens":3}}"#,
            TOLD,
            false,
        ),
        (r#""meta":{"billed_units":{"input_tokens":7.0,"output_tokens":3.0}}"#, TOLD, false),
        (
            r#""meta":{"api_version":{"version":"2"},"usage":{"input_tokens":7,"output_tokens":3}}"#,
            TOLD,
            false,
        ),
        (
            r#""details":{"finish_reason":"length","generated_tokens":3,"prefill":[],"seed":null}"#,
            (Source::Estimated, [ASKED, 3, 0, ASKED + 3]),
            false,
        ),
        (r#""token_usage":{"promptTokens":7,"completionTokens":3}"#, TOLD, false),
        (r#""error":"ok","usage":{"prompt_tokens":7,"completion_tokens":3}"#, TOLD, false),
    ] {
        stream(&[SAID, &with(members), "[DONE]"], told, wrong);
        let plain = format!(r#"{{"choices":[{{"message":{{"content":"12345678"}}}}],{members}}}"#);
        check(Operation::ChatCompletions, &plain, told.0, told.1);
        assert_eq!(miscounted(Operation::ChatCompletions, &plain), wrong, "{plain}");
        let first = format!(r#"{{{members},"choices":[{{"message":{{"content":"12345678"}}}}]}}"#);
        if !members.contains("NaN,") {
            check(Operation::ChatCompletions, &first, told.0, told.1);
        }
    }
    let large = format!(r#"{{"usage":{{"prompt_tokens":1,"x":"{}"}}}}"#, "x".repeat(20_000));
    assert!(miscounted(Operation::Embeddings, &large));
}

#[test]
fn one_judgement_says_what_is_an_error() {
    for (error, is_one) in [
        ("null", false),
        ("false", false),
        ("0", false),
        ("200", false),
        ("\"\"", false),
        ("\"ok\"", false),
        ("\"Success\"", false),
        ("\"\\u006fk\"", false),
        ("{}", false),
        ("[]", false),
        (r#"{"code":0,"message":"success"}"#, false),
        (r#"{"message":"","type":null,"code":null}"#, false),
        ("true", true),
        ("1", true),
        ("\"busy\"", true),
        (r#"{"message":"busy"}"#, true),
        (r#"{"code":429}"#, true),
        (r#"[{"message":"busy"}]"#, true),
    ] {
        for name in ["error", "\\u0065rror"] {
            for answer in [
                format!(r#"{{"{name}":{error},"data":[{{"embedding":[1]}}],"usage":{USAGE}}}"#),
                format!(r#"{{"data":[{{"embedding":[1]}}],"usage":{USAGE},"{name}":{error}}}"#),
                events(&[&format!(r#"{{"{name}":{error},"usage":{USAGE}}}"#)]),
                events(&[&format!(r#"{{"response":{{"usage":{USAGE},"{name}":{error}}}}}"#)]),
            ] {
                if is_one {
                    let pieces: Vec<_> = answer.as_bytes().chunks(1).collect();
                    assert_eq!(
                        counts(Operation::ImageGeneration, &[answer.as_bytes()]),
                        None,
                        "{answer}"
                    );
                    assert_eq!(counts(Operation::ImageGeneration, &pieces), None, "{answer}");
                } else {
                    check(Operation::ImageGeneration, &answer, TOLD.0, TOLD.1);
                }
            }
        }
    }
    let large = format!(r#"{{"error":{{"message":"{}","code":0}}}}"#, "x".repeat(20_000));
    assert_eq!(
        counts(Operation::ImageGeneration, &[large.as_bytes()]),
        None,
        "none that says success is so long"
    );
    let cut = format!(r#"{{"usage":{USAGE},"error":{{"code":0"#);
    assert_eq!(counts(Operation::ImageGeneration, &[cut.as_bytes()]), None, "it never said");
    let broken = format!(r#"{{"usage":{USAGE},"error":{{"code":0}}]"#);
    assert_eq!(counts(Operation::ImageGeneration, &[broken.as_bytes()]), Some([7, 3, 0, 10]));
}
