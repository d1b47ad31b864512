//! A request's text is counted by its bytes alone, however they are cut. One that is made to ask for token counts is still
//! the same JSON otherwise, and events that lose theirs are still events.
#![no_main]

use libfuzzer_sys::fuzz_target;
use openai_gateway_filter::dialect::stream_usage;
use openai_gateway_filter::policy::operation::Operation;
use openai_gateway_filter::telemetry::usage::RequestText;
use openai_gateway_filter::wire::json::cursor;
use openai_gateway_filter::wire::splice;
use openai_gateway_filter_fuzz::{MAX_INPUT, chunks};

fn count<'a>(chunks: impl IntoIterator<Item = &'a [u8]>) -> (u64, u64) {
    let mut text = RequestText::new(Operation::Completions);
    for chunk in chunks {
        text.push(chunk);
    }
    (text.input(), text.most(Some(1)))
}

fuzz_target!(|data: &[u8]| {
    if data.len() > MAX_INPUT {
        return;
    }
    let whole = count([data]);
    assert_eq!(whole, count(chunks(data)));
    assert_eq!(whole, count(data.chunks(1)));
    if let Ok(edits) = stream_usage::asked(data)
        && data.first() == Some(&b'{')
    {
        let asked = splice::apply(data, &edits).expect("edits in order");
        assert!(cursor::parse(&asked).is_ok());
        assert_eq!(stream_usage::asked(&asked), Ok(Vec::new()), "asks already");
    }
    if let Some(without) = stream_usage::without(data) {
        assert!(without.len() < data.len());
        assert_eq!(stream_usage::without(&without), None);
    }
});
