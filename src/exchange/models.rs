//! GET /models, answered by the gateway itself: from curated lists and from what providers' own lists
//! say, which the host fetches.

use std::rc::Rc;

use super::Reply;
use crate::config::{Config, ProviderId};
use crate::key::VirtualKey;
use crate::models::{Outcomes, Want, answer, needed};

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
    pub fn reply(&self, config: &Config, lists: &Outcomes) -> Reply {
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
