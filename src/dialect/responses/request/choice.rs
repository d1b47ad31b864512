//! `tool_choice`: which tools the model may, or must, call.

use std::borrow::Cow;
use std::collections::HashSet;

use super::names::RequestTools;
use crate::dialect::chat::write::{ChatRequestBody, must_be, refuse};
use crate::error::GatewayError;
use crate::wire::json::cursor::Value;
use crate::wire::json::tokenizer::Kind;

/// What the chat server is told.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Mode {
    /// Nothing: its default, `auto`.
    Absent,
    Auto,
    None,
    Required,
    /// This tool, in [`RequestTools`].
    Tool(usize),
}

/// `tool_choice`, read.
#[derive(Debug)]
pub(super) struct ToolChoice {
    mode: Mode,
    /// The only tools that may be called. Chat servers other than OpenAI's know no `allowed_tools`:
    /// the others are not offered to them.
    only: Option<Only>,
}

/// Tools, in [`RequestTools`], and whole namespaces.
#[derive(Debug, Default)]
struct Only {
    tools: HashSet<usize>,
    namespaces: HashSet<String>,
}

impl ToolChoice {
    /// Reads `tool_choice`, once all tools are listed.
    ///
    /// # Errors
    /// For a choice that can't be kept: one that forces a tool which the chat server is not offered.
    /// Another tool, or none, in its place would be another request.
    pub(super) fn read(
        choice: Option<Value<'_>>,
        names: &RequestTools<'_>,
    ) -> Result<Self, GatewayError> {
        let Some(choice) = choice else { return Ok(Self { mode: Mode::Absent, only: None }) };
        if choice.kind == Kind::String {
            return Ok(Self { mode: mode(choice, "tool_choice")?, only: None });
        }
        match choice.get("type").and_then(|kind| kind.as_str()).as_deref() {
            Some("function" | "custom") => {
                let id = tool(choice, names, "tool_choice")?;
                Ok(Self { mode: Mode::Tool(id), only: None })
            }
            Some("allowed_tools") => {
                // Flat, or nested as in chat completions.
                match choice.get("allowed_tools") {
                    Some(nested) => allowed(nested, names, "tool_choice.allowed_tools"),
                    None => allowed(choice, names, "tool_choice"),
                }
            }
            Some(_) => Err(refuse(
                "tool_choice.type",
                "A tool of this type can't be carried over to the provider, so it can't be chosen.",
            )),
            None => Err(must_be("tool_choice.type", "a string")),
        }
    }

    /// Whether the chat server is offered this tool.
    pub(super) fn allows(&self, id: usize, names: &RequestTools<'_>) -> bool {
        self.only.as_ref().is_none_or(|only| {
            let mut namespace = names.namespace(id).into_iter();
            only.tools.contains(&id) || namespace.any(|name| only.namespaces.contains(name))
        })
    }

    /// Writes `tool_choice`. `any`: there are tools to choose from; servers refuse a choice without.
    ///
    /// # Errors
    /// When a tool must be called and there is none.
    pub(super) fn write(
        &self,
        any: bool,
        names: &RequestTools<'_>,
        out: &mut ChatRequestBody<'_>,
    ) -> Result<(), GatewayError> {
        let word = match self.mode {
            Mode::Required if !any => {
                return Err(refuse(
                    "tool_choice",
                    "A tool call is required, but none of the tools can be carried over to the \
                     provider.",
                ));
            }
            _ if !any => return Ok(()),
            Mode::Absent => return Ok(()),
            Mode::Auto => "auto",
            Mode::None => "none",
            Mode::Required => "required",
            Mode::Tool(id) => {
                out.name("tool_choice");
                out.raw(br#"{"type":"function","function":{"name":""#);
                out.raw(names.chat(id));
                out.raw(br#""}}"#);
                return Ok(());
            }
        };
        out.name("tool_choice");
        out.string(word);
        Ok(())
    }
}

fn mode(value: Value<'_>, path: &'static str) -> Result<Mode, GatewayError> {
    match value.as_str().as_deref() {
        Some("auto") => Ok(Mode::Auto),
        Some("none") => Ok(Mode::None),
        Some("required") => Ok(Mode::Required),
        _ => Err(must_be(path, "\"auto\", \"none\", \"required\" or an object")),
    }
}

fn allowed(
    choice: Value<'_>,
    names: &RequestTools<'_>,
    path: &'static str,
) -> Result<ToolChoice, GatewayError> {
    let mode = match choice.get("mode").and_then(|mode| mode.as_str()).as_deref() {
        Some("auto") => Mode::Auto,
        Some("required") => Mode::Required,
        _ => return Err(must_be(format!("{path}.mode"), "\"auto\" or \"required\"")),
    };
    let Some(tools) = choice.get("tools").filter(|tools| tools.kind == Kind::BeginArray) else {
        return Err(must_be(format!("{path}.tools"), "an array"));
    };
    let mut only = Only::default();
    for (index, entry) in tools.elements().enumerate() {
        let path = format!("{path}.tools[{index}]");
        match entry.get("type").and_then(|kind| kind.as_str()).as_deref() {
            Some("function" | "custom") => {
                only.tools.insert(tool(entry, names, &path)?);
            }
            Some("namespace") => {
                only.namespaces.insert(name(entry, &path)?.into_owned());
            }
            // A tool that was left out is named already; that it may be called changes nothing.
            Some(_) => {}
            None => return Err(must_be(format!("{path}.type"), "a string")),
        }
    }
    Ok(ToolChoice { mode, only: Some(only) })
}

/// The listed tool that `entry` names: flat, or nested as in chat completions.
fn tool(entry: Value<'_>, names: &RequestTools<'_>, path: &str) -> Result<usize, GatewayError> {
    let nested = entry.get("function").or_else(|| entry.get("custom")).unwrap_or(entry);
    let wanted = name(nested, path)?;
    let namespace = entry.get("namespace").and_then(|namespace| namespace.as_str());
    names
        .listed(namespace.as_deref().filter(|namespace| !namespace.is_empty()), &wanted)
        .ok_or_else(|| refuse(format!("{path}.name"), "There is no such tool in \"tools\"."))
}

fn name<'a>(entry: Value<'a>, path: &str) -> Result<Cow<'a, str>, GatewayError> {
    entry
        .get("name")
        .and_then(|name| name.as_str())
        .ok_or_else(|| must_be(format!("{path}.name"), "a string"))
}
