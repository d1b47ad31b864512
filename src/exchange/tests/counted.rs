//! What is counted of an exchange.

use super::*;
use crate::test;

const JSON: &str = "application/json";
const SSE: &str = "text/event-stream";
const EMBEDDINGS: &str = "/v1/embeddings";
const RESPONSES: &str = "/v1/responses";

/// A request, and its answer in these pieces; without any it has no body.
fn counted(path: &str, asked: &str, head: &[(&str, &str)], pieces: &[&str]) -> Vec<String> {
    let mut host = send(&config(), path, &[], asked);
    let pieces: Vec<_> = pieces.iter().map(|piece| piece.as_bytes()).collect();
    let end = if pieces.is_empty() { End::WithData } else { End::Alone };
    host.respond(&fields(head), &pieces, end);
    host.counted
}

#[test]
fn an_answer_that_is_not_as_it_should_be_counts_once() {
    let chat = r#"{"model":"quick"}"#;
    let embed = r#"{"model":"quick","input":"a"}"#;
    let base64 = r#"{"model":"quick","input":"a","encoding_format":"base64"}"#;
    let stream = r#"{"model":"quick","stream":true}"#;
    let bridged = r#"{"model":"quick","stream":true,"input":"hi"}"#;
    let native = r#"{"model":"beta/m","stream":true}"#;
    let (ok, json, sse) = ((":status", "200"), ("content-type", JSON), ("content-type", SSE));
    let busy = [(":status", "503"), ("content-type", "text/plain")];
    let zipped = [ok, json, ("content-encoding", "gzip")];

    let first = "data: {\"choices\":[{\"index\":0,\"delta\":{\"content\":\"a\"}}]}\n\n";
    let error = "data: {\"error\":{\"message\":\"m\"}}\n\n";
    let done = "data: [DONE]\n\n";
    let created = "event: response.created\ndata: {\"type\":\"response.created\"}\n\n";
    let failed = "event: response.failed\ndata: {\"type\":\"response.failed\"}\n\n";
    let vectors = "0.5,".repeat(20_000);
    let item = format!(r#"{{"object":"embedding","index":0,"embedding":[{vectors}1]}}"#);
    let list = format!(r#"{{"object":"list","data":[{item},{item},"#);

    for (path, asked, head, pieces, kind) in [
        (
            CHAT,
            chat,
            &[ok, json][..],
            &[r#"{"choices":[{"index":0,"message":{"role":"assistant","content":"a"}}]}"#][..],
            None,
        ),
        (CHAT, chat, &busy, &["busy"], Some("error")),
        (CHAT, chat, &busy, &[], Some("error")),
        (CHAT, chat, &[ok, json], &[r#"{"error":{"message":"busy"}}"#], Some("error_in_200")),
        (CHAT, chat, &[ok, json], &[], Some("error_in_200")),
        (CHAT, chat, &zipped, &["?"], Some("unreadable")),
        (CHAT, stream, &[ok, sse], &[first, done], None),
        (CHAT, stream, &[ok, sse], &[first], Some("stream_cut")),
        (CHAT, stream, &[ok, sse], &[first, error, error], Some("stream_error")),
        (RESPONSES, bridged, &[ok, sse], &[first, error], Some("stream_error")),
        (
            RESPONSES,
            bridged,
            &[ok, sse],
            &["data: {\"choices\":[]}\n\n", done],
            Some("error_in_200"),
        ),
        (RESPONSES, native, &[ok, sse], &[created, failed, failed], Some("stream_error")),
        (EMBEDDINGS, embed, &[ok, json], &["[[0.5,1]]"], Some("embeddings")),
        (EMBEDDINGS, embed, &[ok, json], &["[[0.5,null]]"], Some("error_in_200")),
        (EMBEDDINGS, base64, &[ok, json], &[&list, "null]}"], Some("error_in_200")),
    ] {
        let provider = if asked == native { "beta" } else { "alpha" };
        let want = kind.map(|kind| format!("openai_gateway.answers.{kind}.{provider}"));
        let found = counted(path, asked, head, pieces);
        assert_eq!(found, Vec::from_iter(want), "{path} {:?}", pieces.last());
    }
}

/// As an upstream filter alone: an attempt behind the first one tells that the one before was for nothing.
#[test]
fn an_attempt_that_another_one_follows_counts_for_its_provider() {
    let first = send(&config(), CHAT, &[], r#"{"model":"quick"}"#);
    assert!(first.counted.is_empty());
    for (attempt, want) in [(0, None), (1, None), (2, Some("openai_gateway.answers.retried.alpha"))]
    {
        let around = Around { notes: &first.notes, attempt, ..Around::default() };
        let host = Host::new(&config());
        let chunks = [br#"{"model":"quick"}"#.as_slice()];
        let host = host.asked(&first.request.head, &chunks, End::Alone, &around);
        assert!(host.request.ended, "{:?}", host.reply);
        assert_eq!(host.counted, Vec::from_iter(want.map(str::to_owned)), "{attempt}");
    }
}

#[test]
fn a_refusal_counts_once_for_its_key() {
    for (key, body, name) in [
        ("Bearer vk-narrow", r#"{"model":"beta/m"}"#, "model_not_allowed.narrow"),
        ("Bearer vk-team", r#"{"model":"quick","messages":[]]"#, "invalid_json.team"),
        ("Bearer vk-off", "{}", "virtual_key_revoked.off"),
        ("Bearer vk-nobody", "{}", "invalid_api_key.-"),
    ] {
        let mut host = send(&config(), CHAT, &[("authorization", key)], body);
        // The gateway's own reply comes by on its way to the client.
        host.respond(&fields(&[(":status", "403"), ("content-type", JSON)]), &[b"x"], End::Alone);
        host.exchange.give_up();
        host.counted.extend(host.exchange.take_counted());
        assert_eq!(host.counted, [format!("openai_gateway.refused.{name}")]);
    }
}

#[test]
fn so_does_one_that_envoys_buffer_limit_makes() {
    let mut host = Host::new(&config());
    host = host.asked(&post(CHAT, &[]), &[br#"{"messages":["#], End::Alone, &Around::default());
    assert_eq!(host.counted, ["openai_gateway.refused.invalid_json.team"], "cut off");
    let mut host = Host::new(&config());
    let head = post(CHAT, &[]);
    let step = host.exchange.on_request_head(&headers(&head), false, &Around::default());
    host.step(step, false);
    host.push(br#"{"messages":["#, false);
    let own = [(":status", "413"), ("content-type", "text/plain")];
    host.respond(&fields(&own), &[b"Payload Too Large"], End::Alone);
    assert_eq!(host.counted, ["openai_gateway.refused.request_too_large.team"]);
}
