//! The native module's calls for a request of this benchmark, in its order and with its sizes, and hardly any code beside
//! them, as `bench/filters/calls` is for the wasm module. What it costs is Envoy's own price of the steps: the least that
//! the native module can cost, however fast its code is.
//!
//! Which calls and hooks these are follows `src/host/native`.
#![allow(unsafe_code)]

#[path = "../../../src/host/native/abi.rs"]
#[allow(dead_code)] // it declares what the module needs, not what is needed here
mod abi;

use std::ffi::c_void;

use abi::{AbiVersion, BodyStatus, Envoy, HeadStatus, Map, Pair, Part, Slice};

/// The start of a request up to the end of its model: as the client sends it, and as it goes on.
const BEFORE: &[u8] = br#"{"model":"gpt-4o""#;
const AFTER: &[u8] = br#"{"model":"llama-3.3-70b-versatile""#;
const KEY: &[u8] = b"Bearer gsk_zq8tmw2vxc7rkyb4nhjd1lpfs9gxqe6uavibtkom3ydwcner";
/// More than any head of the benchmark has.
const MOST_HEADERS: usize = 64;
/// More pieces than anything is read in.
const MOST_SLICES: usize = 64;

#[derive(Default)]
struct Stream {
    /// What `content-length` said.
    length: usize,
    is_embedding: bool,
    is_event_stream: bool,
    /// The body's start, and the head with it, have gone on.
    request_flows: bool,
    response_flows: bool,
}

/// Shows all of a head to `see`.
fn read_head(envoy: Envoy, map: Map, mut see: impl FnMut(&[u8], &[u8])) {
    let mut pairs = [Pair { name: Slice::NONE, value: Slice::NONE }; MOST_HEADERS];
    // Sound: there is room for as many as Envoy says, and nothing is changed meanwhile.
    unsafe {
        let count = abi::envoy_dynamic_module_callback_http_get_headers_size(envoy, map);
        if count <= MOST_HEADERS
            && abi::envoy_dynamic_module_callback_http_get_headers(envoy, map, pairs.as_mut_ptr())
        {
            for pair in pairs.iter().take(count) {
                see(pair.name.bytes(), pair.value.bytes());
            }
        }
    }
}

/// Asks where a body stands, as the module does before it reads it in place.
fn read_body(envoy: Envoy, part: Part) {
    let mut slices = [Slice::NONE; MOST_SLICES];
    // Sound: there is room for as many as Envoy says.
    unsafe {
        let count = abi::envoy_dynamic_module_callback_http_get_body_chunks_size(envoy, part);
        if (1..=MOST_SLICES).contains(&count) {
            abi::envoy_dynamic_module_callback_http_get_body_chunks(
                envoy,
                part,
                slices.as_mut_ptr(),
            );
        }
    }
}

fn set(envoy: Envoy, map: Map, name: &str, value: Slice<'_>) {
    let name = Slice::of(name.as_bytes());
    unsafe { abi::envoy_dynamic_module_callback_http_set_header(envoy, map, name, value) };
}

fn add(envoy: Envoy, map: Map, name: &str, value: &str) {
    let (name, value) = (Slice::of(name.as_bytes()), Slice::of(value.as_bytes()));
    unsafe { abi::envoy_dynamic_module_callback_http_add_header(envoy, map, name, value) };
}

/// # Safety
/// `module` is what `envoy_dynamic_module_on_http_filter_new` has returned, and no other hook of the stream runs.
unsafe fn stream<'a>(module: *const c_void) -> &'a mut Stream {
    unsafe { &mut *module.cast_mut().cast::<Stream>() }
}

#[unsafe(no_mangle)]
extern "C" fn envoy_dynamic_module_on_program_init() -> AbiVersion {
    abi::VERSION.as_ptr()
}

#[unsafe(no_mangle)]
extern "C" fn envoy_dynamic_module_on_http_filter_config_new(
    _: Envoy,
    _: Slice<'_>,
    _: Slice<'_>,
) -> *const c_void {
    std::ptr::dangling::<u8>().cast()
}

#[unsafe(no_mangle)]
extern "C" fn envoy_dynamic_module_on_http_filter_config_destroy(_: *const c_void) {}

#[unsafe(no_mangle)]
extern "C" fn envoy_dynamic_module_on_http_filter_new(_: *const c_void, _: Envoy) -> *const c_void {
    Box::into_raw(Box::<Stream>::default()).cast_const().cast()
}

#[unsafe(no_mangle)]
extern "C" fn envoy_dynamic_module_on_http_filter_destroy(module: *const c_void) {
    // Sound: made by `Box::into_raw` above, and given back once.
    drop(unsafe { Box::from_raw(module.cast_mut().cast::<Stream>()) });
}

#[unsafe(no_mangle)]
extern "C" fn envoy_dynamic_module_on_http_filter_request_headers(
    envoy: Envoy,
    module: *const c_void,
    _: bool,
) -> HeadStatus {
    let stream = unsafe { stream(module) };
    read_head(envoy, Map::Request, |name, value| match name {
        b":path" => stream.is_embedding = value.ends_with(b"/embeddings"),
        b"content-length" => {
            let length = std::str::from_utf8(value).ok().and_then(|text| text.parse().ok());
            stream.length = length.unwrap_or(0);
        }
        _ => {}
    });
    HeadStatus::StopIteration
}

#[unsafe(no_mangle)]
extern "C" fn envoy_dynamic_module_on_http_filter_request_body(
    envoy: Envoy,
    module: *const c_void,
    _: bool,
) -> BodyStatus {
    let stream = unsafe { stream(module) };
    read_body(envoy, Part::RequestReceived);
    if std::mem::replace(&mut stream.request_flows, true) {
        return BodyStatus::Continue;
    }
    let operation = if stream.is_embedding { "embeddings" } else { "chat_completions" };
    let note = ["team-0 ", operation, " groq/llama-3.3-70b-versatile"].concat();
    let (name, note) = (Slice::of(b"wasm.gateway_request"), Slice::of(note.as_bytes()));
    unsafe { abi::envoy_dynamic_module_callback_http_set_filter_state_bytes(envoy, name, note) };
    let path =
        if stream.is_embedding { "/openai/v1/embeddings" } else { "/openai/v1/chat/completions" };
    let length = (stream.length + AFTER.len() - BEFORE.len()).to_string();
    set(envoy, Map::Request, "accept-encoding", Slice::NONE);
    set(envoy, Map::Request, "authorization", Slice::of(KEY));
    set(envoy, Map::Request, "content-length", Slice::of(length.as_bytes()));
    set(envoy, Map::Request, ":authority", Slice::of(b"api.groq.test"));
    set(envoy, Map::Request, ":path", Slice::of(path.as_bytes()));
    add(envoy, Map::Request, "x-gateway-cluster", "upstream");
    // What is held comes before what has come now: so the new start goes there, and the old one off here.
    unsafe {
        abi::envoy_dynamic_module_callback_http_clear_route_cache(envoy);
        abi::envoy_dynamic_module_callback_http_append_body(
            envoy,
            Part::RequestBuffered,
            Slice::of(AFTER),
        );
        abi::envoy_dynamic_module_callback_http_drain_body(
            envoy,
            Part::RequestReceived,
            BEFORE.len(),
        );
    }
    BodyStatus::Continue
}

#[unsafe(no_mangle)]
extern "C" fn envoy_dynamic_module_on_http_filter_response_headers(
    envoy: Envoy,
    module: *const c_void,
    _: bool,
) -> HeadStatus {
    let stream = unsafe { stream(module) };
    read_head(envoy, Map::Response, |name, value| {
        stream.is_event_stream |= name == b"content-type" && value == b"text/event-stream";
    });
    HeadStatus::StopIteration
}

#[unsafe(no_mangle)]
extern "C" fn envoy_dynamic_module_on_http_filter_response_body(
    envoy: Envoy,
    module: *const c_void,
    end: bool,
) -> BodyStatus {
    let stream = unsafe { stream(module) };
    let is_first = !std::mem::replace(&mut stream.response_flows, true);
    if stream.is_event_stream || is_first {
        read_body(envoy, Part::ResponseReceived);
    }
    if stream.is_event_stream && end {
        let (name, note) = (Slice::of(b"wasm.gateway_cache"), Slice::of(b"miss"));
        unsafe {
            abi::envoy_dynamic_module_callback_http_set_filter_state_bytes(envoy, name, note)
        };
    }
    if is_first {
        add(envoy, Map::Response, "x-langwatch-provider", "groq");
        add(envoy, Map::Response, "x-langwatch-model", "llama-3.3-70b-versatile");
        add(envoy, Map::Response, "x-langwatch-cache-mode", "respect");
        add(envoy, Map::Response, "x-langwatch-request-id", "6d7f8a70-9d2b-4d3e-8f6e-0c8f0e5f1a2b");
        if !stream.is_event_stream && !stream.is_embedding {
            add(envoy, Map::Response, "x-langwatch-cache", "miss");
        }
    }
    BodyStatus::Continue
}

#[unsafe(no_mangle)]
extern "C" fn envoy_dynamic_module_on_http_filter_request_trailers(
    _: Envoy,
    _: *const c_void,
) -> HeadStatus {
    HeadStatus::Continue
}

#[unsafe(no_mangle)]
extern "C" fn envoy_dynamic_module_on_http_filter_response_trailers(
    _: Envoy,
    _: *const c_void,
) -> HeadStatus {
    HeadStatus::Continue
}

#[unsafe(no_mangle)]
extern "C" fn envoy_dynamic_module_on_http_filter_local_reply() -> u32 {
    0
}

// Envoy refuses a library that lacks one of these, used or not.
macro_rules! unused {
    ($($name:ident)*) => { $(#[unsafe(no_mangle)] extern "C" fn $name() {})* };
}

unused! {
    envoy_dynamic_module_on_http_filter_stream_complete
    envoy_dynamic_module_on_http_filter_scheduled
    envoy_dynamic_module_on_http_filter_config_scheduled
    envoy_dynamic_module_on_http_filter_http_callout_done
    envoy_dynamic_module_on_http_filter_http_stream_headers
    envoy_dynamic_module_on_http_filter_http_stream_data
    envoy_dynamic_module_on_http_filter_http_stream_trailers
    envoy_dynamic_module_on_http_filter_http_stream_complete
    envoy_dynamic_module_on_http_filter_http_stream_reset
    envoy_dynamic_module_on_http_filter_config_http_callout_done
    envoy_dynamic_module_on_http_filter_config_http_stream_headers
    envoy_dynamic_module_on_http_filter_config_http_stream_data
    envoy_dynamic_module_on_http_filter_config_http_stream_trailers
    envoy_dynamic_module_on_http_filter_config_http_stream_complete
    envoy_dynamic_module_on_http_filter_config_http_stream_reset
    envoy_dynamic_module_on_http_filter_downstream_above_write_buffer_high_watermark
    envoy_dynamic_module_on_http_filter_downstream_below_write_buffer_low_watermark
}
