use super::*;
use crate::repair::peek::{Classification, Peek};
use proptest::prelude::*;

const OPERATIONS: [Operation; 4] =
    [Operation::ChatCompletions, Operation::Completions, Operation::Responses, Operation::Messages];

/// What reading an answer member by member tells of it, where it is good.
fn read(operation: Operation, answer: &[u8]) -> Option<KnownAnswer> {
    let mut peek = Peek::new(operation);
    if peek.push(answer) != Classification::Good || !peek.is_all_good(answer) {
        return None;
    }
    let counts = peek.usage().and_then(|span| answer.get(span.start as usize..span.end as usize));
    let cached = counts.is_some_and(|counts| usage::cached(&checked_object(counts)));
    let has_ended =
        checked_object(answer).get("choices").is_some_and(|choices| has_ended(&choices));
    Some(KnownAnswer { cached, choices: peek.choices(), has_ended })
}

fn text() -> impl Strategy<Value = String> {
    prop_oneof![
        4 => "[a-zé \\-]{0,24}",
        1 => "(\\\\n|\\\\\"|\\\\u00e9|\\\\ud800|\\\\x|\t|\\\\|\"){0,2}",
    ]
}

fn number() -> impl Strategy<Value = String> {
    prop_oneof![4 => "[1-9][0-9]{0,3}", 1 => "0|00|-1|1\\.5|1e3|[0-9]{11,17}|null|\"3\""]
}

/// Answers of one server, most of them good.
fn answer() -> impl Strategy<Value = String> {
    let counts = prop_oneof![
        Just(String::new()),
        Just(",\"prompt_tokens_details\":{\"cached_tokens\":0}".to_owned()),
        number().prop_map(|n| format!(",\"prompt_tokens_details\":{{\"cached_tokens\":{n}}}")),
        number().prop_map(|n| format!(",\"prompt_cache_hit_tokens\":{n}")),
        number().prop_map(|n| format!("}},\"u\\u0073age\":{{\"cached_tokens\":{n}")),
        number().prop_map(|n| format!("}},\"usage\":{{\"cached_tokens\":{n}")),
    ];
    let message = prop_oneof![
        4 => text().prop_map(|text| format!("\"content\":\"{text}\"")),
        1 => (text(), text()).prop_map(|(id, text)| format!(
            "\"content\":null,\"tool_calls\":[{{\"id\":\"{id}\",\"type\":\"function\",\"function\":{{\"name\":\"f\",\"arguments\":\"{text}\"}}}}]"
        )),
        1 => (text(), text()).prop_map(|(one, two)| format!(
            "\"reasoning_content\":\"{one}\",\"content\":\"{two}\",\"refusal\":null"
        )),
    ];
    let finish = prop_oneof![
        4 => Just("\"stop\""), 1 => Just("\"error\""), 1 => Just("\"tool_calls\""), 1 => Just("null"), 1 => Just("\"\""),
    ];
    let kind = 0..3usize;
    (text(), number(), message, finish, [number(), number(), number()], counts, kind, text())
        .prop_map(|(id, created, message, finish, [a, b, c], counts, kind, said)| match kind {
            0 => format!(
                "{{\"id\":\"{id}\",\"object\":\"chat.completion\",\"created\":{created},\"choices\":[{{\"index\":0,\"message\":{{\"role\":\"assistant\",{message}}},\"finish_reason\":{finish}}}],\"usage\":{{\"prompt_tokens\":{a},\"completion_tokens\":{b},\"total_tokens\":{c}{counts}}}}}"
            ),
            1 => format!(
                "{{\"id\":\"{id}\",\"object\":\"text_completion\",\"created\":{created},\"choices\":[{{\"index\":0,\"text\":\"{said}\",\"finish_reason\":{finish}}}],\"usage\":{{\"prompt_tokens\":{a},\"completion_tokens\":{b},\"total_tokens\":{c}{counts}}}}}"
            ),
            _ => format!(
                "{{\"id\":\"{id}\",\"object\":\"response\",\"type\":\"message\",\"created_at\":{created},\"output\":[{{\"id\":\"{id}\",\"content\":[{{\"text\":\"{said}\"}}]}}],\"content\":[{{\"text\":\"{said}\"}}],\"usage\":{{\"input_tokens\":{a},\"output_tokens\":{b},\"x\":{c}{counts}}}}}"
            ),
        })
}

/// An answer with a byte of it changed.
fn damaged() -> impl Strategy<Value = Vec<u8>> {
    (answer(), any::<prop::sample::Index>(), any::<u8>(), any::<bool>()).prop_map(
        |(answer, at, byte, damage)| {
            let mut answer = answer.into_bytes();
            if damage {
                *at.get_mut(&mut answer) = byte;
            }
            answer
        },
    )
}

proptest! {
    #[test]
    fn what_is_known_is_what_reading_tells(
        operation in prop::sample::select(&OPERATIONS),
        before in prop::collection::vec(damaged(), 1..12),
        next in damaged(),
    ) {
        let shapes = Shapes::default();
        for answer in before {
            if let Some(good) = read(operation, &answer) {
                if let Some(known) = shapes.known(operation, &answer) {
                    prop_assert_eq!(known, good);
                }
                shapes.see(operation, &answer, good.choices);
                if let Some(known) = shapes.known(operation, &answer) {
                    prop_assert_eq!(known, good);
                }
            } else {
                prop_assert_eq!(shapes.known(operation, &answer), None, "{}", String::from_utf8_lossy(&answer));
            }
        }
        if let Some(known) = shapes.known(operation, &next) {
            prop_assert_eq!(Some(known), read(operation, &next), "{}", String::from_utf8_lossy(&next));
        }
    }

    /// The same answer with one byte changed, which is met by its own shape or not at all.
    #[test]
    fn one_byte_more_or_less_matters_as_it_does_to_a_reader(
        answer in answer(), at in any::<prop::sample::Index>(), byte in any::<u8>(), cut in any::<bool>(),
    ) {
        for operation in OPERATIONS {
            let Some(good) = read(operation, answer.as_bytes()) else { continue };
            let shapes = Shapes::default();
            shapes.see(operation, answer.as_bytes(), good.choices);
            let mut next = answer.clone().into_bytes();
            let at = at.index(next.len());
            if cut { next.remove(at); } else { next[at] = byte; }
            if let Some(known) = shapes.known(operation, &next) {
                prop_assert_eq!(Some(known), read(operation, &next), "{}", String::from_utf8_lossy(&next));
            }
        }
    }
}
