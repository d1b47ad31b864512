use super::members::{MAX_MEMBERS, MAX_NAME_BYTES};
use super::*;
use crate::test;
use crate::wire::model_span::check_in_tests;

fn scan(body: &[u8]) -> Result<(Option<ModelSpan>, BodyFacts), Code> {
    let mut scanner = JsonScanner::new(true, check_in_tests);
    let found = scanner.push(body).map_err(|e| e.code)?;
    scanner.finish().map_err(|e| e.code)?;
    Ok((found, scanner.facts()))
}

fn model(body: &str) -> Result<String, Code> {
    scan(body.as_bytes()).map(|(found, _)| found.unwrap().id)
}

#[test]
fn finds_the_top_level_model_only() {
    for body in [
        r#"{"model":"m"}"#,
        r#"{"messages":[{"content":"{\"model\":\"x\"}"}],"metadata":{"model":"x"},"model":"m"}"#,
        "\u{feff}{\"model\":\"m\"}",
        r#" {"a":{"model":1},"mod\u0065l" : "\u006d" , "z":[[]]} "#,
    ] {
        assert_eq!(model(body).unwrap(), "m", "{body}");
    }
}

#[test]
fn span_covers_the_quoted_value() {
    let body = br#"{"a":1,"model": "groq/x","b":2}"#;
    let (found, _) = scan(body).unwrap();
    let span = found.unwrap().span;
    assert_eq!(&body[span.start as usize..span.end as usize], br#""groq/x""#);
}

#[test]
fn refuses_what_is_ambiguous() {
    for (body, code) in [
        (r#"{"model":"a","model":"b"}"#, Code::DuplicateModel),
        (r#"{"model":"a","mod\u0065l":"b"}"#, Code::DuplicateModel),
        (r#"{"model":"a","MODEL":"b"}"#, Code::DuplicateModel),
        (r#"{"Model":"a","model":"b"}"#, Code::DuplicateModel),
        (r#"{"Model":"a"}"#, Code::MissingModel),
        (r#"{"model\u0000":"a","model":"b"}"#, Code::DuplicateModel),
        (r#"{"model\u0000x":"a","model":"b"}"#, Code::DuplicateModel),
        (r#"{"model":"a","\ufeffmodel":"b"}"#, Code::DuplicateModel),
        (r#"{"model":"a"," model ":"b"}"#, Code::DuplicateModel),
        (r#"{"model":"a","mo_del":"b"}"#, Code::DuplicateModel),
        (r#"{"model":"a","model[]":"b"}"#, Code::DuplicateModel),
        (r#"{"model\u0000":"a"}"#, Code::MissingModel),
        (r#"{"model":"a","\ud800":"b"}"#, Code::InvalidJson),
        (r#"{"model":"a","mod\udc00el":"b"}"#, Code::InvalidJson),
        (r#"{"\ud800\u0041":1,"model":"a"}"#, Code::InvalidJson),
        (r#"{}"#, Code::MissingModel),
        (r#"{"model":null}"#, Code::InvalidModel),
        (r#"{"model":["a"]}"#, Code::InvalidModel),
        (r#"{"model":{"a":1}}"#, Code::InvalidModel),
        (r#"{"model":""}"#, Code::InvalidModel),
        (r#"{"model":"\ud800"}"#, Code::InvalidModel),
        (r#"{"model":"a\u0000"}"#, Code::InvalidModel),
        (r#"[{"model":"a"}]"#, Code::InvalidJson),
        (r#""model""#, Code::InvalidJson),
        (r#"7"#, Code::InvalidJson),
        (r#""#, Code::InvalidJson),
        (r#"{"model":"a"}{"model":"b"}"#, Code::InvalidJson),
        (r#"{"model":"a""#, Code::InvalidJson),
        (r#"{"model":"a",}"#, Code::InvalidJson),
    ] {
        assert_eq!(model(body), Err(code), "{body}");
    }
    assert_eq!(scan(b"{\"model\":\"\xff\"}"), Err(Code::InvalidModel));
    for name in [&b"mode\xc1\xac"[..], b"mod\xffel", b"\xed\xa0\x80", b"\xff", b"\\n\xe2\x82"] {
        let body = [b"{\"model\":\"a\",\"", name, b"\":\"b\"}"].concat();
        assert_eq!(scan(&body), Err(Code::InvalidJson), "{name:?}");
    }
    // Further in, names decide nothing here.
    assert!(scan(b"{\"model\":\"a\",\"x\":{\"model\":1,\"Model\":2,\"\xc1\xac\":3}}").is_ok());
}

#[test]
fn long_names_and_ids_are_bounded() {
    let long = "k".repeat(1_000_000);
    let longest = "k".repeat(MAX_NAME_BYTES);
    assert_eq!(model(&format!("{{\"{longest}\":1,\"model\":\"m\"}}")).unwrap(), "m");
    for name in [format!("{longest}k"), long.clone(), format!("model{}", "\\u0000".repeat(683))] {
        assert_eq!(model(&format!("{{\"{name}\":1,\"model\":\"m\"}}")), Err(Code::InvalidJson));
    }
    assert_eq!(model(&format!("{{\"model\":\"{long}\"}}")), Err(Code::InvalidModel));
    let mut scanner = JsonScanner::new(false, check_in_tests);
    let mut error = scanner.push(b"{\"model\":\"").err();
    for _ in 0..100 {
        if error.is_none() {
            error = scanner.push(&[b'k'; 100]).err();
        }
    }
    assert_eq!(error.unwrap().code, Code::InvalidModel);
}

#[test]
fn facts() {
    for (body, facts) in [
        (r#"{"model":"m","stream":true}"#, BodyFacts { stream: true, ..BodyFacts::default() }),
        (r#"{"model":"m","stream":false}"#, BodyFacts::default()),
        (
            r#"{"model":"m","input":"x","encoding_format":"base64"}"#,
            BodyFacts { base64: true, inputs: Some(1), ..BodyFacts::default() },
        ),
        (
            r#"{"input":["a","b"],"model":"m"}"#,
            BodyFacts { inputs: Some(2), ..BodyFacts::default() },
        ),
        (r#"{"input":[1,2,3],"model":"m"}"#, BodyFacts { inputs: Some(1), ..BodyFacts::default() }),
        (
            r#"{"input":[[1,2],[3]],"model":"m"}"#,
            BodyFacts { inputs: Some(2), ..BodyFacts::default() },
        ),
        (
            r#"{"input":[],"model":"m","x":["a"]}"#,
            BodyFacts { inputs: Some(0), ..BodyFacts::default() },
        ),
    ] {
        assert_eq!(scan(body.as_bytes()).unwrap().1, facts, "{body}");
    }
}

#[test]
fn an_extra_body_that_chooses_no_model_is_none_of_ours() {
    let further = |value: &str, step: usize| {
        let body = format!("{{\"model\":\"m\",\"extra_body\":{value},\"mode\":{{\"model\":1}}}}");
        let mut scanner = JsonScanner::new(false, check_in_tests);
        for bytes in body.as_bytes().chunks(step) {
            scanner.push(bytes).unwrap();
        }
        scanner.finish().unwrap();
        scanner.further_model()
    };
    let long = format!("{{\"{}\":1}}", "x".repeat(MAX_NAME_BYTES + 1));
    for step in [1, 3, usize::MAX] {
        for good in [
            "{}",
            r#"{"google":{"thinking_config":{"include_thoughts":true}}}"#,
            r#"{ "google" : {"model":"x","models":["y"]} , "a":[{"model":"x"}],"top_k":1}"#,
        ] {
            assert_eq!(further(good, step), None, "{good} {step}");
        }
        for bad in [
            "null",
            "[]",
            "\"{}\"",
            "1",
            r#"["model"]"#,
            r#"{"model":"x"}"#,
            r#"{"google":{},"Model":"x"}"#,
            r#"{"mod\u0065l":null}"#,
            r#"{"a":{"b":[]},"models":[]}"#,
            r#"{"mod\ud800el":1}"#,
            r#"{"apiBase":"x"}"#,
            r#"{"extra_body":{}}"#,
            &long,
        ] {
            assert_eq!(further(bad, step), Some("extra_body"), "{bad} {step}");
        }
    }
}

#[test]
fn an_extra_body_by_another_name_is_looked_at_too() {
    for name in ["extraBody", "Extra_Body", "extra\\u005fbody", "extra-body"] {
        for (value, want) in [
            (r#"{"google":{}}"#, None),
            (r#"{"model":1}"#, Some("extra_body")),
            ("[]", Some("extra_body")),
        ] {
            let mut scanner = JsonScanner::new(false, check_in_tests);
            scanner.push(format!("{{\"{name}\":{value}}}").as_bytes()).unwrap();
            assert_eq!(scanner.further_model(), want, "{name} {value}");
        }
    }
}

/// Each name is held against all that choose a model, however it is dressed: so there are not many, and long ones may be any.
#[test]
fn names_without_end_cost_little() {
    let long = "\u{301}".repeat(MAX_NAME_BYTES / 2);
    for name in ["%", "\u{e9}", "A", "[", "x[%", "%e9", "-", &long] {
        let members = format!("\"{name}\":0,").repeat(500_000 / name.len());
        let further = |around: &str| {
            let mut scanner = JsonScanner::new(false, check_in_tests);
            scanner.push(around.replace("MEMBERS", &members).as_bytes())?;
            scanner.finish()?;
            Ok(scanner.further_model())
        };
        let error = further("{MEMBERS\"model\":\"m\"}").map_err(|error: GatewayError| error.code);
        let want = if name == long { Code::DuplicateModel } else { Code::InvalidJson };
        assert_eq!(error, Err(want), "{name:.9}");
        let in_extra = further("{\"model\":\"m\",\"extra_body\":{MEMBERS\"a\":0}}");
        assert_eq!(in_extra, Ok(Some("extra_body")), "{name:.9}");
    }
}

#[test]
fn members_are_counted() {
    let body = |members: u32| format!("{{{}\"model\":\"m\"}}", "\"n\":1,".repeat(members as usize));
    assert_eq!(model(&body(MAX_MEMBERS - 1)).unwrap(), "m");
    assert_eq!(model(&body(MAX_MEMBERS)), Err(Code::InvalidJson));
}
