//! What Envoy calls. No panic leaves a hook: the request that met it ends with a 500, the others go on.
//!
//! A hook's name in the log is that of its symbol, behind `envoy_dynamic_module_on_` and `http_filter_`.

use std::cell::{Cell, RefCell};
use std::ffi::c_void;
use std::io::Write as _;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;

use super::abi::{self, AbiVersion, BodyStatus, Envoy, HeadStatus, LogLevel, Pair, Slice};
use super::calls::{Filter, log};
use super::caught::caught;
use super::configuration::Configuration;
use super::filter::{Stream, Verdict};
use crate::exchange::Reply;
use crate::exchange::models::CallAnswer;
use crate::exchange::models::outcome::MAX_LIST_BYTES;
use crate::wire::headers::Headers;

/// The hook in which nothing can be answered any more.
const COMPLETE: &str = "stream_complete";

/// What Envoy keeps for a stream.
struct Handle {
    /// Borrowed while a hook runs: Envoy may call another one from within its own functions.
    stream: RefCell<Stream>,
    /// Envoy has destroyed it from within a hook: an answer that is sent there may end the stream at once. That hook
    /// frees it when it is over.
    destroyed: Cell<bool>,
}

impl Handle {
    /// Takes back the memory of a handle that Envoy has destroyed, unless a hook of it is still running.
    ///
    /// # Safety
    /// `module` is what [`envoy_dynamic_module_on_http_filter_new`] returned, has not been freed, and is not used after
    /// this has been called for the last hook that runs.
    unsafe fn free_if_over(module: *const c_void) {
        let pointer = module.cast_mut().cast::<Self>();
        // Sound: by this function's contract. The reference is gone before the memory is.
        let is_over = {
            let handle = unsafe { &*pointer };
            handle.destroyed.get() && handle.stream.try_borrow_mut().is_ok()
        };
        if is_over {
            // Sound: made by `Box::into_raw`; whoever sets the flag later finds it set, and Envoy destroys once.
            let handle = unsafe { Box::from_raw(pointer) };
            caught("destroy", move || drop(handle));
        }
    }
}

/// Runs a hook of one stream.
///
/// # Safety
/// `module` is what [`envoy_dynamic_module_on_http_filter_new`] returned, null included, and has not been destroyed; `envoy` is what
/// the hook was called with.
unsafe fn guarded(
    envoy: Envoy,
    module: *const c_void,
    hook: &str,
    run: impl FnOnce(&mut Stream, Filter) -> Verdict,
) -> Verdict {
    if module.is_null() {
        return Verdict::Continue; // our own answer passes
    }
    // Sound: by this function's contract. Only shared references to a handle are ever made.
    let (filter, handle) = unsafe { (Filter::new(envoy), &*module.cast::<Handle>()) };
    let outcome = catch_unwind(AssertUnwindSafe(|| {
        let Ok(mut stream) = handle.stream.try_borrow_mut() else {
            // Envoy's own answer to what this stream is just doing.
            return Verdict::Continue;
        };
        #[cfg(any(test, feature = "faults"))]
        super::faults::strike_stream(filter, hook);
        let verdict = run(&mut stream, filter);
        // Of a stream that has ended in this hook nothing may go on: behind the router it would go to a codec that is gone.
        if handle.destroyed.get() || stream.is_cut_off(filter) {
            return Verdict::Hold;
        }
        stream.hook_done(filter, verdict);
        verdict
    }));
    let verdict = outcome.unwrap_or_else(|_| {
        let last_words = catch_unwind(AssertUnwindSafe(|| {
            log(
                LogLevel::Error,
                &format!("a panic was caught in the hook {hook}; its request ends with a 500"),
            );
            let is_over = hook == COMPLETE || handle.destroyed.get();
            if let (false, Ok(mut stream)) = (is_over, handle.stream.try_borrow_mut()) {
                stream.give_up(filter);
            }
        }));
        drop(last_words);
        Verdict::Stop
    });
    // Sound: nothing of the handle is used after this.
    unsafe { Handle::free_if_over(module) };
    verdict
}

/// Answers a request whose stream could not be made. Envoy 1.38 to 1.40 call all hooks of it all the same
/// (envoyproxy/envoy#47508).
///
/// # Safety
/// `envoy` is what the hook was called with.
unsafe fn answer_without_stream(envoy: Envoy) -> Verdict {
    caught("request_headers", || {
        let reply = Reply::without_exchange();
        // Sound: by this function's contract.
        unsafe { Filter::new(envoy) }.send(&reply, &reply.details());
    });
    Verdict::Stop
}

#[unsafe(no_mangle)]
extern "C" fn envoy_dynamic_module_on_program_init() -> AbiVersion {
    let Some(missing) = abi::missing() else { return abi::VERSION.as_ptr() };
    // Not by Envoy's log, nor by what writes there (`caught`): its function for that may be the one.
    let _unheard = writeln!(
        std::io::stderr(),
        "openai-gateway-filter {} is a module for Envoy 1.38 and later, and not loaded: this Envoy has no function \
         {missing}",
        env!("CARGO_PKG_VERSION"),
    );
    std::ptr::null()
}

#[unsafe(no_mangle)]
pub(super) extern "C" fn envoy_dynamic_module_on_http_filter_config_new(
    envoy: Envoy,
    _name: Slice<'_>,
    config: Slice<'_>,
) -> *const c_void {
    // Sound: Envoy keeps the bytes until this hook returns.
    let loaded =
        caught("config_new", || unsafe { Configuration::load(envoy, config.bytes().to_vec()) });
    match loaded.flatten() {
        Some(configuration) => Arc::into_raw(configuration).cast(),
        None => std::ptr::null(), // Envoy refuses the configuration
    }
}

#[unsafe(no_mangle)]
pub(super) extern "C" fn envoy_dynamic_module_on_http_filter_config_destroy(
    configuration: *const c_void,
) {
    // Sound: made by `Arc::into_raw` above, and given back once.
    let configuration = unsafe { Arc::from_raw(configuration.cast::<Configuration>()) };
    caught("config_destroy", move || drop(configuration));
}

#[unsafe(no_mangle)]
pub(super) extern "C" fn envoy_dynamic_module_on_http_filter_new(
    configuration: *const c_void,
    _: Envoy,
) -> *const c_void {
    let made = caught("new", || {
        let configuration = configuration.cast::<Configuration>();
        // Sound: Envoy destroys the configuration after the last of its streams; the count goes up by the one that is taken.
        let configuration = unsafe {
            Arc::increment_strong_count(configuration);
            Arc::from_raw(configuration)
        };
        let worker = configuration.of_this_worker()?;
        Some(Stream::new(configuration, worker))
    });
    let stream = made.and_then(|made| {
        if made.is_none() {
            log(LogLevel::Error, "the configuration could not be compiled for this worker");
        }
        made
    });
    match stream {
        Some(stream) => {
            let handle = Handle { stream: RefCell::new(stream), destroyed: Cell::new(false) };
            Box::into_raw(Box::new(handle)).cast_const().cast()
        }
        None => std::ptr::null(), // the request's hook answers
    }
}

#[unsafe(no_mangle)]
pub(super) extern "C" fn envoy_dynamic_module_on_http_filter_destroy(module: *const c_void) {
    if module.is_null() {
        return;
    }
    // Sound: Envoy destroys a handle once, and uses it no more; a hook that is still running frees it.
    unsafe {
        (*module.cast::<Handle>()).destroyed.set(true);
        Handle::free_if_over(module);
    }
}

#[unsafe(no_mangle)]
pub(super) extern "C" fn envoy_dynamic_module_on_http_filter_request_headers(
    envoy: Envoy,
    module: *const c_void,
    end: bool,
) -> HeadStatus {
    if module.is_null() {
        return unsafe { answer_without_stream(envoy) }.into();
    }
    unsafe {
        guarded(envoy, module, "request_headers", |stream, filter| stream.request_head(filter, end))
    }
    .into()
}

#[unsafe(no_mangle)]
pub(super) extern "C" fn envoy_dynamic_module_on_http_filter_request_body(
    envoy: Envoy,
    module: *const c_void,
    end: bool,
) -> BodyStatus {
    unsafe {
        guarded(envoy, module, "request_body", |stream, filter| stream.request_body(filter, end))
    }
    .into()
}

#[unsafe(no_mangle)]
pub(super) extern "C" fn envoy_dynamic_module_on_http_filter_request_trailers(
    envoy: Envoy,
    module: *const c_void,
) -> HeadStatus {
    unsafe { guarded(envoy, module, "request_trailers", Stream::request_trailers) }.into()
}

#[unsafe(no_mangle)]
pub(super) extern "C" fn envoy_dynamic_module_on_http_filter_response_headers(
    envoy: Envoy,
    module: *const c_void,
    end: bool,
) -> HeadStatus {
    unsafe {
        guarded(envoy, module, "response_headers", |stream, filter| {
            stream.response_head(filter, end)
        })
    }
    .into()
}

#[unsafe(no_mangle)]
pub(super) extern "C" fn envoy_dynamic_module_on_http_filter_response_body(
    envoy: Envoy,
    module: *const c_void,
    end: bool,
) -> BodyStatus {
    unsafe {
        guarded(envoy, module, "response_body", |stream, filter| stream.response_body(filter, end))
    }
    .into()
}

#[unsafe(no_mangle)]
pub(super) extern "C" fn envoy_dynamic_module_on_http_filter_response_trailers(
    envoy: Envoy,
    module: *const c_void,
) -> HeadStatus {
    unsafe { guarded(envoy, module, "response_trailers", Stream::response_trailers) }.into()
}

#[unsafe(no_mangle)]
pub(super) extern "C" fn envoy_dynamic_module_on_http_filter_scheduled(
    envoy: Envoy,
    module: *const c_void,
    _event: u64,
) {
    let woken = |stream: &mut Stream, filter| {
        stream.woken(filter);
        Verdict::Continue
    };
    unsafe { guarded(envoy, module, "scheduled", woken) };
}

#[unsafe(no_mangle)]
pub(super) extern "C" fn envoy_dynamic_module_on_http_filter_http_callout_done(
    envoy: Envoy,
    module: *const c_void,
    id: u64,
    result: u32,
    headers: *const Pair<'_>,
    headers_count: usize,
    chunks: *const Slice<'_>,
    chunks_count: usize,
) {
    // Sound: Envoy keeps both lists, and what they show, until this hook returns.
    let (headers, chunks) = unsafe { (list(headers, headers_count), list(chunks, chunks_count)) };
    let read = || {
        let size: usize = chunks.iter().map(Slice::len).sum();
        if result != abi::SUCCESS || size > MAX_LIST_BYTES {
            return None;
        }
        let (status, headers) = read_head(headers)?;
        let mut body = Vec::with_capacity(size);
        chunks.iter().for_each(|chunk| body.extend_from_slice(unsafe { chunk.bytes() }));
        Some((status, headers, body))
    };
    let called_back = |stream: &mut Stream, filter| {
        stream.called_back(filter, id, read);
        Verdict::Continue
    };
    unsafe { guarded(envoy, module, "http_callout_done", called_back) };
}

/// The status, and what may go on of the head.
fn read_head(headers: &[Pair<'_>]) -> Option<(u16, Headers<'static>)> {
    // Sound: as said where they were taken.
    let pairs = || headers.iter().map(|pair| unsafe { (pair.name.bytes(), pair.value.bytes()) });
    let (_, status) = pairs().find(|(name, _)| *name == b":status")?;
    let status = std::str::from_utf8(status).ok()?.parse().ok()?;
    let kept: Vec<_> = pairs().filter(|(name, _)| CallAnswer::keeps(name)).collect();
    Some((status, Headers::from_bytes(kept.into_iter())))
}

/// # Safety
/// `first` begins `count` items that stay as they are for `'a`, or is null.
unsafe fn list<'a, T>(first: *const T, count: usize) -> &'a [T] {
    if first.is_null() || count == 0 {
        &[]
    } else {
        unsafe { std::slice::from_raw_parts(first, count) }
    }
}

#[unsafe(no_mangle)]
pub(super) extern "C" fn envoy_dynamic_module_on_http_filter_stream_complete(
    envoy: Envoy,
    module: *const c_void,
) {
    let complete = |stream: &mut Stream, filter| {
        stream.complete(filter);
        Verdict::Continue
    };
    unsafe { guarded(envoy, module, COMPLETE, complete) };
}

/// Zero: Envoy's local reply goes on.
#[unsafe(no_mangle)]
pub(super) extern "C" fn envoy_dynamic_module_on_http_filter_local_reply() -> u32 {
    0
}

// Envoy refuses a library that lacks one of these, used or not.
macro_rules! unused {
    ($($name:ident)*) => { $(#[unsafe(no_mangle)] extern "C" fn $name() {})* };
}

unused! {
    envoy_dynamic_module_on_http_filter_http_stream_headers
    envoy_dynamic_module_on_http_filter_http_stream_data
    envoy_dynamic_module_on_http_filter_http_stream_trailers
    envoy_dynamic_module_on_http_filter_http_stream_complete
    envoy_dynamic_module_on_http_filter_http_stream_reset
    envoy_dynamic_module_on_http_filter_config_scheduled
    envoy_dynamic_module_on_http_filter_config_http_callout_done
    envoy_dynamic_module_on_http_filter_config_http_stream_headers
    envoy_dynamic_module_on_http_filter_config_http_stream_data
    envoy_dynamic_module_on_http_filter_config_http_stream_trailers
    envoy_dynamic_module_on_http_filter_config_http_stream_complete
    envoy_dynamic_module_on_http_filter_config_http_stream_reset
    envoy_dynamic_module_on_http_filter_downstream_above_write_buffer_high_watermark
    envoy_dynamic_module_on_http_filter_downstream_below_write_buffer_low_watermark
}
