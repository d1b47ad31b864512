//! What holds for every text.

use super::*;
use proptest::prelude::*;

fn run(text: &[u8], cuts: &[usize]) -> Result<Vec<Token>, JsonError> {
    let mut tokenizer = Tokenizer::new();
    let mut tokens = Vec::new();
    let mut start = 0;
    for &cut in cuts.iter().chain([&text.len()]) {
        let chunk = &text[start..cut.max(start).min(text.len())];
        start += chunk.len();
        let mut at = 0;
        while let Some(token) = tokenizer.next(chunk, &mut at, u32::MAX)? {
            tokens.push(token);
        }
    }
    tokens.extend(tokenizer.finish()?);
    Ok(tokens)
}

proptest! {
    #[test]
    fn chunking_does_not_matter(
        text in "([\\[\\]{}:,\" 0-9.eE+-]|null|true|\"a\"|\"\\\\u00e9\"|é){0,40}",
        mut cuts in proptest::collection::vec(0usize..80, 0..8),
    ) {
        cuts.sort_unstable();
        prop_assert_eq!(run(text.as_bytes(), &cuts), run(text.as_bytes(), &[]));
    }

    #[test]
    fn a_long_text_is_read_as_byte_by_byte(
        text in prop::collection::vec(
            prop_oneof![
                8 => "[a-zé \\[{0-9]{1,70}",
                4 => "(\\\\[\"\\\\/bfnrt]){1,6}|(\\\\u[0-9a-fA-F]{4}){1,3}",
                1 => "(\",\"|\":\"|\\\\\\\\){1,3}",
                1 => "[A-Za-z0-9+/ ]{300,900}",
                1 => "(\\\\\\\\){1,70}(n|\\\\n|\\\\u12aB)?",
                1 => "\\\\.|[\\x00-\\x1f]|\"|\\\\u[0-9g]{1,4}",
            ],
            0..12,
        ),
        mut cuts in prop::collection::vec(0usize..600, 0..4),
    ) {
        let text = format!("[\"{}\"]  ", text.concat());
        cuts.sort_unstable();
        let every_byte: Vec<usize> = (0..text.len()).collect();
        let whole = run(text.as_bytes(), &[]);
        prop_assert_eq!(&run(text.as_bytes(), &every_byte), &whole);
        prop_assert_eq!(&run(text.as_bytes(), &cuts), &whole);
    }

    #[test]
    fn many_numbers_are_as_many_one_by_one(
        numbers in prop::collection::vec(
            (
                prop_oneof![6 => Just(""), 2 => Just(" "), 1 => Just("  "), 1 => Just("\n")],
                prop_oneof![
                    30 => "-?(0|[1-9][0-9]{0,4})(\\.[0-9]{1,12})?",
                    2 => "-?(0|[1-9][0-9]{0,3})(\\.[0-9]{1,70})?([eE][+-]?[0-9]{1,3})?",
                    1 => "[-0-9.,eE+ ]{0,6}",
                ],
            ),
            0..40,
        ),
        end in "[,\\] ]?",
    ) {
        let text: String = numbers.iter().map(|(space, number)| format!(",{space}{number}")).collect();
        let text = text + &end;
        let mut rest = text.as_bytes();
        while let Some(tail) = rest.strip_prefix(b",") {
            let tail = tail.strip_prefix(b" ").unwrap_or(tail);
            let Some(length) = numbers::whole_number(tail) else { break };
            rest = &tail[length..];
        }
        prop_assert_eq!(numbers::more_numbers(text.as_bytes()), text.len() - rest.len());
    }

    #[test]
    fn blocks_are_told_byte_by_byte(
        bytes in prop::collection::vec(
            prop_oneof![any::<u8>(), Just(b'"'), Just(b'\\'), b'+'..b';', 0u8..0x24],
            64,
        ),
    ) {
        let is_special = |byte: u8| matches!(byte, b'"' | b'\\' | ..0x20);
        let mask = |is: &dyn Fn(u8) -> bool| {
            bytes.iter().rev().fold(0, |mask, &byte| (mask << 1) | u64::from(is(byte)))
        };
        let wide = bytes.first_chunk().unwrap();
        prop_assert_eq!(block::specials(wide), mask(&is_special));
        prop_assert_eq!(
            block::number_bytes(wide),
            block::NumberBytes {
                digits: mask(&|byte| byte.is_ascii_digit()),
                points: mask(&|byte| byte == b'.'),
                minuses: mask(&|byte| byte == b'-'),
                commas: mask(&|byte| byte == b','),
            }
        );
        prop_assert_eq!(block::equal_bytes(wide, b'"'), mask(&|byte| byte == b'"'));
        for part in bytes.windows(block::LEN) {
            let first = part.iter().position(|&byte| is_special(byte));
            prop_assert_eq!(block::first_special(part.first_chunk().unwrap()), first);
            let first = part.iter().position(|byte| !byte.is_ascii_digit());
            prop_assert_eq!(block::first_no_digit(part.first_chunk().unwrap()), first);
        }
    }

    #[test]
    fn numbers_left_out_are_all_that_is_left_out(
        text in "([\\[\\]{}, ]|-?(0|[1-9][0-9]{0,20})(\\.[0-9]{1,20})?([eE][+-]?[0-9]{1,3})?|,){0,30}",
        mut cuts in proptest::collection::vec(0usize..200, 0..8),
        depth in 1u32..4,
    ) {
        let text = format!("[{text}]");
        cuts.sort_unstable();
        let all = run(text.as_bytes(), &[]);
        let wanted = all.map(|tokens| -> Vec<Token> {
            let wanted = |token: &Token| {
                token.depth < depth || (token.depth == depth && token.kind != Kind::Number)
            };
            tokens.into_iter().filter(wanted).collect()
        });
        let mut tokenizer = Tokenizer::new();
        let mut got = Ok(Vec::new());
        let mut start = 0;
        for &cut in cuts.iter().chain([&text.len()]) {
            let chunk = &text.as_bytes()[start..cut.max(start).min(text.len())];
            start += chunk.len();
            let mut at = 0;
            while let Ok(tokens) = &mut got {
                match tokenizer.next_but_numbers(chunk, &mut at, depth) {
                    Ok(Some(token)) => tokens.push(token),
                    Ok(None) => break,
                    Err(error) => got = Err(error),
                }
            }
        }
        if let Err(error) = tokenizer.finish() {
            got = got.and(Err(error));
        }
        prop_assert_eq!(got, wanted);
    }

    #[test]
    fn agrees_with_serde_json(text in "([\\[\\]{}:,\" 0-9.eE+-]|null|true|\"a\":|\"b\"|\\\\|é){0,24}") {
        let ours = run(text.as_bytes(), &[]).is_ok();
        // serde_json refuses numbers beyond f64 (1e999); the grammar does not.
        let theirs = match serde_json::from_str::<serde_json::Value>(&text) {
            Err(error) if error.to_string().contains("out of range") => ours,
            answer => answer.is_ok(),
        };
        prop_assert_eq!(ours, theirs);
    }
}
