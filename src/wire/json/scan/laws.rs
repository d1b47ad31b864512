use super::*;
use crate::wire::model_span::check_in_tests;
use crate::wire::splice::{Edit, apply};
use proptest::prelude::*;

type Outcome = Result<(Option<ModelSpan>, BodyFacts, Option<&'static str>), Code>;

fn scan(body: &[u8], cuts: &[usize]) -> Outcome {
    let mut scanner = JsonScanner::new(true, check_in_tests);
    let mut found = None;
    let mut start = 0;
    for &cut in cuts.iter().chain([&body.len()]) {
        let end = cut.max(start).min(body.len());
        found = scanner.push(&body[start..end]).map_err(|e| e.code)?.or(found);
        start = end;
    }
    scanner.finish().map_err(|e| e.code)?;
    Ok((found, scanner.facts(), scanner.further_model()))
}

fn bodies() -> impl Strategy<Value = String> {
    let member = prop_oneof![
        5 => "\"(model|model\\\\u0000|\\\\ud800|mo_del|mod\\\\u0065l|MODEL|stream|input|encoding_format|n|stream_options|extra_body|a)\":(\"[a-z/é]{0,6}(\\\\n|\\\\u00e9)?\"|true|null|12|\\[\"a\",\\[1\\]\\]|\\{\"(model|b)\":1\\})",
        1 => "[\\[\\]{}\",:a1 ]{0,5}",
    ];
    proptest::collection::vec(member, 0..5).prop_map(|members| format!("{{{}}}", members.join(",")))
}

proptest! {
    #[test]
    fn chunking_does_not_matter(
        body in bodies(),
        mut cuts in proptest::collection::vec(0usize..200, 0..10),
    ) {
        cuts.sort_unstable();
        let every_byte: Vec<usize> = (0..body.len()).collect();
        let whole = scan(body.as_bytes(), &[]);
        prop_assert_eq!(&scan(body.as_bytes(), &cuts), &whole);
        prop_assert_eq!(&scan(body.as_bytes(), &every_byte), &whole);
    }

    #[test]
    fn a_splice_changes_only_the_model(body in bodies(), id in "[a-z\"\\\\/é]{1,12}") {
        if let Ok((Some(found), ..)) = scan(body.as_bytes(), &[]) {
            let span = found.span.start as usize..found.span.end as usize;
            let new = string::encode(&id);
            let edit = Edit { span: span.clone(), with: new.clone() };
            let out = apply(body.as_bytes(), &[edit]).unwrap();
            prop_assert_eq!(&out[..span.start], &body.as_bytes()[..span.start]);
            prop_assert_eq!(&out[span.start + new.len()..], &body.as_bytes()[span.end..]);
            let again = scan(&out, &[]).unwrap().0.unwrap();
            prop_assert_eq!(again.id, id);
        }
    }
}
