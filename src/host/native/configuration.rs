//! A configuration: checked on Envoy's main thread. Its virtual keys are compiled there, once for the process; the rest is
//! compiled again by each worker that uses it, since the core counts references to it without atomics.

use std::cell::{Cell, RefCell};
use std::rc::Rc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Weak};

use super::abi::{self, Envoy, LogLevel};
use super::calls::{define_counter, log};
use super::lists::Lists;
use crate::config::SharedConfig;
use crate::exchange::{Budget, WorkerMemory};
use crate::policy::{Config, Positions};
use crate::telemetry::counters;

/// What Envoy keeps for as long as the configuration is in use.
pub struct Configuration {
    id: u64,
    shared: SharedConfig,
    counters: Vec<(&'static str, usize)>,
    lists: Lists,
}

/// What the streams of one worker share.
pub struct Worker {
    pub config: Rc<Config>,
    /// What may be held.
    pub budget: Rc<Budget>,
    /// What its streams have seen.
    pub memory: Rc<WorkerMemory>,
}

/// Envoy hands a configuration from its main thread to all workers, as a bare pointer that no compiler looks behind.
const _: () = {
    const fn crosses_threads<T: Send + Sync>() {}
    crosses_threads::<Arc<Configuration>>();
    crosses_threads::<SharedConfig>();
    crosses_threads::<Lists>();
};

thread_local! {
    /// What this thread's streams hold, of all configurations.
    static HELD: Rc<Cell<usize>> = Rc::default();
    static WORKERS: RefCell<Vec<(Weak<Configuration>, Rc<Worker>)>> = const { RefCell::new(Vec::new()) };
}

impl Configuration {
    /// Checks what an operator wrote: JSON, as Envoy passes a `StringValue` and a `Struct` alike. What is wrong with it is
    /// logged.
    ///
    /// # Safety
    /// `envoy` is the configuration's pointer, handed to the hook that is running.
    pub unsafe fn load(envoy: Envoy, bytes: Vec<u8>) -> Option<Arc<Self>> {
        static NEXT: AtomicU64 = AtomicU64::new(0);
        let (config, shared) = match Config::for_threads(&bytes, &env) {
            Ok(good) => good,
            Err(problems) => {
                log(LogLevel::Error, &format!("the configuration is refused:\n{problems}"));
                return None;
            }
        };
        if config.routing.positions == Positions::Two && !abi::tells_attempts() {
            log(
                LogLevel::Error,
                "the configuration is refused:\nrouting.positions: fallbacks and 2 take Envoy 1.39 or later with the \
                 native module: this one does not tell it where it stands",
            );
            return None;
        }
        let version = env!("CARGO_PKG_VERSION");
        log(
            LogLevel::Info,
            &format!(
                "openai-gateway-filter {version} (native, ABI {}): {}",
                abi::VERSION.to_string_lossy(),
                config.summary()
            ),
        );
        for warning in config.warnings() {
            log(LogLevel::Warn, &warning.to_string());
        }
        let define = |(name, labels): (&'static str, &[&str])| {
            // Sound: as for this function.
            let id = unsafe { define_counter(envoy, name, labels) };
            if id.is_none() {
                log(LogLevel::Warn, &format!("can't define the counter {name}"));
            }
            Some((name, id?))
        };
        let counters = counters::DEFINITIONS.into_iter().filter_map(define).collect();
        let id = NEXT.fetch_add(1, Ordering::Relaxed);
        Some(Arc::new(Self { id, shared, counters, lists: Lists::default() }))
    }

    /// The worker's own. `None` only if the environment has changed so that it does not compile any more.
    pub fn of_this_worker(self: &Arc<Self>) -> Option<Rc<Worker>> {
        WORKERS.with_borrow_mut(|workers| {
            let of_this = |(of, _): &&(Weak<Self>, Rc<Worker>)| {
                of.upgrade().is_some_and(|of| of.id == self.id)
            };
            if let Some((_, worker)) = workers.iter().find(of_this) {
                return Some(Rc::clone(worker));
            }
            workers.retain(|(of, _)| of.strong_count() > 0);
            let config = Rc::new(self.shared.of_thread(&env).ok()?);
            let budget = Rc::new(Budget::new(&config, HELD.with(Rc::clone)));
            let worker = Rc::new(Worker { config, budget, memory: Rc::default() });
            workers.push((Arc::downgrade(self), Rc::clone(&worker)));
            Some(worker)
        })
    }
}

impl Configuration {
    /// The model lists of the whole process.
    pub fn lists(&self) -> &Lists {
        &self.lists
    }

    /// The id of a counter.
    pub fn counter(&self, name: &str) -> Option<usize> {
        self.counters.iter().find(|(known, _)| *known == name).map(|(_, id)| *id)
    }
}

fn env(name: &str) -> Option<String> {
    std::env::var(name).ok()
}
