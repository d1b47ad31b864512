//! One HTTP stream: callbacks in, [`Exchange`] steps out, carried out with host calls.

use std::borrow::Cow;
use std::rc::Rc;

use log::{error, warn};
use proxy_wasm::traits::{Context, HttpContext};
use proxy_wasm::types::Action;

use super::calls::{self, Body, Head, Status};
use super::models::Shared;
use crate::exchange::{BodyOut, Exchange, Release, Reply, RequestStep, ResponseStep};
use crate::headers::{HeaderEdit, Headers};
use crate::splice;

/// One direction's body, as the host shows it.
#[derive(Default)]
struct Visible {
    /// Bytes that have been read already. While a body is held, Envoy shows it from its start in every
    /// call; once it flows, each call shows one chunk.
    read: usize,
    /// What is visible now.
    size: usize,
}

impl Visible {
    /// The bytes that this call shows for the first time.
    fn fresh(&mut self, body: Body, size: usize) -> Result<Vec<u8>, Status> {
        self.size = size;
        let fresh = size.saturating_sub(self.read);
        if fresh == 0 {
            return Ok(Vec::new());
        }
        let bytes = calls::body(body, self.read, fresh)?;
        self.read = size;
        Ok(bytes)
    }

    /// What was visible has been handed on.
    fn handed_on(&mut self) {
        self.read = 0;
        self.size = 0;
    }
}

/// A stream's context.
pub struct Http {
    id: u32,
    /// `None` only if Envoy starts a stream on a root that was never configured.
    gateway: Option<Gateway>,
    request: Visible,
    response: Visible,
    /// The answer's head has been seen.
    answered: bool,
}

struct Gateway {
    shared: Rc<Shared>,
    exchange: Exchange,
}

impl Http {
    /// A context for a new stream. `id` is the context's.
    pub fn new(id: u32, shared: Option<Rc<Shared>>) -> Self {
        let gateway =
            shared.map(|shared| Gateway { exchange: Exchange::new(shared.config.clone()), shared });
        Self {
            id,
            gateway,
            request: Visible::default(),
            response: Visible::default(),
            answered: false,
        }
    }

    fn on_request(
        &mut self,
        fresh: &[u8],
        event: impl FnOnce(&mut Exchange) -> RequestStep,
    ) -> Action {
        let Some(Gateway { shared, exchange }) = &mut self.gateway else {
            return self.fail("the filter has no configuration");
        };
        let mut step = event(exchange);
        if matches!(step, RequestStep::ReadWhole) {
            step = match calls::body(Body::Request, 0, self.request.size) {
                Ok(body) => exchange.on_request_whole(&body),
                Err(status) => return self.fail(&format!("can't read the body: {status:?}")),
            };
        }
        write_notes(exchange);
        match step {
            RequestStep::Continue => {
                self.request.handed_on();
                Action::Continue
            }
            RequestStep::Hold | RequestStep::ReadWhole => Action::Pause,
            // Envoy has answered a request that is still held: with its 413. The buffer is not to be
            // touched any more.
            RequestStep::Release(_) if self.answered => Action::Pause,
            RequestStep::Release(release) => match self.release(&release, fresh) {
                Ok(()) => {
                    self.request.handed_on();
                    Action::Continue
                }
                Err(status) => self.fail(&format!("can't change the request: {status:?}")),
            },
            RequestStep::ListModels(query) => match shared.ask(self.id, query) {
                Some(reply) => send(&reply),
                None => Action::Pause,
            },
            RequestStep::Drop => {
                self.drop_request_body();
                Action::Pause
            }
            RequestStep::Reply(reply) => {
                // What is held would go on growing until the reply is carried out, and Envoy's own 413
                // could overtake it.
                self.drop_request_body();
                send(&reply)
            }
        }
    }

    fn drop_request_body(&mut self) {
        // Once an answer has begun (Envoy's own 413), the buffer is Envoy's to clean up.
        if !self.answered
            && self.request.size > 0
            && let Err(status) = calls::replace_start(Body::Request, self.request.size, &[])
        {
            warn!("can't drop the body: {status:?}");
        }
        self.request.handed_on();
    }

    /// Edits what is held. `fresh`: the bytes that this call has read; often all that there is.
    fn release(&self, release: &Release, fresh: &[u8]) -> Result<(), Status> {
        if let Some(last) = release.body.last() {
            // Only the start of a body can be replaced: up to the last edit.
            let length = last.span.end;
            if let [whole] = release.body.as_slice()
                && whole.span.start == 0
            {
                calls::replace_start(Body::Request, length, &whole.with)?;
                return apply(Head::Request, &release.headers);
            }
            let start = match fresh.get(..length) {
                Some(start) if fresh.len() == self.request.size => Cow::Borrowed(start),
                _ => Cow::Owned(calls::body(Body::Request, 0, length)?),
            };
            let edited = splice::apply(&start, &release.body).ok_or(Status(2))?;
            calls::replace_start(Body::Request, length, &edited)?;
        }
        apply(Head::Request, &release.headers)
    }

    fn on_response(&mut self, event: impl FnOnce(&mut Exchange) -> ResponseStep) -> Action {
        let Some(Gateway { exchange, .. }) = &mut self.gateway else { return Action::Continue };
        let step = event(exchange);
        write_notes(exchange);
        let edited = match step {
            ResponseStep::Hold => return Action::Pause,
            ResponseStep::Continue => Ok(()),
            ResponseStep::Release(headers, body) => {
                apply(Head::Response, &headers).and_then(|()| match body {
                    BodyOut::Same => Ok(()),
                    BodyOut::Replace(with) => {
                        calls::replace_start(Body::Response, self.response.size, &with)
                    }
                })
            }
            ResponseStep::Reply(reply) => return send(&reply),
        };
        if let Err(status) = edited {
            return self.fail(&format!("can't change the answer: {status:?}"));
        }
        self.response.handed_on();
        Action::Continue
    }

    /// A host call failed that never should: the stream ends with an error instead of going on half
    /// changed.
    fn fail(&mut self, why: &str) -> Action {
        error!("{why}");
        match &mut self.gateway {
            Some(gateway) => send(&gateway.exchange.give_up()),
            None => send(&Reply { status: 500, headers: Vec::new(), body: Vec::new() }),
        }
    }
}

/// Whether Envoy has ended this answer because what is held of it outgrew the buffer limit. It may still
/// show the piece that did it, and to edit the body then is not safe: a filter that emptied the held
/// body piece by piece crashed Envoy 1.40 there (the edit ran `proxy_on_log` inside of this callback).
fn overflowed() -> bool {
    calls::property(&["response", "code_details"])
        .is_ok_and(|details| details == b"response_payload_too_large")
}

/// Gives the access log what has become known.
fn write_notes(exchange: &mut Exchange) {
    for (note, value) in exchange.take_notes() {
        if let Err(status) = calls::set_filter_state(note.key(), &value) {
            warn!("can't set {}: {status:?}", note.key());
        }
    }
}

fn apply(head: Head, edits: &[HeaderEdit]) -> Result<(), Status> {
    edits.iter().try_for_each(|edit| calls::edit(head, edit))
}

/// Envoy carries the reply out after the callback and forces the stream to stop, so `Pause` says what
/// happens.
pub(super) fn send(reply: &Reply) -> Action {
    let pairs: Vec<_> =
        reply.headers.iter().map(|(name, value)| (name.as_ref(), value.as_bytes())).collect();
    if let Err(status) = calls::reply(reply.status, &Headers::from_pairs(&pairs), &reply.body) {
        error!("can't send a reply: {status:?}");
    }
    Action::Pause
}

impl Context for Http {
    fn on_done(&mut self) -> bool {
        if let Some(Gateway { shared, .. }) = &self.gateway {
            shared.forget(self.id);
        }
        true
    }
}

impl HttpContext for Http {
    fn on_http_request_headers(&mut self, _: usize, end: bool) -> Action {
        match calls::headers(Head::Request) {
            Ok(headers) => {
                let clock = || calls::now_ms() / 1_000;
                self.on_request(&[], |exchange| {
                    exchange.on_request_head(&headers, end, clock, |note| {
                        calls::property(&[note.key()]).ok()
                    })
                })
            }
            Err(status) => self.fail(&format!("can't read the request's head: {status:?}")),
        }
    }

    fn on_http_request_body(&mut self, size: usize, end: bool) -> Action {
        if !self.gateway.as_ref().is_some_and(|gateway| gateway.exchange.reads_request_body()) {
            self.request.size = size;
            return self.on_request(&[], |exchange| exchange.on_request_body(&[], end));
        }
        match self.request.fresh(Body::Request, size) {
            Ok(bytes) => self.on_request(&bytes, |exchange| exchange.on_request_body(&bytes, end)),
            Err(status) => self.fail(&format!("can't read the body: {status:?}")),
        }
    }

    /// A body with trailers ends here, never in the body callback.
    fn on_http_request_trailers(&mut self, _: usize) -> Action {
        if let (Some(gateway), Ok(trailers)) =
            (&self.gateway, calls::headers(Head::RequestTrailers))
        {
            let edits = gateway.exchange.trailer_removals(&trailers);
            if let Err(status) = apply(Head::RequestTrailers, &edits) {
                return self.fail(&format!("can't change the trailers: {status:?}"));
            }
        }
        self.on_request(&[], Exchange::on_request_trailers)
    }

    fn on_http_response_headers(&mut self, _: usize, end: bool) -> Action {
        self.answered = true;
        match calls::headers(Head::Response) {
            Ok(headers) => self.on_response(|exchange| exchange.on_response_head(&headers, end)),
            Err(status) => self.fail(&format!("can't read the answer's head: {status:?}")),
        }
    }

    fn on_http_response_body(&mut self, size: usize, end: bool) -> Action {
        if !self.gateway.as_ref().is_some_and(|gateway| gateway.exchange.reads_response_body()) {
            self.response.size = size;
            return self.on_response(|exchange| exchange.on_response_body(&[], end));
        }
        // Only with new bytes can a body that is held outgrow anything.
        if self.response.read > 0 && size > self.response.read && overflowed() {
            return Action::Pause;
        }
        match self.response.fresh(Body::Response, size) {
            Ok(bytes) => self.on_response(|exchange| exchange.on_response_body(&bytes, end)),
            Err(status) => self.fail(&format!("can't read the answer: {status:?}")),
        }
    }

    fn on_http_response_trailers(&mut self, _: usize) -> Action {
        self.on_response(Exchange::on_response_trailers)
    }
}
