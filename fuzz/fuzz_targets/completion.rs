//! Whatever a plain answer looks like, it leaves as one completion or as an error, and what leaves needs no
//! further repair.
#![no_main]

use libfuzzer_sys::fuzz_target;
use openai_gateway_filter::repair::chat::{Api, RequestFacts, completion};
use openai_gateway_filter::wire::json::{cursor, tokenizer::Kind};
use openai_gateway_filter_fuzz::MAX_INPUT;

fuzz_target!(|data: &[u8]| {
    if data.len() > MAX_INPUT {
        return;
    }
    for api in [Api::Chat, Api::Completions] {
        let request = RequestFacts::default();
        let Ok(answer) = completion::answer(api, data, request, 16 * 1024) else { continue };
        let body = cursor::parse(&answer.body).expect("valid JSON");
        let choices = body.get("choices").expect("choices");
        assert_eq!(choices.kind, Kind::BeginArray);
        let again = completion::answer(api, &answer.body, request, 16 * 1024);
        assert_eq!(again.expect("an answer still").body, answer.body);
    }
});
