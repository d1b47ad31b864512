//! Panics where a request asks for one, to show that none leaves a hook. Built for that test alone
//! (`scripts/native.sh --faults`), never shipped.

use super::abi::Map;
use super::calls::Filter;

/// Panics in the hook that the request's `x-fault` names.
#[expect(clippy::panic, reason = "that is what it is for")]
pub fn strike(filter: Filter, hook: &str) {
    if filter.headers(Map::Request).get("x-fault") == Some(hook.as_bytes()) {
        panic!("the request has asked for it");
    }
}
