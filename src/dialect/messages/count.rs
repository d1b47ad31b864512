//! Counted tokens: what vLLM's `/tokenize` answers, as Anthropic's count.

use crate::wire::json::cursor;
use crate::wire::json::tokenizer::{Kind, Tokenizer};

/// `{"input_tokens":N}` of a tokenizer's answer `{"count":N,…}`; `None` where that says no whole number.
#[must_use]
pub fn from_tokenize(answer: &[u8]) -> Option<Vec<u8>> {
    let count = cursor::parse(answer).ok()?.get("count")?;
    let digits = count.kind == Kind::Number && count.raw().iter().all(u8::is_ascii_digit);
    digits.then(|| [b"{\"input_tokens\":", count.raw(), b"}"].concat())
}

/// The same from the beginning of such an answer, once the count stands there in full.
#[must_use]
pub fn early(beginning: &[u8]) -> Option<Vec<u8>> {
    let mut tokenizer = Tokenizer::new();
    let (mut at, mut is_count) = (0, false);
    while let Some(token) = tokenizer.next(beginning, &mut at, 1).ok()? {
        let place = |offset: u64| usize::try_from(offset).unwrap_or(usize::MAX);
        let raw = beginning.get(place(token.start)..place(token.end))?;
        match token.kind {
            Kind::Key => is_count = raw == b"\"count\"",
            Kind::Number if is_count && token.depth == 1 => {
                let digits = raw.iter().all(u8::is_ascii_digit);
                return digits.then(|| [b"{\"input_tokens\":", raw, b"}"].concat());
            }
            _ => is_count = false,
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::test;

    #[test]
    fn the_count_is_known_before_the_tokens_are() {
        for (beginning, want) in [
            (
                &br#"{"max_model_len":4,"count":12,"tokens":[1,"#[..],
                Some(&br#"{"input_tokens":12}"#[..]),
            ),
            (br#"{"count":12"#, None),
            (br#"{"tokens":[{"count":3}],"#, None),
            (br#"[{"count":3,"#, None),
            (br#"{"count":-3,"#, None),
            (b"", None),
        ] {
            assert_eq!(early(beginning).as_deref(), want);
        }
    }

    #[test]
    fn the_count_is_all_that_goes_on() {
        let answer = br#"{"count":12,"max_model_len":4096,"tokens":[1,2],"token_strs":null}"#;
        assert_eq!(from_tokenize(answer).as_deref(), Some(&br#"{"input_tokens":12}"#[..]));
        for answer in
            [&br#"{"count":"12"}"#[..], br#"{"count":-1}"#, br#"{"count":1.5}"#, b"{}", b"[]", b"x"]
        {
            assert_eq!(from_tokenize(answer), None);
        }
    }
}
