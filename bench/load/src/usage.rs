//! CPU time of processes, from the scheduler's own accounting.

use std::fs;

use rustix::time::{ClockId, clock_gettime};

/// Seconds on a CPU of all threads of these processes, in nanosecond steps.
pub fn of(pids: &[u32]) -> f64 {
    let mut nanoseconds = 0;
    for pid in pids {
        let Ok(threads) = fs::read_dir(format!("/proc/{pid}/task")) else { continue };
        for thread in threads.flatten() {
            let text = fs::read_to_string(thread.path().join("schedstat")).unwrap_or_default();
            let on_cpu = text.split(' ').next().and_then(|number| number.parse::<u64>().ok());
            nanoseconds += on_cpu.unwrap_or(0);
        }
    }
    nanoseconds as f64 / 1e9
}

/// Seconds on a CPU of this process.
pub fn own() -> f64 {
    let time = clock_gettime(ClockId::ProcessCPUTime);
    time.tv_sec as f64 + time.tv_nsec as f64 / 1e9
}
