//! How much of a body is read.

/// How much reading one body is worth. Servers nest two or three levels; some of the names are looked
/// at from two sides, so without an end a body nested on purpose would take exponential time.
pub(super) struct ReadingLimit {
    /// Values still to be read.
    steps: u32,
    /// Levels still to be gone down.
    levels: u32,
}

impl ReadingLimit {
    /// Enough for what any server writes.
    pub(super) fn of_one_body() -> Self {
        Self { steps: 1_024, levels: 16 }
    }

    pub(super) fn spend(&mut self, steps: u32) -> bool {
        let enough = self.steps >= steps;
        self.steps = self.steps.saturating_sub(steps);
        enough
    }

    /// One level further down.
    pub(super) fn below<T>(&mut self, read: impl FnOnce(&mut Self) -> Option<T>) -> Option<T> {
        if self.levels == 0 || !self.spend(1) {
            return None;
        }
        self.levels -= 1;
        let found = read(self);
        self.levels += 1;
        found
    }
}
