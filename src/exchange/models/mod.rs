//! GET /models, answered by the gateway itself: from curated lists and from what providers' own lists
//! say, which the host fetches.
//!
//! [`show`] decides what a key sees of curated lists, of servers' own and of aliases; [`fetch`] decides what to ask
//! providers, and when; [`call`] is one such question, page by page where a list has several; [`outcome`] reads what they
//! answer.

mod anthropic;
pub mod call;
pub mod fetch;
pub mod outcome;
#[cfg(test)]
mod paging_tests;
pub mod show;
#[cfg(test)]
mod tests;

pub use call::Call;
pub use fetch::{Answered, FetchProgress, Fetches};
pub use outcome::{CallAnswer, ListOutcome, ModelOutcome, ModelsQuestion, Outcomes};
pub use show::{Denial, ModelsAnswer, Want, answer, needed};

use std::rc::Rc;
use std::sync::Arc;

use super::Reply;
use super::budget::RETRY_AFTER_SECONDS;
use super::face::Face;
use super::redact::redacted;
use crate::error::{Code, GatewayError};
use crate::policy::key::VirtualKey;
use crate::policy::{Config, Provider};

/// A request for the model list, or for one model, of a virtual key.
#[derive(Debug)]
pub struct ModelsQuery {
    pub(super) key: Arc<VirtualKey>,
    pub(super) want: Want,
    pub(super) style: ListStyle,
    pub(super) request_id: Option<Rc<str>>,
}

/// In whose shape the list is wanted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ListStyle {
    /// OpenAI's.
    Openai,
    /// A page of Anthropic's.
    Anthropic(anthropic::PageQuery),
}

impl ListStyle {
    /// Of a client and the query of its request.
    ///
    /// # Errors
    /// `unsupported_parameter` for a page that can't be.
    pub(super) fn read(face: Face, query: Option<&str>) -> Result<Self, GatewayError> {
        Ok(match face {
            Face::Openai => Self::Openai,
            Face::Anthropic => Self::Anthropic(anthropic::PageQuery::read(query)?),
        })
    }

    fn body(&self, want: &Want, body: Vec<u8>) -> Result<Vec<u8>, GatewayError> {
        match (self, want) {
            (Self::Openai, _) => Ok(body),
            (Self::Anthropic(page), Want::All) => page.of(&body),
            (Self::Anthropic(_), _) => Ok(anthropic::one(&body)),
        }
    }

    fn face(&self) -> Face {
        match self {
            Self::Openai => Face::Openai,
            Self::Anthropic(_) => Face::Anthropic,
        }
    }
}

impl ModelsQuery {
    /// What must be asked of providers for the reply, beside what is `known` of them.
    #[must_use]
    pub fn needed(&self, config: &Config, known: &Outcomes) -> Vec<ModelsQuestion> {
        needed(config, &self.key, &self.want, known)
    }

    /// The reply, once every answer is there or has failed.
    #[must_use]
    pub fn reply(&self, config: &Config, known: &Outcomes) -> Reply {
        let names = &config.headers;
        let request_id = self.request_id.as_deref();
        let face = self.style.face();
        let answer = answer(config, &self.key, &self.want, known)
            .and_then(|answer| Ok((self.style.body(&self.want, answer.body)?, answer.incomplete)));
        match answer {
            Ok((body, incomplete)) => {
                let mut reply = Reply::json(200, body, names, request_id);
                if let Some(incomplete) = incomplete {
                    reply.headers.push((names.models_incomplete.to_string().into(), incomplete));
                }
                reply
            }
            Err(Denial::Own(error)) => {
                let mut reply = face.error(&error, names, request_id);
                if error.code == Code::Overloaded {
                    reply.headers.push(("retry-after".into(), RETRY_AFTER_SECONDS.to_owned()));
                }
                reply
            }
            Err(Denial::Upstreams(provider, said)) => {
                let mut reply = face.upstreams_error(&said.answer, names, request_id);
                // As every other error of an upstream: of its list, there was a quick look only.
                let key = config.providers.get(provider).and_then(Provider::key);
                if let Some(body) = key.and_then(|key| redacted(key, &reply.body)) {
                    reply.body = body;
                }
                reply.headers.extend(said.kept);
                reply
            }
        }
    }
}
