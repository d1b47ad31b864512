//! Exceptions as their libraries print them: a sentence around the upstream's whole error body
//! (`Error code: 429 - {'error': {…}}`), or around the address that was called.

use serde_json::Value;

use crate::repair::loose;

/// How much of a text is looked at for a status, in bytes.
const MAX_HEAD: usize = 256;

/// What stands before a status in a sentence, in lower case.
const BEFORE_STATUS: [&str; 9] = [
    "error code: ",
    "error code ",
    "status code: ",
    "status code ",
    "status: ",
    "client error '",
    "server error '",
    "http error ",
    "http ",
];

/// Names of which an object that is an error body has one.
const NAMES: [&str; 7] = ["error", "message", "msg", "detail", "errors", "error_msg", "errmsg"];

/// The HTTP error status that a sentence names.
pub(super) fn status(text: &str) -> Option<u16> {
    let mut end = MAX_HEAD.min(text.len());
    while !text.is_char_boundary(end) {
        end -= 1;
    }
    let head = text.get(..end)?.to_ascii_lowercase();
    let named = BEFORE_STATUS.iter().filter_map(|words| head.split_once(words));
    let first = [" client error", " server error"]
        .iter()
        .any(|words| head.get(3..).is_some_and(|rest| rest.starts_with(words)));
    first.then_some(head.as_str()).into_iter().chain(named.map(|(_, rest)| rest)).find_map(leading)
}

/// The class of the exception that a text begins with: `RateLimitError` of `litellm.RateLimitError: …`.
pub(super) fn class(text: &str) -> Option<&str> {
    let (name, _) = text.split_once(':')?;
    let is_name = name.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"._".contains(&byte));
    let class = name.rsplit('.').next()?;
    (is_name && (class.ends_with("Error") || class.ends_with("Exception"))).then_some(class)
}

/// The status that a text begins with, alone or before its phrase: `429 Too Many Requests`.
pub(super) fn leading(text: &str) -> Option<u16> {
    let (digits, rest) = text.trim_start().split_at_checked(3)?;
    let status = digits.parse().ok().filter(|status| (400..=599).contains(status))?;
    (digits.bytes().all(|byte| byte.is_ascii_digit())
        && !rest.starts_with(|c: char| c.is_alphanumeric() || c == '_'))
    .then_some(status)
}

/// The error body that a text ends in, as JSON or as Python prints it.
pub(super) fn body(text: &str) -> Option<Value> {
    if !text.ends_with('}') {
        return None;
    }
    let at = text.find('{')?;
    let body = text.get(at..)?;
    let value = serde_json::from_str::<Value>(body)
        .ok()
        .or_else(|| serde_json::from_slice(&loose::to_json(body.as_bytes())?).ok())?;
    NAMES.iter().any(|name| value.get(name).is_some()).then_some(())?;
    Some(value)
}

/// A sentence of httpx or requests without the address that was called: that is the gateway's business.
pub(super) fn without_address(text: &str) -> Option<&str> {
    let (said, address) = text.split_once(" for url")?;
    let is_address = address.trim_start_matches([':', ' ', '\'', '"']).starts_with("http");
    (is_address && status(said).is_some()).then_some(said)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::test;

    #[test]
    fn statuses() {
        for (text, want) in [
            ("Error code: 429 - {'error': {}}", Some(429)),
            ("Request failed with status code 503", Some(503)),
            ("got status: 429 Too Many Requests. {}", Some(429)),
            ("Client error '404 Not Found' for url 'http://a'", Some(404)),
            ("502 Server Error: Bad Gateway for url: http://a", Some(502)),
            ("HTTP 500: worker died", Some(500)),
            ("Error code: 200", None),
            ("Error code: 42900", None),
            ("429 apples", None),
            ("status: ok", None),
            ("", None),
        ] {
            assert_eq!(status(text), want, "{text}");
        }
        assert_eq!(class("litellm.RateLimitError: no"), Some("RateLimitError"));
        assert_eq!(class("Error in the request: no"), None);
        assert_eq!(leading("429 Too Many Requests"), Some(429));
        assert_eq!(leading("429"), Some(429));
        assert_eq!(leading("4291"), None);
        assert_eq!(leading("rate_limit"), None);
    }

    #[test]
    fn bodies_inside_of_sentences() {
        for (text, want) in [
            ("Error code: 429 - {'error': {'message': 'slow'}}", true),
            ("BadRequestError: OpenAIException - {\"error\":\"no\"}", true),
            ("invalid value {'text': 'x'}", false),
            ("Use {\"message\"} here", false),
            ("{broken}", false),
        ] {
            assert_eq!(body(text).is_some(), want, "{text}");
        }
        let httpx = "Client error '429 Too Many Requests' for url 'http://10.0.0.4:8000/v1/chat'";
        assert_eq!(without_address(httpx), Some("Client error '429 Too Many Requests'"));
        assert_eq!(without_address("Can't read the image for url https://a/b.png"), None);
    }
}
