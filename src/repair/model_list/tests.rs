use super::element::{MAX_EXTRA, MAX_ID};
use super::*;
use crate::test;

fn ids(body: &str) -> Result<Vec<String>, ListError> {
    parse_list(body.as_bytes(), 1 << 20)
        .map(|list| list.models.into_iter().map(|model| model.id).collect())
}

fn one(body: &str) -> ListedModel {
    parse_list(body.as_bytes(), 1 << 20).unwrap().models.remove(0)
}

#[test]
fn shapes() {
    for (body, want) in [
        (r#"{"object":"list","data":[{"id":"a"},{"id":"b/c"}]}"#, Ok(vec!["a", "b/c"])),
        (r#"[{"id":"a"}]"#, Ok(vec!["a"])),
        (r#"["a","b"]"#, Ok(vec!["a", "b"])),
        ("[]", Ok(vec![])),
        (r#"{"models":[{"name":"n","model":"m"},{"name":"n"}]}"#, Ok(vec!["m", "n"])),
        (r#"{"models":["a"]}"#, Ok(vec!["a"])),
        (r#"{"models":[{"name":"x"}],"data":[{"id":"a"}]}"#, Ok(vec!["a"])),
        (r#"{"models":[{"name":"x"}],"data":null}"#, Ok(vec!["x"])),
        (r#"{"data":null}"#, Ok(vec![])),
        (r#"{"models":null}"#, Ok(vec![])),
        (r#"{"code":0,"data":{"models":[{"id":"a"}]}}"#, Ok(vec!["a"])),
        (r#"{"data":{"data":{"data":[{"id":"a"}]}}}"#, Ok(vec!["a"])),
        (r#"{"data":{"data":{"data":{"data":[{"id":"a"}]}}}}"#, Ok(vec!["a"])),
        (r#"{"data":{"data":{"data":{"data":{"data":[{"id":"a"}]}}}}}"#, Err(ListError::NoList)),
        (r#"{"code":200,"data":{"list":[{"id":"a"}]}}"#, Ok(vec!["a"])),
        (r#"{"result":{"models":[{"id":"a"}]}}"#, Ok(vec!["a"])),
        (r#"{"resources":[{"model_id":"ibm/g"}]}"#, Ok(vec!["ibm/g"])),
        (r#"{"modelSummaries":[{"modelId":"a","modelName":"A"}]}"#, Ok(vec!["a"])),
        (r#"{"models":{"llama3":{"context":1},"qwen":{}}}"#, Ok(vec!["llama3", "qwen"])),
        (r#"{"data":{"a":{"id":"other"}}}"#, Ok(vec!["a"])),
        (r#"{"models":{"count":3}}"#, Err(ListError::NoList)),
        (r#"{"code":"","output":{"models":[{"model":"a","name":"A"}],"total":1}}"#, Ok(vec!["a"])),
        // Grouped, alone, under another name, or printed.
        (r#"{"data":{"chat":[{"id":"a"}],"embedding":[{"id":"b"}]}}"#, Ok(vec!["a", "b"])),
        (r#"{"models":{"llm":["a","b"],"embed":["c"]}}"#, Ok(vec!["a", "b", "c"])),
        (
            r#"{"groups":[{"name":"g","models":[{"id":"a"}]},{"name":"h","models":[{"id":"b"}]}]}"#,
            Ok(vec!["a", "b"]),
        ),
        (r#"{"data":[[{"id":"a"}],[{"id":"b"}]]}"#, Ok(vec!["a", "b"])),
        (r#"{"object":"list","data":{"id":"a","object":"model"}}"#, Ok(vec!["a"])),
        (r#"{"id":"a","object":"model"}"#, Ok(vec!["a"])),
        (r#"{"u1":{"model_name":"a"},"u2":{"model_name":"b"}}"#, Ok(vec!["u1", "u2"])),
        (r#"{"publisherModels":[{"name":"a"}]}"#, Ok(vec!["a"])),
        (r#"{"served_models":["a"]}"#, Ok(vec!["a"])),
        (r#"{"errors":[{"message":"no"}]}"#, Err(ListError::NoList)),
        (r#"{"detail":[{"loc":["x"],"msg":"no","type":"t"}]}"#, Err(ListError::NoList)),
        ("{'data': [{'id': 'a', 'ready': True}]}", Ok(vec!["a"])),
        (r#"{"data":[{"id":"a"},]}"#, Ok(vec!["a"])),
        ("{\"id\":\"a\"}\n{\"id\":\"b\"}\n", Ok(vec!["a", "b"])),
        (r#"{"statusCode":200,"body":"{\"data\":[{\"id\":\"a\"}]}"}"#, Ok(vec!["a"])),
        (r#"{"statusCode":500,"body":"{\"data\":[{\"id\":\"a\"}]}"}"#, Err(ListError::NoList)),
        (
            r#"{"result":[{"id":"429b9e8b","name":"@cf/meta/llama"},{"id":"x","name":"y"}]}"#,
            Ok(vec!["@cf/meta/llama", "x"]),
        ),
        (r#"{"models":[{"key":"a","display_name":"A"}]}"#, Ok(vec!["a"])),
        (r#"{"data":[{"title":"a"},{"title":"b"}]}"#, Err(ListError::NoIds)),
        (r#"{"data":[{"title":"a"},{"id":"b"}]}"#, Ok(vec!["b"])),
        ("{\"data\":[{\"id\":\"a\",\"created\":NaN,\"note\":\"x\ty\"}]}", Ok(vec!["a"])),
        (": wait\n\n[{\"id\":\"a\"}]", Ok(vec!["a"])),
        (r#"{"error":{"message":"no"}}"#, Err(ListError::NoList)),
        (r#"{"data":"x"}"#, Err(ListError::NoList)),
        ("{}", Err(ListError::NoList)),
        ("null", Err(ListError::NoList)),
        ("<!doctype html>", Err(ListError::NotJson)),
        ("", Err(ListError::NotJson)),
        (r#"[{"id":"a"}] [{"id":"b"}]"#, Err(ListError::NotJson)),
        // Odd elements.
        (
            r#"[{"id":""},{"id":"a\nb"},{"id":"\ud800"},{"id":7,"name":"n"},7,null,[],{},{"id":"z"}]"#,
            Ok(vec!["n", "z"]),
        ),
        (r#"[{"id":"first","id":"second"}]"#, Ok(vec!["first"])),
    ] {
        assert_eq!(
            ids(body),
            want.map(|ids| ids.into_iter().map(str::to_owned).collect()),
            "{body}"
        );
    }
    assert_eq!(ids(&format!("[\"{}\"]", "x".repeat(MAX_ID + 1))), Err(ListError::NoIds));
}

#[test]
fn members() {
    let model = one(r#"[{"id":"a","object":"x","created":1.5,"owned_by":"","organization":"Org",
        "context_length" : 4096,"max_model_len":8,"context_length":1,"active":true,"address":"10.0.0.1:1","root":"/models/a",
        "type":"chat","pricing":{"in":"0.1"},"permission":[{"id":"p"}],"a\"b":1,"ty\u0070e":"again"}]"#);
    assert_eq!((model.created, model.owned_by.as_str()), (1, "Org"));
    assert_eq!(
        String::from_utf8(model.extra).unwrap(),
        r#","context_length":4096,"max_model_len":8,"active":true,"type":"chat","pricing":{"in":"0.1"}"#
    );
    for (created, want) in
        [("7", 7), ("\"8\"", 8), ("-1", 0), ("1e99", 0), ("null", 0), ("\"2025-01-01\"", 0)]
    {
        assert_eq!(
            one(&format!(r#"[{{"id":"a","created":{created}}}]"#)).created,
            want,
            "{created}"
        );
    }
    assert_eq!(one(r#"[{"id":"a","created":0,"created_at":9}]"#).created, 0);
    assert_eq!(one(r#"[{"id":"a","created_at":9}]"#).created, 9);
}

#[test]
fn limits() {
    assert_eq!(parse_list(b"[]", 1), Err(ListError::TooLarge));
    let many = |count: usize| format!("[{}]", vec![r#"{"id":"a"}"#; count].join(","));
    let list = |count| parse_list(many(count).as_bytes(), 1 << 20).unwrap();
    assert!(!list(MAX_MODELS).cut);
    assert_eq!((list(MAX_MODELS + 1).cut, list(MAX_MODELS + 1).models.len()), (true, MAX_MODELS));
    let long = one(&format!(
        r#"[{{"id":"a","description":"{}","context_length":1}}]"#,
        "x".repeat(MAX_EXTRA)
    ));
    assert_eq!(long.extra, br#","context_length":1"#);
    for odd in [&b"\"\xff\""[..], br#""\ud800""#, br#"["\ud800"]"#, b"1e999"] {
        let body = [br#"[{"id":"a","type":"#, odd, b"}]"].concat();
        assert_eq!(parse_list(&body, 99).unwrap().models[0].extra, b"", "{odd:?}");
    }
}
