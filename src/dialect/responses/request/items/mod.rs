//! The items of `input`: told apart, and calls paired with their outputs.
//!
//! This is the first of two passes. It keeps places in the body, not text; the second pass
//! ([`super::messages`]) writes.

mod pairs;

use std::borrow::Cow;
use std::collections::{HashMap, HashSet};

use super::content::ContentPath;
use super::names::RequestTools;
use crate::dialect::chat::write::{Dropped, given, holds_any, must_be, refuse};
use crate::dialect::seal::{Purpose, Sealer};
use crate::error::GatewayError;
use crate::wire::json::cursor::Value;
use crate::wire::json::string::encode;
use crate::wire::json::tokenizer::Kind;

/// What a conversation is made of, in the order in which it happened.
#[derive(Debug)]
pub(super) enum Entry<'a> {
    /// What the user said.
    User(Value<'a>, ContentPath),
    /// What the model said.
    Assistant(Value<'a>, ContentPath),
    /// The model called a tool: an index into [`Items::calls`].
    HistoryCall(usize),
    /// Tools answered. Their outputs are kept with the calls.
    Outputs,
    /// A tool said something that no call asked for.
    Unasked {
        namespace: Option<Value<'a>>,
        name: Option<Value<'a>>,
        output: (Value<'a>, ContentPath),
    },
    /// A system or developer message that does not stand at the beginning.
    Instruction(&'static str, Value<'a>, ContentPath),
    /// What the model thought: texts.
    Reasoning(Value<'a>),
    /// What the model thought, sealed: an index into [`Items::opened`].
    Unsealed(usize),
    /// A compaction in the place of what came before: an index into [`Items::opened`].
    Compaction(usize),
}

/// A call and, once it is found, what the tool answered.
#[derive(Debug)]
pub(super) struct HistoryCall<'a> {
    /// Its place in `input`.
    pub(super) index: usize,
    /// Which tool, in [`RequestTools`].
    pub(super) tool: usize,
    /// Its argument is free text.
    pub(super) custom: bool,
    pub(super) id: Value<'a>,
    /// `arguments`, or `input` of a custom tool; a string.
    pub(super) payload: Value<'a>,
    pub(super) output: Option<(Value<'a>, ContentPath)>,
}

/// `input`, read.
#[derive(Debug, Default)]
pub(super) struct Items<'a> {
    /// Contents of the system and developer messages at the beginning.
    pub(super) system: Vec<(Value<'a>, ContentPath)>,
    pub(super) entries: Vec<Entry<'a>>,
    pub(super) calls: Vec<HistoryCall<'a>>,
    /// Arrays of tools that the conversation brings, and the items they stand in.
    pub(super) tools: Vec<(Value<'a>, usize)>,
    /// What was sealed: JSON strings.
    pub(super) opened: Vec<Vec<u8>>,
    /// Where the conversation ends with the wish for a compaction.
    pub(super) trigger: Option<usize>,
    /// The place of the last item that the client has made: what the user said, what a tool answered, or the wish for a
    /// compaction. What stands before it is history: to refuse it now would end the session.
    pub(super) newest: usize,
}

/// Items of tools that a server runs, and of a server's own bookkeeping. No chat server has those
/// tools, and a conversation stays whole without them: call and output go together.
const LEFT_OUT: &[&str] = &[
    "apply_patch_call",
    "apply_patch_call_output",
    "code_interpreter_call",
    "computer_call",
    "computer_call_output",
    "configuration_update",
    "file_search_call",
    "image_generation_call",
    "local_shell_call",
    "local_shell_call_output",
    "mcp_approval_request",
    "mcp_approval_response",
    "mcp_call",
    "mcp_list_tools",
    "program",
    "program_output",
    "shell_call",
    "shell_call_output",
    "tool_search_call",
    "web_search_call",
];

/// The members of an item that have a meaning here.
#[derive(Default)]
struct ItemMembers<'a> {
    kind: Option<Value<'a>>,
    role: Option<Value<'a>>,
    content: Option<Value<'a>>,
    summary: Option<Value<'a>>,
    call_id: Option<Value<'a>>,
    name: Option<Value<'a>>,
    namespace: Option<Value<'a>>,
    arguments: Option<Value<'a>>,
    input: Option<Value<'a>>,
    output: Option<Value<'a>>,
    tools: Option<Value<'a>>,
    id: Option<Value<'a>>,
    encrypted_content: Option<Value<'a>>,
    /// Calls in the form of chat completions.
    chat_calls: Option<(&'static str, Value<'a>)>,
}

/// Reads `input`. With `keep_reasoning`, reasoning items are entries, else they are left out; where the answer is a
/// compaction (`compacts`, or `input` asks for one), all of it is history. `sealer`
/// opens what was sealed; what it can't open is left out and named.
///
/// # Errors
/// Naming the item's member, for items that have no form in chat and for calls and outputs that do
/// not pair up.
pub(super) fn read<'a>(
    input: Option<Value<'a>>,
    keep_reasoning: bool,
    compacts: bool,
    sealer: Option<&Sealer>,
    names: &mut RequestTools<'a>,
    dropped: &mut Dropped,
) -> Result<Items<'a>, GatewayError> {
    let mut reader = ItemReader {
        names,
        dropped,
        sealer,
        items: Items::default(),
        open: HashMap::new(),
        left_out: HashSet::new(),
        unknown: Vec::new(),
    };
    match input {
        Some(text) if text.kind == Kind::String => {
            let at = ContentPath { index: 0, field: "content" };
            reader.items.entries.push(Entry::User(text, at));
        }
        _ => {
            for (index, item) in input.iter().flat_map(Value::elements).enumerate() {
                reader.item(item, index, keep_reasoning)?;
            }
        }
    }
    if compacts || reader.items.trigger.is_some() {
        reader.made(usize::MAX);
    }
    if let Some(&(index, _)) = reader.unknown.first() {
        return Err(refuse(
            path(index, "type"),
            "An item of this type is not supported. Supported are message, function_call, \
             function_call_output, custom_tool_call, custom_tool_call_output and reasoning.",
        ));
    }
    let items = reader.items;
    if let Some(call) = items.calls.iter().find(|call| call.output.is_none()) {
        let id = shown(&call.id);
        return Err(refuse(
            path(call.index, "call_id"),
            format!("No tool output found for function call {id}."),
        ));
    }
    Ok(items)
}

struct ItemReader<'n, 'a> {
    names: &'n mut RequestTools<'a>,
    dropped: &'n mut Dropped,
    sealer: Option<&'n Sealer>,
    items: Items<'a>,
    /// Calls that have no output yet, by id. An id may come again once its call is answered: some chat
    /// servers number the calls of every answer from 0.
    open: HashMap<Cow<'a, str>, usize>,
    /// Calls that were left out, by id: what answers them goes with them, whatever the type of its item (Codex answers a
    /// `local_shell_call` with a `function_call_output`).
    left_out: HashSet<Cow<'a, str>>,
    /// Items of unknown types behind which the client has said nothing yet: their places and types.
    unknown: Vec<(usize, Cow<'a, str>)>,
}

impl<'a> ItemReader<'_, 'a> {
    fn item(
        &mut self,
        item: Value<'a>,
        index: usize,
        keep_reasoning: bool,
    ) -> Result<(), GatewayError> {
        if item.kind != Kind::BeginObject {
            return Err(must_be(format!("input[{index}]"), "an object"));
        }
        if let Some(trigger) = self.items.trigger {
            return Err(refuse(
                path(trigger, "type"),
                "A compaction_trigger must be the last item: what it asks for is the answer.",
            ));
        }
        let mut members = ItemMembers::default();
        for (key, value) in item.members() {
            let name = key.name();
            let slot = match &*name {
                b"type" => &mut members.kind,
                b"role" => &mut members.role,
                b"content" => &mut members.content,
                b"summary" => &mut members.summary,
                b"call_id" => &mut members.call_id,
                b"name" => &mut members.name,
                b"namespace" => &mut members.namespace,
                b"arguments" => &mut members.arguments,
                b"input" => &mut members.input,
                b"output" => &mut members.output,
                b"tools" => &mut members.tools,
                b"id" => &mut members.id,
                b"encrypted_content" => &mut members.encrypted_content,
                b"tool_calls" | b"function_call" => {
                    let is_list = &*name == b"tool_calls";
                    let member = if is_list { "tool_calls" } else { "function_call" };
                    members.chat_calls = given(value).map(|value| (member, value));
                    continue;
                }
                _ => continue,
            };
            // An output of nothing is one, too.
            *slot = if &*name == b"output" { Some(value) } else { given(value) };
        }
        let kind = match members.kind {
            Some(kind) => kind.as_str().ok_or_else(|| must_be(path(index, "type"), "a string"))?,
            // The SDK's types make `type` optional for messages and for references.
            None if members.role.is_some() => Cow::Borrowed("message"),
            None if members.id.is_some() => Cow::Borrowed("item_reference"),
            None => return Err(must_be(path(index, "type"), "a string")),
        };
        match kind.as_ref() {
            "message" => self.message(&members, index),
            "function_call" => {
                let arguments = string(members.arguments, index, "arguments")?;
                self.call(&members, index, arguments, false)
            }
            "custom_tool_call" => {
                let input = string(members.input, index, "input")?;
                self.call(&members, index, input, true)
            }
            "function_call_output" | "custom_tool_call_output" => self.output(&members, index),
            "reasoning" => {
                for (name, texts) in [("content", members.content), ("summary", members.summary)] {
                    if texts.is_some_and(|texts| texts.kind != Kind::BeginArray) {
                        return Err(must_be(path(index, name), "an array"));
                    }
                }
                let opened = match members.encrypted_content {
                    Some(_) => {
                        let sealed = string(members.encrypted_content, index, "encrypted_content")?;
                        self.open(Purpose::Reasoning, sealed, "reasoning.encrypted_content")
                    }
                    None => None,
                };
                if !keep_reasoning {
                    return Ok(());
                }
                // The thoughts themselves before their summary.
                let texts = members.content.filter(|texts| texts.elements().next().is_some());
                self.items.entries.extend(match (texts, opened) {
                    (Some(texts), _) => Some(Entry::Reasoning(texts)),
                    (None, Some(opened)) => Some(Entry::Unsealed(opened)),
                    (None, None) => members.summary.map(Entry::Reasoning),
                });
                Ok(())
            }
            // Tools that are offered from here on. Chat has one list of tools: they join it.
            "additional_tools" | "tool_search_output" => {
                match members.tools {
                    Some(tools) if tools.kind == Kind::BeginArray => {
                        self.items.tools.push((tools, index));
                    }
                    _ => return Err(must_be(path(index, "tools"), "an array")),
                }
                Ok(())
            }
            // Without its reasoning a conversation is whole, and who refers to it has no more of it.
            "item_reference" if is_reasoning_id(&members) => {
                self.dropped.add(kind.as_ref());
                Ok(())
            }
            "item_reference" => Err(refuse(
                path(index, if members.kind.is_some() { "type" } else { "id" }),
                "References to stored items are not supported: this gateway keeps no state. Send \
                 \"store\": false, so that your client sends the items themselves.",
            )),
            "compaction" | "compaction_summary" | "context_compaction" => {
                let sealed = string(members.encrypted_content, index, "encrypted_content")?;
                if let Some(opened) = self.open(Purpose::Compaction, sealed, kind.as_ref()) {
                    self.items.entries.push(Entry::Compaction(opened));
                }
                Ok(())
            }
            "compaction_trigger" => {
                self.items.trigger = Some(index);
                Ok(())
            }
            kind if LEFT_OUT.contains(&kind) => {
                self.dropped.add(kind);
                self.left_out.extend(members.call_id.and_then(|id| id.as_str()));
                Ok(())
            }
            _ => {
                self.left_out.extend(members.call_id.and_then(|id| id.as_str()));
                self.unknown.push((index, kind));
                Ok(())
            }
        }
    }

    /// Notes that the client has made the item at `index`. What came before it is history, and what is unknown there is left
    /// out and named.
    fn made(&mut self, index: usize) {
        self.items.newest = index;
        for (_, kind) in self.unknown.drain(..) {
            self.dropped.add(&kind);
        }
    }

    /// Opens what was sealed: its index. What can't be opened (another server's, another virtual key's) is
    /// left out, and noted as `name`.
    fn open(&mut self, purpose: Purpose, sealed: Value<'a>, name: &str) -> Option<usize> {
        let sealed = sealed.as_str().unwrap_or_default();
        let Some(text) = self.sealer.and_then(|sealer| sealer.open(purpose, &sealed)) else {
            self.dropped.add(name);
            return None;
        };
        self.items.opened.push(encode(&text));
        self.items.opened.len().checked_sub(1)
    }

    fn message(&mut self, members: &ItemMembers<'a>, index: usize) -> Result<(), GatewayError> {
        let at = ContentPath { index, field: "content" };
        if let Some((member, calls)) = members.chat_calls
            && holds_any(&calls)
        {
            return Err(refuse(
                path(index, member),
                format!(
                    "\"{member}\" is a member of chat completions' messages. Send an item of the type \
                     function_call for each call."
                ),
            ));
        }
        let role = members.role.and_then(|role| role.as_str());
        let content = match members.content {
            Some(content) if matches!(content.kind, Kind::String | Kind::BeginArray) => content,
            // An answer that said nothing.
            None if role.as_deref() == Some("assistant") => return Ok(()),
            _ => return Err(must_be(at.to_string(), "a string or an array of parts")),
        };
        match role.as_deref() {
            Some("user") => {
                self.made(index);
                self.items.entries.push(Entry::User(content, at));
            }
            Some("assistant") => self.items.entries.push(Entry::Assistant(content, at)),
            Some(role @ ("system" | "developer")) => {
                let role = if role == "system" { "system" } else { "developer" };
                if self.items.entries.is_empty() {
                    self.items.system.push((content, at));
                } else {
                    self.items.entries.push(Entry::Instruction(role, content, at));
                }
            }
            _ => {
                return Err(must_be(
                    path(index, "role"),
                    "one of \"user\", \"assistant\", \"system\" and \"developer\"",
                ));
            }
        }
        Ok(())
    }
}

/// Whether an item's id is one that the API, and this gateway, gives to reasoning.
fn is_reasoning_id(members: &ItemMembers<'_>) -> bool {
    members.id.and_then(|id| id.as_str()).is_some_and(|id| id.starts_with("rs_"))
}

fn path(index: usize, member: &str) -> String {
    format!("input[{index}].{member}")
}

fn string<'a>(
    value: Option<Value<'a>>,
    index: usize,
    member: &str,
) -> Result<Value<'a>, GatewayError> {
    value
        .filter(|value| value.kind == Kind::String)
        .ok_or_else(|| must_be(path(index, member), "a string"))
}

/// An id for a message, cut to a length that a person reads.
fn shown(id: &Value<'_>) -> String {
    let id = id.as_str().unwrap_or_default();
    let mut short: String = id.chars().take(64).collect();
    if short.len() < id.len() {
        short.push('…');
    }
    short
}
