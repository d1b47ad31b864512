//! Where a text's statements come from: chat's `url_citation` annotations, in the form of Anthropic's web search.

use super::events::MessageEvents;
use crate::wire::json::cursor::Value;
use crate::wire::json::tokenizer::Kind;

/// The citations of one text block.
#[derive(Debug, Default)]
pub(super) struct Citations {
    /// JSON objects.
    all: Vec<Vec<u8>>,
    /// How many of them were shown.
    shown: usize,
}

impl Citations {
    pub(super) fn push(&mut self, citation: Vec<u8>) {
        self.all.push(citation);
    }

    /// Tells of those that are new. `index`: the block's.
    pub(super) fn show(&mut self, index: usize, events: &mut MessageEvents) {
        for citation in self.all.get(self.shown..).unwrap_or_default() {
            events.block("content_block_delta", index, |out| {
                out.extend_from_slice(br#","delta":{"type":"citations_delta","citation":"#);
                out.extend_from_slice(citation);
                out.push(b'}');
            });
        }
        self.shown = self.all.len();
    }

    /// Writes the block's member, where there are any.
    pub(super) fn write(&self, out: &mut Vec<u8>) {
        for (index, citation) in self.all.iter().enumerate() {
            out.extend_from_slice(if index > 0 { b"," } else { b",\"citations\":[" });
            out.extend_from_slice(citation);
        }
        if !self.all.is_empty() {
            out.push(b']');
        }
    }
}

/// A chat annotation as a citation. Its members stand under the type's name or beside it. `None` for one that names no
/// address: the API has no form for it.
pub(super) fn citation(annotation: &Value<'_>) -> Option<Vec<u8>> {
    let holder = annotation.get("url_citation").filter(|nested| nested.kind == Kind::BeginObject);
    let holder = holder.unwrap_or(*annotation);
    let text = |name: &str| holder.get(name).filter(|value| value.kind == Kind::String);
    let url = text("url")?;
    let mut out = br#"{"type":"web_search_result_location","cited_text":"#.to_vec();
    // What the source says, which OpenRouter tells.
    out.extend_from_slice(text("content").map_or(b"\"\"", |content| content.raw()));
    out.extend_from_slice(b",\"encrypted_index\":\"\",\"title\":");
    out.extend_from_slice(text("title").map_or(b"null", |title| title.raw()));
    out.extend_from_slice(b",\"url\":");
    out.extend_from_slice(url.raw());
    out.push(b'}');
    Some(out)
}
