//! A measurement under way, and its result.

use std::rc::Rc;
use std::time::{Duration, Instant};

use serde::Serialize;

use crate::scenario::Scenario;
use crate::usage;

/// How long an answer may be late after the last request was sent.
const GRACE: Duration = Duration::from_secs(20);

/// One line on stdout.
#[derive(Serialize)]
pub struct Report {
    completed: usize,
    wrong: usize,
    first_wrong: Option<String>,
    seconds: f64,
    /// CPU seconds of the proxy's processes.
    proxy_cpu: f64,
    /// CPU seconds of this process, which is clients and upstream.
    load_cpu: f64,
    events: usize,
    latency_us: Spread,
    /// To the first byte of the body.
    first_us: Spread,
}

#[derive(Serialize)]
struct Spread {
    p50: f64,
    p90: f64,
    p99: f64,
    max: f64,
}

/// Counts and times.
pub struct Run {
    pub scenario: Rc<Scenario>,
    began: Instant,
    deadline: Instant,
    proxy_cpu: f64,
    load_cpu: f64,
    issued: usize,
    /// Clients with a request under way.
    pub active: usize,
    completed: usize,
    wrong: usize,
    first_wrong: Option<String>,
    latencies: Vec<Duration>,
    firsts: Vec<Duration>,
}

impl Run {
    pub fn new(scenario: Rc<Scenario>) -> Self {
        let proxy_cpu = usage::of(&scenario.pids);
        let began = Instant::now();
        Self {
            deadline: began + Duration::from_secs_f64(scenario.seconds),
            began,
            proxy_cpu,
            load_cpu: usage::own(),
            issued: 0,
            active: 0,
            completed: 0,
            wrong: 0,
            first_wrong: None,
            latencies: Vec::new(),
            firsts: Vec::new(),
            scenario,
        }
    }

    /// Whether one more request is to be sent; if so, it is counted.
    pub fn issue(&mut self, now: Instant) -> bool {
        let more = now < self.deadline && self.issued < self.scenario.requests;
        self.issued += usize::from(more);
        more
    }

    pub fn completed(&mut self, latency: Duration, first: Duration) {
        self.completed += 1;
        self.latencies.push(latency);
        self.firsts.push(first);
    }

    pub fn wrong(&mut self, why: String) {
        self.wrong += 1;
        self.first_wrong.get_or_insert(why);
    }

    /// When to give up.
    pub fn end(&self) -> Instant {
        self.deadline + GRACE
    }

    pub fn report(mut self) -> Report {
        let seconds = self.began.elapsed().as_secs_f64();
        let proxy_cpu = usage::of(&self.scenario.pids) - self.proxy_cpu;
        Report {
            completed: self.completed,
            wrong: self.wrong,
            seconds,
            proxy_cpu,
            load_cpu: usage::own() - self.load_cpu,
            events: self.completed * self.scenario.events,
            latency_us: spread(&mut self.latencies),
            first_us: spread(&mut self.firsts),
            first_wrong: self.first_wrong,
        }
    }
}

fn spread(times: &mut [Duration]) -> Spread {
    times.sort_unstable();
    let at = |share: f64| {
        let index = (times.len() as f64 * share) as usize;
        let time = times.get(index.min(times.len().saturating_sub(1)));
        time.map_or(0.0, |time| time.as_nanos() as f64 / 1000.0)
    };
    Spread { p50: at(0.5), p90: at(0.9), p99: at(0.99), max: at(1.0) }
}
