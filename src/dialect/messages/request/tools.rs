//! `tools` and `tool_choice`.
//!
//! Chat servers know functions. A tool that Anthropic's servers would run, or whose form only Anthropic's models know,
//! has no chat form: it is left out and named, and a choice of it goes with it.

use std::borrow::Cow;
use std::collections::{HashMap, HashSet};

use sha2::{Digest, Sha256};

use super::MessagesOptions;
use super::params::MessageParams;
use crate::dialect::chat::write::{ChatRequestBody, Dropped, given, must_be, refuse};
use crate::error::GatewayError;
use crate::wire::json::cursor::Value;
use crate::wire::json::tokenizer::Kind;

/// Characters of a chat function's name (API reference, "Create chat completion"); Anthropic's may have more.
const MAX_NAME: usize = 64;
/// How many of them stay of a name that is too long.
const KEPT: usize = 55;

/// A tool that the chat server is offered.
#[derive(Debug)]
struct Tool<'a> {
    name: Cow<'a, str>,
    description: Option<Value<'a>>,
    schema: Option<Value<'a>>,
    strict: Option<Value<'a>>,
    /// Its `cache_control`.
    mark: Option<Value<'a>>,
}

/// The request's tools.
#[derive(Debug, Default)]
pub(super) struct Tools<'a> {
    offered: Vec<Tool<'a>>,
    names: HashSet<Cow<'a, str>>,
    /// Names of tools that were left out.
    left_out: HashSet<Cow<'a, str>>,
}

impl<'a> Tools<'a> {
    /// Reads `tools`.
    ///
    /// # Errors
    /// Naming the tool's member.
    pub(super) fn read(
        tools: Option<Value<'a>>,
        dropped: &mut Dropped,
    ) -> Result<Self, GatewayError> {
        let mut this = Self::default();
        for (index, tool) in tools.iter().flat_map(Value::elements).enumerate() {
            let path = |member: &str| format!("tools[{index}]{member}");
            if tool.kind != Kind::BeginObject {
                return Err(must_be(path(""), "an object"));
            }
            let member = |name: &str| tool.get(name).and_then(given);
            let of_kind = |name: &str, kinds: &[Kind], wanted: &str| match member(name) {
                Some(value) if !kinds.contains(&value.kind) => {
                    Err(must_be(path(&format!(".{name}")), wanted))
                }
                value => Ok(value),
            };
            let kind = of_kind("type", &[Kind::String], "a string")?.and_then(|kind| kind.as_str());
            let name = of_kind("name", &[Kind::String], "a string")?.and_then(|name| name.as_str());
            if let Some(kind) = kind.filter(|kind| kind != "custom") {
                dropped.add(&kind);
                this.left_out.extend(name);
                continue;
            }
            let name = name.filter(|name| !name.is_empty());
            let name = name.ok_or_else(|| must_be(path(".name"), "a string that is not empty"))?;
            if !this.names.insert(name.clone()) {
                return Err(refuse(path(".name"), "Another tool has the same name."));
            }
            this.offered.push(Tool {
                name,
                description: of_kind("description", &[Kind::String], "a string")?,
                schema: of_kind("input_schema", &[Kind::BeginObject], "an object")?,
                strict: of_kind("strict", &[Kind::True, Kind::False], "true or false")?,
                mark: member("cache_control"),
            });
        }
        Ok(this)
    }

    /// Writes `,"tools":[…]`, if there are any.
    pub(super) fn write(&self, options: &MessagesOptions<'_>, out: &mut ChatRequestBody<'_>) {
        for (index, tool) in self.offered.iter().enumerate() {
            out.raw(if index > 0 { &b","[..] } else { b",\"tools\":[" });
            out.raw(br#"{"type":"function","function":{"name":"#);
            out.string(&chat_name(&tool.name));
            out.member("description", tool.description);
            out.name("parameters");
            match tool.schema {
                Some(schema) => out.schema(schema),
                None => out.raw(br#"{"type":"object","properties":{}}"#),
            }
            out.member("strict", tool.strict);
            out.raw(b"}");
            out.member("cache_control", tool.mark.filter(|_| options.cache_control));
            out.raw(b"}");
        }
        if !self.offered.is_empty() {
            out.raw(b"]");
        }
    }

    /// Writes `tool_choice` and `parallel_tool_calls`; says whether there was the latter.
    ///
    /// # Errors
    /// Naming the choice's member.
    pub(super) fn write_choice(
        &self,
        params: &MessageParams<'a>,
        out: &mut ChatRequestBody<'_>,
    ) -> Result<bool, GatewayError> {
        let Some(choice) = params.tool_choice else { return Ok(false) };
        let member = |name: &str| choice.get(name).and_then(given);
        let kind = member("type").and_then(|kind| kind.as_str());
        let name = match kind.as_deref() {
            Some("auto" | "any" | "none") => None,
            Some("tool") => {
                let name = member("name").and_then(|name| name.as_str());
                Some(name.ok_or_else(|| must_be("tool_choice.name", "a string"))?)
            }
            _ => {
                let wanted = "one of \"auto\", \"any\", \"tool\" and \"none\"";
                return Err(must_be("tool_choice.type", wanted));
            }
        };
        let single = member("disable_parallel_tool_use");
        let single = single.map(|single| {
            let wanted = || must_be("tool_choice.disable_parallel_tool_use", "true or false");
            single.as_bool().ok_or_else(wanted)
        });
        let single = single.transpose()?.unwrap_or(false);
        if let Some(name) = &name
            && !self.names.contains(name)
            && !self.left_out.contains(name)
        {
            return Err(refuse("tool_choice.name", "No tool in \"tools\" has this name."));
        }
        if self.offered.is_empty() {
            return Ok(false);
        }
        match (kind.as_deref(), name) {
            (_, Some(name)) if self.names.contains(&name) => {
                out.raw(br#","tool_choice":{"type":"function","function":{"name":"#);
                out.string(&chat_name(&name));
                out.raw(b"}}");
            }
            (Some("auto"), _) => out.raw(br#","tool_choice":"auto""#),
            (Some("any"), _) => out.raw(br#","tool_choice":"required""#),
            (Some("none"), _) => out.raw(br#","tool_choice":"none""#),
            _ => {}
        }
        if single {
            out.raw(br#","parallel_tool_calls":false"#);
        }
        Ok(single)
    }

    /// The way back, for the answer: chat names that are not the client's.
    pub(super) fn into_renamed(self) -> HashMap<String, String> {
        let pairs = self.offered.into_iter().filter_map(|tool| match chat_name(&tool.name) {
            Cow::Owned(short) => Some((short, tool.name.into_owned())),
            Cow::Borrowed(_) => None,
        });
        pairs.collect()
    }
}

/// What the chat server knows a tool by: its name, or as much of it as fits and a hash.
pub(super) fn chat_name(name: &str) -> Cow<'_, str> {
    if name.len() <= MAX_NAME || name.chars().count() <= MAX_NAME {
        return Cow::Borrowed(name);
    }
    let mut short: String = name.chars().take(KEPT).collect();
    short.push('_');
    let digest = Sha256::digest(name.as_bytes());
    for byte in digest.iter().take(4) {
        short.push_str(&format!("{byte:02x}"));
    }
    Cow::Owned(short)
}
