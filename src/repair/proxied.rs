//! An answer inside of what a function hands to its HTTP gateway, where that gateway did not take it out: AWS's
//! `{"statusCode": 429, "headers": {…}, "body": "…"}`.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

use crate::wire::json::cursor::{self, Value};
use crate::wire::json::tokenizer::Kind;

/// The answer that was meant.
#[derive(Debug, PartialEq, Eq)]
pub struct Proxied {
    /// Its status.
    pub status: u16,
    /// Its body.
    pub body: Vec<u8>,
}

/// Members of such an envelope; one with others is none.
const NAMES: [&str; 7] = [
    "statusCode",
    "body",
    "headers",
    "multiValueHeaders",
    "cookies",
    "isBase64Encoded",
    "statusDescription",
];

/// What `root` is around, if it is such an envelope.
#[must_use]
pub fn read(root: &Value<'_>) -> Option<Proxied> {
    let status = root.get("statusCode")?;
    let body = root.get("body")?;
    let is_known = root.members().all(|(key, _)| NAMES.iter().any(|name| key.is(name)));
    let status = match status.kind {
        Kind::String => status.as_str()?.parse().ok()?,
        _ => status.as_f64()? as u16,
    };
    (is_known && (100..600).contains(&status)).then_some(())?;
    let is_base64 = root.get("isBase64Encoded").and_then(|value| value.as_bool()) == Some(true);
    let body = match body.kind {
        Kind::String => body.as_str()?.into_owned().into_bytes(),
        Kind::Null => Vec::new(),
        _ => body.raw().to_vec(),
    };
    let body = if is_base64 { STANDARD.decode(&body).ok()? } else { body };
    Some(Proxied { status, body })
}

/// The body of a good answer in such an envelope.
#[must_use]
pub fn good(json: &[u8]) -> Option<Vec<u8>> {
    // Nothing else is parsed for it: such an envelope begins the answer.
    if json.trim_ascii_start().first() != Some(&b'{') {
        return None;
    }
    memchr::memmem::find(json.get(..4_096).unwrap_or(json), b"\"statusCode\"")?;
    let found = read(&cursor::parse(json).ok()?)?;
    (found.status < 400).then_some(found.body)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::test;

    #[test]
    fn table() {
        let some = |status, body: &str| Some(Proxied { status, body: body.as_bytes().to_vec() });
        for (json, want) in [
            (
                r#"{"statusCode":429,"body":"{\"message\":\"slow\"}"}"#,
                some(429, r#"{"message":"slow"}"#),
            ),
            (r#"{"statusCode":"200","headers":{},"body":{"a":1}}"#, some(200, r#"{"a":1}"#)),
            (r#"{"statusCode":200,"isBase64Encoded":true,"body":"aGk="}"#, some(200, "hi")),
            (r#"{"statusCode":500,"body":null}"#, some(500, "")),
            (r#"{"statusCode":500,"message":"no"}"#, None),
            (r#"{"statusCode":500,"body":"x","choices":[]}"#, None),
            (r#"{"statusCode":20000,"body":"x"}"#, None),
            (r#"{"statusCode":-1,"body":"x"}"#, None),
            ("[]", None),
        ] {
            assert_eq!(read(&cursor::parse(json.as_bytes()).unwrap()), want, "{json}");
        }
        assert_eq!(good(br#"{"statusCode":429,"body":"x"}"#), None);
        assert_eq!(good(br#"{"statusCode":200,"body":"x"}"#), Some(b"x".to_vec()));
    }
}
