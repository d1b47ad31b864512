//! What is counted of an exchange.

use super::*;
use crate::test;

const JSON: &str = "application/json";
const SSE: &str = "text/event-stream";
const EMBEDDINGS: &str = "/v1/embeddings";

fn counted(path: &str, asked: &str, status: &str, content_type: &str, body: &str) -> Vec<String> {
    let mut host = send(&config(), path, &[], asked);
    let head = fields(&[(":status", status), ("content-type", content_type)]);
    host.respond(&head, &[body.as_bytes()], End::Alone);
    host.counted
}

#[test]
fn an_answer_that_had_to_be_mended_counts_once() {
    let chat = r#"{"model":"quick"}"#;
    let embed = r#"{"model":"quick","input":"a"}"#;
    let stream = r#"{"model":"quick","stream":true}"#;
    let first = r#"data: {"choices":[{"index":0,"delta":{"content":"a"}}]}"#;
    let whole = format!("{first}\n\ndata: [DONE]\n\n");
    let cut = format!("{first}\n\n");
    let broken = format!("{first}\n\ndata: {{\"error\":{{\"message\":\"m\"}}}}\n\ndata: x\n\n");
    for (path, asked, status, content_type, body, kind) in [
        (CHAT, chat, "200", JSON, r#"{"choices":[{"index":0}]}"#, None),
        (CHAT, chat, "503", "text/plain", "busy", Some("error")),
        (CHAT, chat, "503", "text/plain", "", Some("error")),
        (CHAT, chat, "200", JSON, r#"{"error":{"message":"busy"}}"#, Some("error_in_200")),
        (CHAT, chat, "200", JSON, "", Some("error_in_200")),
        (CHAT, stream, "200", SSE, &*whole, None),
        (CHAT, stream, "200", SSE, &*cut, Some("stream_cut")),
        (CHAT, stream, "200", SSE, &*broken, Some("stream_error")),
        (EMBEDDINGS, embed, "200", JSON, "[[0.5,1]]", Some("embeddings")),
        (EMBEDDINGS, embed, "200", JSON, "[[0.5,null]]", Some("error_in_200")),
    ] {
        let want = kind.map(|kind| format!("openai_gateway.answers.{kind}.alpha"));
        let found = counted(path, asked, status, content_type, body);
        assert_eq!(found, Vec::from_iter(want), "{body}");
    }
}

#[test]
fn a_refusal_counts_once_for_its_key() {
    for (key, body, name) in [
        ("Bearer vk-narrow", r#"{"model":"beta/m"}"#, "model_not_allowed.narrow"),
        ("Bearer vk-team", r#"{"model":"quick","messages":[]]"#, "invalid_json.team"),
        ("Bearer vk-off", "{}", "virtual_key_revoked.-"),
        ("Bearer vk-nobody", "{}", "invalid_api_key.-"),
    ] {
        let mut host = send(&config(), CHAT, &[("authorization", key)], body);
        // The gateway's own reply comes by on its way to the client.
        host.respond(&fields(&[(":status", "403"), ("content-type", JSON)]), &[b"x"], End::Alone);
        assert_eq!(host.counted, [format!("openai_gateway.refused.{name}")]);
    }
}
