//! The answer in an HTTP gateway's envelope: written anew into one, it is the same answer.
#![no_main]

use libfuzzer_sys::fuzz_target;
use openai_gateway_filter::repair::proxied;
use openai_gateway_filter::wire::json::cursor;
use openai_gateway_filter_fuzz::MAX_INPUT;
use serde_json::json;

fuzz_target!(|data: &[u8]| {
    if data.len() > MAX_INPUT {
        return;
    }
    let found = cursor::parse(data).ok().and_then(|root| proxied::read(&root));
    if let Some(good) = proxied::good(data) {
        let found = found.as_ref().expect("good is read");
        assert!(found.status < 400 && good == found.body);
    }
    let Some(found) = found else { return };
    assert!((100..600).contains(&found.status));
    let Ok(text) = String::from_utf8(found.body.clone()) else { return };
    let envelope = json!({"statusCode": found.status, "body": text}).to_string();
    let again = cursor::parse(envelope.as_bytes()).ok().and_then(|root| proxied::read(&root));
    assert_eq!(again.as_ref(), Some(&found));
    assert_eq!(proxied::good(envelope.as_bytes()).is_some(), found.status < 400);
});
