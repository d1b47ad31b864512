//! A whole message in a stream: what goes beyond what was said.

use crate::repair::chat::calls::CallPosition;
use crate::repair::chat::edits::{member, name_of};
use crate::repair::chat::progress::Beyond;
use crate::telemetry::counters::Repair;
use crate::wire::json::cursor::{self, Key, Value};

use super::ChoiceReader;
use super::calls::listed;
use super::said::{Said, is_said, quoted};

impl<'v> ChoiceReader<'_, 'v, '_> {
    /// A whole `message` where a delta was due: all of it if it is the first thing that is said, else what
    /// goes beyond what was said.
    pub(super) fn message_in_chunk(
        &mut self,
        (key, message): (Key<'v>, Value<'v>),
        delta: Option<Value<'v>>,
    ) {
        self.note(Repair::Message);
        let is_first = !self.has_said();
        let written = if is_first {
            self.body(&message, false);
            None
        } else {
            Some(self.beyond(&message))
        };
        match (delta, written) {
            (None, written) => {
                self.edits.rename(&key, b"\"delta\"");
                if let Some(written) = written {
                    self.edits.replace(&message, written);
                }
            }
            (Some(delta), Some(written)) => self.edits.replace(&delta, written),
            // Each name once: they change places.
            (Some(delta), None) => {
                self.edits.replace(&delta, &b"{}"[..]);
                self.edits.rename(&key, b"\"delta\"");
            }
        }
    }

    pub(super) fn has_said(&mut self) -> bool {
        let has_calls = self.progress.calls.has_any(self.index);
        self.progress.choice(self.index).is_some_and(|choice| choice.has_said()) || has_calls
    }

    /// A `message` beside a delta: some servers repeat there all that was said so far, others say it
    /// there alone.
    pub(super) fn beside(&mut self, delta: &Value<'v>, message: &Value<'v>) {
        let whole = Said::read(message).texts().text;
        if whole.is_empty() || !Said::read(delta).texts().text.is_empty() {
            return;
        }
        let Some(choice) = self.progress.choice(self.index) else { return };
        let Beyond::More(more) = choice.content.beyond(&whole) else { return };
        if more.is_empty() {
            return;
        }
        choice.say(more, b"");
        self.note(Repair::Message);
        self.put(delta, "content", more);
    }

    /// A delta of what a message says beyond what was said.
    pub(super) fn beyond(&mut self, message: &Value<'v>) -> Vec<u8> {
        let said = Said::read(message);
        let texts = said.texts();
        let mut out = vec![b'{'];
        let more = self.more(&texts.text, true);
        if !more.is_empty() {
            member(&mut out, b"\"content\"", &quoted(more));
        }
        let more = self.more(&texts.reasoning, false);
        if !more.is_empty() {
            let name = said.reasoning_key.as_ref().map(|key| name_of(message, key));
            member(&mut out, name.unwrap_or(b"\"reasoning_content\""), &quoted(more));
        }
        for (key, value) in message.members() {
            if key.is("tool_calls") {
                let calls = self.calls_beyond(&value);
                if calls.len() > 2 {
                    member(&mut out, b"\"tool_calls\"", &calls);
                }
            } else if !value.is_null() && !is_said(&key) {
                member(&mut out, name_of(message, &key), value.raw());
            }
        }
        out.push(b'}');
        out
    }

    /// What `text` adds to what the choice has said.
    pub(super) fn more<'x>(&mut self, text: &'x [u8], is_content: bool) -> &'x [u8] {
        let Some(choice) = self.progress.choice(self.index) else { return b"" };
        let sent = if is_content { choice.content } else { choice.reasoning };
        let more = match sent.beyond(text) {
            Beyond::More(more) => more,
            // Only messages have come, and this one is not what was said and more: they are pieces.
            Beyond::Unrelated if !choice.has_deltas => text,
            Beyond::Unrelated => b"",
        };
        if is_content {
            choice.say(more, b"")
        } else {
            choice.say(b"", more)
        }
        more
    }

    pub(super) fn calls_beyond(&mut self, calls: &Value<'v>) -> Vec<u8> {
        let text = calls.as_str();
        let parsed = text.as_ref().and_then(|text| cursor::parse(text.trim().as_bytes()).ok());
        let list = listed(parsed.as_ref().unwrap_or(calls));
        let mut out = vec![b'['];
        for (position, (key, call)) in list.iter().enumerate() {
            let is_alone = list.len() == 1;
            let place = CallPosition { choice: self.index, position, key: *key, is_alone };
            if let Some(delta) = self.progress.calls.beyond(call, place, self.about.seed) {
                if out.len() > 1 {
                    out.push(b',');
                }
                out.extend(delta);
            }
        }
        out.push(b']');
        out
    }
}
