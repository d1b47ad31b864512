//! Errors inside a stream: found, and written as events.

use serde_json::{Map, Value as Tree};

use crate::error::{Code, ErrorAnswer, ErrorObject, GatewayError, default_type};
use crate::json::cursor::Value;

use super::StreamEnd;

/// The code of an answer that was cut.
pub(super) const TRUNCATED: &str = "upstream_stream_truncated";

/// The error that a payload is, if it is one.
pub(super) fn from_payload(payload: &[u8], status_hint: Option<u16>) -> Option<ErrorAnswer> {
    let tree: Tree = serde_json::from_slice(payload).ok()?;
    let tree = match &tree {
        Tree::Array(list) => list.first()?,
        other => other,
    };
    tree.as_object()?;
    let inner = [
        tree.get("error"),
        tree.get("errors").and_then(|list| list.get(0)),
        tree.get("fault"),
        tree.get("base_resp"),
    ]
    .into_iter()
    .flatten()
    .find(|value| value.is_object() || value.is_string())
    .unwrap_or(tree);
    let text = |value: &Tree, name: &str| value.get(name).and_then(Tree::as_str).map(str::to_owned);
    let message = inner.as_str().map(str::to_owned).or_else(|| {
        ["message", "msg", "faultstring", "status_msg", "detail"]
            .iter()
            .find_map(|name| text(inner, name).or_else(|| text(tree, name)))
    });
    let message = message.or_else(|| tree.get("error_code").and_then(|_| text(tree, "text")))?;
    let code = ["code", "error_code", "status_code", "http_status_code"]
        .iter()
        .find_map(|name| inner.get(name).or_else(|| tree.get(name)))
        .cloned()
        .unwrap_or(Tree::Null);
    let number = code.as_u64().and_then(|code| u16::try_from(code).ok());
    let status = number.filter(|code| (400..600).contains(code)).or(status_hint).unwrap_or(502);
    let kind = text(inner, "type")
        .or_else(|| text(tree, "error_type"))
        .unwrap_or_else(|| default_type(status).to_owned());
    let param = text(inner, "param");
    Some(ErrorAnswer {
        status,
        error: ErrorObject { message, kind, param, code, extra: Map::new() },
    })
}

/// An error of which only a text is known.
pub(super) fn from_text(text: &[u8], status_hint: Option<u16>) -> ErrorAnswer {
    const SHOWN: usize = 500;
    let text = String::from_utf8_lossy(text);
    let shown = crate::operation::printable(text.trim(), SHOWN);
    let mut answer = GatewayError::new(Code::UpstreamError, shown).to_answer();
    if let Some(status) = status_hint {
        answer.status = status;
        answer.error.kind = default_type(status).to_owned();
    }
    answer
}

/// A finish reason that says that the answer failed.
pub(super) fn from_finish_reason(reason: &str) -> ErrorAnswer {
    let message = format!("The upstream ended its answer with finish_reason \"{reason}\".");
    GatewayError::new(Code::UpstreamError, message).to_answer()
}

/// What can't be read.
pub(super) fn invalid(message: impl Into<String>) -> ErrorAnswer {
    GatewayError::new(Code::InvalidUpstreamResponse, message).to_answer()
}

/// An end before the answer's own end.
pub(super) fn truncated(end: StreamEnd) -> ErrorAnswer {
    let message = match end {
        StreamEnd::Clean => "The upstream's stream ended before its answer was complete.",
        StreamEnd::Reset => "The upstream's connection was lost before its answer was complete.",
    };
    let mut answer = GatewayError::new(Code::UpstreamError, message).to_answer();
    answer.error.code = Tree::from(TRUNCATED);
    answer
}

/// The Responses API's own `error` event (API reference, "Streaming events").
pub(super) fn to_responses_event(answer: &ErrorAnswer, sequence: u64) -> Vec<u8> {
    let code = match &answer.error.code {
        Tree::Number(number) => Tree::from(number.to_string()),
        other => other.clone(),
    };
    let event = serde_json::json!({
        "type": "error",
        "code": code,
        "message": answer.error.message,
        "param": answer.error.param,
        "sequence_number": sequence,
    });
    format!("event: error\ndata: {event}\n\n").into_bytes()
}

/// Whether an `error` member says that there is one: not null, false, 0, `""`, `{}` or `[]`.
pub(super) fn is_truthy(value: &Value<'_>) -> bool {
    use crate::json::tokenizer::Kind;
    match value.kind {
        Kind::BeginObject => value.members().next().is_some(),
        Kind::BeginArray => value.elements().next().is_some(),
        Kind::String => value.raw().len() > 2,
        Kind::Number => value.as_f64() != Some(0.0),
        Kind::True => true,
        _ => false,
    }
}
