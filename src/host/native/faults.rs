//! Panics on request, to show that none leaves a hook. Built for that test alone (`scripts/native.sh --faults`, and unit
//! tests), never shipped.
//!
//! A hook of a stream is struck where the request's `x-fault` names it. Others know no request: each is struck once in a
//! process whose `GATEWAY_FAULT` names it. Unit tests say it by [`next`].

use std::cell::Cell;
use std::sync::atomic::{AtomicBool, Ordering};

use super::abi::Map;
use super::calls::Filter;
use crate::wire::headers::Headers;

thread_local! {
    static NEXT: Cell<Option<&'static str>> = const { Cell::new(None) };
}

/// The next time that this hook runs on this thread, it panics.
#[cfg(test)]
pub fn next(hook: &'static str) {
    NEXT.set(Some(hook));
}

/// In a hook of a stream.
pub fn strike_stream(filter: Filter, hook: &str) {
    let is_meant = |head: &Headers<'_>| head.get("x-fault") == Some(hook.as_bytes());
    // Sound: nothing is changed.
    if unsafe { filter.read_head(Map::Request, is_meant) } {
        strike_now();
    }
    strike(hook);
}

/// In any hook.
#[allow(clippy::disallowed_methods, reason = "the test's own switch")]
pub fn strike(hook: &str) {
    static IS_DONE: AtomicBool = AtomicBool::new(false);
    if NEXT.get() == Some(hook) {
        NEXT.set(None);
        strike_now();
    }
    let is_asked = std::env::var_os("GATEWAY_FAULT").is_some_and(|asked| asked == hook);
    if is_asked && !IS_DONE.swap(true, Ordering::Relaxed) {
        strike_now();
    }
}

#[expect(clippy::panic, reason = "that is what it is for")]
fn strike_now() {
    panic!("a test has asked for it");
}
