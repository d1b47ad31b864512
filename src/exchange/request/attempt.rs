//! A further attempt at a request that an earlier instance of this filter has rewritten.
//!
//! As an upstream filter, Envoy makes one instance for each attempt. A second attempt gets the head as
//! the first one left it, with the provider's credential in the place of the virtual key, but the body
//! as the client sent it. The decision is taken up from the notes in filter state, which all attempts
//! share and no client can write.

use std::rc::Rc;
use std::sync::Arc;

use super::head::HeadFields;
use crate::dialect::seal::Sealer;
use crate::exchange::decision::{Decision, sealer};
use crate::policy::key::VirtualKey;
use crate::policy::model::{Plan, Target, Way};
use crate::policy::operation::Operation;
use crate::policy::{CacheMode, Config, ProviderId};
use crate::wire::json::scan::BodyFacts;
use crate::wire::model_span::ModelSpan;

/// What was decided about the request.
#[derive(Debug)]
pub(super) struct Attempt {
    pub key: Arc<VirtualKey>,
    pub operation: Operation,
    target: Target,
    cache: CacheMode,
    sealer: Option<Rc<Sealer>>,
    has_version: bool,
}

impl Attempt {
    /// What [`crate::exchange::Note::Request`] says of a decision and who is asked. The virtual key's id
    /// holds no space.
    pub fn note(decision: &Decision, provider: &str, model: &str) -> String {
        [&*decision.key.id, " ", decision.operation.as_str(), " ", provider, "/", model].concat()
    }

    /// Reads what an earlier instance has noted under [`crate::exchange::Note::Request`]; `None` where that is
    /// nothing of use.
    pub fn recall(config: &Config, fields: &HeadFields<'_>, note: Vec<u8>) -> Option<Self> {
        let note = String::from_utf8(note).ok()?;
        let (id, route) = note.split_once(' ')?;
        let (operation, route) = route.split_once(' ')?;
        let (provider, model) = route.split_once('/')?;
        let key = Arc::clone(config.virtual_keys.by_id(id)?);
        let operation = Operation::from_note(operation)?;
        Some(Self {
            operation,
            target: Target { provider: config.providers.by_name(provider)?, model: model.into() },
            cache: fields.cache_mode(config, &key).ok()?,
            // The virtual key is no longer there: nothing is sealed without a secret of the operator's.
            sealer: sealer(config, operation, &key.id, || None),
            has_version: fields.has_version,
            key,
        })
    }

    /// Whom the earlier instance has asked.
    pub fn provider(&self) -> ProviderId {
        self.target.provider
    }

    /// The same decision again. Whatever id the body names (the client's, or the upstream's if the body
    /// was rewritten before it came here), it leaves with the one that was decided.
    pub fn decision(&self, found: ModelSpan) -> Decision {
        Decision {
            key: self.key.clone(),
            operation: self.operation,
            plan: Plan { first: self.target.clone(), rest: Vec::new(), way: Way::Own },
            requested: found.id,
            cache: self.cache,
            sealer: self.sealer.clone(),
            path: String::new(),
            has_version: self.has_version,
            is_page: false,
            declared: None,
            span: found.span,
            length_span: found.length,
            facts: BodyFacts::default(),
            is_complete: false,
        }
    }
}
