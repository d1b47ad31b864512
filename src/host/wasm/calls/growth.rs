//! Bodies that grow are changed when the SDK's callback is over.
//!
//! A body that outgrows Envoy's buffer limit ends its stream within the very call that makes it grow: Envoy replies, and
//! calls `proxy_on_delete`, or another stream's callbacks. The SDK borrows its table of streams for as long as a callback
//! runs, and panics there, which costs every live stream of the worker. So this module's own exports stand before the SDK's
//! (`scripts/exports.py` gives them the names that Envoy calls), and do what was put off when the SDK is through.
//!
//! Of a stream that has ended so, nothing may go on: as an upstream filter Envoy would hand it to a codec that is gone.

use std::cell::RefCell;

use super::{BufferType, set_start};
use crate::wire::headers::block_of;

/// A change that is put off.
struct Growth {
    body: BufferType,
    length: usize,
    with: Vec<u8>,
}

thread_local! {
    /// What is put off in the callback that runs now; `None` where nothing can be.
    static PUT_OFF: RefCell<Option<Vec<Growth>>> = const { RefCell::new(None) };
    /// The streams whose bodies are being changed, one within the other; `None` in the place of one that has ended.
    static CHANGING: RefCell<Vec<Option<u32>>> = const { RefCell::new(Vec::new()) };
}

/// `Action::Pause`.
const PAUSE: u32 = 1;

/// A stream's context is deleted.
pub(super) fn ended(context: u32) {
    CHANGING.with_borrow_mut(|changing| {
        changing
            .iter_mut()
            .filter(|stream| **stream == Some(context))
            .for_each(|stream| *stream = None);
    });
}

/// Puts off a change under which a body grows. `None`, or what is to be written at once.
pub(super) fn put_off(body: BufferType, length: usize, with: Vec<u8>) -> Option<Vec<u8>> {
    PUT_OFF.with_borrow_mut(|put_off| match put_off {
        None => Some(with),
        Some(list) => {
            // The last change of a body is the one that counts.
            list.retain(|growth| growth.body != body);
            if with.len() <= length {
                return Some(with);
            }
            list.push(Growth { body, length, with });
            None
        }
    })
}

/// Runs one of the SDK's callbacks, and what it has put off behind it. Gives the action.
fn run(context: u32, callback: impl FnOnce() -> u32) -> u32 {
    // Envoy may call another stream's callback within what follows: each has its own.
    let outer = PUT_OFF.replace(Some(Vec::new()));
    let mut action = callback();
    let put_off = PUT_OFF.replace(outer).unwrap_or_default();
    if put_off.is_empty() {
        return action;
    }
    CHANGING.with_borrow_mut(|changing| changing.push(Some(context)));
    for Growth { body, length, with } in put_off {
        if CHANGING.with_borrow(|changing| changing.last() == Some(&None)) {
            break;
        }
        if let Err(status) = set_start(body, length, &with) {
            log::error!("can't change a body: {status:?}");
            // Nothing more is known of this stream.
            let _ended = super::reply(500, "", &block_of([].into_iter()), &[]);
        }
    }
    if CHANGING.with_borrow_mut(|changing| changing.pop().flatten().is_none()) {
        action = PAUSE;
    }
    action
}

unsafe extern "C" {
    // The SDK's exports: numbers in, an `Action` out.
    safe fn proxy_on_request_body(context: u32, size: usize, end: u32) -> u32;
    safe fn proxy_on_request_trailers(context: u32, count: usize) -> u32;
    safe fn proxy_on_response_body(context: u32, size: usize, end: u32) -> u32;
    safe fn proxy_on_response_trailers(context: u32, count: usize) -> u32;
}

// SAFETY of the names: nobody else's begin so.

#[unsafe(no_mangle)]
extern "C" fn gateway_on_request_body(context: u32, size: usize, end: u32) -> u32 {
    run(context, || proxy_on_request_body(context, size, end))
}

#[unsafe(no_mangle)]
extern "C" fn gateway_on_request_trailers(context: u32, count: usize) -> u32 {
    run(context, || proxy_on_request_trailers(context, count))
}

#[unsafe(no_mangle)]
extern "C" fn gateway_on_response_body(context: u32, size: usize, end: u32) -> u32 {
    run(context, || proxy_on_response_body(context, size, end))
}

#[unsafe(no_mangle)]
extern "C" fn gateway_on_response_trailers(context: u32, count: usize) -> u32 {
    run(context, || proxy_on_response_trailers(context, count))
}
