//! What holds for every stream.

use proptest::prelude::*;

use super::*;

#[derive(Debug, Clone)]
enum Step {
    Thinking(String),
    Text(String),
    /// A piece of one of the calls.
    Call(usize, usize),
    Comment,
}

fn step() -> impl Strategy<Value = Step> {
    let words = "[a-z\"\\\\\né😀]{0,4}";
    prop_oneof![
        words.prop_map(Step::Thinking),
        words.prop_map(Step::Text),
        (0..3_usize, 1..6_usize).prop_map(|(call, length)| Step::Call(call, length)),
        Just(Step::Comment),
    ]
}

const ARGUMENTS: [&str; 3] = ["{\"x\": [1, \"}\\\\\"]}", "{\"y\":{\"é\":null}}", ""];

/// A stream of these steps, whose calls are all complete; and what is said in it by block type.
fn stream(steps: &[Step], reason: &str) -> (String, String, String, Vec<usize>) {
    let mut out = String::new();
    let mut sent = [0; 3];
    let mut order = Vec::new();
    let (mut thinking, mut said) = (String::new(), String::new());
    let mut push = |chunk: &Value| out.push_str(&format!("data: {chunk}\n\n"));
    let piece = |at: usize, length: usize, sent: &mut [usize; 3], order: &mut Vec<usize>| {
        let all: Vec<char> = ARGUMENTS[at].chars().collect();
        let piece: String = all.iter().skip(sent[at]).take(length).collect();
        sent[at] += piece.chars().count();
        let is_new = !order.contains(&at);
        if is_new {
            order.push(at);
        }
        let id = format!("id{at}");
        call(at as u64, is_new.then_some(&*id), is_new.then_some("f"), &piece)
    };
    for step in steps {
        match step {
            Step::Thinking(words) => {
                thinking.push_str(words);
                push(&delta(&json!({"reasoning_content": words})));
            }
            Step::Text(words) => {
                said.push_str(words);
                push(&text(words));
            }
            Step::Call(at, length) => push(&piece(*at, *length, &mut sent, &mut order)),
            Step::Comment => {}
        }
    }
    for at in order.clone() {
        push(&piece(at, 100, &mut sent, &mut order));
    }
    push(&finish(reason));
    push(&usage(&json!({"prompt_tokens": 5, "completion_tokens": 3})));
    out.push_str("data: [DONE]\n\n");
    (out, thinking, said, order)
}

fn joined(message: &Value, kind: &str, member: &str) -> String {
    let blocks = message["content"].as_array().unwrap().iter();
    blocks
        .filter(|block| block["type"] == kind)
        .map(|block| block[member].as_str().unwrap())
        .collect()
}

proptest! {
    /// The grammar holds, nothing is lost, and however the stream is cut, the events are the same.
    #[test]
    fn every_stream_is_whole(steps in prop::collection::vec(step(), 0..24), cuts in prop::collection::vec(1..40_usize, 1..20), stop in any::<bool>()) {
        let (stream, thinking, said, order) = stream(&steps, if stop { "stop" } else { "tool_calls" });
        let whole = events(stream.as_bytes());
        let message = assembled(&whole);
        prop_assert_eq!(joined(&message, "thinking", "thinking"), thinking);
        prop_assert_eq!(joined(&message, "text", "text"), said);
        let calls: Vec<_> = message["content"].as_array().unwrap().iter().filter(|block| block["type"] == "tool_use").collect();
        prop_assert_eq!(calls.len(), order.len());
        for (call, at) in calls.into_iter().zip(order) {
            let want: Value = serde_json::from_str(ARGUMENTS[at]).unwrap_or(json!({}));
            prop_assert_eq!(&call["input"], &want);
            prop_assert_eq!(call["id"].as_str().unwrap(), format!("id{at}"));
        }

        let mut converter = MessageConverter::new(options(true));
        let mut rest = stream.as_bytes();
        let mut pieces = Vec::new();
        for length in cuts.into_iter().cycle() {
            if rest.is_empty() {
                break;
            }
            let (piece, after) = rest.split_at(length.min(rest.len()));
            pieces.extend(converter.push(piece));
            rest = after;
        }
        pieces.extend(converter.finish());
        prop_assert_eq!(String::from_utf8(pieces).unwrap(), whole);

        // What the same stream is to a plain call.
        let mut plain = MessageConverter::new(options(false));
        let _none = plain.push(stream.as_bytes());
        let plain: Value = serde_json::from_slice(&plain.into_message().unwrap()).unwrap();
        prop_assert_eq!(plain, message);
    }

    /// The message put together from the events is the plain call's.
    #[test]
    fn a_stream_says_what_a_plain_answer_says(thinking in "[a-z😀\"]{0,6}", said in "[a-zé\n]{0,6}", calls in 0..3_usize) {
        let calls: Vec<_> = (0..calls).collect();
        let mut steps = vec![Step::Thinking(thinking.clone()), Step::Text(said.clone())];
        steps.extend(calls.iter().map(|at| Step::Call(*at, 100)));
        let (stream, ..) = stream(&steps, "stop");
        let chat = json!({
            "model": "m",
            "choices": [{"index": 0, "finish_reason": "stop", "message": {
                "reasoning_content": thinking, "content": said,
                "tool_calls": calls.iter().map(|at| json!({"id": format!("id{at}"), "function": {"name": "f", "arguments": ARGUMENTS[*at]}})).collect::<Vec<_>>(),
            }}],
            "usage": {"prompt_tokens": 5, "completion_tokens": 3},
        });
        let (plain, _) = whole(options(false), chat.to_string().as_bytes()).unwrap();
        prop_assert_eq!(assembled(&events(stream.as_bytes())), serde_json::from_slice::<Value>(&plain).unwrap());
    }

    /// No bytes make it panic, and it always ends.
    #[test]
    fn any_bytes(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
        let mut converter = MessageConverter::new(options(true));
        let _events = converter.push(&[b"data: ", &bytes[..], b"\n\n"].concat());
        let _events = converter.finish();
        prop_assert!(converter.is_done());
        let _plain = whole(options(false), &bytes);
    }
}
