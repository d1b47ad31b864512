//! The error that hides in an answer that says 200, and in an event of a stream.
//!
//! The rule, for every operation: where the answer holds a result (`choices` or another list that is not empty), only a truthy
//! `error`, a `base_resp.status_code` other than 0, `x_groq.error`, a `finish_reason` of `error`, and a `status` of `failed` beside
//! another result than `choices` count. Where it holds none, any of the usual names of an error does.

use serde_json::Value;

use super::shape::{self, Draft, truthy};
use super::{context_length, invalid, names, settle, status, text, words};
use crate::error::ErrorAnswer;
use crate::policy::operation::Operation;
use crate::repair::drift::trim_drift;
use crate::repair::mend::{Infinite, rescue};
use crate::repair::proxied;
use crate::wire::failure::{is_success, says_failure};
use crate::wire::json::cursor;
use crate::wire::json::tokenizer::Kind;

use facts::AnswerFacts;

mod facts;

/// The largest member, in bytes, that is read as part of an error: no error is larger, and a good
/// answer's members need no reading.
const MAX_MEMBER_BYTES: usize = 65_536;

/// The error in the body of an answer with status 200, or `None` when it is none.
///
/// `operation` says what a good answer may be: audio and files can be anything, the rest is JSON, so
/// an empty body, a page of HTML or JSON that was cut is an error as well (502
/// `invalid_upstream_response`). The body is read by walking it: no tree is built of a good answer.
#[must_use]
pub fn from_ok(operation: Operation, body: &[u8]) -> Option<ErrorAnswer> {
    match operation {
        Operation::Files => return None,
        Operation::Speech | Operation::Transcriptions | Operation::Translations => {
            // Also plain text, SRT or VTT, which may be empty: silence was transcribed.
            let head = body.trim_ascii_start();
            if !head.starts_with(b"{") && !head.starts_with(b"<") {
                // One whole JSON value in the framing of an event may be an error; of several, nothing is read.
                let framed = body.get(trim_drift(body)).filter(|json| json.starts_with(b"{"))?;
                return in_value(operation, &cursor::parse(framed).ok()?);
            }
        }
        _ => {}
    }
    let json = body.get(trim_drift(body)).unwrap_or(body);
    match cursor::parse(json) {
        Ok(top) => in_value(operation, &top),
        // What is only nearly JSON is read as what it will leave as.
        Err(_) => match rescue(json, Infinite::Logprob) {
            Some(mended) => match cursor::parse(&mended) {
                Ok(top) => in_value(operation, &top),
                Err(_) => not_json(operation, json),
            },
            None => not_json(operation, json),
        },
    }
}

fn in_value(operation: Operation, top: &cursor::Value<'_>) -> Option<ErrorAnswer> {
    match top.kind {
        Kind::BeginObject => object(top, Kin::Answer(operation)),
        Kind::BeginArray => {
            let first = top.elements().next()?;
            if first.kind == Kind::BeginObject {
                return object(&first, Kin::Answer(operation))
                    .filter(|_| first.get("error").is_some() || first.get("errors").is_some());
            }
            match operation {
                Operation::ChatCompletions | Operation::Completions | Operation::Responses => {
                    Some(invalid("The upstream answered with a JSON array, not with an object."))
                }
                _ => None,
            }
        }
        Kind::String => {
            let mut answer = words::from_words(top.raw());
            answer.error.code.get_or_insert_with(|| "invalid_upstream_response".to_owned());
            Some(answer)
        }
        _ => match operation {
            Operation::ChatCompletions
            | Operation::Completions
            | Operation::Responses
            | Operation::Embeddings => {
                Some(invalid("The upstream answered with a bare JSON value, not with an object."))
            }
            _ => None,
        },
    }
}

/// A 200 that is not JSON, for an operation that answers JSON.
fn not_json(operation: Operation, body: &[u8]) -> Option<ErrorAnswer> {
    let head = body.get(..MAX_MEMBER_BYTES).unwrap_or(body);
    let shown = String::from_utf8_lossy(head);
    let shown = shown.trim();
    if text::is_markup(shown) {
        let page = text::page(shown).message;
        let page = page.chars().take(512).collect::<String>();
        let what = if page.is_empty() { String::new() } else { format!(": {page}") };
        return Some(invalid(format!(
            "The upstream answered with a web page instead of JSON{what}"
        )));
    }
    if matches!(operation, Operation::Transcriptions | Operation::Translations) {
        return None;
    }
    Some(if shown.is_empty() {
        invalid("The upstream answered HTTP 200 with an empty body.")
    } else if shown.starts_with(['{', '[']) {
        invalid("The upstream's JSON is cut off or broken.")
    } else if super::is_binary(shown) {
        invalid("The upstream's answer can't be read: it is compressed, or no text at all.")
    } else {
        let said = text::collapse(shown).chars().take(512).collect::<String>();
        invalid(format!("The upstream answered with text instead of JSON: {said}"))
    })
}

/// A plain chat answer that was broken off: no choice has a finish reason, and the usage that comes last was
/// never counted (Ollama, whose runner died). As chat it may pass; whoever says that it is complete must not.
#[must_use]
pub fn broken_off(chat: &cursor::Value<'_>) -> Option<ErrorAnswer> {
    let is_zero = |name: &str| {
        chat.get("usage").and_then(|usage| usage.get(name)).and_then(|count| count.as_f64())
            == Some(0.0)
    };
    let choices = chat.get("choices")?;
    let is_open = choices.elements().next().is_some() && !has_ended(&choices);
    (is_open && is_zero("prompt_tokens") && is_zero("completion_tokens")).then(|| {
        invalid(
            "The upstream broke its answer off: it has no finish reason, and no token was counted.",
        )
    })
}

/// Whether one of the `choices` has a finish reason.
#[must_use]
pub fn has_ended(choices: &cursor::Value<'_>) -> bool {
    choices
        .elements()
        .filter_map(|choice| choice.get("finish_reason"))
        .any(|reason| !reason.is_null() && reason.raw() != b"\"\"")
}

/// What the framing of a stream says about an event.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Event {
    /// The event is called `error`, or came in a field `error:`: its payload is an error whatever its
    /// shape.
    pub marked: bool,
    /// A status beside it, such as DashScope's comment `:HTTP_STATUS/400`.
    pub status: Option<u16>,
}

/// The error in one event's payload, or `None` when it is none.
///
/// The status is the one to answer with when this is the first event; later it has no use.
#[must_use]
pub fn from_event(data: &[u8], event: Event) -> Option<ErrorAnswer> {
    let kin = if event.marked { Kin::MarkedEvent } else { Kin::Event };
    let found = match cursor::parse(data) {
        Ok(top) if top.kind == Kind::BeginObject => object(&top, kin),
        Ok(top) if top.kind == Kind::BeginArray => {
            let first = top.elements().next();
            first.filter(|first| first.get("error").is_some()).and_then(|first| object(&first, kin))
        }
        _ => None,
    };
    let found = found.or_else(|| event.marked.then(|| marked(data)));
    found.map(|mut answer| {
        // What has a status of its own for its code keeps that.
        let settled = answer.error.code.as_deref() == Some(context_length::CODE);
        let beside = event.status.filter(|status| (400..=599).contains(status) && !settled);
        if let Some(status) = beside {
            let given = crate::error::default_type(answer.status);
            answer.status = status::registered(status);
            if answer.error.kind == given {
                answer.error.kind = crate::error::default_type(answer.status).to_owned();
            }
        }
        answer
    })
}

/// An event that is called an error.
fn marked(data: &[u8]) -> ErrorAnswer {
    let shown = String::from_utf8_lossy(data);
    let value = serde_json::from_str::<Value>(&shown).unwrap_or_else(|_| Value::from(&*shown));
    answer(shape::read(&value), Kin::MarkedEvent)
}

/// Where an object was found.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Kin {
    /// It is a whole answer.
    Answer(Operation),
    /// It is an event of a stream.
    Event,
    /// It is an event that calls itself an error.
    MarkedEvent,
}

impl Kin {
    /// The status of an error that names none: a server that announces its own error failed itself
    /// (500); an error that turns up where an answer should be is a bad answer (502).
    fn status(self) -> u16 {
        if self == Self::MarkedEvent { 500 } else { 502 }
    }
}

fn object(top: &cursor::Value<'_>, kin: Kin) -> Option<ErrorAnswer> {
    if let Some(inside) = proxied::read(top).filter(|inside| inside.status >= 400) {
        return Some(super::read_http(inside.status, None, &inside.body).0);
    }
    let seen = AnswerFacts::read(top);
    if is_exempt(&seen, kin) {
        return None;
    }
    if is_error(&seen) {
        return Some(answer(shape::read(&Value::Object(seen.rest)), kin));
    }
    let failure = seen.failed?;
    Some(words::from_choice(failure.reason.as_deref(), failure.cause.as_deref()))
}

/// Responses, batches and files say in `error` what became of *them*: a good answer to who asked for one, and to
/// nobody else.
fn is_exempt(seen: &AnswerFacts, kin: Kin) -> bool {
    let object = seen.text("object");
    match kin {
        Kin::Answer(Operation::Responses) => object == Some("response"),
        Kin::Answer(Operation::Files | Operation::Batches) => {
            matches!(object, Some("batch" | "file" | "upload"))
        }
        Kin::Answer(Operation::Models) => object == Some("model"),
        // The readers of those protocols' own streams know their events by name.
        Kin::Answer(_) | Kin::Event | Kin::MarkedEvent => false,
    }
}

fn is_error(seen: &AnswerFacts) -> bool {
    let vendor = seen.get("base_resp").and_then(|resp| resp.get("status_code")).is_some_and(truthy)
        && seen.get("base_resp").and_then(|resp| resp.get("status_code")).and_then(status::integer)
            != Some(0);
    let groq = seen.get("x_groq").and_then(|groq| groq.get("error")).is_some_and(fails);
    if vendor || groq {
        return true;
    }
    let says = |name: &str, what: &str| {
        seen.text(name).is_some_and(|value| value.eq_ignore_ascii_case(what))
    };
    let has_failed = ["error", "fail", "failed", "failure"].iter().any(|what| says("status", what));
    if seen.choices || seen.result {
        return seen.truthy("error") || (has_failed && !seen.choices);
    }
    let nested =
        ["header", "response", "Response", "ResponseMetadata", "status"].iter().any(|name| {
            seen.get(name).is_some_and(|value| {
                value.get("error").or_else(|| value.get("Error")).is_some_and(fails)
                    || value.get("code").is_some_and(is_failure_code)
            })
        });
    if says("object", "error")
        || says("type", "error")
        || nested
        || names::ERRORS.iter().any(|name| seen.truthy(name))
        || seen
            .rest
            .iter()
            .any(|(name, value)| names::is_exception(name) && value.is_object() && truthy(value))
        || has_failed
        || names::CODES.iter().any(|name| seen.get(name).is_some_and(is_failure_code))
        || ["error", "failed"].iter().any(|what| says("state", what))
        || ["success", "isSuccess", "is_success", "ok"]
            .iter()
            .any(|name| seen.get(name) == Some(&Value::Bool(false)))
    {
        return true;
    }
    // From here on the names are ambiguous: an answer that says it went well, or that is a known
    // good object without content, is none.
    let code = seen.get("code").or_else(|| seen.get("statusCode")).or_else(|| seen.get("errcode"));
    // Numbers of programs' own (`"code":1`) say nothing where the words say that all went well.
    let told_success = || {
        let mut told = names::MESSAGES.iter().filter_map(|name| seen.text(name));
        told.any(|said| !said.trim().is_empty() && !is_failure_code(&Value::from(said)))
    };
    let failure = code.is_some_and(is_failure_code) && !(seen.holds_result && told_success());
    let success = code.is_some_and(truthy_or_zero) && !failure;
    let known = seen.text("object").is_some_and(|object| {
        object.starts_with("chat.completion") || object.starts_with("text_completion")
    });
    let wrapped = seen.wrapped || seen.holds_result;
    if success || known || seen.get("text").is_some() || (wrapped && !failure) {
        return false;
    }
    names::MESSAGES.iter().any(|name| match seen.get(name) {
        // {"message":{"role":…}} is a chat message.
        Some(Value::Object(map)) => !map.contains_key("role") && map.values().any(truthy),
        Some(value) => truthy(value) && !value.is_number() && !value.is_boolean(),
        None => false,
    })
}

/// Whether a member that was read already says that there is an error.
fn fails(error: &Value) -> bool {
    says_failure(error.to_string().as_bytes())
}

fn truthy_or_zero(code: &Value) -> bool {
    truthy(code) || code.is_number()
}

/// A code that is neither nothing, nor a success.
fn is_failure_code(code: &Value) -> bool {
    match code {
        Value::String(text) => !text.trim().is_empty() && !is_success(text),
        Value::Number(number) => !is_success(&number.to_string()),
        _ => false,
    }
}

/// The error that a choice has under `error`.
pub(super) fn of_cause(cause: &Value) -> Option<ErrorAnswer> {
    shape::read(cause).map(|draft| answer(Some(draft), Kin::Event))
}

fn answer(draft: Option<Draft>, kin: Kin) -> ErrorAnswer {
    let draft = draft.unwrap_or_default();
    let status = status::of_hints(&draft.hints).unwrap_or_else(|| kin.status());
    settle(status, Some(draft), || {
        "The upstream reported an error without saying which.".to_owned()
    })
}
