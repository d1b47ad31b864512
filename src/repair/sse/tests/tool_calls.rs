//! Tool call deltas.

use super::shapes::{data, read_chat, with_choice};
use super::*;

fn calls(deltas: &[&str]) -> Vec<(String, String, String)> {
    let chunks: Vec<String> = deltas
        .iter()
        .map(|calls| {
            with_choice(&format!(
                r#"{{"index":0,"delta":{{"tool_calls":[{calls}]}},"finish_reason":null}}"#
            ))
        })
        .chain([with_choice(r#"{"index":0,"delta":{},"finish_reason":"tool_calls"}"#)])
        .collect();
    let chunks: Vec<&str> = chunks.iter().map(String::as_str).collect();
    read_chat(&data(&chunks)).tool_calls
}

#[test]
fn tool_calls_are_kept_apart() {
    let call = |id: &str, name: &str, arguments: &str| {
        (id.to_owned(), name.to_owned(), arguments.to_owned())
    };
    let two = [call("a", "f", "{}"), call("b", "g", "{}")];
    // No index: by id, over two chunks and in one.
    let f = r#"{"id":"a","type":"function","function":{"name":"f","arguments":"{}"}}"#;
    let g = r#"{"id":"b","type":"function","function":{"name":"g","arguments":"{}"}}"#;
    assert_eq!(calls(&[f, g]), two);
    assert_eq!(calls(&[&format!("{f},{g}")]), two);
    // An index that lies.
    let zero = |call: &str| call.replacen('{', r#"{"index":0,"#, 1);
    assert_eq!(calls(&[&zero(f), &zero(g)]), two);
    let more = r#"{"index":0,"function":{"arguments":" "}}"#;
    let spaced = [call("a", "f", "{}  "), call("b", "g", "{}  ")];
    assert_eq!(calls(&[&zero(f), more, more, &zero(g), more, more]), spaced);
    // Id and name again with each delta; a new id with each delta; null ones; nothing at all.
    let start = r#"{"index":0,"id":"a","type":"function","function":{"name":"f","arguments":"{"}}"#;
    for more in [
        r#"{"index":0,"id":"a","type":"function","function":{"name":"f","arguments":"}"}}"#,
        r#"{"index":0,"id":"zz","function":{"arguments":"}"}}"#,
        r#"{"index":0,"id":null,"function":{"name":null,"arguments":"}"}}"#,
        r#"{"index":0,"id":"","function":{"name":"","arguments":"}"}}"#,
        r#"{"index":0,"function":{"arguments":"}"}}"#,
        r#"{"function":{"arguments":"}"}}"#,
        r#"{"index":null,"function":{"arguments":"}"}}"#,
    ] {
        assert_eq!(calls(&[start, more]), [call("a", "f", "{}")], "{more}");
    }
    // No id anywhere: one is made, the same every time, another for each call.
    let nameless =
        r#"{"function":{"name":"f","arguments":"{}"}},{"function":{"name":"g","arguments":"{}"}}"#;
    let made = calls(&[nameless]);
    assert_eq!(made, calls(&[nameless]));
    assert!(made[0].0.starts_with("call_") && made[0].0.len() == 29 && made[0].0 != made[1].0);
    assert_eq!((made[0].1.as_str(), made[1].1.as_str()), ("f", "g"));
}

fn named(calls: &[(String, String, String)]) -> Vec<(&str, &str)> {
    calls.iter().map(|(_, name, arguments)| (name.as_str(), arguments.as_str())).collect()
}

#[test]
fn whole_calls_of_one_function_are_kept_apart() {
    let piece = |arguments: &str| {
        let arguments = Value::from(arguments);
        format!(r#"{{"index":0,"function":{{"name":"f","arguments":{arguments}}}}}"#)
    };
    let more = r#"{"index":0,"function":{"arguments":"1}"}}"#;
    let two = [("f", r#"{"p":0}"#), ("f", r#"{"p":1}"#)];
    let got = calls(&[&piece(r#"{"p":0}"#), &piece(r#"{"p":1}"#)]);
    assert_eq!(named(&got), two);
    assert_ne!(got[0].0, got[1].0);
    let got = calls(&[&piece(r#"{"p":"#), &piece("0}"), &piece(r#"{"p":"#), more]);
    assert_eq!(named(&got), two);
    // The name with every piece, and pieces that only look like an end and a beginning.
    let got = calls(&[&piece(r#"{"p":"{}"#), &piece("{}"), &piece("\"}"), &piece(" "), &piece("")]);
    assert_eq!(named(&got), [("f", r#"{"p":"{}{}"} "#)]);
    let escaped = calls(&[&piece("{\"p\":\"\\"), &piece("\"}"), &piece("{\"}")]);
    assert_eq!(named(&escaped), [("f", "{\"p\":\"\\\"}{\"}")]);
}

#[test]
fn the_keys_of_a_map_are_indices() {
    let choice =
        |calls: &str| with_choice(&format!(r#"{{"index":0,"delta":{{"tool_calls":{calls}}}}}"#));
    let name = |name: &str| format!(r#"{{"function":{{"name":"{name}","arguments":""}}}}"#);
    let more = |arguments: &str| format!(r#"{{"function":{{"arguments":"{arguments}"}}}}"#);
    let read = |chunks: &[String]| {
        let mut payloads: Vec<&str> = chunks.iter().map(String::as_str).collect();
        let end = with_choice(r#"{"index":0,"delta":{},"finish_reason":"tool_calls"}"#);
        payloads.push(&end);
        read_chat(&data(&payloads)).tool_calls
    };
    let want = [("f", "{}"), ("g", "[]")];
    let (f, g) = (name("f"), name("g"));
    for first in [format!(r#"{{"0":{f},"1":{g}}}"#), format!(r#"{{"1":{g},"0":{f}}}"#)] {
        let got = read(&[
            choice(&first),
            choice(&format!(r#"{{"0":{}}}"#, more("{}"))),
            choice(&format!(r#"{{"1":{}}}"#, more("[]"))),
        ]);
        assert_eq!(named(&got), want, "{first}");
    }
    // As a text, and in a message that repeats what was said.
    let text = Value::from(format!(r#"{{"0":{f},"1":{g}}}"#)).to_string();
    let all = format!(
        r#"{{"1":{},"0":{}}}"#,
        g.replace(r#""""#, r#""[]""#),
        f.replace(r#""""#, r#""{}""#)
    );
    let message =
        with_choice(&format!(r#"{{"index":0,"message":{{"content":null,"tool_calls":{all}}}}}"#));
    assert_eq!(named(&read(&[choice(&text), message])), want);
}

#[test]
fn canonical_tool_calls_are_not_copied() {
    let body = data(&[
        &with_choice(
            r#"{"index":0,"delta":{"tool_calls":[{"index":0,"id":"a","type":"function","function":{"name":"f","arguments":""}}]},"finish_reason":null}"#,
        ),
        &with_choice(
            r#"{"index":0,"delta":{"tool_calls":[{"index":0,"function":{"arguments":"{}"}}]},"finish_reason":null}"#,
        ),
        &with_choice(r#"{"index":0,"delta":{},"finish_reason":"tool_calls"}"#),
        "[DONE]",
    ]);
    assert_eq!(
        SseNormalizer::new(options(StreamKind::Chat)).push(body.as_bytes()),
        StreamOutput::Unchanged
    );
}
