//! Panics end where they happen.

use std::panic::{AssertUnwindSafe, catch_unwind};

use super::abi::LogLevel;
use super::calls::log;

/// Runs a hook, or what else must not panic, outside of a stream: `None` where it has.
pub(super) fn caught<T>(hook: &str, run: impl FnOnce() -> T) -> Option<T> {
    let outcome = catch_unwind(AssertUnwindSafe(|| {
        #[cfg(any(test, feature = "faults"))]
        super::faults::strike(hook);
        run()
    }));
    if outcome.is_err() {
        log(LogLevel::Error, &format!("a panic was caught in the hook {hook}"));
    }
    outcome.ok()
}
