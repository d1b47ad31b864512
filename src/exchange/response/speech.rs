//! Speech, and pictures that are not labelled as JSON: bytes stream on. A text that is the whole body is an error however it is
//! labelled, unless it is JSON that holds a picture.

use std::borrow::Cow;

use super::decision::{BodyDecision, ReaderContext, Rest, invalid};
use super::json::{joined, may_be_text};
use crate::exchange::BodyOut;
use crate::policy::operation::Operation;
use crate::repair::drift::trim_drift;
use crate::repair::error::{from_ok, from_words, no_answer};
use crate::repair::mend::{Infinite, mend};
use crate::wire::json::cursor;
use crate::wire::json::tokenizer::Kind;

/// No error has more bytes.
const MAX_ERROR_BYTES: usize = 16 * 1024;

/// An answer of bytes, as long as it may be an error.
#[derive(Debug)]
pub(in super::super) struct Speech {
    operation: Operation,
    collected: Vec<u8>,
}

impl Speech {
    pub(super) fn new(operation: Operation) -> Self {
        Self { operation, collected: Vec::new() }
    }

    /// Bytes that are kept of it.
    pub(super) fn held(&self) -> usize {
        self.collected.len()
    }

    pub(super) fn is_holding(&self) -> bool {
        !self.collected.is_empty()
    }

    pub(super) fn push(
        &mut self,
        bytes: &[u8],
        end: bool,
        _context: &ReaderContext<'_>,
    ) -> BodyDecision {
        // What was held is text; a character may go on in the next bytes.
        if self.collected.is_empty() && !may_be_text(bytes) {
            return BodyDecision::Pass { edits: Vec::new(), body: BodyOut::Same, rest: Rest::Pass };
        }
        let body = joined(&mut self.collected, bytes);
        if !may_be_text(&body) || body.len() > MAX_ERROR_BYTES {
            return BodyDecision::Pass { edits: Vec::new(), body: BodyOut::Same, rest: Rest::Pass };
        }
        if !end {
            self.collected = body.into_owned();
            return BodyDecision::Hold;
        }
        if body.is_empty() {
            let what = "The upstream answered HTTP 200 with an empty body.";
            return BodyDecision::Fail(invalid(what).to_answer());
        }
        let said = body.get(trim_drift(&body)).unwrap_or_default();
        let said = mend(said, Infinite::Null).map_or(Cow::Borrowed(said), Cow::Owned);
        let is_picture =
            matches!(self.operation, Operation::ImageGeneration | Operation::ImageEdit);
        let parsed = cursor::parse(&said);
        if is_picture && parsed.is_ok() && from_ok(self.operation, &said).is_none() {
            return BodyDecision::Pass { edits: Vec::new(), body: BodyOut::Same, rest: Rest::Pass };
        }
        BodyDecision::Fail(match parsed {
            Ok(root) if root.kind == Kind::BeginObject => {
                from_ok(Operation::Speech, &said).unwrap_or_else(|| no_answer(&said, "no audio"))
            }
            Ok(root) if root.kind == Kind::BeginArray => {
                from_ok(Operation::Rerank, &said).unwrap_or_else(|| no_answer(&said, "no audio"))
            }
            _ => from_ok(Operation::Speech, &said).unwrap_or_else(|| from_words(&said)),
        })
    }
}
