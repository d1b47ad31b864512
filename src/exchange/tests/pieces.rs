//! How much a host reads at once changes nothing of what goes on, and of what is decided.

use super::*;
use crate::test;

const JSON: &str = "application/json";
const SSE: &str = "text/event-stream";

/// All that both sides and the log saw.
type Seen = (Fields, Vec<u8>, Option<Reply>, Fields, Vec<u8>, Vec<(Note, String)>, Vec<String>);

fn seen(asked: (&str, &str, bool), answer: (&str, &str), piece: usize) -> Seen {
    let (path, body, has_length) = asked;
    let mut head = post(path, &[]);
    if has_length {
        head.extend(fields(&[("content-length", &body.len().to_string())]));
    }
    let mut host = Host::new(&config());
    host.piece = piece;
    let mut host = host.asked(&head, &[body.as_bytes()], End::WithData, &Around::default());
    if host.reply.is_none() {
        let (content_type, body) = answer;
        let head = fields(&[(":status", "200"), ("content-type", content_type)]);
        host.respond(&head, &[body.as_bytes()], End::WithData);
    }
    (
        host.request.head,
        host.request.body,
        host.reply,
        host.answer.head,
        host.answer.body,
        host.notes,
        host.counted,
    )
}

fn assert_alike(asked: (&str, &str, bool), answer: (&str, &str)) {
    let whole = seen(asked, answer, usize::MAX);
    for piece in [1, 7, 40] {
        assert_eq!(seen(asked, answer, piece), whole, "{asked:?} {answer:?} {piece}");
    }
}

#[test]
fn of_a_request() {
    for body in [
        r#"{"model":"quick","messages":[{"role":"user","content":"hi"}]}"#,
        r#"{"messages":[{"role":"user","content":"hi"}],"model":"alpha/m"}"#,
        r#"{"model":"quick","messages":[]} x"#,
        r#"{"model":"quick","messages":[}"#,
        r#"{"model":"quick","model":"quick"}"#,
        r#"{"messages":[]}"#,
    ] {
        for has_length in [true, false] {
            assert_alike(
                (CHAT, body, has_length),
                (JSON, r#"{"choices":[{"index":0,"message":{"role":"assistant","content":"a"}}]}"#),
            );
        }
    }
}

#[test]
fn of_an_answer() {
    let chat = (CHAT, r#"{"model":"quick"}"#, true);
    for answer in [
        r#"{"choices":[{"index":0,"message":{"content":"hi"}}],"usage":{"total_tokens":1}}"#,
        r#"{"error":{"message":"busy","code":429}}"#,
        r#"{"choices":[{"finish_reason":"error"}],"error":{"message":"late"}}"#,
        "<html>busy</html>",
        "",
    ] {
        assert_alike(chat, (JSON, answer));
    }
    let embeddings = |format: &str| format!(r#"{{"model":"quick","input":"a"{format}}}"#);
    for format in ["", r#","encoding_format":"base64""#] {
        for answer in [
            r#"{"object":"list","data":[{"object":"embedding","index":0,"embedding":[0.5,1]}],"model":"m","usage":{"prompt_tokens":1,"total_tokens":1}}"#,
            r#"{"object":"list","data":[{"object":"embedding","index":0,"embedding":[0.5,"x"]}],"model":"m","usage":{"prompt_tokens":1,"total_tokens":1}}"#,
            r#"{"object":"list","data":[{"object":"embedding","index":0,"embedding":[0.5]},{"object":"embedding","index":1,"embedding":[0.5,"x"]}],"model":"m","usage":{"prompt_tokens":1,"total_tokens":1}}"#,
            "[[0.5,1]]",
        ] {
            assert_alike(("/v1/embeddings", &embeddings(format), true), (JSON, answer));
        }
    }
}

#[test]
fn of_a_stream() {
    let event = r#"{"id":"a","object":"chat.completion.chunk","created":1,"model":"m","choices":[{"index":0,"delta":{"content":"x"},"finish_reason":null}]}"#;
    let stream = (CHAT, r#"{"model":"quick","stream":true}"#, true);
    for answer in [
        format!("data: {event}\n\ndata: {event}\n\ndata: [DONE]\n\n"),
        format!("data: {event}\n\ndata:{event}\r\n\r\n{event}\n"),
        format!(": wait\n\ndata: {event}\n\ndata: {{\"error\":{{\"message\":\"late\"}}}}\n\n"),
        "data: {\"error\":{\"message\":\"first\",\"code\":429}}\n\n".to_owned(),
    ] {
        assert_alike(stream, (SSE, &answer));
    }
}

/// Where the first bytes decide what an answer is, more than these may come at once.
#[test]
fn of_an_answer_whose_beginning_decides() {
    let event = r#"{"id":"a","object":"chat.completion.chunk","created":1,"model":"m","choices":[{"index":0,"delta":{"content":"x"},"finish_reason":null}]}"#;
    let events = format!("data: {event}\n\n").repeat(1_000) + "data: [DONE]\n\n";
    for asked in [r#"{"model":"quick","stream":true}"#, r#"{"model":"quick"}"#] {
        let whole = seen((CHAT, asked, true), (JSON, &events), usize::MAX);
        for piece in [5_000, 64 * 1024, 100_000] {
            let cut = seen((CHAT, asked, true), (JSON, &events), piece);
            assert!(cut == whole, "{asked} {piece}");
        }
        let content_type = whole.3.iter().find(|(name, _)| name == "content-type").unwrap();
        assert_eq!(content_type.1 == SSE.as_bytes(), asked.contains("stream"), "{content_type:?}");
    }
}

#[test]
fn of_a_tokenizers_answer() {
    let tokens = format!(r#"{{"count":12,"tokens":[{}1]}}"#, "1,".repeat(400_000));
    for came in [100, 64 * 1024, 100_000, 700_000] {
        let key = ("authorization", "Bearer vk-local");
        let head = post("/v1/messages/count_tokens", &[key]);
        let body = br#"{"model":"local/llama","messages":[{"role":"user","content":"hi"}]}"#;
        let mut host = Host::request(&config(), &head, &[body], End::WithData);
        assert!(host.request.ended, "{:?}", host.reply);
        host.answer.head = fields(&[(":status", "200"), ("content-type", JSON)]);
        let around = Around::default();
        let step = host.exchange.on_response_head(&headers(&host.answer.head), false, &around);
        host.answer_step(step, false);
        host.answer_body(&tokens.as_bytes()[..came], false);
        assert_eq!(host.answer.body, br#"{"input_tokens":12}"#, "{came}");
    }
}

/// A good answer is known by those before it, whole or cut anywhere, and what follows it is read.
#[test]
fn of_an_answer_like_the_one_before() {
    for (path, body) in [
        (CHAT, r#"{"model":"quick","messages":[]}"#),
        ("/v1/responses", r#"{"model":"quick","input":"hi"}"#),
        (
            "/v1/messages",
            r#"{"model":"quick","max_tokens":9,"messages":[{"role":"user","content":"hi"}]}"#,
        ),
    ] {
        like_the_one_before(path, body);
    }
}

/// A body without what makes the ids of a converted answer unique.
fn nameless(body: Vec<u8>) -> String {
    let body = String::from_utf8(body).unwrap();
    let rest =
        ["{\"id\":\"resp_", "{\"id\":\"msg_"].iter().find_map(|begin| body.strip_prefix(begin));
    match rest.and_then(|rest| rest.split('"').next()) {
        Some(id) => body.replace(id, "ID"),
        None => body,
    }
}

fn like_the_one_before(path: &str, body: &str) {
    const GOOD: &str = r#"{"id":"1","object":"chat.completion","created":1,"model":"m","choices":[{"index":0,"message":{"role":"assistant","content":"Hi"},"finish_reason":"stop"}],"usage":{"prompt_tokens":1,"completion_tokens":1,"total_tokens":2,"prompt_tokens_details":{"cached_tokens":0}}}"#;
    let config = config();
    let memory = Rc::new(WorkerMemory::default());
    let answered = |memory: &Rc<WorkerMemory>, chunks: &[&str], end: End| {
        let mut host = Host::new(&config);
        let budget = Rc::new(Budget::new(&config, Rc::default()));
        host.exchange = Exchange::within(budget, memory.clone(), config.clone());
        let mut host =
            host.asked(&post(path, &[]), &[body.as_bytes()], End::WithData, &Around::default());
        let head = fields(&[(":status", "200"), ("content-type", JSON)]);
        let chunks: Vec<&[u8]> = chunks.iter().map(|chunk| chunk.as_bytes()).collect();
        host.respond(&head, &chunks, end);
        (host.answer.head, nameless(host.answer.body), host.reply, host.notes, host.counted)
    };
    let alone = answered(&memory, &[GOOD], End::WithData);
    if path != CHAT {
        for (before, behind) in [("", "\n"), ("", " \r\n\t"), ("\n", ""), (" ", "\n")] {
            let spaced = [before, GOOD, behind].concat();
            assert_eq!(answered(&Rc::default(), &[&spaced], End::WithData).1, alone.1, "{spaced}");
        }
    }
    let hit = GOOD.replace(r#""cached_tokens":0"#, r#""cached_tokens":9"#);
    for next in [
        GOOD,
        &hit,
        &GOOD.replace("Hi", "Ho"),
        &GOOD.replace("stop", "error"),
        GOOD.trim_start_matches('{'),
    ] {
        for behind in ["", " ", "\n\n", "{}", "data: [DONE]", "x"] {
            for end in [End::WithData, End::Alone, End::Trailers] {
                for cut in [0, 1, 9, next.len() / 2, next.len()] {
                    let (start, rest) = next.split_at(cut);
                    let rest = [rest, behind].concat();
                    let fresh = answered(&Rc::default(), &[start, &rest], end);
                    assert_eq!(answered(&memory, &[start, &rest], end), fresh, "{start}|{rest}");
                }
            }
        }
    }
}
