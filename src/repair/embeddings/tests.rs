use super::recognise::WINDOW;
use super::*;
use crate::test;
use serde_json::{Value, json};

fn facts(inputs: usize, format: Format) -> EmbeddingsFacts {
    EmbeddingsFacts { inputs: Some(inputs), format, model: "m".to_owned() }
}

fn rebuild<'a>(body: &'a [u8], facts: &EmbeddingsFacts) -> Result<Cow<'a, [u8]>, GatewayError> {
    super::rebuild::rebuild(body, facts).map(|(_, out)| out)
}

fn rebuilt(inputs: usize, body: &str) -> Value {
    let facts = facts(inputs, Format::Float);
    let out = answer(body.as_bytes(), &facts).unwrap_or_else(|error| panic!("{body}: {error:?}"));
    serde_json::from_slice(&out).unwrap()
}

fn vectors(body: &Value) -> Value {
    body["data"].as_array().unwrap().iter().map(|item| item["embedding"].clone()).collect()
}

#[test]
fn every_shape_of_one_vector() {
    for body in [
        "[0.25,-0.5]",
        "[[0.25,-0.5]]",
        "[[[0.25,-0.5]]]",
        r#"{"embedding":[0.25,-0.5]}"#,
        r#"{"embedding":[[0.25,-0.5]]}"#,
        r#"{"embedding":{"values":[0.25,-0.5]}}"#,
        r#"{"embeddings":[[0.25,-0.5]]}"#,
        r#"{"embeddings":[{"values":[0.25,-0.5]}]}"#,
        r#"{"embeddings":{"float":[[0.25,-0.5]]}}"#,
        r#"{"data":[0.25,-0.5]}"#,
        r#"{"data":["0.25","-.5"]}"#,
        r#"{"data":[[0.25,-0.5]]}"#,
        r#"{"data":[{"embedding":[0.25,-0.5]}]}"#,
        r#"{"data":[{"embedding":[["0.25","-0.5"]]}]}"#,
        r#"{"data":[{"embedding":"AACAPgAAAL8="}]}"#,
        r#"{"data":[{"embedding":"AACAPgAAAL8"}]}"#,
        r#"{"data":[{"embedding":"[0.25,-0.5]"}]}"#,
        r#"{"data":["AACAPgAAAL8="]}"#,
        r#"{"data":null,"embeddings":[[0.25,-0.5]]}"#,
        r#"{"output":{"embeddings":[{"text_index":0,"embedding":[0.25,-0.5]}]}}"#,
        r#"{"result":{"shape":[1,2],"data":[[0.25,-0.5]]},"success":true}"#,
        r#"{"predictions":[{"embeddings":{"values":[0.25,-0.5],"statistics":{}}}]}"#,
        r#"[{"index":0,"embedding":[[0.25,-0.5]]}]"#,
        "\n\n{\"data\":[{\"embedding\":[0.25,-0.5]}]}\ndata: [DONE]\n",
    ] {
        let out = rebuilt(1, body);
        assert_eq!(out["object"], "list", "{body}");
        assert_eq!(out["model"], "m", "{body}");
        assert_eq!(out["usage"], json!({"prompt_tokens":0,"total_tokens":0}), "{body}");
        assert_eq!(
            out["data"],
            json!([{"object":"embedding","index":0,"embedding":[0.25,-0.5]}])
                .as_array()
                .map(|items| {
                    let mut item = items[0].clone();
                    if body.contains("text_index") {
                        item["text_index"] = json!(0);
                    }
                    json!([item])
                })
                .unwrap(),
            "{body}"
        );
    }
}

#[test]
fn every_shape_of_two_vectors() {
    for body in [
        "[1,2,3,4]",
        "[[1,2],[3,4]]",
        "[[[1,2]],[[3,4]]]",
        "[[[1,2],[3,4]]]",
        r#"{"data":[1,2,3,4]}"#,
        r#"{"embedding":[1,2,3,4]}"#,
        r#"{"embedding":[[1,2],[3,4]]}"#,
        r#"{"data":[{"embedding":[[1,2],[3,4]]}]}"#,
        r#"{"data":[{"embedding":[3,4],"index":1},{"embedding":[1,2],"index":0}]}"#,
        r#"{"data":[{"embedding":[3,4],"index":7},{"embedding":[1,2],"index":"3"}]}"#,
        r#"{"data":[{"embedding":[1,2],"index":0},{"embedding":[3,4],"index":0}]}"#,
        r#"{"data":[{"embedding":[1,2],"index":9},{"embedding":[3,4]}]}"#,
    ] {
        assert_eq!(vectors(&rebuilt(2, body)), json!([[1, 2], [3, 4]]), "{body}");
    }
}

#[test]
fn one_vector_with_numbers_for_each_input() {
    for (inputs, body, status, word) in [
        (Some(1), r#"{"object":"","data":null,"model":"","usage":{}}"#, 502, "no vector"),
        (Some(2), r#"{"data":[]}"#, 502, "no vector"),
        (None, r#"{"embeddings":[]}"#, 502, "no vector"),
        (Some(1), r#"{"data":[{"object":"embedding","index":0,"embedding":[]}]}"#, 502, "empty"),
        (Some(1), r#"{"data":[{"object":"embedding","index":0,"embedding":[ ]}]}"#, 502, "empty"),
        (Some(1), r#"{"data":[{"embedding":""}]}"#, 502, "empty"),
        (Some(2), r#"{"embeddings":[[0.5],[]]}"#, 502, "empty"),
        (
            Some(1),
            r#"{"data":[{"index":0,"error":{"message":"not this one","code":413}}]}"#,
            413,
            "not this one",
        ),
        (
            Some(2),
            r#"{"data":[{"embedding":[1]},{"embedding":null,"error":"worker lost"}]}"#,
            502,
            "worker lost",
        ),
        (
            Some(1),
            r#"{"embeddings":[{"error":{"message":"slow","code":"rate_limit_exceeded"}}]}"#,
            429,
            "slow",
        ),
        (Some(1), r#"{"data":[{"embedding":[0.5,NaN]}]}"#, 502, "NaN"),
        (Some(1), r#"{"data":[{"embedding":[0.5,-Infinity]}]}"#, 502, "NaN"),
    ] {
        for format in [Format::Float, Format::Base64] {
            let asked = EmbeddingsFacts { inputs, format, model: "m".to_owned() };
            let error = answer(body.as_bytes(), &asked).unwrap_err();
            assert_eq!(error.status, status, "{body}");
            assert!(error.error.message.contains(word), "{body}: {}", error.error.message);
            let mut recogniser = Recogniser::new(&asked);
            recogniser.push(body.as_bytes());
            assert!(!recogniser.is_canonical(inputs), "{body}");
        }
    }
}

#[test]
fn nearly_json_is_mended_around_the_vectors() {
    let body = b"{\"data\":[{\"embedding\":[0.5],\"score\":NaN}],\"model\":\"a\tb\xff\"}";
    let out = answer(body, &facts(1, Format::Float)).unwrap();
    let out: Value = serde_json::from_slice(&out).unwrap();
    assert_eq!(out["data"][0]["score"], Value::Null);
    assert_eq!(
        (&out["data"][0]["embedding"], &out["model"]),
        (&json!([0.5]), &json!("a\tb\u{fffd}"))
    );
}

#[test]
fn usage_is_completed_and_other_fields_are_kept() {
    for (members, want) in [
        (
            r#""usage":{"total_tokens":5,"cost":1}"#,
            json!({"prompt_tokens":5,"total_tokens":5,"cost":1}),
        ),
        (r#""usage":{"prompt_tokens":5}"#, json!({"prompt_tokens":5,"total_tokens":5})),
        (
            r#""usage":{"input_tokens":5}"#,
            json!({"prompt_tokens":5,"total_tokens":5,"input_tokens":5}),
        ),
        (
            r#""usage":{"prompt_tokens":5,"total_tokens":6}"#,
            json!({"prompt_tokens":5,"total_tokens":6}),
        ),
        (r#""usage":null,"prompt_eval_count":5"#, json!({"prompt_tokens":5,"total_tokens":5})),
        (
            r#""usage":{"prompt_tokens":null,"total_tokens":0}"#,
            json!({"prompt_tokens":0,"total_tokens":0}),
        ),
        (
            r#""usage":{"prompt_tokens":5.0,"total_tokens":6e0}"#,
            json!({"prompt_tokens":5,"total_tokens":6}),
        ),
        (
            r#""usage":{"prompt_tokens":-1,"total_tokens":6}"#,
            json!({"prompt_tokens":0,"total_tokens":0}),
        ),
        (
            r#""usage":{"prompt_tokens":5,"total_tokens":1e30}"#,
            json!({"prompt_tokens":0,"total_tokens":0}),
        ),
        (
            r#""usage":{"prompt_tokens":1.5,"total_tokens":-6}"#,
            json!({"prompt_tokens":0,"total_tokens":0}),
        ),
    ] {
        let body = format!(r#"{{"id":"x","data":[{{"embedding":[1],"why":"y"}}],{members}}}"#);
        let out = rebuilt(1, &body);
        assert_eq!(out["usage"], want, "{members}");
        assert_eq!((&out["id"], &out["data"][0]["why"]), (&json!("x"), &json!("y")));
    }
}

#[test]
fn numbers_are_copied_as_text() {
    let digits = "0.12345678901234567890123456789";
    let body = format!(r#"{{"embedding":[{digits},1e-7,-0]}}"#);
    let out = answer(body.as_bytes(), &facts(1, Format::Float)).unwrap();
    let out = String::from_utf8(out.into_owned()).unwrap();
    assert!(out.contains(&format!("[{digits},1e-7,-0]")), "{out}");
}

#[test]
fn base64_when_it_is_asked_for() {
    for body in [
        "[0.25,-0.5,1.0]",
        r#"{"data":[{"embedding":["0.25","-0.5","1"]}]}"#,
        r#"{"data":[{"embedding":"AACAPgAAAL8AAIA_"}]}"#,
        r#"{"data":[{"embedding":"AACAPgAAAL8AAIA/"}]}"#,
    ] {
        let out = answer(body.as_bytes(), &facts(1, Format::Base64)).unwrap();
        let out: Value = serde_json::from_slice(&out).unwrap();
        assert_eq!(vectors(&out), json!(["AACAPgAAAL8AAIA/"]), "{body}");
    }
}

#[test]
fn what_cannot_be_said_is_502() {
    for (inputs, body, word) in [
        (1, r#"{"data":[{"index":0,"embedding":[[1],[2]]}]}"#, "several vectors"),
        (1, "[[1],[2]]", "several vectors"),
        (2, "[[1],[2],[3]]", "more than 2"),
        (3, "[[1],[2]]", "2 vectors for 3"),
        (2, "[1,2,3]", "divided"),
        (2, r#"{"data":[{"embedding":[[1],[2]]},{"embedding":[[1],[2]]}]}"#, "several vectors"),
        (1, r#"[[{"index":7,"value":0.5}]]"#, "sparse"),
        (1, r#"[{"index":7,"value":0.5}]"#, "sparse"),
        (1, r#"{"data":[{"indices":[1],"values":[2]}]}"#, "sparse"),
        (1, r#"{"data":[{"embedding":[NaN,1]}]}"#, "NaN"),
        (1, r#"{"data":[{"embedding":[-Infinity,1]}]}"#, "NaN"),
        (1, r#"{"data":[{"embedding":["NaN",1]}]}"#, "NaN"),
        (1, r#"{"data":[{"embedding":[1,null]}]}"#, "null"),
        (1, r#"{"data":[{"embedding":[1e999]}]}"#, "NaN"),
        (1, r#"{"data":[{"embedding":"AADAfw=="}]}"#, "NaN"),
        (1, r#"{"data":[{"embedding":"hello!"}]}"#, "base64"),
        (1, r#"{"data":[{"embedding":[1,"x"]}]}"#, "other than numbers"),
        (1, r#"{"data":[{"embedding":null}]}"#, "no vector"),
        (1, r#"{"data":[{}]}"#, "no vector"),
        (1, r#"{"a":1}"#, "no vector"),
        (1, r#"{"data":[{"embedding":[1"#, "cut off"),
        (1, "", "empty"),
    ] {
        let error = answer(body.as_bytes(), &facts(inputs, Format::Float)).unwrap_err();
        assert_eq!(
            (error.status, error.error.code.as_deref()),
            (502, Some("invalid_upstream_response")),
            "{body}"
        );
        assert!(error.error.message.contains(word), "{body}: {}", error.error.message);
    }
}

#[test]
fn an_error_in_200_is_that_error() {
    let error =
        answer(br#"{"error":{"code":429,"message":"slow down"}}"#, &facts(1, Format::Float));
    assert_eq!(error.unwrap_err().status, 429);
}

#[test]
fn a_canonical_body_is_left_alone() {
    let body = br#"
 {"id":"x","data":[{"index":0,"object":"embedding","embedding":[ 1, 2 ]}],"object":"list",
  "model":"e","usage":{"prompt_tokens":1,"total_tokens":1}}
"#;
    let out = answer(body, &facts(1, Format::Float)).unwrap();
    assert!(matches!(out, Cow::Borrowed(same) if same == body));
}

/// A spec-shaped answer of `items` vectors of 768 numbers.
fn large(items: usize, base64: bool) -> String {
    use base64::Engine as _;
    let items: Vec<Value> = (0..items)
        .map(|i| {
            let numbers: Vec<f32> =
                (0..768u16).map(|k| (f32::from(k) - 300.0) / 977.0 + i as f32).collect();
            let embedding = if base64 {
                let bytes: Vec<u8> =
                    numbers.iter().flat_map(|number| number.to_le_bytes()).collect();
                json!(base64::engine::general_purpose::STANDARD.encode(bytes))
            } else {
                // Shortest decimals of the f32, as servers that print f32 do.
                serde_json::from_str(&serde_json::to_string(&numbers).unwrap()).unwrap()
            };
            json!({"object":"embedding","index":i,"embedding":embedding})
        })
        .collect();
    json!({"object":"list","data":items,"model":"e","usage":{"prompt_tokens":1,"total_tokens":1}})
        .to_string()
}

fn recognise(body: &str, format: Format, step: usize) -> Recognition {
    let mut recogniser = Recogniser::new(&facts(1, format));
    body.as_bytes().chunks(step).map(|chunk| recogniser.push(chunk)).last().unwrap()
}

fn convert(body: &str, format: Format, step: usize) -> Result<String, GatewayError> {
    let mut converter = EmbeddingsConverter::new(&facts(1, format));
    let mut out = Vec::new();
    for chunk in body.as_bytes().chunks(step) {
        converter.push(chunk, &mut out)?;
    }
    converter.finish()?;
    Ok(String::from_utf8(out).unwrap())
}

/// Where vectors have gone on, nothing is told any more of why the rest did not come.
#[test]
fn a_failure_behind_the_vectors_ends_the_conversion() {
    let good = large(2, false);
    let with = |error: &str, step: usize| {
        let body = format!("{},\"error\":{error}}}", good.strip_suffix('}').unwrap());
        let mut converter = EmbeddingsConverter::new(&facts(1, Format::Base64));
        let mut out = Vec::new();
        let done =
            body.as_bytes().chunks(step).try_for_each(|chunk| converter.push(chunk, &mut out));
        (done.and_then(|()| converter.finish()), String::from_utf8(out).unwrap())
    };
    for step in [1, 7, 4_096, usize::MAX] {
        for error in
            ["\"sk-secret\"", "{\"message\":\"sk-secret\"}", "[\"sk-secret\"]", "true", "500"]
        {
            let (done, out) = with(error, step);
            assert!(done.unwrap_err().message.contains("failed"), "{error} {step}");
            assert!(!out.contains("sk-") && !out.ends_with("sk"), "{error} {step}");
        }
        for error in [
            r#"{"code":500,"message":"sk-secret"}"#,
            r#" { "message" : "success", "code" : "sk-failed" }"#,
            r#"{"code":0,"message":"sk"}x"#,
            "\"sk-not ok\"",
            &format!("{{\"code\":0,\"message\":\"{}\"}}", "sk-".repeat(2_000)),
        ] {
            let (done, out) = with(error, step);
            assert!(done.is_err(), "{error} {step}");
            assert!(!out.contains("sk-"), "{error} {step}");
        }
        for nothing in [
            "null",
            "false",
            "\"\"",
            "{}",
            "[]",
            "0",
            "200",
            " \"ok\" ",
            "\"Success\"",
            "\"no error\"",
            "0.0",
            r#"{"code":0,"message":"success"}"#,
            r#"{"code":"0","message":"ok","details":[{"a":[1]}]}"#,
            r#" { "status_code" : 200 , "message":"\u006fk" } "#,
            r#"{"code":null,"message":null}"#,
        ] {
            let (done, out) = with(nothing, step);
            assert!(done.is_ok(), "{nothing} {step}");
            let member = format!("\"error\":{nothing}");
            assert!(out.contains(&member), "{nothing} {step}: {out}");
        }
    }
}

#[test]
fn large_answers_stream() {
    for base64 in [false, true] {
        let format = if base64 { Format::Base64 } else { Format::Float };
        let other = if base64 { Format::Float } else { Format::Base64 };
        let body = large(24, base64);
        assert!(body.len() as u64 > WINDOW);
        for step in [1, 7, 4_096, body.len()] {
            assert_eq!(recognise(&body, format, step), Recognition::PassThrough, "{step}");
            assert_eq!(recognise(&body, other, step), Recognition::Convert, "{step}");
        }
        assert_eq!(recognise(body.get(..65_000).unwrap(), format, 4_096), Recognition::Undecided);
        // What the whole says where it is one item: two formats, one answer.
        let there = convert(&body, other, 1_000).unwrap();
        let back = convert(&there, format, 999).unwrap();
        let number = |text: &str| serde_json::from_str::<Value>(text).unwrap();
        assert_eq!(number(&back), number(&body));
        let held = rebuild(
            body.as_bytes(),
            &EmbeddingsFacts { inputs: None, format: other, model: String::new() },
        );
        assert_eq!(serde_json::from_slice::<Value>(&held.unwrap()).unwrap(), number(&there));
    }
}

#[test]
fn large_answers_that_drift() {
    let body = large(24, false);
    for (from, to, want) in [
        (r#""index":1,"#, r#""index":2,"#, Recognition::Hold),
        (r#""object":"list","#, r#""object":"","#, Recognition::Hold),
        (r#""object":"list","#, "", Recognition::PassThrough),
        (r#","object":"embedding""#, "", Recognition::Convert),
        (r#""index":0,"#, "", Recognition::Convert),
        (r#""embedding":["#, r#""embedding":["1","#, Recognition::Hold),
        (r#""embedding":["#, r#""embedding":[null,"#, Recognition::Hold),
        (r#""data":["#, r#""error":"x","data":["#, Recognition::Hold),
        (r#""data":["#, r#""error":null,"data":["#, Recognition::PassThrough),
        (r#""data":["#, r#""data":[0.5,"#, Recognition::Hold),
        (r#"{"data":["#, r#"[{"data":["#, Recognition::Hold),
    ] {
        // serde_json sorts members: the vector comes first in an item, `data` first in the answer.
        let drifted = body.replacen(from, to, 1);
        assert!(from != to && drifted != body, "{from}");
        let object_first = drifted.starts_with("{\"data\"") && from.contains("list");
        let want = if object_first { Recognition::PassThrough } else { want };
        assert_eq!(recognise(&drifted, Format::Float, 999), want, "{from} -> {to}");
    }
}

#[test]
fn the_converter_fills_what_is_missing() {
    let out = convert(r#" {"data":[{"embedding":"AACAPg\u003d\u003D","x":[1]},{"index":1,"embedding":[0.5]}],"n":{"embedding":"q"}} x"#, Format::Float, 1).unwrap();
    assert_eq!(
        out,
        r#" {"data":[{"embedding":[0.25],"x":[1],"object":"embedding","index":0},{"index":1,"embedding":[0.5],"object":"embedding"}],"n":{"embedding":"q"},"object":"list","model":"m","usage":{"prompt_tokens":0,"total_tokens":0}}"#
    );
}

#[test]
fn the_converter_stops_at_what_does_not_fit() {
    for (body, word) in [
        (r#"{"data":[{"embedding":[1],"index":1}]}"#, "order"),
        (r#"{"data":[{"embedding":[1,null]}]}"#, "null"),
        (r#"{"data":[{"embedding":[[1]]}]}"#, "other than numbers"),
        (r#"{"data":[{"embedding":null}]}"#, "no vector"),
        (r#"{"data":[{"index":0}]}"#, "no vector"),
        (r#"{"data":[{"embedding":[NaN]}]}"#, "broken"),
        (r#"{"data":[{"embedding":[1]}"#, "cut off"),
        (r#"{"data":[{"embedding":[1],"embedding":[2]}]}"#, "several"),
        (r#"{"data":[1]}"#, "other than numbers"),
        ("[]", "no vector"),
    ] {
        let error = convert(body, Format::Base64, 3).unwrap_err();
        assert!(error.message.contains(word), "{body}: {}", error.message);
    }
}

#[cfg(not(target_arch = "wasm32"))]
mod laws {
    use super::*;
    use proptest::prelude::*;

    fn number() -> impl Strategy<Value = Value> {
        prop_oneof![
            4 => (-1000i32..1000).prop_map(|i| json!(f64::from(i) / 64.0)),
            1 => Just(json!("0.5")),
            1 => Just(json!(null)),
        ]
    }

    fn vector() -> impl Strategy<Value = Value> {
        let plain =
            prop::collection::vec((-1000i32..1000).prop_map(|i| json!(f64::from(i) / 64.0)), 0..6)
                .prop_map(Value::from);
        prop_oneof![
            4 => plain.clone(),
            1 => prop::collection::vec(number(), 0..4).prop_map(Value::from),
            1 => plain.prop_map(|vector| json!([vector])),
            1 => Just(json!("AACAPgAAAL8AAIA/")),
            1 => Just(json!("AACAPgAAAL8=")),
            1 => Just(json!("bogus")),
        ]
    }

    fn body() -> impl Strategy<Value = Value> {
        let item = (vector(), prop::option::of(0u8..4), any::<bool>()).prop_map(
            |(vector, index, labelled)| {
                let mut item = json!({"embedding": vector, "extra": {"embedding": [1]}});
                if let Some(index) = index {
                    item["index"] = json!(index);
                }
                if labelled {
                    item["object"] = json!("embedding");
                }
                item
            },
        );
        let items = prop::collection::vec(prop_oneof![3 => item, 1 => vector()], 0..4)
            .prop_map(Value::from);
        let list = prop_oneof![3 => items, 1 => vector()];
        (list, 0u8..5, any::<bool>(), prop::option::of(0u8..9)).prop_map(
            |(list, kind, labelled, usage)| {
                let mut body = match kind {
                    0 => return list,
                    1 => json!({"embeddings": list}),
                    2 => json!({"embedding": list, "prompt_eval_count": 3}),
                    3 => json!({"output": {"embeddings": list}}),
                    _ => json!({"data": list}),
                };
                if labelled {
                    body["object"] = json!("list");
                    body["model"] = json!("e");
                }
                if let Some(usage) = usage {
                    body["usage"] = json!({"total_tokens": usage});
                }
                body
            },
        )
    }

    fn assert_canonical(out: &[u8], format: Format) {
        let out: Value = serde_json::from_slice(out).unwrap();
        assert_eq!(out["object"], "list");
        assert!(out["model"].is_string());
        assert!(
            out["usage"]["prompt_tokens"].is_number() && out["usage"]["total_tokens"].is_number()
        );
        for (index, item) in out["data"].as_array().unwrap().iter().enumerate() {
            assert_eq!(item["object"], "embedding");
            assert_eq!(item["index"], index);
            match format {
                Format::Float => {
                    assert!(item["embedding"].as_array().unwrap().iter().all(Value::is_number))
                }
                Format::Base64 => assert!(item["embedding"].is_string()),
            }
        }
    }

    proptest! {
        #[test]
        fn rebuilt_is_canonical_and_stays_so(body in body(), inputs in prop::option::of(0usize..4), base64: bool) {
            let format = if base64 { Format::Base64 } else { Format::Float };
            let facts = EmbeddingsFacts { inputs, format, model: "m".to_owned() };
            if let Ok(out) = rebuild(body.to_string().as_bytes(), &facts) {
                assert_canonical(&out, format);
                let again = rebuild(&out, &facts).unwrap();
                prop_assert!(matches!(again, Cow::Borrowed(_)), "{}", String::from_utf8_lossy(&out));
            }
        }

        #[test]
        fn converting_does_not_depend_on_chunks_and_agrees_with_rebuilding(
            body in body(), base64: bool, cuts in prop::collection::vec(0usize..400, 0..6)
        ) {
            let format = if base64 { Format::Base64 } else { Format::Float };
            let facts = EmbeddingsFacts { inputs: None, format, model: "m".to_owned() };
            let text = body.to_string();
            let run = |cuts: &[usize]| {
                let mut converter = EmbeddingsConverter::new(&facts);
                let mut out = Vec::new();
                for pair in cuts.windows(2) {
                    converter.push(&text.as_bytes()[pair[0]..pair[1]], &mut out)?;
                }
                converter.finish().map(|()| out)
            };
            let mut cuts: Vec<usize> = cuts.into_iter().map(|cut| cut % (text.len() + 1)).collect();
            cuts.extend([0, text.len()]);
            cuts.sort_unstable();
            let whole = run(&[0, text.len()]);
            prop_assert_eq!(run(&cuts), whole.clone());
            let listed = body.get("data").and_then(Value::as_array).is_some_and(|items| items.iter().all(Value::is_object));
            if let (Ok(out), true) = (whole, listed) {
                // A string in the right format is copied without a look at what it encodes.
                let Ok(held) = rebuild(text.as_bytes(), &facts) else {
                    prop_assert!(base64);
                    return Ok(());
                };
                let (mut ours, held) = (
                    serde_json::from_slice::<Value>(&out).unwrap(),
                    serde_json::from_slice::<Value>(&held).unwrap(),
                );
                // A usage that is there but partial is only completed when the whole is held.
                ours["usage"] = held["usage"].clone();
                prop_assert_eq!(ours, held);
            }
        }

        #[test]
        fn any_bytes_are_answered(body in prop::collection::vec(any::<u8>(), 0..64), at in 0usize..64) {
            let facts = facts(1, Format::Float);
            let _ = answer(&body, &facts);
            let good = br#"{"object":"list","data":[{"object":"embedding","index":0,"embedding":[0.25]}]}"#;
            let mut spoilt = good.to_vec();
            spoilt.splice(at..at, body);
            if let Ok(out) = answer(&spoilt, &facts) {
                assert_canonical(&out, Format::Float);
            }
        }
    }
}

#[test]
fn a_whole_canonical_answer_is_known_from_one_pass() {
    let canonical = |body: &str, inputs| {
        let facts = EmbeddingsFacts { inputs, ..EmbeddingsFacts::default() };
        let mut recogniser = Recogniser::new(&facts);
        for chunk in body.as_bytes().chunks(7) {
            let _ = recogniser.push(chunk);
        }
        recogniser.is_canonical(inputs)
    };
    let body = r#"{"object":"list","data":[{"object":"embedding","index":0,"embedding":[0.5,1]}],"model":"m","usage":{"prompt_tokens":1,"total_tokens":1}} "#;
    assert!(canonical(body, Some(1)) && canonical(body, None));
    assert!(!canonical(body, Some(2)), "a vector is missing");
    for (part, other) in [
        (r#""object":"list","#, ""),
        (r#""index":0"#, r#""index":1"#),
        (r#""index":0,"#, ""),
        (r#"[0.5,1]"#, r#""AAAA""#),
        (r#"[0.5,1]"#, r#"[[0.5,1]]"#),
        (r#""model":"m""#, r#""model":"""#),
        (r#""prompt_tokens":1,"#, ""),
        (r#""usage""#, r#""error":"x","usage""#),
        ("}} ", "}"),
    ] {
        assert!(!canonical(&body.replacen(part, other, 1), Some(1)), "{part} -> {other}");
    }
}
