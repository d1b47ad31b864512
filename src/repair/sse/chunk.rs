//! Repairs one chunk that has `choices` (chat, text completions, vLLM's transcriptions).

use crate::error::ErrorAnswer;
use crate::repair::error::{Event, from_event};
use crate::wire::json::cursor::{self, Value};
use crate::wire::json::string;
use crate::wire::json::tokenizer::Kind;
use crate::wire::splice::{self, Edit};

use super::errors;
use super::tools::{Seed, Tools};
use super::{StreamKind, usage};

/// What becomes of a payload.
#[derive(Debug)]
pub(super) enum Verdict {
    /// It goes on, edited or (`None`) as it is.
    Emit(Option<Vec<u8>>, Facts),
    /// Nothing that a client of this stream could read.
    Drop,
    /// An error; what else the payload carried goes before it.
    Error(Box<ErrorAnswer>, Option<Vec<u8>>),
}

/// What a chunk said.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) struct Facts {
    /// A choice has its finish reason.
    pub(super) finished: bool,
    /// Token counts were given: whether some came from a cache.
    pub(super) cached: Option<bool>,
    /// It has choices.
    pub(super) has_choices: bool,
}

/// What the payload's surroundings say about it.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Context<'a> {
    /// What the framing says about errors.
    pub(super) event: Event,
    pub(super) response_model: Option<&'a str>,
}

#[derive(Default)]
struct Root<'a> {
    id: Option<Value<'a>>,
    object: Option<Value<'a>>,
    created: Option<Value<'a>>,
    model: Option<Value<'a>>,
    choices: Option<Value<'a>>,
    usage: Option<Value<'a>>,
    error: Option<Value<'a>>,
    base_resp: Option<Value<'a>>,
    x_groq: Option<Value<'a>>,
    kind: Option<Value<'a>>,
    has_code: bool,
}

impl<'a> Root<'a> {
    fn read(root: &Value<'a>) -> Self {
        let mut this = Self::default();
        for (key, value) in root.members() {
            let Some(name) = key.as_str() else { continue };
            let slot = match &*name {
                "id" => &mut this.id,
                "object" => &mut this.object,
                "created" => &mut this.created,
                "model" => &mut this.model,
                "choices" => &mut this.choices,
                "usage" => &mut this.usage,
                "error" => &mut this.error,
                "base_resp" => &mut this.base_resp,
                "x_groq" => &mut this.x_groq,
                "type" => &mut this.kind,
                "code" | "error_code" => {
                    this.has_code = true;
                    continue;
                }
                _ => continue,
            };
            *slot = Some(value);
        }
        this
    }

    /// Whether there is one of the names of an error that count even beside choices.
    fn may_be_error(&self) -> bool {
        let x_groq = self.x_groq.and_then(|value| value.get("error"));
        let status = self.base_resp.and_then(|value| value.get("status_code"));
        self.error.as_ref().is_some_and(errors::is_truthy)
            || x_groq.as_ref().is_some_and(errors::is_truthy)
            || status.as_ref().is_some_and(errors::is_truthy)
    }

    /// A frame with a `type` of its own and no code is chatter, even if it has a message.
    fn is_chatter(&self) -> bool {
        let kind = self.kind.and_then(|kind| kind.as_str());
        kind.is_some_and(|kind| !kind.to_ascii_lowercase().contains("error")) && !self.has_code
    }
}

/// Looks at a payload (JSON, UTF-8) member by member.
pub(super) fn repair(
    text: &[u8],
    kind: StreamKind,
    tools: &mut Tools,
    about: Context<'_>,
) -> Verdict {
    let Ok(value) = cursor::parse(text) else { return Verdict::Drop };
    let root = Root::read(&value);
    let choices: Vec<Value<'_>> =
        root.choices.map(|choices| choices.elements().collect()).unwrap_or_default();
    let choices: Vec<Value<'_>> =
        choices.into_iter().filter(|choice| choice.kind == Kind::BeginObject).collect();
    let mut change = Change { text, edits: Vec::new() };
    if choices.is_empty() {
        return without_choices(&value, &root, &mut change, kind, about);
    }
    let mut facts = Facts { has_choices: true, ..Facts::default() };
    let mut failed = false;
    let seed = Seed {
        id: root.id.map_or(b"", |id| id.raw()),
        created: root.created.map_or(b"", |created| created.raw()),
    };
    let mut inner_usage = None;
    let mut has_content = false;
    for (position, choice) in choices.iter().enumerate() {
        let seen = change.choice(choice, position, kind, tools, seed);
        facts.finished |= seen.finished;
        inner_usage = inner_usage.or(seen.usage);
        has_content |= seen.has_content;
        failed |= seen.failed;
    }
    change.head(&value, &root, kind, about.response_model);
    let nested = inner_usage.or(root.x_groq.and_then(|value| value.get("usage")));
    facts.cached = change.usage(&value, root.usage, nested.filter(usage::counts));
    if (failed || root.may_be_error())
        && let Some(answer) = from_event(text, about.event)
    {
        let before = if has_content { unfinished(&mut change, &choices) } else { None };
        return Verdict::Error(Box::new(answer), before);
    }
    Verdict::Emit(change.apply(), facts)
}

fn without_choices(
    value: &Value<'_>,
    root: &Root<'_>,
    change: &mut Change<'_>,
    kind: StreamKind,
    about: Context<'_>,
) -> Verdict {
    let text = change.text;
    let nested = root.x_groq.and_then(|value| value.get("usage"));
    let counted = root.usage.filter(usage::counts).or(nested.filter(usage::counts));
    let judged =
        about.event.marked || root.may_be_error() || (counted.is_none() && !root.is_chatter());
    if judged && let Some(answer) = from_event(text, about.event) {
        return Verdict::Error(Box::new(answer), None);
    }
    let Some(counted) = counted else { return Verdict::Drop };
    match root.choices {
        Some(choices) if choices.raw().trim_ascii() == b"[]" => {}
        Some(choices) => change.replace(choices, b"[]"),
        None => change.insert(value, b"\"choices\":[]"),
    }
    let facts = Facts { cached: Some(crate::repair::usage::cached(&counted)), ..Facts::default() };
    change.head(value, root, kind, about.response_model);
    change.usage(value, root.usage, nested.filter(usage::counts));
    Verdict::Emit(change.apply(), facts)
}

/// The chunk with every finish reason taken back, to go before an error.
fn unfinished(change: &mut Change<'_>, choices: &[Value<'_>]) -> Option<Vec<u8>> {
    for reason in choices.iter().filter_map(|choice| choice.get("finish_reason")) {
        change.edits.retain(|edit| edit.span != reason.span());
        change.replace(reason, b"null");
    }
    change.apply().or_else(|| Some(change.text.to_vec()))
}

/// What one choice said.
#[derive(Default)]
struct Seen<'a> {
    finished: bool,
    failed: bool,
    usage: Option<Value<'a>>,
    has_content: bool,
}

/// Edits of one payload.
struct Change<'t> {
    text: &'t [u8],
    edits: Vec<Edit>,
}

impl Change<'_> {
    fn replace(&mut self, value: Value<'_>, with: &[u8]) {
        self.edits.push(Edit { span: value.span(), with: with.to_vec() });
    }

    /// Adds a member at the end of `object`.
    fn insert(&mut self, object: &Value<'_>, member: &[u8]) {
        let at = object.span().end.saturating_sub(1);
        // Several members may be added at one place: each after the first needs its comma too.
        let is_first =
            object.members().next().is_none() && !self.edits.iter().any(|e| e.span == (at..at));
        let mut with = if is_first { Vec::new() } else { vec![b','] };
        with.extend_from_slice(member);
        self.edits.push(Edit { span: at..at, with });
    }

    /// The edited payload; `None` when nothing is to be edited.
    fn apply(&mut self) -> Option<Vec<u8>> {
        if self.edits.is_empty() {
            return None;
        }
        self.edits.sort_by_key(|edit| (edit.span.start, edit.span.end));
        splice::apply(self.text, &self.edits)
    }

    fn head(&mut self, value: &Value<'_>, root: &Root<'_>, kind: StreamKind, model: Option<&str>) {
        let object: Option<&[u8]> = match kind {
            StreamKind::Chat => Some(b"\"chat.completion.chunk\""),
            StreamKind::Completions => Some(b"\"text_completion\""),
            StreamKind::Transcription | StreamKind::Responses => None,
        };
        if let (Some(object), Some(found)) = (object, root.object)
            && found.raw() != object
        {
            self.replace(found, object);
        }
        if let Some(model) = model {
            let model = string::encode(model);
            match root.model {
                Some(found) => self.replace(found, &model),
                None => self.insert(value, &[b"\"model\":", &model[..]].concat()),
            }
        }
    }

    /// Puts the token counts where clients look. Returns whether they say "cached".
    fn usage(
        &mut self,
        root: &Value<'_>,
        own: Option<Value<'_>>,
        nested: Option<Value<'_>>,
    ) -> Option<bool> {
        match (own, nested) {
            (Some(own), _) if usage::counts(&own) => {
                return Some(crate::repair::usage::cached(&own));
            }
            (Some(own), Some(nested)) => self.replace(own, nested.raw()),
            (None, Some(nested)) => self.insert(root, &[b"\"usage\":", nested.raw()].concat()),
            // A placeholder must not hide counts that came before.
            (Some(own), None) if !own.is_null() => self.replace(own, b"null"),
            (_, None) => {}
        }
        nested.map(|nested| crate::repair::usage::cached(&nested))
    }

    fn choice<'v>(
        &mut self,
        choice: &Value<'v>,
        position: usize,
        kind: StreamKind,
        tools: &mut Tools,
        seed: Seed<'_>,
    ) -> Seen<'v> {
        let mut seen = Seen::default();
        let (mut delta, mut message, mut index) = (None, None, None);
        for (key, value) in choice.members() {
            match key.as_str().as_deref() {
                Some("index") => index = Some(value),
                Some("delta") => delta = Some(value),
                Some("message") => message = Some((key, value)),
                Some("text") => seen.has_content |= value.raw().len() > 2 && !value.is_null(),
                Some("usage") => seen.usage = Some(value).filter(usage::counts),
                Some("finish_reason") => self.finish_reason(value, &mut seen),
                _ => {}
            }
        }
        let number = match index.and_then(|index| index.as_f64()) {
            Some(number) if number >= 0.0 => number as u64,
            _ => {
                let own = format!("{position}");
                match index {
                    Some(index) => self.replace(index, own.as_bytes()),
                    None => self.insert(choice, format!("\"index\":{own}").as_bytes()),
                }
                position as u64
            }
        };
        if kind != StreamKind::Chat {
            seen.has_content |= has_content(delta);
            return seen;
        }
        let body = match (delta, message) {
            (Some(delta), _) if delta.kind == Kind::BeginObject => Some(delta),
            // A whole completion where a chunk was due.
            (None, Some((key, message))) if message.kind == Kind::BeginObject => {
                self.edits.push(Edit { span: key.span(), with: b"\"delta\"".to_vec() });
                Some(message)
            }
            (Some(delta), _) => {
                self.replace(delta, b"{}");
                None
            }
            (None, _) => {
                self.insert(choice, b"\"delta\":{}");
                None
            }
        };
        seen.has_content |= has_content(body);
        if let Some(calls) = body.and_then(|body| body.get("tool_calls")) {
            let calls: Vec<Value<'_>> = calls.elements().collect();
            for (at, call) in calls.iter().enumerate() {
                if let Some(with) = tools.repair(call, number, at, calls.len() == 1, seed) {
                    self.edits.push(Edit { span: call.span(), with });
                }
            }
        }
        seen
    }

    fn finish_reason(&mut self, value: Value<'_>, seen: &mut Seen<'_>) {
        if value.is_null() {
            return;
        }
        let reason = value.as_str().unwrap_or_default();
        let openai: &[u8] = match &*reason {
            "" | "null" => return self.replace(value, b"null"),
            "error" | "network_error" => {
                seen.failed = true;
                return self.replace(value, b"null");
            }
            // TGI, Together, and what Anthropic-shaped servers let through.
            "eos_token" | "stop_sequence" | "eos" | "end_turn" => b"\"stop\"",
            "max_tokens" | "model_length" => b"\"length\"",
            "tool_use" => b"\"tool_calls\"",
            _ => {
                seen.finished = true;
                return;
            }
        };
        seen.finished = true;
        self.replace(value, openai);
    }
}

/// Whether a delta or message says something.
fn has_content(body: Option<Value<'_>>) -> bool {
    let Some(body) = body else { return false };
    body.members().any(|(key, value)| {
        !key.is("role")
            && matches!(value.kind, Kind::String | Kind::BeginArray)
            && value.raw().len() > 2
    })
}
