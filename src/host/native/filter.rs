//! One HTTP stream: hooks in, [`Exchange`] steps out, carried out with Envoy's functions.

mod models;

use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

use super::abi::{BodyStatus, HeadStatus, LogLevel, Map, Part};
use super::around::Around;
use super::body::Visible;
use super::calls::{self, log};
use super::configuration::{Configuration, Worker};
use crate::exchange::models::Outcomes;
use crate::exchange::{BodyOut, Exchange, ModelsQuery, Next, Reply, RequestStep, ResponseStep};
use crate::telemetry::counters;
use crate::wire::headers::Headers;
use crate::wire::splice;

/// How much of a stream of events is read at once, in bytes, where it takes a copy to read more than one slice.
const STREAM_PIECE: usize = 64 * 1024;

/// A stream.
pub struct Stream {
    /// Names it among those that wait for model lists.
    id: u32,
    configuration: Arc<Configuration>,
    worker: Rc<Worker>,
    exchange: Exchange,
    /// Of the request's body, by earlier hooks, in bytes.
    request_bytes_held: usize,
    /// An earlier hook has held back the answer's head, or some of its body.
    response_held: bool,
    /// Of the answer's body.
    response_bytes_held: usize,
    /// Some of the answer's body has come before.
    has_response_body: bool,
    /// The hook that runs has changed a body, of which Envoy holds so much and no more.
    had_limit: bool,
    /// The hook that runs brings the answer's end.
    answer_ends: bool,
    /// The answer's head has been seen.
    answered: bool,
    /// We have answered: what follows is our own.
    replied: bool,
    /// The answer is as the client is to see it: the second position has made it so.
    is_made: bool,
    /// Waits for its lists.
    lists: Option<ModelsQuery>,
}

/// What becomes of a head, a body's bytes or trailers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verdict {
    Continue,
    Hold,
    /// Answered or dropped: nothing of it is needed.
    Stop,
}

impl From<Verdict> for HeadStatus {
    fn from(verdict: Verdict) -> Self {
        match verdict {
            Verdict::Continue => Self::Continue,
            Verdict::Hold | Verdict::Stop => Self::StopIteration,
        }
    }
}

impl From<Verdict> for BodyStatus {
    fn from(verdict: Verdict) -> Self {
        match verdict {
            Verdict::Continue => Self::Continue,
            Verdict::Hold => Self::StopAndBuffer,
            Verdict::Stop => Self::StopNoBuffer,
        }
    }
}

fn after(end: bool) -> Next {
    if end { Next::End } else { Next::Later }
}

impl Stream {
    pub fn new(configuration: Arc<Configuration>, worker: Rc<Worker>) -> Self {
        static NEXT: AtomicU32 = AtomicU32::new(0);
        Self {
            id: NEXT.fetch_add(1, Ordering::Relaxed),
            configuration,
            exchange: Exchange::within(
                worker.budget.clone(),
                worker.memory.clone(),
                worker.config.clone(),
            ),
            worker,
            request_bytes_held: 0,
            response_held: false,
            response_bytes_held: 0,
            has_response_body: false,
            had_limit: false,
            answer_ends: false,
            answered: false,
            replied: false,
            is_made: false,
            lists: None,
        }
    }

    pub fn request_head(&mut self, filter: calls::Filter, end: bool) -> Verdict {
        let read =
            |headers: &Headers<'_>| self.exchange.on_request_head(headers, end, &Around(filter));
        // Sound: what the exchange may ask ([`Around`]) changes no head.
        let step = unsafe { filter.read_head(Map::Request, read) };
        self.on_request(filter, step, None)
    }

    pub fn request_body(&mut self, filter: calls::Filter, end: bool) -> Verdict {
        let held = self.request_bytes_held;
        let visible = || Visible::new(filter, Part::RequestBuffered, Part::RequestReceived, held);
        // In the second position the edits are known, and wait for what they change: a filter between the two may have cut the body.
        let needed = self.exchange.request_bytes_needed();
        if needed > 0 && !end {
            let there = visible().len();
            if there < needed {
                self.request_bytes_held = there;
                return Verdict::Hold;
            }
        }
        if !self.exchange.reads_request_body() {
            let step = self.exchange.on_request_body(&[], after(end));
            if matches!(step, RequestStep::Continue) {
                self.report(filter);
                self.request_bytes_held = 0;
                return Verdict::Continue;
            }
            return self.on_request(filter, step, Some(visible()));
        }
        let body = visible();
        let mut step = RequestStep::Continue;
        let mut pieces = body.pieces().peekable();
        while let Some(piece) = pieces.next() {
            let is_last = pieces.peek().is_none();
            let next = if is_last { after(end) } else { Next::Visible };
            step = self.exchange.on_request_body(piece, next);
            // A refusal drops what is unread with the rest.
            if !self.exchange.reads_request_body() {
                break;
            }
        }
        drop(pieces);
        self.on_request(filter, step, Some(body))
    }

    pub fn request_trailers(&mut self, filter: calls::Filter) -> Verdict {
        let removals = |trailers: &Headers<'_>| self.exchange.trailer_removals(trailers);
        // Sound: the removals are made afterwards.
        let removals = unsafe { filter.read_head(Map::RequestTrailers, removals) };
        filter.edit(Map::RequestTrailers, &removals);
        let step = self.exchange.on_request_trailers();
        let body = Visible::at_trailers(filter, Part::RequestBuffered, self.request_bytes_held);
        self.on_request(filter, step, Some(body))
    }

    pub fn response_head(&mut self, filter: calls::Filter, end: bool) -> Verdict {
        self.answer_ends = end;
        self.answered = true;
        if self.replied {
            return Verdict::Continue;
        }
        self.is_made = self.exchange.leaves_answer(&Around(filter));
        if self.is_made {
            return Verdict::Continue;
        }
        if let Some(verdict) = self.misrouted(filter) {
            return verdict;
        }
        let read =
            |headers: &Headers<'_>| self.exchange.on_response_head(headers, end, &Around(filter));
        // Sound: as for the request's.
        let step = unsafe { filter.read_head(Map::Response, read) };
        self.on_response_once(filter, step, None)
    }

    pub fn response_body(&mut self, filter: calls::Filter, end: bool) -> Verdict {
        self.answer_ends = end;
        if self.replied || self.is_made {
            return Verdict::Continue;
        }
        let held = self.response_bytes_held;
        let body = || Visible::new(filter, Part::ResponseBuffered, Part::ResponseReceived, held);
        if !self.response_held && !self.exchange.reads_response_body() {
            let step = self.exchange.on_response_body(&[], after(end));
            if matches!(step, ResponseStep::Continue) {
                self.report(filter);
                return Verdict::Continue;
            }
            let body = body();
            return self.on_response_once(filter, step, Some(body));
        }
        // What is held has outgrown the buffer limit: Envoy has ended this answer, and the body is its own to clean up.
        // What it says instead is another body, whole.
        if std::mem::replace(&mut self.has_response_body, true)
            && self.response_held
            && filter.code_details().is_some_and(|why| why == b"response_payload_too_large")
        {
            return Verdict::Stop;
        }
        let body = body();
        // What comes of a stream in one call is nearly always one piece.
        if let Some(piece) = body.one_piece()
            && self.exchange.reads_response_body()
        {
            let step = self.exchange.on_response_body(piece, after(end));
            return self.on_response_once(filter, step, Some(body));
        }
        self.read_response(filter, body, end)
    }

    pub fn response_trailers(&mut self, filter: calls::Filter) -> Verdict {
        self.answer_ends = true;
        if self.replied || self.is_made {
            return Verdict::Continue;
        }
        let edits = |trailers: &Headers<'_>| self.exchange.response_trailer_edits(trailers);
        // Sound: the edits are made afterwards.
        let edits = unsafe { filter.read_head(Map::ResponseTrailers, edits) };
        filter.edit(Map::ResponseTrailers, &edits);
        let step = self.exchange.on_response_trailers();
        let held = self.response_bytes_held;
        let body =
            self.response_held.then(|| Visible::at_trailers(filter, Part::ResponseBuffered, held));
        self.on_response_once(filter, step, body)
    }

    /// A hook ends with `verdict`, and the stream goes on. Where the answer's end does, what is counted is final.
    pub fn hook_done(&mut self, filter: calls::Filter, verdict: Verdict) {
        if std::mem::take(&mut self.answer_ends) && verdict == Verdict::Continue {
            self.exchange.on_answered(&Around(filter));
            self.report(filter);
        }
    }

    /// The stream is over. Envoy's access loggers come next.
    pub fn complete(&mut self, filter: calls::Filter) {
        self.replied = true; // nothing can be answered any more, not even a fault of ours
        self.exchange.on_done(&Around(filter));
        self.report(filter);
    }

    /// Whether the body that this hook has changed was too long for Envoy, which has ended the stream then, and is yet to
    /// destroy it. To be asked of a stream that it has not destroyed.
    pub fn is_cut_off(&mut self, filter: calls::Filter) -> bool {
        std::mem::take(&mut self.had_limit) && !filter.has_limit()
    }

    /// Answers with an error, after a fault of ours.
    pub fn give_up(&mut self, filter: calls::Filter) {
        if !self.replied {
            let reply = self.exchange.give_up();
            self.report(filter);
            self.send(filter, &reply);
        }
    }

    fn on_request(
        &mut self,
        filter: calls::Filter,
        step: RequestStep,
        body: Option<Visible>,
    ) -> Verdict {
        let there = body.as_ref().map_or(0, Visible::len);
        // Nothing goes upstream unread: a filter before this one may have put something of its own behind what is held.
        let needs_body = matches!(step, RequestStep::ReadWhole | RequestStep::Release(_));
        if needs_body && body.as_ref().is_some_and(|body| !body.is_as_held()) {
            log(LogLevel::Error, "another filter has changed what this one holds of a request");
            self.give_up(filter);
            return Verdict::Stop;
        }
        let step = match step {
            RequestStep::ReadWhole => {
                let whole = body.as_ref().map(|body| body.copy(0..body.len())).unwrap_or_default();
                self.exchange.on_request_whole(&whole)
            }
            step => step,
        };
        self.report(filter);
        let verdict = match step {
            RequestStep::Continue => Verdict::Continue,
            RequestStep::Hold | RequestStep::ReadWhole => Verdict::Hold,
            // Envoy has answered a request that is still held: with its 413.
            RequestStep::Release(_) if self.answered => Verdict::Hold,
            RequestStep::Release(release) => {
                filter.edit(Map::Request, &release.headers);
                // Behind the router the route is chosen, and not every Envoy survives the question there.
                if filter.attempt() == 0 {
                    filter.clear_route_cache();
                }
                // Last of all: a body that outgrows Envoy's buffer ends the stream.
                if let (Some(body), false) = (body, release.body.is_empty()) {
                    let growth = splice::growth(&release.body);
                    let size = body
                        .len()
                        .saturating_add_signed(isize::try_from(growth).unwrap_or(isize::MAX));
                    self.before_change(filter, size);
                    body.edit(&release.body);
                }
                Verdict::Continue
            }
            RequestStep::ListModels(query) => self.list(filter, query, Outcomes::default()),
            RequestStep::Drop => {
                if let Some(body) = body.filter(|_| !self.answered) {
                    body.replace(&[]);
                }
                Verdict::Stop
            }
            RequestStep::Reply(reply) => self.send(filter, &reply),
        };
        self.request_bytes_held = if verdict == Verdict::Hold { there } else { 0 };
        verdict
    }

    /// Whether Envoy has asked another provider's cluster: then the answer is replaced.
    fn misrouted(&mut self, filter: calls::Filter) -> Option<Verdict> {
        let (line, reply) = self.exchange.misrouted(&Around(filter))?;
        log(LogLevel::Error, &line);
        self.report(filter);
        Some(self.send(filter, &reply))
    }

    /// A step outside of the body, or with all that is visible of it.
    fn on_response_once(
        &mut self,
        filter: calls::Filter,
        step: ResponseStep,
        body: Option<Visible>,
    ) -> Verdict {
        let there = body.as_ref().map_or(0, Visible::len);
        let step = self.with_head(filter, step);
        self.report(filter);
        let verdict = match step {
            ResponseStep::Hold | ResponseStep::ReadHead => Verdict::Hold,
            ResponseStep::Continue => Verdict::Continue,
            ResponseStep::Release(edits, out) => {
                filter.edit(Map::Response, &edits);
                if let (BodyOut::Replace(with), Some(body)) = (out, body) {
                    self.before_change(filter, with.len());
                    body.replace(&with);
                }
                Verdict::Continue
            }
            ResponseStep::Reply(reply) => self.send(filter, &reply),
        };
        self.response_done(verdict, there)
    }

    /// Reads what has come of the answer, slice by slice, for as long as somebody reads; the rest follows unread.
    fn read_response(&mut self, filter: calls::Filter, body: Visible, end: bool) -> Verdict {
        // Where an event is cut, what was read of it has to be written again: in a larger piece fewer are.
        let size = if self.exchange.reads_events() { STREAM_PIECE } else { 0 };
        let there = body.len();
        let joined = body.joined(size);
        let mut pieces = joined.iter().map(AsRef::as_ref).peekable();
        let (mut came, mut passed) = (0, 0);
        let mut written: Option<Vec<u8>> = None;
        let verdict = loop {
            let piece = if self.exchange.reads_response_body() {
                pieces.next().unwrap_or_default()
            } else {
                &[]
            };
            let is_last = pieces.peek().is_none() || !self.exchange.reads_response_body();
            came = if is_last { body.came() } else { came + piece.len() };
            let step = self
                .exchange
                .on_response_body(piece, if is_last { after(end) } else { Next::Visible });
            let step = self.with_head(filter, step);
            self.report(filter);
            let out = match step {
                ResponseStep::Hold | ResponseStep::ReadHead if is_last => break Verdict::Hold,
                ResponseStep::Hold | ResponseStep::ReadHead => continue,
                ResponseStep::Continue => BodyOut::Same,
                ResponseStep::Release(edits, out) => {
                    filter.edit(Map::Response, &edits);
                    out
                }
                ResponseStep::Reply(reply) => break self.send(filter, &reply),
            };
            let read = body.held() + came;
            let from = std::mem::replace(&mut passed, read);
            match (out, &mut written) {
                (BodyOut::Same, None) => {}
                (BodyOut::Same, Some(written)) => written.extend(body.copy(from..read)),
                (BodyOut::Replace(with), Some(written)) => written.extend(with),
                (BodyOut::Replace(with), None) if from == 0 => written = Some(with),
                (BodyOut::Replace(with), None) => {
                    let mut start = body.copy(0..from);
                    start.extend(with);
                    written = Some(start);
                }
            }
            if is_last {
                break Verdict::Continue;
            }
        };
        drop(pieces);
        if let (Verdict::Continue, Some(written)) = (verdict, written) {
            self.before_change(filter, written.len());
            body.replace(&written);
        }
        self.response_done(verdict, there)
    }

    /// What was visible of the answer, `there` bytes, is held back or not.
    fn response_done(&mut self, verdict: Verdict, there: usize) -> Verdict {
        self.response_held = verdict == Verdict::Hold;
        self.response_bytes_held = if self.response_held { there } else { 0 };
        verdict
    }

    /// `step`, or what follows from the answer's head where it wants to see that again.
    fn with_head(&mut self, filter: calls::Filter, step: ResponseStep) -> ResponseStep {
        match step {
            ResponseStep::ReadHead => {
                let read = |headers: &Headers<'_>| self.exchange.on_response_head_again(headers);
                // Sound: the exchange asks nothing here.
                unsafe { filter.read_head(Map::Response, read) }
            }
            step => step,
        }
    }

    fn send(&mut self, filter: calls::Filter, reply: &Reply) -> Verdict {
        self.replied = true;
        self.report_last(filter);
        filter.send(reply, &reply.details());
        Verdict::Stop
    }

    /// The hook that runs is about to change a body to `size` bytes. What Envoy does not hold ends the stream.
    fn before_change(&mut self, filter: calls::Filter, size: usize) {
        let limit = filter.buffer_limit();
        self.had_limit = limit != usize::MAX;
        if size > limit {
            self.report_last(filter);
        }
    }

    /// Before what may end the stream from within: Envoy then calls [`Self::complete`] while this hook still runs, where it
    /// can't be heard, and its access loggers at once.
    fn report_last(&mut self, filter: calls::Filter) {
        self.exchange.on_may_end(&Around(filter));
        self.report(filter);
    }

    /// Gives the access log what has become known, and counts what has happened.
    fn report(&mut self, filter: calls::Filter) {
        for (note, value) in self.exchange.take_notes() {
            filter.set_filter_state(note, value.as_bytes());
        }
        for counter in self.exchange.take_counted() {
            if let Some((name, labels)) = counters::labelled(&counter)
                && let Some(id) = self.configuration.counter(name)
            {
                filter.count(id, &labels);
            } else {
                log(LogLevel::Warn, &format!("can't count {counter}"));
            }
        }
    }
}
