//! Reads the message of a chat completion, or the delta of a chunk.

use std::borrow::Cow;
use std::ops::Range;

use crate::wire::json::cursor::Value;
use crate::wire::json::tokenizer::Kind;

use super::Answer;
use super::attached::with_attached;
use super::calls::{CallDelta, LEGACY};
use super::memo::What;
use super::text::escaped;
use super::values::{is_told, whole_number};

/// How deep text is looked for inside of reasoning and content that are no strings.
const MAX_NESTING: u8 = 4;

/// How a message came.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum WholeOrDelta {
    /// In one piece: each element of `tool_calls` is a call.
    Whole,
    /// A piece of it: calls are told apart by their index.
    Delta,
}

/// The members of a message, or of a delta, that matter.
#[derive(Default)]
struct Message<'a> {
    content: Option<Value<'a>>,
    /// By name, the first that says something counts: some servers say it under two names.
    reasoning: [Option<Value<'a>>; 3],
    refusal: Option<Value<'a>>,
    annotations: Option<Value<'a>>,
    tool_calls: Option<Value<'a>>,
    function_call: Option<Value<'a>>,
}

/// Reads a message or a delta, in the order in which models say things. Returns the place of the one
/// string that it says, and what it is, unless it says more or something else.
pub(crate) fn read(
    value: &Value<'_>,
    logprobs: Option<&Value<'_>>,
    form: WholeOrDelta,
    answer: &mut impl Answer,
) -> Option<(Range<usize>, What)> {
    let mut found = Message::default();
    for (key, value) in value.members() {
        let slot = match &*key.name() {
            b"content" => &mut found.content,
            b"reasoning_content" => &mut found.reasoning[0],
            b"reasoning" => &mut found.reasoning[1],
            b"reasoning_details" => &mut found.reasoning[2],
            b"refusal" => &mut found.refusal,
            b"annotations" => &mut found.annotations,
            b"tool_calls" => &mut found.tool_calls,
            b"function_call" => &mut found.function_call,
            _ => continue,
        };
        *slot = Some(value);
    }
    let mut reasoned = false;
    for told in found.reasoning.iter().flatten() {
        if !reasoned {
            reasoned = reasoning(told, answer);
        }
    }
    let others = reasoned || found.tool_calls.is_some() || found.function_call.is_some();
    if let Some(told) = found.content {
        content(&told, logprobs, !others, answer);
    }
    for annotation in elements(found.annotations) {
        answer.annotation(&annotation);
    }
    if let Some(refusal) = found.refusal.filter(|refusal| refusal.kind == Kind::String) {
        answer.refusal(refusal.inner());
    }
    for (position, call) in elements(found.tool_calls).enumerate() {
        tool_call(&call, position, form, answer);
    }
    if let Some(call) = found.function_call.filter(|call| call.kind == Kind::BeginObject) {
        function(&call, CallDelta { index: Some(LEGACY), ..CallDelta::default() }, answer);
    }
    if logprobs.is_some() { None } else { found.one() }
}

impl Message<'_> {
    /// The one string that says something, and what it is.
    fn one(&self) -> Option<(Range<usize>, What)> {
        let [first, second, third] = self.reasoning;
        let reasoning = [first, second, third].map(|told| told.map(|told| (told, What::Reasoning)));
        let others = [self.refusal, self.annotations, self.function_call];
        if others.into_iter().flatten().any(|told| is_told(&told)) {
            return None;
        }
        let calls = self.tool_calls.filter(is_told);
        let mut all = reasoning
            .into_iter()
            .chain([self.content.map(|told| (told, What::Text))])
            .flatten()
            .filter(|(told, _)| is_told(told));
        let (told, what) = match (all.next(), calls) {
            (Some(one), None) => one,
            (None, Some(calls)) => one_call(&calls)?,
            _ => return None,
        };
        let is_one = all.next().is_none() && told.kind == Kind::String;
        is_one.then(|| (told.span(), what))
    }
}

/// The arguments of a list's one call, where they are all that it says.
fn one_call<'a>(calls: &Value<'a>) -> Option<(Value<'a>, What)> {
    let mut calls = elements(Some(*calls));
    let (call, None) = (calls.next()?, calls.next()) else { return None };
    let index = call.get("index").and_then(|index| whole_number(&index))?;
    if ["id", "custom"].iter().filter_map(|name| call.get(name)).any(|told| is_told(&told)) {
        return None;
    }
    let function = call.get("function").filter(|called| called.kind == Kind::BeginObject)?;
    if function.get("name").is_some_and(|name| is_told(&name)) || function.get("input").is_some() {
        return None;
    }
    Some((function.get("arguments")?, What::Arguments(index)))
}

/// Content: a string, or parts (Mistral and others). `alone`: nothing else is said beside it, so that
/// log probabilities without text belong to the text before.
fn content(
    told: &Value<'_>,
    mut logprobs: Option<&Value<'_>>,
    alone: bool,
    answer: &mut impl Answer,
) {
    match told.kind {
        Kind::String => {
            let inner = told.inner();
            if alone || !inner.is_empty() {
                answer.text(inner, logprobs);
            }
        }
        Kind::BeginObject => part(told, &mut logprobs, answer),
        Kind::BeginArray => {
            for element in elements(Some(*told)) {
                part(&element, &mut logprobs, answer);
            }
        }
        Kind::Null => {}
        _ => answer.invalid("The upstream's answer has content that is no text."),
    }
}

fn part(part: &Value<'_>, logprobs: &mut Option<&Value<'_>>, answer: &mut impl Answer) {
    let kind = part.get("type").and_then(|kind| kind.as_str());
    let mut found = Vec::new();
    match kind.as_deref() {
        Some("thinking" | "reasoning" | "reasoning_text") => {
            reasoning(part, answer);
        }
        Some("refusal") => {
            if let Some(refusal) = part.get("refusal").filter(|told| told.kind == Kind::String) {
                answer.refusal(refusal.inner());
            }
        }
        _ => pieces(part, &["text", "content"], MAX_NESTING, &mut found),
    }
    for inner in found {
        answer.text(inner, logprobs.take());
    }
}

/// Whether it said something.
fn reasoning(told: &Value<'_>, answer: &mut impl Answer) -> bool {
    let names = ["text", "content", "thinking", "reasoning", "reasoning_content", "summary"];
    let mut found = Vec::new();
    pieces(told, &names, MAX_NESTING, &mut found);
    for inner in &found {
        answer.reasoning(inner);
    }
    !found.is_empty()
}

/// The strings in a value: its own, its elements', or those of the first member in `names` that has
/// some. What stands between the quotes; none is empty.
fn pieces<'a>(value: &Value<'a>, names: &[&str], nesting: u8, found: &mut Vec<&'a [u8]>) {
    let Some(deeper) = nesting.checked_sub(1) else { return };
    match value.kind {
        Kind::String if value.raw().len() > 2 => found.push(value.inner()),
        Kind::BeginArray => {
            for element in elements(Some(*value)) {
                pieces(&element, names, deeper, found);
            }
        }
        Kind::BeginObject => {
            let before = found.len();
            for name in names {
                if let Some(value) = value.get(name)
                    && found.len() == before
                {
                    pieces(&value, names, deeper, found);
                }
            }
        }
        _ => {}
    }
}

/// An element of `tool_calls`.
fn tool_call(call: &Value<'_>, position: usize, form: WholeOrDelta, answer: &mut impl Answer) {
    if call.kind != Kind::BeginObject {
        return answer.invalid("The upstream's answer has a tool call that is no object.");
    }
    let mut delta = CallDelta::default();
    let (mut called, mut attached) = (None, None);
    for (key, value) in call.members() {
        if key.is("index") {
            delta.index = whole_number(&value);
        } else if key.is("id") {
            delta.id = Cow::Borrowed(value.inner());
        } else if key.is("extra_content") {
            attached = Some(value).filter(|value| value.kind == Kind::BeginObject);
        } else if key.is("function") || key.is("custom") {
            called = Some(value).filter(|value| value.kind == Kind::BeginObject);
        }
    }
    if form == WholeOrDelta::Whole {
        delta.index = Some(position as u64);
    }
    if let Some(attached) = attached.filter(|_| !delta.id.is_empty()) {
        delta.id = Cow::Owned(with_attached(&delta.id, &attached, answer.provider()));
    }
    // Some servers leave the function's own object out.
    function(called.as_ref().unwrap_or(call), delta, answer);
}

/// The function of a call: its name and arguments.
fn function<'a>(function: &Value<'a>, mut delta: CallDelta<'a>, answer: &mut impl Answer) {
    for (key, value) in function.members() {
        if key.is("name") {
            delta.name = value.inner();
        } else if key.is("arguments") || key.is("input") {
            delta.arguments = match value.kind {
                Kind::String => Cow::Borrowed(value.inner()),
                Kind::Null => Cow::default(),
                // An object where its text was due.
                _ => Cow::Owned(escaped(value.raw())),
            };
        }
    }
    answer.call(&delta);
}

fn elements(list: Option<Value<'_>>) -> impl Iterator<Item = Value<'_>> {
    list.into_iter().flat_map(|list| list.elements())
}
