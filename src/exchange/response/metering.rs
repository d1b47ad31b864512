//! Which answers are metered: those that count, once their heads say that they may be good.

use super::phase::ResponsePhase;
use crate::exchange::Exchange;

impl Exchange {
    /// The head of an answer has come, and this reads it.
    pub(super) fn meter_answer(&mut self, phase: &ResponsePhase) {
        if !self.is_metered() {
            return;
        }
        if matches!(phase, ResponsePhase::Failure(_) | ResponsePhase::NoAnswer(_)) {
            self.tally.meter.void();
        } else if let Some(route) = self.request.route()
            && self.counts().is_some()
        {
            self.tally.meter.begin(route.answered_as());
        }
    }
}
