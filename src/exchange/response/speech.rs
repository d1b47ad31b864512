//! Speech: audio streams on. A text, or a JSON object that is the whole body, is an error however it is
//! labelled.

use super::json::joined;
use super::{BodyDecision, BodyOut, ReaderContext, Rest};
use crate::policy::operation::Operation;
use crate::repair::error::{from_ok, from_words, no_answer};
use crate::wire::json::cursor;
use crate::wire::json::tokenizer::Tokenizer;

/// No error has more bytes. Raw audio may begin with a brace; it does not go on as JSON for long.
const MAX_ERROR_BYTES: usize = 16 * 1024;

/// A speech answer, as long as it may be an error.
#[derive(Debug)]
pub(in super::super) struct Speech {
    collected: Vec<u8>,
    /// The content-type says that it is text.
    labelled_text: bool,
    tokenizer: Tokenizer,
}

impl Speech {
    pub(super) fn new(labelled_text: bool) -> Self {
        Self { collected: Vec::new(), labelled_text, tokenizer: Tokenizer::new() }
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
        let may_be_json = self.read(bytes);
        let body = joined(&mut self.collected, bytes);
        let may_be_error = if self.labelled_text {
            std::str::from_utf8(&body).is_ok_and(|text| !text.trim().is_empty())
                || std::str::from_utf8(&body).is_err_and(|error| error.error_len().is_none())
                || (!end && body.trim_ascii().is_empty())
        } else {
            may_be_json
        };
        if !may_be_error || body.len() > MAX_ERROR_BYTES {
            return BodyDecision::Pass { edits: Vec::new(), body: BodyOut::Same, rest: Rest::Pass };
        }
        if !end {
            self.collected = body.into_owned();
            return BodyDecision::Hold;
        }
        let is_object = body.trim_ascii_start().first() == Some(&b'{');
        match cursor::parse(&body) {
            Ok(_) if is_object => {
                let answer = from_ok(Operation::Speech, &body);
                BodyDecision::Fail(answer.unwrap_or_else(|| no_answer(&body)))
            }
            _ if self.labelled_text => BodyDecision::Fail(from_words(&body)),
            _ => BodyDecision::Pass { edits: Vec::new(), body: BodyOut::Same, rest: Rest::Pass },
        }
    }

    /// Whether all that has come may be the beginning of one JSON object.
    fn read(&mut self, bytes: &[u8]) -> bool {
        let blank = |byte: &u8| byte.is_ascii_whitespace();
        let first = self.collected.iter().chain(bytes).find(|byte| !blank(byte));
        if first.is_some_and(|first| *first != b'{') {
            return false;
        }
        let mut at = 0;
        loop {
            match self.tokenizer.next(bytes, &mut at, 0) {
                Ok(Some(_)) => {}
                Ok(None) => return true,
                Err(_) => return false,
            }
        }
    }
}
