//! One question to a provider: the request, and a list's pages as they come.

use std::fmt;
use std::sync::Arc;

use super::outcome::{ListOutcome, MAX_LIST_BYTES, ModelsQuestion, Outcome};
use crate::exchange::provider_head::{self, Version};
use crate::policy::Provider;
use crate::repair::model_list::{List, MAX_MODELS, NextPage};
use crate::wire::headers::HeaderEdit;
use crate::wire::percent;

/// How long one provider may take for all pages of its list, in milliseconds.
pub const TIMEOUT_MS: u64 = 5_000;
/// How many pages of a list are asked for. Together they have at most [`MAX_LIST_BYTES`] and as many models as lists keep
/// (`MAX_MODELS`).
pub const MAX_PAGES: usize = 20;

/// A call to make: GET, without a body. `Debug` shows no header: the credential is among them.
pub struct Call {
    question: ModelsQuestion,
    /// The Envoy cluster to call.
    cluster: Box<str>,
    /// Without a query.
    path: String,
    /// Of the next page.
    query: Option<String>,
    /// All but the path.
    headers: Vec<(String, String)>,
    timeout_ms: u64,
    /// When the provider's time is over.
    until: u64,
    pages: Pages,
}

/// What has come of a list so far.
#[derive(Default)]
struct Pages {
    number: usize,
    bytes: usize,
    list: List,
}

/// What follows from a page.
pub(super) enum Page {
    /// There is more to ask.
    Next(Call),
    /// There is not.
    Last {
        outcome: Outcome,
        /// No page failed.
        is_whole: bool,
    },
}

impl Call {
    pub(super) fn new(question: ModelsQuestion, provider: &Provider, now: u64) -> Self {
        let base = &provider.base_path;
        let path = match &question {
            ModelsQuestion::List(_) => format!("{base}/models"),
            // One segment, as OpenAI's own SDKs send it.
            ModelsQuestion::Model(_, id) => format!("{base}/models/{}", percent::segment(id)),
        };
        Self {
            question,
            cluster: (&*provider.cluster).into(),
            path,
            query: None,
            headers: head(provider),
            timeout_ms: TIMEOUT_MS,
            until: now.saturating_add(TIMEOUT_MS),
            pages: Pages::default(),
        }
    }

    /// What is asked.
    #[must_use]
    pub fn question(&self) -> &ModelsQuestion {
        &self.question
    }

    /// The Envoy cluster to call.
    #[must_use]
    pub fn cluster(&self) -> &str {
        &self.cluster
    }

    /// How long it may take, in milliseconds.
    #[must_use]
    pub fn timeout_ms(&self) -> u64 {
        self.timeout_ms
    }

    /// `:path`, with the page's query.
    #[must_use]
    pub fn path(&self) -> String {
        match &self.query {
            Some(query) => format!("{}?{query}", self.path),
            None => self.path.clone(),
        }
    }

    /// The request's headers beside its path, the credential among them.
    pub fn headers(&self) -> impl Iterator<Item = (&str, &str)> {
        self.headers.iter().map(|(name, value)| (name.as_str(), value.as_str()))
    }

    /// Puts a page to those before it. What has come of a list stays where a later page fails: it is cut then.
    pub(super) fn with_page(mut self, outcome: Outcome, size: usize, now: u64) -> Page {
        let mut page = match outcome {
            Outcome::List(ListOutcome::Listed(list)) => Arc::unwrap_or_clone(list),
            outcome if self.pages.number == 0 => return Page::Last { outcome, is_whole: true },
            _ => {
                self.pages.list.cut = true;
                return self.last(false);
            }
        };
        let next = std::mem::take(&mut page.next);
        let is_empty = page.models.is_empty();
        let is_news = self.pages.add(page, size);
        self.timeout_ms = self.until.saturating_sub(now);
        let query = match next {
            _ if is_empty => return self.last(true), // behind the last page
            NextPage::None => return self.last(true),
            NextPage::Query(query) if self.pages.may_grow() => query,
            NextPage::Query(_) | NextPage::Untold => String::new(),
        };
        // A server that does not know its own way of paging says the same for ever.
        if query.is_empty() || !is_news || self.query.as_ref() == Some(&query) {
            self.pages.list.cut = true;
            return self.last(true);
        }
        if self.timeout_ms == 0 {
            self.pages.list.cut = true;
            return self.last(false);
        }
        self.query = Some(query);
        Page::Next(self)
    }

    fn last(self, is_whole: bool) -> Page {
        let list = Arc::new(self.pages.list);
        Page::Last { outcome: Outcome::List(ListOutcome::Listed(list)), is_whole }
    }
}

impl fmt::Debug for Call {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Call")
            .field("question", &self.question)
            .field("cluster", &self.cluster)
            .field("timeout_ms", &self.timeout_ms)
            .finish_non_exhaustive()
    }
}

impl Pages {
    /// Whether the page has a model that was not there.
    fn add(&mut self, page: List, size: usize) -> bool {
        self.number += 1;
        self.bytes = self.bytes.saturating_add(size);
        let before = self.list.models.len();
        self.list.cut |= page.cut;
        self.list.models.extend(page.models);
        // Servers list in any order, and in another one after a restart.
        self.list.models.sort_by(|a, b| a.id.cmp(&b.id));
        self.list.models.dedup_by(|a, b| a.id == b.id);
        let is_news = self.list.models.len() > before;
        self.list.cut |= self.list.models.len() > MAX_MODELS;
        self.list.models.truncate(MAX_MODELS);
        is_news
    }

    fn may_grow(&self) -> bool {
        !self.list.cut && self.number < MAX_PAGES && self.bytes < MAX_LIST_BYTES
    }
}

/// The head of a question to `provider`, without the path.
fn head(provider: &Provider) -> Vec<(String, String)> {
    let mut edits = vec![
        HeaderEdit::set(":method", "GET"),
        HeaderEdit::set(":authority", &provider.authority),
        HeaderEdit::set("accept", "application/json"),
    ];
    provider_head::add(&mut edits, provider, Version::of_question(provider));
    let set = |edit| match edit {
        HeaderEdit::Set(name, value) | HeaderEdit::Add(name, value) => {
            Some((name.to_string(), value.to_string()))
        }
        HeaderEdit::Remove(_) | HeaderEdit::Restore(..) => None,
    };
    edits.into_iter().filter_map(set).collect()
}
