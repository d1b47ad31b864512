//! Answers with status 4xx and 5xx: the body is collected and leaves as OpenAI's envelope.

use super::decision::{BodyDecision, ReaderContext, Rest};
use super::head::{AnswerFields, content_length};
use crate::dialect::messages::error::is_envelope;
use crate::error::{Code, ErrorAnswer, GatewayError};
use crate::exchange::BodyOut;
use crate::exchange::face::Face;
use crate::repair::error::{MAX_ERROR_BYTES, read_http};
use crate::telemetry::counters::AnswerFault;

/// An error body that is being collected.
#[derive(Debug)]
pub(in super::super) struct FailureBody {
    status: u16,
    content_type: Option<Vec<u8>>,
    encoded: bool,
    collected: Vec<u8>,
}

impl FailureBody {
    pub(super) fn new(status: u16, fields: &AnswerFields<'_>) -> Self {
        let content_type = fields.content_type.map(<[u8]>::to_vec);
        Self { status, content_type, encoded: fields.is_encoded, collected: Vec::new() }
    }

    pub(super) fn push(
        &mut self,
        bytes: &[u8],
        end: bool,
        context: &ReaderContext<'_>,
    ) -> BodyDecision {
        self.collected.extend_from_slice(bytes);
        if !end && self.collected.len() < MAX_ERROR_BYTES {
            return BodyDecision::Hold;
        }
        match self.answer(context) {
            Some(answer) => BodyDecision::Fail(answer),
            // Canonical: the body stays, and its length is known now.
            None => {
                let (length, body) = match context.redacted(&self.collected) {
                    Some(redacted) => (redacted.len(), BodyOut::Replace(redacted)),
                    None => (self.collected.len(), BodyOut::Same),
                };
                let edits = if end { vec![content_length(length)] } else { Vec::new() };
                BodyDecision::Pass { edits, body, rest: Rest::Pass }
            }
        }
    }

    /// Bytes that are kept of it.
    pub(super) fn held(&self) -> usize {
        self.collected.len()
    }

    pub(super) fn is_holding(&self) -> bool {
        !self.collected.is_empty()
    }

    /// While the request is still held, a 413 is Envoy's buffer limit and not the upstream's answer.
    pub(super) fn is_buffer_limit(&self, searching: bool) -> bool {
        self.status == 413 && searching
    }

    /// How it is counted, where something else takes its place.
    pub(super) fn fault(&self) -> AnswerFault {
        if self.is_unreadable() { AnswerFault::Unreadable } else { AnswerFault::Error }
    }

    /// Asked for identity, and yet compressed: nobody here can say what it tells, so it does not go on.
    fn is_unreadable(&self) -> bool {
        self.encoded && str::from_utf8(&self.collected).is_err()
    }

    /// What the answer becomes; `None` when it stays: it is canonical already.
    pub(super) fn answer(&self, context: &ReaderContext<'_>) -> Option<ErrorAnswer> {
        if self.is_buffer_limit(context.searching) {
            return Some(
                GatewayError::new(
                    Code::RequestTooLarge,
                    "More of the body than Envoy may buffer came before \"model\". Put `model` \
                     first, before large values and files.",
                )
                .with_param("model")
                .to_answer(),
            );
        }
        if self.is_unreadable() {
            let (mut answer, _) = read_http(self.status, None, b"");
            answer.error.message = format!(
                "The upstream answered HTTP {} with a body that is compressed, although it was asked for none: what it says \
                 can't be read.",
                self.status
            );
            return Some(answer);
        }
        let content_type = self.content_type.as_deref();
        let (mut answer, is_canonical) = read_http(self.status, content_type, &self.collected);
        let stays = match context.face {
            Face::Openai => is_canonical,
            Face::Anthropic => {
                let is_native = context.route.is_some_and(|route| route.bridge.is_none());
                is_native && is_envelope(self.status, &self.collected)
            }
        };
        // Where its shape is right, what it says may still be more than the client is to know.
        (context.disclose(&mut answer) || !stays).then_some(answer)
    }
}
