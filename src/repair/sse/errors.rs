//! The stream's own errors, and errors written as events. Which payload is an error is for
//! [`crate::repair::error`] to say.

use crate::error::{Code, ErrorAnswer, GatewayError};

use super::StreamEnd;
use crate::repair::error::{Event, from_event};

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
    GatewayError::new(Code::UpstreamStreamTruncated, message).to_answer()
}

/// The error in an event that the normaliser has written, for a reader that makes one answer of the stream. The normaliser's own
/// codes are about a bad answer: 502. An upstream's error keeps the status that it means.
pub fn in_canonical_event(payload: &[u8], event: Event) -> Option<ErrorAnswer> {
    let mut answer = from_event(payload, event)?;
    let own = [Code::UpstreamError, Code::UpstreamStreamTruncated, Code::InvalidUpstreamResponse];
    if let Some(code) = answer.error.code.as_deref()
        && let Some(own) = own.into_iter().find(|own| own.as_str() == code)
    {
        answer.status = own.status();
        answer.own = Some(own);
    }
    Some(answer)
}

/// The Responses API's own `error` event (API reference, "Streaming events").
pub(super) fn to_responses_event(answer: &ErrorAnswer, sequence: u64) -> Vec<u8> {
    let event = serde_json::json!({
        "type": "error",
        "code": answer.error.code,
        "message": answer.error.message,
        "param": answer.error.param,
        "sequence_number": sequence,
    });
    format!("event: error\ndata: {event}\n\n").into_bytes()
}
