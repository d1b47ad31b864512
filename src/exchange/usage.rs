//! Token counts in filter state, where `usage.mode` of the request's key says so: who asked and for what, what it is
//! estimated to take, and at the end what it took. Envoy's limits and exports read them there.
//!
//! What is final is written with the answer's end, and where it has none, when the exchange is over: Envoy's access loggers
//! come after that, and so does the rate limit service's `apply_on_stream_done`. In two positions the attempt's instance is gone by then where a client has left, so it
//! notes what it has counted as it goes ([`Note::Counted`]), and the listener's instance takes it up.

use super::decision::Decision;
use super::{Exchange, Note, Surroundings};
use crate::policy::model::{self, Target};
use crate::policy::operation::Operation;
use crate::policy::{Positions, UsageMode, UsageSettings};
use crate::telemetry::counters::AnswerFault;
use crate::telemetry::usage::{Counts, Meter, Reading};

/// The `gateway_model` of one that the configuration does not name: no client can make new labels.
const OTHER: &str = "other";

/// The four that are always written together: to who adds them up, one that is missing is a mistake.
const TOKENS: [Note; 4] =
    [Note::InputTokens, Note::OutputTokens, Note::CachedTokens, Note::TotalTokens];

/// The most that Envoy adds to a limit for one request: what asks for more is not counted at all (`MAX_HITS_ADDEND` in Envoy's
/// `ratelimit_config.cc`).
const MOST_ADDED: u64 = 1_000_000_000;

/// What is known of an exchange's tokens.
#[derive(Debug, Default)]
pub(super) struct Tally {
    /// Which operation is asked for, once that is known.
    pub operation: Option<Operation>,
    /// The request has been let go: from here on something counts.
    is_released: bool,
    /// Tokens of its text, as estimated.
    pub input: u64,
    /// The facts stand in filter state, the counts as zeros.
    is_begun: bool,
    /// The head of an answer has come by.
    pub is_answered: bool,
    /// This is the second position: the listener's instance has written the facts.
    is_attempt: bool,
    /// What the answer says.
    pub meter: Meter,
    /// What was noted of it last.
    noted: Option<Reading>,
    /// This is one attempt's instance and there is none in the listener. Where a client leaves it is gone before anybody can
    /// ask it, so it writes what it counts as it goes.
    is_alone: bool,
    /// The counts as they stand in filter state; `None`: as zeros.
    written: Option<Counts>,
    /// What is final is written.
    is_told: bool,
    /// Whether its counts can be has been looked at.
    is_judged: bool,
}

impl Tally {
    /// This is the second position, and its request on its way.
    pub fn attempt(&mut self) {
        (self.is_attempt, self.is_begun, self.is_released) = (true, true, true);
    }
}

/// What a request is estimated to take.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) struct Estimate {
    /// Tokens of its text.
    pub input: u64,
    /// Those, and the most that its answer may have.
    pub total: u64,
}

impl Exchange {
    /// `usage` of the request's key; the global one before it is known.
    pub(super) fn usage(&self) -> UsageSettings {
        self.key.as_ref().map_or(self.config.usage, |key| key.usage)
    }

    /// Whether tokens are counted.
    #[must_use]
    pub fn is_metered(&self) -> bool {
        self.usage().mode != UsageMode::Off
    }

    /// Whose request it is: known keys that are refused have a name, too.
    pub(super) fn note_key(&mut self) {
        if self.is_metered()
            && let Some(key) = &self.key
        {
            self.notes.push((Note::VirtualKey, key.id.to_string()));
        }
    }

    /// The facts of a request of which nothing counts, or not yet.
    pub(super) fn note_uncounted(&mut self) {
        if self.is_metered() && !std::mem::replace(&mut self.tally.is_begun, true) {
            let operation = self.tally.operation.map(|operation| operation.as_str().to_owned());
            self.notes.extend(operation.map(|operation| (Note::Operation, operation)));
            self.notes.extend(TOKENS.map(|note| (note, "0".to_owned())));
        }
    }

    /// The facts of a request that is let go to `target`.
    pub(super) fn note_released(
        &mut self,
        decision: &Decision,
        target: &Target,
        estimate: Estimate,
    ) {
        if !self.is_metered() {
            return;
        }
        self.tally.is_released = counts(decision.operation);
        let estimate = if self.tally.is_released { estimate } else { Estimate::default() };
        self.tally.input = estimate.input;
        self.notes.push((Note::Estimate, estimate.total.min(MOST_ADDED).to_string()));
        self.note_model(&decision.requested, target);
        self.note_uncounted();
    }

    /// In the second position: the facts of an attempt that is not the one which was foreseen.
    pub(super) fn note_model(&mut self, requested: &str, target: &Target) {
        if self.is_metered() {
            let key = self.key.as_deref();
            let is_named =
                key.is_some_and(|key| model::is_named(&self.config, key, requested, target));
            let model = if is_named { &*target.model } else { OTHER };
            self.notes.push((Note::Model, model.to_owned()));
        }
    }

    /// What has been counted so far; `None` where nothing is, or nothing counts.
    #[must_use]
    pub fn counts(&self) -> Option<Counts> {
        if !self.tally.is_released {
            return None;
        }
        let reading = self.tally.meter.reading()?;
        // What is still held has not been sent.
        let reading = if self.response_head_sent { reading } else { Reading::estimated(0) };
        Some(reading.counts(self.tally.input))
    }

    /// In one position: finds out whether it is that of an upstream's filters. There alone a host is chosen by now.
    pub(super) fn read_place(&mut self, around: &dyn Surroundings) {
        let is_one = self.config.routing.positions == Positions::One;
        self.tally.is_alone = is_one && self.is_metered() && around.attempt() > 0;
    }

    /// In an upstream's filters: notes what is new of the counts, for an answer that is on its way.
    pub(super) fn note_counted(&mut self) {
        if self.tally.is_alone && self.response_head_sent && !self.tally.is_told {
            if let Some(counts) = self.counts() {
                self.write(counts);
            }
            return;
        }
        if !self.tally.is_attempt || !self.response_head_sent || !self.is_metered() {
            return;
        }
        let reading = self.tally.meter.reading();
        if reading != self.tally.noted
            && let Some(reading) = reading
        {
            self.tally.noted = Some(reading);
            self.notes.push((Note::Counted, reading.to_string()));
        }
    }

    /// The end of the answer goes on, so that what is counted now is final. Envoy ends its span right after that, and
    /// before its access loggers.
    pub fn on_answered(&mut self, around: &dyn Surroundings) {
        let is_new = self.tally.is_released && !std::mem::replace(&mut self.tally.is_judged, true);
        if is_new && self.tally.meter.is_miscounted() {
            self.count_answer(AnswerFault::Miscounted);
        }
        if !self.tally.is_attempt {
            self.on_done(around);
        }
    }

    /// The exchange is over, whoever ended it: to be called before Envoy's access loggers.
    pub fn on_done(&mut self, around: &dyn Surroundings) {
        if self.tally.is_released && !std::mem::replace(&mut self.tally.is_told, true) {
            self.write_last(around);
        }
    }

    /// What the host does next may end the exchange before it can say so: writes what [`Self::on_done`] would, which may come
    /// all the same. An attempt is one of several: the listener's instance knows the end.
    pub fn on_may_end(&mut self, around: &dyn Surroundings) {
        let tally = &self.tally;
        if tally.is_released && !tally.is_told && !tally.is_attempt {
            self.write_last(around);
        }
    }

    fn write_last(&mut self, around: &dyn Surroundings) {
        let counts = match self.config.routing.positions {
            Positions::One => self.counts(),
            Positions::Two => match around.recall(Note::Counted) {
                Some(note) => Reading::read(&note).map(|told| told.counts(self.tally.input)),
                // No attempt has let an answer go that counts: where none has come either, the request alone does.
                None => self.counts().filter(|_| !self.tally.is_answered),
            },
        };
        if let Some(counts) = counts {
            self.write(counts);
        }
    }

    /// Writes what is new of the counts.
    fn write(&mut self, counts: Counts) {
        let four = |counts: Counts| [counts.input, counts.output, counts.cached, counts.total];
        let before = self.tally.written.replace(counts);
        let stand = before.map_or([0; 4], four);
        for (note, (count, stands)) in TOKENS.into_iter().zip(four(counts).into_iter().zip(stand)) {
            if count != stands {
                self.notes.push((note, count.to_string()));
            }
        }
        if before.is_none_or(|before| before.source != counts.source) {
            self.notes.push((Note::UsageSource, counts.source.as_str().to_owned()));
        }
    }
}

/// Whether an answer to the operation may cost tokens.
fn counts(operation: Operation) -> bool {
    use Operation::{Batches, CountTokens, Files, Models, ResponsesInputTokens};
    !matches!(operation, CountTokens | ResponsesInputTokens | Models | Files | Batches)
}
