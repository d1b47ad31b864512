//! The system prompt's texts.

use std::borrow::Cow;

use super::Escaped;
use super::blocks::{Content, ContentPart};
use crate::dialect::chat::text::escaped;
use crate::dialect::chat::write::must_be;
use crate::error::GatewayError;
use crate::wire::json::cursor::Value;
use crate::wire::json::tokenizer::Kind;

/// A line of Claude Code's own that changes with requests: in front of everything it would spoil the server's prefix
/// cache of all the rest.
const BILLING: &str = "x-anthropic-billing-header:";

/// Reads `system`: a string or text blocks.
///
/// # Errors
/// Naming the block.
pub(super) fn read<'a>(system: Option<Value<'a>>) -> Result<Content<'a>, GatewayError> {
    let mut content = Content::default();
    let Some(system) = system else { return Ok(content) };
    if system.kind == Kind::String {
        content.push_text(text(system), None, true);
        return Ok(content);
    }
    content.is_list = true;
    for (index, block) in system.elements().enumerate() {
        let path = |member: &str| format!("system[{index}]{member}");
        if block.kind != Kind::BeginObject {
            return Err(must_be(path(""), "an object"));
        }
        let kind = block.get("type").and_then(|kind| kind.as_str());
        if kind.as_deref().is_some_and(|kind| kind != "text") {
            return Err(must_be(path(".type"), "\"text\""));
        }
        match block.get("text").filter(|text| text.kind == Kind::String) {
            Some(inner) => content.push_text(text(inner), block.get("cache_control"), true),
            None => return Err(must_be(path(".text"), "a string")),
        }
    }
    Ok(content)
}

/// A system text without the lines at its start that are for Anthropic alone.
pub(super) fn text(text: Value<'_>) -> Escaped<'_> {
    let is_billing = |text: &str| {
        text.get(..BILLING.len()).is_some_and(|start| start.eq_ignore_ascii_case(BILLING))
    };
    match text.as_str() {
        Some(decoded) if is_billing(&decoded) => {
            let mut rest = &*decoded;
            while is_billing(rest) {
                rest = rest.split_once('\n').map_or("", |(_, rest)| rest);
            }
            Cow::Owned(escaped(rest.as_bytes()))
        }
        _ => Cow::Borrowed(text.inner()),
    }
}

impl<'a> Content<'a> {
    /// Adds a text, unless it is empty. `opens`: an empty line parts it from what stands before it, else a line's end.
    pub(super) fn push_text(&mut self, text: Escaped<'a>, mark: Option<Value<'a>>, opens: bool) {
        if !text.is_empty() {
            self.parts.push(ContentPart::Text {
                text,
                mark: mark.filter(|mark| !mark.is_null()),
                opens,
            });
        }
    }
}
