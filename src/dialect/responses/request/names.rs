//! What tools are called on the way to the chat server, where a function has one flat name.
//!
//! A chat function's name is `[A-Za-z0-9_-]{1,64}` (API reference, "Create chat completion"). A
//! Responses tool may stand in a namespace, so its chat name is `namespace__name`, with other
//! characters made `_` and what is too long or taken cut and given a hash. The same request always
//! gives the same names, whatever its history: the model meets the names that it used before.

use std::borrow::Cow;
use std::collections::{HashMap, HashSet};

use sha2::{Digest, Sha256};

use crate::dialect::chat::write::refuse;
use crate::dialect::responses::{CalledTool, ToolNames};
use crate::error::GatewayError;

/// Bytes of a chat function's name.
const MAX_NAME: usize = 64;
/// How many different tools one request may name. OpenAI takes 128 in a request; more than this is
/// no use to a model, and only work for the gateway.
const MAX_TOOLS: usize = 10_000;

/// What the Responses API knows a tool by.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
struct ToolKey<'a> {
    namespace: Option<Cow<'a, str>>,
    name: Cow<'a, str>,
}

#[derive(Debug)]
struct NamedTool<'a> {
    key: ToolKey<'a>,
    custom: bool,
    listed: bool,
    /// Set by [`RequestTools::assign`].
    chat: String,
}

/// Every tool that the request names, in its tools or in its history.
#[derive(Debug, Default)]
pub(super) struct RequestTools<'a> {
    ids: HashMap<ToolKey<'a>, usize>,
    tools: Vec<NamedTool<'a>>,
}

impl<'a> RequestTools<'a> {
    /// The id of a tool that the history calls, which may be listed or not.
    ///
    /// # Errors
    /// Above [`MAX_TOOLS`].
    pub(super) fn called(
        &mut self,
        namespace: Option<Cow<'a, str>>,
        name: Cow<'a, str>,
        custom: bool,
    ) -> Result<usize, GatewayError> {
        let key = ToolKey { namespace, name };
        if let Some(&id) = self.ids.get(&key) {
            return Ok(id);
        }
        let id = self.tools.len();
        if id == MAX_TOOLS {
            let message = format!("More than {MAX_TOOLS} different tools are listed or called.");
            return Err(refuse("tools", message));
        }
        self.ids.insert(key.clone(), id);
        self.tools.push(NamedTool { key, custom, listed: false, chat: String::new() });
        Ok(id)
    }

    /// The id of a tool that the request lists; `None` if it was listed before.
    ///
    /// # Errors
    /// Above [`MAX_TOOLS`].
    pub(super) fn list(
        &mut self,
        namespace: Option<Cow<'a, str>>,
        name: Cow<'a, str>,
        custom: bool,
    ) -> Result<Option<usize>, GatewayError> {
        let id = self.called(namespace, name, custom)?;
        let Some(tool) = self.tools.get_mut(id).filter(|tool| !tool.listed) else {
            return Ok(None);
        };
        tool.listed = true;
        tool.custom = custom;
        Ok(Some(id))
    }

    /// The id of a listed tool.
    pub(super) fn listed(&self, namespace: Option<&str>, name: &str) -> Option<usize> {
        let key = ToolKey { namespace: namespace.map(Cow::Borrowed), name: Cow::Borrowed(name) };
        let id = *self.ids.get(&key)?;
        self.tools.get(id)?.listed.then_some(id)
    }

    /// The namespace of a tool.
    pub(super) fn namespace(&self, id: usize) -> Option<&str> {
        self.tools.get(id)?.key.namespace.as_deref()
    }

    /// The chat name of a tool, once [`RequestTools::assign`] has run. Needs no escapes.
    pub(super) fn chat(&self, id: usize) -> &str {
        self.tools.get(id).map_or("", |tool| &tool.chat)
    }

    /// Gives every tool its chat name. Listed tools choose before those that only the history names,
    /// and names that may stay as they are before those that are made up, so that no tool loses its
    /// own name to another.
    pub(super) fn assign(&mut self) {
        let mut taken = HashSet::new();
        for (listed, plain) in [(true, true), (true, false), (false, true), (false, false)] {
            for tool in &mut self.tools {
                let is_plain = tool.key.namespace.is_none() && is_chat_name(&tool.key.name);
                if (tool.listed, is_plain) == (listed, plain) {
                    tool.chat = free_name(&tool.key, &taken);
                    taken.insert(tool.chat.clone());
                }
            }
        }
    }

    /// The way back, for the answer.
    pub(super) fn into_tool_names(self) -> ToolNames {
        let renamed = self.tools.into_iter().filter_map(|tool| {
            let NamedTool { key: ToolKey { namespace, name }, custom, chat, .. } = tool;
            if namespace.is_none() && !custom && chat == name {
                return None;
            }
            let called = CalledTool {
                name: name.into_owned(),
                namespace: namespace.map(Cow::into_owned),
                custom,
            };
            Some((chat, called))
        });
        ToolNames(renamed.collect())
    }
}

fn is_chat_name(name: &str) -> bool {
    (1..=MAX_NAME).contains(&name.len()) && name.bytes().all(is_name_byte)
}

fn is_name_byte(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'-')
}

fn free_name(key: &ToolKey<'_>, taken: &HashSet<String>) -> String {
    let namespace = key.namespace.as_deref().unwrap_or_default();
    let separator = if namespace.is_empty() || namespace.ends_with("__") { "" } else { "__" };
    // A few more than fit are enough to know that they do not.
    let name: String = namespace
        .chars()
        .chain(separator.chars())
        .chain(key.name.chars())
        .take(MAX_NAME + 1)
        .map(|c| if u8::try_from(c).is_ok_and(is_name_byte) { c } else { '_' })
        .collect();
    if name.len() <= MAX_NAME && !taken.contains(&name) {
        return name;
    }
    let mut round = 0u64;
    loop {
        let mut hash = Sha256::new();
        hash.update(namespace.as_bytes());
        // A byte that no UTF-8 text holds: what follows can't be mistaken for the namespace.
        hash.update([0xFF]);
        hash.update(key.name.as_bytes());
        hash.update([0xFF]);
        hash.update(round.to_le_bytes());
        let digest = hash.finalize();
        let suffix: String = digest.iter().take(4).map(|byte| format!("{byte:02x}")).collect();
        let head: String = name.chars().take(MAX_NAME - 1 - suffix.len()).collect();
        let candidate = format!("{head}_{suffix}");
        if !taken.contains(&candidate) {
            return candidate;
        }
        round = round.saturating_add(1);
    }
}
