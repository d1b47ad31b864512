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
