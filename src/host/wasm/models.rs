//! Asks providers for their models, for the requests of one worker.
//!
//! Calls are made from the root context, so that they outlive the request that asked first: the SDK
//! drops the answer to a call whose stream has gone. A stream can't act as the root, so it asks for a
//! tick.

use std::cell::{Cell, RefCell};
use std::collections::HashMap;
use std::rc::Rc;
use std::time::Duration;

use log::{error, warn};
use proxy_wasm::hostcalls;

use super::calls::{self, BufferType, HeaderMapType};
use super::counters::Counters;
use super::reply::send;
use crate::exchange::models::outcome::MAX_LIST_BYTES;
use crate::exchange::models::{Call, CallAnswer, FetchProgress, Fetches, Outcomes};
use crate::exchange::{Budget, ModelsQuery, Reply, WorkerMemory};
use crate::policy::Config;
use crate::wire::headers::Headers;

/// What the root context and its streams share.
pub struct Shared {
    /// The configuration.
    pub config: Rc<Config>,
    /// What may be held.
    pub budget: Rc<Budget>,
    /// What its streams have seen.
    pub memory: Rc<WorkerMemory>,
    /// What was counted.
    pub counters: Counters,
    lists: RefCell<Lists>,
}

#[derive(Default)]
struct Lists {
    fetches: Fetches,
    /// Calls that the next tick makes.
    queued: Vec<Call>,
    /// Requests that wait, by the id of their stream's context.
    waiting: HashMap<u32, ModelsQuery>,
}

impl Shared {
    /// Nothing is fetched yet.
    pub fn new(config: Rc<Config>) -> Self {
        // Of the whole VM: streams of an earlier configuration go on.
        thread_local! {
            static HELD: Rc<Cell<usize>> = Rc::default();
        }
        let budget = Rc::new(Budget::new(&config, HELD.with(Rc::clone)));
        Self {
            config,
            budget,
            memory: Rc::default(),
            counters: Counters::default(),
            lists: RefCell::default(),
        }
    }

    /// A stream asks. `None`: it has to wait, and is answered later.
    pub fn ask(&self, stream: u32, query: ModelsQuery) -> Option<Reply> {
        let lists = &mut *self.lists.borrow_mut();
        let reply = lists.ask(&self.config, stream, &query, Outcomes::default());
        if reply.is_none() {
            lists.waiting.insert(stream, query);
        }
        reply
    }

    /// The root context's tick: makes the calls that streams have asked for.
    pub fn on_tick(&self, root: u32) {
        calls::set_tick(Duration::ZERO);
        let queued = std::mem::take(&mut self.lists.borrow_mut().queued);
        for call in queued {
            let path = call.path();
            let headers = std::iter::once((":path", path.as_str())).chain(call.headers()).collect();
            let timeout = Duration::from_millis(call.timeout_ms());
            let sent =
                hostcalls::dispatch_http_call(call.cluster(), headers, None, vec![], timeout);
            let ready = {
                let fetches = &mut self.lists.borrow_mut().fetches;
                match sent {
                    Ok(token) => {
                        fetches.sent(call, token);
                        continue;
                    }
                    Err(status) => {
                        warn!("can't ask cluster {} for its models: {status:?}", call.cluster());
                        fetches.not_sent(call, calls::now_ms())
                    }
                }
            };
            self.answer(root, ready);
        }
    }

    /// A call has come back. `size`: of its body; `headers` is 0 when it was reset.
    pub fn on_response(&self, root: u32, token: u32, headers: usize, size: usize) {
        let answer = if headers == 0 || size > MAX_LIST_BYTES { None } else { read_response(size) };
        let answer = answer.as_ref().map(|(status, headers, body)| CallAnswer {
            status: *status,
            headers,
            body,
        });
        let ready = {
            let lists = &mut *self.lists.borrow_mut();
            let answered = lists.fetches.answered(token, answer, calls::now_ms());
            lists.queue(answered.next);
            answered.ready
        };
        self.answer(root, ready);
    }

    /// A stream is over.
    pub fn forget(&self, stream: u32) {
        let lists = &mut *self.lists.borrow_mut();
        if lists.waiting.remove(&stream).is_some() {
            lists.fetches.forget(stream);
        }
    }

    fn answer(&self, root: u32, ready: Vec<(u32, Outcomes)>) {
        for (stream, outcomes) in ready {
            let reply = {
                let lists = &mut *self.lists.borrow_mut();
                let Some(query) = lists.waiting.remove(&stream) else { continue };
                let reply = lists.ask(&self.config, stream, &query, outcomes);
                if reply.is_none() {
                    lists.waiting.insert(stream, query);
                }
                reply
            };
            let Some(reply) = reply else { continue };
            if let Err(status) = hostcalls::set_effective_context(stream) {
                error!("can't reach a waiting stream: {status:?}");
                continue;
            }
            let _stops = send(&reply);
        }
        if let Err(status) = hostcalls::set_effective_context(root) {
            error!("can't return to the root context: {status:?}");
        }
    }
}

impl Lists {
    /// `None`: the stream has to wait for calls that the next tick makes.
    fn ask(
        &mut self,
        config: &Config,
        stream: u32,
        query: &ModelsQuery,
        got: Outcomes,
    ) -> Option<Reply> {
        let needs = |known: &Outcomes| query.needed(config, known);
        match self.fetches.ask(config, stream, needs, got, calls::now_ms()) {
            FetchProgress::Ready(outcomes) => Some(query.reply(config, &outcomes)),
            FetchProgress::Wait(new) => {
                self.queue(new);
                None
            }
        }
    }

    /// The next tick makes these calls.
    fn queue(&mut self, new: impl IntoIterator<Item = Call>) {
        self.queued.extend(new);
        if !self.queued.is_empty() {
            calls::set_tick(Duration::from_millis(1));
        }
    }
}

/// Status, head and body.
fn read_response(size: usize) -> Option<(u16, Headers<'static>, Vec<u8>)> {
    let headers = calls::headers(HeaderMapType::CallResponse).ok()?;
    let status = std::str::from_utf8(headers.get(":status")?).ok()?.parse().ok()?;
    Some((status, headers, calls::body(BufferType::CallResponse, 0, size).ok()?))
}
