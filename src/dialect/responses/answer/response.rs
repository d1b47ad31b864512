//! The Response object.

use crate::dialect::chat::ChatHead;
use crate::dialect::chat::text::number;
use crate::dialect::responses::AnswerForm;
use crate::wire::json::string;

use super::items::OutputItem;
use super::{ResponseOptions, usage};

/// Whether a member is written here: a request may not repeat it.
fn is_own(name: &str) -> bool {
    matches!(
        name.as_bytes(),
        b"id"
            | b"object"
            | b"created_at"
            | b"status"
            | b"background"
            | b"error"
            | b"incomplete_details"
            | b"model"
            | b"output"
            | b"usage"
            | b"completed_at"
    )
}

/// Why an answer is not complete.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum IncompleteReason {
    MaxOutputTokens,
    ContentFilter,
}

/// Where the answer stands.
#[derive(Debug, Clone, Copy)]
pub(super) enum ResponseState<'a> {
    InProgress,
    Completed,
    Incomplete(IncompleteReason),
    Failed(&'a ResponseFailure),
}

/// Why an answer failed.
#[derive(Debug)]
pub(super) struct ResponseFailure {
    pub(super) code: String,
    pub(super) message: String,
}

impl ResponseState<'_> {
    /// The event that says so.
    pub(super) fn event(&self) -> &'static str {
        match self {
            Self::InProgress => "response.in_progress",
            Self::Completed => "response.completed",
            Self::Incomplete(_) => "response.incomplete",
            Self::Failed(_) => "response.failed",
        }
    }
}

/// Writes the Response as it is now.
///
/// Members are in the order of the API reference, those that repeat the request in the order of
/// [`super::AnswerContext::repeated`]. `completed_at` is in the SDKs' types: null unless completed.
pub(super) fn write(
    options: &ResponseOptions,
    head: &ChatHead,
    items: &[OutputItem],
    state: ResponseState<'_>,
    out: &mut Vec<u8>,
) {
    if options.context.form == AnswerForm::CompactionObject {
        return write_compaction(options, head, items, out);
    }
    let created = head.created.unwrap_or(options.now);
    out.extend_from_slice(b"{\"id\":\"resp_");
    out.extend_from_slice(options.id.as_bytes());
    out.extend_from_slice(b"\",\"object\":\"response\",\"created_at\":");
    number(created, out);
    let (status, error, details): (&[u8], _, &[u8]) = match state {
        ResponseState::InProgress => (b"in_progress", None, b"null"),
        ResponseState::Completed => (b"completed", None, b"null"),
        ResponseState::Incomplete(IncompleteReason::MaxOutputTokens) => {
            (b"incomplete", None, b"{\"reason\":\"max_output_tokens\"}")
        }
        ResponseState::Incomplete(IncompleteReason::ContentFilter) => {
            (b"incomplete", None, b"{\"reason\":\"content_filter\"}")
        }
        ResponseState::Failed(failure) => (b"failed", Some(failure), b"null"),
    };
    out.extend_from_slice(b",\"status\":\"");
    out.extend_from_slice(status);
    // What runs in the background is refused before it gets here.
    out.extend_from_slice(b"\",\"background\":false,\"error\":");
    match error {
        None => out.extend_from_slice(b"null"),
        Some(failure) => {
            out.extend_from_slice(b"{\"code\":");
            out.extend_from_slice(&string::encode(&failure.code));
            out.extend_from_slice(b",\"message\":");
            out.extend_from_slice(&string::encode(&failure.message));
            out.push(b'}');
        }
    }
    out.extend_from_slice(b",\"incomplete_details\":");
    out.extend_from_slice(details);
    out.extend_from_slice(b",\"model\":");
    match (&options.response_model, &head.model) {
        (Some(model), _) => out.extend_from_slice(&string::encode(model)),
        (None, Some(model)) => out.extend_from_slice(model),
        (None, None) => out.extend_from_slice(&string::encode(&options.model)),
    }
    out.extend_from_slice(b",\"output\":[");
    for (index, item) in items.iter().enumerate() {
        if index > 0 {
            out.push(b',');
        }
        item.write(&options.id, index, out);
    }
    out.push(b']');
    let mut tier = head.service_tier.as_deref();
    for (name, value) in options.context.repeated.iter().filter(|(name, _)| !is_own(name)) {
        let told = if *name == "service_tier" { tier.take() } else { None };
        member(name, told.unwrap_or(value), out);
    }
    if let Some(tier) = tier {
        member("service_tier", tier, out);
    }
    out.extend_from_slice(b",\"usage\":");
    match (state, &head.usage) {
        (ResponseState::InProgress, _) | (_, None) => out.extend_from_slice(b"null"),
        (_, Some(counted)) => usage::write(counted, out),
    }
    out.extend_from_slice(b",\"completed_at\":");
    match state {
        ResponseState::Completed => number(options.now.max(created), out),
        _ => out.extend_from_slice(b"null"),
    }
    out.push(b'}');
}

/// Writes the object `response.compaction`, whose type has counts in any case.
fn write_compaction(
    options: &ResponseOptions,
    head: &ChatHead,
    items: &[OutputItem],
    out: &mut Vec<u8>,
) {
    out.extend_from_slice(b"{\"id\":\"resp_");
    out.extend_from_slice(options.id.as_bytes());
    out.extend_from_slice(b"\",\"object\":\"response.compaction\",\"created_at\":");
    number(head.created.unwrap_or(options.now), out);
    out.extend_from_slice(b",\"output\":[");
    for (index, item) in items.iter().enumerate() {
        if index > 0 {
            out.push(b',');
        }
        item.write(&options.id, index, out);
    }
    out.extend_from_slice(b"],\"usage\":");
    usage::write(&head.usage.unwrap_or_default(), out);
    out.push(b'}');
}

fn member(name: &str, value: &[u8], out: &mut Vec<u8>) {
    out.extend_from_slice(b",\"");
    out.extend_from_slice(name.as_bytes());
    out.extend_from_slice(b"\":");
    out.extend_from_slice(value);
}
