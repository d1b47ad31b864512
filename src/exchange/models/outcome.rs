//! What is asked of a provider, and what came of it.

use std::borrow::Cow;
use std::sync::Arc;

use crate::error::{Code, ErrorAnswer};
use crate::exchange::response::{is_kept, kept};
use crate::policy::operation::Operation;
use crate::policy::{ProviderId, ProviderKey};
use crate::repair::error::{from_ok, is_about_model, read_http};
use crate::repair::model_list::{List, ListedModel, parse_list, parse_model};
use crate::wire::headers::Headers;

/// Largest answer that is read, in bytes, and all pages of a list. OpenRouter's list, the largest known, has less than one million.
pub const MAX_LIST_BYTES: usize = 4 * 1024 * 1024;

/// What a provider is asked.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum ModelsQuestion {
    /// GET /models
    List(ProviderId),
    /// GET /models/{id}, by the upstream's own id.
    Model(ProviderId, Arc<str>),
}

/// A provider's answer to a call.
#[derive(Debug, Clone, Copy)]
pub struct CallAnswer<'a> {
    /// Its HTTP status.
    pub status: u16,
    /// Its head: at least what [`CallAnswer::keeps`] names.
    pub headers: &'a Headers<'a>,
    /// Its body.
    pub body: &'a [u8],
}

impl CallAnswer<'_> {
    /// Whether a header of an error goes on to the client. A host need not hand others over.
    #[must_use]
    pub fn keeps(name: &[u8]) -> bool {
        str::from_utf8(name).is_ok_and(is_kept)
    }
}

/// What came of asking one provider for its list. Cheap to clone.
#[derive(Debug, Clone, PartialEq)]
pub enum ListOutcome {
    /// Its list: all pages of it, sorted by id, each id once. Of one answer, as it came.
    Listed(Arc<List>),
    /// It has no list to give: no such path on its side, in its own words, or not one of its operations here.
    Unlisted(Option<Arc<Refusal>>),
    /// It failed with an error of its own, or was too slow, or answered something else.
    Failed(Option<Arc<Refusal>>),
}

/// What came of asking one provider for one model. Cheap to clone.
#[derive(Debug, Clone, PartialEq)]
pub enum ModelOutcome {
    /// It has the model.
    Found(Arc<ListedModel>),
    /// It says that it does not.
    Missing,
    /// It has no such path, or says nothing of a model there.
    Unanswered,
    /// It failed with an error of its own, or was too slow.
    Failed(Option<Arc<Refusal>>),
    /// It was not asked: too many models are being asked of it.
    Busy,
}

/// An error that a provider answered.
#[derive(Debug, Clone, PartialEq)]
pub struct Refusal {
    /// Its status and words. What goes to a client is looked through for the provider's key once more.
    pub answer: ErrorAnswer,
    /// What stays of its head: limits, `retry-after`. Without the provider's key.
    pub kept: Vec<(Cow<'static, str>, String)>,
}

impl Refusal {
    /// Whether it is no matter of trying again.
    pub(super) fn is_refusal(&self) -> bool {
        matches!(self.answer.status, 400..=499) && !matches!(self.answer.status, 408 | 429)
    }
}

/// The answer to a [`ModelsQuestion`].
#[derive(Debug, Clone, PartialEq)]
pub enum Outcome {
    /// To [`ModelsQuestion::List`].
    List(ListOutcome),
    /// To [`ModelsQuestion::Model`].
    Model(ModelOutcome),
}

/// What one request has gathered.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Outcomes {
    lists: Vec<(ProviderId, ListOutcome)>,
    model: Option<(ProviderId, ModelOutcome)>,
}

impl Outcomes {
    /// What came of asking `provider` for its list; `None` if it was not asked.
    #[must_use]
    pub fn list(&self, provider: ProviderId) -> Option<&ListOutcome> {
        self.lists.iter().find(|(id, _)| *id == provider).map(|(_, outcome)| outcome)
    }

    /// What came of asking `provider` for the model that is wanted; `None` if it was not asked.
    #[must_use]
    pub fn model(&self, provider: ProviderId) -> Option<&ModelOutcome> {
        self.model.as_ref().filter(|(id, _)| *id == provider).map(|(_, outcome)| outcome)
    }

    pub(super) fn has(&self, question: &ModelsQuestion) -> bool {
        match question {
            ModelsQuestion::List(provider) => self.list(*provider).is_some(),
            ModelsQuestion::Model(provider, _) => self.model(*provider).is_some(),
        }
    }

    /// A request asks for one model at most.
    pub(super) fn add(&mut self, question: &ModelsQuestion, outcome: Outcome) {
        match outcome {
            Outcome::List(outcome) => self.lists.push((question.provider(), outcome)),
            Outcome::Model(outcome) => self.model = Some((question.provider(), outcome)),
        }
    }
}

impl FromIterator<(ProviderId, ListOutcome)> for Outcomes {
    fn from_iter<I: IntoIterator<Item = (ProviderId, ListOutcome)>>(lists: I) -> Self {
        Self { lists: lists.into_iter().collect(), model: None }
    }
}

impl ModelsQuestion {
    /// Who is asked.
    #[must_use]
    pub fn provider(&self) -> ProviderId {
        match self {
            Self::List(provider) | Self::Model(provider, _) => *provider,
        }
    }

    /// No answer came.
    pub(super) fn failed(&self) -> Outcome {
        match self {
            Self::List(_) => Outcome::List(ListOutcome::Failed(None)),
            Self::Model(..) => Outcome::Model(ModelOutcome::Failed(None)),
        }
    }

    /// It is no question for this provider.
    pub(super) fn unanswered(&self, said: Option<Arc<Refusal>>) -> Outcome {
        match self {
            Self::List(_) => Outcome::List(ListOutcome::Unlisted(said)),
            Self::Model(..) => Outcome::Model(ModelOutcome::Unanswered),
        }
    }

    /// What a provider's answer says. `key`: what the gateway sent it.
    pub(super) fn outcome(&self, answer: &CallAnswer<'_>, key: Option<&ProviderKey>) -> Outcome {
        let refusal = |error: ErrorAnswer| {
            Some(Arc::new(Refusal { answer: error, kept: kept(answer.headers, key) }))
        };
        match answer.status {
            200..=299 => self.read(answer.body, refusal),
            status @ 400..=599 => {
                let (error, _) = read_http(status, None, answer.body);
                let is_envoys = error.error.code.as_deref() == Some(Code::UpstreamError.as_str())
                    && !answer.body.trim_ascii_start().starts_with(b"{");
                match (self, status) {
                    // Envoy's own reply: no answer came.
                    _ if is_envoys => self.failed(),
                    (Self::Model(_, id), 404 | 410) if is_about_model(&error, id) => {
                        Outcome::Model(ModelOutcome::Missing)
                    }
                    // Servers for one model or one task often have no such path.
                    (_, 404 | 405 | 501) => self.unanswered(refusal(error)),
                    (Self::List(_), _) => Outcome::List(ListOutcome::Failed(refusal(error))),
                    (Self::Model(..), _) => Outcome::Model(ModelOutcome::Failed(refusal(error))),
                }
            }
            _ => self.failed(),
        }
    }

    /// What a good answer says, or the error in one.
    fn read(&self, body: &[u8], refusal: impl Fn(ErrorAnswer) -> Option<Arc<Refusal>>) -> Outcome {
        let told = || from_ok(Operation::Models, body).filter(|error| error.own.is_none());
        match self {
            Self::List(_) => Outcome::List(match parse_list(body, MAX_LIST_BYTES) {
                Ok(list) => ListOutcome::Listed(Arc::new(list)),
                Err(_) => match told() {
                    Some(error) if matches!(error.status, 404 | 405 | 501) => {
                        ListOutcome::Unlisted(refusal(error))
                    }
                    Some(error) => ListOutcome::Failed(refusal(error)),
                    None => ListOutcome::Failed(None),
                },
            }),
            Self::Model(_, id) => Outcome::Model(match parse_model(body, id, MAX_LIST_BYTES) {
                Some(model) => ModelOutcome::Found(Arc::new(model)),
                None => match told() {
                    Some(error) if is_about_model(&error, id) => ModelOutcome::Missing,
                    // Some say of an unknown path with status 200 that they don't know it.
                    _ => ModelOutcome::Unanswered,
                },
            }),
        }
    }
}
