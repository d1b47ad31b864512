//! Token counts: whether there are any, and numbers where servers send texts.

use std::borrow::Cow;

use crate::wire::json::cursor::Value;
use crate::wire::json::tokenizer::Kind;
use crate::wire::splice::{self, Edit};

/// How deep details are looked at.
const MAX_NESTING: u8 = 3;

/// Whether a token count other than zero is given. Servers put `{0,0,0}` or nulls where they know
/// nothing yet.
pub(in super::super) fn counts(usage: &Value<'_>) -> bool {
    usage.members().any(|(key, value)| {
        number(&value).is_some_and(|count| count > 0.0)
            && key.as_str().is_some_and(|key| key.contains("token"))
    })
}

/// The counts with numbers where there were numeric texts (`"3"`) or whole floats (`3.0`).
pub(in super::super) fn canonical<'a>(usage: &Value<'a>) -> Cow<'a, [u8]> {
    let mut edits = Vec::new();
    collect(usage, usage.span().start, MAX_NESTING, &mut edits);
    match splice::apply(usage.raw(), &edits) {
        Some(edited) if !edits.is_empty() => Cow::Owned(edited),
        _ => Cow::Borrowed(usage.raw()),
    }
}

fn collect(object: &Value<'_>, base: usize, nesting: u8, edits: &mut Vec<Edit>) {
    let Some(deeper) = nesting.checked_sub(1) else { return };
    for (key, value) in object.members() {
        if value.kind == Kind::BeginObject {
            collect(&value, base, deeper, edits);
            continue;
        }
        let is_count = key.as_str().is_some_and(|key| key.contains("token"));
        let is_text = value.kind == Kind::String;
        let is_float = value.kind == Kind::Number && value.raw().contains(&b'.');
        let whole =
            number(&value).filter(|count| (0.0..=9e15).contains(count) && count.fract() == 0.0);
        if is_count
            && (is_text || is_float)
            && let Some(count) = whole
        {
            let span = value.span();
            let span = span.start.saturating_sub(base)..span.end.saturating_sub(base);
            edits.push(Edit { span, with: (count as u64).to_string().into_bytes() });
        }
    }
}

/// A count, as a number or as its text.
fn number(value: &Value<'_>) -> Option<f64> {
    match value.kind {
        Kind::String => value.as_str()?.trim().parse().ok().filter(|count: &f64| count.is_finite()),
        _ => value.as_f64(),
    }
}
