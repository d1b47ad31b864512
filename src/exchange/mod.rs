//! The life of one HTTP exchange, without I/O: heads and bytes in, steps out.
//!
//! ```text
//!            head                    model found                 end
//! Request:   Start ──> Reading ─────────────────> Streaming ───────────> Done
//!              │          │ (head and bytes held)     │ (checked to the end)
//!              └──────────┴────────────┬──────────────┘
//!                                      └──> Replied (our own answer; its way back is left alone)
//! ```
//!
//! The host layer feeds events and carries out the returned steps; it decides nothing.

mod bridge;
mod budget;
mod decision;
mod face;
mod memory;
pub mod models;
mod provider_head;
mod redact;
mod request;
mod response;
mod route_watch;
mod surroundings;
mod trail;
mod usage;

pub use bridge::upstream_path;
pub use models::ModelsQuery;
pub use request::offered;
pub use surroundings::Surroundings;

use std::borrow::Cow;
use std::rc::Rc;
use std::sync::Arc;

use crate::error::{Code, GatewayError};
use crate::policy::key::VirtualKey;
use crate::policy::model::Way;
use crate::policy::operation::Operation;
use crate::policy::{AnswerHeader, CacheMode, Config, HeaderNames, Positions, ProviderId};
use crate::telemetry::counters;
use crate::wire::headers::HeaderEdit;
use crate::wire::json::scan::BodyFacts;
use crate::wire::splice::Edit;
use bridge::Bridge;
pub use budget::Budget;
use budget::{Account, RETRY_AFTER_SECONDS};
use face::Face;
pub use memory::WorkerMemory;
use trail::Trail;
use usage::Tally;

/// What the host does next with the request.
#[derive(Debug)]
pub enum RequestStep {
    /// Hand on what is there as it is.
    Continue,
    /// Keep the head and all of the body so far.
    Hold,
    /// Keep the head; nobody needs what has come of the body.
    Drop,
    /// Change the held head and the held body, then hand both on.
    Release(Release),
    /// Keep everything, and give the whole held body to [`Exchange::on_request_whole`].
    ReadWhole,
    /// Hold everything, and answer with the query's reply once its lists are there.
    ListModels(ModelsQuery),
    /// Answer in the upstream's place. What has already gone upstream is reset by Envoy.
    Reply(Reply),
}

/// What follows some bytes of a body.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Next {
    /// More bytes that have come already: the host reads in pieces. Who has to go on reading them need
    /// not let go of anything yet.
    Visible,
    /// More, later.
    Later,
    /// Nothing.
    End,
}

/// Changes to a held request.
#[derive(Debug, Default)]
pub struct Release {
    /// Edits of the head, in order.
    pub headers: Vec<HeaderEdit>,
    /// Edits of the held body, ascending.
    pub body: Vec<Edit>,
}

/// An answer of the gateway's own.
#[derive(Debug, Clone, PartialEq)]
pub struct Reply {
    /// HTTP status.
    pub status: u16,
    /// Headers beside `:status`.
    pub headers: Vec<(Cow<'static, str>, String)>,
    /// JSON.
    pub body: Vec<u8>,
    /// The gateway's own error code, where it is an error of its own.
    pub code: Option<Code>,
    /// What Envoy says of the answer (`response.code_details`) in whose place this stands, where that was an error.
    pub answered: Option<String>,
}

/// What the host does next with the answer.
#[derive(Debug)]
pub enum ResponseStep {
    /// Hand on what is there as it is.
    Continue,
    /// Keep the head and all of the body so far.
    Hold,
    /// Change the head (held until now) and what is visible of the body, then hand both on.
    Release(Vec<HeaderEdit>, BodyOut),
    /// Put this in the place of the answer. Where the head has gone on already, Envoy resets the stream.
    Reply(Reply),
    /// Keep everything, and give the head, which is still held, to [`Exchange::on_response_head_again`].
    ReadHead,
}

/// What becomes of the bytes of the body that are visible now.
#[derive(Debug, PartialEq, Eq)]
pub enum BodyOut {
    /// They go on as they are.
    Same,
    /// These go on in their place.
    Replace(Vec<u8>),
}

/// What the access log may show of an exchange. Names no secret.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Note {
    /// Whose request it is, and what was decided: `<virtual key> <operation> <provider>/<the upstream's
    /// model id>`, or only the virtual key's id where nothing was. A further attempt at the same request
    /// takes it up. One note, since each costs as much as a header or two.
    Request,
    /// `hit`, `miss` or `bypass`, where no header says it.
    Cache,
    /// In two positions: what the listener's instance decided, for every attempt.
    Decision,
    /// In two positions: what the body said after that.
    Facts,
    /// In two positions: what an attempt changed of the client's head, for the next one.
    Undo,
    /// In two positions: who was asked, and what came back, attempt by attempt.
    Attempts,
    /// In two positions: what the listener's instance is to say in the place of the last attempt's answer.
    Reply,
    /// Whose request it is: the virtual key's id alone.
    VirtualKey,
    /// Which operation.
    Operation,
    /// The upstream's own model id, if the configuration names it, else `other`.
    Model,
    /// Who answered, where `answer_headers` leaves that out of the answer's head.
    Provider,
    /// Tokens that the exchange is estimated to take at most.
    Estimate,
    /// Tokens of the request.
    InputTokens,
    /// Tokens of the answer.
    OutputTokens,
    /// Of the request's, those that came from the server's cache.
    CachedTokens,
    /// All tokens.
    TotalTokens,
    /// Who counted: `upstream` or `estimated`.
    UsageSource,
    /// In two positions: what an attempt's instance has counted of the answer.
    Counted,
}

impl Note {
    /// The filter state key as a module names it: Envoy's wasm host puts `wasm.` before it.
    #[must_use]
    pub fn key(self) -> &'static str {
        let key = self.state_key();
        key.strip_prefix("wasm.").unwrap_or(key)
    }

    /// The filter state key, read in an access log as `%FILTER_STATE(<key>:PLAIN)%`.
    #[must_use]
    pub fn state_key(self) -> &'static str {
        match self {
            Self::Request => "wasm.gateway_request",
            Self::Cache => "wasm.gateway_cache",
            Self::Decision => "wasm.gateway_decision",
            Self::Facts => "wasm.gateway_facts",
            Self::Undo => "wasm.gateway_undo",
            Self::Attempts => "wasm.gateway_attempts",
            Self::Reply => "wasm.gateway_reply",
            Self::VirtualKey => "wasm.gateway_virtual_key",
            Self::Operation => "wasm.gateway_operation",
            Self::Model => "wasm.gateway_model",
            Self::Provider => "wasm.gateway_provider",
            Self::Estimate => "wasm.gateway_estimate",
            Self::InputTokens => "wasm.gateway_input_tokens",
            Self::OutputTokens => "wasm.gateway_output_tokens",
            Self::CachedTokens => "wasm.gateway_cached_tokens",
            Self::TotalTokens => "wasm.gateway_total_tokens",
            Self::UsageSource => "wasm.gateway_usage_source",
            Self::Counted => "wasm.gateway_counted",
        }
    }
}

/// One exchange. See the module's picture.
#[derive(Debug)]
pub struct Exchange {
    config: Rc<Config>,
    request: request::RequestPhase,
    response: response::ResponsePhase,
    /// What the upstream's head says under the gateway's own names: it is removed.
    forged: Vec<HeaderEdit>,
    /// Headers of the upstream's head that a reply in its place must not lose.
    kept: Vec<(Cow<'static, str>, String)>,
    /// The answer's head has gone on, so that it can't be changed any more.
    response_head_sent: bool,
    /// `:status` of the answer's head as it came.
    answer_status: u16,
    /// What Envoy says of an answer that is an error.
    answer_details: Option<String>,
    /// It is Envoy's own, and no provider has seen the request.
    asked_nobody: bool,
    /// `retry-after` of an error in the answer's place, in seconds.
    retry_after: Option<u64>,
    /// Bytes of the answer's body still to come, where its length is declared.
    response_left: Option<u64>,
    /// Whose client asks.
    face: Face,
    /// A page in a browser asks.
    is_page: bool,
    /// Envoy's `x-request-id`.
    request_id: Option<Rc<str>>,
    /// Whose request it is.
    key: Option<Arc<VirtualKey>>,
    /// A note says so.
    is_noted: bool,
    /// Unix seconds of the request's head.
    now: u64,
    /// In the second position, of a request under a decision: the attempts so far, this one last. In the
    /// listener's, once an answer is there that it has to look at.
    trail: Option<Trail>,
    /// What the last attempt's instance had to say in the place of the answer that comes now.
    relayed: Option<Reply>,
    /// A note is to come of what the request's body said.
    awaits_facts: bool,
    /// What it has taken, where that is counted.
    tally: Tally,
    notes: Vec<(Note, String)>,
    counted: Vec<String>,
    /// What its worker has seen.
    memory: Rc<WorkerMemory>,
    /// What it holds of the worker's memory.
    account: Account,
}

/// What is known of a request that has been sent upstream.
#[derive(Debug)]
struct SentRequest {
    operation: Operation,
    provider: ProviderId,
    /// The upstream's own model id.
    model: Rc<str>,
    /// The id that the client asked for.
    requested: String,
    cache: CacheMode,
    facts: BodyFacts,
    /// Set where the request goes upstream as another one.
    bridge: Option<Bridge>,
    /// What was left out of the request: the value of `<prefix>-params-dropped`.
    dropped: Option<String>,
    /// Its stream has token counts that the client did not ask for.
    hides_usage: bool,
    /// How Envoy gets to the provider.
    way: Way,
}

impl SentRequest {
    /// The operation whose answer the upstream gives.
    fn answered_as(&self) -> Operation {
        self.bridge.as_ref().map_or(self.operation, Bridge::answered_as)
    }
}

impl Exchange {
    /// An exchange before its first event, with a budget of its own.
    #[must_use]
    pub fn new(config: Rc<Config>) -> Self {
        let budget = Rc::new(Budget::new(&config, Rc::default()));
        Self::within(budget, Rc::default(), config)
    }

    /// An exchange before its first event, with what its worker's exchanges share.
    #[must_use]
    pub fn within(budget: Rc<Budget>, memory: Rc<WorkerMemory>, config: Rc<Config>) -> Self {
        Self {
            memory,
            account: Account::new(budget),
            config,
            request: request::RequestPhase::Start,
            response: response::ResponsePhase::Passing,
            forged: Vec::new(),
            kept: Vec::new(),
            response_head_sent: false,
            answer_status: 0,
            answer_details: None,
            asked_nobody: false,
            retry_after: None,
            response_left: None,
            face: Face::default(),
            is_page: false,
            request_id: None,
            key: None,
            is_noted: false,
            now: 0,
            trail: None,
            relayed: None,
            awaits_facts: false,
            tally: Tally::default(),
            notes: Vec::new(),
            counted: Vec::new(),
        }
    }

    /// What has become known for the access log since the last call.
    pub fn take_notes(&mut self) -> Vec<(Note, String)> {
        std::mem::take(&mut self.notes)
    }

    /// The counters (see `telemetry::counters`) that have gone up by one since the last call.
    pub fn take_counted(&mut self) -> Vec<String> {
        std::mem::take(&mut self.counted)
    }

    /// To be asked before the answer's head: whether it came by way of another cluster than the provider's. Then a line for the
    /// log and the reply that takes the answer's place. The cluster is looked at until it was seen right.
    pub fn misrouted(&mut self, around: &dyn Surroundings) -> Option<(String, Reply)> {
        // In two positions no credential was sent before the host was known.
        if self.config.routing.positions != Positions::One {
            return None;
        }
        let id = self.request.route()?.provider;
        if !self.memory.routes.is_open(id) {
            return None;
        }
        // Where Envoy has found no cluster, its own reply says so.
        let cluster = around.cluster()?;
        let cluster = std::str::from_utf8(&cluster).ok().filter(|name| !name.is_empty())?;
        let provider = self.config.providers.get(id)?;
        let error = self.memory.routes.see(id, provider, cluster, || around.now()).err()?;
        let line = format!(
            "misrouted: a request for provider {} went to cluster {cluster:?}, which is none of its clusters; its \
             credential was sent there",
            provider.name
        );
        self.count_refused(error.code);
        self.response = response::ResponsePhase::Swallowing;
        self.response_head_sent = true;
        self.tally.meter.void();
        Some((line, self.error_reply(&error)))
    }

    /// Notes whose request this is, for one that is answered before anything was decided.
    fn note_undecided(&mut self) {
        if let Some(key) = &self.key
            && !std::mem::replace(&mut self.is_noted, true)
        {
            self.notes.push((Note::Request, key.id.to_string()));
        }
        self.note_uncounted();
    }

    fn count_refused(&mut self, code: Code) {
        self.counted.push(counters::refused(code, self.key.as_ref().map(|key| &*key.id)));
    }

    /// A reply that says what went wrong, in the client's shape.
    fn error_reply(&self, error: &GatewayError) -> Reply {
        let mut reply = self.face.error(error, &self.config.headers, self.request_id.as_deref());
        if error.code == Code::Overloaded {
            reply.headers.push((Cow::Borrowed("retry-after"), RETRY_AFTER_SECONDS.to_owned()));
        }
        reply
    }

    /// Tells the budget what is held after an event.
    fn settle(&mut self) -> Result<(), GatewayError> {
        let held = self.request.held().saturating_add(self.response.held());
        self.account.set(held, self.key.as_ref(), self.request.provider())
    }

    fn refuse(&mut self, error: &GatewayError) -> RequestStep {
        self.request = request::RequestPhase::Replied;
        self.tally.meter.void();
        self.note_undecided();
        self.note_replied();
        self.count_refused(error.code);
        RequestStep::Reply(self.error_reply(error))
    }
}

impl Reply {
    /// A reply with this JSON.
    fn json(status: u16, body: Vec<u8>, names: &HeaderNames, request_id: Option<&str>) -> Self {
        let mut headers = vec![(Cow::Borrowed("content-type"), "application/json".to_owned())];
        if let Some(id) = request_id
            && names.answers.has(AnswerHeader::RequestId)
        {
            headers.push((names.request_id.to_string().into(), id.to_owned()));
        }
        Self { status, headers, body, code: None, answered: None }
    }

    /// A reply to a request of which nothing is known: not even its exchange could be made.
    #[must_use]
    pub fn without_exchange() -> Self {
        let error = GatewayError::failed();
        Self {
            status: error.status,
            headers: vec![(Cow::Borrowed("content-type"), "application/json".to_owned())],
            body: error.to_answer().error.to_envelope(),
            code: Some(error.code),
            answered: None,
        }
    }

    /// What `%RESPONSE_CODE_DETAILS%` shows of it; empty for an answer that is no error.
    #[must_use]
    pub fn details(&self) -> String {
        match self.code {
            Some(code) => ["openai_gateway:", code.as_str()].concat(),
            None => self.answered.clone().unwrap_or_default(),
        }
    }

    /// A reply that says what an answer with these edits would. Where the head has gone on, Envoy only
    /// resets the stream.
    fn from_edits(edits: Vec<HeaderEdit>, body: Vec<u8>, head_sent: bool) -> Self {
        let mut reply = Self {
            status: if head_sent { 502 } else { 200 },
            headers: Vec::new(),
            body,
            code: None,
            answered: None,
        };
        for edit in edits {
            let (HeaderEdit::Set(name, value) | HeaderEdit::Add(name, value)) = edit else {
                continue;
            };
            match &*name {
                ":status" => reply.status = value.parse().unwrap_or(502),
                "content-length" => {}
                _ => reply.headers.push((name.to_string().into(), value.to_string())),
            }
        }
        reply
    }
}

#[cfg(test)]
mod tests;
