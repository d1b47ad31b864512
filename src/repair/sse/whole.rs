//! Whole answers that become the streams that were asked for, as the APIs that name their events send them.

use super::typed::{EventFacts, EventOutcome};
use crate::repair::chat::edits::{member, name_of};
use crate::repair::chat::usage;
use crate::wire::json::cursor::Value;
use crate::wire::json::string;
use crate::wire::json::tokenizer::Kind;
use crate::wire::splice::{self, Edit};

/// The least that clients read a streamed Response from: the first and the last event, as `responses.stream()` does, and between
/// them each item of the output, which is all that Codex reads.
pub(super) fn response(text: &[u8], root: &Value<'_>, model: Option<&str>) -> EventOutcome {
    let status = root.get("status").and_then(|status| status.as_str());
    let last = match status.as_deref() {
        Some("incomplete") => "response.incomplete",
        Some("failed") => "response.failed",
        _ => "response.completed",
    };
    let mut response = text.trim_ascii().to_vec();
    if let (Some(named), Some(with)) = (root.get("model"), model)
        && let Some(edited) =
            splice::apply(text, &[Edit { span: named.span(), with: string::encode(with) }])
    {
        response = edited;
    }
    let event = |name: &str, number: u64, member: &str, value: &[u8]| {
        let mut event =
            format!(r#"{{"type":"{name}","sequence_number":{number},{member}:"#).into_bytes();
        event.extend_from_slice(value);
        event.push(b'}');
        event
    };
    let whole = |name, number| (name, event(name, number, r#""response""#, &response));
    let mut events = vec![whole("response.created", 0)];
    let mut number = 0;
    let output = root.get("output").filter(|output| output.kind == Kind::BeginArray);
    let items = output.iter().flat_map(Value::elements);
    for (index, item) in items.filter(|item| item.kind == Kind::BeginObject).enumerate() {
        let member = format!(r#""output_index":{index},"item""#);
        for name in ["response.output_item.added", "response.output_item.done"] {
            number += 1;
            events.push((name, event(name, number, &member, item.raw())));
        }
    }
    number += 1;
    events.push(whole(last, number));
    let counts = root.get("usage").filter(usage::counts);
    let facts = EventFacts {
        ends: true,
        fails: last == "response.failed",
        cached: counts.map(|counts| crate::repair::usage::cached(&counts)),
        sequence: Some(number),
    };
    EventOutcome::Events(events, facts)
}

/// A Message as its events: each block begins empty, and what it holds follows as one delta for each kind. What has no delta
/// stands in the block's beginning, as the API's own blocks of results do.
pub(super) fn message(root: &Value<'_>, model: Option<&str>) -> EventOutcome {
    let mut begun = vec![b'{'];
    let mut delta = vec![b'{'];
    for (key, value) in root.members() {
        let name = name_of(root, &key);
        if key.is("content") {
            member(&mut begun, name, b"[]");
        } else if key.is("stop_reason") || key.is("stop_sequence") {
            member(&mut begun, name, b"null");
            member(&mut delta, name, value.raw());
        } else if let (true, Some(with)) = (key.is("model"), model) {
            member(&mut begun, name, &string::encode(with));
        } else {
            member(&mut begun, name, value.raw());
        }
    }
    begun.push(b'}');
    delta.push(b'}');
    let mut events = vec![("message_start", object("message_start", &[("message", &begun)]))];
    let content = root.get("content");
    for (index, block) in content.iter().flat_map(Value::elements).enumerate() {
        block_events(&mut events, index, &block);
    }
    let counts = root.get("usage").filter(usage::counts);
    let mut last = vec![("delta", &delta[..])];
    last.extend(counts.map(|counts| ("usage", counts.raw())));
    events.push(("message_delta", object("message_delta", &last)));
    events.push(("message_stop", object("message_stop", &[])));
    let cached = counts.map(|counts| crate::repair::usage::cached(&counts));
    EventOutcome::Events(events, EventFacts { ends: true, cached, ..EventFacts::default() })
}

fn block_events(events: &mut Vec<(&'static str, Vec<u8>)>, index: usize, block: &Value<'_>) {
    let index = index.to_string();
    let kind = block.get("type").and_then(|kind| kind.as_str()).unwrap_or_default();
    let mut begun = vec![b'{'];
    let mut deltas: Vec<Vec<u8>> = Vec::new();
    let mut delta = |kind: &str, name: &str, value: &[u8]| {
        deltas.push(object(kind, &[(name, value)]));
    };
    for (key, value) in block.members() {
        let is_text = value.kind == Kind::String;
        let empty: &[u8] = match &*kind {
            "text" if key.is("text") && is_text => {
                delta("text_delta", "text", value.raw());
                br#""""#
            }
            "text" if key.is("citations") && value.kind == Kind::BeginArray => {
                value.elements().for_each(|it| delta("citations_delta", "citation", it.raw()));
                b"[]"
            }
            "thinking" if key.is("thinking") && is_text => {
                delta("thinking_delta", "thinking", value.raw());
                br#""""#
            }
            "thinking" if key.is("signature") && is_text => {
                delta("signature_delta", "signature", value.raw());
                br#""""#
            }
            // A call of a tool, whoever runs it.
            _ if key.is("input") && value.kind == Kind::BeginObject => {
                let text = String::from_utf8_lossy(value.raw());
                delta("input_json_delta", "partial_json", &string::encode(&text));
                b"{}"
            }
            _ => value.raw(),
        };
        member(&mut begun, name_of(block, &key), empty);
    }
    begun.push(b'}');
    let index = ("index", index.as_bytes());
    let name = "content_block_start";
    events.push((name, object(name, &[index, ("content_block", &begun)])));
    let name = "content_block_delta";
    events.extend(deltas.iter().map(|delta| (name, object(name, &[index, ("delta", delta)]))));
    let name = "content_block_stop";
    events.push((name, object(name, &[index])));
}

/// An object of this `type`. The names need no escapes.
fn object(kind: &str, members: &[(&str, &[u8])]) -> Vec<u8> {
    let mut out = vec![b'{'];
    member(&mut out, br#""type""#, format!("\"{kind}\"").as_bytes());
    for (name, value) in members {
        member(&mut out, format!("\"{name}\"").as_bytes(), value);
    }
    out.push(b'}');
    out
}
