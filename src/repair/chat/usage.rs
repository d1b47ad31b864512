//! Token counts: whether there are any, and numbers where servers send texts.

use std::borrow::Cow;

use crate::telemetry::usage::{NoCount, Tokens, ToldCounts, names};
use crate::wire::json::cursor::Value;
use crate::wire::json::tokenizer::Kind;
use crate::wire::splice::{self, Edit};

/// How deep details are looked at.
const MAX_NESTING: u8 = 3;

/// Whether token counts may stand under this name beside the choices, in the words of other APIs.
#[inline]
pub(in super::super) fn is_other_name(name: &[u8]) -> bool {
    matches!(name, b"usageMetadata" | b"usage_metadata" | b"token_usage" | b"meta")
        || is_beside(name)
}

/// Whether a member of the answer itself may hold counts ([`Tokens::beside`]).
pub(super) fn is_beside(name: &[u8]) -> bool {
    matches!(name, b"prompt_eval_count" | b"eval_count" | b"details")
}

/// Whether a token count other than zero is given, and none that is no count. Servers put `{0,0,0}` or nulls where they
/// know nothing yet.
pub(in super::super) fn counts(usage: &Value<'_>) -> bool {
    let names_one = || {
        usage.members().any(|(key, value)| {
            number(&value).is_some_and(|count| count > 0.0)
                && key.as_str().is_some_and(|key| key.contains("token") || key.contains("Token"))
        })
    };
    match Tokens::look(usage) {
        Ok(tokens) => tokens.is_some_and(|tokens| !tokens.is_zero()) || names_one(),
        Err(NoCount) => false,
    }
}

/// Whether token counts are given that are none, so that no client may see them: some can't even read the answer then.
pub(in super::super) fn is_bad(usage: &Value<'_>) -> bool {
    Tokens::look(usage).is_err()
}

/// The three counts under OpenAI's names, each as far as it is known; the total is the sum where nobody tells it.
fn three(tokens: &Tokens) -> [Option<u64>; 3] {
    let ToldCounts { input, output, total, .. } = tokens.told();
    [input, output, total.or_else(|| Some(input?.saturating_add(output?)))]
}

/// A usage object that holds these and nothing else.
pub(in super::super) fn written(tokens: &Tokens) -> Vec<u8> {
    let members = names::MAIN.iter().zip(three(tokens)).filter_map(|(names, count)| {
        let (name, count) = (names.first()?, count?);
        Some(format!("\"{name}\":{count}"))
    });
    format!("{{{}}}", members.collect::<Vec<_>>().join(",")).into_bytes()
}

/// The counts under OpenAI's three names, with numbers where there were numeric texts (`"3"`) or whole floats
/// (`3.0`).
pub(in super::super) fn canonical<'a>(usage: &Value<'a>) -> Cow<'a, [u8]> {
    let mut edits = Vec::new();
    let base = usage.span().start;
    let tokens = Tokens::read(usage).unwrap_or_default();
    let is_nested = || names::MAIN.iter().copied().flatten().all(|name| usage.get(name).is_none());
    if !tokens.is_zero() && is_nested() {
        return Cow::Owned(written(&tokens));
    }
    let counts = three(&tokens);
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
            let (prompt, completion) = (prompt.unwrap_or(0), completion.unwrap_or(0));
            [Some(prompt), Some(completion), Some(prompt.saturating_add(completion))]
        }
        (counts, _) => counts,
    };
    let mut missing = Vec::new();
    for (names, count) in names::MAIN.iter().zip(counts) {
        let (Some(name), Some(count)) = (names.first(), count) else { continue };
        match usage.get(name) {
            Some(value) if value.is_null() => {
                let span = value.span();
                let span = span.start.saturating_sub(base)..span.end.saturating_sub(base);
                edits.push(Edit { span, with: count.to_string().into_bytes() });
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
        let is_float =
            value.kind == Kind::Number && value.raw().iter().any(|byte| b".eE".contains(byte));
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
