//! The last event of a stream, before Envoy's access loggers and after everything else.
//!
//! Envoy calls what is exported for each stream, and few need it, so this module's own export stands before the SDK's
//! (`scripts/exports.py` gives it the name that Envoy calls) and asks for no more than whether this one does.

use std::cell::RefCell;
use std::collections::HashSet;

thread_local! {
    /// The streams that have something to do in the end.
    static WAITING: RefCell<HashSet<u32>> = RefCell::default();
}

/// Asks for the event. `context`: the stream's.
pub fn ask(context: u32) {
    WAITING.with_borrow_mut(|waiting| waiting.insert(context));
}

/// The stream is no more.
pub(super) fn forget(context: u32) {
    WAITING.with_borrow_mut(|waiting| waiting.remove(&context));
}

unsafe extern "C" {
    // The SDK's export.
    safe fn proxy_on_log(context: u32);
}

// SAFETY of the name: nobody else's begins so.
#[unsafe(no_mangle)]
extern "C" fn gateway_on_log(context: u32) {
    if WAITING.with_borrow_mut(|waiting| !waiting.is_empty() && waiting.remove(&context)) {
        proxy_on_log(context);
    }
}
