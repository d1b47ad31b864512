//! Images in OpenAI's shape: `{"created": 1, "data": [{"url": "https://…"}]}`.
//!
//! Servers have the list under other names (SiliconFlow's and fal's `images`), in envelopes, or one image alone; an image as
//! its address or its base64, or under other names. What is in the list leaves in its order, and nothing is left out.

use super::error::no_answer;
use crate::error::ErrorAnswer;
use crate::wire::json::cursor::{self, Key, Value};
use crate::wire::json::string;
use crate::wire::json::tokenizer::Kind;

/// Members that hold the list, one image, or another container, the most telling first.
const CONTAINERS: [&str; 14] = [
    "data",
    "images",
    "image_urls",
    "image_base64",
    "artifacts",
    "predictions",
    "results",
    "output",
    "outputs",
    "result",
    "response",
    "body",
    "image",
    "image_url",
];

/// How many objects may stand around the list.
const MAX_LEVELS: u8 = 4;

/// Names of an image's bytes, OpenAI's first.
const BYTES: [&str; 5] = ["b64_json", "base64", "b64", "image_base64", "bytesBase64Encoded"];

/// Names of its address beside `url`, or of its bytes.
const ADDRESSES: [&str; 3] = ["image_url", "image", "uri"];

/// What is to stand in the place of the answer; `None` where its `data` is a list already. `json`: one JSON value that is no
/// error; `now`: Unix seconds.
///
/// # Errors
/// 502 where there is no image in it, with whatever words are in it.
pub fn repaired(json: &[u8], now: u64) -> Result<Option<Vec<u8>>, Box<ErrorAnswer>> {
    let Ok(root) = cursor::parse(json) else { return Ok(None) };
    if root.get("data").is_some_and(|data| data.kind == Kind::BeginArray && is_right(&data)) {
        return Ok(None);
    }
    match find(&root, MAX_LEVELS) {
        Some(found) => Ok(Some(write(&root, &found, now))),
        None => {
            // Volcengine says of each image why there is none.
            let of_image = root.get("data").into_iter().flat_map(|data| data.elements());
            let said = of_image.filter_map(|image| image.get("error")).next();
            let said = said.map_or(json, |error| error.raw());
            Err(Box::new(no_answer(said, "no images")))
        }
    }
}

/// Whether a list has an image as clients read it, or nothing in it.
fn is_right(list: &Value<'_>) -> bool {
    let is_own = |image: Value<'_>| {
        ["url", "b64_json"]
            .iter()
            .any(|name| image.get(name).is_some_and(|value| is_filled(&value)))
    };
    list.elements().next().is_none() || list.elements().any(is_own)
}

/// The list of images, or the only one.
fn find<'a>(value: &Value<'a>, levels: u8) -> Option<Value<'a>> {
    let levels = levels.checked_sub(1)?;
    if is_image(value) {
        return Some(*value);
    }
    match value.kind {
        Kind::BeginArray if value.elements().any(|image| is_image(&image)) => Some(*value),
        Kind::BeginArray => value.elements().find_map(|held| find(&held, levels)),
        Kind::BeginObject => CONTAINERS
            .iter()
            .filter_map(|name| value.get(name))
            .find_map(|held| find(&held, levels)),
        _ => None,
    }
}

fn is_image(value: &Value<'_>) -> bool {
    match value.kind {
        Kind::String => place(value).is_some(),
        Kind::BeginObject => named(value).is_some(),
        _ => false,
    }
}

fn is_filled(value: &Value<'_>) -> bool {
    value.kind == Kind::String && !value.inner().is_empty()
}

/// The name under which clients look for what a text holds, and the part of it that they look for.
fn place<'a>(text: &Value<'a>) -> Option<(&'static str, &'a [u8])> {
    let inner = text.inner();
    if inner.starts_with(b"https:") || inner.starts_with(b"http:") {
        return Some(("url", inner));
    }
    let is_data = inner.starts_with(b"data:");
    let bytes = match is_data {
        true => inner.split(|byte| *byte == b',').nth(1)?,
        false => inner,
    };
    let is_base64 = |byte: &u8| byte.is_ascii_alphanumeric() || b"+/=-_\\".contains(byte);
    // A word may be base64, too.
    let is_long = is_data || bytes.len() >= 64;
    (is_long && bytes.iter().all(is_base64)).then_some(("b64_json", bytes))
}

/// The member that holds the image, the name under which clients look for it, and what it holds.
fn named<'a>(image: &Value<'a>) -> Option<(Key<'a>, &'static str, &'a [u8])> {
    let member =
        |name: &&str| image.members().find(|(key, value)| key.is(name) && is_filled(value));
    if let Some((key, address)) = member(&"url") {
        return Some((key, "url", address.inner()));
    }
    // What has a name for bytes is bytes, however few they are.
    if let Some((key, bytes)) = BYTES.iter().find_map(member) {
        let inner = place(&bytes).map_or(bytes.inner(), |(_, inner)| inner);
        return Some((key, "b64_json", inner));
    }
    ADDRESSES.iter().filter_map(member).find_map(|(key, value)| {
        let (name, inner) = place(&value)?;
        Some((key, name, inner))
    })
}

/// The answer with its images where clients look, and what stood beside the list or its containers.
fn write(root: &Value<'_>, found: &Value<'_>, now: u64) -> Vec<u8> {
    let created = root.get("created").filter(|created| created.kind == Kind::Number);
    let mut out = match created {
        Some(created) => [b"{\"created\":", created.raw()].concat(),
        None => format!("{{\"created\":{now}").into_bytes(),
    };
    out.extend_from_slice(b",\"data\":[");
    if found.kind == Kind::BeginArray {
        for (position, image) in found.elements().enumerate() {
            if position > 0 {
                out.push(b',');
            }
            write_image(&image, &mut out);
        }
    } else {
        write_image(found, &mut out);
    }
    out.push(b']');
    let holds = |value: &Value<'_>| {
        value.span().start <= found.span().start && found.span().end <= value.span().end
    };
    // An image that is the answer itself has told all of it.
    for (key, value) in root.members().filter(|_| found.span() != root.span()) {
        let is_told = key.is("created") || key.is("data") || holds(&value);
        if let Some(name) = key.as_str().filter(|_| !is_told) {
            write_member(&name, value.raw(), &mut out);
        }
    }
    out.push(b'}');
    out
}

fn write_image(image: &Value<'_>, out: &mut Vec<u8>) {
    let own = place(image)
        .filter(|_| image.kind == Kind::String)
        .map(|(name, inner)| (None, name, inner));
    let member = || named(image).map(|(key, name, inner)| (Some(key), name, inner));
    let Some((key, name, inner)) = own.or_else(member) else {
        // Why there is none (Volcengine's `error`), or whatever else is said of it.
        return out.extend_from_slice(image.raw());
    };
    out.extend_from_slice(format!("{{\"{name}\":\"").as_bytes());
    out.extend_from_slice(inner);
    out.push(b'"');
    for (other, value) in image.members() {
        let is_told = key.as_ref().is_some_and(|key| key.span() == other.span()) || other.is(name);
        if let Some(other) = other.as_str().filter(|_| !is_told) {
            write_member(&other, value.raw(), out);
        }
    }
    out.push(b'}');
}

fn write_member(name: &str, raw: &[u8], out: &mut Vec<u8>) {
    out.push(b',');
    out.extend(string::encode(name));
    out.push(b':');
    out.extend_from_slice(raw);
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::test;

    fn answer(json: &str) -> Option<String> {
        let answer = repaired(json.as_bytes(), 7).ok()?;
        Some(answer.map_or_else(|| json.to_owned(), |answer| String::from_utf8(answer).unwrap()))
    }

    #[test]
    fn what_is_right_stays() {
        for json in [
            r#"{"created":1,"data":[{"url":"https://a"},{"error":{"message":"no"}}]}"#,
            r#"{"created":1,"data":[{"b64_json":"aa","url":null}],"images":[{"url":"https://a"}]}"#,
            r#"{"data":[]}"#,
            r#"{"data":[{"url":"/files/a.png"}]}"#,
        ] {
            assert_eq!(answer(json).as_deref(), Some(json));
        }
    }

    #[test]
    fn other_shapes() {
        let one = r#"{"created":7,"data":[{"url":"https://a"}]}"#;
        for json in [
            r#"{"images":[{"url":"https://a"}]}"#,
            r#"{"images":["https://a"]}"#,
            r#"{"data":{"image_urls":["https://a"]}}"#,
            r#"{"output":{"results":[{"url":"https://a"}]}}"#,
            r#"{"output":["https://a"]}"#,
            r#"{"output":"https://a"}"#,
            r#"{"image":{"url":"https://a"}}"#,
            r#"{"data":["https://a"]}"#,
            r#"{"data":null,"images":[{"image_url":"https://a"}]}"#,
            r#"[{"url":"https://a"}]"#,
            r#"{"url":"https://a"}"#,
        ] {
            assert_eq!(answer(json).as_deref(), Some(one), "{json}");
        }
        let bytes = "iVBORw0KGgo/".repeat(6);
        let one = format!(r#"{{"created":7,"data":[{{"b64_json":"{bytes}"}}]}}"#);
        for json in [
            r#"{"images":["BYTES"]}"#,
            r#"{"images":["data:image/png;base64,BYTES"]}"#,
            r#"{"result":{"image":"BYTES"}}"#,
            r#"{"artifacts":[{"base64":"BYTES"}]}"#,
            r#"{"predictions":[{"bytesBase64Encoded":"BYTES"}]}"#,
            r#"{"data":[{"url":"data:image/png;base64,BYTES"}],"created":7}"#,
        ] {
            let json = json.replace("BYTES", &bytes);
            let want = if json.contains("\"url\"") { &json } else { &one };
            assert_eq!(answer(&json).as_ref(), Some(want), "{json}");
        }
    }

    #[test]
    fn nothing_else_is_lost() {
        for (json, want) in [
            (
                r#"{"images":[{"url":"https://a","width":1},{"error":{"code":"x"}}],"timings":{"inference":0.5},"seed":3}"#,
                r#"{"created":7,"data":[{"url":"https://a","width":1},{"error":{"code":"x"}}],"timings":{"inference":0.5},"seed":3}"#,
            ),
            (
                r#"{"id":"1","created":5,"data":{"image_urls":["https://a"]},"base_resp":{"status_code":0}}"#,
                r#"{"created":5,"data":[{"url":"https://a"}],"id":"1","base_resp":{"status_code":0}}"#,
            ),
        ] {
            assert_eq!(answer(json).as_deref(), Some(want));
        }
    }

    #[test]
    fn no_image_is_an_error() {
        for json in [
            "{}",
            r#"{"created":1,"data":null}"#,
            r#"{"task_id":"t","status":"queued"}"#,
            r#"{"images":[]}"#,
            r#"{"images":["none"]}"#,
            r#"{"data":[{"error":{"message":"no"}}]}"#,
            "7",
        ] {
            assert!(repaired(json.as_bytes(), 7).is_err(), "{json}");
        }
        for json in [
            r#"{"message":"it was filtered","data":null}"#,
            r#"{"data":[{"error":{"code":"Sensitive","message":"it was filtered"}}]}"#,
        ] {
            let error = repaired(json.as_bytes(), 7).unwrap_err();
            assert_eq!((error.status, &*error.error.message), (502, "it was filtered"));
        }
    }
}
