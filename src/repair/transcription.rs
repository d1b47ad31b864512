//! A transcription: an object with a `text`.
//!
//! Servers put it under other names, into envelopes, or only into its segments. Whole answers and the pieces of
//! streams ([`super::sse`]) are read by the same function.

use crate::wire::json::cursor::{self, Value};
use crate::wire::json::string;
use crate::wire::json::tokenizer::Kind;
use crate::wire::splice::{Edit, apply};

/// Names of the text, or of a piece of it, OpenAI's first.
const TEXTS: [&str; 11] = [
    "text",
    "delta",
    "transcript",
    "transcription",
    "transcribed_text",
    "result_text",
    "sentence",
    "content",
    "DisplayText",
    "Display",
    "word",
];

/// Lists whose elements each have a part of the text.
const PARTS: [&str; 9] = [
    "segments",
    "transcription",
    "chunks",
    "results",
    "sentences",
    "utterances",
    "channels",
    "choices",
    "words",
];

/// Lists of which each element says all of it in another way, the likeliest first.
const ALTERNATIVES: [&str; 3] = ["alternatives", "NBest", "nbest"];

/// Members that hold what was meant.
const CONTAINERS: [&str; 10] = [
    "result",
    "data",
    "output",
    "response",
    "body",
    "results",
    "transcription",
    "segment",
    "message",
    "delta",
];

/// How deep texts are looked for.
const MAX_LEVELS: u8 = 6;

/// The transcription with its text where clients look for it; `None` if it is right, or has no text.
#[must_use]
pub fn repaired(json: &[u8]) -> Option<Vec<u8>> {
    let root = cursor::parse(json).ok()?;
    if root.kind == Kind::BeginObject && root.get("text").is_some_and(|text| is_text(&text)) {
        return None;
    }
    let text = said(&root)?;
    let text = text.trim_ascii();
    let member = [b"\"text\":\"", text, b"\""].concat();
    match root.kind {
        // A chat answer that says it: what is told once is not told again.
        Kind::BeginObject if root.get("choices").is_some() => {
            let mut out = [b"{", &member[..]].concat();
            for (key, value) in root.members() {
                let name = key.as_str()?;
                if !matches!(&*name, "choices" | "text" | "object") {
                    out.push(b',');
                    out.extend(string::encode(&name));
                    out.push(b':');
                    out.extend_from_slice(value.raw());
                }
            }
            out.push(b'}');
            Some(out)
        }
        Kind::BeginObject => match root.get("text") {
            Some(given) => {
                let with = [b"\"", text, b"\""].concat();
                apply(json, &[Edit { span: given.span(), with }])
            }
            None => {
                let at = root.span().end.saturating_sub(1);
                let comma: &[u8] = if root.members().next().is_some() { b"," } else { b"" };
                let with = [comma, &member[..]].concat();
                apply(json, &[Edit { span: at..at, with }])
            }
        },
        _ => Some([b"{", &member[..], b"}"].concat()),
    }
}

fn is_text(value: &Value<'_>) -> bool {
    value.kind == Kind::String
}

/// What stands between the quotes of a text that `value` has anywhere it may be.
pub(super) fn said(value: &Value<'_>) -> Option<Vec<u8>> {
    text(value, MAX_LEVELS)
}

fn text(value: &Value<'_>, levels: u8) -> Option<Vec<u8>> {
    let levels = levels.checked_sub(1)?;
    match value.kind {
        Kind::String => Some(value.inner().to_vec()),
        Kind::BeginArray => joined(value, levels),
        Kind::BeginObject => {
            let named = TEXTS.iter().filter_map(|name| value.get(name));
            let mut texts = named.filter_map(|text| match text.kind {
                Kind::String => Some(text.inner().to_vec()),
                Kind::BeginArray => joined(&text, levels),
                _ => None,
            });
            if let Some(text) = texts.next() {
                return Some(text);
            }
            let mut others =
                ALTERNATIVES.iter().filter_map(|name| value.get(name)?.elements().next());
            if let Some(text) = others.find_map(|likeliest| text(&likeliest, levels)) {
                return Some(text);
            }
            let parts = PARTS.iter().filter_map(|name| value.get(name));
            if let Some(text) = parts
                .filter(|list| list.kind == Kind::BeginArray)
                .find_map(|list| joined(&list, levels))
            {
                return Some(text);
            }
            CONTAINERS
                .iter()
                .filter_map(|name| value.get(name))
                .find_map(|held| text_of(&held, levels))
        }
        _ => None,
    }
}

/// A container holds an object or a list; a string in it is a text only under a text's name.
fn text_of(held: &Value<'_>, levels: u8) -> Option<Vec<u8>> {
    if matches!(held.kind, Kind::BeginObject | Kind::BeginArray) {
        text(held, levels)
    } else {
        None
    }
}

/// The texts of a list's elements, with a space between them where they have none. Elements that say nothing
/// are passed over; `None` if all do.
fn joined(list: &Value<'_>, levels: u8) -> Option<Vec<u8>> {
    list.elements().filter_map(|element| text(&element, levels)).reduce(|mut all, part| {
        let is_apart = all.is_empty() || all.last() == Some(&b' ');
        if !is_apart && !part.is_empty() && part.first() != Some(&b' ') {
            all.push(b' ');
        }
        all.extend(part);
        all
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::test;

    #[test]
    fn texts_are_found() {
        for (json, want) in [
            (r#"{"transcript":"a b"}"#, Some(r#"{"transcript":"a b","text":"a b"}"#)),
            (r#"{"result":{"text":"a b"}}"#, Some(r#"{"result":{"text":"a b"},"text":"a b"}"#)),
            (r#"{"text":["a","b"]}"#, Some(r#"{"text":"a b"}"#)),
            (
                r#"{"text":null,"segments":[{"text":" a"},{"text":" b"}]}"#,
                Some(r#"{"text":"a b","segments":[{"text":" a"},{"text":" b"}]}"#),
            ),
            (r#"[{"text":"a"},{"text":"b"}]"#, Some(r#"{"text":"a b"}"#)),
            (r#"[{"text":"a"},{"text":null},{"text":""},{"text":"b"}]"#, Some(r#"{"text":"a b"}"#)),
            (r#"[{"text":null}]"#, None),
            (r#""a b""#, Some(r#"{"text":"a b"}"#)),
            (r#"{"text":""}"#, None),
            (r#"{"segments":[]}"#, None),
            (r#"{"status":"queued"}"#, None),
            (r#"{"result":"ok"}"#, None),
            ("{}", None),
            (
                r#"{"results":[{"alternatives":[{"transcript":"a"},{"transcript":"eh"}]},{"alternatives":[{"transcript":" b"}]}]}"#,
                Some(
                    r#"{"results":[{"alternatives":[{"transcript":"a"},{"transcript":"eh"}]},{"alternatives":[{"transcript":" b"}]}],"text":"a b"}"#,
                ),
            ),
            (
                r#"{"results":{"channels":[{"alternatives":[{"transcript":"a"}]}]}}"#,
                Some(
                    r#"{"results":{"channels":[{"alternatives":[{"transcript":"a"}]}]},"text":"a"}"#,
                ),
            ),
            (
                r#"{"id":"x","choices":[{"message":{"content":"a"}}],"usage":{}}"#,
                Some(r#"{"text":"a","id":"x","usage":{}}"#),
            ),
            (
                r#"{"words":[{"word":"a"},{"word":"b"}]}"#,
                Some(r#"{"words":[{"word":"a"},{"word":"b"}],"text":"a b"}"#),
            ),
            ("WEBVTT", None),
        ] {
            let got = repaired(json.as_bytes());
            assert_eq!(got.as_deref().map(|got| std::str::from_utf8(got).unwrap()), want, "{json}");
        }
    }
}
