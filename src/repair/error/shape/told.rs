//! What single values of an error body say: its type, its code, and texts, which may be bodies themselves.

use serde_json::{Map, Value};

use super::limit::ReadingLimit;
use super::{Draft, read_within};
use crate::repair::error::text::{clean, is_markup, page};
use crate::repair::error::{printed, python};
use crate::repair::loose;

/// The longest code, in characters.
const MAX_NAME_CHARS: usize = 256;

/// The longest type, in characters, and how many words it may have: what has more is no name.
const MAX_TYPE_CHARS: usize = 64;
const MAX_TYPE_WORDS: usize = 4;

/// An error's type, if that is a short name: neither Anthropic's marker nor an address, as RFC 9457 has them.
pub(super) fn type_name(kind: &str) -> Option<String> {
    // Cleaned before it is judged, so that what leaves is read as the same name again.
    let kind = clean(kind);
    let kind = shape_id(kind.trim()).trim();
    let is_letter = |c: char| c.is_alphanumeric() || matches!(c, '_' | '-' | '.' | ' ');
    let is_name = !kind.is_empty()
        && kind.chars().all(is_letter)
        && kind.chars().count() <= MAX_TYPE_CHARS
        && kind.split_whitespace().count() <= MAX_TYPE_WORDS;
    (is_name && !kind.eq_ignore_ascii_case("error")).then(|| kind.to_owned())
}

/// The name in AWS' `com.amazon.coral.service#ThrottlingException:http://…`; another text as it is.
fn shape_id(kind: &str) -> &str {
    let kind = kind.split_once(":http").map_or(kind, |(name, _)| name);
    match kind.rsplit_once('#') {
        Some((space, name)) if !space.is_empty() && !space.contains(['/', ':']) => name,
        _ => kind,
    }
}

/// What the type of a problem ends in, whose address names no type: `https://api.test/problems/rate-limit`,
/// `urn:problem:rate-limit`.
pub(super) fn problem(kind: &str) -> Option<Value> {
    let (_, name) = kind.trim().trim_end_matches('/').rsplit_once(['/', ':', '#'])?;
    code_name(name)
}

pub(super) fn code(value: &Value) -> Option<Value> {
    match value {
        Value::Number(_) => Some(value.clone()),
        Value::String(text) => code_name(text),
        _ => None,
    }
}

/// A text as a code, wherever it stood: cleaned and cut, so that what leaves is read as the same code again.
pub(in crate::repair::error) fn code_name(text: &str) -> Option<Value> {
    let text: String = clean(text).chars().take(MAX_NAME_CHARS).collect();
    (!text.trim().is_empty()).then(|| Value::from(text))
}

/// A text as message. A text that is itself an error body (JSON or a page: gateways put their
/// upstream's whole answer there) is read in turn, for as long as that says anything.
pub(super) fn of_text(text: &str, budget: &mut ReadingLimit) -> Option<Draft> {
    let text = clean(text);
    let trimmed = text.trim();
    if trimmed.is_empty() {
        return None;
    }
    if trimmed.starts_with(['{', '[']) {
        let value = serde_json::from_str::<Value>(trimmed).ok();
        let inner = value.and_then(|value| read_within(&value, budget));
        let inner = inner.or_else(|| python::findings(trimmed));
        let inner = inner.or_else(|| {
            let json = loose::to_json(trimmed.as_bytes())?;
            read_within(&serde_json::from_slice(&json).ok()?, budget)
        });
        if let Some(inner) = inner.filter(|inner| inner.message.is_some()) {
            return Some(Draft { extra: Map::new(), ..inner });
        }
    } else if is_markup(trimmed) {
        let page = page(trimmed);
        let message = Some(page.message).filter(|message| !message.is_empty())?;
        return Some(Draft { message: Some(message), is_page: page.is_html, ..Draft::default() });
    } else if let Some(inner) = python::findings(trimmed) {
        return Some(inner);
    } else if let Some(inner) = of_exception(trimmed, budget) {
        return Some(inner);
    }
    Some(Draft { message: Some(text), ..Draft::default() })
}

/// A sentence that a library prints for an exception: what it is around is the error.
fn of_exception(text: &str, budget: &mut ReadingLimit) -> Option<Draft> {
    let hints: Vec<Value> = printed::status(text)
        .map(Value::from)
        .into_iter()
        .chain(printed::class(text).map(Value::from))
        .collect();
    if let Some(value) = printed::body(text) {
        let inner = read_within(&value, budget)?;
        inner.message.as_ref()?;
        // The words stay as they came; what the body inside names is named.
        let mut inner = Draft { message: Some(text.to_owned()), extra: Map::new(), ..inner };
        inner.hints.extend(hints);
        return Some(inner);
    }
    let said = printed::without_address(text);
    let message = Some(said.unwrap_or(text).to_owned());
    (!hints.is_empty()).then(|| Draft { message, hints, ..Draft::default() })
}
