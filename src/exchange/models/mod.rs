//! GET /models, answered by the gateway itself: from curated lists and from what providers' own lists
//! say, which the host fetches.
//!
//! [`show`] decides what a key sees of curated lists, of servers' own and of aliases; [`fetch`] decides which lists to
//! ask for, and when.

pub mod fetch;
pub mod show;
#[cfg(test)]
mod tests;

pub use fetch::{Dispatch, FetchProgress, Fetches, ListOutcome, ListOutcomes};
pub use show::{ModelsAnswer, Want, answer, needed};

use std::rc::Rc;

use super::Reply;
use crate::policy::key::VirtualKey;
use crate::policy::{Config, ProviderId};

/// A request for the model list, or for one model, of a virtual key.
#[derive(Debug)]
pub struct ModelsQuery {
    pub(super) key: Rc<VirtualKey>,
    pub(super) want: Want,
    pub(super) request_id: Option<Rc<str>>,
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
        match answer(config, &self.key, &self.want, lists) {
            Ok(answer) => {
                let mut reply = Reply::json(200, answer.body, names, self.request_id.as_deref());
                if let Some(incomplete) = answer.incomplete {
                    reply.headers.push((names.models_incomplete.to_string().into(), incomplete));
                }
                reply
            }
            Err(error) => Reply::error(&error.to_answer(), names, self.request_id.as_deref()),
        }
    }
}
