//! Exceptions as their libraries print them: a sentence around the upstream's whole error body
//! (`Error code: 429 - {'error': {…}}`), or around the address that was called.

use serde_json::Value;

use super::status::from_name;
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

/// What stands before and behind the name of an exception in a sentence.
const NAMED: [(&str, &[char]); 3] = [
    ("An error occurred (", &[')']),
    ("rpc error: code = ", &[' ']),
    ("StatusCode.", &[' ', '\n', '\t', ',', ')', ':']),
];

/// Names of which an object that is an error body has one.
const NAMES: [&str; 7] = ["error", "message", "msg", "detail", "errors", "error_msg", "errmsg"];

/// The HTTP error status that a sentence names.
pub(super) fn status(text: &str) -> Option<u16> {
    let mut end = MAX_HEAD.min(text.len());
    while !text.is_char_boundary(end) {
        end -= 1;
    }
    let text = text.get(..end)?;
    if let Some(status) =
        leading(text).filter(|status| text.get(3..).is_some_and(|rest| is_phrase(*status, rest)))
    {
        return Some(status);
    }
    let head = text.to_ascii_lowercase();
    BEFORE_STATUS
        .iter()
        .filter_map(|words| head.split_once(words))
        .find_map(|(_, rest)| leading(rest))
}

/// Whether what stands behind a status is what it is called: `429 Too Many Requests`, `429 RESOURCE_EXHAUSTED. …`,
/// `502 Server Error: …`.
fn is_phrase(status: u16, rest: &str) -> bool {
    let rest = rest.trim_start_matches([' ', ':', '-']);
    if ["client error", "server error"]
        .iter()
        .any(|words| rest.get(..words.len()).is_some_and(|begin| begin.eq_ignore_ascii_case(words)))
    {
        return true;
    }
    let end = rest.find(|c: char| !c.is_alphanumeric() && !matches!(c, ' ' | '_' | '-'));
    let rest = rest.get(..end.unwrap_or(rest.len())).unwrap_or_default();
    let mut words = rest.split(' ').filter(|word| !word.is_empty());
    let mut phrase = String::new();
    (0..4).any(|_| {
        phrase.push(' ');
        phrase.push_str(words.next().unwrap_or_default());
        from_name(phrase.trim()) == Some(status)
    })
}

/// The name of an exception that a text is about: `RateLimitError` of `litellm.RateLimitError: …`, boto's `An error occurred
/// (ThrottlingException) when …`, gRPC's `rpc error: code = Unavailable desc = …` and `StatusCode.UNAVAILABLE`.
pub(super) fn class(text: &str) -> Option<&str> {
    let is_name = |name: &&str| {
        !name.is_empty()
            && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"._".contains(&byte))
    };
    let first = text.split_once(':').map(|(name, _)| name).filter(is_name).and_then(|name| {
        let class = name.rsplit('.').next()?;
        let is_class = class.ends_with("Error") || class.ends_with("Exception");
        (is_class || (class.len() < name.len() && from_name(class).is_some())).then_some(class)
    });
    let within = || {
        NAMED.iter().find_map(|(before, behind)| {
            let (_, rest) = text.split_once(before)?;
            let end = rest.find(*behind).unwrap_or(rest.len());
            rest.get(..end).filter(is_name).filter(|name| from_name(name).is_some())
        })
    };
    first.or_else(within)
}

/// The status that a text begins with, alone or before its phrase: `429 Too Many Requests`.
pub(super) fn leading(text: &str) -> Option<u16> {
    let (digits, rest) = text.trim_start().split_at_checked(3)?;
    let status = digits.parse().ok().filter(|status| (400..=599).contains(status))?;
    (digits.bytes().all(|byte| byte.is_ascii_digit())
        && !rest.starts_with(|c: char| c.is_alphanumeric() || c == '_'))
    .then_some(status)
}

/// The error body that stands in a text, as JSON or as Python prints it. LiteLLM says more behind it.
pub(super) fn body(text: &str) -> Option<Value> {
    let from = text.get(text.find('{')?..)?;
    let first = || serde_json::Deserializer::from_str(from).into_iter::<Value>().next()?.ok();
    let printed = || {
        let body = from.get(..=from.rfind('}')?)?;
        serde_json::from_slice(&loose::to_json(body.as_bytes())?).ok()
    };
    let value = first().or_else(printed)?;
    NAMES.iter().any(|name| value.get(name).is_some()).then_some(value)
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
            ("429 Too Many Requests", Some(429)),
            ("503 Service Unavailable: no worker", Some(503)),
            ("429 RESOURCE_EXHAUSTED. {'error': {}}", Some(429)),
            ("429 Quota exceeded for the day", Some(429)),
            ("404 tokens were not found", None),
            ("status: ok", None),
            ("", None),
        ] {
            assert_eq!(status(text), want, "{text}");
        }
        assert_eq!(class("litellm.RateLimitError: no"), Some("RateLimitError"));
        assert_eq!(class("Error in the request: no"), None);
        for (text, want) in [
            ("google.api_core.exceptions.ResourceExhausted: 429 no", "ResourceExhausted"),
            (
                "An error occurred (ThrottlingException) when calling the Converse operation: no",
                "ThrottlingException",
            ),
            ("rpc error: code = Unavailable desc = no", "Unavailable"),
            (
                "<_InactiveRpcError of RPC:\n\tstatus = StatusCode.DEADLINE_EXCEEDED\n",
                "DEADLINE_EXCEEDED",
            ),
        ] {
            assert_eq!(class(text), Some(want));
        }
        for text in ["see docs.example.com: no", "rpc error: code = 7 desc", "note: model is gone"]
        {
            assert_eq!(class(text), None, "{text}");
        }
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
            ("X: {\"error\":{\"message\":\"no\"}}\nmodel=m. Fallbacks=None", true),
            ("X: {'error': {'message': 'no'}}. Received Model Group=m", true),
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
