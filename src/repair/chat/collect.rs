//! A stream put together, for a client that did not ask for one.

use super::edits::{member, name_of};
use super::{Api, RequestFacts, completion::Completion};
use crate::error::ErrorAnswer;
use crate::repair::error::{Event, no_answer};
use crate::repair::in_order::{InOrder, Members};
use crate::repair::sse::{
    Options, SseNormalizer, StreamEnd, StreamHead, StreamKind, StreamOutput, in_canonical_event,
};
use crate::telemetry::counters::{Repair, Repairs};
use crate::wire::json::cursor::{self, Key, Value};
use crate::wire::json::tokenizer::Kind;

/// The completion that the chunks of `body` add up to.
///
/// # Errors
/// The error that the stream is or ends in.
pub fn chunks(
    api: Api,
    body: &[u8],
    request: RequestFacts,
    max_event_bytes: usize,
) -> Result<Completion<'static>, Box<ErrorAnswer>> {
    let kind = match api {
        Api::Chat => StreamKind::Chat,
        Api::Completions => StreamKind::Completions,
    };
    let (stream, end) = canonical(kind, body, request, max_event_bytes)?;
    let mut collected = Collected::default();
    for payload in payloads(&stream) {
        let Ok(chunk) = cursor::parse(payload) else { continue };
        if chunk.get("error").is_some_and(|error| !error.is_null())
            && let Some(answer) = in_canonical_event(payload, Event::default())
        {
            return Err(Box::new(answer));
        }
        collected.chunk(&chunk, api);
    }
    if collected.choices.is_empty() {
        return Err(Box::new(no_answer(body, super::completion::LACK)));
    }
    let Ended { repairs, counts_zero } = end;
    Ok(Completion { body: collected.write(api).into(), repairs, counts_zero })
}

/// The transcription that the events of `body` add up to.
///
/// # Errors
/// The error that the stream is or ends in.
pub fn transcript(
    body: &[u8],
    max_event_bytes: usize,
) -> Result<(Vec<u8>, Repairs), Box<ErrorAnswer>> {
    let request = RequestFacts::default();
    let (stream, end) = canonical(StreamKind::Transcription, body, request, max_event_bytes)?;
    let done = payloads(&stream).filter_map(|payload| cursor::parse(payload).ok()).last();
    let Some(done) = done else { return Err(Box::new(no_answer(body, super::completion::LACK))) };
    if let Some(answer) = in_canonical_event(done.raw(), Event::default()) {
        return Err(Box::new(answer));
    }
    let mut out = vec![b'{'];
    for (key, value) in done.members().filter(|(key, _)| !key.is("type")) {
        member(&mut out, name_of(&done, &key), value.raw());
    }
    out.push(b'}');
    Ok((out, end.repairs))
}

/// What is known of a stream at its end.
pub(in crate::repair) struct Ended {
    pub(in crate::repair) repairs: Repairs,
    counts_zero: bool,
}

pub(in crate::repair) fn canonical(
    kind: StreamKind,
    body: &[u8],
    request: RequestFacts,
    max_event_bytes: usize,
) -> Result<(Vec<u8>, Ended), Box<ErrorAnswer>> {
    let options = Options { kind, max_event_bytes, response_model: None, request };
    let mut sse = SseNormalizer::new(options);
    let mut stream = match sse.push(body) {
        StreamOutput::Unchanged => body.to_vec(),
        StreamOutput::Bytes(bytes) => bytes,
    };
    stream.extend(sse.finish(StreamEnd::Clean));
    if let StreamHead::Error(answer) = sse.head() {
        return Err(Box::new(answer.clone()));
    }
    // The Messages API's errors are not written into the stream.
    if let Some(answer) = sse.take_late_error() {
        return Err(Box::new(answer));
    }
    let mut repairs = sse.repairs();
    repairs.insert(Repair::Collected);
    Ok((stream, Ended { repairs, counts_zero: sse.counts_zero() }))
}

/// The payloads of a canonical stream, without its `[DONE]`.
pub(in crate::repair) fn payloads(stream: &[u8]) -> impl Iterator<Item = &[u8]> {
    let lines = stream.split(|&byte| byte == b'\n');
    lines.filter_map(|line| line.strip_prefix(b"data: ")).filter(|line| line.first() == Some(&b'{'))
}

/// A completion as far as it is put together. Values are kept as JSON, texts as what stands between the
/// quotes.
#[derive(Default)]
struct Collected {
    /// `id`, `created`, `model` and what else stands beside the choices; the newest counts.
    members: Members,
    /// By their `index`.
    choices: InOrder<u64, CollectedChoice>,
}

#[derive(Default)]
struct CollectedChoice {
    texts: Members,
    /// Other members of the deltas; the newest counts, and lists grow.
    others: Members,
    /// By their `index`.
    calls: InOrder<u64, CollectedCall>,
    /// The lists of `logprobs`: their elements.
    logprobs: Members,
    finish_reason: Option<Vec<u8>>,
}

#[derive(Default)]
struct CollectedCall {
    /// Its own members (`id`) but for `type`.
    members: Members,
    kind: CollectedKind,
    name: Vec<u8>,
    /// A function's arguments, or the input of a custom tool.
    text: Vec<u8>,
}

/// What is called: where its name and its text stand.
#[derive(Default, Clone, Copy)]
enum CollectedKind {
    #[default]
    Function,
    Custom,
}

impl CollectedKind {
    fn of(key: &Key<'_>) -> Option<Self> {
        [Self::Function, Self::Custom].into_iter().find(|kind| key.is(kind.name()))
    }

    /// Its `type`, and the member that holds the name and the text.
    const fn name(self) -> &'static str {
        match self {
            Self::Function => "function",
            Self::Custom => "custom",
        }
    }

    const fn text(self) -> &'static str {
        match self {
            Self::Function => "arguments",
            Self::Custom => "input",
        }
    }
}

fn whole_number(value: &Value<'_>) -> u64 {
    value.as_f64().map_or(0, |number| number as u64)
}

impl Collected {
    fn chunk(&mut self, chunk: &Value<'_>, api: Api) {
        for (key, value) in chunk.members() {
            if key.is("choices") {
                value.elements().for_each(|choice| self.choice(&choice, api));
            } else if !key.is("object") && !value.is_null() {
                *self.members.at(name_of(chunk, &key).to_vec()) = value.raw().to_vec();
            }
        }
    }

    fn choice(&mut self, value: &Value<'_>, api: Api) {
        let index = value.get("index").map_or(0, |index| whole_number(&index));
        let choice = self.choices.at(index);
        for (key, member) in value.members() {
            if key.is("finish_reason") && !member.is_null() {
                choice.finish_reason = Some(member.raw().to_vec());
            } else if key.is("delta") && api == Api::Chat {
                choice.delta(&member);
            } else if key.is("text") && api == Api::Completions {
                choice.texts.at(b"\"text\"".to_vec()).extend_from_slice(member.inner());
            } else if key.is("logprobs") {
                choice.logprobs(&member);
            }
        }
    }

    fn write(&self, api: Api) -> Vec<u8> {
        let mut choices: Vec<_> = self.choices.iter().collect();
        choices.sort_by_key(|(index, _)| **index);
        let mut out = match api {
            Api::Chat => b"{\"object\":\"chat.completion\"".to_vec(),
            Api::Completions => b"{\"object\":\"text_completion\"".to_vec(),
        };
        for (key, value) in self.members.iter() {
            member(&mut out, key, value);
        }
        out.extend_from_slice(b",\"choices\":[");
        for (position, (index, choice)) in choices.into_iter().enumerate() {
            if position > 0 {
                out.push(b',');
            }
            choice.write(*index, api, &mut out);
        }
        out.extend_from_slice(b"]}");
        out
    }
}

/// Adds what a delta has of a list (annotations, images, details of reasoning): further elements, or all of them so far.
fn grow(list: &mut Vec<u8>, more: &Value<'_>) {
    let all = more.raw().strip_suffix(b"]").unwrap_or_default().trim_ascii_end();
    let known = list.strip_suffix(b"]").unwrap_or_default().trim_ascii_end();
    let goes_on = |rest: &[u8]| matches!(rest.trim_ascii_start().first(), None | Some(b','));
    if known.len() <= 1 || all.strip_prefix(known).is_some_and(goes_on) {
        *list = more.raw().to_vec();
    } else if more.elements().next().is_some() {
        // In place: a list may come in a hundred thousand pieces.
        list.truncate(known.len());
        list.push(b',');
        list.extend_from_slice(all.get(1..).unwrap_or_default());
        list.push(b']');
    }
}

impl CollectedChoice {
    fn delta(&mut self, delta: &Value<'_>) {
        for (key, value) in delta.members() {
            let name = || name_of(delta, &key).to_vec();
            if key.is("tool_calls") {
                value.elements().for_each(|call| self.call(&call));
            } else if key.is("role") || value.is_null() {
            } else if value.kind == Kind::String {
                self.texts.at(name()).extend_from_slice(value.inner());
            } else if value.kind == Kind::BeginArray {
                grow(self.others.at(name()), &value);
            } else {
                *self.others.at(name()) = value.raw().to_vec();
            }
        }
    }

    fn call(&mut self, value: &Value<'_>) {
        let index = value.get("index").map_or(0, |index| whole_number(&index));
        let call = self.calls.at(index);
        for (key, member) in value.members() {
            if member.is_null() || key.is("index") || key.is("type") {
            } else if let Some(kind) = CollectedKind::of(&key) {
                call.kind = kind;
                let text = |name: &str| member.get(name).map(|text| text.inner().to_vec());
                call.name.extend(text("name").unwrap_or_default());
                call.text.extend(text(kind.text()).unwrap_or_default());
            } else {
                *call.members.at(name_of(value, &key).to_vec()) = member.raw().to_vec();
            }
        }
    }

    fn logprobs(&mut self, logprobs: &Value<'_>) {
        for (key, list) in logprobs.members().filter(|(_, list)| list.kind == Kind::BeginArray) {
            let elements = self.logprobs.at(name_of(logprobs, &key).to_vec());
            for one in list.elements() {
                if !elements.is_empty() {
                    elements.push(b',');
                }
                elements.extend_from_slice(one.raw());
            }
        }
    }

    fn write(&self, index: u64, api: Api, out: &mut Vec<u8>) {
        out.extend_from_slice(format!("{{\"index\":{index}").as_bytes());
        match api {
            Api::Chat => {
                out.extend_from_slice(b",\"message\":{\"role\":\"assistant\"");
                if self.texts.get(&b"\"content\""[..]).is_none() {
                    out.extend_from_slice(b",\"content\":null");
                }
                self.write_texts(out);
                for (key, value) in self.others.iter() {
                    member(out, key, value);
                }
                self.write_calls(out);
                out.push(b'}');
            }
            Api::Completions => self.write_texts(out),
        }
        if !self.logprobs.is_empty() {
            let mut lists = vec![b'{'];
            for (key, elements) in self.logprobs.iter() {
                member(&mut lists, key, &[b"[", &elements[..], b"]"].concat());
            }
            lists.push(b'}');
            member(out, b"\"logprobs\"", &lists);
        }
        member(out, b"\"finish_reason\"", self.finish_reason.as_deref().unwrap_or(b"null"));
        out.push(b'}');
    }

    fn write_texts(&self, out: &mut Vec<u8>) {
        for (key, inner) in self.texts.iter() {
            member(out, key, &[b"\"", &inner[..], b"\""].concat());
        }
    }

    fn write_calls(&self, out: &mut Vec<u8>) {
        if self.calls.is_empty() {
            return;
        }
        out.extend_from_slice(b",\"tool_calls\":[");
        for (position, (_, call)) in self.calls.iter().enumerate() {
            out.extend_from_slice(if position > 0 { b",{" } else { b"{" });
            // What it holds says what it is, whatever its deltas said.
            let kind = call.kind.name();
            member(out, b"\"type\"", format!("\"{kind}\"").as_bytes());
            for (key, value) in call.members.iter() {
                member(out, key, value);
            }
            // No arguments are an empty object, as in a plain answer; a custom tool's input may be no text.
            let text = match call.kind {
                CollectedKind::Function if call.text.is_empty() => &b"{}"[..],
                _ => &call.text,
            };
            let name = [b"\"", &call.name[..], b"\""].concat();
            let text = [b"\"", text, b"\""].concat();
            let mut called = vec![b'{'];
            member(&mut called, b"\"name\"", &name);
            member(&mut called, format!("\"{}\"", call.kind.text()).as_bytes(), &text);
            called.push(b'}');
            member(out, format!("\"{kind}\"").as_bytes(), &called);
            out.push(b'}');
        }
        out.push(b']');
    }
}
