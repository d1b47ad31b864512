//! The tokens that are counted of an answer, whoever reads it.

use super::*;
use crate::telemetry::usage::{Counts, Source};
use crate::test;

const JSON: &str = "application/json";
const SSE: &str = "text/event-stream";

/// Text of 40 bytes, which is estimated as ten tokens.
const TEXT: &str = "0123456789012345678901234567890123456789";

/// The same as it streams.
const DELTAS: [&str; 3] = ["012345678901234", "567890123456789", "0123456789"];

/// The request's text is one letter.
const ASKED: u64 = 1;

fn metering() -> Rc<Config> {
    config_with(json!({
        "usage": {"mode": "observe"},
        "providers": [
            {"name": "alpha", "base_url": "https://alpha.test/openai/v1", "auth": {"key": "sk-alpha"}},
            {"name": "beta", "base_url": "http://beta.test", "auth": {"key": "sk-beta-long"},
             "responses_api": "native", "messages_api": "native"},
        ],
        "virtual_keys": [{"id": "team", "key": "vk-team"}],
    }))
}

/// An answer to a request, whose body comes in pieces of this size.
pub(super) fn answered(
    path: &str,
    asked: &str,
    head: &[(&str, &str)],
    body: &[u8],
    size: usize,
) -> Host {
    let mut host = send(&metering(), path, &[("anthropic-version", "2023-06-01")], asked);
    assert!(host.request.ended, "{:?}", host.reply);
    host.respond(&fields(head), &cut(body, size), End::Alone);
    host
}

pub(super) fn counts(host: &Host) -> Option<(Source, [u64; 4])> {
    let Counts { input, output, cached, total, source } = host.exchange.counts()?;
    Some((source, [input, output, cached, total]))
}

pub(super) const UPSTREAM: Option<(Source, [u64; 4])> = Some((Source::Upstream, [7, 3, 2, 10]));
pub(super) const ESTIMATED: Option<(Source, [u64; 4])> =
    Some((Source::Estimated, [ASKED, 10, 0, ASKED + 10]));

pub(super) const CHAT_USAGE: &str = r#""usage":{"prompt_tokens":7,"completion_tokens":3,"total_tokens":10,"prompt_tokens_details":{"cached_tokens":2}}"#;
const INPUT_USAGE: &str = r#""usage":{"input_tokens":7,"output_tokens":3,"total_tokens":10,"input_tokens_details":{"cached_tokens":2}}"#;
const MESSAGES_USAGE: &str =
    r#""usage":{"input_tokens":5,"cache_read_input_tokens":2,"output_tokens":3}"#;

/// Answers of each reader, with the place where their usage stands: what is asked, and what comes.
pub(super) fn answers() -> Vec<(&'static str, String, &'static str, String)> {
    let ask = |model: &str, more: &str| {
        format!(r#"{{"model":"{model}","max_tokens":9,"messages":[{{"role":"user","content":"a"}}],"input":"","prompt":""{more}}}"#)
            .replace(r#","input":"","prompt":"""#, "")
    };
    let respond = |model: &str, more: &str| format!(r#"{{"model":"{model}","input":"a"{more}}}"#);
    let stream = r#","stream":true"#;
    let chat = format!(
        r#"{{"id":"x","object":"chat.completion","created":1,"model":"m","choices":[{{"index":0,"message":{{"role":"assistant","content":"{TEXT}"}},"finish_reason":"stop"}}],USAGE}}"#
    );
    let chunk = |delta: &str, reason: &str| {
        format!(
            r#"data: {{"id":"x","object":"chat.completion.chunk","created":1,"model":"m","choices":[{{"index":0,"delta":{delta},"finish_reason":{reason}}}]}}"#
        )
    };
    let chunks = [
        chunk(r#"{"role":"assistant","content":""}"#, "null"),
        chunk(&format!(r#"{{"content":"{}"}}"#, DELTAS[0]), "null"),
        chunk(&format!(r#"{{"content":"{}"}}"#, DELTAS[1]), "null"),
        chunk(&format!(r#"{{"content":"{}"}}"#, DELTAS[2]), "null"),
        chunk("{}", r#""stop""#),
        r#"data: {"id":"x","object":"chat.completion.chunk","created":1,"model":"m","choices":[],USAGE}"#.to_owned(),
        "data: [DONE]\n\n".to_owned(),
    ]
    .join("\n\n");
    let response = format!(
        r#"{{"id":"r","object":"response","status":"completed","error":null,"model":"m","output":[{{"type":"message","id":"i","role":"assistant","status":"completed","content":[{{"type":"output_text","text":"{TEXT}","annotations":[]}}]}}],USAGE}}"#
    );
    let events = format!(
        "event: response.created\ndata: {{\"type\":\"response.created\",\"sequence_number\":0,\"response\":{{\"id\":\"r\",\"object\":\"response\",\"output\":[]}}}}\n\nevent: response.output_text.delta\ndata: {{\"type\":\"response.output_text.delta\",\"sequence_number\":1,\"item_id\":\"i\",\"output_index\":0,\"content_index\":0,\"delta\":\"{TEXT}\"}}\n\nevent: response.completed\ndata: {{\"type\":\"response.completed\",\"sequence_number\":2,\"response\":{response}}}\n\n"
    );
    let message = format!(
        r#"{{"id":"m","type":"message","role":"assistant","model":"m","content":[{{"type":"text","text":"{TEXT}"}}],"stop_reason":"end_turn",USAGE}}"#
    );
    let message_events = format!(
        "event: message_start\ndata: {{\"type\":\"message_start\",\"message\":{{\"id\":\"m\",\"type\":\"message\",\"role\":\"assistant\",\"content\":[],\"model\":\"m\"}}}}\n\nevent: content_block_start\ndata: {{\"type\":\"content_block_start\",\"index\":0,\"content_block\":{{\"type\":\"text\",\"text\":\"\"}}}}\n\nevent: content_block_delta\ndata: {{\"type\":\"content_block_delta\",\"index\":0,\"delta\":{{\"type\":\"text_delta\",\"text\":\"{TEXT}\"}}}}\n\nevent: content_block_stop\ndata: {{\"type\":\"content_block_stop\",\"index\":0}}\n\nevent: message_delta\ndata: {{\"type\":\"message_delta\",\"delta\":{{\"stop_reason\":\"end_turn\"}},USAGE}}\n\nevent: message_stop\ndata: {{\"type\":\"message_stop\"}}\n\n"
    );
    let large = chat.replace(
        "\"finish_reason\"",
        &format!("\"padding\":\"{}\",\"finish_reason\"", "x".repeat(300_000)),
    );
    let texts = format!(
        r#"{{"id":"x","object":"text_completion","created":1,"model":"m","choices":[{{"index":0,"text":"{TEXT}","finish_reason":"stop"}}],USAGE}}"#
    );
    [
        (CHAT, ask("alpha/m", ""), JSON, &chat, CHAT_USAGE),
        (CHAT, ask("alpha/m", ""), JSON, &large, CHAT_USAGE),
        // A stream that nobody asked for.
        (CHAT, ask("alpha/m", ""), SSE, &chunks, CHAT_USAGE),
        (CHAT, ask("alpha/m", stream), SSE, &chunks, CHAT_USAGE),
        (CHAT, ask("alpha/m", stream), JSON, &chunks, CHAT_USAGE),
        (
            "/v1/completions",
            r#"{"model":"alpha/m","prompt":"a"}"#.to_owned(),
            JSON,
            &texts,
            CHAT_USAGE,
        ),
        ("/v1/responses", respond("alpha/m", ""), JSON, &chat, CHAT_USAGE),
        ("/v1/responses", respond("alpha/m", ""), SSE, &chunks, CHAT_USAGE),
        ("/v1/responses", respond("alpha/m", stream), SSE, &chunks, CHAT_USAGE),
        ("/v1/responses", respond("beta/m", ""), JSON, &response, INPUT_USAGE),
        ("/v1/responses", respond("beta/m", stream), SSE, &events, INPUT_USAGE),
        ("/v1/messages", ask("alpha/m", ""), JSON, &chat, CHAT_USAGE),
        ("/v1/messages", ask("alpha/m", stream), SSE, &chunks, CHAT_USAGE),
        ("/v1/messages", ask("beta/m", ""), JSON, &message, MESSAGES_USAGE),
        ("/v1/messages", ask("beta/m", stream), SSE, &message_events, MESSAGES_USAGE),
    ]
    .into_iter()
    .map(|(path, asked, kind, body, usage)| (path, asked, kind, body.replace("USAGE", usage)))
    .collect()
}

pub(super) fn head(kind: &'static str) -> [(&'static str, &'static str); 2] {
    [(":status", "200"), ("content-type", kind)]
}

#[test]
fn every_reader_counts_what_the_answer_tells() {
    for (path, asked, kind, body) in answers() {
        let sizes: &[usize] =
            if body.len() > 100_000 { &[16_384, 5_000] } else { &[usize::MAX, 100, 7, 1] };
        for &size in sizes {
            let host = answered(path, &asked, &head(kind), body.as_bytes(), size.min(body.len()));
            assert_eq!(counts(&host), UPSTREAM, "{path} {asked} {kind} {size}");
        }
    }
}

#[test]
fn every_reader_counts_text_where_nothing_is_told() {
    for (path, asked, kind, body) in answers() {
        for usage in [r#""usage":null"#, r#""usage":{"prompt_tokens":7,"completion_tokens":true}"#]
        {
            let body = [CHAT_USAGE, INPUT_USAGE, MESSAGES_USAGE]
                .iter()
                .fold(body.clone(), |body, told| body.replace(told, usage));
            let size = if body.len() > 100_000 { 16_384 } else { 9 };
            let host = answered(path, &asked, &head(kind), body.as_bytes(), size);
            assert_eq!(counts(&host), ESTIMATED, "{path} {asked} {kind} {usage}");
        }
    }
}

/// Wherever the client goes: no more than the whole text, never less than what has been sent of it, and no counts that did
/// not come.
#[test]
fn a_cut_answer_counts_what_was_sent() {
    for (path, asked, kind, body) in answers() {
        if body.len() > 100_000 {
            continue;
        }
        let mut host = send(&metering(), path, &[("anthropic-version", "2023-06-01")], &asked);
        assert_eq!(counts(&host), Some((Source::Estimated, [ASKED, 0, 0, ASKED])));
        let step = host.exchange.on_response_head(
            &headers(&fields(&head(kind))),
            false,
            &Around::default(),
        );
        host.answer_step(step, false);
        let mut before = 0;
        for byte in body.as_bytes() {
            host.answer_body(&[*byte], false);
            let (source, [input, output, ..]) = counts(&host).unwrap();
            if source == Source::Upstream {
                assert_eq!((input, output), (7, 3), "{path} {kind}");
                break;
            }
            assert_eq!(input, ASKED, "{path} {kind}");
            assert!(output >= before && output <= 10, "{path} {kind} {output}");
            if !host.answer.head_sent {
                assert_eq!(output, 0, "{path} {kind}");
            }
            before = output;
        }
    }
}

#[test]
fn what_is_no_text_counts_by_its_usage_alone() {
    let vectors = "0.5,".repeat(50_000);
    let list = format!(
        r#"{{"object":"list","data":[{{"object":"embedding","index":0,"embedding":[{vectors}1]}}],"model":"m",USAGE}}"#
    );
    let small = r#"{"object":"list","data":[{"object":"embedding","index":0,"embedding":[0.5]}],"model":"m",USAGE}"#;
    let odd = r#"{"data":[{"embedding":"[0.5]"}],"model":"m",USAGE}"#;
    let ask = r#"{"model":"alpha/m","input":"a"}"#;
    let base64 = r#"{"model":"alpha/m","input":"a","encoding_format":"base64"}"#;
    let told = r#""usage":{"prompt_tokens":7,"total_tokens":7}"#;
    let (upstream, estimated) =
        (Some((Source::Upstream, [7, 0, 0, 7])), Some((Source::Estimated, [ASKED, 0, 0, ASKED])));
    for (asked, body) in [(ask, list.as_str()), (base64, &list), (ask, small), (ask, odd)] {
        for size in [16_384, 999] {
            let body = body.replace("USAGE", told);
            let host = answered("/v1/embeddings", asked, &head(JSON), body.as_bytes(), size);
            assert_eq!(counts(&host), upstream, "{asked} {size}");
        }
        let body = body.replace(",USAGE", "");
        let host = answered("/v1/embeddings", asked, &head(JSON), body.as_bytes(), 16_384);
        assert_eq!(counts(&host), estimated, "{asked}");
    }
    let rerank = r#"{"model":"alpha/m","query":"a","documents":[]}"#;
    let ranked = r#"{"results":[{"index":0,"relevance_score":1.0,"document":{"text":"long"}}],"usage":{"total_tokens":7}}"#;
    let host = answered("/v1/rerank", rerank, &head(JSON), ranked.as_bytes(), 5);
    assert_eq!(counts(&host), upstream);
    let speech = r#"{"model":"alpha/m","input":"a","voice":"v"}"#;
    let host = answered("/v1/audio/speech", speech, &head("audio/mpeg"), &[0xff; 5000], 1000);
    assert_eq!(counts(&host), estimated);
    assert!(!host.exchange.reads_response_body(), "nothing can be found in sound");
    let picture = r#"{"data":[{"b64_json":"AAAA"}],"usage":{"input_tokens":5,"output_tokens":2,"total_tokens":7}}"#;
    let ask = r#"{"model":"alpha/m","prompt":"a"}"#;
    let host = answered("/v1/images/generations", ask, &head(JSON), picture.as_bytes(), 7);
    assert_eq!(counts(&host), Some((Source::Upstream, [5, 2, 0, 7])));
}

/// Streams of other protocols pass, but for the provider's key.
#[test]
fn streams_that_pass_are_read_for_their_usage() {
    let usage = r#""usage":{"input_tokens":5,"output_tokens":2,"total_tokens":7}"#;
    for (path, ask, name, more) in [
        (
            "/v1/audio/speech",
            r#"{"model":"alpha/m","input":"a","voice":"v"}"#,
            "speech.audio",
            "audio",
        ),
        (
            "/v1/images/generations",
            r#"{"model":"alpha/m","prompt":"a","stream":true}"#,
            "image_generation",
            "b64_json",
        ),
        (
            "/v1/images/edits",
            r#"{"model":"alpha/m","prompt":"a","stream":true}"#,
            "image_edit",
            "b64_json",
        ),
    ] {
        let pieces = format!(
            "event: {name}.delta\ndata: {{\"type\":\"{name}.delta\",\"{more}\":\"AAAAAAAA\"}}\n\nevent: {name}.done\ndata: {{\"type\":\"{name}.done\",{usage}}}\n\n"
        );
        let type_of_form = "multipart/form-data; boundary=b";
        let form = "--b\r\ncontent-disposition: form-data; name=\"model\"\r\n\r\nalpha/m\r\n--b\r\ncontent-disposition: form-data; name=\"prompt\"\r\n\r\na\r\n--b--\r\n";
        let (asked, kind) =
            if path.ends_with("edits") { (form, type_of_form) } else { (ask, JSON) };
        for size in [usize::MAX, 16, 1] {
            let mut host = send(&metering(), path, &[("content-type", kind)], asked);
            assert!(host.request.ended, "{:?}", host.reply);
            let size = size.min(pieces.len());
            host.respond(&fields(&head(SSE)), &cut(pieces.as_bytes(), size), End::Alone);
            assert_eq!(counts(&host), Some((Source::Upstream, [5, 2, 0, 7])), "{path} {size}");
        }
    }
}

#[test]
fn what_is_no_answer_counts_nothing() {
    let chat = r#"{"model":"alpha/m","messages":[{"role":"user","content":"a"}]}"#;
    let stream = chat.replace("\"messages\"", "\"stream\":true,\"messages\"");
    let bridged = r#"{"model":"alpha/m","input":"a"}"#;
    let error = r#"{"error":{"message":"a long text about what went wrong","code":400}}"#;
    let event = format!("data: {error}\n\n");
    let begun = "data: {\"choices\":[{\"index\":0,\"delta\":{\"role\":\"assistant\"}}]}\n\n";
    for (path, asked, status, kind, body) in [
        (CHAT, chat, "503", JSON, error),
        (CHAT, chat, "500", "text/html", "<html>busy</html>"),
        (CHAT, chat, "200", JSON, error),
        (CHAT, chat, "200", JSON, ""),
        (CHAT, chat, "202", JSON, ""),
        (CHAT, chat, "302", JSON, ""),
        (CHAT, &stream, "200", SSE, &event),
        (CHAT, &stream, "200", SSE, &[begun, &event].concat()),
        ("/v1/responses", bridged, "200", JSON, error),
        ("/v1/embeddings", bridged, "200", JSON, error),
        (
            "/v1/messages/count_tokens",
            chat,
            "200",
            JSON,
            r#"{"count":7,"max_model_len":9,"tokens":[]}"#,
        ),
    ] {
        let model = if path.ends_with("count_tokens") { "beta/m" } else { "alpha/m" };
        let asked = asked.replace("alpha/m", model);
        let host = answered(
            path,
            &asked,
            &[(":status", status), ("content-type", kind)],
            body.as_bytes(),
            9,
        );
        assert_eq!(counts(&host), None, "{path} {status} {body}");
    }
    let refused = send(&metering(), CHAT, &[("authorization", "Bearer none")], chat);
    assert_eq!(counts(&refused), None);
    let unmetered = send(&config(), CHAT, &[], chat);
    assert_eq!(counts(&unmetered), None);
}

#[test]
fn text_before_an_error_counts() {
    let asked = r#"{"model":"alpha/m","stream":true,"messages":[{"role":"user","content":"a"}]}"#;
    let said =
        format!("data: {{\"choices\":[{{\"index\":0,\"delta\":{{\"content\":\"{TEXT}\"}}}}]}}\n\n");
    for end in ["", "data: {\"error\":{\"message\":\"busy\"}}\n\n", "data: nonsense\n\n"] {
        let body = [&said, end].concat();
        let host = answered(CHAT, asked, &head(SSE), body.as_bytes(), 11);
        assert_eq!(counts(&host), ESTIMATED, "{end}");
    }
}

#[test]
fn zeros_stand_where_nothing_was_said() {
    let zeros = r#""usage":{"prompt_tokens":0,"completion_tokens":0,"total_tokens":0}"#;
    let zero = Some((Source::Upstream, [0, 0, 0, 0]));
    for (path, asked, kind, body) in answers() {
        if path == "/v1/responses" && asked.contains("beta") || body.len() > 100_000 {
            continue;
        }
        let body =
            [CHAT_USAGE, MESSAGES_USAGE].iter().fold(body, |body, told| body.replace(told, zeros));
        let host = answered(path, &asked, &head(kind), body.as_bytes(), 50);
        assert_eq!(counts(&host), ESTIMATED, "{path} {asked} {kind}");
        let silent = [&[TEXT][..], &DELTAS]
            .concat()
            .iter()
            .fold(body, |body, text| body.replace(&format!("\"{text}\""), "\"\""));
        let host = answered(path, &asked, &head(kind), silent.as_bytes(), 50);
        assert_eq!(counts(&host), zero, "{path} {asked} {kind}");
    }
}

#[test]
fn compressed_text_is_text_that_nobody_reads() {
    let asked = r#"{"model":"alpha/m","messages":[{"role":"user","content":"a"}]}"#;
    let zipped = [(":status", "200"), ("content-type", JSON), ("content-encoding", "gzip")];
    let host = answered(CHAT, asked, &zipped, &[0x1f; 40], 3);
    assert_eq!(counts(&host), ESTIMATED);
}

/// Metrics are about providers: where no header names one, a fact does, of answers that a provider has given.
#[test]
fn the_provider_is_a_fact_where_no_header_tells_it() {
    let config = |mode: &str, answer_headers: &[&str]| {
        config_with(json!({
            "usage": {"mode": mode},
            "answer_headers": answer_headers,
            "providers": [{"name": "alpha", "base_url": "https://alpha.test/v1"}],
            "virtual_keys": [{"id": "team", "key": "vk-team"}],
        }))
    };
    let (upstream, limited) = ("via_upstream", "request_rate_limited");
    for (config, details, want) in [
        (config("observe", &["model"]), upstream, Some("alpha")),
        (config("observe", &[]), upstream, Some("alpha")),
        (config("observe", &["provider"]), upstream, None),
        (config("off", &[]), upstream, None),
        // Envoy's own limit is no provider's doing.
        (config("observe", &[]), limited, None),
    ] {
        let mut host = send(&config, CHAT, &[], r#"{"model":"alpha/m","messages":[]}"#);
        let around = Around { details: Some(details), ..Around::default() };
        let fields = fields(&[(":status", "429"), ("content-type", JSON)]);
        host.respond_at(&fields, &[b"busy"], End::Alone, &around);
        let note = host.notes.iter().find(|(note, _)| *note == Note::Provider);
        assert_eq!(note.map(|(_, name)| name.as_str()), want, "{details}");
        let told = get(&host.answer.head, "x-langwatch-provider");
        assert!(told.is_none() || note.is_none());
    }
}
