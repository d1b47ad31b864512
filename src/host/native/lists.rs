//! Model lists for GET /models: one cache for the process.
//!
//! Call-outs that outlive a stream are Envoy's main thread's to make. So a stream that needs a list leaves its question
//! here and wakes the main thread; what comes back wakes the streams that wait, each on its own worker.

use std::collections::HashMap;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Mutex, MutexGuard, PoisonError};

use super::abi::LogLevel;
use super::calls::{MainThread, StreamThread, log};
use crate::exchange::models::{CallAnswer, FetchProgress, Fetches, ModelsQuestion, Outcomes};
use crate::exchange::{ModelsQuery, Reply};
use crate::policy::Config;

/// The lists of one configuration.
pub struct Lists {
    main: MainThread,
    state: Mutex<ListsState>,
}

#[derive(Default)]
struct ListsState {
    fetches: Fetches,
    /// Calls that the main thread makes when it is woken.
    queued: Vec<QueuedCall>,
    waiting: HashMap<u32, StreamThread>,
    ready: HashMap<u32, Outcomes>,
    /// The calls under way: Envoy's ids are longer than the ones that `fetches` knows.
    calls: HashMap<u64, u32>,
    next_call: u32,
}

struct QueuedCall {
    question: ModelsQuestion,
    cluster: String,
    headers: Vec<(String, String)>,
    timeout_ms: u64,
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
            FetchProgress::Wait(dispatches) => {
                let owned = |(name, value): (&str, &str)| (name.to_owned(), value.to_owned());
                state.queued.extend(dispatches.into_iter().map(|dispatch| QueuedCall {
                    cluster: dispatch.cluster.to_owned(),
                    headers: dispatch.headers().into_iter().map(owned).collect(),
                    timeout_ms: dispatch.timeout_ms,
                    question: dispatch.question,
                }));
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

    /// On the main thread: makes the calls that streams have asked for. `call` starts one: its id.
    pub fn on_main_thread(
        &self,
        now: u64,
        call: impl Fn(&str, &[(&str, &str)], u64) -> Result<u64, super::calls::NotSent>,
    ) {
        let queued = std::mem::take(&mut self.state().queued);
        for QueuedCall { question, cluster, headers, timeout_ms } in queued {
            let pairs: Vec<_> = headers.iter().map(|(n, v)| (n.as_str(), v.as_str())).collect();
            let sent = call(&cluster, &pairs, timeout_ms);
            let state = &mut *self.state();
            match sent {
                Ok(id) => {
                    state.next_call = state.next_call.wrapping_add(1);
                    state.calls.insert(id, state.next_call);
                    state.fetches.sent(question, state.next_call);
                }
                Err(why) => {
                    log(
                        LogLevel::Warn,
                        &format!("can't ask cluster {cluster} for its models: {why:?}"),
                    );
                    let ready = state.fetches.not_sent(&question, now);
                    state.wake(ready);
                }
            }
        }
    }

    /// On the main thread: a call is over; `answer` is `None` where it failed.
    pub fn answered(&self, id: u64, answer: Option<CallAnswer<'_>>, now: u64) {
        let state = &mut *self.state();
        let Some(token) = state.calls.remove(&id) else { return };
        let read = catch_unwind(AssertUnwindSafe(|| state.fetches.answered(token, answer, now)));
        let ready = read.unwrap_or_else(|_| {
            log(
                LogLevel::Error,
                "a panic was caught while a model list was read; it counts as none",
            );
            state.fetches.answered(token, None, now) // or those who wait would wait for ever
        });
        state.wake(ready);
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
