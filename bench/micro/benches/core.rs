//! Scanners and normalisers in MB/s, beside serde_json's parse of the same bytes.
//!
//! `value` builds serde_json's tree, `ignored` only checks the syntax: the least that a parser can do.
//! Native speed: in Envoy the same code runs as wasm, at a half to a third of it.

use std::hint::black_box;

use criterion::{BenchmarkGroup, Criterion, Throughput, criterion_group, criterion_main};
use memchr::{memchr_iter, memmem};
use openai_gateway_filter::policy::operation::Operation;
use openai_gateway_filter::repair::embeddings::{self, EmbeddingsFacts, Format, Recogniser};
use openai_gateway_filter::repair::error;
use openai_gateway_filter::repair::peek::Peek;
use openai_gateway_filter::repair::sse::{Options, SseNormalizer, StreamEnd, StreamKind};
use openai_gateway_filter::wire::json::scan;
use openai_gateway_filter::wire::multipart;
use serde::de::IgnoredAny;
use serde_json::{Value, json};

/// What Envoy hands out at a time.
const CHUNK: usize = 16 * 1024;
const EVENTS: usize = 200;

type Group<'a> = BenchmarkGroup<'a, criterion::measurement::WallTime>;

fn group<'a>(criterion: &'a mut Criterion, name: &str, bytes: usize) -> Group<'a> {
    let mut group = criterion.benchmark_group(name);
    group.throughput(Throughput::Bytes(bytes as u64));
    group
}

/// serde_json over each of these texts.
fn serde_json_of(group: &mut Group<'_>, texts: &[&[u8]]) {
    group.bench_function("serde_json-value", |bencher| {
        bencher.iter(|| {
            for text in texts {
                black_box(serde_json::from_slice::<Value>(black_box(text)).unwrap());
            }
        });
    });
    group.bench_function("serde_json-ignored", |bencher| {
        bencher.iter(|| {
            for text in texts {
                black_box(serde_json::from_slice::<IgnoredAny>(black_box(text)).unwrap());
            }
        });
    });
}

fn prose(size: usize) -> String {
    let words = ["the", "model", "answers", "a", "\"question\"", "about", "its", "context.\n\n"];
    let mut text = String::new();
    // A linear congruence: no two kilobytes are alike, and every run has the same text.
    let mut state = 1_u32;
    while text.len() < size {
        state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        text.push_str(words[(state >> 16) as usize % words.len()]);
        text.push(' ');
    }
    text
}

fn requests(criterion: &mut Criterion) {
    let history: Vec<Value> =
        (0..31).map(|_| json!({"role": "user", "content": prose(1000)})).collect();
    let url = format!("data:image/png;base64,{}", "iVBORw0KGgoAAAANSUhE".repeat((4 << 20) / 20));
    let image =
        json!([{"role": "user", "content": [{"type": "image_url", "image_url": {"url": url}}]}]);
    for (name, messages) in [("request-32k", json!(history)), ("request-4m", image)] {
        let body = json!({"model": "gpt-4o", "messages": messages}).to_string();
        let mut group = group(criterion, name, body.len());
        group.bench_function("this", |bencher| {
            bencher.iter(|| {
                let mut scanner =
                    scan::JsonScanner::new(false, openai_gateway_filter::policy::model::check_id);
                for chunk in black_box(body.as_bytes()).chunks(CHUNK) {
                    black_box(scanner.push(chunk).unwrap());
                }
                scanner.finish().unwrap();
            });
        });
        serde_json_of(&mut group, &[body.as_bytes()]);
        group.finish();
    }
}

fn forms(criterion: &mut Criterion) {
    let part = |name: &str, rest: &str| {
        format!("--frontier\r\nContent-Disposition: form-data; name=\"{name}\"{rest}\r\n\r\n")
    };
    let audio: Vec<u8> =
        (0..4_u32 << 20).map(|n| (n.wrapping_mul(2_654_435_761) >> 24) as u8).collect();
    let mut body = part("model", "").into_bytes();
    body.extend_from_slice(b"whisper-1\r\n");
    body.extend_from_slice(part("file", "; filename=\"speech.mp3\"").as_bytes());
    body.extend_from_slice(&audio);
    body.extend_from_slice(b"\r\n--frontier--\r\n");
    let mut group = group(criterion, "multipart-4m", body.len());
    group.bench_function("this", |bencher| {
        bencher.iter(|| {
            let mut scanner = multipart::FormScanner::new(
                b"frontier",
                openai_gateway_filter::policy::model::check_id,
            );
            for chunk in black_box(&body).chunks(CHUNK) {
                black_box(scanner.push(chunk).unwrap());
            }
            scanner.finish().unwrap();
        });
    });
    group.bench_function("memmem", |bencher| {
        bencher.iter(|| memmem::find_iter(black_box(&body), b"--frontier").count());
    });
    group.finish();
}

fn streams(criterion: &mut Criterion) {
    let events: Vec<String> = (0..EVENTS)
        .map(|number| {
            let finish = if number + 1 == EVENTS { json!("stop") } else { Value::Null };
            let choice = json!({"index": 0, "delta": {"content": prose(4)}, "logprobs": null,
                "finish_reason": finish});
            json!({"id": "chatcmpl-BsZ7sXkq2mWvTnYpLr4u", "object": "chat.completion.chunk",
                "created": 1_763_731_200, "model": "llama-3.3-70b-versatile", "choices": [choice]})
            .to_string()
        })
        .collect();
    let texts: Vec<&[u8]> = events.iter().map(String::as_bytes).collect();
    let canonical: String = events.iter().map(|event| format!("data: {event}\n\n")).collect();
    let drifting: String = events.iter().map(|event| format!("data:{event}\r\n\r\n")).collect();
    let one = canonical.len() / EVENTS;
    for (name, body) in [
        ("stream", canonical + "data: [DONE]\n\n"),
        // As real servers drift: no space, CRLF, no [DONE].
        ("stream-drifting", drifting),
    ] {
        let mut group = group(criterion, name, body.len());
        // In chunks of one event, as a live stream comes, and of as much as Envoy reads at once.
        for (function, size) in [("this", one), ("this-16k", CHUNK)] {
            group.bench_function(function, |bencher| {
                bencher.iter(|| {
                    let mut normalizer = SseNormalizer::new(Options {
                        kind: StreamKind::Chat,
                        max_event_bytes: 10 << 20,
                        response_model: None,
                        request: Default::default(),
                    });
                    for chunk in black_box(body.as_bytes()).chunks(size) {
                        black_box(normalizer.push(chunk));
                    }
                    black_box(normalizer.finish(StreamEnd::Clean));
                });
            });
        }
        group.bench_function("memchr-lines", |bencher| {
            bencher.iter(|| memchr_iter(b'\n', black_box(body.as_bytes())).count());
        });
        serde_json_of(&mut group, &texts);
        group.finish();
    }
}

fn vectors(criterion: &mut Criterion) {
    let vector: Vec<f64> =
        (0..1536).map(|n| f64::from(n * 7919 % 12_000 - 6_000) / 1e5 + 1e-9).collect();
    let items: Vec<Value> = (0..100)
        .map(|index| json!({"object": "embedding", "index": index, "embedding": vector}))
        .collect();
    let body = json!({"object": "list", "data": items, "model": "m",
        "usage": {"prompt_tokens": 1400, "total_tokens": 1400}})
    .to_string();
    let facts = |format| EmbeddingsFacts { inputs: Some(100), format, model: "m".to_owned() };
    let mut group = group(criterion, "embeddings-100", body.len());
    group.bench_function("this-recognise", |bencher| {
        // It reads no further than it must.
        bencher.iter(|| {
            let mut recogniser = Recogniser::new(&facts(Format::Float));
            for chunk in black_box(body.as_bytes()).chunks(CHUNK) {
                black_box(recogniser.push(chunk));
            }
        });
    });
    for (name, format) in [("this-check", Format::Float), ("this-to-base64", Format::Base64)] {
        group.bench_function(name, |bencher| {
            bencher.iter(|| {
                embeddings::answer(black_box(body.as_bytes()), &facts(format)).unwrap().len()
            });
        });
    }
    serde_json_of(&mut group, &[body.as_bytes()]);
    group.finish();
}

fn answers(criterion: &mut Criterion) {
    let message = json!({"role": "assistant", "content": prose(230), "refusal": null});
    let choice = json!({"index": 0, "message": message, "logprobs": null, "finish_reason": "stop"});
    let good = json!({"id": "chatcmpl-1", "object": "chat.completion", "created": 1_763_731_200,
        "model": "llama-3.3-70b-versatile", "choices": [choice],
        "usage": {"prompt_tokens": 57, "completion_tokens": 31, "total_tokens": 88}})
    .to_string();
    let mut group_of = group(criterion, "answer-600", good.len());
    group_of.bench_function("this", |bencher| {
        bencher.iter(|| Peek::new(Operation::ChatCompletions).push(black_box(good.as_bytes())));
    });
    serde_json_of(&mut group_of, &[good.as_bytes()]);
    group_of.finish();

    let flat = json!({"object": "error", "type": "BadRequestError", "param": null, "code": 400,
        "message": prose(200)})
    .to_string();
    let mut group_of = group(criterion, "error-300", flat.len());
    group_of.bench_function("this", |bencher| {
        bencher
            .iter(|| error::read_http(400, Some(b"application/json"), black_box(flat.as_bytes())));
    });
    serde_json_of(&mut group_of, &[flat.as_bytes()]);
    group_of.finish();
}

criterion_group!(core, requests, forms, streams, vectors, answers);
criterion_main!(core);
