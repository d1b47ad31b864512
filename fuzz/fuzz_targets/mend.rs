//! Nearly JSON is mended alike however it is cut, once and for all, and JSON is left alone.
#![no_main]

use libfuzzer_sys::fuzz_target;
use openai_gateway_filter::repair::mend::{Infinite, Mended, Mender, mend};
use openai_gateway_filter_fuzz::{MAX_INPUT, chunks, tree};

fuzz_target!(|data: &[u8]| {
    if data.len() > MAX_INPUT {
        return;
    }
    let whole = mend(data, Infinite::Logprob).unwrap_or_else(|| data.to_vec());
    let mut mender = Mender::new(Infinite::Logprob);
    let mut out = Vec::new();
    for chunk in chunks(data) {
        match mender.push(chunk) {
            Mended::Same => out.extend_from_slice(chunk),
            Mended::Bytes(bytes) => out.extend_from_slice(&bytes),
        }
    }
    out.extend_from_slice(&mender.finish());
    assert_eq!(out, whole);
    assert_eq!(mend(&whole, Infinite::Logprob), None);
    if tree(data).is_some() {
        assert_eq!(whole, data);
    }
});
