//! What an answer must know of its request.

use std::borrow::Cow;
use std::collections::HashMap;

/// What an answer must know of its request.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct AnswerContext {
    /// Members of the Response object that repeat the request, or hold its default, in the order in
    /// which they are written: name and raw JSON, which has no line ends: it goes into events.
    pub repeated: Vec<(&'static str, Cow<'static, [u8]>)>,
    /// Whom a tool call of the chat answer is for.
    pub tools: ToolNames,
    /// `"stream": true`.
    pub stream: bool,
    /// Reasoning is to come in a form that the client can bring back.
    pub seals_reasoning: bool,
    /// Reasoning is to come as a summary, too: clients that ask for one show nothing else.
    pub summarizes: bool,
    /// What the answer is.
    pub form: AnswerForm,
}

/// What an answer is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum AnswerForm {
    /// A Response.
    #[default]
    Response,
    /// A Response whose only item is a compaction of the conversation.
    Compaction,
    /// The object `response.compaction`, with such an item.
    CompactionObject,
}

impl AnswerForm {
    /// Whether the model was asked for a summary in the place of an answer.
    #[must_use]
    pub fn is_compaction(self) -> bool {
        self != Self::Response
    }
}

impl AnswerContext {
    /// Bytes that are kept of the request.
    #[must_use]
    pub fn held(&self) -> usize {
        let repeated: usize = self.repeated.iter().map(|(_, json)| json.len()).sum();
        repeated.saturating_add(self.tools.held())
    }
}

/// Names of the functions that the chat server was offered, and what they were called in the request.
/// Functions that are called the same in both are not listed.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct ToolNames(pub HashMap<String, CalledTool>);

impl ToolNames {
    fn held(&self) -> usize {
        let tool = |(name, called): (&String, &CalledTool)| {
            let namespace = called.namespace.as_ref().map_or(0, String::len);
            size_of::<(String, CalledTool)>() + name.len() + called.name.len() + namespace
        };
        self.0.iter().map(tool).sum()
    }
}

/// What a tool is called in the Responses API.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CalledTool {
    /// The tool's name, inside of its namespace if it has one.
    pub name: String,
    /// The `namespace` tool that it stands in.
    pub namespace: Option<String>,
    /// A `custom` tool: its one argument is free text.
    pub custom: bool,
}
