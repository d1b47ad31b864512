//! Model lists for GET /models: one cache for the process.
//!
//! A stream that needs a list makes the call itself, on its own worker, and others wait for what comes back. A call ends with
//! its stream: then one of those that wait makes it again. (Call-outs of a configuration would outlive their stream, but
//! Envoy makes them on its main thread and drops them where the configuration ends, which may be a worker: Envoy dies of
//! that when a configuration is replaced meanwhile.)

use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard, PoisonError};

use super::calls::StreamThread;
use crate::exchange::models::{Call, CallAnswer, FetchProgress, Fetches, Outcomes};
use crate::exchange::{ModelsQuery, Reply};
use crate::policy::Config;
use crate::wire::headers::Headers;

/// The lists of one configuration.
#[derive(Default)]
pub struct Lists {
    state: Mutex<ListsState>,
}

/// What a stream gets when it asks.
pub enum Asked {
    /// The answer.
    Reply(Reply),
    /// It has to wait until it is woken, and to make these calls.
    Wait(Vec<Call>),
}

#[derive(Default)]
struct ListsState {
    fetches: Fetches,
    waiting: HashMap<u32, StreamThread>,
    ready: HashMap<u32, Outcomes>,
    /// Calls that a stream takes over.
    handed: HashMap<u32, Vec<Call>>,
    /// The calls under way: by their stream and Envoy's id, which is longer than the one that `fetches` knows.
    calls: HashMap<(u32, u64), u32>,
    next_call: u32,
}

impl Lists {
    /// A panic while it was held has ended one request; what it holds are whole values.
    fn state(&self) -> MutexGuard<'_, ListsState> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A stream asks, beside what it has `got` (at first nothing). Where it has to wait, `thread` is woken when [`Self::take`]
    /// has something for it (then it asks again) or [`Self::handed`] has.
    pub fn ask(
        &self,
        config: &Config,
        stream: u32,
        query: &ModelsQuery,
        got: Outcomes,
        now: u64,
        thread: impl FnOnce() -> StreamThread,
    ) -> Asked {
        let state = &mut *self.state();
        let needs = |known: &Outcomes| query.needed(config, known);
        match state.fetches.ask(config, stream, needs, got, now) {
            FetchProgress::Ready(outcomes) => Asked::Reply(query.reply(config, &outcomes)),
            FetchProgress::Wait(calls) => {
                state.waiting.insert(stream, thread());
                Asked::Wait(calls)
            }
        }
    }

    /// A stream has made a call, which Envoy names by `id`.
    pub fn sent(&self, stream: u32, id: u64, call: Call) {
        let state = &mut *self.state();
        state.next_call = state.next_call.wrapping_add(1);
        state.calls.insert((stream, id), state.next_call);
        state.fetches.sent(call, state.next_call);
    }

    /// A call could not be made.
    pub fn not_sent(&self, call: Call, now: u64) {
        let state = &mut *self.state();
        let ready = state.fetches.not_sent(call, now);
        state.wake(ready);
    }

    /// A call of this stream is over. `read`: its status, head and body; `None` where it failed. Gives the call that is to
    /// be made for the list's next page.
    pub fn answered(
        &self,
        stream: u32,
        id: u64,
        read: impl FnOnce() -> Option<(u16, Headers<'static>, Vec<u8>)>,
        now: u64,
    ) -> Option<Call> {
        let token = self.state().calls.get(&(stream, id)).copied()?;
        let answer = read();
        let answer = answer.as_ref().map(|(status, headers, body)| CallAnswer {
            status: *status,
            headers,
            body,
        });
        let state = &mut *self.state();
        let answered = state.fetches.answered(token, answer, now);
        // Not before: should reading it panic, somebody else makes the call again.
        state.calls.remove(&(stream, id));
        state.wake(answered.ready);
        answered.next
    }

    /// The lists of a stream that was woken.
    pub fn take(&self, stream: u32) -> Option<Outcomes> {
        self.state().ready.remove(&stream)
    }

    /// The calls that a stream that was woken has to make, since those that made them have gone.
    pub fn handed(&self, stream: u32) -> Vec<Call> {
        self.state().handed.remove(&stream).unwrap_or_default()
    }

    /// A stream that may have waited is over, and its calls with it.
    pub fn forget(&self, stream: u32) {
        let state = &mut *self.state();
        state.waiting.remove(&stream);
        state.ready.remove(&stream);
        state.fetches.forget(stream);
        let lost = state.calls.extract_if(|(caller, _), _| *caller == stream);
        let lost: Vec<u32> = lost.map(|(_, token)| token).collect();
        for token in lost {
            let heir = state.fetches.lost(token);
            state.hand(heir);
        }
        for call in state.handed.remove(&stream).unwrap_or_default() {
            let heir = state.fetches.unmade(call);
            state.hand(heir);
        }
    }
}

impl ListsState {
    fn hand(&mut self, heir: Option<(u32, Call)>) {
        let Some((stream, call)) = heir else { return };
        self.handed.entry(stream).or_default().push(call);
        if let Some(thread) = self.waiting.get(&stream) {
            thread.wake();
        }
    }

    fn wake(&mut self, ready: Vec<(u32, Outcomes)>) {
        for (stream, outcomes) in ready {
            if let Some(thread) = self.waiting.remove(&stream) {
                self.ready.insert(stream, outcomes);
                thread.wake();
            }
        }
    }
}
