//! One choice of an answer: what it says, and how it ends.

use crate::telemetry::counters::Repair;
use crate::wire::json::cursor::Value;
use crate::wire::json::string;
use crate::wire::json::tokenizer::Kind;

use super::calls::Seed;
use super::edits::{Edits, member};
use super::finish::FinishReading;
use super::progress::Progress;
use super::{Api, RequestFacts, WholeOrChunk, content, usage};

pub(in super::super) use fields::Failure;
use fields::Fields;
use said::{is_object, quoted, says, says_something};

mod beyond;
mod body;
mod calls;
mod fields;
mod said;

/// What all choices of one text have in common.
#[derive(Debug, Clone, Copy)]
pub(in super::super) struct ChoiceContext<'a> {
    pub(in super::super) api: Api,
    pub(in super::super) form: WholeOrChunk,
    pub(in super::super) request: RequestFacts,
    pub(in super::super) seed: Seed<'a>,
    /// A finish reason that stands beside the choices.
    pub(in super::super) reason: Option<Value<'a>>,
}

/// What one choice said.
#[derive(Debug, Default)]
pub(in super::super) struct ChoiceFacts<'v> {
    pub(in super::super) finished: bool,
    /// It was broken off.
    pub(in super::super) failure: Option<Failure<'v>>,
    /// Token counts that stand in the choice.
    pub(in super::super) usage: Option<Value<'v>>,
    /// It says something that a client could show.
    pub(in super::super) has_content: bool,
    /// There is a message, or a text.
    pub(in super::super) has_answer: bool,
    /// The message has no member at all.
    pub(in super::super) is_bare: bool,
    /// Where its finish reason stands.
    pub(in super::super) reason: Option<Value<'v>>,
}

/// Reads and repairs one choice of `edits`' text.
pub(in super::super) fn repair<'v>(
    choice: &Value<'v>,
    position: usize,
    about: ChoiceContext<'v>,
    progress: &mut Progress,
    edits: &mut Edits<'_>,
) -> ChoiceFacts<'v> {
    let fields = Fields::read(choice);
    // More choices than were asked for: in a stream they are pieces of one answer.
    let asked = match (about.api, about.form, about.request.choices) {
        (Api::Chat, WholeOrChunk::Chunk, 1) => 1,
        _ => u64::MAX,
    };
    let index = index(choice, &fields, position, asked, edits);
    let mut reader = ChoiceReader { choice, index, about, progress, edits };
    let has_answer = match (about.api, about.form) {
        (Api::Chat, WholeOrChunk::Chunk) => reader.chunk(&fields),
        (Api::Chat, WholeOrChunk::Whole) => reader.whole(&fields),
        (Api::Completions, _) => reader.text(&fields),
    };
    let has_content = [fields.text, fields.content].iter().flatten().any(says_something)
        || [fields.delta, fields.message].into_iter().flatten().any(|(_, body)| says(&body));
    let (finished, failure) = reader.finish(&fields);
    let is_bare = fields
        .message
        .is_some_and(|(_, message)| is_object(&message) && message.members().next().is_none());
    let bodies = [fields.message, fields.delta].into_iter().flatten();
    let in_body = bodies.filter_map(|(_, body)| body.get("usage")).find(usage::counts);
    ChoiceFacts {
        finished,
        failure,
        usage: fields.usage.or(in_body),
        has_content,
        has_answer,
        is_bare,
        reason: fields.finish_reason,
    }
}

/// The choice's index, which must be a whole number below `asked`.
fn index(
    choice: &Value<'_>,
    fields: &Fields<'_>,
    position: usize,
    asked: u64,
    edits: &mut Edits<'_>,
) -> u64 {
    let given = fields.index.and_then(|index| index.as_f64()).filter(|number| *number >= 0.0);
    let last = asked.saturating_sub(1);
    // Where there is no room for it, what it says belongs to the last one that was asked for.
    let own = given.map_or(position as u64, |number| number as u64).min(last);
    match fields.index {
        Some(index) if index.raw() == own.to_string().as_bytes() => {}
        Some(index) => edits.replace(&index, own.to_string()),
        None => edits.insert(choice, format!("\"index\":{own}").as_bytes()),
    }
    own
}

struct ChoiceReader<'r, 'v, 't> {
    choice: &'r Value<'v>,
    index: u64,
    about: ChoiceContext<'v>,
    progress: &'r mut Progress,
    edits: &'r mut Edits<'t>,
}

impl<'v> ChoiceReader<'_, 'v, '_> {
    fn note(&mut self, repair: Repair) {
        self.progress.repairs.insert(repair);
    }

    /// A choice of a chat chunk: it has to have a `delta`.
    fn chunk(&mut self, fields: &Fields<'v>) -> bool {
        let delta = fields.delta.filter(|(_, delta)| is_object(delta));
        let message = fields.message.filter(|(_, message)| is_object(message));
        match (delta, message) {
            (Some((_, delta)), None) => self.body(&delta, true),
            (Some((_, delta)), Some((_, message))) => {
                self.body(&delta, true);
                self.beside(&delta, &message);
            }
            (None, Some(message)) => self.message_in_chunk(message, fields.delta.map(|(_, v)| v)),
            (None, None) => {
                let delta = match fields.stray() {
                    Some(stray) => {
                        self.note(Repair::Message);
                        self.stray(&stray)
                    }
                    None => b"{}".to_vec(),
                };
                self.put_in_choice(fields.delta.map(|(_, value)| value), "delta", delta);
            }
        }
        true
    }

    /// The body that says what stands in the choice itself, or in the place of a body.
    fn stray(&mut self, stray: &Value<'v>) -> Vec<u8> {
        let said = content::read(stray);
        self.say(&said.text, &said.reasoning);
        let is_whole = self.about.form == WholeOrChunk::Whole;
        let says_otherwise = !said.reasoning.is_empty() || !said.refusal.is_empty();
        let mut body = vec![b'{'];
        if is_whole {
            member(&mut body, b"\"role\"", b"\"assistant\"");
        }
        if !said.text.is_empty() || !says_otherwise {
            member(&mut body, b"\"content\"", &quoted(&said.text));
        } else if is_whole {
            member(&mut body, b"\"content\"", b"null");
        }
        if !said.reasoning.is_empty() {
            member(&mut body, b"\"reasoning_content\"", &quoted(&said.reasoning));
        }
        if !said.refusal.is_empty() {
            member(&mut body, b"\"refusal\"", &quoted(&said.refusal));
        }
        body.push(b'}');
        body
    }

    /// Gives a member of the choice this value, whether it is there or not.
    fn put_in_choice(&mut self, given: Option<Value<'v>>, name: &str, with: Vec<u8>) {
        match given {
            Some(given) => self.edits.replace(&given, with),
            None => {
                let member = [format!("\"{name}\":").as_bytes(), &with].concat();
                self.edits.insert(self.choice, &member);
            }
        }
    }

    /// A choice of a whole chat answer: it has to have a `message`.
    fn whole(&mut self, fields: &Fields<'v>) -> bool {
        let message = fields.message.filter(|(_, message)| is_object(message));
        let delta = fields.delta.filter(|(_, delta)| is_object(delta));
        let empty = fields.text.filter(|text| text.kind == Kind::String);
        match (message, delta, fields.stray().or(empty)) {
            (Some((_, message)), ..) => self.body(&message, false),
            (None, Some((key, delta)), _) => {
                self.note(Repair::Message);
                if let Some((other, value)) = fields.message {
                    // It is there, and says nothing.
                    self.edits.rename(&other, b"\"delta\"");
                    self.edits.replace(&value, &b"null"[..]);
                }
                self.edits.rename(&key, b"\"message\"");
                self.body(&delta, false);
            }
            (None, None, Some(stray)) => {
                self.note(Repair::Message);
                let message = self.stray(&stray);
                self.put_in_choice(fields.message.map(|(_, value)| value), "message", message);
            }
            // What was to be said is withheld: that is an answer, with a message that says nothing.
            (None, None, None) if self.is_withheld(fields) => {
                self.note(Repair::Message);
                let message = &br#"{"role":"assistant","content":null,"refusal":null}"#[..];
                let given = fields.message.map(|(_, value)| value);
                self.put_in_choice(given, "message", message.to_vec());
            }
            (None, None, None) => return false,
        }
        true
    }

    /// A choice of a text completion: it has to have a `text`.
    fn text(&mut self, fields: &Fields<'v>) -> bool {
        if let Some(text) = fields.text.filter(|text| text.kind == Kind::String) {
            self.say(text.inner(), b"");
            return true;
        }
        let bodies = [fields.message, fields.delta].into_iter().flatten();
        let bodies = bodies.filter_map(|(_, body)| body.get("content"));
        let mut places = bodies.chain(fields.text).chain(fields.content);
        let said = places.find(|said| !said.is_null());
        let text = said.map(|said| content::read(&said).text).unwrap_or_default();
        let is_withheld = said.is_none() && self.is_withheld(fields);
        if said.is_some() || is_withheld {
            self.note(Repair::Message);
        }
        self.say(&text, b"");
        self.put_in_choice(fields.text, "text", quoted(&text));
        said.is_some() || is_withheld || self.about.form == WholeOrChunk::Chunk
    }

    /// Whether the choice ends because its content was filtered.
    fn is_withheld(&self, fields: &Fields<'v>) -> bool {
        let ending = fields.ending(self.about.reason);
        ending.is_some_and(|(_, meaning)| meaning == FinishReading::As("content_filter"))
    }

    fn say(&mut self, content: &[u8], reasoning: &[u8]) {
        if let Some(choice) = self.progress.choice(self.index) {
            choice.say(content, reasoning);
        }
    }

    /// How the choice ends.
    fn finish(&mut self, fields: &Fields<'v>) -> (bool, Option<Failure<'v>>) {
        let ending = fields.ending(self.about.reason);
        let failure = fields.failure(ending.as_ref());
        if let Some(cause) = &fields.error {
            self.edits.replace(cause, &b"null"[..]);
        }
        let meaning = ending.as_ref().map(|(_, meaning)| *meaning).filter(|_| failure.is_none());
        let stops = meaning == Some(FinishReading::As("stop"));
        let calls = self.about.api == Api::Chat && self.progress.calls.has_any(self.index);
        // OpenAI itself says stop where the request named the function.
        let stop = match calls && !self.about.request.names_tool {
            true => &b"\"tool_calls\""[..],
            false => b"\"stop\"",
        };
        let reason: Option<Vec<u8>> = match meaning {
            Some(FinishReading::As("stop")) => Some(stop.to_vec()),
            Some(FinishReading::As(own)) => Some(format!("\"{own}\"").into_bytes()),
            Some(FinishReading::Other) => {
                if let Some((word, _)) = &ending
                    && fields.native_finish_reason.is_none()
                {
                    let word = string::encode(word);
                    let native = [b"\"native_finish_reason\":", &word[..]].concat();
                    self.edits.insert(self.choice, &native);
                }
                Some(stop.to_vec())
            }
            _ => None,
        };
        let raw = reason.as_deref().unwrap_or(b"null");
        match fields.finish_reason {
            Some(given) if given.raw() == raw => {}
            Some(given) => {
                self.note(Repair::FinishReason);
                self.edits.replace(&given, raw);
            }
            None if reason.is_some() => {
                self.note(Repair::FinishReason);
                self.edits.insert(self.choice, &[b"\"finish_reason\":", raw].concat());
            }
            None => {}
        }
        if reason.is_some() {
            self.progress.finish(self.index, stops);
        }
        (reason.is_some(), failure)
    }
}
