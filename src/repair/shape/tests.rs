use super::*;
use crate::test;

const CHAT: &str = r#"{"id":"chatcmpl-1","object":"chat.completion","created":1763731200,"model":"llama","choices":[{"index":0,"message":{"role":"assistant","content":"Hi","refusal":null},"finish_reason":"stop"}],"usage":{"prompt_tokens":57,"completion_tokens":31,"total_tokens":88}}"#;
const CALL: &str = r#"{"id":"1","choices":[{"index":0,"message":{"role":"assistant","content":null,"tool_calls":[{"id":"call_1","type":"function","function":{"name":"f","arguments":"{}"}}]},"finish_reason":"tool_calls"}],"usage":{"prompt_tokens":1,"completion_tokens":1,"total_tokens":2,"prompt_tokens_details":{"cached_tokens":0}}}"#;

/// What is known of `answer` once `first` was good.
fn after(first: &str, answer: &str) -> Option<KnownAnswer> {
    let shapes = Shapes::default();
    shapes.see(Operation::ChatCompletions, first.as_bytes(), 1);
    shapes.known(Operation::ChatCompletions, answer.as_bytes())
}

#[test]
fn the_next_answer_of_a_server_is_known() {
    let known = KnownAnswer { cached: false, choices: 1, has_ended: true };
    assert_eq!(after(CHAT, CHAT), Some(known));
    let next = CHAT
        .replace("chatcmpl-1", "chatcmpl-22")
        .replace("1763731200", "1763731201")
        .replace("llama", "llama-3")
        .replace("Hi", r#"Say \"é\", \u00e9:\n{\"choices\":[]}"#)
        .replace(":57,", ":0,")
        .replace(":88", ":123456789012345");
    assert_eq!(after(CHAT, &next), Some(known));
    let next = CALL.replace("{}", r#"{\"a\":1}"#).replace("call_1", "x");
    assert_eq!(after(CALL, &next), Some(known));
    let cached = CALL.replace(r#""cached_tokens":0"#, r#""cached_tokens":7"#);
    assert_eq!(
        after(CALL, &cached),
        Some(KnownAnswer { cached: true, choices: 1, has_ended: true })
    );
}

#[test]
fn another_one_is_not() {
    for (old, new) in [
        ("chat.completion", "error"),
        ("\"Hi\"", "null"),
        ("\"Hi\"", "7"),
        ("\"Hi\"", "\"H\ti\""),
        ("\"Hi\"", r#""\x""#),
        ("\"Hi\"", "\"Hi"),
        ("assistant", "user"),
        ("\"stop\"", "\"error\""),
        ("\"stop\"", "\"length\""),
        (":57,", ":57.0,"),
        (":57,", ":-1,"),
        (":57,", ":057,"),
        (":57,", ":,"),
        (":57,", ":null,"),
        (":57,", ":1234567890123456,"),
        ("1763731200", "1763731200000"),
        ("\"refusal\":null", "\"refusal\":\"No.\""),
        ("}}", "},\"error\":{}}"),
        ("}}", "}}{}"),
        ("}}", "}"),
        ("{\"id\"", " {\"id\""),
        ("}]", "},{}]"),
    ] {
        let answer = CHAT.replacen(old, new, 1);
        assert_ne!(answer, CHAT, "{old}");
        assert_eq!(after(CHAT, &answer), None, "{new} for {old}");
    }
    assert_eq!(after(CALL, &CALL.replace("call_1", "")), None, "an id that is none");
    let mut broken = CHAT.as_bytes().to_vec();
    let at = CHAT.find("Hi").unwrap();
    broken[at] = 0xff;
    let shapes = Shapes::default();
    shapes.see(Operation::ChatCompletions, CHAT.as_bytes(), 1);
    assert_eq!(shapes.known(Operation::ChatCompletions, &broken), None, "no UTF-8");
    assert_eq!(shapes.known(Operation::Completions, CHAT.as_bytes()), None, "another operation");
}

#[test]
fn what_is_met_stays_and_what_is_not_goes() {
    let shapes = Shapes::default();
    let other = |n: usize| CHAT.replace("stop", &"x".repeat(n + 1));
    let known = |text: &str| shapes.known(Operation::ChatCompletions, text.as_bytes()).is_some();
    shapes.see(Operation::ChatCompletions, CHAT.as_bytes(), 1);
    let mut met = 0;
    for n in 0..500 {
        shapes.see(Operation::ChatCompletions, other(n).as_bytes(), 1);
        assert!(known(CHAT), "{n}");
        met += u32::from(known(&other(n)));
    }
    assert!((30..80).contains(&met), "{met} of 500: one in {KEPT_ONE_IN}");
    assert!(!known(&other(0)));
    assert_eq!(shapes.kept.borrow().len(), MOST_SHAPES);
}

#[test]
fn a_shape_has_bounds() {
    let keeps = |answer: &str| after(answer, answer).is_some();
    assert!(keeps(&CHAT.replace("Hi", &"Hi".repeat(100_000))), "a gap is not kept");
    assert!(!keeps(&CHAT.replace("stop", &"s".repeat(MOST_BYTES))));
    let call = r#"{"id":"c","type":"function","function":{"arguments":"{}"}},"#;
    assert!(!keeps(
        &CALL.replace(r#"{"id":"call_1""#, &format!("{}{{\"id\":\"c\"", call.repeat(MOST_GAPS)))
    ));
    let twice = CHAT.replace("}}", r#"},"usage":{"cached_tokens":3}}"#);
    assert!(!keeps(&twice), "which usage counts is not to be told twice");
}
