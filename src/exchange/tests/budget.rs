//! What a worker holds for all of its requests.

use super::*;
use crate::test;

const MANY: usize = 1_000;

/// A configuration whose keys and providers may hold 1,000 bytes each, and a budget for it.
fn budgeted() -> (Rc<Config>, Rc<Budget>) {
    let config = config_with(json!({"limits": {"max_held_bytes": 4 * MANY}}));
    let budget = Rc::new(Budget::new(&config, Rc::default()));
    (config, budget)
}

fn host(config: &Rc<Config>, budget: &Rc<Budget>) -> Host {
    let mut host = Host::new(config);
    host.exchange = Exchange::within(budget.clone(), Rc::default(), config.clone());
    host
}

fn begin(config: &Rc<Config>, budget: &Rc<Budget>, key: &str, chunk: &str) -> Host {
    let mut host = host(config, budget);
    let authorization = format!("Bearer {key}");
    host.request.head = post(CHAT, &[("authorization", &*authorization)]);
    let step =
        host.exchange.on_request_head(&headers(&host.request.head), false, &Around::default());
    host.step(step, false);
    host.push(chunk.as_bytes(), false);
    host
}

fn answer_begins(host: &mut Host, head: &Fields) {
    host.answer.head = head.clone();
    let step = host.exchange.on_response_head(&headers(head), false, &Around::default());
    host.answer_step(step, false);
}

fn retry_after(host: &Host) -> Option<&str> {
    let reply = host.reply.as_ref()?;
    reply.headers.iter().find(|(name, _)| name == "retry-after").map(|(_, value)| &**value)
}

#[test]
fn held_requests_count_and_are_given_back() {
    let (config, budget) = budgeted();
    let chunk = format!("{{\"x\":\"{}", "x".repeat(594));
    let first = begin(&config, &budget, "vk-team", &chunk);
    assert!(first.reply.is_none());
    assert_eq!(budget.held(), 600);
    let second = begin(&config, &budget, "vk-team", &chunk);
    assert_eq!(second.refusal(), (503, "overloaded".to_owned()));
    assert_eq!(retry_after(&second), Some("1"));
    assert!(!second.request.head_sent);
    assert_eq!(budget.held(), 600, "what was refused holds nothing");
    // Another key's requests are no concern of theirs.
    let mut other = begin(&config, &budget, "vk-bare", &chunk);
    assert!(other.reply.is_none());
    assert_eq!(budget.held(), 1_200);
    other.push(b"\",\"model\":\"alpha/m\"}", true);
    assert!(other.request.ended);
    assert_eq!(budget.held(), 600, "what has gone on is not held");
    drop(first);
    assert_eq!(budget.held(), 0);
}

#[test]
fn a_good_answer_needs_no_room_for_its_copy() {
    let config = config_with(json!({"limits": {"max_held_bytes": 4_000_000}}));
    let budget = Rc::new(Budget::new(&config, Rc::default()));
    let mut host = begin(&config, &budget, "vk-team", "");
    host.push(br#"{"model":"alpha/m"}"#, true);
    answer_begins(&mut host, &fields(&[(":status", "200"), ("content-type", "application/json")]));
    let start = r#"{"choices":[{"index":0,"message":{"role":"assistant","content":""#;
    host.answer_body(start.as_bytes(), false);
    for _ in 0..150 {
        host.answer_body("x".repeat(10_000).as_bytes(), false);
    }
    host.answer_body(br#""},"finish_reason":"stop"}]}"#, true);
    assert!(host.reply.is_none() && host.answer.ended, "the copy of it gave way");
    assert!(host.answer.body.len() > 1_500_000);
}

#[test]
fn what_an_attempt_holds_until_the_end_counts() {
    let limits = json!({"max_held_bytes": 4 * MANY});
    let config = config_with(json!({"limits": limits, "routing": {"positions": 2}}));
    let budget = Rc::new(Budget::new(&config, Rc::default()));
    for (path, held) in [("/v1/responses", 600), (CHAT, 0)] {
        let mut host = host(&config, &budget);
        host.request.head = post(path, &[("content-length", "600")]);
        let step =
            host.exchange.on_request_head(&headers(&host.request.head), false, &Around::default());
        host.step(step, false);
        let start = r#"{"model":"alpha/m","input":"hi","#;
        let body = format!("{start}\"x\":\"{}\"}}", "x".repeat(600 - start.len() - 7));
        host.push(body.as_bytes(), false);
        assert!(host.request.head_sent, "nothing more of it is needed here");
        assert_eq!(budget.held(), held, "{path}");
        host.push(b"", true);
        assert_eq!(budget.held(), 0, "{path}");
    }
}

#[test]
fn an_event_that_does_not_end_fails_its_stream_alone() {
    let (config, budget) = budgeted();
    let streaming = r#"{"model":"alpha/m","stream":true}"#;
    let sse = fields(&[(":status", "200"), ("content-type", "text/event-stream")]);
    let mut hosts: Vec<Host> = (0..2)
        .map(|_| {
            let mut host = begin(&config, &budget, "vk-team", "");
            host.push(streaming.as_bytes(), true);
            let first = "data: {\"object\":\"chat.completion.chunk\",\"choices\":[{\"index\":0,\"delta\":{\"content\":\"a\"}}]}\n\n";
            answer_begins(&mut host, &sse);
            host.answer_body(first.as_bytes(), false);
            host.answer_body(b"data: {\"choices\":[{\"delta\":{\"content\":\"", false);
            host.answer_body("x".repeat(700).as_bytes(), false);
            host
        })
        .collect();
    let second = hosts.pop().unwrap();
    let text = String::from_utf8(second.answer.body.clone()).unwrap();
    assert!(
        text.contains("\"code\":\"overloaded\"") && text.ends_with("data: [DONE]\n\n"),
        "{text}"
    );
    let first = hosts.pop().unwrap();
    assert!(!String::from_utf8(first.answer.body.clone()).unwrap().contains("overloaded"));
    drop((first, second));
    assert_eq!(budget.held(), 0);
}

#[test]
fn an_answer_that_is_held_fails_with_retry_after() {
    let (config, budget) = budgeted();
    let mut host = begin(&config, &budget, "vk-team", "");
    host.push(br#"{"model":"alpha/m"}"#, true);
    let head = fields(&[
        (":status", "200"),
        ("content-type", "application/json"),
        ("retry-after", "30"),
        ("x-ratelimit-remaining-tokens", "5"),
    ]);
    answer_begins(&mut host, &head);
    host.answer_body("  ".repeat(600).as_bytes(), false);
    assert_eq!(get(&host.answer.head, ":status"), Some("503"));
    let of = |wanted: &str| {
        host.answer.head.iter().filter(|(name, _)| name == wanted).collect::<Vec<_>>().len()
    };
    assert_eq!(get(&host.answer.head, "retry-after"), Some("1"));
    assert_eq!((of("retry-after"), of("x-ratelimit-remaining-tokens")), (1, 1));
    assert!(
        String::from_utf8(host.answer.body.clone()).unwrap().contains("\"code\":\"overloaded\"")
    );
    assert_eq!(budget.held(), 0);
}
