//! Clients and upstream of a benchmark in one thread: both ends of a proxy on one core, one clock, and
//! one figure for what they cost.
//!
//! Prints the upstream's port, then reads scenarios, one line of JSON each, and answers each with a
//! line of JSON. It ends with its input.

mod clients;
mod connection;
mod http;
mod run;
mod scenario;
mod upstream;
mod usage;

use std::io::{self, Read, Write};
use std::net::TcpListener;
use std::os::fd::OwnedFd;
use std::rc::Rc;
use std::time::Instant;

use rustix::event::epoll::{self, CreateFlags, EventData, EventFlags};
use rustix::time::Timespec;

use clients::Clients;
use run::Run;
use scenario::Scenario;
use upstream::Upstream;

const LISTENER: u64 = 0;
const STDIN: u64 = 1;
const CLIENTS: u64 = 1 << 32;
const UPSTREAMS: u64 = 1 << 48;
/// As much as Envoy's own sockets are likely to hold.
const BUFFER: usize = 256 * 1024;

struct Bench {
    epoll: OwnedFd,
    listener: TcpListener,
    upstream: Upstream,
    clients: Clients,
    run: Option<Run>,
    input: Vec<u8>,
}

fn main() -> io::Result<()> {
    let listener = TcpListener::bind("127.0.0.1:0")?;
    listener.set_nonblocking(true)?;
    println!("{}", listener.local_addr()?.port());
    let epoll = epoll::create(CreateFlags::CLOEXEC)?;
    epoll::add(&epoll, &listener, EventData::new_u64(LISTENER), EventFlags::IN)?;
    epoll::add(&epoll, io::stdin(), EventData::new_u64(STDIN), EventFlags::IN)?;
    Bench {
        epoll,
        listener,
        upstream: Upstream::default(),
        clients: Clients::default(),
        run: None,
        input: Vec::new(),
    }
    .serve()
}

impl Bench {
    fn serve(mut self) -> io::Result<()> {
        let mut buffer = vec![0; BUFFER];
        let mut events = Vec::with_capacity(256);
        loop {
            let timeout = self.timeout();
            match epoll::wait(
                &self.epoll,
                rustix::buffer::spare_capacity(&mut events),
                timeout.as_ref(),
            ) {
                Ok(_) => {}
                Err(rustix::io::Errno::INTR) => continue,
                Err(error) => return Err(error.into()),
            }
            for event in events.drain(..) {
                match event.data.u64() {
                    LISTENER => self.accept()?,
                    STDIN => {
                        if !self.read_scenario(&mut buffer)? {
                            return Ok(());
                        }
                    }
                    token if token >= UPSTREAMS => {
                        self.upstream.event(token - UPSTREAMS, &mut self.run, &mut buffer);
                    }
                    token => {
                        if let Some(run) = &mut self.run {
                            self.clients.event((token - CLIENTS) as usize, run, &mut buffer);
                        }
                    }
                }
            }
            self.upstream.pump(Instant::now());
            self.end_run();
        }
    }

    /// How long to sleep at most; `None`: until something happens.
    fn timeout(&self) -> Option<Timespec> {
        let end = self.run.as_ref().map(Run::end);
        let next = self.upstream.next_due().into_iter().chain(end).min()?;
        let left = next.saturating_duration_since(Instant::now());
        Some(Timespec {
            tv_sec: left.as_secs().try_into().unwrap_or(i64::MAX),
            tv_nsec: left.subsec_nanos().into(),
        })
    }

    fn accept(&mut self) -> io::Result<()> {
        while let Ok((stream, _)) = self.listener.accept() {
            let id = self.upstream.accept(stream)?;
            if let Some(stream) = self.upstream.stream(id) {
                self.watch(stream, UPSTREAMS + id)?;
            }
        }
        Ok(())
    }

    fn watch(&self, stream: &std::net::TcpStream, token: u64) -> io::Result<()> {
        let flags = EventFlags::IN | EventFlags::OUT | EventFlags::RDHUP | EventFlags::ET;
        Ok(epoll::add(&self.epoll, stream, EventData::new_u64(token), flags)?)
    }

    /// False at the end of the input.
    fn read_scenario(&mut self, buffer: &mut [u8]) -> io::Result<bool> {
        let size = io::stdin().lock().read(buffer)?;
        self.input.extend_from_slice(&buffer[..size]);
        if let Some(end) = memchr::memchr(b'\n', &self.input) {
            let line: Vec<u8> = self.input.drain(..=end).collect();
            if let Err(error) = self.start_run(&String::from_utf8_lossy(&line)) {
                answer(&serde_json::json!({ "error": error }))?;
            }
        }
        Ok(size > 0)
    }

    fn start_run(&mut self, line: &str) -> Result<(), String> {
        let scenario = Rc::new(Scenario::read(line)?);
        let say = |error: io::Error| format!("{}: {error}", scenario.target);
        self.clients = Clients::connect(&scenario).map_err(say)?;
        for (index, stream) in self.clients.streams().enumerate() {
            self.watch(stream, CLIENTS + index as u64).map_err(say)?;
        }
        let mut run = Run::new(Rc::clone(&scenario));
        self.clients.start(&mut run);
        self.run = Some(run);
        Ok(())
    }

    fn end_run(&mut self) {
        let Some(run) = &mut self.run else { return };
        if run.active > 0 {
            if Instant::now() < run.end() {
                return;
            }
            run.wrong(format!("{} answers never came", run.active));
        }
        if let Some(run) = self.run.take() {
            let report = run.report();
            self.clients = Clients::default();
            // Nobody reads any more: the end of the input says so too.
            let _ = answer(&report);
        }
    }
}

fn answer(value: &impl serde::Serialize) -> io::Result<()> {
    let mut out = io::stdout().lock();
    serde_json::to_writer(&mut out, value)?;
    out.write_all(b"\n")?;
    out.flush()
}
