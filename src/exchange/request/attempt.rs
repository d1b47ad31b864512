//! A further attempt at a request that an earlier instance of this filter has rewritten.
//!
//! As an upstream filter, Envoy makes one instance for each attempt. A second attempt gets the head as
//! the first one left it, with the provider's credential in the place of the virtual key, but the body
//! as the client sent it. The decision is taken up from the notes in filter state, which all attempts
//! share and no client can write.

use std::rc::Rc;

use super::head::Fields;
use crate::exchange::{Note, Route};
use crate::policy::key::VirtualKey;
use crate::policy::operation::Operation;
use crate::policy::{CacheMode, Config, ProviderId};
use crate::wire::json::scan::Facts;

/// What was decided about the request.
#[derive(Debug)]
pub(super) struct Attempt {
    pub key: Rc<VirtualKey>,
    pub operation: Operation,
    provider: ProviderId,
    model: Rc<str>,
    cache: CacheMode,
}

impl Attempt {
    /// What [`Note::Request`] says of a decision. The virtual key's id holds no space.
    pub fn note(key: &str, operation: Operation, provider: &str, model: &str) -> String {
        [key, " ", operation.as_str(), " ", provider, "/", model].concat()
    }

    /// Reads what an earlier instance has noted; `None` where there is nothing of use.
    pub fn recall(
        config: &Config,
        fields: &Fields<'_>,
        recall: impl Fn(Note) -> Option<Vec<u8>>,
    ) -> Option<Self> {
        let note = String::from_utf8(recall(Note::Request)?).ok()?;
        let (id, route) = note.split_once(' ')?;
        let (operation, route) = route.split_once(' ')?;
        let (provider, model) = route.split_once('/')?;
        let key = config.virtual_keys.iter().find(|key| key.id == id)?.clone();
        Some(Self {
            operation: Operation::from_name(operation)?,
            provider: config.providers.by_name(provider)?,
            model: model.into(),
            cache: fields.cache_mode(config, &key).ok()?,
            key,
        })
    }

    /// The same decision again. Whatever id the body names (the client's, or the upstream's if the body
    /// was rewritten before it came here), it leaves with the one that was decided.
    pub fn route(&self, found: String) -> Route {
        Route {
            operation: self.operation,
            provider: self.provider,
            model: self.model.clone(),
            requested: found,
            cache: self.cache,
            facts: Facts::default(),
            bridge: None,
        }
    }
}
