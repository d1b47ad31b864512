use super::*;
use crate::test;
use crate::wire::splice;

fn disabled(body: &str) -> String {
    edited(body, disable(body.as_bytes()).unwrap())
}

fn forced(body: &str) -> String {
    edited(body, force(body.as_bytes()).unwrap())
}

fn edited(body: &str, edits: Vec<Edit>) -> String {
    String::from_utf8(splice::apply(body.as_bytes(), &edits).expect("edits in order")).unwrap()
}

#[test]
fn disable_takes_one_comma_along() {
    for (body, want) in [
        (r#"{"a":1}"#, r#"{"a":1}"#),
        (r#"{"cache_control":{}}"#, "{}"),
        (r#"{ "cache_control" : null }"#, "{  }"),
        (r#"{"cache_control":{"type":"ephemeral"},"a":1}"#, r#"{"a":1}"#),
        (r#"{"a":1 , "cache_control":{} , "b":2}"#, r#"{"a":1 , "b":2}"#),
        (r#"{"a":1,"cache_control":{}}"#, r#"{"a":1}"#),
        (r#"{"a":1,"cache_control":1,"cache_control":2}"#, r#"{"a":1}"#),
        (r#"{"cache_control":1,"cache_control":2}"#, "{}"),
        (r#"{"cache_control":1, "cache_control":2, "a":3}"#, r#"{"a":3}"#),
        (r#"{"cache_control":1,"a":3,"cache_control":[{"cache_control":1}]}"#, r#"{"a":3}"#),
        (r#"{"cach\u0065_control":1,"a":{"cache_control":1}}"#, r#"{"a":{}}"#),
        (
            r#"[{"cache_control":1},[{"b":2,"cache_control":"x"}],"cache_control"]"#,
            r#"[{},[{"b":2}],"cache_control"]"#,
        ),
        (
            r#"{"cache_control":{"a":[{}]},"b":{"cache_control":1,"c":[]},"cache_control":1}"#,
            r#"{"b":{"c":[]}}"#,
        ),
        (r#"{"Cache_Control":1,"cache_controls":2}"#, r#"{"Cache_Control":1,"cache_controls":2}"#),
        ("7", "7"),
    ] {
        assert_eq!(disabled(body), want, "{body}");
    }
}

#[test]
fn disable_reaches_every_place() {
    let body = r#"{"model":"m","cache_control":{"type":"ephemeral"},"system":[{"type":"text","text":"s","cache_control":{"type":"ephemeral"}}],
 "tools":[{"type":"function","function":{"name":"f"},"cache_control":{"type":"ephemeral"}}],
 "messages":[{"role":"user","content":[{"type":"text","text":"say \"cache_control\"","cache_control":{"type":"ephemeral","ttl":"1h"}}]}]}"#;
    let want = r#"{"model":"m","system":[{"type":"text","text":"s"}],
 "tools":[{"type":"function","function":{"name":"f"}}],
 "messages":[{"role":"user","content":[{"type":"text","text":"say \"cache_control\""}]}]}"#;
    assert_eq!(disabled(body), want);
}

#[test]
fn force_marks_the_last_system_message_and_the_last_message() {
    const M: &str = r#","cache_control":{"type":"ephemeral"}"#;
    for (body, want) in [
        (
            r#"{"messages":[{"role":"system","content":"a"},{"role":"system","content":"é\n"},{"role":"user","content":"b"},{"role":"user","content":"c"}]}"#,
            format!(r#"{{"messages":[{{"role":"system","content":"a"}},{{"role":"system","content":[{{"type":"text","text":"é\n"{M}}}]}},{{"role":"user","content":"b"}},{{"role":"user","content":[{{"type":"text","text":"c"{M}}}]}}]}}"#),
        ),
        (
            r#"{"messages":[{"content":[{"type":"text","text":"x"},{"type":"text","text":"y" } ],"role":"developer"}]}"#,
            format!(r#"{{"messages":[{{"content":[{{"type":"text","text":"x"}},{{"type":"text","text":"y"{M} }} ],"role":"developer"}}]}}"#),
        ),
        (
            r#"{"messages":[{"role":"user","content":[{"type":"text","text":"x","cache_control":null}]}]}"#,
            r#"{"messages":[{"role":"user","content":[{"type":"text","text":"x","cache_control":{"type":"ephemeral"}}]}]}"#.to_owned(),
        ),
        (
            r#"{"messages":[{"role":"user","content":"x"}],"system":"s"}"#,
            format!(r#"{{"messages":[{{"role":"user","content":[{{"type":"text","text":"x"{M}}}]}}],"system":[{{"type":"text","text":"s"{M}}}]}}"#),
        ),
        (
            r#"{"input":"hi"}"#,
            format!(r#"{{"input":[{{"role":"user","content":[{{"type":"input_text","text":"hi"{M}}}]}}]}}"#),
        ),
        (
            r#"{"input":[{"role":"developer","content":"d"},{"role":"assistant","content":"a"},{"type":"function_call_output","output":"o"}]}"#,
            format!(r#"{{"input":[{{"role":"developer","content":[{{"type":"input_text","text":"d"{M}}}]}},{{"role":"assistant","content":[{{"type":"output_text","text":"a"{M}}}]}},{{"type":"function_call_output","output":"o"}}]}}"#),
        ),
        // A parameter of a tool is no marker.
        (
            r#"{"tools":[{"function":{"parameters":{"properties":{"a":{"properties":{"cache_control":{}}},"cache_control":{"type":"string"}}}}}],"messages":[{"role":"user","content":"x"}]}"#,
            format!(r#"{{"tools":[{{"function":{{"parameters":{{"properties":{{"a":{{"properties":{{"cache_control":{{}}}}}},"cache_control":{{"type":"string"}}}}}}}}}}],"messages":[{{"role":"user","content":[{{"type":"text","text":"x"{M}}}]}}]}}"#),
        ),
    ] {
        assert_eq!(forced(body), want, "{body}");
        assert_eq!(forced(&want), want, "not twice: {want}");
    }
}

#[test]
fn force_leaves_alone() {
    for body in [
        r#"{"messages":[{"role":"user","content":[{"type":"text","text":"x","cache_control":{"type":"ephemeral"}}]},{"role":"user","content":"y"}]}"#,
        r#"{"cache_control":{"type":"ephemeral"},"messages":[{"role":"user","content":"y"}]}"#,
        r#"{"tools":[{"properties":{},"cache_control":{}}],"messages":[{"role":"user","content":"y"}]}"#,
        r#"{"tools":[{"properties":{"a":{"cache_control":{}}}}],"messages":[{"role":"user","content":"y"}]}"#,
        r#"{"messages":[{"role":"assistant","content":null,"tool_calls":[]}]}"#,
        r#"{"messages":[{"role":"user"}]}"#,
        r#"{"messages":[{"role":"user","content":""}]}"#,
        r#"{"messages":[{"role":"user","content":[]}]}"#,
        r#"{"messages":[{"role":"user","content":[{}]}]}"#,
        r#"{"messages":[{"role":"user","content":[{"type":"text","text":""}]}]}"#,
        r#"{"messages":[{"role":"function","name":"f","content":"y"}]}"#,
        r#"{"messages":[]}"#,
        r#"{"messages":7,"input":8}"#,
        r#"{"prompt":"x"}"#,
        r#"{"input":[]}"#,
        "[]",
    ] {
        assert_eq!(forced(body), body, "{body}");
    }
}

#[test]
fn what_is_no_json_is_refused() {
    for body in ["", "{", r#"{"a":1}x"#, r#"{"cache_control":}"#, &"[".repeat(100_000)] {
        assert_eq!(disable(body.as_bytes()).unwrap_err().code, Code::InvalidJson);
        assert_eq!(force(body.as_bytes()).unwrap_err().code, Code::InvalidJson);
    }
}

#[cfg(not(target_arch = "wasm32"))]
mod laws {
    use proptest::collection::vec;
    use proptest::prelude::*;
    use serde_json::{Value as Json, json};

    use super::*;

    /// Text of a JSON value with white space and escapes as a client might write them, rich in
    /// markers.
    fn text(depth: u32) -> BoxedStrategy<String> {
        let space = || prop_oneof![Just(""), Just(" "), Just("\n\t")];
        let scalar = prop_oneof![
            Just("null".to_owned()),
            Just("-1.5e3".to_owned()),
            Just(r#""\"cache_control\":{}""#.to_owned()),
            Just(r#""}é\u007b""#.to_owned()),
            Just("{}".to_owned()),
            Just("[]".to_owned()),
        ];
        if depth == 0 {
            return scalar.boxed();
        }
        let key = prop_oneof![
            3 => Just(r#""cache_control""#),
            1 => Just(r#""cache\u005fcontrol""#),
            2 => Just(r#""a""#),
            2 => Just(r#""b""#),
            1 => Just(r#""properties""#),
        ];
        let member = (space(), key, space(), text(depth - 1), space())
            .prop_map(|(a, key, b, value, c)| format!("{a}{key}{b}:{value}{c}"));
        let element =
            (space(), text(depth - 1), space()).prop_map(|(a, value, b)| format!("{a}{value}{b}"));
        prop_oneof![
            1 => scalar,
            4 => vec(member, 0..5).prop_map(|members| format!("{{{}}}", members.join(","))),
            2 => vec(element, 0..4).prop_map(|elements| format!("[{}]", elements.join(","))),
        ]
        .boxed()
    }

    fn strip(value: &mut Json) {
        match value {
            Json::Object(members) => {
                members.remove("cache_control");
                members.values_mut().for_each(strip);
            }
            Json::Array(elements) => elements.iter_mut().for_each(strip),
            _ => {}
        }
    }

    fn message() -> impl Strategy<Value = String> {
        let role = prop_oneof![
            Just("system"),
            Just("developer"),
            Just("user"),
            Just("assistant"),
            Just("tool")
        ];
        let content = prop_oneof![
            Just(r#""""#.to_owned()),
            Just("null".to_owned()),
            Just(r#""t\n\"x\"""#.to_owned()),
            vec(
                prop_oneof![
                    Just(r#"{"type":"text","text":"p"}"#.to_owned()),
                    Just(r#"{ "type":"image_url", "image_url":{"url":"u"} }"#.to_owned()),
                    Just(r#"{"text":"q","type":"text","cache_control":null}"#.to_owned()),
                ],
                0..3
            )
            .prop_map(|parts| format!("[{}]", parts.join(" , "))),
        ];
        (role, content, any::<bool>()).prop_map(|(role, content, first)| {
            if first {
                format!(r#"{{"role":"{role}","content":{content}}}"#)
            } else {
                format!(r#"{{"content":{content}, "role":"{role}"}}"#)
            }
        })
    }

    /// The plain way to force: on a tree.
    fn force_tree(body: &mut Json) {
        let messages = body["messages"].as_array_mut().unwrap();
        let is_system =
            |message: &Json| matches!(message["role"].as_str(), Some("system" | "developer"));
        let system = messages.iter().rposition(is_system);
        let last = messages.len().checked_sub(1);
        for at in [system, last].into_iter().flatten() {
            let content = &mut messages[at]["content"];
            if let Some(text) = content.as_str().filter(|text| !text.is_empty()) {
                *content = json!([{"type": "text", "text": text}]);
            }
            if let Some(part) = content.as_array_mut().and_then(|parts| parts.last_mut()) {
                part["cache_control"] = json!({"type": "ephemeral"});
            }
        }
    }

    proptest! {
        #[test]
        fn disable_is_removal_and_nothing_else(body in text(4), id in "[a-z/\"é]{0,9}") {
            let edits = disable(body.as_bytes()).unwrap();
            let after = edited(&body, edits.clone());
            let mut want: Json = serde_json::from_str(&body).unwrap();
            strip(&mut want);
            prop_assert_eq!(serde_json::from_str::<Json>(&after).unwrap(), want.clone());
            prop_assert_eq!(&disabled(&after), &after);
            // Nothing is inserted, so every byte that is left is one of the original in its place.
            prop_assert!(edits.iter().all(|edit| edit.with.is_empty()));

            // Together with an edit of the model.
            let model = serde_json::to_string(&id).unwrap();
            let body = format!(r#"{{"cache_control":1,"model":"m","cache_control":{body},"x":{body}}}"#);
            let mut edits = disable(body.as_bytes()).unwrap();
            let span = cursor::parse(body.as_bytes()).unwrap().get("model").unwrap().span();
            edits.push(Edit { span, with: model.into_bytes() });
            edits.sort_by_key(|edit| edit.span.start);
            let after: Json = serde_json::from_str(&edited(&body, edits)).unwrap();
            prop_assert_eq!(after, json!({"model": id, "x": want}));
        }

        #[test]
        fn force_is_what_a_tree_would_give(messages in vec(message(), 0..5)) {
            let body = format!(r#"{{"messages": [{}] ,"model":"m"}}"#, messages.join(" ,"));
            let edits = force(body.as_bytes()).unwrap();
            let after = edited(&body, edits.clone());
            let mut want: Json = serde_json::from_str(&body).unwrap();
            force_tree(&mut want);
            prop_assert_eq!(serde_json::from_str::<Json>(&after).unwrap(), want);
            prop_assert_eq!(&forced(&after), &after);
            // Insertions, and markers in the place of null: nothing of the original is lost.
            prop_assert!(edits.iter().all(|edit| matches!(body.get(edit.span.clone()), Some("" | "null"))));
        }
    }
}
