//! Host functions of proxy-wasm ABI 0.2.1 whose failure is a value.
//!
//! The SDK's wrappers panic on any status that they do not list and on header values that are not
//! UTF-8. A panic costs every live stream of the worker, so the functions that a request can reach are
//! imported again here, with bytes and `Result`. All `unsafe` of this host is here, in [`growth`] and in [`last`].
#![allow(unsafe_code)]

mod growth;
mod last;

pub use last::ask as ask_for_last;

use std::time::Duration;

use crate::wire::headers::{HeaderEdit, Headers};

/// A host call's status other than OK (`WasmResult` in proxy-wasm-cpp-host).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Status(pub u32);

/// Which head (`WasmHeaderMapType`).
#[derive(Debug, Clone, Copy)]
#[repr(u32)]
pub enum HeaderMapType {
    /// The request's.
    Request = 0,
    /// The request's trailers.
    RequestTrailers = 1,
    /// The answer's.
    Response = 2,
    /// The answer's trailers.
    ResponseTrailers = 3,
    /// That of an answer to a call of our own.
    CallResponse = 6,
}

/// Which body (`WasmBufferType`).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u32)]
pub enum BufferType {
    /// The request's.
    Request = 0,
    /// The answer's.
    Response = 1,
    /// That of an answer to a call of our own.
    CallResponse = 4,
    /// The plugin configuration.
    Configuration = 7,
}

unsafe extern "C" {
    fn proxy_get_buffer_bytes(
        buffer: u32,
        start: usize,
        max_size: usize,
        data: *mut *mut u8,
        size: *mut usize,
    ) -> u32;
    fn proxy_set_buffer_bytes(
        buffer: u32,
        start: usize,
        length: usize,
        data: *const u8,
        size: usize,
    ) -> u32;
    fn proxy_get_header_map_pairs(map: u32, data: *mut *mut u8, size: *mut usize) -> u32;
    fn proxy_add_header_map_value(
        map: u32,
        name: *const u8,
        name_size: usize,
        value: *const u8,
        value_size: usize,
    ) -> u32;
    fn proxy_replace_header_map_value(
        map: u32,
        name: *const u8,
        name_size: usize,
        value: *const u8,
        value_size: usize,
    ) -> u32;
    fn proxy_remove_header_map_value(map: u32, name: *const u8, name_size: usize) -> u32;
    fn proxy_set_property(
        path: *const u8,
        path_size: usize,
        value: *const u8,
        value_size: usize,
    ) -> u32;
    fn proxy_get_property(
        path: *const u8,
        path_size: usize,
        data: *mut *mut u8,
        size: *mut usize,
    ) -> u32;
    fn proxy_get_current_time_nanoseconds(time: *mut u64) -> u32;
    fn proxy_set_tick_period_milliseconds(period: u32) -> u32;
    fn proxy_define_metric(kind: u32, name: *const u8, name_size: usize, id: *mut u32) -> u32;
    fn proxy_increment_metric(id: u32, offset: i64) -> u32;
    fn proxy_send_local_response(
        status: u32,
        details: *const u8,
        details_size: usize,
        body: *const u8,
        body_size: usize,
        headers: *const u8,
        headers_size: usize,
        grpc_status: i32,
    ) -> u32;
}

fn check(status: u32) -> Result<(), Status> {
    if status == 0 { Ok(()) } else { Err(Status(status)) }
}

/// Runs a call that answers with bytes which the host allocated in our memory through
/// `proxy_on_memory_allocate`: a boxed slice of exactly `size` bytes.
fn returned(call: impl FnOnce(*mut *mut u8, *mut usize) -> u32) -> Result<Vec<u8>, Status> {
    let mut data = std::ptr::null_mut();
    let mut size = 0;
    check(call(&raw mut data, &raw mut size))?;
    if data.is_null() || size == 0 {
        return Ok(Vec::new());
    }
    // SAFETY: the host got `data` from the SDK's allocator export, which leaks a boxed slice of `size`
    // bytes, and filled all of it.
    Ok(unsafe { Vec::from_raw_parts(data, size, size) })
}

/// `size` bytes of a body from `start` on; fewer if it holds fewer.
pub fn body(body: BufferType, start: usize, size: usize) -> Result<Vec<u8>, Status> {
    // SAFETY: out-pointers are valid for the call.
    returned(|data, len| unsafe { proxy_get_buffer_bytes(body as u32, start, size, data, len) })
}

/// Replaces the first `length` bytes of a body. Envoy accepts no range that starts further in. A body that grows is changed
/// once the callback is over (see [`growth`]).
pub fn replace_start(body: BufferType, length: usize, with: Vec<u8>) -> Result<(), Status> {
    match growth::put_off(body, length, with) {
        Some(with) => set_start(body, length, &with),
        None => Ok(()),
    }
}

fn set_start(body: BufferType, length: usize, with: &[u8]) -> Result<(), Status> {
    // SAFETY: `with` is valid for the call; the host copies it.
    check(unsafe { proxy_set_buffer_bytes(body as u32, 0, length, with.as_ptr(), with.len()) })
}

/// A whole head in one call.
pub fn headers(head: HeaderMapType) -> Result<Headers<'static>, Status> {
    // SAFETY: out-pointers are valid for the call.
    returned(|data, len| unsafe { proxy_get_header_map_pairs(head as u32, data, len) })
        .map(Headers::new)
}

/// Applies one edit to a head that has not been handed on yet.
pub fn edit(head: HeaderMapType, edit: &HeaderEdit) -> Result<(), Status> {
    let map = head as u32;
    let name = edit.name();
    let (name, length) = (name.as_ptr(), name.len());
    // SAFETY: names and values are valid for the call; the host copies them.
    let add = |value: &[u8]| unsafe {
        proxy_add_header_map_value(map, name, length, value.as_ptr(), value.len())
    };
    // SAFETY: as above.
    let remove = || unsafe { proxy_remove_header_map_value(map, name, length) };
    match edit {
        // SAFETY: as above.
        HeaderEdit::Set(_, value) => check(unsafe {
            proxy_replace_header_map_value(map, name, length, value.as_ptr(), value.len())
        }),
        HeaderEdit::Add(_, value) => check(add(value.as_bytes())),
        HeaderEdit::Remove(_) => check(remove()),
        HeaderEdit::Restore(_, values) => {
            check(remove())?;
            values.iter().try_for_each(|value| check(add(value)))
        }
    }
}

/// Writes filter state `wasm.<key>`, which an access log can show.
pub fn set_filter_state(key: &str, value: &str) -> Result<(), Status> {
    // SAFETY: both are valid for the call; the host copies them.
    check(unsafe { proxy_set_property(key.as_ptr(), key.len(), value.as_ptr(), value.len()) })
}

/// A property by its path.
pub fn property(path: &[&str]) -> Result<Vec<u8>, Status> {
    let path = path.join("\0");
    // SAFETY: the path and the out-pointers are valid for the call.
    returned(|data, len| unsafe { proxy_get_property(path.as_ptr(), path.len(), data, len) })
}

/// Unix time in milliseconds; the far future if the host does not tell, so that what expires has
/// expired.
pub fn now_ms() -> u64 {
    let mut nanoseconds = 0;
    // SAFETY: the out-pointer is valid for the call.
    match check(unsafe { proxy_get_current_time_nanoseconds(&raw mut nanoseconds) }) {
        Ok(()) => nanoseconds / 1_000_000,
        Err(_) => u64::MAX,
    }
}

/// A stream's context is deleted.
pub fn ended(context: u32) {
    growth::ended(context);
    last::forget(context);
}

/// Asks for ticks of the root context; zero stops them.
pub fn set_tick(period: Duration) {
    let period = u32::try_from(period.as_millis()).unwrap_or(u32::MAX);
    // SAFETY: no pointers. Envoy's implementation can't fail.
    let _always_ok = unsafe { proxy_set_tick_period_milliseconds(period) };
}

/// The counter of this name. Every VM that asks gets the same counter, under an id of its own.
pub fn counter(name: &str) -> Result<u32, Status> {
    /// `WasmMetricType`.
    const COUNTER: u32 = 0;
    let mut id = 0;
    // SAFETY: the name and the out-pointer are valid for the call; the host copies the name.
    check(unsafe { proxy_define_metric(COUNTER, name.as_ptr(), name.len(), &raw mut id) })?;
    Ok(id)
}

/// Adds one to a counter.
pub fn increment(counter: u32) -> Result<(), Status> {
    // SAFETY: no pointers.
    check(unsafe { proxy_increment_metric(counter, 1) })
}

/// Answers in the upstream's place, with a head as [`crate::wire::headers::block_of`] makes it. Carried out after the callback has returned.
pub fn reply(status: u16, details: &str, headers: &[u8], body: &[u8]) -> Result<(), Status> {
    // SAFETY: all slices are valid for the call; the host copies them. -1: no gRPC status.
    check(unsafe {
        proxy_send_local_response(
            u32::from(status),
            details.as_ptr(),
            details.len(),
            body.as_ptr(),
            body.len(),
            headers.as_ptr(),
            headers.len(),
            -1,
        )
    })
}
