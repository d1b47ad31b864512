//! An embeddings answer leaves canonical or as an error, a second time as it is, and streamed or held,
//! in any pieces, the same.
#![no_main]

use libfuzzer_sys::fuzz_target;
use openai_gateway_filter::repair::embeddings::{
    EmbeddingsConverter, EmbeddingsFacts, Format, Recogniser, Recognition, answer,
};
use openai_gateway_filter_fuzz::{MAX_INPUT, tree};

/// What the recogniser says of a body in pieces of `step` bytes.
fn recognise(data: &[u8], facts: &EmbeddingsFacts, step: usize) -> Recognition {
    let mut recogniser = Recogniser::new(facts);
    data.chunks(step).map(|chunk| recogniser.push(chunk)).last().unwrap_or(Recognition::Undecided)
}

/// The converted body in pieces of `step` bytes; `None` where it can't be converted.
fn convert(data: &[u8], facts: &EmbeddingsFacts, step: usize) -> Option<Vec<u8>> {
    let mut converter = EmbeddingsConverter::new(facts);
    let mut out = Vec::new();
    for chunk in data.chunks(step) {
        converter.push(chunk, &mut out).ok()?;
    }
    converter.finish().ok()?;
    Some(out)
}

fuzz_target!(|data: &[u8]| {
    if data.len() > MAX_INPUT {
        return;
    }
    for format in [Format::Float, Format::Base64] {
        for inputs in [None, Some(1), Some(2)] {
            let facts = EmbeddingsFacts { inputs, format, model: "m".to_owned() };
            assert_eq!(recognise(data, &facts, 1), recognise(data, &facts, usize::MAX));
            assert_eq!(convert(data, &facts, 1), convert(data, &facts, usize::MAX));
            let mut recogniser = Recogniser::new(&facts);
            recogniser.push(data);
            match answer(data, &facts) {
                Ok(body) => {
                    if recogniser.is_canonical(inputs) && std::str::from_utf8(data).is_ok() {
                        assert_eq!(body.trim_ascii(), data.trim_ascii(), "called canonical");
                    }
                    let list = tree(&body).expect("valid JSON");
                    assert_eq!(list["object"], "list");
                    assert!(list["model"].is_string() && list["usage"].is_object());
                    for (index, item) in list["data"].as_array().expect("a list").iter().enumerate()
                    {
                        assert_eq!(item["object"], "embedding");
                        assert_eq!(item["index"], index);
                        match format {
                            Format::Float => assert!(
                                item["embedding"]
                                    .as_array()
                                    .is_some_and(|vector| vector.iter().all(|x| x.is_number()))
                            ),
                            Format::Base64 => assert!(item["embedding"].is_string()),
                        }
                    }
                    let again = answer(&body, &facts).expect("still good");
                    assert_eq!(again, body, "a second time changes it");
                }
                Err(error) => assert!((400..=599).contains(&error.status)),
            }
        }
    }
});
