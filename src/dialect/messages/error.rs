//! The one JSON shape in which every error of the Messages operations leaves: Anthropic's.
//!
//! `{"type":"error","error":{"type":T,"message":string},"request_id":string|null}` (API reference, "Errors"). The official
//! SDKs choose their exception by the status, and read type and message from here.

use std::borrow::Cow;

use serde::Serialize;

use crate::error::{ErrorAnswer, ErrorObject};
use crate::repair::error::context_length::{self, Figures};
use crate::wire::json::cursor::{self, Value};
use crate::wire::json::tokenizer::Kind;

/// Codes that nobody but the gateway gives, by which its own errors are known where they come back out of a stream.
const OWN: &[&str] = &[
    "invalid_upstream_response",
    "misrouted",
    "upstream_authentication_failed",
    "upstream_error",
    "upstream_stream_truncated",
];

/// Anthropic's words for a prompt that does not fit.
const TOO_LONG: &str = "prompt is too long";
/// The same where it would fit without the answer.
const TOO_MUCH: &str = "input length and `max_tokens` exceed context limit";

/// Anthropic's error type for a status.
#[must_use]
pub fn kind(status: u16) -> &'static str {
    match status {
        401 => "authentication_error",
        403 => "permission_error",
        404 => "not_found_error",
        413 => "request_too_large",
        429 => "rate_limit_error",
        503 | 529 => "overloaded_error",
        500..=599 => "api_error",
        _ => "invalid_request_error",
    }
}

#[derive(Serialize)]
struct ErrorEnvelope<'a> {
    r#type: &'static str,
    error: Error<'a>,
    request_id: Option<&'a str>,
}

#[derive(Serialize)]
struct Error<'a> {
    r#type: &'static str,
    message: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    details: Option<Details>,
}

/// By what the SDKs know that a conversation is not kept here, so that they send all of it.
#[derive(Serialize)]
struct Details {
    error_code: &'static str,
    unsupported: [&'static str; 1],
}

/// The parameter that asks a server to keep the conversation.
pub const THREAD: &str = "thread";

/// The bytes of the envelope, on one line.
#[must_use]
pub fn envelope(answer: &ErrorAnswer, request_id: Option<&str>) -> Vec<u8> {
    let written;
    let message = match (overflow(&answer.error), own_code(answer)) {
        (Some(overflow), _) => {
            written = overflow;
            &written
        }
        // It stands at the message's end, so that it is not lost.
        (None, Some(code)) => {
            written = format!("{} ({code})", placed(answer));
            &written
        }
        (None, None) => &answer.error.message,
    };
    let is_thread = answer.own.is_some() && answer.error.param.as_deref() == Some(THREAD);
    let details = is_thread
        .then_some(Details { error_code: "thread_unsupported_request", unsupported: [THREAD] });
    let error = Error { r#type: kind(answer.status), message, details };
    // Serialising a struct of strings can't fail; were it to, the fallback is still a valid envelope.
    serde_json::to_vec(&ErrorEnvelope { r#type: "error", error, request_id }).unwrap_or_else(|_| {
        br#"{"type":"error","error":{"type":"api_error","message":"internal error"},"request_id":null}"#
            .to_vec()
    })
}

/// The last event of a stream that has failed.
#[must_use]
pub fn event(answer: &ErrorAnswer, request_id: Option<&str>) -> Vec<u8> {
    [&b"event: error\ndata: "[..], &envelope(answer, request_id), b"\n\n"].concat()
}

/// The message of an error of the gateway's own, behind the path of the member at fault where it does not name that.
fn placed(answer: &ErrorAnswer) -> Cow<'_, str> {
    let ErrorObject { message, param, .. } = &answer.error;
    match param.as_deref().filter(|param| !message.contains(param)) {
        Some(param) => Cow::Owned(format!("{param}: {message}")),
        None => Cow::Borrowed(message),
    }
}

/// Whether the body of an error with this status has this shape already.
#[must_use]
pub fn is_envelope(status: u16, body: &[u8]) -> bool {
    let Ok(root) = cursor::parse(body) else { return false };
    let is = |value: Option<Value<'_>>, want: &str| {
        value.and_then(|value| value.as_str()).is_some_and(|text| text == want)
    };
    let error = root.get("error");
    let member = |name: &str| error.and_then(|error| error.get(name));
    is(root.get("type"), "error")
        && is(member("type"), kind(status))
        && member("message").is_some_and(|message| message.kind == Kind::String)
}

/// What Anthropic says of a context that is exceeded, and then the server's own words. Claude Code asks again with a
/// smaller `max_tokens` when it reads the second wording, and makes its conversation shorter when it reads the first; at
/// anything else it stops.
fn overflow(error: &ErrorObject) -> Option<String> {
    let figures = context_length::figures(error)?;
    let words = &error.message;
    if words.starts_with(TOO_LONG) || words.starts_with(TOO_MUCH) {
        return Some(words.clone());
    }
    Some(match figures {
        Figures { prompt: Some(prompt), max_tokens: Some(most), limit: Some(limit) }
            if figures.fits_without_answer() =>
        {
            format!("{TOO_MUCH}: {prompt} + {most} > {limit} ({words})")
        }
        Figures { prompt: Some(prompt), limit: Some(limit), .. } => {
            format!("{TOO_LONG}: {prompt} tokens > {limit} maximum ({words})")
        }
        _ => format!("{TOO_LONG} ({words})"),
    })
}

/// The gateway's own code of an error, if it is one of its own.
#[must_use]
pub fn own_code(answer: &ErrorAnswer) -> Option<&str> {
    let code = answer.error.code.as_deref()?;
    (answer.own.is_some() || OWN.contains(&code)).then_some(code)
}
