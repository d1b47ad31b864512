//! Output items as the Responses API shows them.

use super::custom::Input;
use crate::dialect::chat::text::{Text, number, quoted};

/// Where an item stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Status {
    /// More may come.
    InProgress,
    /// Closed by what came next, or by the answer's end.
    Completed,
    /// The answer ended before the item did.
    Incomplete,
}

impl Status {
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
pub(super) struct Item {
    pub(super) status: Status,
    pub(super) body: Body,
}

/// What an item holds.
#[derive(Debug)]
pub(super) enum Body {
    /// Its one part, once that was added.
    Reasoning(Option<Text>),
    Message(Vec<Part>),
    Call(Call),
}

/// One element of a message's `content`.
#[derive(Debug)]
pub(super) enum Part {
    Text(TextPart),
    Refusal(Text),
}

/// A message's text, and what belongs to it.
#[derive(Debug, Default)]
pub(super) struct TextPart {
    pub(super) text: Text,
    pub(super) annotations: List,
    pub(super) logprobs: List,
}

/// JSON values, joined by commas.
#[derive(Debug, Default)]
pub(super) struct List {
    raw: Vec<u8>,
    pub(super) count: u64,
    /// How much of it was shown before.
    shown: usize,
}

impl List {
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
        let new = self.raw.get(self.shown..).unwrap_or_default();
        out.push(b'[');
        out.extend_from_slice(new.strip_prefix(b",").unwrap_or(new));
        out.push(b']');
        self.shown = self.raw.len();
    }
}

/// A tool call.
#[derive(Debug)]
pub(super) struct Call {
    /// Escaped, without quotes.
    pub(super) call_id: Vec<u8>,
    /// Escaped, without quotes.
    pub(super) name: Vec<u8>,
    /// Escaped, without quotes.
    pub(super) namespace: Option<Vec<u8>>,
    pub(super) said: Said,
}

/// What a tool is called with.
#[derive(Debug)]
pub(super) enum Said {
    Arguments(Text),
    Input(Input),
}

impl Said {
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
pub(super) struct Place<'a> {
    prefix: &'static str,
    id: &'a str,
    index: usize,
}

impl Place<'_> {
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

impl Item {
    /// Begins the item's `id`, as OpenAI's own ids of its type do.
    fn prefix(&self) -> &'static str {
        match &self.body {
            Body::Reasoning(_) => "rs",
            Body::Message(_) => "msg",
            Body::Call(Call { said: Said::Arguments(_), .. }) => "fc",
            Body::Call(Call { said: Said::Input(_), .. }) => "ctc",
        }
    }

    /// Names the item in events. `id`: the answer's.
    pub(super) fn place<'a>(&self, id: &'a str, index: usize) -> Place<'a> {
        Place { prefix: self.prefix(), id, index }
    }

    /// Writes the item as it is now.
    pub(super) fn write(&self, id: &str, index: usize, out: &mut Vec<u8>) {
        out.extend_from_slice(b"{\"id\":");
        self.place(id, index).write_id(out);
        let kind: &[u8] = match &self.body {
            Body::Reasoning(_) => b"reasoning",
            Body::Message(_) => b"message",
            Body::Call(Call { said: Said::Arguments(_), .. }) => b"function_call",
            Body::Call(Call { said: Said::Input(_), .. }) => b"custom_tool_call",
        };
        out.extend_from_slice(b",\"type\":");
        quoted(kind, out);
        out.extend_from_slice(b",\"status\":");
        quoted(self.status.as_str().as_bytes(), out);
        match &self.body {
            Body::Reasoning(text) => {
                out.extend_from_slice(b",\"summary\":[],\"content\":[");
                if let Some(text) = text {
                    write_reasoning(text.raw(), out);
                }
                out.push(b']');
            }
            Body::Message(parts) => {
                out.extend_from_slice(b",\"role\":\"assistant\",\"content\":[");
                for (at, part) in parts.iter().enumerate() {
                    if at > 0 {
                        out.push(b',');
                    }
                    part.write(out);
                }
                out.push(b']');
            }
            Body::Call(call) => call.write(out),
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

impl Part {
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

impl Call {
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
            Said::Arguments(_) => b",\"arguments\":",
            Said::Input(_) => b",\"input\":",
        };
        out.extend_from_slice(member);
        quoted(self.said.raw(), out);
    }
}
