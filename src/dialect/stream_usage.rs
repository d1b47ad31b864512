//! Token counts of a stream whose client did not ask for them: the request is made to ask, and the answer goes to the
//! client as if it had not. A client that leaves the option out would escape each limit of tokens otherwise.

use memchr::memmem;

use crate::error::{Code, GatewayError};
use crate::telemetry::usage::names::USAGE;
use crate::wire::json::cursor::{self, Key, Value};
use crate::wire::json::tokenizer::Kind;
use crate::wire::names::is_nearly;
use crate::wire::splice::Edit;

const OPTIONS: &str = "stream_options";
const OPTION: &str = "include_usage";
const ASKED: &[u8] = br#"{"include_usage":true}"#;

/// The edits of a chat or completions request, all of it in `body`, that ask for the token counts of its stream; none where
/// it asks already. Where parsers may disagree (the option twice, or in another spelling), all of them read the same then.
///
/// # Errors
/// `invalid_json`.
pub fn asked(body: &[u8]) -> Result<Vec<Edit>, GatewayError> {
    let root = cursor::parse(body).map_err(|error| {
        GatewayError::new(Code::InvalidJson, format!("The body is not valid JSON: {error}."))
    })?;
    let mut edits = Vec::new();
    let mut names = false;
    for options in named(&root, OPTIONS, &mut names) {
        if options.kind != Kind::BeginObject {
            edits.push(Edit { span: options.span(), with: ASKED.to_vec() });
            continue;
        }
        let mut says = false;
        for asks in named(&options, OPTION, &mut says) {
            if asks.kind != Kind::True {
                edits.push(Edit { span: asks.span(), with: b"true".to_vec() });
            }
        }
        if !says {
            edits.push(first(&options, OPTION, b"true"));
        }
    }
    if !names {
        edits.push(first(&root, OPTIONS, ASKED));
    }
    edits.sort_by_key(|edit| edit.span.start);
    Ok(edits)
}

/// The values of the members that a parser may take for `name`. `exact`: one of them is written so.
fn named<'a>(
    object: &Value<'a>,
    name: &'static str,
    exact: &mut bool,
) -> impl Iterator<Item = Value<'a>> {
    let found = object.members().filter(move |(key, _)| {
        let text = key.as_str().unwrap_or_default();
        is_nearly(text.as_bytes(), name)
    });
    let found: Vec<_> = found.collect();
    *exact = found.iter().any(|(key, _)| key.is(name));
    found.into_iter().map(|(_, value)| value)
}

/// A member before all others of `object`.
fn first(object: &Value<'_>, name: &str, value: &[u8]) -> Edit {
    let at = object.span().start.saturating_add(1);
    let comma: &[u8] = if object.members().next().is_some() { b"," } else { b"" };
    let with = [b"\"", name.as_bytes(), b"\":", value, comma].concat();
    Edit { span: at..at, with }
}

/// Canonical events of a chat or completions stream, whole ones, without their token counts; `None` where they have none.
/// An event that says nothing else goes with its counts: it would not be there.
#[must_use]
pub fn without(events: &[u8]) -> Option<Vec<u8>> {
    memmem::find(events, MARK)?;
    let mut kept = Vec::with_capacity(events.len());
    let mut has_changed = false;
    // A blank line follows each.
    let mut rest = events;
    while !rest.is_empty() {
        let end = memmem::find(rest, b"\n\n").map_or(rest.len(), |at| at + 2);
        let (event, after) = rest.split_at_checked(end).unwrap_or((rest, b""));
        rest = after;
        match event.strip_prefix(b"data: ").and_then(payload_without) {
            Some(payload) => {
                has_changed = true;
                if let Some(payload) = payload {
                    kept.extend_from_slice(b"data: ");
                    kept.extend_from_slice(&payload);
                }
            }
            None => kept.extend_from_slice(event),
        }
    }
    has_changed.then_some(kept)
}

/// What stands in every chunk and says nothing of its own.
const FRAME: [&str; 8] = [
    "id",
    "object",
    "created",
    "model",
    "system_fingerprint",
    "service_tier",
    "provider",
    "obfuscation",
];

/// In each of the names of [`USAGE`].
const MARK: &[u8] = b"usage";

fn is_usage(key: &Key<'_>) -> bool {
    USAGE.iter().any(|name| key.is(name))
}

/// Whether a chunk says more than its token counts: choices, or members (citations, timings) that have a value.
fn says_more(chunk: &Value<'_>) -> bool {
    chunk.members().any(|(key, value)| {
        let is_frame = is_usage(&key) || FRAME.iter().any(|name| key.is(name));
        // The request's id, as in the first chunk, and the counts once more.
        let is_groqs = key.is("x_groq")
            && value.kind == Kind::BeginObject
            && value.members().all(|(key, _)| key.is("id") || key.is("usage"));
        !is_frame && !is_groqs && !is_empty(&value)
    })
}

fn is_empty(value: &Value<'_>) -> bool {
    match value.kind {
        Kind::Null => true,
        Kind::BeginArray => value.elements().next().is_none(),
        Kind::BeginObject => value.members().next().is_none(),
        Kind::String => value.as_str().is_some_and(|text| text.is_empty()),
        _ => false,
    }
}

/// A payload, and what follows it, without its token counts: nothing where it says nothing else. `None` where it has none.
#[allow(clippy::option_option, reason = "unchanged, changed, or gone")]
fn payload_without(payload: &[u8]) -> Option<Option<Vec<u8>>> {
    memmem::find(payload, MARK)?;
    let text = payload.trim_ascii_end();
    let root = cursor::parse(text).ok()?;
    let mut usages = root.members().filter(|(key, _)| is_usage(key)).map(|(_, value)| value.kind);
    let first = usages.next()?;
    let is_counted = first == Kind::BeginObject || usages.any(|kind| kind == Kind::BeginObject);
    // Groq tells its counts there, asked or not, in the chunk that ends a choice.
    let has_choices = root.get("choices").is_some_and(|choices| !is_empty(&choices));
    let is_groqs = |told: Value<'_>| told.get("usage").is_some_and(|it| !it.is_null());
    if has_choices && root.get("x_groq").is_some_and(is_groqs) {
        return None;
    }
    if is_counted && !says_more(&root) {
        return Some(None);
    }
    let mut kept = Vec::with_capacity(payload.len());
    let mut from = 0;
    let mut before: Option<usize> = None;
    let mut pending = None;
    for (key, value) in root.members() {
        let (start, end) = (key.span().start, value.span().end);
        if let Some(gone) = pending.take() {
            // Without a member before it, it goes with the comma behind it.
            let gone: usize = gone;
            kept.extend_from_slice(payload.get(from..gone).unwrap_or_default());
            from = start;
        }
        if !is_usage(&key) {
            before = Some(end);
        } else if let Some(before) = before {
            kept.extend_from_slice(payload.get(from..before).unwrap_or_default());
            from = end;
        } else {
            pending = Some(start);
        }
    }
    if let Some(gone) = pending {
        kept.extend_from_slice(payload.get(from..gone).unwrap_or_default());
        from = root.span().end.saturating_sub(1);
    }
    kept.extend_from_slice(payload.get(from..).unwrap_or_default());
    Some(Some(kept))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::test;
    use crate::wire::splice;

    fn asks(body: &str) -> String {
        let edits = asked(body.as_bytes()).unwrap();
        let after = splice::apply(body.as_bytes(), &edits).unwrap();
        String::from_utf8(after).unwrap()
    }

    #[test]
    fn a_request_is_made_to_ask() {
        for (body, after) in [
            (r#"{"model":"m"}"#, r#"{"stream_options":{"include_usage":true},"model":"m"}"#),
            (r#" { "model":"m"}"#, r#" {"stream_options":{"include_usage":true}, "model":"m"}"#),
            (r#"{"stream_options":null}"#, r#"{"stream_options":{"include_usage":true}}"#),
            (r#"{"stream_options":[1]}"#, r#"{"stream_options":{"include_usage":true}}"#),
            (r#"{"stream_options":{}}"#, r#"{"stream_options":{"include_usage":true}}"#),
            (
                r#"{"stream_options":{"include_obfuscation":false}}"#,
                r#"{"stream_options":{"include_usage":true,"include_obfuscation":false}}"#,
            ),
            (
                r#"{"stream_options":{"include_usage": false}}"#,
                r#"{"stream_options":{"include_usage": true}}"#,
            ),
            (
                r#"{"stream_options":{"include_usage":true,"include_usage":null}}"#,
                r#"{"stream_options":{"include_usage":true,"include_usage":true}}"#,
            ),
            (
                r#"{"stream_options":{"include_usage":true},"a":1,"stream_options":{}}"#,
                r#"{"stream_options":{"include_usage":true},"a":1,"stream_options":{"include_usage":true}}"#,
            ),
            (
                r#"{"Stream_Options":{"Include_Usage":false}}"#,
                r#"{"stream_options":{"include_usage":true},"Stream_Options":{"include_usage":true,"Include_Usage":true}}"#,
            ),
            (
                r#"{"stream_option\u0073":{"include_us\u0061ge":0}}"#,
                r#"{"stream_option\u0073":{"include_us\u0061ge":true}}"#,
            ),
        ] {
            assert_eq!(asks(body), after, "{body}");
            assert_eq!(asks(after), after, "asks already");
        }
        assert!(asked(b"{").is_err());
    }

    #[test]
    fn events_lose_their_counts_and_nothing_else() {
        let usage = r#"{"prompt_tokens":1,"completion_tokens":2}"#;
        for (before, after) in [
            (format!(r#"{{"choices":[],"usage":{usage}}}"#), None),
            (format!(r#"{{"usage":{usage},"id":"x"}}"#), None),
            (r#"{"choices":[],"usage":null,"p":1}"#.to_owned(), Some(r#"{"choices":[],"p":1}"#)),
            (
                format!(r#"{{"a":1,"choices":[{{}}],"usage":{usage}}}"#),
                Some(r#"{"a":1,"choices":[{}]}"#),
            ),
            (format!(r#"{{"usage":{usage},"choices":[{{}}]}}"#), Some(r#"{"choices":[{}]}"#)),
            (
                r#"{"usage": null, "usage": null, "choices": [{}], "usage": null, "b": 1}"#
                    .to_owned(),
                Some(r#"{"choices": [{}], "b": 1}"#),
            ),
            (r#"{"a": 1, "usage": null , "b": 1}"#.to_owned(), Some(r#"{"a": 1 , "b": 1}"#)),
            (r#"{"usage":null}"#.to_owned(), Some("{}")),
            (
                format!(
                    r#"{{"id":"x","object":"chat.completion.chunk","created":1,"model":"m","system_fingerprint":"f","service_tier":"default","choices":[],"usage":{usage},"error":null,"metadata":{{}},"annotations":[],"warning":""}}"#
                ),
                None,
            ),
            (
                format!(r#"{{"choices":[],"usage":{usage},"citations":["http://a.test"]}}"#),
                Some(r#"{"choices":[],"citations":["http://a.test"]}"#),
            ),
            (
                format!(r#"{{"timings":{{"predicted_n":2}},"usage":{usage},"choices":[]}}"#),
                Some(r#"{"timings":{"predicted_n":2},"choices":[]}"#),
            ),
            (
                format!(r#"{{"usage":{usage},"choices":[],"x_groq":{{"id":"req","error":"e"}}}}"#),
                Some(r#"{"choices":[],"x_groq":{"id":"req","error":"e"}}"#),
            ),
            (format!(r#"{{"usage":{usage},"choices":[],"x_groq":{{"id":"req"}}}}"#), None),
            // Groq's counts, which come unasked with the last choice, in a chunk that is there because they were asked for.
            (
                format!(
                    r#"{{"choices":[],"usage":{usage},"x_groq":{{"id":"r","usage":{usage}}}}}"#
                ),
                None,
            ),
            (format!(r#"{{"usage":{usage},"x_groq":{{"usage":{usage}}}}}"#), None),
            (
                format!(
                    r#"{{"choices":[],"usage":{usage},"x_groq":{{"usage":{usage},"error":"e"}}}}"#
                ),
                Some(
                    r#"{"choices":[],"x_groq":{"usage":{"prompt_tokens":1,"completion_tokens":2},"error":"e"}}"#,
                ),
            ),
            (format!(r#"{{"choices":[],"usageMetadata":{usage}}}"#), None),
            (
                format!(r#"{{"token_usage":{usage},"choices":[{{}}],"usage_metadata":null}}"#),
                Some(r#"{"choices":[{}]}"#),
            ),
            (
                format!(r#"{{"choices":[],"usage":{usage},"cost":0}}"#),
                Some(r#"{"choices":[],"cost":0}"#),
            ),
        ] {
            let event = |payload: &str| format!("data: {payload}\n\n");
            let around = [":\n\n", &event("{\"choices\":[{\"usage\":1}]}")].concat();
            let events = [&*around, &event(&before), "data: [DONE]\n\n"].concat();
            let kept = after.map(event).unwrap_or_default();
            let want = [&*around, &kept, "data: [DONE]\n\n"].concat();
            let got = without(events.as_bytes()).unwrap();
            assert_eq!(String::from_utf8(got).unwrap(), want);
            assert_eq!(without(want.as_bytes()), None);
        }
    }
}
