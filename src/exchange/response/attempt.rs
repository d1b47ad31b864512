//! Two positions on the way back. An attempt's instance makes the answer what a client is to see, so that
//! Envoy judges it by that, and says so in a note; the listener's instance leaves such an answer alone, and
//! does for Envoy's own replies what it does in one position.

use super::phase::ResponsePhase;
use super::relayed;
use super::replacement::VIA_UPSTREAM;
use crate::exchange::request::RequestPhase;
use crate::exchange::trail::{AttemptEnd, Trail};
use crate::exchange::{BodyOut, Exchange, Note, ResponseStep, Surroundings};
use crate::policy::Positions;
use crate::wire::headers::HeaderEdit;

impl Exchange {
    /// Whether the answer that comes now is as a client is to see it, to be asked before its head is read.
    /// It then passes: none of the callbacks for answers need be called.
    pub fn leaves_answer(&mut self, around: &dyn Surroundings) -> bool {
        if self.config.routing.positions == Positions::One
            || !matches!(self.request, RequestPhase::Streaming(_))
        {
            return false;
        }
        self.tally.is_answered = true;
        let Some(note) = around.recall(Note::Attempts) else { return false };
        let trail = Trail::read(&note);
        let Some(last) = trail.last() else { return false };
        let is_done = match last.end {
            AttemptEnd::Replied => true,
            // Envoy has no reason to try again, and nothing of its own to say.
            AttemptEnd::Answered(200..300) => true,
            // It may be of an earlier attempt, and this a reply of Envoy's own.
            AttemptEnd::Answered(_) => {
                around.answer_details().as_deref() == Some(VIA_UPSTREAM.as_bytes())
            }
            AttemptEnd::Bare(_) | AttemptEnd::Open => false,
        };
        if matches!(last.end, AttemptEnd::Bare(_))
            && around.answer_details().as_deref() == Some(VIA_UPSTREAM.as_bytes())
        {
            self.relayed = around.recall(Note::Reply).and_then(|note| relayed::read(&note));
        }
        if is_done {
            self.response_head_sent = true;
            return true;
        }
        let asked = self.config.providers.by_name(&last.provider);
        if let Some(asked) = asked {
            self.request.was_sent_to(asked);
        }
        self.trail = Some(trail);
        false
    }

    /// Whether this is the second position.
    pub(super) fn is_attempt(&self) -> bool {
        self.trail.is_some()
            && matches!(self.request, RequestPhase::Placed(_) | RequestPhase::Placing(_))
    }

    /// Adds to a step that lets the answer's head go what there is to tell of the attempts. `head_sent`: it had gone before.
    pub(super) fn told(&mut self, head_sent: bool, step: ResponseStep) -> ResponseStep {
        if head_sent || self.trail.is_none() {
            return step;
        }
        match step {
            ResponseStep::Release(mut edits, body) => {
                if self.is_attempt() {
                    let status = status_of(&edits).unwrap_or(self.answer_status);
                    self.end_attempt(AttemptEnd::Answered(status));
                }
                edits.extend(
                    self.attempts()
                        .map(|tried| HeaderEdit::set(&self.config.headers.attempts, tried)),
                );
                ResponseStep::Release(edits, body)
            }
            ResponseStep::Reply(reply) if self.is_attempt() => {
                self.notes.push((Note::Reply, relayed::write(&reply)));
                self.end_attempt(AttemptEnd::Bare(reply.status));
                self.response = ResponsePhase::Passing;
                self.response_head_sent = true;
                let status = HeaderEdit::set(":status", reply.status.to_string());
                ResponseStep::Release(vec![status], BodyOut::Same)
            }
            ResponseStep::Reply(mut reply) => {
                if let Some(tried) = self.attempts() {
                    reply.headers.push((self.config.headers.attempts.to_string().into(), tried));
                }
                ResponseStep::Reply(reply)
            }
            ResponseStep::Continue | ResponseStep::Hold | ResponseStep::ReadHead => step,
        }
    }

    fn end_attempt(&mut self, end: AttemptEnd) {
        if let Some(trail) = &mut self.trail {
            trail.end(end);
        }
        self.note_trail();
    }

    /// The value of `<prefix>-attempts`.
    fn attempts(&self) -> Option<String> {
        self.trail.as_ref().and_then(Trail::header)
    }
}

fn status_of(edits: &[HeaderEdit]) -> Option<u16> {
    edits.iter().rev().find_map(|edit| match edit {
        HeaderEdit::Set(name, value) if &**name == ":status" => value.parse().ok(),
        _ => None,
    })
}
