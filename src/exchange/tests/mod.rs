//! Exchanges between a client and an upstream, with a stand-in for the host: it holds, hands on and
//! edits heads and bodies as Envoy does, and every step goes through it.

mod attached;
mod bridge;
mod budget;
mod counted;
mod crossed;
#[cfg(not(target_arch = "wasm32"))]
mod laws;
mod media;
mod metered;
mod odd_usage;
mod pieces;
mod positions;
mod reports;
mod request;
mod response;

use serde_json::{Value, json};

use super::*;
use crate::wire::headers::Headers;

/// Unix seconds at which everything happens.
const NOW: u64 = 1_800_000_000;

/// A configuration with one provider for each way of being one.
fn configuration() -> Value {
    json!({
        "providers": [
            {"name": "alpha", "base_url": "https://alpha.test/openai/v1", "auth": {"key": "sk-alpha"}},
            {"name": "beta", "base_url": "http://beta.test:8080",
             "auth": {"mode": "header", "header": "X-Beta-Key", "prefix": "Key ", "key": "sk-beta"},
             "responses_api": "native"},
            {"name": "local", "kind": "vllm", "models": ["llama", "org/qwen"]},
        ],
        "virtual_keys": [
            {"id": "team", "key": "vk-team"},
            {"id": "narrow", "key": "vk-narrow", "models_allowed": ["alpha/gpt-*", "quick"]},
            {"id": "local", "key": "vk-local", "providers": ["local"]},
            {"id": "off", "key": "vk-off", "revoked": true},
            {"id": "bare", "key": "vk-bare", "cache": {"mode": "disable"}},
        ],
        "model_aliases": {"quick": "alpha/gpt-4o-mini"},
    })
}

fn config_with(changes: Value) -> Rc<Config> {
    let mut config = configuration();
    for (name, value) in changes.as_object().unwrap() {
        config[name] = value.clone();
    }
    let bytes = config.to_string();
    Rc::new(Config::from_plugin_configuration(bytes.as_bytes(), &|_| None).unwrap())
}

fn config() -> Rc<Config> {
    config_with(json!({}))
}

type Fields = Vec<(String, Vec<u8>)>;

fn fields(pairs: &[(&str, &str)]) -> Fields {
    pairs.iter().map(|(name, value)| ((*name).to_owned(), value.as_bytes().to_vec())).collect()
}

fn get<'a>(fields: &'a Fields, name: &str) -> Option<&'a str> {
    let mut found = fields.iter().filter(|(candidate, _)| candidate == name);
    let (_, value) = found.next()?;
    assert!(found.next().is_none(), "{name} is there twice");
    Some(std::str::from_utf8(value).unwrap())
}

fn headers(fields: &Fields) -> Headers<'static> {
    let pairs: Vec<_> = fields.iter().map(|(name, value)| (name.as_str(), &value[..])).collect();
    Headers::from_pairs(&pairs)
}

fn edit(fields: &mut Fields, edits: &[HeaderEdit]) {
    for edit in edits {
        let is_there = |(candidate, _): &(String, Vec<u8>)| candidate == edit.name();
        match edit {
            HeaderEdit::Add(..) => {
                assert!(!fields.iter().any(is_there), "{edit:?}: is there already")
            }
            HeaderEdit::Set(..) | HeaderEdit::Remove(_) | HeaderEdit::Restore(..) => {
                fields.retain(|field| !is_there(field));
            }
        }
        if let HeaderEdit::Restore(name, values) = edit {
            fields.extend(values.iter().map(|value| (name.to_string(), value.clone())));
        }
        if let HeaderEdit::Set(name, value) | HeaderEdit::Add(name, value) = edit {
            fields.push((name.to_string(), value.as_bytes().to_vec()));
        }
    }
}

/// How the end of a body is told.
#[derive(Debug, Clone, Copy, PartialEq)]
enum End {
    /// With its last bytes.
    WithData,
    /// In a call of its own, as HTTP/1 does.
    Alone,
    /// By trailers.
    Trailers,
}

/// One direction as the host holds it.
#[derive(Debug, Default)]
struct Side {
    head: Fields,
    head_sent: bool,
    held: Vec<u8>,
    /// What the other side got of the body.
    body: Vec<u8>,
    /// The other side got all of it.
    ended: bool,
}

impl Side {
    fn hand_on(&mut self, end: bool) {
        self.head_sent = true;
        self.body.append(&mut self.held);
        self.ended |= end;
    }

    /// This takes the place of what is held.
    fn give(&mut self, reply: &Reply) {
        let own = |name: &str, value: &str| (name.to_owned(), value.as_bytes().to_vec());
        self.head = vec![
            own(":status", &reply.status.to_string()),
            own("content-length", &reply.body.len().to_string()),
        ];
        self.head.extend(reply.headers.iter().map(|(name, value)| own(name, value)));
        self.held = reply.body.clone();
        self.hand_on(true);
    }

    fn change(&mut self, edits: &[HeaderEdit]) {
        assert!(edits.is_empty() || !self.head_sent, "{edits:?} after the head has gone on");
        edit(&mut self.head, edits);
    }
}

/// Where everything happens: what was noted before, and which attempt at which host it is.
#[derive(Default)]
struct Around<'a> {
    notes: &'a [(Note, String)],
    attempt: u64,
    host_provider: Option<&'a str>,
    cluster: Option<&'a str>,
    details: Option<&'a str>,
}

fn owned(text: Option<&str>) -> Option<Vec<u8>> {
    text.map(|text| text.as_bytes().to_vec())
}

impl Surroundings for Around<'_> {
    fn now(&self) -> u64 {
        NOW
    }

    fn recall(&self, wanted: Note) -> Option<Vec<u8>> {
        let note = self.notes.iter().rev().find(|(note, _)| *note == wanted);
        owned(note.map(|(_, value)| value.as_str()))
    }

    fn attempt(&self) -> u64 {
        self.attempt
    }

    fn host_provider(&self) -> Option<Vec<u8>> {
        owned(self.host_provider)
    }

    fn cluster(&self) -> Option<Vec<u8>> {
        owned(self.cluster)
    }

    fn answer_details(&self) -> Option<Vec<u8>> {
        owned(self.details)
    }
}

/// An exchange and its host.
#[derive(Debug)]
struct Host {
    exchange: Exchange,
    request: Side,
    answer: Side,
    /// The gateway's own answer.
    reply: Option<Reply>,
    query: Option<ModelsQuery>,
    notes: Vec<(Note, String)>,
    counted: Vec<String>,
    /// How much of what is visible is read at once.
    piece: usize,
}

impl Host {
    fn new(config: &Rc<Config>) -> Self {
        Self {
            exchange: Exchange::new(config.clone()),
            request: Side::default(),
            answer: Side::default(),
            reply: None,
            query: None,
            notes: Vec::new(),
            counted: Vec::new(),
            piece: usize::MAX,
        }
    }

    /// A whole request.
    fn request(config: &Rc<Config>, head: &Fields, chunks: &[&[u8]], end: End) -> Self {
        Self::again(config, head, chunks, end, &[])
    }

    /// The same, with what an earlier attempt has noted.
    fn again(
        config: &Rc<Config>,
        head: &Fields,
        chunks: &[&[u8]],
        end: End,
        notes: &[(Note, String)],
    ) -> Self {
        let around = Around { notes, ..Around::default() };
        Self::new(config).asked(head, chunks, end, &around)
    }

    /// The same of a host that has been set up.
    fn asked(mut self, head: &Fields, chunks: &[&[u8]], end: End, around: &Around<'_>) -> Self {
        let host = &mut self;
        host.request.head = head.clone();
        let bodiless = chunks.is_empty() && end == End::WithData;
        let step = host.exchange.on_request_head(&headers(head), bodiless, around);
        host.step(step, bodiless);
        host.send(chunks, end);
        self
    }

    /// The body of a request.
    fn send(&mut self, chunks: &[&[u8]], end: End) {
        for (number, chunk) in chunks.iter().enumerate() {
            let last = end == End::WithData && number + 1 == chunks.len();
            self.push(chunk, last);
        }
        match end {
            End::WithData => {}
            End::Alone => self.push(b"", true),
            End::Trailers => {
                let step = self.exchange.on_request_trailers();
                self.step(step, true);
            }
        }
    }

    fn push(&mut self, chunk: &[u8], end: bool) {
        if self.reply.is_some() {
            return;
        }
        for (piece, next) in pieces(chunk, self.piece, end) {
            self.request.held.extend_from_slice(piece);
            let needed = self.exchange.request_bytes_needed();
            if self.request.held.len() < needed && next != Next::End {
                continue;
            }
            let read = if self.exchange.reads_request_body() { piece } else { b"" };
            let step = self.exchange.on_request_body(read, next);
            self.step(step, next == Next::End);
        }
    }

    fn step(&mut self, step: RequestStep, end: bool) {
        let step = match step {
            RequestStep::ReadWhole => self.exchange.on_request_whole(&self.request.held),
            step => step,
        };
        self.notes.extend(self.exchange.take_notes());
        self.counted.extend(self.exchange.take_counted());
        match step {
            RequestStep::Continue => self.request.hand_on(end),
            RequestStep::Hold => {}
            RequestStep::Drop => self.request.held.clear(),
            RequestStep::Release(release) => {
                self.request.change(&release.headers);
                let edited = crate::wire::splice::apply(&self.request.held, &release.body);
                self.request.held = edited.unwrap();
                self.request.hand_on(end);
            }
            RequestStep::ListModels(query) => self.query = Some(query),
            RequestStep::Reply(reply) => {
                assert!(!self.request.ended, "a reply after the whole request has gone on");
                self.reply = Some(reply);
            }
            RequestStep::ReadWhole => panic!("asked for the whole body twice"),
        }
    }

    /// A whole answer of the upstream.
    fn respond(&mut self, head: &Fields, chunks: &[&[u8]], end: End) {
        self.respond_at(head, chunks, end, &Around::default());
    }

    fn respond_at(&mut self, head: &Fields, chunks: &[&[u8]], end: End, around: &Around<'_>) {
        self.answer.head = head.clone();
        let bodiless = chunks.is_empty() && end == End::WithData;
        let step = self.exchange.on_response_head(&headers(head), bodiless, around);
        self.answer_step(step, bodiless);
        for (number, chunk) in chunks.iter().enumerate() {
            let last = end == End::WithData && number + 1 == chunks.len();
            self.answer_body(chunk, last);
        }
        if end != End::WithData {
            self.answer_body(b"", true);
        }
    }

    fn answer_body(&mut self, chunk: &[u8], end: bool) {
        if self.reply.is_some() {
            return;
        }
        for (piece, next) in pieces(chunk, self.piece, end) {
            self.answer.held.extend_from_slice(piece);
            let read = if self.exchange.reads_response_body() { piece } else { b"" };
            let step = self.exchange.on_response_body(read, next);
            self.answer_step(step, next == Next::End);
            if self.reply.is_some() {
                return;
            }
        }
    }

    fn answer_step(&mut self, step: ResponseStep, end: bool) {
        let step = match step {
            ResponseStep::ReadHead => {
                self.exchange.on_response_head_again(&headers(&self.answer.head))
            }
            step => step,
        };
        self.notes.extend(self.exchange.take_notes());
        self.counted.extend(self.exchange.take_counted());
        match step {
            ResponseStep::Continue => self.answer.hand_on(end),
            ResponseStep::Hold => assert!(!end, "an answer is held past its end"),
            ResponseStep::Release(edits, body) => {
                self.answer.change(&edits);
                if let BodyOut::Replace(with) = body {
                    self.answer.held = with;
                }
                self.answer.hand_on(end);
            }
            ResponseStep::Reply(reply) => {
                if !self.answer.head_sent {
                    self.answer.give(&reply);
                }
                self.reply = Some(reply);
            }
            ResponseStep::ReadHead => panic!("asked for the head twice"),
        }
    }

    fn note(&self, note: Note) -> Option<&str> {
        self.notes.iter().rev().find(|(name, _)| *name == note).map(|(_, value)| value.as_str())
    }

    /// The gateway's refusal: status and code. Nothing of the request went on.
    fn refusal(&self) -> (u16, String) {
        let reply = self.reply.as_ref().expect("a refusal");
        let body: Value = serde_json::from_slice(&reply.body).unwrap();
        (reply.status, body["error"]["code"].as_str().unwrap().to_owned())
    }
}

const CHAT: &str = "/v1/chat/completions";

/// A POST with the key of `team`.
fn post(path: &str, more: &[(&str, &str)]) -> Fields {
    let pairs = [
        (":method", "POST"),
        (":path", path),
        (":authority", "gateway"),
        ("authorization", "Bearer vk-team"),
        ("x-request-id", "req-1"),
        ("content-type", "application/json"),
    ];
    let mut all = fields(&pairs);
    all.retain(|(name, _)| !more.iter().any(|(other, _)| name == other));
    all.extend(fields(more));
    all
}

/// A whole JSON request with its length, in one piece.
fn send(config: &Rc<Config>, path: &str, more: &[(&str, &str)], body: &str) -> Host {
    let mut head = post(path, more);
    head.extend(fields(&[("content-length", &body.len().to_string())]));
    Host::request(config, &head, &[body.as_bytes()], End::Alone)
}

/// A chunk as a host reads it that reads at most `size` bytes at once.
fn pieces(chunk: &[u8], size: usize, end: bool) -> Vec<(&[u8], Next)> {
    let last = if end { Next::End } else { Next::Later };
    let mut all: Vec<_> = chunk.chunks(size).map(|piece| (piece, Next::Visible)).collect();
    match all.last_mut() {
        Some((_, next)) => *next = last,
        None => all.push((b"", last)),
    }
    all
}

fn cut(body: &[u8], size: usize) -> Vec<&[u8]> {
    body.chunks(size).collect()
}
