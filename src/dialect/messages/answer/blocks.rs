//! The content blocks of a message.

use super::citations::Citations;
use super::events::MessageEvents;
use super::input::Input;
use crate::dialect::chat::text::{Text, quoted};

/// One element of `content`. Its place there is its `index`.
#[derive(Debug)]
pub(super) enum ContentBlock {
    Thinking(Text, Shown),
    Text(Text, Shown, Citations),
    Call(ToolUse),
}

/// How much of a text was shown, in bytes.
pub(super) type Shown = usize;

/// A tool call.
#[derive(Debug, Default)]
pub(super) struct ToolUse {
    /// Escaped, without quotes. Empty until the block is shown where the upstream gave none.
    pub(super) id: Vec<u8>,
    /// Escaped, without quotes. As the client knows it once the block is shown.
    pub(super) name: Vec<u8>,
    pub(super) input: Input,
    /// Id and name are settled.
    pub(super) is_named: bool,
    /// The answer ended before it did.
    pub(super) is_cut: bool,
}

impl ContentBlock {
    /// Writes the block's first event.
    pub(super) fn start(&self, index: usize, events: &mut MessageEvents) {
        events.block("content_block_start", index, |out| {
            out.extend_from_slice(b",\"content_block\":");
            match self {
                Self::Thinking(..) => write_thinking(b"", out),
                Self::Text(..) => write_text(b"", &Citations::default(), out),
                Self::Call(call) => {
                    call.write_head(out);
                    out.extend_from_slice(b"{}}");
                }
            }
        });
    }

    /// Writes what of the block is new.
    pub(super) fn delta(&mut self, index: usize, events: &mut MessageEvents) {
        match self {
            Self::Thinking(text, shown) => {
                events.delta(index, "thinking_delta", "thinking", new(text, shown));
            }
            Self::Text(text, shown, citations) => {
                events.delta(index, "text_delta", "text", new(text, shown));
                citations.show(index, events);
            }
            Self::Call(call) => {
                events.delta(index, "input_json_delta", "partial_json", &call.input.take_new());
            }
        }
    }

    /// Nothing is added any more.
    pub(super) fn finish(&mut self) {
        match self {
            Self::Thinking(text, _) | Self::Text(text, ..) => {
                let _new = text.finish();
            }
            Self::Call(call) => call.input.finish(),
        }
    }

    /// Writes the block as it is now.
    pub(super) fn write(&self, out: &mut Vec<u8>) {
        match self {
            Self::Thinking(text, _) => write_thinking(text.raw(), out),
            Self::Text(text, _, citations) => write_text(text.raw(), citations, out),
            Self::Call(call) => {
                call.write_head(out);
                call.input.write(out);
                out.push(b'}');
            }
        }
    }
}

fn new<'a>(text: &'a Text, shown: &mut Shown) -> &'a [u8] {
    let new = text.raw().get(*shown..).unwrap_or_default();
    *shown = text.raw().len();
    new
}

fn write_thinking(text: &[u8], out: &mut Vec<u8>) {
    out.extend_from_slice(b"{\"type\":\"thinking\",\"thinking\":");
    quoted(text, out);
    out.extend_from_slice(b",\"signature\":\"\"}");
}

fn write_text(text: &[u8], citations: &Citations, out: &mut Vec<u8>) {
    out.extend_from_slice(b"{\"type\":\"text\",\"text\":");
    quoted(text, out);
    citations.write(out);
    out.push(b'}');
}

impl ToolUse {
    /// Nobody said what is called.
    pub(super) fn is_nameless(&self) -> bool {
        self.name.trim_ascii().is_empty()
    }

    fn write_head(&self, out: &mut Vec<u8>) {
        out.extend_from_slice(b"{\"type\":\"tool_use\",\"id\":");
        quoted(&self.id, out);
        out.extend_from_slice(b",\"name\":");
        quoted(&self.name, out);
        out.extend_from_slice(b",\"input\":");
    }
}
