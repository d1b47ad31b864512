//! One exchange, over and over: for `perf record` and callgrind.
//!
//! `bench-micro COUNT CONFIG ROW`: both are files, JSON.

use std::hint::black_box;
use std::rc::Rc;
use std::time::Instant;

use openai_gateway_filter::exchange::{
    Budget, Exchange, Next, Note, RequestStep, ResponseStep, Surroundings, WorkerMemory,
};
use openai_gateway_filter::policy::Config;
use openai_gateway_filter::wire::headers::Headers;
use serde::Deserialize;

/// What is sent and answered: a row of bench/work.py, as `python bench/micro.py ROW` prints it.
#[derive(Deserialize)]
struct Row {
    path: String,
    request: String,
    /// One body that has a length, or what arrives of a stream in each call.
    answer: Vec<String>,
    stream: bool,
}

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
    let mut words = std::env::args().skip(1);
    let count: usize = words.next().and_then(|n| n.parse().ok()).expect("how many exchanges");
    let config = std::fs::read(words.next().expect("a configuration")).expect("file");
    let row = std::fs::read(words.next().expect("a row")).expect("file");
    let row: Row = serde_json::from_slice(&row).expect("a row");
    let config = Config::from_plugin_configuration(&config, &|_| None).expect("valid");
    let config = Rc::new(config);
    let length = row.request.len().to_string();
    let head = Headers::from_pairs(&[
        (":authority", b"127.0.0.1:10000"),
        (":path", row.path.as_bytes()),
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
    let answer_length = row.answer.concat().len().to_string();
    let mut answer: Vec<(&str, &[u8])> = vec![
        (":status", b"200"),
        ("server", b"uvicorn"),
        ("date", b"Fri, 21 Nov 2025 10:00:00 GMT"),
        ("x-request-id", b"4f1c7d"),
        ("x-envoy-upstream-service-time", b"1"),
    ];
    if row.stream {
        answer.push(("content-type", b"text/event-stream"));
    } else {
        answer.push(("content-type", b"application/json"));
        answer.push(("content-length", answer_length.as_bytes()));
    }
    let answer = Headers::from_pairs(&answer);
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
        let request = black_box(row.request.as_bytes());
        let step = match exchange.on_request_body(request, Next::Later) {
            RequestStep::ReadWhole => exchange.on_request_whole(request),
            step => step,
        };
        assert!(matches!(step, RequestStep::Release(_)), "{step:?}");
        black_box(step);
        black_box(exchange.take_notes());
        black_box(exchange.on_request_body(&[], Next::End));
        let step = exchange.on_response_head(black_box(&answer), false, &Nowhere);
        black_box(step);
        // A known length: what is held goes on before Envoy tells the end.
        let mut released = false;
        for piece in &row.answer {
            let step = exchange.on_response_body(black_box(piece.as_bytes()), Next::Later);
            released |= matches!(step, ResponseStep::Release(..));
            black_box(step);
        }
        let step = exchange.on_response_body(&[], Next::End);
        assert!(released || matches!(step, ResponseStep::Release(..)), "{step:?}");
        black_box(step);
        black_box(exchange.take_notes());
    }
    let each = began.elapsed().as_nanos() as f64 / count as f64;
    println!("{each:.0} ns an exchange");
}
