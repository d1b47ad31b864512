//! What the model says: reasoning, text and refusals, with their parts and events.

use super::builder::{ITEM_BYTES, ResponseBuilder};
use super::events::ResponseEvents;
use super::items::{
    ItemContent, ItemPosition, OutputItem, OutputPart, ReasoningItem, TextPart, write_reasoning,
    write_summary,
};
use crate::dialect::chat::text::{Text, number, quoted};
use crate::dialect::seal::Purpose;
use crate::wire::json::string;

/// What a part of a message is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum PartKind {
    Text,
    Refusal,
}

impl ResponseBuilder {
    /// A piece of the reasoning's text (what stands between the quotes of a JSON string).
    pub(super) fn reasoning(&mut self, inner: &[u8]) {
        // What is sealed is held a second time, a third longer.
        let seals = self.options.context.seals_reasoning && self.options.sealer.is_some();
        let bytes = if seals { inner.len().saturating_mul(7) / 3 } else { inner.len() };
        if inner.is_empty() || !self.spend(bytes) {
            return;
        }
        let last = self.current.and_then(|index| self.items.get(index));
        if !matches!(last, Some(OutputItem { body: ItemContent::Reasoning(_), .. })) {
            self.seal();
            let item = ReasoningItem {
                text: None,
                summarizes: self.options.context.summarizes,
                is_closed: false,
                sealed: seals.then(String::new),
            };
            if !self.open(ItemContent::Reasoning(item)) {
                return;
            }
            self.current = self.items.len().checked_sub(1);
        }
        let Some(index) = self.current else { return };
        let Some(item) = self.items.get_mut(index) else { return };
        let place = item.place(&self.options.id, index);
        let ItemContent::Reasoning(ReasoningItem { text, summarizes, .. }) = &mut item.body else {
            return;
        };
        let events = &mut self.events;
        if text.is_none() {
            if *summarizes {
                events.summary("response.reasoning_summary_part.added", place, |out| {
                    out.extend_from_slice(b",\"part\":");
                    write_summary(b"", out);
                });
            } else {
                events.part("response.content_part.added", place, 0, |out| {
                    write_reasoning(b"", out);
                });
            }
        }
        let new = text.get_or_insert_default().push(inner);
        reasoning_delta(events, place, *summarizes, new);
    }

    /// A piece of the message's text, with the log probabilities of its tokens. These alone are kept
    /// only where text has come before.
    pub(super) fn text(&mut self, inner: &[u8], logprobs: &[Vec<u8>]) {
        let bytes = logprobs.iter().fold(inner.len(), |sum, one| sum.saturating_add(one.len()));
        if bytes == 0 || !self.spend(bytes) {
            return;
        }
        if inner.is_empty() && !self.is_open(PartKind::Text) {
            return;
        }
        let Some((index, at)) = self.part(PartKind::Text) else { return };
        let Some(item) = self.items.get_mut(index) else { return };
        let place = item.place(&self.options.id, index);
        let Some(part) = text_part(item) else { return };
        for one in logprobs {
            part.logprobs.push(one);
        }
        let new = part.text.push(inner);
        self.events.text_delta(place, at, new, &mut part.logprobs);
        for annotation in std::mem::take(&mut self.annotations) {
            self.annotate(&annotation);
        }
    }

    /// A piece of a refusal.
    pub(super) fn refusal(&mut self, inner: &[u8]) {
        if inner.is_empty() || !self.spend(inner.len()) {
            return;
        }
        let Some((index, at)) = self.part(PartKind::Refusal) else { return };
        let Some(item) = self.items.get_mut(index) else { return };
        let place = item.place(&self.options.id, index);
        let ItemContent::Message(parts) = &mut item.body else { return };
        let Some(OutputPart::Refusal(text)) = parts.last_mut() else { return };
        let new = text.push(inner);
        self.events.delta("response.refusal.delta", place, Some(at), new);
    }

    /// An annotation of the text. Where there is none yet it waits for it.
    pub(super) fn annotation(&mut self, annotation: Vec<u8>) {
        if !self.spend(annotation.len()) {
            return;
        }
        if self.is_open(PartKind::Text) {
            self.annotate(&annotation);
        } else {
            self.annotations.push(annotation);
        }
    }

    pub(super) fn annotate(&mut self, annotation: &[u8]) {
        let Some((index, at)) = self.part(PartKind::Text) else { return };
        let Some(item) = self.items.get_mut(index) else { return };
        let place = item.place(&self.options.id, index);
        let Some(part) = text_part(item) else { return };
        let count = part.annotations.count;
        part.annotations.push(annotation);
        self.events.write("response.output_text.annotation.added", |out| {
            place.write(Some(at), out);
            out.extend_from_slice(b",\"annotation_index\":");
            number(count, out);
            out.extend_from_slice(b",\"annotation\":");
            out.extend_from_slice(annotation);
        });
    }

    fn is_open(&self, kind: PartKind) -> bool {
        let current = self.current.and_then(|index| self.items.get(index));
        let Some(OutputItem { body: ItemContent::Message(parts), .. }) = current else {
            return false;
        };
        parts.last().is_some_and(|part| kind == part_kind(part))
    }

    /// The part of this kind that takes what comes: its item and its place there.
    fn part(&mut self, kind: PartKind) -> Option<(usize, usize)> {
        let current = self.current.and_then(|index| self.items.get(index));
        if !matches!(current, Some(OutputItem { body: ItemContent::Message(_), .. })) {
            self.seal();
            if !self.open(ItemContent::Message(Vec::new())) {
                return None;
            }
            self.current = self.items.len().checked_sub(1);
        }
        let index = self.current?;
        if !self.is_open(kind) {
            if !self.spend(ITEM_BYTES) {
                return None;
            }
            self.close_part(index);
            let item = self.items.get_mut(index)?;
            let place = item.place(&self.options.id, index);
            let ItemContent::Message(parts) = &mut item.body else { return None };
            let part = match kind {
                PartKind::Text => OutputPart::Text(TextPart::default()),
                PartKind::Refusal => OutputPart::Refusal(Text::default()),
            };
            let at = parts.len();
            self.events.part("response.content_part.added", place, at, |out| {
                part.write(out);
            });
            parts.push(part);
        }
        match &self.items.get(index)?.body {
            ItemContent::Message(parts) => Some((index, parts.len().checked_sub(1)?)),
            _ => None,
        }
    }

    /// The part of an item that is open, if any, is complete.
    pub(super) fn close_part(&mut self, index: usize) {
        let Some(item) = self.items.get_mut(index) else { return };
        let place = item.place(&self.options.id, index);
        let events = &mut self.events;
        match &mut item.body {
            ItemContent::Compaction(_) => {}
            ItemContent::Reasoning(ReasoningItem { text, summarizes, is_closed, sealed }) => {
                *is_closed = true;
                let Some(text) = text else { return };
                reasoning_delta(events, place, *summarizes, text.finish());
                if *summarizes {
                    events.summary("response.reasoning_summary_text.done", place, |out| {
                        out.extend_from_slice(b",\"text\":");
                        text.write(out);
                    });
                    events.summary("response.reasoning_summary_part.done", place, |out| {
                        out.extend_from_slice(b",\"part\":");
                        write_summary(text.raw(), out);
                    });
                    events.part("response.content_part.added", place, 0, |out| {
                        write_reasoning(b"", out);
                    });
                    reasoning_delta(events, place, false, text.raw());
                }
                events.done("response.reasoning_text.done", place, Some(0), "text", text.raw());
                events.part("response.content_part.done", place, 0, |out| {
                    write_reasoning(text.raw(), out);
                });
                if let (Some(sealed), Some(sealer)) = (sealed, &self.options.sealer) {
                    let thought = string::decode(text.raw()).unwrap_or_default();
                    *sealed = sealer.seal(Purpose::Reasoning, &thought).unwrap_or_default();
                }
            }
            ItemContent::Message(parts) => {
                let Some(at) = parts.len().checked_sub(1) else { return };
                let Some(part) = parts.last_mut() else { return };
                match part {
                    OutputPart::Text(TextPart { text, logprobs, .. }) => {
                        events.text_delta(place, at, text.finish(), logprobs);
                        events.write("response.output_text.done", |out| {
                            place.write(Some(at), out);
                            out.extend_from_slice(b",\"text\":");
                            text.write(out);
                            out.extend_from_slice(b",\"logprobs\":");
                            logprobs.write(out);
                        });
                    }
                    OutputPart::Refusal(text) => {
                        events.delta("response.refusal.delta", place, Some(at), text.finish());
                        let name = "response.refusal.done";
                        events.done(name, place, Some(at), "refusal", text.raw());
                    }
                }
                events.part("response.content_part.done", place, at, |out| part.write(out));
            }
            ItemContent::Call(call) => call.close(events, place),
        }
    }
}

/// A piece of the reasoning, as itself or as its summary.
fn reasoning_delta(
    events: &mut ResponseEvents,
    place: ItemPosition<'_>,
    as_summary: bool,
    new: &[u8],
) {
    match as_summary {
        false => events.delta("response.reasoning_text.delta", place, Some(0), new),
        true if new.is_empty() => {}
        true => events.summary("response.reasoning_summary_text.delta", place, |out| {
            out.extend_from_slice(b",\"delta\":");
            quoted(new, out);
        }),
    }
}

fn text_part(item: &mut OutputItem) -> Option<&mut TextPart> {
    match &mut item.body {
        ItemContent::Message(parts) => match parts.last_mut() {
            Some(OutputPart::Text(part)) => Some(part),
            _ => None,
        },
        _ => None,
    }
}

fn part_kind(part: &OutputPart) -> PartKind {
    match part {
        OutputPart::Text(_) => PartKind::Text,
        OutputPart::Refusal(_) => PartKind::Refusal,
    }
}
