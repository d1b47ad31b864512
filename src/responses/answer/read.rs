//! Reads chat completions and their chunks into the builder, member by member.

use std::borrow::Cow;

use crate::json::cursor::{self, Value};
use crate::json::tokenizer::Kind;
use crate::normalize::error::{Event, from_event};

use super::builder::Builder;
use super::calls::{Delta, LEGACY};
use super::logprobs;
use super::response::Reason;
use super::text::{escaped, unquoted};
use super::usage::Usage;

/// How deep text is looked for inside of reasoning and content that are no strings.
const MAX_NESTING: u8 = 4;

/// The members of a chat completion, or of a chunk, that matter.
#[derive(Default)]
struct Root<'a> {
    created: Option<u64>,
    model: Option<Value<'a>>,
    service_tier: Option<Value<'a>>,
    choices: Option<Value<'a>>,
    usage: Option<Value<'a>>,
    error: Option<Value<'a>>,
}

impl<'a> Root<'a> {
    fn read(root: &Value<'a>) -> Self {
        let mut this = Self::default();
        for (key, value) in root.members().map_while(Result::ok) {
            let Some(name) = key.as_str() else { continue };
            match &*name {
                "created" => this.created = whole_number(&value),
                "model" => this.model = Some(value).filter(is_filled),
                "service_tier" => this.service_tier = Some(value).filter(is_filled),
                "choices" => this.choices = Some(value),
                "usage" => this.usage = Some(value),
                "error" => this.error = Some(value).filter(is_told),
                _ => {}
            }
        }
        this
    }

    fn head(&self, builder: &mut Builder) {
        let head = &mut builder.head;
        head.created = head.created.or(self.created.filter(|created| *created > 0));
        if head.model.is_none() {
            head.model = self.model.map(|model| model.raw().to_vec());
        }
        if let Some(tier) = self.service_tier {
            head.service_tier = Some(tier.raw().to_vec());
        }
        head.usage = self.usage.as_ref().and_then(Usage::read).or(head.usage);
    }
}

/// How a message came.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Form {
    /// In one piece: each element of `tool_calls` is a call.
    Whole,
    /// A piece of it: calls are told apart by their index.
    Delta,
}

/// The members of a choice that matter.
#[derive(Default)]
struct Choice<'a> {
    index: u64,
    delta: Option<Value<'a>>,
    message: Option<Value<'a>>,
    finish_reason: Option<Value<'a>>,
    logprobs: Option<Value<'a>>,
}

impl<'a> Choice<'a> {
    fn read(choice: &Value<'a>, position: usize) -> Self {
        let mut this = Self { index: position as u64, ..Self::default() };
        let object = |value: Value<'a>| Some(value).filter(|v| v.kind == Kind::BeginObject);
        for (key, value) in choice.members().map_while(Result::ok) {
            let Some(name) = key.as_str() else { continue };
            match &*name {
                "index" => this.index = whole_number(&value).unwrap_or(this.index),
                "delta" => this.delta = object(value),
                "message" => this.message = object(value),
                "finish_reason" => this.finish_reason = Some(value).filter(is_filled),
                "logprobs" => this.logprobs = object(value),
                _ => {}
            }
        }
        this
    }

    fn say(&self, said: Option<Value<'_>>, form: Form, builder: &mut Builder) {
        builder.answered();
        if let Some(said) = said {
            message(&said, self.logprobs.as_ref(), form, builder);
        }
        if let Some(reason) = self.finish_reason {
            let reason = reason.as_str().unwrap_or_default();
            builder.finish(incomplete(&reason));
        }
    }
}

/// One payload of a stream.
pub(super) fn chunk(payload: &[u8], builder: &mut Builder) {
    let Ok(value) = cursor::parse(payload) else {
        return builder.invalid("The upstream sent an event that is not JSON.");
    };
    let root = Root::read(&value);
    if root.error.is_some()
        && let Some(answer) = from_event(payload, Event { marked: true, status: None })
    {
        return builder.fail(answer);
    }
    root.head(builder);
    builder.begin();
    let Some(choices) = root.choices else { return };
    for (position, choice) in choices.elements().map_while(Result::ok).enumerate() {
        if choice.kind != Kind::BeginObject {
            continue;
        }
        let choice = Choice::read(&choice, position);
        // `n` is never asked for: a Response has one answer.
        if choice.index == 0 {
            choice.say(choice.delta.or(choice.message), Form::Delta, builder);
        }
    }
}

/// A whole chat completion. Says why it is none.
pub(super) fn completion(chat: &[u8], builder: &mut Builder) {
    let Ok(value) = cursor::parse(chat) else {
        return builder.invalid("The upstream's answer is not JSON.");
    };
    let root = Root::read(&value);
    root.head(builder);
    builder.begin();
    let choices = root.choices.iter().flat_map(Value::elements).map_while(Result::ok);
    let choice = choices
        .filter(|choice| choice.kind == Kind::BeginObject)
        .enumerate()
        .map(|(position, choice)| Choice::read(&choice, position))
        .min_by_key(|choice| choice.index);
    let Some(choice) = choice else {
        return builder.invalid("The upstream's answer has no choices.");
    };
    let said = choice.message.or(choice.delta);
    if said.is_none() {
        return builder.invalid("The upstream's answer has no message.");
    }
    choice.say(said, Form::Whole, builder);
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

/// A message or a delta, in the order in which models say things.
fn message(value: &Value<'_>, logprobs: Option<&Value<'_>>, form: Form, builder: &mut Builder) {
    let mut found = Message::default();
    for (key, value) in value.members().map_while(Result::ok) {
        let Some(name) = key.as_str() else { continue };
        let slot = match &*name {
            "content" => &mut found.content,
            "reasoning_content" => &mut found.reasoning[0],
            "reasoning" => &mut found.reasoning[1],
            "reasoning_details" => &mut found.reasoning[2],
            "refusal" => &mut found.refusal,
            "annotations" => &mut found.annotations,
            "tool_calls" => &mut found.tool_calls,
            "function_call" => &mut found.function_call,
            _ => continue,
        };
        *slot = Some(value);
    }
    let mut reasoned = false;
    for told in found.reasoning.iter().flatten() {
        if !reasoned {
            reasoned = reasoning(told, builder);
        }
    }
    let others = reasoned || found.tool_calls.is_some() || found.function_call.is_some();
    let probabilities = logprobs.map(|all| logprobs::of_content(all)).unwrap_or_default();
    if let Some(told) = found.content {
        content(&told, &probabilities, !others, builder);
    }
    for annotation in elements(found.annotations) {
        if let Some(flat) = flat(&annotation) {
            builder.annotation(flat);
        }
    }
    if let Some(refusal) = found.refusal.filter(|refusal| refusal.kind == Kind::String) {
        builder.refusal(unquoted(refusal.raw()));
    }
    for (position, call) in elements(found.tool_calls).enumerate() {
        tool_call(&call, position, form, builder);
    }
    if let Some(call) = found.function_call.filter(|call| call.kind == Kind::BeginObject) {
        function(&call, Delta { index: Some(LEGACY), ..Delta::default() }, builder);
    }
}

/// Content: a string, or parts (Mistral and others). `alone`: nothing else is said beside it, so that
/// log probabilities without text belong to the text before.
fn content(told: &Value<'_>, probabilities: &[Vec<u8>], alone: bool, builder: &mut Builder) {
    let mut probabilities = Some(probabilities);
    match told.kind {
        Kind::String => {
            let inner = unquoted(told.raw());
            if alone || !inner.is_empty() {
                builder.text(inner, probabilities.unwrap_or_default());
            }
        }
        Kind::BeginObject => part(told, &mut probabilities, builder),
        Kind::BeginArray => {
            for element in elements(Some(*told)) {
                part(&element, &mut probabilities, builder);
            }
        }
        _ => {}
    }
}

fn part(part: &Value<'_>, probabilities: &mut Option<&[Vec<u8>]>, builder: &mut Builder) {
    let kind = part.get("type").and_then(|kind| kind.as_str());
    let mut found = Vec::new();
    match kind.as_deref() {
        Some("thinking" | "reasoning" | "reasoning_text") => {
            reasoning(part, builder);
        }
        Some("refusal") => {
            if let Some(refusal) = part.get("refusal").filter(|told| told.kind == Kind::String) {
                builder.refusal(unquoted(refusal.raw()));
            }
        }
        _ => pieces(part, &["text", "content"], MAX_NESTING, &mut found),
    }
    for inner in found {
        builder.text(inner, probabilities.take().unwrap_or_default());
    }
}

/// Whether it said something.
fn reasoning(told: &Value<'_>, builder: &mut Builder) -> bool {
    let names = ["text", "content", "thinking", "reasoning", "reasoning_content", "summary"];
    let mut found = Vec::new();
    pieces(told, &names, MAX_NESTING, &mut found);
    for inner in &found {
        builder.reasoning(inner);
    }
    !found.is_empty()
}

/// The strings in a value: its own, its elements', or those of the first member in `names` that has
/// some. What stands between the quotes; none is empty.
fn pieces<'a>(value: &Value<'a>, names: &[&str], nesting: u8, found: &mut Vec<&'a [u8]>) {
    let Some(deeper) = nesting.checked_sub(1) else { return };
    match value.kind {
        Kind::String if value.raw().len() > 2 => found.push(unquoted(value.raw())),
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

/// A chat annotation as a Responses one: what chat nests under the type's name (`url_citation`)
/// stands beside `type`.
fn flat(annotation: &Value<'_>) -> Option<Vec<u8>> {
    let kind = annotation.get("type")?;
    let nested = kind
        .as_str()
        .and_then(|name| annotation.get(&name))
        .filter(|nested| nested.kind == Kind::BeginObject);
    let Some(nested) = nested else { return Some(annotation.raw().to_vec()) };
    let inside = nested.raw().strip_prefix(b"{")?.trim_ascii_start();
    let comma: &[u8] = if inside.starts_with(b"}") { b"" } else { b"," };
    Some([b"{\"type\":", kind.raw(), comma, inside].concat())
}

/// An element of `tool_calls`.
fn tool_call(call: &Value<'_>, position: usize, form: Form, builder: &mut Builder) {
    let mut delta = Delta::default();
    let mut called = None;
    for (key, value) in call.members().map_while(Result::ok) {
        if key.is("index") {
            delta.index = whole_number(&value);
        } else if key.is("id") {
            delta.id = unquoted(value.raw());
        } else if key.is("function") || key.is("custom") {
            called = Some(value).filter(|value| value.kind == Kind::BeginObject);
        }
    }
    if form == Form::Whole {
        delta.index = Some(position as u64);
    }
    // Some servers leave the function's own object out.
    function(called.as_ref().unwrap_or(call), delta, builder);
}

/// The function of a call: its name and arguments.
fn function<'a>(function: &Value<'a>, mut delta: Delta<'a>, builder: &mut Builder) {
    for (key, value) in function.members().map_while(Result::ok) {
        if key.is("name") {
            delta.name = unquoted(value.raw());
        } else if key.is("arguments") || key.is("input") {
            delta.arguments = match value.kind {
                Kind::String => Cow::Borrowed(unquoted(value.raw())),
                Kind::Null => Cow::default(),
                // An object where its text was due.
                _ => Cow::Owned(escaped(value.raw())),
            };
        }
    }
    builder.call(&delta);
}

/// Why an answer with this finish reason is not complete, also by other servers' names.
fn incomplete(reason: &str) -> Option<Reason> {
    match reason.to_ascii_lowercase().as_str() {
        "length" | "max_tokens" | "max_output_tokens" | "model_length" => {
            Some(Reason::MaxOutputTokens)
        }
        "content_filter" | "safety" => Some(Reason::ContentFilter),
        _ => None,
    }
}

fn elements(list: Option<Value<'_>>) -> impl Iterator<Item = Value<'_>> {
    list.into_iter().flat_map(|list| list.elements()).map_while(Result::ok)
}

fn whole_number(value: &Value<'_>) -> Option<u64> {
    const MAX_SAFE: f64 = 9_007_199_254_740_991.0;
    value.as_f64().filter(|number| (0.0..=MAX_SAFE).contains(number)).map(|number| number as u64)
}

/// A string that is not empty.
fn is_filled(value: &Value<'_>) -> bool {
    value.kind == Kind::String && value.raw().len() > 2
}

/// Not null, false or empty.
fn is_told(value: &Value<'_>) -> bool {
    !matches!(value.raw(), b"null" | b"false" | b"\"\"" | b"{}" | b"[]" | b"0")
}
