//! Token counts in odd places and odd forms: what is counted, and what leaves.

use super::metered::{ESTIMATED, UPSTREAM, answered, answers, counts, head};
use super::*;
use crate::telemetry::usage::Source;
use crate::test;

const JSON: &str = "application/json";
const SSE: &str = "text/event-stream";
const ASKED: &str = r#"{"model":"alpha/m","messages":[{"role":"user","content":"a"}]}"#;
const STREAM: &str =
    r#"{"model":"alpha/m","messages":[{"role":"user","content":"a"}],"stream":true}"#;
const USAGE: &str = r#"{"prompt_tokens":7,"completion_tokens":3,"total_tokens":10}"#;
const SAID: &str = "0123456789012345678901234567890123456789";

fn text(host: &Host) -> String {
    String::from_utf8(host.answer.body.clone()).unwrap()
}

/// A chat answer with these members beside its choice, and in its message.
fn whole(beside: &str, inside: &str) -> String {
    format!(
        r#"{{"id":"x","object":"chat.completion","created":1,"model":"m","choices":[{{"index":0,"message":{{"role":"assistant","content":"{SAID}"{inside}}},"finish_reason":"stop"}}]{beside}}}"#
    )
}

/// The same as a stream: what is beside stands in the last chunk.
fn chunks(beside: &str, inside: &str) -> String {
    let chunk = |delta: &str, reason: &str, beside: &str| {
        format!(
            "data: {{\"id\":\"x\",\"object\":\"chat.completion.chunk\",\"created\":1,\"model\":\"m\",\"choices\":[{{\"index\":0,\"delta\":{{{delta}}},\"finish_reason\":{reason}}}]{beside}}}\n\n"
        )
    };
    [
        chunk(&format!(r#""role":"assistant","content":"{SAID}""#), "null", ""),
        chunk(inside.strip_prefix(',').unwrap_or_default(), r#""stop""#, beside),
        "data: [DONE]\n\n".to_owned(),
    ]
    .concat()
}

#[test]
fn an_error_that_says_success_costs_nobody_their_counts() {
    for error in [
        "null",
        "false",
        "0",
        "\"\"",
        "\"ok\"",
        "\"success\"",
        "{}",
        "[]",
        r#"{"code":0,"message":"ok"}"#,
    ] {
        for (path, asked, kind, body) in answers() {
            if body.len() > 100_000 {
                continue;
            }
            let body = ["x", "m", "r"].iter().fold(body, |body, id| {
                body.replace(
                    &format!(r#"{{"id":"{id}""#),
                    &format!(r#"{{"error":{error},"id":"{id}""#),
                )
            });
            for size in [body.len(), 7] {
                let host = answered(path, &asked, &head(kind), body.as_bytes(), size);
                assert_eq!(counts(&host), UPSTREAM, "{path} {asked} {kind} {error}");
            }
        }
        let told = r#""usage":{"prompt_tokens":7,"total_tokens":7}"#;
        for (path, asked, answer) in [
            (
                "/v1/embeddings",
                r#"{"model":"alpha/m","input":"a"}"#,
                r#"{"error":ERROR,"object":"list","data":[{"object":"embedding","index":0,"embedding":[0.5]}],"model":"m",USAGE}"#,
            ),
            (
                "/v1/embeddings",
                r#"{"model":"alpha/m","input":"a"}"#,
                r#"{"data":[{"embedding":"[0.5]"}],"model":"m",USAGE,"error":ERROR}"#,
            ),
            (
                "/v1/rerank",
                r#"{"model":"alpha/m","query":"a","documents":["b"]}"#,
                r#"{"error":ERROR,"results":[{"index":0,"relevance_score":1.0}],USAGE}"#,
            ),
            (
                "/v1/images/generations",
                r#"{"model":"alpha/m","prompt":"a"}"#,
                r#"{"created":1,"data":[{"b64_json":"AAAA"}],USAGE,"error":ERROR}"#,
            ),
        ] {
            let body = answer.replace("USAGE", told).replace("ERROR", error);
            let host = answered(path, asked, &head(JSON), body.as_bytes(), 9);
            assert_eq!(counts(&host), Some((Source::Upstream, [7, 0, 0, 7])), "{body}");
        }
    }
}

#[test]
fn an_error_beside_a_result_is_one_in_each_form() {
    for error in ["true", "1", "\"busy\"", r#"{"message":"busy"}"#, r#"[{"message":"busy"}]"#] {
        let beside = format!(r#","usage":{USAGE},"error":{error}"#);
        let list = format!(r#"{{"data":[{{"embedding":[0.5]}}]{beside}}}"#);
        for (path, asked, body) in [
            (CHAT, ASKED, whole(&beside, "")),
            ("/v1/responses", r#"{"model":"alpha/m","input":"a"}"#, whole(&beside, "")),
            ("/v1/embeddings", r#"{"model":"alpha/m","input":"a"}"#, list),
        ] {
            let host = answered(path, asked, &head(JSON), body.as_bytes(), 50);
            assert!(text(&host).starts_with(r#"{"error":{"message""#), "{body}: {}", text(&host));
            assert_eq!(counts(&host), None, "{body}");
        }
    }
}

#[test]
fn wherever_they_stand_they_are_counted_and_put_where_clients_look() {
    let first = format!(r#","usage":[{USAGE}]"#);
    for (beside, inside) in [
        (&*format!(r#","usage":{USAGE}"#), ""),
        (&*first, ""),
        ("", &*format!(r#","usage":{USAGE}"#)),
        (&*format!(r#","x_groq":{{"id":"r","usage":{USAGE}}}"#), ""),
        (&*format!(r#","usage":null,"meta":{{"usage":{USAGE}}}"#), ""),
        (r#","usage":{"input_tokens":7,"output_tokens":3}"#, ""),
        (
            r#","usage":{"billed_units":{"input_tokens":1},"tokens":{"input_tokens":7,"output_tokens":3}}"#,
            "",
        ),
        (r#","meta":{"tokens":{"input_tokens":7,"output_tokens":3}}"#, ""),
        (
            r#","usageMetadata":{"promptTokenCount":7,"candidatesTokenCount":1,"thoughtsTokenCount":2,"totalTokenCount":10}"#,
            "",
        ),
        (r#","prompt_eval_count":7,"eval_count":3"#, ""),
        (r#","done":true,"usage":null,"prompt_eval_count":7,"eval_count":3"#, ""),
        (
            r#","usage":{"prompt_tokens":0,"completion_tokens":0},"eval_count":3,"prompt_eval_count":7"#,
            "",
        ),
        (r#","details":{"input_tokens":7,"generated_tokens":3,"seed":1}"#, ""),
    ] {
        let want = Some((Source::Upstream, [7, 3, 0, 10]));
        let host = answered(CHAT, ASKED, &head(JSON), whole(beside, inside).as_bytes(), 30);
        assert_eq!(counts(&host), want, "{beside} {inside}");
        let answer: Value = serde_json::from_slice(&host.answer.body).unwrap();
        let three = |usage: &Value| {
            ["prompt_tokens", "completion_tokens", "total_tokens"].map(|name| usage[name].as_u64())
        };
        assert_eq!(three(&answer["usage"]), [Some(7), Some(3), Some(10)], "{answer}");
        let body = chunks(beside, inside);
        for size in [body.len(), 1] {
            let host = answered(CHAT, STREAM, &head(SSE), body.as_bytes(), size);
            assert_eq!(counts(&host), want, "{beside} {inside}");
            let told = text(&host);
            let usage = told
                .lines()
                .filter_map(|line| serde_json::from_str::<Value>(line.strip_prefix("data: ")?).ok())
                .map(|chunk| three(&chunk["usage"]))
                .rfind(|three| three[0].is_some());
            assert_eq!(usage, Some([Some(7), Some(3), Some(10)]), "{told}");
        }
        for (path, asked) in [
            ("/v1/responses", r#"{"model":"alpha/m","input":"a"}"#),
            (
                "/v1/messages",
                r#"{"model":"alpha/m","max_tokens":9,"messages":[{"role":"user","content":"a"}]}"#,
            ),
        ] {
            let host = answered(path, asked, &head(JSON), whole(beside, inside).as_bytes(), 30);
            let answer: Value = serde_json::from_slice(&host.answer.body).unwrap();
            let usage = &answer["usage"];
            assert_eq!(
                [&usage["input_tokens"], &usage["output_tokens"]],
                [7, 3],
                "{path} {answer}"
            );
            assert_eq!(counts(&host), want, "{path} {beside} {inside}");
        }
    }
}

/// Clients with types can't even read an answer whose counts are no numbers.
#[test]
fn counts_that_are_none_do_not_leave() {
    for bad in [
        "-1",
        "1.5",
        "1e30",
        "1e2",
        "true",
        "[]",
        "{}",
        "\"x\"",
        "\"-1\"",
        "18446744073709551616",
        "99999999999999999",
    ] {
        for name in ["prompt_tokens", "completion_tokens", "total_tokens"] {
            let usage = json!({"prompt_tokens": 7, "completion_tokens": 3, "total_tokens": 10});
            let usage = usage
                .to_string()
                .replace(&format!("\"{name}\":{}", usage[name]), &format!("\"{name}\":{bad}"));
            let beside = format!(r#","usage":{usage}"#);
            let is_count = bad == "1e2";
            let host = answered(CHAT, ASKED, &head(JSON), whole(&beside, "").as_bytes(), 30);
            let answer: Value = serde_json::from_slice(&host.answer.body).unwrap();
            assert_eq!(answer["usage"].is_null(), !is_count, "{answer}");
            assert_eq!(counts(&host) == ESTIMATED, !is_count, "{usage}");
            if !is_count {
                assert_eq!(
                    host.counted,
                    ["openai_gateway.answers.repaired_usage.alpha"],
                    "{usage}"
                );
            }
            let last = format!(
                "data: {{\"id\":\"x\",\"object\":\"chat.completion.chunk\",\"created\":1,\"model\":\"m\",\"choices\":[]{beside}}}\n\ndata: [DONE]\n\n"
            );
            for body in [chunks(&beside, ""), chunks("", "").replace("data: [DONE]\n\n", &last)] {
                let host = answered(CHAT, STREAM, &head(SSE), body.as_bytes(), 30);
                let told = format!("\"{name}\":{bad}");
                assert!(!text(&host).contains(&told), "{}", text(&host));
                assert_eq!(counts(&host) == ESTIMATED, !is_count, "{usage}");
            }
        }
    }
}

#[test]
fn nor_do_they_beside_vectors() {
    let asked = r#"{"model":"alpha/m","input":"a"}"#;
    for (usage, told) in [
        (r#"{"prompt_tokens":7,"total_tokens":7}"#, [7, 7]),
        (r#"{"prompt_tokens":7.0,"total_tokens":7e0}"#, [7, 7]),
        (r#"{"prompt_tokens":-7,"total_tokens":7}"#, [0, 0]),
        (r#"{"prompt_tokens":7,"total_tokens":1e30}"#, [0, 0]),
        (r#"{"prompt_tokens":7.5,"total_tokens":7}"#, [0, 0]),
    ] {
        let list = format!(
            r#"{{"object":"list","data":[{{"object":"embedding","index":0,"embedding":[0.5]}}],"model":"m","usage":{usage}}}"#
        );
        for size in [list.len(), 3] {
            let host = answered("/v1/embeddings", asked, &head(JSON), list.as_bytes(), size);
            let answer: Value = serde_json::from_slice(&host.answer.body).unwrap();
            assert_eq!(answer["usage"], json!({"prompt_tokens": told[0], "total_tokens": told[1]}));
            let source = if told[0] > 0 { Source::Upstream } else { Source::Estimated };
            assert_eq!(counts(&host).map(|(source, _)| source), Some(source), "{usage}");
        }
    }
}

#[test]
fn counts_that_contradict_each_other_are_named() {
    let parts = r#"{"prompt_tokens":7,"completion_tokens":3,"total_tokens":4}"#;
    for (usage, is_named) in [(USAGE, false), (parts, true)] {
        let beside = format!(r#","usage":{usage}"#);
        for (asked, kind, body) in
            [(ASKED, JSON, whole(&beside, "")), (STREAM, SSE, chunks(&beside, ""))]
        {
            let mut host = answered(CHAT, asked, &head(kind), body.as_bytes(), 30);
            for _ in 0..2 {
                host.exchange.on_answered(&Around::default());
            }
            host.counted.extend(host.exchange.take_counted());
            let named = "openai_gateway.answers.miscounted.alpha".to_owned();
            assert_eq!(host.counted, Vec::from_iter(is_named.then_some(named)), "{body}");
        }
    }
}

/// What a client asks for decides what it gets, and every stream is asked for its counts.
#[test]
fn a_client_gets_counts_where_it_asked_for_them() {
    let metering = |mode: &str| {
        config_with(json!({
            "usage": {"mode": mode},
            "virtual_keys": [{"id": "team", "key": "vk-team"}],
        }))
    };
    let (require, observe, off) = (metering("require"), metering("observe"), metering("off"));
    let silent = chunks("", "");
    let last = format!(
        "data: {{\"id\":\"x\",\"object\":\"chat.completion.chunk\",\"created\":1,\"model\":\"m\",\"choices\":[],\"usage\":{USAGE}}}\n\ndata: [DONE]\n\n"
    );
    let told = silent.replace("data: [DONE]\n\n", &last);
    for (options, asks) in [
        ("", false),
        (r#","stream_options":{}"#, false),
        (r#","stream_options":null"#, false),
        (r#","stream_options":false"#, false),
        (r#","stream_options":true"#, false),
        (r#","stream_options":[]"#, false),
        (r#","stream_options":[{"include_usage":true}]"#, false),
        (r#","stream_options":"include_usage""#, false),
        (r#","stream_options":5"#, false),
        (r#","stream_options":{"include_usage":false}"#, false),
        (r#","stream_options":{"include_usage":null}"#, false),
        (r#","stream_options":{"include_usage":0}"#, false),
        (r#","stream_options":{"include_usage":"no"}"#, false),
        (r#","stream_options":{"include_usage":[true]}"#, false),
        (r#","stream_options":{"include_usage":{"include_usage":true}}"#, false),
        (r#","stream_options":{"x":{"include_usage":true}}"#, false),
        (r#","stream_options":{"include_usage":true,"include_usage":false}"#, false),
        (r#","stream_options":{"include_usage":true},"stream_options":{}"#, false),
        (r#","stream_options":{"include_usage":true}"#, true),
        (r#","stream_options":{"include_us\u0061ge":true}"#, true),
        (r#","stream_options":{"include_usage":false,"include_usage":true}"#, true),
        (r#","stream_options":{"include_obfuscation":false,"include_usage":true}"#, true),
        (r#","stream_options":{"include_usage":"true"}"#, true),
        (r#","stream_options":{"include_usage":1}"#, true),
    ] {
        for path in [CHAT, "/v1/completions"] {
            let what = if path == CHAT { r#""messages":[]"# } else { r#""prompt":"a""# };
            let body = format!(r#"{{"model":"alpha/m",{what}{options},"stream":true}}"#);
            let respond = |config: &Rc<Config>, answer: &str| {
                let answer = match path {
                    CHAT => answer.to_owned(),
                    _ => answer
                        .replace("chat.completion.chunk", "text_completion")
                        .replace("\"delta\":{}", "\"text\":\"\"")
                        .replace("\"delta\":{\"role\":\"assistant\",\"content\"", "\"text\"")
                        .replace("\"},\"finish_reason\"", "\",\"finish_reason\""),
                };
                let mut host = send(config, path, &[], &body);
                assert!(host.request.ended, "{:?}", host.reply);
                host.respond(&fields(&head(SSE)), &cut(answer.as_bytes(), 100), End::Alone);
                host
            };
            let sent = |host: &Host| String::from_utf8(host.request.body.clone()).unwrap();
            let plain = respond(&off, &silent);
            let full = respond(&off, &told);
            let host = respond(&require, &told);
            let asked: Value = serde_json::from_slice(&host.request.body).unwrap();
            assert_eq!(asked["stream_options"]["include_usage"], true, "{}", sent(&host));
            assert_eq!(text(&host), text(if asks { &full } else { &plain }), "{body}");
            assert_eq!(counts(&host).map(|(_, counts)| counts), Some([7, 3, 0, 10]), "{body}");
            // Without `require` request and answer are what they would be.
            let host = respond(&observe, &told);
            assert_eq!((sent(&host), text(&host)), (sent(&full), text(&full)), "{body}");
        }
    }
}
