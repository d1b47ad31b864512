//! Model lists for GET /models: one cache for the process.
//!
//! Call-outs that outlive a stream are Envoy's main thread's to make. So a stream that needs a list leaves its question
//! here and wakes the main thread; what comes back wakes the streams that wait, each on its own worker.

use std::collections::{HashMap, VecDeque};
use std::sync::{Mutex, MutexGuard, PoisonError};

use super::abi::LogLevel;
use super::calls::{MainThread, NotSent, StreamThread, log};
use super::caught::caught;
use crate::exchange::models::{Call, CallAnswer, FetchProgress, Fetches, Outcomes};
use crate::exchange::{ModelsQuery, Reply};
use crate::policy::Config;
use crate::wire::headers::Headers;

/// The lists of one configuration.
pub struct Lists {
    main: MainThread,
    state: Mutex<ListsState>,
}

#[derive(Default)]
struct ListsState {
    fetches: Fetches,
    /// Calls that the main thread makes when it is woken.
    queued: VecDeque<Call>,
    waiting: HashMap<u32, StreamThread>,
    ready: HashMap<u32, Outcomes>,
    /// The calls under way: Envoy's ids are longer than the ones that `fetches` knows.
    calls: HashMap<u64, u32>,
    next_call: u32,
}

impl Lists {
    /// `main` wakes the main thread for this configuration.
    pub fn new(main: MainThread) -> Self {
        Self { main, state: Mutex::default() }
    }

    /// A panic while it was held has ended one request; what it holds are whole values.
    fn state(&self) -> MutexGuard<'_, ListsState> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A stream asks, beside what it has `got` (at first nothing). `None`: it has to wait, and `thread` is woken when
    /// [`Self::take`] has something for it; then it asks again.
    pub fn ask(
        &self,
        config: &Config,
        stream: u32,
        query: &ModelsQuery,
        got: Outcomes,
        now: u64,
        thread: impl FnOnce() -> StreamThread,
    ) -> Option<Reply> {
        let state = &mut *self.state();
        let needs = |known: &Outcomes| query.needed(config, known);
        match state.fetches.ask(config, stream, needs, got, now) {
            FetchProgress::Ready(outcomes) => Some(query.reply(config, &outcomes)),
            FetchProgress::Wait(calls) => {
                state.queued.extend(calls);
                state.waiting.insert(stream, thread());
                if !state.queued.is_empty() {
                    self.main.wake();
                }
                None
            }
        }
    }

    /// The lists of a stream that was woken.
    pub fn take(&self, stream: u32) -> Option<Outcomes> {
        self.state().ready.remove(&stream)
    }

    /// A stream that may have waited is over.
    pub fn forget(&self, stream: u32) {
        let state = &mut *self.state();
        state.waiting.remove(&stream);
        state.ready.remove(&stream);
        state.fetches.forget(stream);
    }

    /// On the main thread: makes the calls that streams have asked for. `call` starts one: its id. A panic costs its own
    /// call, which counts as one that could not be made: nobody waits for ever, and the others are made.
    pub fn on_main_thread(&self, now: u64, call: impl Fn(&Call) -> Result<u64, NotSent>) {
        loop {
            let Some(next) = self.state().queued.pop_front() else { return };
            let sent = caught("config_scheduled", || call(&next));
            let state = &mut *self.state();
            if let Some(Ok(id)) = sent {
                state.next_call = state.next_call.wrapping_add(1);
                state.calls.insert(id, state.next_call);
                state.fetches.sent(next, state.next_call);
                continue;
            }
            if let Some(Err(why)) = sent {
                let cluster = next.cluster();
                log(
                    LogLevel::Warn,
                    &format!("can't ask cluster {cluster} for its models: {why:?}"),
                );
            }
            let ready = state.fetches.not_sent(next, now);
            state.wake(ready);
        }
    }

    /// On the main thread: a call is over. `read`: its status, head and body; `None` where it failed. A panic counts as that.
    pub fn answered(
        &self,
        id: u64,
        read: impl FnOnce() -> Option<(u16, Headers<'static>, Vec<u8>)>,
        now: u64,
    ) {
        let Some(token) = self.state().calls.remove(&id) else { return };
        let answered = caught("config_http_callout_done", || {
            let answer = read();
            let answer = answer.as_ref().map(|(status, headers, body)| CallAnswer {
                status: *status,
                headers,
                body,
            });
            self.state().fetches.answered(token, answer, now)
        });
        let state = &mut *self.state();
        let answered = answered.unwrap_or_else(|| state.fetches.answered(token, None, now));
        if let Some(next) = answered.next {
            state.queued.push_back(next);
            self.main.wake();
        }
        state.wake(answered.ready);
    }
}

impl ListsState {
    fn wake(&mut self, ready: Vec<(u32, Outcomes)>) {
        for (stream, outcomes) in ready {
            if let Some(thread) = self.waiting.remove(&stream) {
                self.ready.insert(stream, outcomes);
                thread.wake();
            }
        }
    }
}
