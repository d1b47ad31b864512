//! Errors that list a server's models: a key with an allowlist must not learn from them what lies outside
//! of it.
//!
//! A list has an introduction (`Valid aliases:`, `Available model names are`), and goes on to the end of its
//! sentence. What stands there like a name is held against the allowlist; of a list with a name that the key
//! may not use, only the others are left. Where it is not sure whether a word is a name, it goes.

use serde_json::Value;

use crate::error::ErrorObject;

/// Introductions that speak of models: every item of a list behind them counts.
const OF_MODELS: [&str; 38] = [
    "available model",
    "available alias",
    "available deployment",
    "available engine",
    "available adapter",
    "available name",
    "available:",
    "valid alias",
    "valid model",
    "valid name",
    "valid engine",
    "supported model",
    "supported engine",
    "loaded model",
    "loaded adapter",
    "served model",
    "served name",
    "known model",
    "existing model",
    "installed model",
    "deployed model",
    "registered model",
    "configured model",
    "allowed model",
    "permitted model",
    "accessible model",
    "active model",
    "running model",
    "following model",
    "similar model",
    "other model",
    "models available",
    "models loaded",
    "models are",
    "models:",
    "models include",
    "model ids are",
    "model list",
];

/// Introductions that may list anything: they count in an error about the model, and only what is quoted or
/// spelled like an id.
const OF_ANYTHING: [&str; 14] = [
    "one of",
    "choose from",
    "choose between",
    "did you mean",
    "do you mean",
    "perhaps you meant",
    "should be",
    "must be",
    "expected",
    "options",
    "choices",
    "try",
    "use",
    "only",
];

/// Words between an introduction and its list, and between items.
const JOINTS: [&str; 12] =
    ["", "are", "is", "include", "includes", "and", "or", "&&", "&", "|", "of", "from"];

/// What a sentence says of models behind `are`, so that it is no list: besides these, participles.
const SAID_OF_THEM: [&str; 6] = ["available", "busy", "missing", "not", "required", "unavailable"];

/// Takes out of `error` the models that are not `shown`: from its message and from its further members.
/// Whether anything was taken.
pub fn conceal(error: &mut ErrorObject, shown: &dyn Fn(&str) -> bool) -> bool {
    let about_model = error.param.as_deref() == Some("model")
        || error.code.as_deref().is_some_and(|code| code.contains("model") || code == "404")
        || error.kind.to_ascii_lowercase().contains("notfound");
    let mut changed = false;
    if let Some(message) = without(&error.message, about_model, shown) {
        error.message = message;
        changed = true;
    }
    let before = error.extra.len();
    error.extra.retain(|name, value| {
        changed |= conceal_in(value, about_model, shown, 8);
        !is_list_of_models(name, value) || all_shown(value, shown)
    });
    changed || error.extra.len() < before
}

/// Texts inside a member of the error.
fn conceal_in(
    value: &mut Value,
    about_model: bool,
    shown: &dyn Fn(&str) -> bool,
    levels: u8,
) -> bool {
    let Some(levels) = levels.checked_sub(1) else {
        return !std::mem::take(value).is_null();
    };
    match value {
        Value::String(text) => match without(text, about_model, shown) {
            Some(rest) => {
                *text = rest;
                true
            }
            None => false,
        },
        Value::Array(items) => {
            let mut changed = false;
            for item in items {
                changed |= conceal_in(item, about_model, shown, levels);
            }
            changed
        }
        Value::Object(map) => {
            let before = map.len();
            map.retain(|name, value| !is_list_of_models(name, value) || all_shown(value, shown));
            let mut changed = map.len() < before;
            for item in map.values_mut() {
                changed |= conceal_in(item, about_model, shown, levels);
            }
            changed
        }
        _ => false,
    }
}

/// Whether a member is a list (or map) of models by its name: `available_models`, `aliases`.
fn is_list_of_models(name: &str, value: &Value) -> bool {
    let name = name.to_ascii_lowercase();
    (value.is_array() || value.is_object())
        && ["model", "alias", "available", "supported", "valid", "allowed", "choices", "options"]
            .iter()
            .any(|word| name.contains(word))
}

fn all_shown(value: &Value, shown: &dyn Fn(&str) -> bool) -> bool {
    match value {
        Value::Array(items) => items.iter().all(|item| item.as_str().is_some_and(shown)),
        _ => false,
    }
}

/// `message` without the models that are not shown; `None` where it lists none.
fn without(message: &str, about_model: bool, shown: &dyn Fn(&str) -> bool) -> Option<String> {
    // Lower-casing ASCII keeps every offset.
    let lower = message.to_ascii_lowercase();
    let speaks_of_models = about_model || lower.contains("model");
    let mut out = String::new();
    let mut done = 0;
    while let Some((start, sure)) = introduction(&lower, done, speaks_of_models && about_model) {
        let end = sentence_end(message, start);
        let scope = message.get(start..end)?;
        match hidden_part(scope, sure, shown) {
            Some((from, to, rest)) => {
                out.push_str(message.get(done..start + from)?);
                out.push_str(&rest);
                done = start + to;
            }
            None => {
                out.push_str(message.get(done..end)?);
                done = end;
            }
        }
        if done >= message.len() {
            break;
        }
    }
    out.push_str(message.get(done..)?);
    (out != message).then_some(out)
}

/// Where the first list behind `from` may begin, and whether it is one of models for sure.
fn introduction(lower: &str, from: usize, about_model: bool) -> Option<(usize, bool)> {
    let rest = lower.get(from..)?;
    let first = |phrases: &[&str], sure: bool| {
        phrases
            .iter()
            .filter_map(|phrase| {
                let at = rest.match_indices(phrase).find_map(|(at, _)| {
                    let behind = rest.get(at + phrase.len()..)?;
                    let before = rest.get(..at)?;
                    let begins = !before.ends_with(|c: char| c.is_ascii_alphanumeric());
                    let ends = sure || !behind.starts_with(|c: char| c.is_ascii_alphanumeric());
                    // The end of the word ("models") belongs to the introduction.
                    let word = behind.find(|c: char| !c.is_ascii_alphanumeric()).unwrap_or(0);
                    (begins && ends).then_some(at + phrase.len() + word)
                })?;
                Some((from + at, sure))
            })
            .min()
    };
    let sure = first(&OF_MODELS, true);
    let any = if about_model { first(&OF_ANYTHING, false) } else { None };
    [sure, any].into_iter().flatten().min_by_key(|(at, sure)| (*at, !*sure))
}

/// The end of the sentence that `from` is in: its full stop, or the message's end. A list may go over lines.
fn sentence_end(message: &str, from: usize) -> usize {
    let mut chars = message.get(from..).unwrap_or_default().char_indices().peekable();
    while let Some((at, c)) = chars.next() {
        let last = chars.peek().is_none_or(|(_, next)| next.is_whitespace());
        if matches!(c, '.' | '!' | '?') && last {
            return from + at;
        }
    }
    message.len()
}

/// The part of a list's sentence from its first name to its last, and what is to stand there: the names that
/// are shown. `None` if all are.
fn hidden_part(
    scope: &str,
    sure: bool,
    shown: &dyn Fn(&str) -> bool,
) -> Option<(usize, usize, String)> {
    let mut span: Option<(usize, usize)> = None;
    let mut kept = Vec::new();
    let mut hides = false;
    // What follows without a colon or a joint goes on with the sentence.
    let mut in_list = scope.starts_with(is_bracket);
    for (start, end) in items(scope) {
        let item = scope.get(start..end)?;
        let name = item.trim_matches(is_mark);
        let behind = scope.get(end..)?.trim_start();
        let joins = item.ends_with([',', ';', ':', '[', '(', '{', '|', '-', '*', '•']);
        let begins = item.starts_with(['[', '(', '{', '-', '*', '•']);
        let quoted = item.contains(['\'', '"', '`']);
        let listed = sure && (in_list || joins || begins || behind.starts_with(['&', '|']));
        let lower = name.to_ascii_lowercase();
        let is_joint = JOINTS.contains(&lower.as_str());
        let is_said = lower.ends_with("ed") || SAID_OF_THEM.contains(&lower.as_str());
        let listed = listed && (joins || !is_said);
        if !is_joint && (quoted || listed || is_spelled_like_an_id(name)) && !is_place(name) {
            let from = start + (item.len() - item.trim_start_matches(is_bracket).len());
            let to = end - (item.len() - item.trim_end_matches(is_bracket).len());
            span = Some((span.map_or(from, |(first, _)| first), to.max(from)));
            if shown(name) {
                kept.push(scope.get(from..to).unwrap_or(name));
            } else {
                hides = true;
            }
        }
        in_list = joins || is_joint;
    }
    let (from, to) = span.filter(|_| hides)?;
    Some((from, to, if kept.is_empty() { "…".to_owned() } else { kept.join(", ") }))
}

/// The words of a text, by where they stand; a comma without a space behind it separates too.
fn items(text: &str) -> Vec<(usize, usize)> {
    let mut out = Vec::new();
    let mut start = None;
    for (at, c) in text.char_indices() {
        if c.is_whitespace() {
            if let Some(start) = start.take() {
                out.push((start, at));
            }
            continue;
        }
        let begun = *start.get_or_insert(at);
        if matches!(c, ',' | ';') {
            out.push((begun, at + c.len_utf8()));
            start = None;
        }
    }
    if let Some(start) = start {
        out.push((start, text.len()));
    }
    out
}

fn is_bracket(c: char) -> bool {
    matches!(c, '[' | ']' | '(' | ')' | '{' | '}' | '<' | '>' | ',' | ';' | ':')
}

fn is_mark(c: char) -> bool {
    is_bracket(c) || matches!(c, '\'' | '"' | '`' | '.' | '!' | '?' | '|' | '&' | '*' | '•')
}

/// A letter, and something that words of a sentence do not have.
fn is_spelled_like_an_id(name: &str) -> bool {
    name.contains(|c: char| c.is_ascii_alphabetic())
        && name.contains(|c: char| {
            c.is_ascii_digit() || matches!(c, '/' | ':' | '_' | '-' | '.' | '@')
        })
}

/// A path or an address, which is no model.
fn is_place(name: &str) -> bool {
    name.starts_with('/') || name.contains("://")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::test;

    fn error(message: &str, code: Option<&str>) -> ErrorObject {
        ErrorObject {
            message: message.to_owned(),
            kind: "NotFoundError".to_owned(),
            param: None,
            code: code.map(str::to_owned),
            extra: serde_json::Map::new(),
        }
    }

    #[test]
    fn only_what_is_shown_is_left() {
        let shown = |name: &str| matches!(name, "org/one" | "nope" | "gpt-4o");
        for (message, want) in [
            (
                "The model `nope` does not exist. Valid aliases: org/one, org/two.",
                "The model `nope` does not exist. Valid aliases: org/one.",
            ),
            (
                "Engine for model name `nope` not found. Available model names are ['org/one', 'org/two']",
                "Engine for model name `nope` not found. Available model names are ['org/one']",
            ),
            (
                "Engine for model name `nope` not found. Available model names are ['org/two','secret']",
                "Engine for model name `nope` not found. Available model names are […]",
            ),
            (
                "Requested model nope not found. Available models: [\"secret\", \"other\"]. Try again.",
                "Requested model nope not found. Available models: […]. Try again.",
            ),
            (
                "Multiple models are loaded. Loaded models are:\n\nalpha\nqwen2.5:7b\n",
                "Multiple models are loaded. Loaded models are:\n\n…\n",
            ),
            (
                "No such model. Supported models are alpha and beta",
                "No such model. Supported models are …",
            ),
            (
                "nope is not a model: must be one of 'org/two' or 'gpt-4o'",
                "nope is not a model: must be one of 'gpt-4o'",
            ),
            ("Input should be 'secret' or 'org/one'", "Input should be 'org/one'"),
            ("Unknown model nope. Did you mean org/two?", "Unknown model nope. Did you mean …?"),
            (
                "Only org/two && org/three allowed now, your model nope",
                "Only … allowed now, your model nope",
            ),
        ] {
            let mut error = error(message, Some("model_not_found"));
            assert!(conceal(&mut error, &shown), "{message}");
            assert_eq!(error.message, want, "{message}");
            assert!(!conceal(&mut error, &shown), "{}", error.message);
        }
    }

    #[test]
    fn other_messages_stay() {
        let shown = |name: &str| matches!(name, "nope" | "org/one");
        for message in [
            "The model `nope` does not exist or you do not have access to it.",
            "The model `nope` does not exist. Valid aliases: org/one.",
            "Call `/v1/models` to view available models for your key.",
            "This model only supports text.",
            "'max_tokens' must be at most 4096 for this model",
            "No model",
            "",
        ] {
            for code in [None, Some("x")] {
                let mut error = ErrorObject { kind: "t".to_owned(), ..error(message, code) };
                assert!(!conceal(&mut error, &shown), "{message}: {}", error.message);
            }
        }
    }

    #[test]
    fn members_are_searched() {
        let shown = |name: &str| name == "org/one";
        let mut found = error("m", None);
        for (name, value) in [
            ("available_models", serde_json::json!(["org/one", "org/two"])),
            ("supported", serde_json::json!(["org/one"])),
            (
                "metadata",
                serde_json::json!({"raw": "Valid models: org/two", "models": {"org/two": 1}, "n": 1}),
            ),
            ("hint", serde_json::json!("h")),
        ] {
            found.extra.insert(name.to_owned(), value);
        }
        assert!(conceal(&mut found, &shown));
        assert_eq!(
            Value::Object(found.extra),
            serde_json::json!({"supported": ["org/one"], "metadata": {"raw": "Valid models: …", "n": 1}, "hint": "h"})
        );
    }
}
