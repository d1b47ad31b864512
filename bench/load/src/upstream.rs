//! The upstream: checks each request and answers as the scenario says.

use std::cmp::Reverse;
use std::collections::{BinaryHeap, HashMap};
use std::io;
use std::net::TcpStream;
use std::rc::Rc;
use std::time::{Duration, Instant};

use crate::connection::{Connection, Got};
use crate::http::{Parser, Sink};
use crate::run::Run;
use crate::scenario::{Check, Framed, Scenario};

struct Peer {
    connection: Connection,
    answer: Option<Answer>,
}

/// An answer on its way. Its scenario may have ended.
struct Answer {
    framed: Rc<Framed>,
    written: usize,
    began: Instant,
}

/// All connections of the proxy.
pub struct Upstream {
    peers: HashMap<u64, Peer>,
    next: u64,
    probe: Rc<Framed>,
    /// Whose next write waits for its time.
    due: BinaryHeap<Reverse<(Instant, u64)>>,
}

struct Request<'a> {
    check: &'a mut Check,
    scenario: Option<&'a Scenario>,
    /// It is no client's request.
    probe: bool,
    complete: bool,
    verdict: Option<String>,
}

impl Sink for Request<'_> {
    fn head(&mut self, head: &[u8]) {
        self.probe = head.starts_with(b"GET ");
        if self.probe {
            self.scenario = None;
        }
        if let Some(scenario) = self.scenario {
            self.check.head(head, &scenario.at_upstream);
        }
    }

    fn body(&mut self, bytes: &[u8]) {
        if let Some(scenario) = self.scenario {
            self.check.body(bytes, &scenario.at_upstream);
        }
    }

    fn end(&mut self) {
        self.complete = true;
        self.verdict = self.scenario.and_then(|scenario| self.check.end(&scenario.at_upstream));
    }
}

impl Default for Upstream {
    fn default() -> Self {
        Self {
            peers: HashMap::new(),
            next: 0,
            probe: Rc::new(Framed::probe()),
            due: BinaryHeap::new(),
        }
    }
}

impl Upstream {
    /// Takes a new connection; its number is for [`Self::event`].
    pub fn accept(&mut self, stream: TcpStream) -> io::Result<u64> {
        self.next += 1;
        let connection = Connection::new(stream, Parser::requests())?;
        self.peers.insert(self.next, Peer { connection, answer: None });
        Ok(self.next)
    }

    pub fn stream(&self, id: u64) -> Option<&TcpStream> {
        self.peers.get(&id).map(|peer| &peer.connection.stream)
    }

    /// Something can be read or written.
    pub fn event(&mut self, id: u64, run: &mut Option<Run>, buffer: &mut [u8]) {
        if !self.exchange(id, run, buffer) {
            self.peers.remove(&id);
        }
    }

    fn exchange(&mut self, id: u64, run: &mut Option<Run>, buffer: &mut [u8]) -> bool {
        let Some(peer) = self.peers.get_mut(&id) else { return true };
        let scenario = run.as_ref().map(|run| Rc::clone(&run.scenario));
        loop {
            let size = match peer.connection.read(buffer) {
                Got::Some(size) => size,
                Got::Drained => break,
                Got::Closed => return false,
            };
            let connection = &mut peer.connection;
            let mut request = Request {
                check: &mut connection.check,
                scenario: scenario.as_deref(),
                probe: false,
                complete: false,
                verdict: None,
            };
            if connection.parser.feed(&buffer[..size], &mut request).is_err() {
                return false;
            }
            let Request { probe, complete, verdict, .. } = request;
            if let (Some(run), Some(why)) = (run.as_mut(), verdict) {
                run.wrong(format!("at the upstream: {why}"));
            }
            if complete {
                let framed = match &scenario {
                    _ if probe => Rc::clone(&self.probe),
                    Some(scenario) => Rc::clone(&scenario.answer),
                    None => return false,
                };
                connection.start();
                connection.allow(framed.writes[0]);
                peer.answer = Some(Answer { framed, written: 0, began: Instant::now() });
            }
            if size < buffer.len() {
                break;
            }
        }
        self.write(id)
    }

    /// Writes what may be, and plans the next write.
    fn write(&mut self, id: u64) -> bool {
        let Some(peer) = self.peers.get_mut(&id) else { return true };
        let Some(answer) = &mut peer.answer else { return true };
        if !peer.connection.has_output() {
            return true;
        }
        match peer.connection.write(&answer.framed.bytes) {
            Err(_) => return false,
            Ok(false) => return true,
            Ok(true) => {}
        }
        answer.written += 1;
        if answer.written == answer.framed.writes.len() {
            peer.answer = None;
        } else {
            // Not all streams at the same instant: the connection's number spreads them evenly.
            let interval = answer.framed.interval_us;
            let shift = id.wrapping_mul(0x9e37_79b9_7f4a_7c15) % interval;
            let since = Duration::from_micros((answer.written as u64 - 1) * interval + shift);
            self.due.push(Reverse((answer.began + since, id)));
        }
        true
    }

    pub fn next_due(&self) -> Option<Instant> {
        self.due.peek().map(|Reverse((time, _))| *time)
    }

    /// Writes the next event of each stream whose turn it is.
    pub fn pump(&mut self, now: Instant) {
        while let Some(&Reverse((time, id))) = self.due.peek() {
            if time > now {
                break;
            }
            self.due.pop();
            self.next_write(id);
        }
    }

    fn next_write(&mut self, id: u64) {
        let Some(peer) = self.peers.get_mut(&id) else { return };
        let Some(answer) = &peer.answer else { return };
        let Some(&end) = answer.framed.writes.get(answer.written) else { return };
        peer.connection.allow(end);
        if !self.write(id) {
            self.peers.remove(&id);
        }
    }
}
