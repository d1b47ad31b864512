//! Ranks leave as JSON whose results say which document has which score, or as an error, and a second time as
//! they are.
#![no_main]

use libfuzzer_sys::fuzz_target;
use openai_gateway_filter::repair::rerank;
use openai_gateway_filter::wire::json::cursor;
use openai_gateway_filter_fuzz::MAX_INPUT;

fuzz_target!(|data: &[u8]| {
    // Whoever calls it has mended what is no UTF-8.
    if data.len() > MAX_INPUT || std::str::from_utf8(data).is_err() {
        return;
    }
    match rerank::repaired(data) {
        Ok(Some(ranks)) => {
            cursor::parse(&ranks).expect("valid JSON");
            assert_eq!(
                rerank::repaired(&ranks).expect("still good"),
                None,
                "a second time changes it"
            );
        }
        Ok(None) => {}
        Err(error) => assert!((400..=599).contains(&error.status)),
    }
});
