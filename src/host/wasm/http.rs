//! One HTTP stream: callbacks in, [`Exchange`] steps out, carried out with host calls.

use std::borrow::Cow;
use std::rc::Rc;

use log::{error, warn};
use proxy_wasm::traits::{Context, HttpContext};
use proxy_wasm::types::Action;

use super::body::{Outgoing, Visible};
use super::calls::{self, BufferType, HeaderMapType, Status};
use super::models::Shared;
use super::reply::{give_up, send};
use crate::exchange::{
    BodyOut, Exchange, Next, Note, Release, RequestStep, ResponseStep, Surroundings,
};
use crate::wire::headers::HeaderEdit;
use crate::wire::splice;

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
        let gateway = shared.map(|shared| {
            let (budget, memory) = (shared.budget.clone(), shared.memory.clone());
            Gateway { exchange: Exchange::within(budget, memory, shared.config.clone()), shared }
        });
        Self {
            id,
            gateway,
            request: Visible::default(),
            response: Visible::default(),
            answered: false,
        }
    }

    /// `piece`: the bytes that this event has read, the last of those that are visible and read.
    fn on_request(
        &mut self,
        piece: &[u8],
        event: impl FnOnce(&mut Exchange) -> RequestStep,
    ) -> Action {
        let Some(Gateway { shared, exchange }) = &mut self.gateway else {
            return self.fail("the filter has no configuration");
        };
        let mut step = event(exchange);
        if matches!(step, RequestStep::ReadWhole) {
            step = match calls::body(BufferType::Request, 0, self.request.size) {
                Ok(body) => exchange.on_request_whole(&body),
                Err(status) => return self.fail(&format!("can't read the body: {status:?}")),
            };
        }
        report(self.id, shared, exchange);
        match step {
            RequestStep::Continue => Action::Continue,
            RequestStep::Hold | RequestStep::ReadWhole => Action::Pause,
            // Envoy has answered a request that is still held: with its 413. The buffer is not to be
            // touched any more.
            RequestStep::Release(_) if self.answered => Action::Pause,
            RequestStep::Release(release) => match self.release(release, piece) {
                Ok(()) => Action::Continue,
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
            && let Err(status) =
                calls::replace_start(BufferType::Request, self.request.size, Vec::new())
        {
            warn!("can't drop the body: {status:?}");
        }
        self.request.handed_on();
    }

    /// The callback ends with `action`.
    fn request_done(&mut self, action: Action) -> Action {
        if action == Action::Continue {
            self.request.handed_on();
        }
        action
    }

    /// Edits what is held. `piece`: the bytes that were read last; often all that there is.
    fn release(&self, mut release: Release, piece: &[u8]) -> Result<(), Status> {
        if let Some(last) = release.body.last() {
            // Only the start of a body can be replaced: up to the last edit.
            let length = last.span.end;
            let edited = match release.body.as_mut_slice() {
                [whole] if whole.span.start == 0 => std::mem::take(&mut whole.with),
                edits => {
                    let start = match piece.get(..length) {
                        Some(start) if piece.len() == self.request.read => Cow::Borrowed(start),
                        _ => Cow::Owned(calls::body(BufferType::Request, 0, length)?),
                    };
                    splice::apply(&start, edits).ok_or(Status(2))?
                }
            };
            calls::replace_start(BufferType::Request, length, edited)?;
        }
        apply(HeaderMapType::Request, &release.headers)
    }

    /// Reads what is new of the body, piece by piece.
    fn read_request(&mut self, end: bool) -> Action {
        loop {
            let piece = match self.request.piece(BufferType::Request) {
                Ok(piece) => piece,
                Err(status) => return self.fail(&format!("can't read the body: {status:?}")),
            };
            let next = self.request.next(end);
            let action = self.on_request(&piece, |exchange| exchange.on_request_body(&piece, next));
            // A refusal drops what is unread with the rest.
            if next != Next::Visible || !self.reads_request_body() {
                return action;
            }
        }
    }

    fn request_bytes_needed(&self) -> usize {
        self.gateway.as_ref().map_or(0, |gateway| gateway.exchange.request_bytes_needed())
    }

    fn reads_request_body(&self) -> bool {
        self.gateway.as_ref().is_some_and(|gateway| gateway.exchange.reads_request_body())
    }

    fn reads_response_body(&self) -> bool {
        self.gateway.as_ref().is_some_and(|gateway| gateway.exchange.reads_response_body())
    }

    /// Carries out all of a step but what it says of the body.
    fn on_response(&mut self, event: impl FnOnce(&mut Exchange) -> ResponseStep) -> Response {
        let Some(Gateway { shared, exchange }) = &mut self.gateway else {
            return Response::Pass(BodyOut::Same);
        };
        let mut step = event(exchange);
        if matches!(step, ResponseStep::ReadHead) {
            step = match calls::headers(HeaderMapType::Response) {
                Ok(headers) => exchange.on_response_head_again(&headers),
                Err(status) => {
                    let why = format!("can't read the answer's head: {status:?}");
                    return Response::Ended(self.fail(&why));
                }
            };
        }
        report(self.id, shared, exchange);
        match step {
            ResponseStep::Hold | ResponseStep::ReadHead => Response::Hold,
            ResponseStep::Continue => Response::Pass(BodyOut::Same),
            ResponseStep::Release(headers, body) => {
                match apply(HeaderMapType::Response, &headers) {
                    Ok(()) => Response::Pass(body),
                    Err(status) => {
                        Response::Ended(self.fail(&format!("can't change the answer: {status:?}")))
                    }
                }
            }
            ResponseStep::Reply(reply) => Response::Ended(send(&reply)),
        }
    }

    /// Whether Envoy has asked another provider's cluster: then the answer is replaced.
    fn misrouted(&mut self) -> Option<Action> {
        let Gateway { shared, exchange } = self.gateway.as_mut()?;
        let (line, reply) = exchange.misrouted(&Around)?;
        error!("{line}");
        report(self.id, shared, exchange);
        Some(send(&reply))
    }

    /// A step outside of the body: what is visible is all there is.
    fn on_response_once(&mut self, event: impl FnOnce(&mut Exchange) -> ResponseStep) -> Action {
        let mut going = Outgoing::default();
        match self.on_response(event) {
            Response::Hold => Action::Pause,
            Response::Ended(action) => action,
            Response::Pass(out) => {
                let pushed = going.push(BufferType::Response, self.response.size, out);
                self.response_done(pushed.map(|()| going))
            }
        }
    }

    fn read_response_head(&mut self, end: bool) -> Action {
        if let Some(Gateway { exchange, .. }) = &mut self.gateway
            && exchange.leaves_answer(&Around)
        {
            return Action::Continue;
        }
        match calls::headers(HeaderMapType::Response) {
            Ok(headers) => match self.misrouted() {
                Some(action) => action,
                None => self
                    .on_response_once(|exchange| exchange.on_response_head(&headers, end, &Around)),
            },
            Err(status) => self.fail(&format!("can't read the answer's head: {status:?}")),
        }
    }

    /// Reads what is new of the answer, piece by piece, for as long as somebody reads; the rest follows
    /// as one piece, unread.
    fn read_response(&mut self, end: bool) -> Action {
        let mut going = Outgoing::default();
        loop {
            let piece = if self.reads_response_body() {
                self.response.piece(BufferType::Response)
            } else {
                self.response.pass_over();
                Ok(Vec::new())
            };
            let piece = match piece {
                Ok(piece) => piece,
                Err(status) => return self.response_done(Err(status)),
            };
            let next = self.response.next(end);
            let is_last = next != Next::Visible;
            match self.on_response(|exchange| exchange.on_response_body(&piece, next)) {
                Response::Ended(action) => return action,
                // Nobody holds again what he has let go of.
                Response::Hold if is_last => return Action::Pause,
                Response::Hold => {}
                Response::Pass(out) => {
                    let pushed = going.push(BufferType::Response, self.response.read, out);
                    if pushed.is_err() || is_last {
                        return self.response_done(pushed.map(|()| going));
                    }
                }
            }
        }
    }

    /// What is visible of the answer goes on as `going`.
    fn response_done(&mut self, going: Result<Outgoing, Status>) -> Action {
        match going.and_then(|going| going.apply(BufferType::Response)) {
            Ok(()) => {
                self.response.handed_on();
                Action::Continue
            }
            Err(status) => self.fail(&format!("can't change the answer: {status:?}")),
        }
    }

    /// `action`: of the answer's last event. Where that goes on, it is the answer's end.
    fn answered(&mut self, action: Action) -> Action {
        if action == Action::Continue
            && let Some(Gateway { shared, exchange }) = &mut self.gateway
        {
            exchange.on_answered(&Around);
            report(self.id, shared, exchange);
        }
        action
    }

    /// A host call failed that never should: the stream ends with an error instead of going on half
    /// changed.
    fn fail(&mut self, why: &str) -> Action {
        error!("{why}");
        match &mut self.gateway {
            Some(Gateway { shared, exchange }) => {
                let reply = exchange.give_up();
                report(self.id, shared, exchange);
                send(&reply)
            }
            None => give_up(),
        }
    }
}

/// What an exchange may ask, by host calls.
struct Around;

impl Surroundings for Around {
    fn now(&self) -> u64 {
        calls::now_ms() / 1_000
    }

    fn recall(&self, note: Note) -> Option<Vec<u8>> {
        calls::property(&[note.key()]).ok()
    }

    fn attempt(&self) -> u64 {
        let count = calls::property(&["upstream", "request_attempt_count"]);
        count.ok().and_then(|bytes| bytes.try_into().ok()).map_or(0, u64::from_le_bytes)
    }

    fn host_provider(&self) -> Option<Vec<u8>> {
        let path =
            ["xds", "upstream_host_metadata", "filter_metadata", "openai-gateway", "provider"];
        calls::property(&path).ok()
    }

    fn cluster(&self) -> Option<Vec<u8>> {
        calls::property(&["xds", "cluster_name"]).ok()
    }

    fn answer_details(&self) -> Option<Vec<u8>> {
        calls::property(&["response", "code_details"]).ok()
    }
}

/// What a step says of the answer's body.
enum Response {
    /// It stays held.
    Hold,
    /// What has been read and not handed on goes on as this.
    Pass(BodyOut),
    /// The callback is over.
    Ended(Action),
}

/// Whether Envoy has ended this answer because what is held of it outgrew the buffer limit. It may still
/// show the piece that did it, and to edit the body then is not safe: a filter that emptied the held
/// body piece by piece crashed Envoy 1.40 there (the edit ran `proxy_on_log` inside of this callback).
fn overflowed() -> bool {
    calls::property(&["response", "code_details"])
        .is_ok_and(|details| details == b"response_payload_too_large")
}

/// Gives the access log what has become known, and counts what has happened.
fn report(id: u32, shared: &Shared, exchange: &mut Exchange) {
    for (note, value) in exchange.take_notes() {
        if note == Note::Estimate {
            // From here on something counts.
            calls::ask_for_last(id);
        }
        if let Err(status) = calls::set_filter_state(note.key(), &value) {
            warn!("can't set {}: {status:?}", note.key());
        }
    }
    for counter in exchange.take_counted() {
        shared.counters.add(&counter);
    }
}

fn apply(head: HeaderMapType, edits: &[HeaderEdit]) -> Result<(), Status> {
    edits.iter().try_for_each(|edit| calls::edit(head, edit))
}

/// The stream is over. Not in `on_done`: the module does not export that, since each export is a call
/// that Envoy makes for each stream (`scripts/exports.py`).
impl Drop for Http {
    fn drop(&mut self) {
        calls::ended(self.id);
        if let Some(Gateway { shared, .. }) = &self.gateway {
            shared.forget(self.id);
        }
    }
}

impl Context for Http {}

impl HttpContext for Http {
    fn on_http_request_headers(&mut self, _: usize, end: bool) -> Action {
        match calls::headers(HeaderMapType::Request) {
            Ok(headers) => {
                let action = self
                    .on_request(&[], |exchange| exchange.on_request_head(&headers, end, &Around));
                self.request_done(action)
            }
            Err(status) => self.fail(&format!("can't read the request's head: {status:?}")),
        }
    }

    fn on_http_request_body(&mut self, size: usize, end: bool) -> Action {
        self.request.size = size;
        if size < self.request_bytes_needed() && !end {
            return Action::Pause;
        }
        if !self.reads_request_body() {
            self.request.pass_over();
            let next = self.request.next(end);
            let action = self.on_request(&[], |exchange| exchange.on_request_body(&[], next));
            return self.request_done(action);
        }
        // Held, it goes nowhere unread.
        if !end && self.request.is_too_little() {
            return Action::Pause;
        }
        let action = self.read_request(end);
        self.request_done(action)
    }

    /// A body with trailers ends here, never in the body callback.
    fn on_http_request_trailers(&mut self, _: usize) -> Action {
        if let (Some(gateway), Ok(trailers)) =
            (&self.gateway, calls::headers(HeaderMapType::RequestTrailers))
        {
            let edits = gateway.exchange.trailer_removals(&trailers);
            if let Err(status) = apply(HeaderMapType::RequestTrailers, &edits) {
                return self.fail(&format!("can't change the trailers: {status:?}"));
            }
        }
        if self.reads_request_body() && self.request.unread() > 0 {
            let action = self.read_request(false);
            // What is right so far is handed on with the trailers, or with what they complete.
            if !self.reads_request_body() {
                return self.request_done(action);
            }
        }
        let action = self.on_request(&[], Exchange::on_request_trailers);
        self.request_done(action)
    }

    /// Envoy's access loggers come next. Called for streams alone of which something is counted (`calls::ask_for_last`).
    fn on_log(&mut self) {
        if let Some(Gateway { shared, exchange }) = &mut self.gateway {
            exchange.on_done(&Around);
            report(self.id, shared, exchange);
        }
    }

    fn on_http_response_headers(&mut self, _: usize, end: bool) -> Action {
        self.answered = true;
        let action = self.read_response_head(end);
        if end { self.answered(action) } else { action }
    }

    fn on_http_response_body(&mut self, size: usize, end: bool) -> Action {
        self.response.size = size;
        // Only with new bytes can a body that is held outgrow anything.
        if self.response.read > 0 && self.response.unread() > 0 && overflowed() {
            return Action::Pause;
        }
        let action = self.read_response(end);
        if end { self.answered(action) } else { action }
    }

    fn on_http_response_trailers(&mut self, _: usize) -> Action {
        if let (Some(gateway), Ok(trailers)) =
            (&self.gateway, calls::headers(HeaderMapType::ResponseTrailers))
        {
            let edits = gateway.exchange.response_trailer_edits(&trailers);
            if let Err(status) = apply(HeaderMapType::ResponseTrailers, &edits) {
                return self.fail(&format!("can't change the trailers: {status:?}"));
            }
        }
        let action = self.on_response_once(Exchange::on_response_trailers);
        self.answered(action)
    }
}
