//! A delta or a message that leaves as such: what it says is put where clients look.

use crate::repair::chat::WholeOrChunk;
use crate::repair::chat::content::{self, ContentTexts};
use crate::telemetry::counters::Repair;
use crate::wire::json::cursor::Value;
use crate::wire::json::tokenizer::Kind;

use super::ChoiceReader;
use super::said::{Said, is_container, is_object, is_reasoning, quoted, quoted_or_null};

impl<'v> ChoiceReader<'_, 'v, '_> {
    /// A delta or a message that leaves as such. `is_delta`: it came as a delta.
    pub(super) fn body(&mut self, body: &Value<'v>, is_delta: bool) {
        let mut said = Said::default();
        let mut has_role = false;
        for (key, value) in body.members() {
            match key.as_str().as_deref() {
                Some("role") => {
                    has_role = true;
                    self.role(&value);
                }
                Some("tool_calls") => self.calls(&value),
                // The only call, under the name of one.
                Some("tool_call") if is_object(&value) && body.get("tool_calls").is_none() => {
                    self.note(Repair::ToolCalls);
                    self.edits.rename(&key, b"\"tool_calls\"");
                    self.calls(&value);
                }
                Some("function_call") => self.function_call(&value),
                Some(name) => {
                    said.member(name, key, value);
                    if is_reasoning(name) && is_container(&value) {
                        self.note(Repair::Content);
                        self.edits.replace(&value, quoted(&content::reasoning(&value)));
                    }
                }
                None => {}
            }
        }
        let texts = said.texts();
        self.write_texts(body, &said, &texts);
        if self.about.form == WholeOrChunk::Whole && !has_role {
            self.edits.insert(body, b"\"role\":\"assistant\"");
        }
        if let Some(choice) = self.progress.choice(self.index) {
            choice.has_deltas |= is_delta;
            choice.say(&texts.text, &texts.reasoning);
        }
    }

    /// Puts what `body` says where clients look.
    pub(super) fn write_texts(
        &mut self,
        body: &Value<'v>,
        said: &Said<'v>,
        texts: &ContentTexts<'v>,
    ) {
        match (said.stand_in(), said.content) {
            (Some((key, text)), content) => {
                self.note(Repair::Message);
                match content {
                    Some(given) => self.edits.replace(&given, quoted_or_null(&texts.text)),
                    None => {
                        self.edits.rename(&key, b"\"content\"");
                        if text.kind != Kind::String {
                            self.edits.replace(&text, quoted_or_null(&texts.text));
                        }
                    }
                }
            }
            (None, Some(given)) if !matches!(given.kind, Kind::String | Kind::Null) => {
                self.note(Repair::Content);
                self.edits.replace(&given, quoted_or_null(&texts.text));
            }
            (None, _) => {}
        }
        if said.reasoning.is_empty() && !texts.reasoning.is_empty() {
            self.put(body, "reasoning_content", &texts.reasoning);
        }
        match said.refusal {
            Some(given) if !matches!(given.kind, Kind::String | Kind::Null) => {
                self.note(Repair::Content);
                self.edits.replace(&given, quoted_or_null(&texts.refusal));
            }
            _ if said.refused.is_empty() && !texts.refusal.is_empty() => {
                self.put(body, "refusal", &texts.refusal);
            }
            _ => {}
        }
    }

    /// Gives a member this text, whether it is there or not.
    pub(super) fn put(&mut self, body: &Value<'v>, name: &str, text: &[u8]) {
        match body.get(name) {
            Some(given) => self.edits.replace(&given, quoted(text)),
            None => {
                let member = [format!("\"{name}\":").as_bytes(), &quoted(text)].concat();
                self.edits.insert(body, &member);
            }
        }
    }

    /// Who speaks in an answer is never in question.
    pub(super) fn role(&mut self, role: &Value<'v>) {
        let is_silent = self.about.form == WholeOrChunk::Chunk && role.is_null();
        if role.raw() != b"\"assistant\"" && !is_silent {
            self.note(Repair::Message);
            self.edits.replace(role, &b"\"assistant\""[..]);
        }
    }
}
