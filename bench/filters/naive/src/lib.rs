//! The least that a wasm filter must do to rewrite: it buffers the request, finds `"model":"…"` by a byte
//! search, replaces it and writes the body back; it swaps the credential; it reads every answer and every
//! event and searches them for their usage. There is one key and one model, no path, host or route is
//! changed, no allowlist is asked, nothing is checked. A body with that text in a message fools it.

use memchr::{memchr, memmem};
use proxy_wasm::traits::{Context, HttpContext, RootContext};
use proxy_wasm::types::{Action, ContextType};

const VIRTUAL_KEY: &str = "Bearer vk-bench-0";
const PROVIDER_KEY: &str = "Bearer gsk_zq8tmw2vxc7rkyb4nhjd1lpfs9gxqe6uavibtkom3ydwcner";
const ALIAS: &[u8] = b"\"model\":\"gpt-4o\"";
const MODEL: &[u8] = b"\"model\":\"llama-3.3-70b-versatile\"";
const USAGE: &[u8] = b"\"total_tokens\":";

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
    is_event_stream: bool,
    /// The last line of a stream, which has not come in full.
    line: Vec<u8>,
    total_tokens: u64,
}

impl Context for Stream {}

impl HttpContext for Stream {
    fn on_http_request_headers(&mut self, _: usize, end: bool) -> Action {
        if self.get_http_request_header("authorization").as_deref() != Some(VIRTUAL_KEY) {
            self.send_http_response(401, vec![], Some(b"unknown key"));
            return Action::Pause;
        }
        self.set_http_request_header("authorization", Some(PROVIDER_KEY));
        if end { Action::Continue } else { Action::Pause }
    }

    fn on_http_request_body(&mut self, size: usize, end: bool) -> Action {
        if !end {
            return Action::Pause;
        }
        let body = self.get_http_request_body(0, size).unwrap_or_default();
        if let Some(at) = memmem::find(&body, ALIAS) {
            let (before, after) = (&body[..at], &body[at + ALIAS.len()..]);
            let body = [before, MODEL, after].concat();
            self.set_http_request_header("content-length", Some(&body.len().to_string()));
            self.set_http_request_body(0, size, &body);
        }
        Action::Continue
    }

    fn on_http_response_headers(&mut self, _: usize, end: bool) -> Action {
        let content_type = self.get_http_response_header("content-type").unwrap_or_default();
        self.is_event_stream = content_type.starts_with("text/event-stream");
        if end || self.is_event_stream { Action::Continue } else { Action::Pause }
    }

    fn on_http_response_body(&mut self, size: usize, end: bool) -> Action {
        if !end && !self.is_event_stream {
            return Action::Pause;
        }
        let body = self.get_http_response_body(0, size).unwrap_or_default();
        if self.is_event_stream {
            self.read_events(&body);
        } else {
            self.read_usage(&body);
        }
        Action::Continue
    }
}

impl Stream {
    fn read_events(&mut self, chunk: &[u8]) {
        self.line.extend_from_slice(chunk);
        let text = std::mem::take(&mut self.line);
        let mut rest = text.as_slice();
        while let Some(end) = memchr(b'\n', rest) {
            let (line, after) = rest.split_at(end + 1);
            rest = after;
            if let Some(data) = line.strip_prefix(b"data:") {
                self.read_usage(data);
            }
        }
        self.line = rest.to_vec();
    }

    fn read_usage(&mut self, text: &[u8]) {
        for at in memmem::find_iter(text, USAGE) {
            let digits = text[at + USAGE.len()..].iter().take_while(|byte| byte.is_ascii_digit());
            let tokens = digits.fold(0, |sum: u64, byte| {
                sum.wrapping_mul(10).wrapping_add(u64::from(byte - b'0'))
            });
            self.total_tokens = self.total_tokens.wrapping_add(tokens);
        }
    }
}
