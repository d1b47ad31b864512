//! A filter written the plain way: it buffers the request, parses it into a tree, replaces the model and
//! writes the tree out again; it swaps the credential; it parses every answer and every event to read
//! its usage. There is one key and one model, no path, host or route is changed, and no allowlist is
//! asked. Nothing of an answer is changed either.

use proxy_wasm::traits::{Context, HttpContext, RootContext};
use proxy_wasm::types::{Action, ContextType};
use serde_json::Value;

const VIRTUAL_KEY: &str = "Bearer vk-bench-0";
const PROVIDER_KEY: &str = "Bearer gsk_zq8tmw2vxc7rkyb4nhjd1lpfs9gxqe6uavibtkom3ydwcner";
const ALIAS: &str = "gpt-4o";
const MODEL: &str = "llama-3.3-70b-versatile";

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
        let Ok(mut request) = serde_json::from_slice::<Value>(&body) else {
            self.send_http_response(400, vec![], Some(b"not JSON"));
            return Action::Pause;
        };
        if request["model"] == ALIAS {
            request["model"] = MODEL.into();
        }
        let body = request.to_string();
        self.set_http_request_header("content-length", Some(&body.len().to_string()));
        self.set_http_request_body(0, size, body.as_bytes());
        Action::Continue
    }

    fn on_http_response_headers(&mut self, _: usize, end: bool) -> Action {
        let content_type = self.get_http_response_header("content-type").unwrap_or_default();
        self.is_event_stream = content_type.starts_with("text/event-stream");
        if end || self.is_event_stream { Action::Continue } else { Action::Pause }
    }

    fn on_http_response_body(&mut self, size: usize, end: bool) -> Action {
        if self.is_event_stream {
            let chunk = self.get_http_response_body(0, size).unwrap_or_default();
            self.read_events(&chunk);
            return Action::Continue;
        }
        if !end {
            return Action::Pause;
        }
        let body = self.get_http_response_body(0, size).unwrap_or_default();
        if let Ok(answer) = serde_json::from_slice(&body) {
            self.read_usage(&answer);
        }
        Action::Continue
    }
}

impl Stream {
    fn read_events(&mut self, chunk: &[u8]) {
        self.line.extend_from_slice(chunk);
        let text = std::mem::take(&mut self.line);
        let mut lines = text.split(|&byte| byte == b'\n').peekable();
        while let Some(line) = lines.next() {
            if lines.peek().is_none() {
                self.line = line.to_vec();
            } else if let Some(data) = line.strip_prefix(b"data: ")
                && let Ok(event) = serde_json::from_slice(data)
            {
                self.read_usage(&event);
            }
        }
    }

    fn read_usage(&mut self, answer: &Value) {
        if let Some(tokens) = answer["usage"]["total_tokens"].as_u64() {
            self.total_tokens += tokens;
        }
    }
}
