//! The scanner finds the model that a parser finds, however the body is cut.
#![no_main]

use libfuzzer_sys::fuzz_target;
use openai_gateway_filter::error::Code;
use openai_gateway_filter::wire::json::scan::JsonScanner;
use openai_gateway_filter_fuzz::{chunks, tree};

fn scan<'a>(chunks: impl IntoIterator<Item = &'a [u8]>) -> Result<(String, usize, usize), Code> {
    let mut scanner = JsonScanner::new(true, openai_gateway_filter::policy::model::check_id);
    let mut found = None;
    for chunk in chunks {
        if let Some(model) = scanner.push(chunk).map_err(|error| error.code)? {
            assert!(found.replace(model).is_none(), "reported twice");
        }
    }
    scanner.finish().map_err(|error| error.code)?;
    let found = found.expect("finish asked for a model");
    Ok((found.id, found.span.start as usize, found.span.end as usize))
}

fuzz_target!(|data: &[u8]| {
    let whole = scan([data]);
    assert_eq!(whole, scan(chunks(data)));
    assert_eq!(whole, scan(data.chunks(1)));
    if let Ok((model, start, end)) = whole {
        let value: String = serde_json::from_slice(&data[start..end]).expect("a JSON string");
        assert_eq!(value, model);
        if let Some(tree) = tree(data) {
            assert_eq!(tree["model"], model.as_str());
        }
    }
});
