//! Events that are named by their `type`: those of the Responses API and of the Messages API.

use super::whole;
use crate::error::ErrorAnswer;
use crate::repair::chat::usage;
use crate::repair::error::{Event, from_event};
use crate::wire::json::cursor::{self, Value};
use crate::wire::json::string;
use crate::wire::json::tokenizer::Kind;
use crate::wire::splice::{self, Edit};

/// What becomes of a payload.
#[derive(Debug)]
pub(super) enum EventOutcome {
    /// It goes on, edited or (`None`) as it is.
    Emit(Option<Vec<u8>>, EventFacts),
    /// Several events instead of it: name (for the `event:` line) and payload.
    Events(Vec<(&'static str, Vec<u8>)>, EventFacts),
    /// An error that is no event of the protocol, or that may still become a status.
    Error(Box<ErrorAnswer>),
}

/// What an event said.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) struct EventFacts {
    /// The protocol's last event.
    pub(super) ends: bool,
    /// It says that there is no answer.
    pub(super) fails: bool,
    pub(super) cached: Option<bool>,
    pub(super) sequence: Option<u64>,
}

/// Whether `name` is the last event of a stream.
pub(super) fn is_last(name: &[u8]) -> bool {
    matches!(
        name,
        b"response.completed"
            | b"response.incomplete"
            | b"response.failed"
            | b"transcript.text.done"
            | b"message_stop"
            | b"error"
    )
}

/// Whether `name` is an event of the protocol's own, which is never an error however it reads.
pub(super) fn is_protocol(name: &[u8]) -> bool {
    name.starts_with(b"response.") || name.starts_with(b"transcript.") || is_of_messages(name)
}

/// Whether `name` is an event of the Messages API.
fn is_of_messages(name: &[u8]) -> bool {
    name == b"ping" || name.starts_with(b"message_") || name.starts_with(b"content_block_")
}

/// Whether nothing in an event of this name has to be looked at.
pub(super) fn is_plain(name: &[u8]) -> bool {
    !name.starts_with(b"message_")
}

/// Looks at a payload member by member. `first`: no event has left yet.
pub(super) fn repair(text: &[u8], first: bool, event: Event, model: Option<&str>) -> EventOutcome {
    let Ok(root) = cursor::parse(text) else {
        return EventOutcome::Emit(None, EventFacts::default());
    };
    let name = root.get("type").and_then(|name| name.as_str());
    let Some(name) = name else { return untyped(text, &root, event, model) };
    if name == "message" && root.get("content").is_some_and(|it| it.kind == Kind::BeginArray) {
        return whole::message(&root, model);
    }
    let sequence = root.get("sequence_number").and_then(|number| number.as_f64());
    let mut facts = EventFacts {
        ends: is_last(name.as_bytes()),
        fails: matches!(&*name, "error" | "response.failed"),
        cached: None,
        sequence: sequence.filter(|number| *number >= 0.0).map(|number| number as u64),
    };
    // Before the first event an error is still a status. Names of other protocols' events say little:
    // those that name an error are one.
    let is_own = is_protocol(name.as_bytes());
    let is_error = name == "error";
    let fails = if is_error { first } else { !is_own && (event.marked || name.contains("error")) };
    let event = Event { marked: event.marked || is_error, ..event };
    if fails && let Some(answer) = from_event(text, event) {
        return EventOutcome::Error(Box::new(answer));
    }
    let whole = if name == "message_start" { "message" } else { "response" };
    let response = root.get(whole).filter(|response| response.kind == Kind::BeginObject);
    let counts = response.unwrap_or(root).get("usage").filter(usage::counts);
    facts.cached = counts.map(|counts| crate::repair::usage::cached(&counts));
    let named = response.and_then(|response| response.get("model"));
    let edited = match (named, model) {
        (Some(named), Some(with)) => {
            splice::apply(text, &[Edit { span: named.span(), with: string::encode(with) }])
        }
        _ => None,
    };
    EventOutcome::Emit(edited, facts)
}

fn untyped(text: &[u8], root: &Value<'_>, event: Event, model: Option<&str>) -> EventOutcome {
    // A Responses object has `"error": null` and a `usage`; it is an answer, not an error.
    let object = root.get("object").and_then(|object| object.as_str());
    if object.as_deref() == Some("response") {
        return whole::response(text, root, model);
    }
    match from_event(text, event) {
        Some(answer) => EventOutcome::Error(Box::new(answer)),
        None => EventOutcome::Emit(None, EventFacts::default()),
    }
}
