//! Which lists to fetch, and who waits for them.
//!
//! One [`Fetches`] lives as long as a worker's configuration. It holds no clock and makes no call:
//! the host tells the time and carries calls out.
//!
//! A list that is not there or too old is fetched once, however many requests need it; they wait. A
//! request that has everything, or for which everything has come, takes its [`ListOutcomes`] and writes
//! the answer with [`super::answer`].

use std::collections::HashMap;
use std::sync::Arc;

use crate::exchange::redact::without_key;
use crate::policy::operation::Operation;
use crate::policy::{Config, Provider, ProviderId, ProviderKey};
use crate::repair::model_list::{List, parse_list};

/// How long one provider's list may take, in milliseconds.
pub const TIMEOUT_MS: u64 = 5_000;
/// Largest list that is read, in bytes. OpenRouter's, the largest known, has less than one million.
pub const MAX_LIST_BYTES: usize = 4 * 1024 * 1024;
/// How long a failure is kept at most, in milliseconds: a server that is down is not asked again by
/// each of many requests.
const FAILURE_MS: u64 = 1_000;

/// What came of asking one provider. Cheap to clone.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ListOutcome {
    /// Its list, sorted by id, each id once.
    Listed(Arc<List>),
    /// It has no list to give: no such path on its side, or not one of its operations here.
    Unlisted,
    /// It failed, was too slow, or answered something else.
    Failed,
}

/// The outcomes that one request has gathered.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct ListOutcomes(Vec<(ProviderId, ListOutcome)>);

impl ListOutcomes {
    /// What came of asking `provider`; `None` if it was not asked.
    #[must_use]
    pub fn get(&self, provider: ProviderId) -> Option<&ListOutcome> {
        self.0.iter().find(|(id, _)| *id == provider).map(|(_, outcome)| outcome)
    }
}

impl FromIterator<(ProviderId, ListOutcome)> for ListOutcomes {
    fn from_iter<I: IntoIterator<Item = (ProviderId, ListOutcome)>>(outcomes: I) -> Self {
        Self(outcomes.into_iter().collect())
    }
}

/// A call to make: GET, without a body.
#[derive(Debug)]
pub struct Dispatch<'a> {
    /// To be told to [`Fetches::sent`] or [`Fetches::not_sent`].
    pub id: ProviderId,
    /// The Envoy cluster to call.
    pub cluster: &'a str,
    /// In milliseconds.
    pub timeout_ms: u64,
    path: String,
    provider: &'a Provider,
}

impl Dispatch<'_> {
    /// The request's headers, the credential among them.
    #[must_use]
    pub fn headers(&self) -> Vec<(&str, &str)> {
        let mut headers = vec![
            (":method", "GET"),
            (":path", self.path.as_str()),
            (":authority", &*self.provider.authority),
            ("accept", "application/json"),
        ];
        if let Some(credential) = &self.provider.credential {
            headers.push((&*credential.header, &**credential.value.expose()));
        }
        headers
    }
}

/// What a request gets when it asks.
#[derive(Debug)]
pub enum FetchProgress<'a> {
    /// Everything is there.
    Ready(ListOutcomes),
    /// It has to wait; make these calls, which may be none.
    Wait(Vec<Dispatch<'a>>),
}

/// All lists of a worker.
#[derive(Debug, Default)]
pub struct Fetches {
    /// How long a list is kept, in milliseconds: the configuration's, known from the first question on.
    keep_ms: u64,
    slots: HashMap<ProviderId, FetchSlot>,
    /// Running calls by the host's token.
    calls: HashMap<u32, ProviderId>,
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

/// A request that waits.
#[derive(Debug)]
struct Waiting {
    stream: u32,
    missing: Vec<ProviderId>,
    got: ListOutcomes,
}

impl Fetches {
    /// No list is there yet.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// A request asks for the lists of `providers` (from [`super::needed`]). `stream` is its id among
    /// the worker's requests; `now` counts milliseconds and never goes back.
    ///
    /// When it has to wait, every call must be reported by [`Fetches::sent`] or
    /// [`Fetches::not_sent`] before anything else is asked.
    pub fn ask<'a>(
        &mut self,
        config: &'a Config,
        stream: u32,
        providers: &[ProviderId],
        now: u64,
    ) -> FetchProgress<'a> {
        self.keep_ms = config.models_cache_seconds.saturating_mul(1_000);
        let mut got = ListOutcomes::default();
        let mut missing = Vec::new();
        let mut calls = Vec::new();
        for id in providers {
            let Some(provider) = config.providers.get(*id) else { continue };
            if !provider.operations.contains(Operation::Models) {
                got.0.push((*id, ListOutcome::Unlisted));
                continue;
            }
            match self.slots.get(id) {
                Some(FetchSlot::Done { outcome, until }) if now < *until => {
                    got.0.push((*id, outcome.clone()));
                    continue;
                }
                Some(FetchSlot::Running) => {}
                _ => {
                    self.slots.insert(*id, FetchSlot::Running);
                    if let Some(key) = provider.key() {
                        self.keys.insert(*id, Arc::clone(key));
                    }
                    calls.push(Dispatch {
                        id: *id,
                        cluster: &provider.cluster,
                        timeout_ms: TIMEOUT_MS,
                        path: format!("{}/models", provider.base_path),
                        provider,
                    });
                }
            }
            missing.push(*id);
        }
        if missing.is_empty() {
            return FetchProgress::Ready(got);
        }
        self.waiting.push(Waiting { stream, missing, got });
        FetchProgress::Wait(calls)
    }

    /// A call is on its way; the host will name its answer by `token`.
    pub fn sent(&mut self, provider: ProviderId, token: u32) {
        self.calls.insert(token, provider);
    }

    /// A call could not be made. Gives the requests that wait for nothing more.
    pub fn not_sent(&mut self, provider: ProviderId, now: u64) -> Vec<(u32, ListOutcomes)> {
        self.done(provider, ListOutcome::Failed, now)
    }

    /// A call was answered: with status and body, or `None` for a reset, and for a body over
    /// [`MAX_LIST_BYTES`] that the host did not care to read. Gives the requests that wait for
    /// nothing more, and ignores a token that is not one of its own.
    pub fn answered(
        &mut self,
        token: u32,
        answer: Option<(u16, &[u8])>,
        now: u64,
    ) -> Vec<(u32, ListOutcomes)> {
        let Some(provider) = self.calls.remove(&token) else { return Vec::new() };
        let outcome = match answer {
            Some((200..=299, body)) => match self.parse(provider, body) {
                Some(mut list) => {
                    // Servers list in any order, and in another one after a restart.
                    list.models.sort_by(|a, b| a.id.cmp(&b.id));
                    list.models.dedup_by(|a, b| a.id == b.id);
                    ListOutcome::Listed(Arc::new(list))
                }
                None => ListOutcome::Failed,
            },
            // Servers for one model or one task often have no such path.
            Some((404 | 405 | 501, _)) => ListOutcome::Unlisted,
            _ => ListOutcome::Failed,
        };
        self.done(provider, outcome, now)
    }

    /// A provider's list, without its key.
    fn parse(&self, provider: ProviderId, body: &[u8]) -> Option<List> {
        if body.len() > MAX_LIST_BYTES {
            return None;
        }
        let covered = self.keys.get(&provider).and_then(|key| without_key(key, body));
        parse_list(covered.as_deref().unwrap_or(body), MAX_LIST_BYTES).ok()
    }

    /// The client of a waiting request has gone. Calls go on: their lists are kept.
    pub fn forget(&mut self, stream: u32) {
        self.waiting.retain(|waiting| waiting.stream != stream);
    }

    fn done(
        &mut self,
        provider: ProviderId,
        outcome: ListOutcome,
        now: u64,
    ) -> Vec<(u32, ListOutcomes)> {
        let keep = match outcome {
            ListOutcome::Failed => self.keep_ms.min(FAILURE_MS),
            _ => self.keep_ms,
        };
        for waiting in &mut self.waiting {
            let before = waiting.missing.len();
            waiting.missing.retain(|id| *id != provider);
            if waiting.missing.len() < before {
                waiting.got.0.push((provider, outcome.clone()));
            }
        }
        self.slots.insert(provider, FetchSlot::Done { outcome, until: now.saturating_add(keep) });
        let ready = self.waiting.extract_if(.., |waiting| waiting.missing.is_empty());
        ready.map(|waiting| (waiting.stream, waiting.got)).collect()
    }
}
