//! The gateway filter's host calls for a request of this benchmark, in its order and with its sizes, and
//! hardly any code beside them: nothing is checked or looked up, and what is written is a constant but for
//! the request's length. What it costs is the least that the gateway filter can cost in Envoy, however
//! fast its code is.
//!
//! Which calls and callbacks these are follows `src/host` and `scripts/exports.py`.

use memchr::memmem;
use proxy_wasm::hostcalls::set_property;
use proxy_wasm::traits::{Context, HttpContext, RootContext};
use proxy_wasm::types::{Action, BufferType, ContextType, MapType};

/// The start of a request up to the end of its model: as the client sends it, and as it goes on.
const BEFORE: &[u8] = br#"{"model":"gpt-4o""#;
const AFTER: &[u8] = br#"{"model":"llama-3.3-70b-versatile""#;
/// As much as the gateway filter reads of a body at once.
const PIECE: usize = 64 * 1024;

proxy_wasm::main! {{
    proxy_wasm::set_root_context(|_| Box::new(Root));
}}

struct Root;

impl Context for Root {}

impl RootContext for Root {
    fn create_http_context(&self, _: u32) -> Option<Box<dyn HttpContext>> {
        Some(Box::new(Stream::default()))
    }

    fn get_type(&self) -> Option<ContextType> {
        Some(ContextType::HttpContext)
    }
}

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

impl Context for Stream {}

impl HttpContext for Stream {
    fn on_http_request_headers(&mut self, _: usize, _: bool) -> Action {
        let head = read_head(MapType::HttpRequestHeaders);
        self.length = content_length(&head).unwrap_or(0);
        self.is_embedding = memmem::find(&head, b"/embeddings").is_some();
        Action::Pause
    }

    fn on_http_request_body(&mut self, size: usize, _: bool) -> Action {
        read_body(BufferType::HttpRequestBody, size);
        if self.request_flows {
            return Action::Continue;
        }
        self.request_flows = true;
        let operation = if self.is_embedding { "embeddings" } else { "chat_completions" };
        let note = format!("team-0 {operation} groq/llama-3.3-70b-versatile");
        let _ = set_property(vec!["gateway_request"], Some(note.as_bytes()));
        self.set_http_request_body(0, BEFORE.len(), AFTER);
        let length = self.length + AFTER.len() - BEFORE.len();
        let path = if self.is_embedding { "embeddings" } else { "chat/completions" };
        for (name, value) in [
            ("accept-encoding", None),
            ("authorization", Some("Bearer gsk_zq8tmw2vxc7rkyb4nhjd1lpfs9gxqe6uavibtkom3ydwcner")),
            ("content-length", Some(length.to_string().as_str())),
            (":authority", Some("api.groq.test")),
            (":path", Some(format!("/openai/v1/{path}").as_str())),
        ] {
            self.set_http_request_header(name, value);
        }
        self.add_http_request_header("x-gateway-cluster", "upstream");
        Action::Continue
    }

    fn on_http_response_headers(&mut self, _: usize, _: bool) -> Action {
        let head = read_head(MapType::HttpResponseHeaders);
        self.is_event_stream = memmem::find(&head, b"text/event-stream").is_some();
        Action::Pause
    }

    fn on_http_response_body(&mut self, size: usize, end: bool) -> Action {
        let is_first = !std::mem::replace(&mut self.response_flows, true);
        if self.is_event_stream {
            read_body(BufferType::HttpResponseBody, size);
            if end {
                let _ = set_property(vec!["gateway_cache"], Some(b"miss"));
            }
        } else if is_first {
            read_body(BufferType::HttpResponseBody, size.min(PIECE));
        }
        if is_first {
            for (name, value) in [
                ("x-langwatch-provider", "groq"),
                ("x-langwatch-model", "llama-3.3-70b-versatile"),
                ("x-langwatch-cache-mode", "respect"),
                ("x-langwatch-request-id", "6d7f8a70-9d2b-4d3e-8f6e-0c8f0e5f1a2b"),
                ("x-langwatch-cache", "miss"),
            ] {
                let is_cache = name.ends_with("-cache");
                if !(is_cache && (self.is_event_stream || self.is_embedding)) {
                    self.add_http_response_header(name, value);
                }
            }
        }
        Action::Continue
    }
}

fn content_length(head: &[u8]) -> Option<usize> {
    // Each name and each value ends in a NUL.
    let value = memmem::find(head, b"content-length\0")? + b"content-length\0".len();
    let digits = head.get(value..)?.split(|byte| *byte == 0).next()?;
    std::str::from_utf8(digits).ok()?.parse().ok()
}

unsafe extern "C" {
    fn proxy_get_header_map_pairs(map: MapType, data: *mut *mut u8, size: *mut usize) -> u32;
}

/// All of a head as the host writes it.
fn read_head(map: MapType) -> Vec<u8> {
    let (mut data, mut size) = (std::ptr::null_mut(), 0);
    // SAFETY: the host writes an address and a length that its call of `proxy_on_memory_allocate` got,
    // which allocates as `Vec` does.
    unsafe {
        match proxy_get_header_map_pairs(map, &raw mut data, &raw mut size) {
            0 if !data.is_null() => Vec::from_raw_parts(data, size, size),
            _ => Vec::new(),
        }
    }
}

/// Reads what is visible piece by piece, and forgets it.
fn read_body(body: BufferType, size: usize) {
    for start in (0..size).step_by(PIECE) {
        let _ = proxy_wasm::hostcalls::get_buffer(body, start, PIECE.min(size - start));
    }
}
