//! `tools`: what becomes of each.
//!
//! Chat servers know functions. A `custom` tool becomes a function with one string argument `input`;
//! the functions of a `namespace` become functions with the namespace in their names. Tools that a
//! server runs itself (web search, files, MCP, …) have no chat form: they are left out and named.
//! `defer_loading` has no meaning here: the tool search that would load such a tool is left out, so
//! the tool is offered at once.

use std::borrow::Cow;

use super::names::RequestTools;
use crate::dialect::chat::write::{ChatRequestBody, Dropped, given, must_be, refuse};
use crate::error::GatewayError;
use crate::wire::json::cursor::Value;
use crate::wire::json::tokenizer::Kind;

/// A tool that the chat server is offered.
#[derive(Debug)]
pub(super) struct Offered<'a> {
    /// Which one, in [`RequestTools`].
    pub(super) id: usize,
    custom: bool,
    description: Option<Value<'a>>,
    parameters: Option<Value<'a>>,
    strict: Option<Value<'a>>,
    /// A custom tool's grammar: its syntax and its definition, both strings.
    grammar: Option<(Value<'a>, Value<'a>)>,
    /// What the namespace is for; with its first tool only.
    namespace: Option<Value<'a>>,
    /// The tool itself, where it has members of its own to carry (`cache_control`).
    object: Option<Value<'a>>,
}

/// Members of a tool that are written in another place, or that say how the Responses API itself
/// would load and run it.
const TOOL_MEMBERS: &[&str] = &[
    "type",
    "name",
    "namespace",
    "description",
    "parameters",
    "strict",
    "format",
    "function",
    "custom",
    "defer_loading",
    "output_schema",
    "allowed_callers",
    "async",
];

/// Bytes of a tool's or namespace's name. Each tool is known by its own name and its namespace's, so
/// without a limit one long namespace with many tools would outgrow the memory of the whole worker.
const MAX_NAME_BYTES: usize = 512;

#[derive(Default)]
struct ToolMembers<'a> {
    kind: Option<Value<'a>>,
    name: Option<Value<'a>>,
    namespace: Option<Value<'a>>,
    description: Option<Value<'a>>,
    parameters: Option<Value<'a>>,
    strict: Option<Value<'a>>,
    format: Option<Value<'a>>,
    tools: Option<Value<'a>>,
    /// The nested form that chat completions has: `function` or `custom`.
    nested: Option<Value<'a>>,
    extras: bool,
}

impl<'a> ToolMembers<'a> {
    fn read(tool: Value<'a>, path: &str) -> Result<Self, GatewayError> {
        if tool.kind != Kind::BeginObject {
            return Err(must_be(path, "an object"));
        }
        let mut members = Self::default();
        for (key, value) in tool.members() {
            let name = key.as_str().unwrap_or_default();
            let slot = match name.as_ref() {
                "type" => &mut members.kind,
                "name" => &mut members.name,
                "namespace" => &mut members.namespace,
                "description" => &mut members.description,
                "parameters" => &mut members.parameters,
                "strict" => &mut members.strict,
                "format" => &mut members.format,
                "tools" => &mut members.tools,
                "function" | "custom" => &mut members.nested,
                name => {
                    members.extras |= !TOOL_MEMBERS.contains(&name) && !value.is_null();
                    continue;
                }
            };
            *slot = given(value);
        }
        Ok(members)
    }

    fn string(
        value: Option<Value<'a>>,
        path: &str,
        name: &str,
    ) -> Result<Option<Value<'a>>, GatewayError> {
        match value {
            Some(value) if value.kind != Kind::String => {
                Err(must_be(format!("{path}.{name}"), "a string"))
            }
            value => Ok(value),
        }
    }

    fn name(&self, path: &str) -> Result<Cow<'a, str>, GatewayError> {
        self.name
            .and_then(|name| name.as_str())
            .filter(|name| (1..=MAX_NAME_BYTES).contains(&name.len()))
            .ok_or_else(|| must_be(format!("{path}.name"), "a string of 1 to 512 bytes"))
    }
}

/// Reads tools as they come.
pub(super) struct ToolReader<'n, 'a> {
    pub(super) names: &'n mut RequestTools<'a>,
    pub(super) dropped: &'n mut Dropped,
    pub(super) offered: Vec<Offered<'a>>,
}

impl<'a> ToolReader<'_, 'a> {
    /// Reads a list of tools at `path`. `again`: a tool that is known already is no error; the item
    /// that a tool search brings may name tools that were listed as deferred.
    ///
    /// # Errors
    /// Naming the tool's member.
    pub(super) fn list(
        &mut self,
        tools: Value<'a>,
        path: &str,
        again: bool,
    ) -> Result<(), GatewayError> {
        for (index, tool) in tools.elements().enumerate() {
            let path = format!("{path}[{index}]");
            let members = ToolMembers::read(tool, &path)?;
            match kind(&members, &path)?.as_ref() {
                "function" | "custom" => {
                    // Beside its name, as calls name theirs, in the place of a tool around it.
                    let namespace = ToolMembers::string(members.namespace, &path, "namespace")?;
                    let namespace = namespace.and_then(|name| name.as_str());
                    let namespace = namespace.filter(|name| !name.is_empty());
                    self.tool(&members, tool, namespace, &path, again)?;
                }
                "namespace" => self.namespace(&members, &path, again)?,
                other => self.dropped.add(other),
            }
        }
        Ok(())
    }

    fn namespace(
        &mut self,
        members: &ToolMembers<'a>,
        path: &str,
        again: bool,
    ) -> Result<(), GatewayError> {
        let namespace = members.name(path)?;
        let description = ToolMembers::string(members.description, path, "description")?;
        let mut description = description.filter(|text| !text.inner().is_empty());
        let path = format!("{path}.tools");
        let tools = match members.tools {
            Some(tools) if tools.kind == Kind::BeginArray => tools,
            _ => return Err(must_be(path, "an array")),
        };
        for (index, tool) in tools.elements().enumerate() {
            let path = format!("{path}[{index}]");
            let members = ToolMembers::read(tool, &path)?;
            match kind(&members, &path)?.as_ref() {
                "function" | "custom" => {
                    let before = self.offered.len();
                    self.tool(&members, tool, Some(namespace.clone()), &path, again)?;
                    if let Some(first) = self.offered.get_mut(before) {
                        first.namespace = description.take();
                    }
                }
                other => self.dropped.add(other),
            }
        }
        Ok(())
    }

    fn tool(
        &mut self,
        outer: &ToolMembers<'a>,
        object: Value<'a>,
        namespace: Option<Cow<'a, str>>,
        path: &str,
        again: bool,
    ) -> Result<(), GatewayError> {
        let custom = outer.kind.is_some_and(|kind| kind.as_str().as_deref() == Some("custom"));
        // Flat, or nested as in chat completions.
        let nested = match (outer.name, outer.nested) {
            (None, Some(nested)) => {
                let path = format!("{path}.{}", if custom { "custom" } else { "function" });
                Some((ToolMembers::read(nested, &path)?, path))
            }
            _ => None,
        };
        let (members, path) = match &nested {
            Some((members, path)) => (members, path.as_str()),
            None => (outer, path),
        };
        let name = members.name(path)?;
        let Some(id) = self.names.list(namespace, name, custom)? else {
            if again {
                return Ok(());
            }
            return Err(refuse(format!("{path}.name"), "Another tool has the same name."));
        };
        if members.parameters.is_some_and(|parameters| parameters.kind != Kind::BeginObject) {
            return Err(must_be(format!("{path}.parameters"), "an object"));
        }
        if members.strict.is_some_and(|strict| strict.as_bool().is_none()) {
            return Err(must_be(format!("{path}.strict"), "true or false"));
        }
        self.offered.push(Offered {
            id,
            custom,
            description: ToolMembers::string(members.description, path, "description")?,
            parameters: members.parameters,
            strict: members.strict,
            grammar: if custom { grammar(members.format, path)? } else { None },
            namespace: None,
            object: outer.extras.then_some(object),
        });
        Ok(())
    }
}

fn kind<'a>(members: &ToolMembers<'a>, path: &str) -> Result<Cow<'a, str>, GatewayError> {
    members
        .kind
        .and_then(|kind| kind.as_str())
        .ok_or_else(|| must_be(format!("{path}.type"), "a string"))
}

/// A custom tool's grammar, flat or nested as in chat completions; `None` for free text.
fn grammar<'a>(
    format: Option<Value<'a>>,
    path: &str,
) -> Result<Option<(Value<'a>, Value<'a>)>, GatewayError> {
    let Some(format) = format else { return Ok(None) };
    let path = format!("{path}.format");
    match format.get("type").and_then(|kind| kind.as_str()).as_deref() {
        Some("text") => Ok(None),
        Some("grammar") => {
            let holder = format.get("grammar").unwrap_or(format);
            let string = |name: &str| {
                holder
                    .get(name)
                    .filter(|value| value.kind == Kind::String)
                    .ok_or_else(|| must_be(format!("{path}.{name}"), "a string"))
            };
            Ok(Some((string("syntax")?, string("definition")?)))
        }
        _ => Err(must_be(format!("{path}.type"), "\"text\" or \"grammar\"")),
    }
}

/// Writes `,"tools":[…]` of the tools that `allowed` lets pass, in their order.
pub(super) fn write(
    offered: &[Offered<'_>],
    allowed: impl Fn(usize) -> bool,
    names: &RequestTools<'_>,
    out: &mut ChatRequestBody<'_>,
) {
    out.name("tools");
    out.raw(b"[");
    for (index, tool) in offered.iter().filter(|tool| allowed(tool.id)).enumerate() {
        if index > 0 {
            out.raw(b",");
        }
        out.raw(br#"{"type":"function","function":{"name":""#);
        out.raw(names.chat(tool.id));
        out.raw(b"\"");
        describe(tool, names, out);
        if tool.custom {
            out.raw(
                br#","parameters":{"type":"object","properties":{"input":{"type":"string","description":"The whole input of the tool, as plain text."}},"required":["input"],"additionalProperties":false}"#,
            );
        } else {
            // A function without parameters may leave them out; not every server copes.
            out.name("parameters");
            match tool.parameters {
                Some(parameters) => out.schema(parameters),
                None => out.raw(br#"{"type":"object","properties":{}}"#),
            }
            out.member("strict", tool.strict);
        }
        out.raw(b"}");
        out.extras(tool.object, TOOL_MEMBERS);
        out.raw(b"}");
    }
    out.raw(b"]");
}

/// The description: the namespace's, the tool's own, the grammar. Chat has no other place for them.
fn describe(tool: &Offered<'_>, names: &RequestTools<'_>, out: &mut ChatRequestBody<'_>) {
    let own = tool.description.filter(|text| !text.inner().is_empty());
    if own.is_none() && tool.namespace.is_none() && tool.grammar.is_none() {
        return;
    }
    out.name("description");
    out.raw(b"\"");
    let mut gap: &[u8] = b"";
    if let Some(text) = own {
        out.raw(text.inner());
        gap = b"\\n\\n";
    }
    if let Some((syntax, definition)) = tool.grammar {
        out.raw(gap);
        out.raw(b"The input must follow this ");
        out.raw(syntax.inner());
        out.raw(b" grammar:\\n");
        out.raw(definition.inner());
        gap = b"\\n\\n";
    }
    if let Some(text) = tool.namespace {
        let name = names.namespace(tool.id).unwrap_or_default();
        let name = crate::wire::json::string::encode(name);
        out.raw(gap);
        out.raw(b"This tool is one of the group \\\"");
        out.raw(
            name.strip_prefix(b"\"").and_then(|name| name.strip_suffix(b"\"")).unwrap_or(&name),
        );
        out.raw(b"\\\": ");
        out.raw(text.inner());
    }
    out.raw(b"\"");
}
