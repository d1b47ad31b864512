//! What was printed instead of serialised becomes JSON, once and for all: an object or a list.
#![no_main]

use libfuzzer_sys::fuzz_target;
use openai_gateway_filter::repair::loose;
use openai_gateway_filter::wire::json::{cursor, tokenizer::Kind};
use openai_gateway_filter_fuzz::MAX_INPUT;

fuzz_target!(|data: &[u8]| {
    if data.len() > MAX_INPUT {
        return;
    }
    if let Some(json) = loose::to_json(data) {
        let value = cursor::parse(json.trim_ascii()).expect("valid JSON");
        assert!(matches!(value.kind, Kind::BeginObject | Kind::BeginArray));
        assert_eq!(loose::to_json(&json), Some(json), "a second time changes it");
    } else if let Ok(value) = cursor::parse(data.trim_ascii()) {
        assert!(!matches!(value.kind, Kind::BeginObject | Kind::BeginArray), "JSON is lost");
    }
    if let Some(json) = loose::lines(data) {
        let value = cursor::parse(&json).expect("valid JSON");
        assert!(value.elements().all(|line| line.kind == Kind::BeginObject));
        assert!(value.elements().next().is_some());
    }
});
