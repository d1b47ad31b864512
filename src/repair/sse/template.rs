//! Remembers the last payload that needed no repair. The next one nearly always differs from it in a
//! text or two alone, and then a comparison tells what a scan would.

use super::scan::PayloadScanner;
use crate::wire::bytes::{is_utf8_up_to, strip_prefix};
use crate::wire::json::tokenizer::string_end;

/// Texts and numbers in which payloads of one shape differ.
const MAX_SLOTS: usize = 4;
/// Longer payloads are scanned: comparing would save little.
const MAX_BYTES: usize = 2048;

/// What a slot holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) enum SlotKind {
    /// A string that nothing depends on.
    #[default]
    Text,
    /// What the choice says.
    Content,
    /// What it thinks.
    Reasoning,
    /// Arguments of a tool call.
    Arguments,
    Number,
}

/// A value that no repair depends on.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) struct Slot {
    /// Of a string, what is between its quotes.
    pub(super) start: usize,
    pub(super) end: usize,
    pub(super) kind: SlotKind,
}

/// The slots of one payload, ascending.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) struct Slots {
    slots: [Slot; MAX_SLOTS],
    len: usize,
}

/// What stands in the slots that matter: of strings, what is between the quotes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) struct SlotValues<'a> {
    pub(super) content: &'a [u8],
    pub(super) reasoning: &'a [u8],
    pub(super) arguments: &'a [u8],
    pub(super) number: Option<u64>,
}

impl<'a> SlotValues<'a> {
    #[inline]
    fn add(&mut self, kind: SlotKind, value: &'a [u8]) {
        match kind {
            SlotKind::Text => {}
            SlotKind::Content => self.content = value,
            SlotKind::Reasoning => self.reasoning = value,
            SlotKind::Arguments => self.arguments = value,
            SlotKind::Number => {
                self.number = std::str::from_utf8(value).ok().and_then(|text| text.parse().ok());
            }
        }
    }
}

impl Slots {
    /// One more; those that are too many stay part of the shape. `None` if it may not.
    pub(super) fn push(&mut self, slot: Slot) -> Option<()> {
        match self.slots.get_mut(self.len) {
            Some(free) => {
                *free = slot;
                self.len += 1;
                Some(())
            }
            None => matches!(slot.kind, SlotKind::Text | SlotKind::Number).then_some(()),
        }
    }

    /// Whether what stands before `end` is the same in every payload of this shape.
    pub(super) fn are_behind(&self, end: usize) -> bool {
        self.as_slice().first().is_none_or(|slot| end <= slot.start)
    }

    /// What stands in the slots of `text`, whose slots these are.
    pub(super) fn values<'a>(&self, text: &'a [u8]) -> SlotValues<'a> {
        let mut values = SlotValues::default();
        for slot in self.as_slice() {
            values.add(slot.kind, text.get(slot.start..slot.end).unwrap_or_default());
        }
        values
    }

    fn as_slice(&self) -> &[Slot] {
        self.slots.get(..self.len).unwrap_or_default()
    }
}

/// A payload of the shape that is remembered.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct TemplateMatch<'a> {
    /// Its length in bytes: what follows was not looked at.
    pub(super) len: usize,
    pub(super) values: SlotValues<'a>,
}

/// A payload's shape and what `T` was found in it.
#[derive(Debug)]
pub(super) struct Template<T> {
    text: Vec<u8>,
    slots: Slots,
    found: Option<T>,
}

impl<T> Default for Template<T> {
    fn default() -> Self {
        Self { text: Vec::new(), slots: Slots::default(), found: None }
    }
}

impl<T: Copy> Template<T> {
    /// Remembers `text`, which needs no repair whatever stands in its `slots`.
    pub(super) fn learn(&mut self, text: &[u8], slots: Slots, found: T) {
        self.text.clear();
        self.found = None;
        if text.len() <= MAX_BYTES {
            self.text.extend_from_slice(text);
            self.slots = slots;
            self.found = Some(found);
        }
    }

    /// What was found in the payload that was learnt.
    #[inline]
    pub(super) fn found(&self) -> Option<T> {
        self.found
    }

    /// Bytes of the payload that was learnt.
    #[inline]
    pub(super) fn len(&self) -> usize {
        self.text.len()
    }

    /// The payload that was learnt, if there is one.
    pub(super) fn text(&self) -> &[u8] {
        &self.text
    }

    /// The payload of the same shape that `text` begins with.
    // As a call its result would go through memory.
    #[inline(always)]
    pub(super) fn find<'a>(&self, text: &'a [u8]) -> Option<TemplateMatch<'a>> {
        self.found.as_ref()?;
        let (mut rest, mut done) = (text, 0);
        let mut values = SlotValues::default();
        for slot in self.slots.as_slice() {
            rest = strip_prefix(rest, self.text.get(done..slot.start)?)?;
            let is_number = slot.kind == SlotKind::Number;
            let end = if is_number { number_end(rest)? } else { string_end(rest)? };
            if !is_number && !is_utf8_up_to(rest, end) {
                return None;
            }
            values.add(slot.kind, rest.get(..end)?);
            (rest, done) = (rest.get(end..)?, slot.end);
        }
        rest = strip_prefix(rest, self.text.get(done..)?)?;
        Some(TemplateMatch { len: text.len().checked_sub(rest.len())?, values })
    }
}

fn number_end(text: &[u8]) -> Option<usize> {
    let mut reader = PayloadScanner::new(text);
    reader.number()?;
    Some(reader.at())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::test;

    #[test]
    fn only_slots_may_differ() {
        let mut template = Template::default();
        let text = br#"{"a":"x","n":1,"b":"y"}"#;
        let mut slots = Slots::default();
        assert_eq!(template.find(text), None);
        slots.push(Slot { start: 6, end: 7, kind: SlotKind::Content }).unwrap();
        slots.push(Slot { start: 13, end: 14, kind: SlotKind::Number }).unwrap();
        template.learn(text, slots, ());
        for (other, want) in [
            (&text[..], Some(1)),
            (br#"{"a":"longer \" \u00e9","n":20,"b":"y"}"#, Some(20)),
            (br#"{"a":"","n":1.5,"b":"y"}"#, None),
        ] {
            let found = template.find(other).unwrap();
            assert_eq!((found.len, found.values.number), (other.len(), want));
            let longer = [other, b"}"].concat();
            assert_eq!(template.find(&longer).unwrap().len, other.len());
        }
        for other in [
            &br#"{"a":"x","n":1,"b":"z"}"#[..],
            br#"{"a":"x\","n":1,"b":"y"}"#,
            br#"{"a":"x","n":,"b":"y"}"#,
            br#"{"a":"x","n":1,"b":"y""#,
            b"{\"a\":\"\xff\",\"n\":1,\"b\":\"y\"}",
            b"{\"a\":\"\t\",\"n\":1,\"b\":\"y\"}",
            br#"{"a":"x"#,
        ] {
            assert_eq!(template.find(other), None, "{}", other.escape_ascii());
        }
    }
}
