//! Every error body, of any server and any shape, as one OpenAI error.
//!
//! [`read_http`] reads the body of a 4xx or 5xx, [`from_ok`] finds the error that hides in an HTTP 200,
//! [`from_event`] the one that hides in an event of a stream. What a message may be is bounded
//! ([`text::MAX_MESSAGE_CHARS`]), holds no markup and does not repeat the request.

mod about_model;
pub mod context_length;
mod credential;
mod listing;
mod names;
mod ok;
mod param;
mod printed;
mod python;
mod shape;
mod status;
mod text;
mod words;

use serde_json::{Map, Value};

pub use about_model::is_about_model;
pub use credential::refuses_credential;
pub use listing::conceal;
pub use names::may_mean_error;
pub use ok::{Event, broken_off, from_event, from_ok, has_ended};
pub use status::registered;
pub use words::{from_choice, from_words, no_answer};

use super::loose;
use super::mend::{Infinite, rescue};
use crate::error::{Code, ErrorAnswer, ErrorObject, default_type};
use shape::Draft;

/// How much of an error body is read. More is read as text up to here: an error needs no megabyte.
pub const MAX_ERROR_BYTES: usize = 1_048_576;

/// The error of a 4xx or 5xx answer, Envoy's own local replies among them, and whether it came in the canonical
/// shape: then status and bytes can go on untouched.
///
/// The status is kept but for the CDN statuses of [`registered`]. `content_type` is a header's bytes; what the body is
/// decides more than what it is called.
#[must_use]
pub fn read_http(status: u16, content_type: Option<&[u8]>, body: &[u8]) -> (ErrorAnswer, bool) {
    let status_out = registered(status);
    let head = body.get(..MAX_ERROR_BYTES).unwrap_or(body);
    let text = String::from_utf8_lossy(head);
    let text = text.trim_start_matches('\u{feff}').trim();
    let json = json_of(text);
    let draft = match &json {
        Some((value, _)) => shape::read(value),
        None => of_text(text, content_type),
    };
    let answer = settle(status_out, draft, || {
        let body = if text.is_empty() { "an empty body" } else { "no readable message" };
        format!("The upstream answered HTTP {status} with {body}.")
    });
    let canonical = status == answer.status
        && std::str::from_utf8(body).is_ok_and(|whole| whole.trim() == text)
        && json
            .as_ref()
            .is_some_and(|(value, whole)| *whole && is_envelope_of(value, &answer.error));
    (answer, canonical)
}

/// Whether `value` is exactly the envelope that `error` would leave as.
fn is_envelope_of(value: &Value, error: &ErrorObject) -> bool {
    value.as_object().is_some_and(|top| {
        top.len() == 1
            && top
                .get("error")
                .is_some_and(|given| serde_json::to_value(error).is_ok_and(|ours| ours == *given))
    })
}

/// The JSON of an error body, and whether it is all of it: the first value of the text, mended where it is
/// only nearly JSON, or of lines of SSE or NDJSON.
fn json_of(text: &str) -> Option<(Value, bool)> {
    let first = |text: &str| {
        let mut values = serde_json::Deserializer::from_str(text).into_iter::<Value>();
        let value = values.next()?.ok()?;
        Some((value, text.get(values.byte_offset()..).is_some_and(str::is_empty)))
    };
    if text.starts_with(['{', '[', '"']) {
        return first(text).or_else(|| {
            let mended = rescue(text.as_bytes(), Infinite::Null)?;
            first(std::str::from_utf8(&mended).ok()?).map(|(value, _)| (value, false))
        });
    }
    text.lines()
        .take(32)
        .filter_map(|line| line.strip_prefix("data:").or_else(|| line.strip_prefix("error:")))
        .map(str::trim)
        .find(|data| data.starts_with(['{', '[']))
        .and_then(first)
        .or_else(|| {
            // Printed by a script, or for one.
            text.contains('{').then_some(())?;
            first(std::str::from_utf8(&loose::to_json(text.as_bytes())?).ok()?)
        })
        .map(|(value, _)| (value, false))
}

/// An error that is no JSON.
fn of_text(text: &str, content_type: Option<&[u8]>) -> Option<Draft> {
    if text.is_empty() || is_binary(text) {
        return None;
    }
    let says_html = content_type.is_some_and(|value| {
        value.to_ascii_lowercase().windows(9).any(|window| window == b"text/html")
    });
    if text::is_markup(text) || (says_html && text.contains('<')) {
        let page = text::page(text);
        return Some(Draft {
            message: Some(text::clean(&page.message)).filter(|message| !message.is_empty()),
            code: page.code.as_deref().and_then(shape::code_name),
            is_page: page.is_html,
            ..Draft::default()
        });
    }
    if let Some((message, code)) = text::envoy_reply(text) {
        return Some(Draft {
            message: Some(text::clean(&message)),
            code: Some(Value::from(code)),
            ..Draft::default()
        });
    }
    // Without its control characters a text may be JSON after all: read as it would be when it comes back.
    shape::read(&Value::from(text::clean(&text::collapse(text))))
}

/// A body that is no text: compressed although not asked for, or garbage.
fn is_binary(text: &str) -> bool {
    let strange = |c: &char| {
        *c == char::REPLACEMENT_CHARACTER || (c.is_control() && !c.is_ascii_whitespace())
    };
    let head = text.chars().take(1_024);
    head.clone().filter(strange).count() * 10 > head.count()
}

/// The draft with OpenAI's defaults where it says nothing.
fn settle(status: u16, draft: Option<Draft>, silent: impl FnOnce() -> String) -> ErrorAnswer {
    let draft = draft.unwrap_or_default();
    let code = draft.code.as_ref().map(spelled);
    let message = draft.message.unwrap_or_else(|| match &draft.code {
        // What is no name is not quoted: it may be anything, the request among it.
        Some(Value::String(code)) if is_name(code) => {
            format!("The upstream answered with the error {code:?}.")
        }
        _ => silent(),
    });
    let mut extra = draft.extra;
    // The envelope has these four once: an extra of the same name would make a second one.
    for name in ["message", "type", "param", "code"] {
        extra.remove(name);
    }
    if context_length::is_said(status, &draft.hints, &message) {
        // A type that means a fault of the server's own would make clients send the same again.
        let kind =
            draft.kind.filter(|kind| status::from_name(kind).is_none_or(|status| status < 500));
        return ErrorAnswer {
            status: context_length::STATUS,
            error: ErrorObject {
                message,
                kind: kind.unwrap_or_else(|| default_type(context_length::STATUS).to_owned()),
                param: draft.param,
                code: Some(context_length::CODE.to_owned()),
                extra,
            },
            own: None,
            is_page: draft.is_page,
        };
    }
    let error = ErrorObject {
        message,
        kind: draft.kind.unwrap_or_else(|| default_type(status).to_owned()),
        param: draft.param,
        code,
        extra,
    };
    ErrorAnswer { status, error, own: None, is_page: draft.is_page }
}

fn is_name(code: &str) -> bool {
    code.chars().all(|c| c.is_alphanumeric() || matches!(c, '_' | '-' | '.' | ':' | '/' | ' '))
}

/// A code as text.
fn spelled(code: &Value) -> String {
    match code {
        Value::String(code) => code.clone(),
        other => other.to_string(),
    }
}

/// An error of the gateway's own about an answer that is no answer.
fn invalid(message: impl Into<String>) -> ErrorAnswer {
    own(Code::InvalidUpstreamResponse, message.into())
}

fn own(code: Code, message: String) -> ErrorAnswer {
    let status = code.status();
    ErrorAnswer {
        status,
        error: ErrorObject {
            message: text::clean(&message),
            kind: default_type(status).to_owned(),
            param: None,
            code: Some(code.as_str().to_owned()),
            extra: Map::new(),
        },
        own: Some(code),
        is_page: false,
    }
}

#[cfg(test)]
mod tests;
