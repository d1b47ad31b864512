//! A large answer: its head and beginning go on while the rest is still to come, and is read on its way.

use super::Json;
use crate::exchange::response::decision::{BodyDecision, ReaderContext, Rest, invalid};
use crate::exchange::{BodyOut, SentRequest};
use crate::policy::operation::Operation;
use crate::repair::mend::{Infinite, Mended, Mender};
use crate::repair::peek::{Peek, is_chat};
use crate::telemetry::counters::Repair;

/// What is needed for the rest of a large answer.
#[derive(Debug)]
pub(super) struct Remainder {
    pub(super) mender: Mender,
    /// All that has come, of an answer whose choices are looked at; `None` where it is too large.
    pub(super) sent: Option<Vec<u8>>,
    /// The end of what has come: it may be an error, and does not go on before that is decided.
    pub(super) waiting: Vec<u8>,
}

fn text_of<'a>(mended: &'a Mended, given: &'a [u8]) -> &'a [u8] {
    match mended {
        Mended::Same => given,
        Mended::Bytes(mended) => mended,
    }
}

impl Json {
    /// The beginning of a large answer as it goes on, and what reads the rest of it; `None` where it is no
    /// JSON so far.
    pub(super) fn begin(
        &mut self,
        body: &[u8],
        operation: Operation,
    ) -> Option<(Box<Remainder>, BodyOut)> {
        let mut mender = Mender::new(Infinite::Logprob);
        let mended = mender.push(body);
        let text = text_of(&mended, body);
        if self.peek.is_broken() {
            self.peek = Peek::new(operation);
            self.peek.push(text);
            if self.peek.is_broken() || self.peek.drifts() {
                return None;
            }
        }
        // Of the others, nothing is repaired but what the mender does.
        let sent = is_chat(operation).then(|| text.to_vec());
        let body = match mended {
            Mended::Same => BodyOut::Same,
            Mended::Bytes(mended) => BodyOut::Replace(mended),
        };
        Some((Box::new(Remainder { mender, sent, waiting: Vec::new() }), body))
    }

    /// The rest of a large answer, whose head and beginning have gone on: nearly JSON is mended. What would
    /// have to be repaired, or is an error, breaks the answer off, so that nobody takes it for a good one.
    pub(super) fn go_on(
        &mut self,
        mut rest: Box<Remainder>,
        bytes: &[u8],
        end: bool,
        context: &ReaderContext<'_>,
        route: &SentRequest,
    ) -> BodyDecision {
        let mut mended = rest.mender.push(bytes);
        if end {
            let last = rest.mender.finish();
            if !last.is_empty() {
                let mut all = text_of(&mended, bytes).to_vec();
                all.extend(last);
                mended = Mended::Bytes(all);
            }
        }
        if self.has_length && rest.mender.has_mended() {
            return BodyDecision::Abort(invalid(
                "The upstream's JSON would have to be mended, and its length had been told.",
            ));
        }
        let text = text_of(&mended, bytes);
        self.peek.push(text);
        let limit = context.config.limits.max_answer_bytes;
        rest.sent = rest.sent.filter(|sent| (sent.len() + text.len()) as u64 <= limit);
        if let Some(sent) = &mut rest.sent {
            sent.extend_from_slice(text);
        }
        if self.peek.is_broken() || (end && self.peek.end().is_none()) {
            return BodyDecision::Abort(invalid("The upstream's JSON is cut off or broken."));
        }
        let drifts = self.peek.drifts();
        // Where nothing is left to judge it by, the end will not tell more.
        let is_decided = end || rest.sent.is_none();
        if drifts && is_decided && !self.is_right(rest.sent.as_deref(), context, route) {
            return BodyDecision::Abort(invalid(
                "The upstream's answer has a fault that showed after its beginning had gone on.",
            ));
        }
        if end && rest.mender.has_mended() {
            self.repairs.insert(Repair::Json);
        }
        // An error may repeat the key, or name models: nothing of what may be one goes on.
        let waits = !end && (drifts || self.peek.is_at_error());
        let body = if waits {
            rest.waiting.extend_from_slice(text);
            BodyOut::Replace(Vec::new())
        } else if !rest.waiting.is_empty() {
            rest.waiting.extend_from_slice(text);
            BodyOut::Replace(std::mem::take(&mut rest.waiting))
        } else {
            match mended {
                Mended::Same => BodyOut::Same,
                Mended::Bytes(mended) => BodyOut::Replace(mended),
            }
        };
        if end {
            return BodyDecision::Pass { edits: Vec::new(), body, rest: Rest::Pass };
        }
        self.rest = Some(rest);
        BodyDecision::Pass { edits: Vec::new(), body, rest: Rest::Read }
    }

    /// Whether an answer that had to be looked at closely is right as it was sent.
    fn is_right(
        &mut self,
        sent: Option<&[u8]>,
        context: &ReaderContext<'_>,
        route: &SentRequest,
    ) -> bool {
        let Some(sent) = sent else { return false };
        let repaired = self.repaired(sent, context, route);
        repaired.is_ok_and(|answer| *answer == *sent.trim_ascii())
    }
}
