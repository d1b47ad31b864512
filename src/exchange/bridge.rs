//! A Responses request that goes upstream as a chat request, and what its answer needs of it.

use std::hash::{BuildHasher, RandomState};
use std::rc::Rc;

use super::request::{Rewrite, Rewritten, internal, named};
use crate::dialect::responses::AnswerContext;
use crate::dialect::responses::request::{self, to_chat};
use crate::dialect::{cache_control, drop_params};
use crate::error::{Code, GatewayError};
use crate::policy::operation::Operation;
use crate::wire::splice::{self, Edit};

/// Where the chat request goes, behind the provider's base path.
pub(super) const CHAT_PATH: &str = "/chat/completions";

/// A Responses request that was sent as a chat request.
#[derive(Debug)]
pub(super) struct Bridge {
    /// What the answer has to repeat.
    pub context: Rc<AnswerContext>,
    /// Makes the ids of the answer unique.
    pub id: String,
}

impl Bridge {
    /// Converts the complete body `whole` of a request.
    ///
    /// # Errors
    /// What can't be carried over, and `request_too_large` where the chat request would be.
    pub fn rewritten(
        rewrite: &Rewrite<'_>,
        whole: &[u8],
        id: String,
    ) -> Result<Rewritten, GatewayError> {
        let (provider, decision) = (rewrite.provider, rewrite.decision);
        let options = request::ChatRequestOptions {
            model: &decision.target.model,
            stream_usage: provider.stream_usage,
            reasoning_field: provider.reasoning_field.as_deref(),
            takes: provider.takes,
        };
        let chat = to_chat(whole, &options)?;
        let (with, dropped) = settled(rewrite, chat.body, chat.dropped)?;
        let bridge = Self { context: Rc::new(chat.context), id };
        let edits = vec![Edit { span: 0..whole.len(), with }];
        Ok(Rewritten { edits, bridge: Some(bridge), dropped })
    }
}

/// A converted chat request as its provider gets it, under the cache mode and without what this server
/// refuses, and all that was left out.
///
/// # Errors
/// `request_too_large` where it is larger than what may be held.
pub(super) fn settled(
    rewrite: &Rewrite<'_>,
    mut chat: Vec<u8>,
    mut dropped: Vec<String>,
) -> Result<(Vec<u8>, Option<String>), GatewayError> {
    let markers = cache_control::edits(rewrite.decision.cache, &chat)?;
    if !markers.is_empty() {
        chat = splice::apply(&chat, &markers).ok_or_else(internal)?;
    }
    if drop_params::applies(rewrite.provider, Operation::ChatCompletions) {
        let drops = drop_params::edits(rewrite.provider, Operation::ChatCompletions, &chat)?;
        chat = splice::apply(&chat, &drops.edits).ok_or_else(internal)?;
        let mut names = drops.names;
        names.retain(|name| !dropped.contains(name));
        dropped.append(&mut names);
    }
    let limit = rewrite.config.limits.max_buffered_bytes;
    if chat.len() as u64 > limit {
        return Err(GatewayError::new(
            Code::RequestTooLarge,
            format!("As a chat request the body would be larger than {limit} bytes."),
        ));
    }
    Ok((chat, named(&dropped)))
}

/// What makes the ids of an answer unique: Envoy's `x-request-id`, so that they can be found in its
/// logs, and a random number, since a client may send one id with several requests.
pub(super) fn unique_id(request_id: Option<&str>) -> String {
    /// A UUID without its dashes.
    const LONGEST: usize = 32;
    let id = request_id.unwrap_or_default();
    let mut id: String = id.chars().filter(char::is_ascii_alphanumeric).take(LONGEST).collect();
    // std draws its hash keys from the host's random numbers.
    id.push_str(&format!("{:016x}", RandomState::new().hash_one(0)));
    id
}
