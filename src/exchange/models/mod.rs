//! GET /models, answered by the gateway itself: from curated lists and from what providers' own lists
//! say, which the host fetches.
//!
//! [`show`] decides what a key sees of curated lists, of servers' own and of aliases; [`fetch`] decides which lists to
//! ask for, and when.

mod anthropic;
pub mod fetch;
pub mod show;
#[cfg(test)]
mod tests;

pub use fetch::{Dispatch, FetchProgress, Fetches, ListOutcome, ListOutcomes};
pub use show::{ModelsAnswer, Want, answer, needed};

use std::rc::Rc;
use std::sync::Arc;

use super::Reply;
use super::face::Face;
use crate::error::GatewayError;
use crate::policy::key::VirtualKey;
use crate::policy::{Config, ProviderId};

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
    /// The providers whose own lists must be fetched for the reply.
    #[must_use]
    pub fn needed(&self, config: &Config) -> Vec<ProviderId> {
        needed(config, &self.key, &self.want)
    }

    /// The reply, once every list is there or has failed.
    #[must_use]
    pub fn reply(&self, config: &Config, lists: &ListOutcomes) -> Reply {
        let names = &config.headers;
        let answer = answer(config, &self.key, &self.want, lists)
            .and_then(|answer| Ok((self.style.body(&self.want, answer.body)?, answer.incomplete)));
        match answer {
            Ok((body, incomplete)) => {
                let mut reply = Reply::json(200, body, names, self.request_id.as_deref());
                if let Some(incomplete) = incomplete {
                    reply.headers.push((names.models_incomplete.to_string().into(), incomplete));
                }
                reply
            }
            Err(error) => {
                let request_id = self.request_id.as_deref();
                self.style.face().error(&error, names, request_id)
            }
        }
    }
}
