//! One small chat, over and over: for `perf record` and callgrind.

use std::hint::black_box;
use std::rc::Rc;
use std::time::Instant;

use openai_gateway_filter::exchange::{
    Budget, Exchange, Next, Note, RequestStep, ResponseStep, Surroundings, WorkerMemory,
};
use openai_gateway_filter::policy::Config;
use openai_gateway_filter::wire::headers::Headers;

const REQUEST: &[u8] = br#"{"model":"gpt-4o","messages":[{"role":"system","content":"You are a helpful assistant. Answer in one sentence."},{"role":"user","content":"while before about before through a every asks tokens model tokens for through every that while about a.\n\n"}],"temperature":0.7,"max_tokens":256}"#;
const ANSWER: &[u8] = br#"{"id":"chatcmpl-BsZ7sXkq2mWvTnYpLr4u","object":"chat.completion","created":1763731200,"model":"llama-3.3-70b-versatile","choices":[{"index":0,"message":{"role":"assistant","content":"while before about before through a every asks tokens model tokens for through every that while about a. while before about before through a every asks tokens model tokens for through every that while about a.","refusal":null},"logprobs":null,"finish_reason":"stop"}],"usage":{"prompt_tokens":57,"completion_tokens":31,"total_tokens":88},"service_tier":"default","system_fingerprint":"fp_7c1d2a90"}"#;

/// A request that nobody has seen before.
struct Nowhere;

impl Surroundings for Nowhere {
    fn now(&self) -> u64 {
        1_763_731_200
    }

    fn recall(&self, _: Note) -> Option<Vec<u8>> {
        None
    }
}

fn main() {
    let count: usize = std::env::args().nth(1).and_then(|n| n.parse().ok()).unwrap_or(100_000);
    let config = std::fs::read(std::env::args().nth(2).expect("a configuration")).expect("file");
    let config = Config::from_plugin_configuration(&config, &|_| None).expect("valid");
    let config = Rc::new(config);
    let length = REQUEST.len().to_string();
    let head = Headers::from_pairs(&[
        (":authority", b"127.0.0.1:10000"),
        (":path", b"/v1/chat/completions"),
        (":method", b"POST"),
        (":scheme", b"http"),
        ("authorization", b"Bearer vk-bench-0"),
        ("content-type", b"application/json"),
        ("accept", b"application/json"),
        ("accept-encoding", b"gzip, deflate"),
        ("user-agent", b"OpenAI/Python 2.8.1"),
        ("x-stainless-lang", b"python"),
        ("x-stainless-package-version", b"2.8.1"),
        ("x-stainless-os", b"Linux"),
        ("x-stainless-arch", b"x64"),
        ("x-stainless-runtime", b"CPython"),
        ("x-stainless-runtime-version", b"3.13.5"),
        ("x-stainless-async", b"async:asyncio"),
        ("x-stainless-retry-count", b"0"),
        ("x-stainless-read-timeout", b"600"),
        ("content-length", length.as_bytes()),
        ("x-forwarded-for", b"127.0.0.1"),
        ("x-forwarded-proto", b"http"),
        ("x-request-id", b"b7fa3f61-9e0e-4a5c-b2bd-3a35c2f0a6d1"),
        ("x-envoy-expected-rq-timeout-ms", b"15000"),
    ]);
    let answer_length = ANSWER.len().to_string();
    let answer = Headers::from_pairs(&[
        (":status", b"200"),
        ("content-type", b"application/json"),
        ("server", b"uvicorn"),
        ("date", b"Fri, 21 Nov 2025 10:00:00 GMT"),
        ("x-request-id", b"4f1c7d"),
        ("content-length", answer_length.as_bytes()),
        ("x-envoy-upstream-service-time", b"1"),
    ]);
    // What the exchanges of a worker share.
    let budget = Rc::new(Budget::new(&config, Rc::default()));
    let memory = Rc::new(WorkerMemory::default());
    let began = Instant::now();
    for _ in 0..count {
        let mut exchange =
            Exchange::within(Rc::clone(&budget), Rc::clone(&memory), Rc::clone(&config));
        let step = exchange.on_request_head(black_box(&head), false, &Nowhere);
        assert!(matches!(step, RequestStep::Hold));
        black_box(exchange.take_notes());
        let step = exchange.on_request_body(black_box(REQUEST), Next::Later);
        assert!(matches!(step, RequestStep::Release(_)), "{step:?}");
        black_box(step);
        black_box(exchange.take_notes());
        black_box(exchange.on_request_body(&[], Next::End));
        let step = exchange.on_response_head(black_box(&answer), false, &Nowhere);
        assert!(matches!(step, ResponseStep::Hold));
        // Its length is known: it goes on before Envoy tells the end.
        let step = exchange.on_response_body(black_box(ANSWER), Next::Later);
        assert!(matches!(step, ResponseStep::Release(..)), "{step:?}");
        black_box(step);
        black_box(exchange.on_response_body(&[], Next::End));
        black_box(exchange.take_notes());
    }
    let each = began.elapsed().as_nanos() as f64 / count as f64;
    println!("{each:.0} ns an exchange");
}
