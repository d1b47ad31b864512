//! One choice of an answer: what it says, and how it ends.

use std::borrow::Cow;

use crate::repair::error::means_failure;
use crate::telemetry::counters::Repair;
use crate::wire::json::cursor::{self, Key, Value};
use crate::wire::json::string;
use crate::wire::json::tokenizer::Kind;

use super::calls::{CallPosition, Seed};
use super::content::ContentTexts;
use super::edits::{Edits, member, name_of};
use super::finish::{self, FinishReading};
use super::progress::{Beyond, Progress};
use super::{Api, RequestFacts, WholeOrChunk, content, usage};

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

/// Why a choice was broken off.
#[derive(Debug)]
pub(in super::super) struct Failure<'v> {
    /// Its finish reason, if that says it.
    pub(in super::super) reason: Option<Cow<'v, str>>,
    /// What it has under `error`.
    pub(in super::super) cause: Option<Value<'v>>,
}

/// The members of a choice that matter.
#[derive(Default)]
struct Fields<'v> {
    index: Option<Value<'v>>,
    delta: Option<(Key<'v>, Value<'v>)>,
    message: Option<(Key<'v>, Value<'v>)>,
    text: Option<Value<'v>>,
    usage: Option<Value<'v>>,
    error: Option<Value<'v>>,
    finish_reason: Option<Value<'v>>,
    finish_reason_in_camel_case: Option<Value<'v>>,
    native_finish_reason: Option<Value<'v>>,
    /// Under the names of other APIs: they count where `finish_reason` says nothing.
    other_reason: Option<Value<'v>>,
    /// Content that stands in the choice itself.
    content: Option<Value<'v>>,
}

impl<'v> Fields<'v> {
    fn read(choice: &Value<'v>) -> Self {
        let mut this = Self::default();
        for (key, value) in choice.members() {
            match key.as_str().as_deref() {
                Some("index") => this.index = Some(value),
                Some("delta") => this.delta = Some((key, value)),
                Some("message") => this.message = Some((key, value)),
                Some("text") => this.text = Some(value),
                Some("usage") => this.usage = Some(value).filter(usage::counts),
                Some("error") => this.error = Some(value).filter(means_failure),
                Some("finish_reason") => this.finish_reason = Some(value),
                Some("finishReason") => this.finish_reason_in_camel_case = Some(value),
                Some("native_finish_reason") => this.native_finish_reason = Some(value),
                // vLLM has the number of a stop token, or the stop text, in `stop_reason`.
                Some("stop_reason" | "done_reason" | "finish_details")
                    if matches!(value.kind, Kind::String | Kind::BeginObject) =>
                {
                    this.other_reason = Some(value);
                }
                Some("content") => this.content = Some(value),
                _ => {}
            }
        }
        this
    }

    /// The first reason that says something, and what it means.
    fn ending(&self, outside: Option<Value<'v>>) -> Option<(Cow<'v, str>, FinishReading)> {
        let bodies = [self.delta, self.message].into_iter().flatten();
        let inside = bodies.filter_map(|(_, body)| body.get("finish_reason")).next();
        [self.finish_reason, self.finish_reason_in_camel_case, self.other_reason, inside, outside]
            .into_iter()
            .flatten()
            .filter_map(|value| finish::word(&value))
            .map(|word| (finish::meaning(&word), word))
            .find(|(meaning, _)| *meaning != FinishReading::Unfinished)
            .map(|(meaning, word)| (word, meaning))
    }

    fn failure(&self, ending: Option<&(Cow<'v, str>, FinishReading)>) -> Option<Failure<'v>> {
        let is_failure = |word: &Cow<'_, str>| finish::meaning(word) == FinishReading::Failed;
        let native = self.native_finish_reason.and_then(|value| finish::word(&value));
        let reason = ending.map(|(word, _)| word.clone()).filter(is_failure);
        let reason = reason.or_else(|| native.filter(is_failure));
        let bodies = [self.delta, self.message].into_iter().flatten();
        let inside = || bodies.filter_map(|(_, body)| body.get("error")).find(means_failure);
        let cause = self.error.or_else(inside);
        let is_failure = reason.is_some() || cause.is_some();
        // An object that is the reason may say more than its type.
        let spelled_out = || self.finish_reason.filter(|reason| reason.get("message").is_some());
        is_failure.then(|| Failure { reason, cause: cause.or_else(spelled_out) })
    }

    /// What the choice says where it has neither a delta nor a message that is an object.
    fn stray(&self) -> Option<Value<'v>> {
        let body = |body: Option<(Key<'v>, Value<'v>)>| body.map(|(_, value)| value);
        let strays = [self.text, self.content, body(self.delta), body(self.message)];
        strays.into_iter().flatten().find(says_something)
    }
}

/// What a message or a delta says, and where it stands.
#[derive(Default)]
struct Said<'v> {
    content: Option<Value<'v>>,
    /// What stands for content where that says nothing.
    text: Option<(Key<'v>, Value<'v>)>,
    refusal: Option<Value<'v>>,
    /// The refusal's own text.
    refused: Cow<'v, [u8]>,
    /// The first reasoning that says something, and its name.
    reasoning: Cow<'v, [u8]>,
    reasoning_key: Option<Key<'v>>,
}

impl<'v> Said<'v> {
    fn read(body: &Value<'v>) -> Self {
        let mut this = Self::default();
        for (key, value) in body.members() {
            if let Some(name) = key.as_str() {
                this.member(&name, key, value);
            }
        }
        this
    }

    fn member(&mut self, name: &str, key: Key<'v>, value: Value<'v>) {
        let text = |read: fn(&Value<'v>) -> Vec<u8>| match value.kind {
            Kind::String => Cow::Borrowed(value.inner()),
            _ => Cow::Owned(read(&value)),
        };
        match name {
            "content" => self.content = Some(value),
            "text" if says_something(&value) => self.text = Some((key, value)),
            "refusal" => {
                self.refusal = Some(value);
                self.refused = text(content::refusal);
            }
            _ if is_reasoning(name) && self.reasoning.is_empty() => {
                self.reasoning = text(content::reasoning);
                self.reasoning_key = Some(key);
            }
            _ => {}
        }
    }

    /// What stands for content, which says nothing.
    fn stand_in(&self) -> Option<(Key<'v>, Value<'v>)> {
        let is_silent = |given: Value<'v>| content::read(&given).text.is_empty();
        self.text.filter(|_| self.content.is_none_or(is_silent))
    }

    fn texts(&self) -> ContentTexts<'v> {
        let mut texts = self.content.map(|given| content::read(&given)).unwrap_or_default();
        if let Some((_, text)) = self.stand_in() {
            let more = content::read(&text);
            texts.text = more.text;
            texts.reasoning.to_mut().extend_from_slice(&more.reasoning);
            texts.refusal.to_mut().extend_from_slice(&more.refusal);
        }
        // What has a member of its own is not said again by content.
        if !self.reasoning.is_empty() {
            texts.reasoning = self.reasoning.clone();
        }
        if !self.refused.is_empty() {
            texts.refusal = self.refused.clone();
        }
        texts
    }
}

fn is_reasoning(name: &str) -> bool {
    matches!(name, "reasoning_content" | "reasoning")
}

fn is_container(value: &Value<'_>) -> bool {
    matches!(value.kind, Kind::BeginArray | Kind::BeginObject)
}

/// A text, or parts of one.
fn says_something(value: &Value<'_>) -> bool {
    (value.kind == Kind::String || is_container(value)) && value.raw().len() > 2
}

/// The text as a string.
fn quoted(inner: &[u8]) -> Vec<u8> {
    [b"\"", inner, b"\""].concat()
}

fn is_object(value: &Value<'_>) -> bool {
    value.kind == Kind::BeginObject
}

/// The text as a string; null where there is none.
fn quoted_or_null(inner: &[u8]) -> Vec<u8> {
    if inner.is_empty() { b"null".to_vec() } else { quoted(inner) }
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

/// The calls that a list holds, or what stands for one: a map, whose keys are their indices, or the only call.
fn listed<'v>(calls: &Value<'v>) -> Vec<(Option<u64>, Value<'v>)> {
    let index = |key: Key<'v>| key.as_str().and_then(|key| key.parse().ok());
    match calls.kind {
        Kind::BeginArray => calls.elements().filter(is_object).map(|call| (None, call)).collect(),
        Kind::BeginObject => {
            let keyed = calls.members().map(|(key, call)| {
                Some((Some(index(key)?), call)).filter(|(_, call)| is_object(call))
            });
            match keyed.collect::<Option<Vec<(Option<u64>, Value<'v>)>>>() {
                Some(mut map) => {
                    map.sort_by_key(|(index, _)| *index);
                    map
                }
                None => vec![(None, *calls)],
            }
        }
        _ => Vec::new(),
    }
}

/// Whether a delta or message says something.
fn says(body: &Value<'_>) -> bool {
    body.members().any(|(key, value)| {
        !key.is("role")
            && (matches!(value.kind, Kind::String | Kind::BeginArray | Kind::BeginObject))
            && value.raw().len() > 2
    })
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
        if said.is_some() {
            self.note(Repair::Message);
        }
        self.say(&text, b"");
        self.put_in_choice(fields.text, "text", quoted(&text));
        said.is_some() || self.about.form == WholeOrChunk::Chunk
    }

    fn say(&mut self, content: &[u8], reasoning: &[u8]) {
        if let Some(choice) = self.progress.choice(self.index) {
            choice.say(content, reasoning);
        }
    }

    /// A whole `message` where a delta was due: all of it if it is the first thing that is said, else what
    /// goes beyond what was said.
    fn message_in_chunk(&mut self, (key, message): (Key<'v>, Value<'v>), delta: Option<Value<'v>>) {
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

    fn has_said(&mut self) -> bool {
        let has_calls = self.progress.calls.has_any(self.index);
        self.progress.choice(self.index).is_some_and(|choice| choice.has_said()) || has_calls
    }

    /// A `message` beside a delta: some servers repeat there all that was said so far, others say it
    /// there alone.
    fn beside(&mut self, delta: &Value<'v>, message: &Value<'v>) {
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
    fn beyond(&mut self, message: &Value<'v>) -> Vec<u8> {
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
    fn more<'x>(&mut self, text: &'x [u8], is_content: bool) -> &'x [u8] {
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

    fn calls_beyond(&mut self, calls: &Value<'v>) -> Vec<u8> {
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

    /// A delta or a message that leaves as such. `is_delta`: it came as a delta.
    fn body(&mut self, body: &Value<'v>, is_delta: bool) {
        let mut said = Said::default();
        let mut has_role = false;
        for (key, value) in body.members() {
            match key.as_str().as_deref() {
                Some("role") => {
                    has_role = true;
                    self.role(&value);
                }
                Some("tool_calls") => self.calls(&value),
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
    fn write_texts(&mut self, body: &Value<'v>, said: &Said<'v>, texts: &ContentTexts<'v>) {
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
    fn put(&mut self, body: &Value<'v>, name: &str, text: &[u8]) {
        match body.get(name) {
            Some(given) => self.edits.replace(&given, quoted(text)),
            None => {
                let member = [format!("\"{name}\":").as_bytes(), &quoted(text)].concat();
                self.edits.insert(body, &member);
            }
        }
    }

    /// Who speaks in an answer is never in question.
    fn role(&mut self, role: &Value<'v>) {
        let is_silent = self.about.form == WholeOrChunk::Chunk && role.is_null();
        if role.raw() != b"\"assistant\"" && !is_silent {
            self.note(Repair::Message);
            self.edits.replace(role, &b"\"assistant\""[..]);
        }
    }

    fn calls(&mut self, calls: &Value<'v>) {
        match calls.kind {
            Kind::BeginArray => {
                let list = listed(calls);
                for (position, (_, call)) in list.iter().enumerate() {
                    if let Some(with) = self.call(call, position, None, list.len()) {
                        self.note(Repair::ToolCalls);
                        self.edits.replace(call, with);
                    }
                }
            }
            Kind::BeginObject => self.call_list(calls, &listed(calls)),
            // A list that was made a text.
            Kind::String => {
                let text = calls.as_str().unwrap_or_default();
                let list = cursor::parse(text.trim().as_bytes());
                self.call_list(calls, &list.map(|list| listed(&list)).unwrap_or_default());
            }
            _ => {}
        }
    }

    /// What is to stand in the place of a call, if it isn't right.
    fn call(
        &mut self,
        call: &Value<'_>,
        position: usize,
        key: Option<u64>,
        count: usize,
    ) -> Option<Vec<u8>> {
        let place = CallPosition { choice: self.index, position, key, is_alone: count == 1 };
        let (made, seed) = (&mut self.progress.calls, self.about.seed);
        match self.about.form {
            WholeOrChunk::Whole => made.whole(call, place, seed),
            WholeOrChunk::Chunk => made.delta(call, place, seed),
        }
    }

    /// Writes the list in the place of what stands for it; null where there is no call in it.
    fn call_list(&mut self, given: &Value<'v>, list: &[(Option<u64>, Value<'_>)]) {
        self.note(Repair::ToolCalls);
        let calls: Vec<_> = list
            .iter()
            .enumerate()
            .map(|(at, (key, call))| {
                let with = self.call(call, at, *key, list.len());
                with.unwrap_or_else(|| call.raw().to_vec())
            })
            .collect();
        let list = if calls.is_empty() {
            b"null".to_vec()
        } else {
            [b"[", &calls.join(&b","[..])[..], b"]"].concat()
        };
        self.edits.replace(given, list);
    }

    /// The call of the API before tools.
    fn function_call(&mut self, call: &Value<'v>) {
        let arguments = call.get("arguments");
        if let Some(arguments) = arguments.filter(|a| !matches!(a.kind, Kind::String | Kind::Null))
        {
            self.note(Repair::ToolCalls);
            self.edits.replace(&arguments, content::quoted_json(&arguments));
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

/// Members of a message that were said already when a stream ends with all of it.
fn is_said(key: &Key<'_>) -> bool {
    let name = key.as_str();
    let texts = ["content", "text", "reasoning_content", "reasoning"];
    let others = ["role", "reasoning_details", "function_call", "refusal", "audio"];
    texts.iter().chain(&others).any(|said| name.as_deref() == Some(said))
}
