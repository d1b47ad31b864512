//! Whatever an error looks like, it leaves as OpenAI's envelope with an error status.
#![no_main]

use libfuzzer_sys::fuzz_target;
use openai_gateway_filter::error::ErrorAnswer;
use openai_gateway_filter::policy::operation::Operation;
use openai_gateway_filter::repair::error::{Event, from_event, from_ok, read_http};
use openai_gateway_filter_fuzz::{MAX_INPUT, tree};

fn check(answer: &ErrorAnswer) {
    assert!((400..=599).contains(&answer.status), "status {}", answer.status);
    let body = tree(&answer.error.to_envelope()).expect("valid JSON");
    let error = body["error"].as_object().expect("an object");
    assert!(error["message"].as_str().is_some_and(|message| !message.is_empty()));
    assert!(error["type"].is_string());
    assert!(error["param"].is_null() || error["param"].is_string());
    assert!(error["code"].is_null() || error["code"].is_string() || error["code"].is_number());
}

fuzz_target!(|data: &[u8]| {
    if data.len() > MAX_INPUT {
        return;
    }
    for status in [400, 524] {
        for content_type in [None, Some(&b"application/json"[..]), Some(b"text/html")] {
            let (answer, is_canonical) = read_http(status, content_type, data);
            if !is_canonical {
                check(&answer);
            }
        }
    }
    for operation in Operation::ALL {
        if let Some(answer) = from_ok(operation, data) {
            check(&answer);
        }
    }
    for event in [Event::default(), Event { marked: true, status: Some(429) }] {
        if let Some(answer) = from_event(data, event) {
            check(&answer);
        }
    }
});
