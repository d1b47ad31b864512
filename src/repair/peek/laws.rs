use super::*;
use proptest::prelude::*;

fn body() -> impl Strategy<Value = String> {
    "(\u{feff})?([ \n]|: c\n){0,2}(\\{(\"(choices|data|error|object|type|message|id|finish_reason)\":\
     (null|\"\"|\"error\"|\"x\"|0|1|\\[\\]|\\[\\{\\}\\]|\\[\\{\"finish_reason\":\"error\"\\}\\]|\\{\\}),?){0,5}\\}?|<html>|x)( |\ndata: \\[DONE\\]\n)?"
}

proptest! {
    #[test]
    fn chunking_does_not_matter(body in body(), cuts in prop::collection::vec(0usize..200, 0..6)) {
        let mut cuts: Vec<usize> = cuts.into_iter().map(|cut| cut % (body.len() + 1)).collect();
        cuts.extend([0, body.len()]);
        cuts.sort_unstable();
        let mut pieces = Peek::new(Operation::ChatCompletions);
        for pair in cuts.windows(2) {
            let now = pieces.push(&body.as_bytes()[pair[0]..pair[1]]);
            let mut whole = Peek::new(Operation::ChatCompletions);
            prop_assert_eq!(whole.push(&body.as_bytes()[..pair[1]]), now);
            prop_assert_eq!(whole.end(), pieces.end());
            prop_assert_eq!(whole.skip(), pieces.skip());
            prop_assert_eq!(whole.drifts(), pieces.drifts());
        }
    }

    #[test]
    fn no_error_is_called_good_before_it_shows(body in body()) {
        let mut peek = Peek::new(Operation::ChatCompletions);
        let verdict = peek.push(body.as_bytes());
        let error = crate::repair::error::from_ok(Operation::ChatCompletions, body.as_bytes());
        if verdict == Classification::Good && peek.progress != PeekProgress::Broken && peek.end().is_some() && !peek.drifts() {
            prop_assert_eq!(error, None);
        }
    }
}
