//! A Responses request that goes upstream as a chat request, and what its answer needs of it.

use std::borrow::Cow;
use std::hash::{BuildHasher, RandomState};
use std::rc::Rc;

use super::request::internal;
use crate::config::{Limits, Provider};
use crate::error::{Code, GatewayError};
use crate::responses::Asked;
use crate::responses::request::{self, to_chat};
use crate::splice::{self, Edit};

/// Where the chat request goes, behind the provider's base path.
pub(super) const CHAT_PATH: &str = "/chat/completions";

/// A Responses request that was sent as a chat request.
#[derive(Debug)]
pub(super) struct Bridge {
    /// What the answer has to repeat.
    pub asked: Rc<Asked>,
    /// What could not be carried over: the value of `<prefix>-params-dropped`.
    pub dropped: Option<String>,
    /// Makes the ids of the answer unique.
    pub id: String,
}

impl Bridge {
    /// Converts the complete body `whole`, with `markers` edited, to an edit that replaces all of it.
    ///
    /// # Errors
    /// What can't be carried over, and `request_too_large` where the chat request would be.
    pub fn new(
        whole: &[u8],
        markers: &[Edit],
        provider: &Provider,
        model: &str,
        limits: &Limits,
        id: String,
    ) -> Result<(Self, Edit), GatewayError> {
        let marked = if markers.is_empty() {
            Cow::Borrowed(whole)
        } else {
            Cow::Owned(splice::apply(whole, markers).ok_or_else(internal)?)
        };
        let options = request::Options {
            model,
            stream_usage: provider.stream_usage,
            reasoning_field: provider.reasoning_field.as_deref(),
        };
        let chat = to_chat(&marked, &options)?;
        if chat.body.len() as u64 > limits.max_buffered_bytes {
            return Err(GatewayError::new(
                Code::RequestTooLarge,
                format!(
                    "As a chat request the body would be larger than {} bytes.",
                    limits.max_buffered_bytes
                ),
            ));
        }
        let dropped = (!chat.dropped.is_empty()).then(|| chat.dropped.join(", "));
        let bridge = Self { asked: Rc::new(chat.asked), dropped, id };
        Ok((bridge, Edit { span: 0..whole.len(), with: chat.body }))
    }
}

/// What makes the ids of an answer unique: Envoy's `x-request-id`, or a random number where Envoy gives
/// none.
pub(super) fn unique_id(request_id: Option<&str>, now: u64) -> String {
    /// A UUID without its dashes.
    const LONGEST: usize = 32;
    let id = request_id.unwrap_or_default();
    let id: String = id.chars().filter(char::is_ascii_alphanumeric).take(LONGEST).collect();
    if id.is_empty() {
        // std draws its hash keys from the host's random numbers.
        return format!("{now:08x}{:016x}", RandomState::new().hash_one(now));
    }
    id
}
