//! Output items as the Responses API shows them.

use super::custom::CustomInput;
use crate::dialect::chat::arguments::ArgumentsText;
use crate::dialect::chat::text::{Text, number, quoted};

/// Where an item stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum ItemStatus {
    /// More may come.
    InProgress,
    /// Closed by what came next, or by the answer's end.
    Completed,
    /// The answer ended before the item did.
    Incomplete,
}

impl ItemStatus {
    fn as_str(self) -> &'static str {
        match self {
            Self::InProgress => "in_progress",
            Self::Completed => "completed",
            Self::Incomplete => "incomplete",
        }
    }
}

/// One element of `output`. Its place there is its `output_index`.
#[derive(Debug)]
pub(super) struct OutputItem {
    pub(super) status: ItemStatus,
    pub(super) body: ItemContent,
}

/// What an item holds.
#[derive(Debug)]
pub(super) enum ItemContent {
    Reasoning(ReasoningItem),
    Message(Vec<OutputPart>),
    Call(OutputCall),
    /// A summary in the place of the conversation, sealed.
    Compaction(String),
}

/// What the model thought.
#[derive(Debug, Default)]
pub(super) struct ReasoningItem {
    /// Its one part, once that was added.
    pub(super) text: Option<Text>,
    /// It is shown as a summary, too: as it comes, since clients that ask for one show nothing else. Parts
    /// of an item follow each other, so the text itself is told once it is complete.
    pub(super) summarizes: bool,
    /// The item is complete.
    pub(super) is_closed: bool,
    /// Its sealed form, where one was asked for; empty until the item is closed.
    pub(super) sealed: Option<String>,
}

impl ReasoningItem {
    fn write(&self, out: &mut Vec<u8>) {
        out.extend_from_slice(b",\"summary\":[");
        if let Some(text) = self.text.as_ref().filter(|_| self.summarizes) {
            write_summary(text.raw(), out);
        }
        out.extend_from_slice(b"],\"content\":[");
        if let Some(text) = self.text.as_ref().filter(|_| self.is_closed || !self.summarizes) {
            write_reasoning(text.raw(), out);
        }
        out.push(b']');
        if let Some(sealed) = &self.sealed {
            out.extend_from_slice(b",\"encrypted_content\":");
            match sealed.as_str() {
                "" => out.extend_from_slice(b"null"),
                sealed => quoted(sealed.as_bytes(), out),
            }
        }
    }
}

/// One element of a message's `content`.
#[derive(Debug)]
pub(super) enum OutputPart {
    Text(TextPart),
    Refusal(Text),
}

/// A message's text, and what belongs to it.
#[derive(Debug, Default)]
pub(super) struct TextPart {
    pub(super) text: Text,
    pub(super) annotations: JsonList,
    pub(super) logprobs: JsonList,
}

/// JSON values, joined by commas.
#[derive(Debug, Default)]
pub(super) struct JsonList {
    raw: Vec<u8>,
    pub(super) count: u64,
    /// How much of it was shown before.
    shown: usize,
}

impl JsonList {
    pub(super) fn push(&mut self, value: &[u8]) {
        if self.count > 0 {
            self.raw.push(b',');
        }
        self.raw.extend_from_slice(value);
        self.count += 1;
    }

    /// Writes it as an array.
    pub(super) fn write(&self, out: &mut Vec<u8>) {
        out.push(b'[');
        out.extend_from_slice(&self.raw);
        out.push(b']');
    }

    /// Writes what was added since the last time, as an array.
    pub(super) fn write_new(&mut self, out: &mut Vec<u8>) {
        if self.shown == self.raw.len() {
            return out.extend_from_slice(b"[]");
        }
        let new = self.raw.get(self.shown..).unwrap_or_default();
        out.push(b'[');
        out.extend_from_slice(new.strip_prefix(b",").unwrap_or(new));
        out.push(b']');
        self.shown = self.raw.len();
    }
}

/// A tool call.
#[derive(Debug)]
pub(super) struct OutputCall {
    /// Escaped, without quotes.
    pub(super) call_id: Vec<u8>,
    /// Escaped, without quotes.
    pub(super) name: Vec<u8>,
    /// Escaped, without quotes.
    pub(super) namespace: Option<Vec<u8>>,
    pub(super) said: CallPayload,
}

/// What a tool is called with.
#[derive(Debug)]
pub(super) enum CallPayload {
    Arguments(ArgumentsText),
    Input(CustomInput),
}

impl CallPayload {
    pub(super) fn push(&mut self, inner: &[u8]) -> &[u8] {
        match self {
            Self::Arguments(text) => text.push(inner),
            Self::Input(input) => input.push(inner),
        }
    }

    pub(super) fn finish(&mut self) -> &[u8] {
        match self {
            Self::Arguments(text) => text.finish(),
            Self::Input(input) => input.finish(),
        }
    }

    pub(super) fn raw(&self) -> &[u8] {
        match self {
            Self::Arguments(text) => text.raw(),
            Self::Input(input) => input.raw(),
        }
    }
}

/// An item's id and place in `output`.
#[derive(Debug, Clone, Copy)]
pub(super) struct ItemPosition<'a> {
    prefix: &'static str,
    id: &'a str,
    index: usize,
}

impl ItemPosition<'_> {
    /// Its place in `output`.
    pub(super) fn index(&self) -> usize {
        self.index
    }

    fn write_id(&self, out: &mut Vec<u8>) {
        out.push(b'"');
        for part in [self.prefix, "_", self.id, "_"] {
            out.extend_from_slice(part.as_bytes());
        }
        number(self.index as u64, out);
        out.push(b'"');
    }

    /// Writes `item_id`, `output_index` and, for a part, `content_index`, each with a comma before it.
    pub(super) fn write(&self, part: Option<usize>, out: &mut Vec<u8>) {
        out.extend_from_slice(b",\"item_id\":");
        self.write_id(out);
        self.write_index(out);
        if let Some(part) = part {
            out.extend_from_slice(b",\"content_index\":");
            number(part as u64, out);
        }
    }

    /// Writes `output_index` with a comma before it.
    pub(super) fn write_index(&self, out: &mut Vec<u8>) {
        out.extend_from_slice(b",\"output_index\":");
        number(self.index as u64, out);
    }
}

impl OutputItem {
    /// Begins the item's `id`, as OpenAI's own ids of its type do.
    fn prefix(&self) -> &'static str {
        match &self.body {
            ItemContent::Reasoning(_) => "rs",
            ItemContent::Message(_) => "msg",
            ItemContent::Compaction(_) => "cmp",
            ItemContent::Call(OutputCall { said: CallPayload::Arguments(_), .. }) => "fc",
            ItemContent::Call(OutputCall { said: CallPayload::Input(_), .. }) => "ctc",
        }
    }

    /// Names the item in events. `id`: the answer's.
    pub(super) fn place<'a>(&self, id: &'a str, index: usize) -> ItemPosition<'a> {
        ItemPosition { prefix: self.prefix(), id, index }
    }

    /// Writes the item as it is now.
    pub(super) fn write(&self, id: &str, index: usize, out: &mut Vec<u8>) {
        out.extend_from_slice(b"{\"id\":");
        self.place(id, index).write_id(out);
        let kind: &[u8] = match &self.body {
            ItemContent::Reasoning(_) => b"reasoning",
            ItemContent::Message(_) => b"message",
            ItemContent::Compaction(_) => b"compaction",
            ItemContent::Call(OutputCall { said: CallPayload::Arguments(_), .. }) => {
                b"function_call"
            }
            ItemContent::Call(OutputCall { said: CallPayload::Input(_), .. }) => {
                b"custom_tool_call"
            }
        };
        out.extend_from_slice(b",\"type\":");
        quoted(kind, out);
        // The API shows none of a compaction.
        if !matches!(self.body, ItemContent::Compaction(_)) {
            out.extend_from_slice(b",\"status\":");
            quoted(self.status.as_str().as_bytes(), out);
        }
        match &self.body {
            ItemContent::Reasoning(reasoning) => reasoning.write(out),
            ItemContent::Compaction(sealed) => {
                out.extend_from_slice(b",\"encrypted_content\":");
                quoted(sealed.as_bytes(), out);
            }
            ItemContent::Message(parts) => {
                out.extend_from_slice(b",\"role\":\"assistant\",\"content\":[");
                for (at, part) in parts.iter().enumerate() {
                    if at > 0 {
                        out.push(b',');
                    }
                    part.write(out);
                }
                out.push(b']');
            }
            ItemContent::Call(call) => call.write(out),
        }
        out.push(b'}');
    }
}

/// Writes a reasoning item's one part.
pub(super) fn write_reasoning(text: &[u8], out: &mut Vec<u8>) {
    out.extend_from_slice(b"{\"type\":\"reasoning_text\",\"text\":");
    quoted(text, out);
    out.push(b'}');
}

/// Writes the one part of a reasoning item's summary.
pub(super) fn write_summary(text: &[u8], out: &mut Vec<u8>) {
    out.extend_from_slice(b"{\"type\":\"summary_text\",\"text\":");
    quoted(text, out);
    out.push(b'}');
}

impl OutputPart {
    /// Writes the part as it is now.
    pub(super) fn write(&self, out: &mut Vec<u8>) {
        match self {
            Self::Text(part) => {
                out.extend_from_slice(b"{\"type\":\"output_text\",\"text\":");
                part.text.write(out);
                out.extend_from_slice(b",\"annotations\":");
                part.annotations.write(out);
                out.extend_from_slice(b",\"logprobs\":");
                part.logprobs.write(out);
                out.push(b'}');
            }
            Self::Refusal(text) => {
                out.extend_from_slice(b"{\"type\":\"refusal\",\"refusal\":");
                text.write(out);
                out.push(b'}');
            }
        }
    }
}

impl OutputCall {
    fn write(&self, out: &mut Vec<u8>) {
        out.extend_from_slice(b",\"call_id\":");
        quoted(&self.call_id, out);
        out.extend_from_slice(b",\"name\":");
        quoted(&self.name, out);
        if let Some(namespace) = &self.namespace {
            out.extend_from_slice(b",\"namespace\":");
            quoted(namespace, out);
        }
        let member: &[u8] = match self.said {
            CallPayload::Arguments(_) => b",\"arguments\":",
            CallPayload::Input(_) => b",\"input\":",
        };
        out.extend_from_slice(member);
        quoted(self.said.raw(), out);
    }
}
