//! The clients: each sends a request, checks the answer, and sends the next.

use std::io;
use std::net::TcpStream;
use std::time::Instant;

use crate::connection::{Connection, Got};
use crate::http::{Parser, Sink};
use crate::run::Run;
use crate::scenario::{Check, Scenario};

struct Client {
    connection: Connection,
    sent: Instant,
    first: Option<Instant>,
    waiting: bool,
}

/// All clients of a run.
#[derive(Default)]
pub struct Clients {
    clients: Vec<Client>,
}

struct Answer<'a> {
    check: &'a mut Check,
    scenario: &'a Scenario,
    first: &'a mut Option<Instant>,
    complete: bool,
    verdict: Option<String>,
}

impl Sink for Answer<'_> {
    fn head(&mut self, head: &[u8]) {
        self.check.head(head, &self.scenario.at_client);
    }

    fn body(&mut self, bytes: &[u8]) {
        self.first.get_or_insert_with(Instant::now);
        self.check.body(bytes, &self.scenario.at_client);
    }

    fn end(&mut self) {
        self.complete = true;
        self.verdict = self.check.end(&self.scenario.at_client);
    }
}

impl Clients {
    /// Connects as many as the scenario wants.
    pub fn connect(scenario: &Scenario) -> io::Result<Self> {
        let clients = (0..scenario.connections).map(|_| {
            let stream = TcpStream::connect(&scenario.target)?;
            let connection = Connection::new(stream, Parser::answers())?;
            Ok(Client { connection, sent: Instant::now(), first: None, waiting: false })
        });
        Ok(Self { clients: clients.collect::<io::Result<_>>()? })
    }

    pub fn streams(&self) -> impl Iterator<Item = &TcpStream> {
        self.clients.iter().map(|client| &client.connection.stream)
    }

    /// Every client sends its first request.
    pub fn start(&mut self, run: &mut Run) {
        for client in &mut self.clients {
            client.send(run);
        }
    }

    /// Something can be read or written.
    pub fn event(&mut self, index: usize, run: &mut Run, buffer: &mut [u8]) {
        let Some(client) = self.clients.get_mut(index) else { return };
        if let Err(why) = client.exchange(run, buffer)
            && client.waiting
        {
            run.wrong(format!("at the client: {why}"));
            client.waiting = false;
            run.active -= 1;
        }
    }
}

impl Client {
    fn send(&mut self, run: &mut Run) {
        self.sent = Instant::now();
        self.first = None;
        self.waiting = run.issue(self.sent);
        if self.waiting {
            run.active += 1;
            self.connection.start();
            self.connection.allow(run.scenario.request.len());
            // A failure shows when the answer is read.
            let _ = self.connection.write(&run.scenario.request);
        }
    }

    fn exchange(&mut self, run: &mut Run, buffer: &mut [u8]) -> Result<(), String> {
        if self.connection.has_output() {
            self.connection.write(&run.scenario.request).map_err(|error| error.to_string())?;
        }
        loop {
            let size = match self.connection.read(buffer) {
                Got::Some(size) => size,
                Got::Drained => return Ok(()),
                Got::Closed => return Err("the connection was closed".to_owned()),
            };
            let mut answer = Answer {
                check: &mut self.connection.check,
                scenario: &run.scenario,
                first: &mut self.first,
                complete: false,
                verdict: None,
            };
            self.connection.parser.feed(&buffer[..size], &mut answer)?;
            let Answer { complete, verdict, .. } = answer;
            if let Some(why) = verdict {
                run.wrong(format!("at the client: {why}"));
            }
            if complete {
                let now = Instant::now();
                let first = self.first.unwrap_or(now) - self.sent;
                run.completed(now - self.sent, first);
                run.active -= 1;
                self.send(run);
            }
            if size < buffer.len() {
                return Ok(());
            }
        }
    }
}
