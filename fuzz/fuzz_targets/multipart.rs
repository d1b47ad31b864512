//! The scanner finds the model that a simple parser finds, however the body is cut.
#![no_main]

use libfuzzer_sys::fuzz_target;
use openai_gateway_filter::error::Code;
use openai_gateway_filter::wire::model_span::ModelSpan;
use openai_gateway_filter::wire::multipart::{FormFacts, FormScanner, boundary};
use openai_gateway_filter_fuzz::chunks;

fn scan<'a>(chunks: impl IntoIterator<Item = &'a [u8]>) -> Result<(ModelSpan, FormFacts), Code> {
    let mut scanner = FormScanner::new(b"B", openai_gateway_filter::policy::model::check_id);
    let mut found = None;
    for chunk in chunks {
        if let Some(model) = scanner.push(chunk).map_err(|error| error.code)? {
            assert!(found.replace(model).is_none(), "reported twice");
        }
    }
    scanner.finish().map_err(|error| error.code)?;
    Ok((found.expect("finish asked for a model"), scanner.facts().clone()))
}

/// The data of the parts whose head names them `model`, read by splitting at every boundary that
/// follows CR LF.
fn simple(body: &[u8]) -> Vec<Vec<u8>> {
    // Every byte becomes a character, so that text functions can be used.
    let text: String = [b"\r\n", body].concat().into_iter().map(char::from).collect();
    text.split("\r\n--B")
        .filter_map(|part| part.split_once("\r\n\r\n"))
        .filter(|(head, _)| {
            let head = head.to_ascii_lowercase();
            let named = head.lines().find(|line| line.starts_with("content-disposition"));
            let name = named.and_then(|line| line.split("name=").nth(1)).unwrap_or_default();
            let name = name.trim_start_matches('"');
            name.strip_prefix("model").is_some_and(|rest| {
                !rest
                    .starts_with(|c: char| c.is_ascii_graphic() && c != '"' && c != ';' && c != '[')
            })
        })
        .map(|(_, data)| data.chars().map(|c| c as u8).collect())
        .collect()
}

fuzz_target!(|data: &[u8]| {
    let whole = scan([data]);
    assert_eq!(whole, scan(chunks(data)));
    assert_eq!(whole, scan(data.chunks(1)));
    if let Ok((found, _)) = whole {
        let span = found.span.start as usize..found.span.end as usize;
        assert_eq!(&data[span], found.id.as_bytes());
        let simple = simple(data);
        assert_eq!(simple, [found.id.into_bytes()]);
    }
    if let Ok(boundary) = boundary(data) {
        assert!((1..=70).contains(&boundary.len()) && !boundary.contains(&b'\r'));
    }
});
