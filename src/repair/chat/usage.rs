//! Token counts: whether there are any, and numbers where servers send texts.

use std::borrow::Cow;

use crate::telemetry::usage::names;
use crate::wire::json::cursor::Value;
use crate::wire::json::tokenizer::Kind;
use crate::wire::splice::{self, Edit};

/// How deep details are looked at.
const MAX_NESTING: u8 = 3;

/// Whether token counts may stand under this name beside the choices, in the words of other APIs.
#[inline]
pub(in super::super) fn is_other_name(name: &[u8]) -> bool {
    matches!(name, b"usageMetadata" | b"usage_metadata" | b"token_usage" | b"meta")
}

/// Whether a token count other than zero is given. Servers put `{0,0,0}` or nulls where they know
/// nothing yet.
pub(in super::super) fn counts(usage: &Value<'_>) -> bool {
    usage.members().any(|(key, value)| {
        number(&value).is_some_and(|count| count > 0.0)
            && key.as_str().is_some_and(|key| key.contains("token") || key.contains("Token"))
    })
}

/// The counts under OpenAI's three names, with numbers where there were numeric texts (`"3"`) or whole floats
/// (`3.0`).
pub(in super::super) fn canonical<'a>(usage: &Value<'a>) -> Cow<'a, [u8]> {
    let mut edits = Vec::new();
    let base = usage.span().start;
    let count = |name: &str| usage.get(name).and_then(|value| number(&value));
    let [prompt, completion, total] = names::MAIN
        .map(|names| names.iter().find_map(|name| count(name).map(|count| (*name, count))));
    let sum = |names: &[&str]| -> f64 { names.iter().filter_map(|name| count(name)).sum() };
    let completion = completion.map(|(name, count)| match names::leaves_out_thoughts(name) {
        true => count + sum(&names::THOUGHTS),
        false => count,
    });
    let total = total.map(|(_, count)| count);
    let prompt = prompt.map(|(name, count)| {
        let all = match names::leaves_out_cache(name) {
            true => count + sum(&names::CACHE_READ) + sum(&names::CACHE_WRITTEN),
            false => count,
        };
        // A total that is smaller says that they were counted already.
        let fits = total.is_none_or(|total| all + completion.unwrap_or(0.0) <= total);
        if fits { all } else { count }
    });
    let found = [prompt, completion, total];
    // Two of them tell the third.
    let counts = match found {
        [Some(prompt), None, Some(total)] => {
            [Some(prompt), Some((total - prompt).max(0.0)), Some(total)]
        }
        [None, Some(completion), Some(total)] => {
            [Some((total - completion).max(0.0)), Some(completion), Some(total)]
        }
        [Some(prompt), Some(completion), None] => {
            [Some(prompt), Some(completion), Some(prompt + completion)]
        }
        found => found,
    };
    // A null where another count is told says that nothing was counted.
    let is_told = counts.iter().any(Option::is_some);
    let is_null = |names: &[&str]| {
        is_told
            && names.first().and_then(|name| usage.get(name)).is_some_and(|count| count.is_null())
    };
    let counts = match (counts, [is_null(names::MAIN[0]), is_null(names::MAIN[1])]) {
        ([prompt, completion, None], [no_prompt, no_completion])
            if (prompt.is_some() || no_prompt) && (completion.is_some() || no_completion) =>
        {
            let (prompt, completion) = (prompt.unwrap_or(0.0), completion.unwrap_or(0.0));
            [Some(prompt), Some(completion), Some(prompt + completion)]
        }
        (counts, _) => counts,
    };
    let mut missing = Vec::new();
    for (names, count) in names::MAIN.iter().zip(counts) {
        let (Some(name), Some(count)) = (names.first(), count) else { continue };
        let count = (count as u64).to_string();
        match usage.get(name) {
            Some(value) if value.is_null() => {
                let span = value.span();
                let span = span.start.saturating_sub(base)..span.end.saturating_sub(base);
                edits.push(Edit { span, with: count.into_bytes() });
            }
            Some(_) => {}
            None => missing.push(format!("\"{name}\":{count}")),
        }
    }
    collect(usage, base, MAX_NESTING, &mut edits);
    edits.sort_by_key(|edit| edit.span.start);
    if !missing.is_empty() {
        let at = usage.raw().len().saturating_sub(1);
        let comma = if usage.members().next().is_some() { "," } else { "" };
        let with = format!("{comma}{}", missing.join(",")).into_bytes();
        edits.push(Edit { span: at..at, with });
    }
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
pub(super) fn number(value: &Value<'_>) -> Option<f64> {
    match value.kind {
        Kind::String => value.as_str()?.trim().parse().ok().filter(|count: &f64| count.is_finite()),
        _ => value.as_f64(),
    }
}
