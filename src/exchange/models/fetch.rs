//! What to ask providers of their models, and who waits for it.
//!
//! One [`Fetches`] lives as long as a worker's configuration. It holds no clock and makes no call:
//! the host tells the time and carries calls out.
//!
//! A list that is not there or too old is fetched once, page by page, however many requests need it; they wait. The answer
//! about one model is shared by those who ask at the same time. What clients may ask for has no end: so only [`MAX_RUNNING`] models
//! are asked of a provider at a time, and of the answers only the last [`MAX_REMEMBERED`] that found nothing are kept, as
//! long as a list's failure. A request that has everything takes its [`Outcomes`] and writes the answer with [`super::answer`].

use std::collections::{HashMap, VecDeque};
use std::sync::Arc;

use super::call::{Call, Page};
use super::outcome::{
    CallAnswer, ListOutcome, MAX_LIST_BYTES, ModelOutcome, ModelsQuestion, Outcome, Outcomes,
};
use crate::exchange::redact::without_key;
use crate::policy::operation::Operation;
use crate::policy::{Config, Provider, ProviderId, ProviderKey};

/// How long a failure is kept at most, in milliseconds: a server that is down is not asked again by
/// each of many requests.
pub(super) const FAILURE_MS: u64 = 1_000;
/// How many models may be asked of one provider at a time: each costs a call with the gateway's credential, and every
/// name that a list does not show makes one.
pub const MAX_RUNNING: usize = 16;
/// How many models that one provider did not have are remembered. A model's id has at most
/// 1,024 bytes (`MAX_MODEL_ID_BYTES` of `wire::model_span`).
pub const MAX_REMEMBERED: usize = 64;

/// What a request gets when it asks.
#[derive(Debug)]
pub enum FetchProgress {
    /// Everything is there.
    Ready(Outcomes),
    /// It has to wait; make these calls, which may be none.
    Wait(Vec<Call>),
}

/// What follows from the answer to a call.
#[derive(Debug, Default)]
pub struct Answered {
    /// The requests that wait for nothing more.
    pub ready: Vec<(u32, Outcomes)>,
    /// The call for the list's next page. To be reported as each other.
    pub next: Option<Call>,
}

/// What a worker knows of its providers' models.
#[derive(Debug, Default)]
pub struct Fetches {
    /// How long a list is kept, in milliseconds: the configuration's, known from the first question on.
    keep_ms: u64,
    lists: HashMap<ProviderId, FetchSlot>,
    models: HashMap<ProviderId, ModelSlots>,
    /// Running calls by the host's token.
    calls: HashMap<u32, Call>,
    /// What the providers that were asked know the gateway by: some repeat it.
    keys: HashMap<ProviderId, Arc<ProviderKey>>,
    waiting: Vec<Waiting>,
}

#[derive(Debug)]
enum FetchSlot {
    /// A call is on its way, or about to be.
    Running,
    /// Usable before this time in milliseconds.
    Done { outcome: ListOutcome, until: u64 },
}

/// What one provider is asked, and was asked, of single models.
#[derive(Debug, Default)]
struct ModelSlots {
    /// At most [`MAX_RUNNING`].
    running: Vec<Arc<str>>,
    /// At most [`MAX_REMEMBERED`], the oldest first: what was not found, and until when in milliseconds that stands.
    missed: VecDeque<(Arc<str>, ModelOutcome, u64)>,
}

impl ModelSlots {
    /// What is there for a model; `None`: it is to be asked, and counts as running from now on.
    fn look_up(&mut self, id: &Arc<str>, now: u64) -> Option<LookUp<'static>> {
        while self.missed.front().is_some_and(|(_, _, until)| *until <= now) {
            self.missed.pop_front();
        }
        if let Some((_, outcome, _)) = self.missed.iter().find(|(missed, _, _)| missed == id) {
            return Some(LookUp::Known(Outcome::Model(outcome.clone())));
        }
        if self.running.contains(id) {
            return Some(LookUp::Running);
        }
        if self.running.len() >= MAX_RUNNING {
            return Some(LookUp::Known(Outcome::Model(ModelOutcome::Busy)));
        }
        self.running.push(Arc::clone(id));
        None
    }

    fn done(&mut self, id: &Arc<str>, outcome: &ModelOutcome, until: u64) {
        self.running.retain(|running| running != id);
        if matches!(outcome, ModelOutcome::Found(_)) {
            return;
        }
        if self.missed.len() >= MAX_REMEMBERED {
            self.missed.pop_front();
        }
        self.missed.push_back((Arc::clone(id), outcome.clone(), until));
    }
}

/// A request that waits.
#[derive(Debug)]
struct Waiting {
    stream: u32,
    missing: Vec<ModelsQuestion>,
    got: Outcomes,
}

impl Fetches {
    /// Nothing is known yet.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// A request asks what it still `needs`, from [`super::needed`], beside what it has `got` (at first nothing). `stream` is
    /// its id among the worker's requests; `now` counts milliseconds and never goes back.
    ///
    /// When it has to wait, every call must be reported by [`Fetches::sent`] or [`Fetches::not_sent`]: others that need its
    /// answer wait for it, too. And once it is told what it waited for, it asks again: what it needs then depends on that.
    pub fn ask(
        &mut self,
        config: &Config,
        stream: u32,
        needs: impl Fn(&Outcomes) -> Vec<ModelsQuestion>,
        mut got: Outcomes,
        now: u64,
    ) -> FetchProgress {
        self.keep_ms = config.models_cache_seconds.saturating_mul(1_000);
        loop {
            let mut missing = needs(&got);
            missing.retain(|question| !got.has(question));
            if missing.is_empty() {
                return FetchProgress::Ready(got);
            }
            let mut calls = Vec::new();
            missing.retain(|question| {
                match self.look_up(config, question, now) {
                    LookUp::Known(outcome) => got.add(question, outcome),
                    LookUp::Running => return true,
                    LookUp::Call(provider) => {
                        calls.push(Call::new(question.clone(), provider, now));
                        return true;
                    }
                }
                false
            });
            if !missing.is_empty() {
                self.waiting.push(Waiting { stream, missing, got });
                return FetchProgress::Wait(calls);
            }
        }
    }

    fn look_up<'a>(
        &mut self,
        config: &'a Config,
        question: &ModelsQuestion,
        now: u64,
    ) -> LookUp<'a> {
        let id = question.provider();
        let Some(provider) = config.providers.get(id) else {
            return LookUp::Known(question.failed());
        };
        if !provider.operations.contains(Operation::Models) {
            return LookUp::Known(question.unanswered(None));
        }
        match question {
            ModelsQuestion::List(_) => match self.lists.get(&id) {
                Some(FetchSlot::Done { outcome, until }) if now < *until => {
                    return LookUp::Known(Outcome::List(outcome.clone()));
                }
                Some(FetchSlot::Running) => return LookUp::Running,
                _ => {
                    self.lists.insert(id, FetchSlot::Running);
                }
            },
            ModelsQuestion::Model(_, model) => {
                if let Some(known) = self.models.entry(id).or_default().look_up(model, now) {
                    return known;
                }
            }
        }
        if let Some(key) = provider.key() {
            self.keys.insert(id, Arc::clone(key));
        }
        LookUp::Call(provider)
    }

    /// A call is on its way; the host will name its answer by `token`.
    pub fn sent(&mut self, call: Call, token: u32) {
        self.calls.insert(token, call);
    }

    /// A call could not be made. Gives the requests that wait for nothing more.
    pub fn not_sent(&mut self, call: Call, now: u64) -> Vec<(u32, Outcomes)> {
        let outcome = call.question().failed();
        self.go_on(call, outcome, 0, now).ready
    }

    /// A call was answered; `None` for a reset, and for a body over [`MAX_LIST_BYTES`] that the host did not care to read.
    /// Ignores a token that is not one of its own. Should reading it panic, the token is known still.
    pub fn answered(&mut self, token: u32, answer: Option<CallAnswer<'_>>, now: u64) -> Answered {
        let Some(question) = self.calls.get(&token).map(Call::question) else {
            return Answered::default();
        };
        let answer = answer.filter(|answer| answer.body.len() <= MAX_LIST_BYTES);
        let size = answer.map_or(0, |answer| answer.body.len());
        let outcome = match answer {
            Some(answer) => {
                // A provider's answer, without its key. Lists are long: a quick look is enough for them.
                let key = self.keys.get(&question.provider()).map(AsRef::as_ref);
                let covered = key.and_then(|key| without_key(key, answer.body));
                let body = covered.as_deref().unwrap_or(answer.body);
                question.outcome(&CallAnswer { body, ..answer }, key)
            }
            None => question.failed(),
        };
        let call = self.calls.remove(&token);
        call.map(|call| self.go_on(call, outcome, size, now)).unwrap_or_default()
    }

    /// What follows from the answer to `call`, which has `size` bytes.
    fn go_on(&mut self, call: Call, outcome: Outcome, size: usize, now: u64) -> Answered {
        let question = call.question().clone();
        match call.with_page(outcome, size, now) {
            Page::Next(next) => Answered { ready: Vec::new(), next: Some(next) },
            Page::Last { outcome, is_whole } => {
                Answered { ready: self.done(&question, &outcome, is_whole, now), next: None }
            }
        }
    }

    /// The client of a waiting request has gone. Calls go on: others may wait for them, and lists are kept. A host whose
    /// calls end with their request says so by [`Self::lost`] or [`Self::unmade`] next.
    pub fn forget(&mut self, stream: u32) {
        self.waiting.retain(|waiting| waiting.stream != stream);
    }

    /// A call has ended without an answer, with the stream that has made it. See [`Self::unmade`].
    pub fn lost(&mut self, token: u32) -> Option<(u32, Call)> {
        let call = self.calls.remove(&token)?;
        self.unmade(call)
    }

    /// A call that nobody is going to make. Gives it to a request that waits for it; where none does, the next one that
    /// needs its answer asks anew.
    pub fn unmade(&mut self, call: Call) -> Option<(u32, Call)> {
        let question = call.question();
        if let Some(heir) = self.waiting.iter().find(|waiting| waiting.missing.contains(question)) {
            return Some((heir.stream, call));
        }
        match question {
            ModelsQuestion::List(provider) => {
                self.lists.remove(provider);
            }
            ModelsQuestion::Model(provider, id) => {
                let slots = self.models.entry(*provider).or_default();
                slots.running.retain(|running| running != id);
            }
        }
        None
    }

    /// `is_whole`: nothing failed on the way.
    fn done(
        &mut self,
        question: &ModelsQuestion,
        outcome: &Outcome,
        is_whole: bool,
        now: u64,
    ) -> Vec<(u32, Outcomes)> {
        for waiting in &mut self.waiting {
            let before = waiting.missing.len();
            waiting.missing.retain(|missing| missing != question);
            if waiting.missing.len() < before {
                waiting.got.add(question, outcome.clone());
            }
        }
        let failed_until = now.saturating_add(self.keep_ms.min(FAILURE_MS));
        match (question, outcome) {
            (ModelsQuestion::List(provider), Outcome::List(outcome)) => {
                let kept = is_whole && !matches!(outcome, ListOutcome::Failed(_));
                let until = if kept { now.saturating_add(self.keep_ms) } else { failed_until };
                let slot = FetchSlot::Done { outcome: outcome.clone(), until };
                self.lists.insert(*provider, slot);
            }
            (ModelsQuestion::Model(provider, id), Outcome::Model(outcome)) => {
                self.models.entry(*provider).or_default().done(id, outcome, failed_until);
            }
            // An outcome is made of its question.
            _ => {}
        }
        let ready = self.waiting.extract_if(.., |waiting| waiting.missing.is_empty());
        ready.map(|waiting| (waiting.stream, waiting.got)).collect()
    }
}

/// What is there for a question.
enum LookUp<'a> {
    /// This.
    Known(Outcome),
    /// It is being asked.
    Running,
    /// Nothing: this provider is to be asked.
    Call(&'a Provider),
}
