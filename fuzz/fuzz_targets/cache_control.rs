//! Edits of cache markers do to the bytes what a tree would show, and nothing else.
#![no_main]

use libfuzzer_sys::fuzz_target;
use openai_gateway_filter::dialect::cache_control::{disable, force};
use openai_gateway_filter::wire::json::cursor;
use openai_gateway_filter::wire::splice;
use openai_gateway_filter_fuzz::tree;
use serde_json::Value;

fn strip(value: &mut Value) {
    match value {
        Value::Object(members) => {
            members.remove("cache_control");
            members.values_mut().for_each(strip);
        }
        Value::Array(elements) => elements.iter_mut().for_each(strip),
        _ => {}
    }
}

fuzz_target!(|data: &[u8]| {
    let valid = cursor::parse(data).is_ok();
    let (disabled, forced) = (disable(data), force(data));
    assert_eq!((disabled.is_ok(), forced.is_ok()), (valid, valid));
    let (Ok(disabled), Ok(forced)) = (disabled, forced) else { return };

    assert!(disabled.iter().all(|edit| edit.with.is_empty()));
    let after = splice::apply(data, &disabled).expect("edits in order");
    assert_eq!(disable(&after), Ok(Vec::new()));
    if let Some(mut want) = tree(data) {
        strip(&mut want);
        assert_eq!(tree(&after), Some(want));
    }

    for edit in &forced {
        assert!([&b""[..], b"null"].contains(&&data[edit.span.clone()]));
    }
    let after = splice::apply(data, &forced).expect("edits in order");
    assert!(cursor::parse(&after).is_ok());
    assert_eq!(force(&after), Ok(Vec::new()));
});
