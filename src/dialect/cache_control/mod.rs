//! Prompt-cache markers (`cache_control`) in a request's JSON body: all removed, or added where they
//! pay. The answer is a list of edits; every byte outside of them stays as the client wrote it.
//!
//! The edits are in order and don't touch the value of the top-level `model`: an edit of that value
//! goes among them by `span.start`.

use std::ops::Range;

use crate::error::{Code, GatewayError};
use crate::policy::CacheMode;
use crate::wire::json::cursor::{self, Value};
use crate::wire::json::tokenizer::{Kind, Token, Tokenizer};
use crate::wire::json::{JsonError, string};
use crate::wire::splice::Edit;

const NAME: &str = "cache_control";
/// The only marker that servers know (Anthropic, OpenRouter, DashScope).
const MARKER: &str = r#"{"type":"ephemeral"}"#;

/// What a cache mode changes in a body.
///
/// # Errors
/// `invalid_json`.
pub fn edits(mode: CacheMode, body: &[u8]) -> Result<Vec<Edit>, GatewayError> {
    match mode {
        CacheMode::Respect => Ok(Vec::new()),
        CacheMode::Disable => disable(body),
        CacheMode::Force => force(body),
    }
}

/// Removes every member called `cache_control`, at any depth, with one comma beside it.
///
/// # Errors
/// `invalid_json`.
pub fn disable(body: &[u8]) -> Result<Vec<Edit>, GatewayError> {
    let mut edits = Vec::new();
    let mut remove = |span: Range<usize>| edits.push(Edit { span, with: Vec::new() });
    let mut walk = MarkerWalk::default();
    tokens(body, |token| {
        let inside_removed = walk.removed_at.is_some_and(|depth| token.depth > depth);
        if inside_removed {
            return;
        }
        if token.kind == Kind::Key {
            let named = is_named(body, token);
            walk.removed_at = named.then_some(token.depth);
            let start = token.start as usize;
            if let Some(object) = walk.open.last_mut() {
                // A removed member without a member before it goes with the comma after it.
                if let Some(first) = object.pending.take() {
                    remove(first.start..start);
                }
                object.member = start;
            }
            return;
        }
        match token.kind {
            Kind::BeginObject | Kind::BeginArray => {
                if walk.removed_at.is_none() {
                    walk.open.push(OpenContainer::default());
                }
                return;
            }
            Kind::EndObject | Kind::EndArray if walk.removed_at.is_none() => {
                let closed = walk.open.pop();
                if let Some(only) = closed.and_then(|object| object.pending) {
                    remove(only);
                }
            }
            _ => {}
        }
        // A value has ended.
        let end = token.end as usize;
        let removed = walk.removed_at.take().is_some();
        if let Some(object) = walk.open.last_mut() {
            match object.previous {
                // Otherwise it goes with the comma before it.
                Some(previous) if removed => remove(previous..end),
                None if removed => {
                    object.pending = Some(object.member..end);
                    return;
                }
                _ => {}
            }
            object.previous = Some(end);
        }
    })?;
    Ok(edits)
}

/// Marks the last content part of the last system (or developer) message and of the last message.
/// A text instead of parts becomes one text part. Nothing changes when the body has a marker already,
/// and a message without a part that can carry one (no content, empty text) stays as it is.
///
/// Messages are those of `messages`, or of `input` in a Responses request; a top-level `system`
/// counts as the system message when `messages` holds none.
///
/// # Errors
/// `invalid_json`.
pub fn force(body: &[u8]) -> Result<Vec<Edit>, GatewayError> {
    if has_marker(body)? {
        return Ok(Vec::new());
    }
    let root = cursor::parse(body).map_err(|error| invalid(&error))?;
    let mut edits = Vec::new();
    if let Some(messages) = root.get("messages") {
        let (system, last) = system_and_last(messages);
        if let Some(system) = system {
            mark_message(system, RequestStyle::Chat, &mut edits);
        } else if let Some(system) = root.get("system") {
            mark_content(system, "text", &mut edits);
        }
        let system = system.map(|message| message.span());
        if let Some(last) = last.filter(|last| Some(last.span()) != system) {
            mark_message(last, RequestStyle::Chat, &mut edits);
        }
    } else if let Some(input) = root.get("input") {
        if input.kind == Kind::String && !is_empty_text(input) {
            let before = r#"[{"role":"user","content":[{"type":"input_text","text":"#.to_owned();
            let after = format!(r#","{NAME}":{MARKER}}}]}}]"#);
            edits.extend(wrap(input, before, after));
        }
        let (system, last) = system_and_last(input);
        if let Some(system) = system {
            mark_message(system, RequestStyle::Responses, &mut edits);
        }
        let system = system.map(|message| message.span());
        if let Some(last) = last.filter(|last| Some(last.span()) != system) {
            mark_message(last, RequestStyle::Responses, &mut edits);
        }
    }
    edits.sort_by_key(|edit| edit.span.start);
    Ok(edits)
}

#[derive(Default)]
struct MarkerWalk {
    /// One for each open array and object outside of removed values.
    open: Vec<OpenContainer>,
    /// Depth of the removed member whose value is being read.
    removed_at: Option<u32>,
}

#[derive(Default)]
struct OpenContainer {
    /// Where the current member's name begins.
    member: usize,
    /// Where the last member or element ends that was kept, or removed after one that was kept.
    previous: Option<usize>,
    /// A member to remove, as long as none before it was kept.
    pending: Option<Range<usize>>,
}

/// Whether the body is marked anywhere. `null` is no marker, nor is a tool's parameter of that name.
fn has_marker(body: &[u8]) -> Result<bool, GatewayError> {
    let mut found = false;
    // Depths of the names `properties` that are open: members below are names of parameters.
    let mut schemas: Vec<u32> = Vec::new();
    let mut named = false;
    tokens(body, |token| {
        found |= named && token.kind != Kind::Null;
        named = false;
        let is_key = token.kind == Kind::Key;
        while schemas.last().is_some_and(|at| token.depth < *at || (is_key && token.depth == *at)) {
            schemas.pop();
        }
        if is_key {
            let is_parameter = schemas.last().is_some_and(|at| token.depth == at + 1);
            named = !is_parameter && is_named(body, token);
            if text_of(body, token) == b"properties" {
                schemas.push(token.depth);
            }
        }
    })?;
    Ok(found)
}

/// Calls `each` with every token of a whole text.
fn tokens(body: &[u8], mut each: impl FnMut(Token)) -> Result<(), GatewayError> {
    let mut tokenizer = Tokenizer::new();
    let mut at = 0;
    while let Some(token) =
        tokenizer.next(body, &mut at, u32::MAX).map_err(|error| invalid(&error))?
    {
        each(token);
    }
    if let Some(token) = tokenizer.finish().map_err(|error| invalid(&error))? {
        each(token);
    }
    Ok(())
}

/// The bytes between a key's quotes.
fn text_of(body: &[u8], key: Token) -> &[u8] {
    body.get(key.start as usize + 1..(key.end as usize).saturating_sub(1)).unwrap_or_default()
}

fn is_named(body: &[u8], key: Token) -> bool {
    let text = text_of(body, key);
    text == NAME.as_bytes()
        || (text.contains(&b'\\') && string::decode(text).is_some_and(|name| name == NAME))
}

#[derive(Clone, Copy, PartialEq)]
enum RequestStyle {
    Chat,
    Responses,
}

/// The last system message and the last message of a list.
fn system_and_last(list: Value<'_>) -> (Option<Value<'_>>, Option<Value<'_>>) {
    let mut system = None;
    let mut last = None;
    for message in list.elements() {
        let Some(role) = message.get("role") else { continue };
        last = Some(message);
        if matches!(role.as_str().as_deref(), Some("system" | "developer")) {
            system = Some(message);
        }
    }
    (system, last)
}

fn mark_message(message: Value<'_>, style: RequestStyle, edits: &mut Vec<Edit>) {
    let Some(content) = message.get("content") else { return };
    let role = message.get("role").and_then(|role| role.as_str());
    let text_type = match (style, role.as_deref()) {
        // Its content is a string by definition.
        (_, Some("function")) => return,
        (RequestStyle::Chat, _) => "text",
        (RequestStyle::Responses, Some("assistant")) => "output_text",
        (RequestStyle::Responses, _) => "input_text",
    };
    mark_content(content, text_type, edits);
}

/// Marks the last part of `content`, made a part of type `text_type` when it is a string.
fn mark_content(content: Value<'_>, text_type: &str, edits: &mut Vec<Edit>) {
    if content.kind == Kind::String {
        if !is_empty_text(content) {
            let before = format!(r#"[{{"type":"{text_type}","text":"#);
            edits.extend(wrap(content, before, format!(r#","{NAME}":{MARKER}}}]"#)));
        }
        return;
    }
    let Some(part) = content.elements().last() else { return };
    let mut end = None;
    for (key, value) in part.members() {
        if key.is(NAME) {
            // Only null: anything else is a marker.
            edits.push(Edit { span: value.span(), with: MARKER.into() });
            return;
        }
        if key.is("text") && is_empty_text(value) {
            return;
        }
        end = Some(value.span().end);
    }
    if let Some(end) = end {
        edits.push(Edit { span: end..end, with: format!(r#","{NAME}":{MARKER}"#).into() });
    }
}

/// Servers refuse a marker on empty text.
fn is_empty_text(value: Value<'_>) -> bool {
    value.raw() == b"\"\""
}

/// Text before and after a value that stays as it is.
fn wrap(value: Value<'_>, before: String, after: String) -> [Edit; 2] {
    let span = value.span();
    [
        Edit { span: span.start..span.start, with: before.into() },
        Edit { span: span.end..span.end, with: after.into() },
    ]
}

fn invalid(error: &JsonError) -> GatewayError {
    GatewayError::new(Code::InvalidJson, format!("The body is not valid JSON: {error}."))
}

#[cfg(test)]
mod tests;
