//! CPU time of processes, from the operating system's accounting.

use std::fs;

/// Seconds on a CPU of these processes and all their descendants: of threads that have ended too, in
/// nanosecond steps. A descendant that ended since is missing.
pub fn of(roots: &[u32]) -> f64 {
    let mut pids = roots.to_vec();
    let mut next = 0;
    while let Some(&pid) = pids.get(next) {
        next += 1;
        pids.extend(
            children(pid).into_iter().filter(|child| !pids.contains(child)).collect::<Vec<_>>(),
        );
    }
    pids.into_iter().filter_map(process).sum()
}

/// Seconds on a CPU of this process.
pub fn own() -> f64 {
    process(std::process::id()).unwrap_or(0.0)
}

fn children(pid: u32) -> Vec<u32> {
    let Ok(threads) = fs::read_dir(format!("/proc/{pid}/task")) else { return Vec::new() };
    let lists = threads.flatten().filter_map(|thread| {
        let text = fs::read_to_string(thread.path().join("children")).ok()?;
        Some(text.split_ascii_whitespace().filter_map(|pid| pid.parse().ok()).collect::<Vec<_>>())
    });
    lists.flatten().collect()
}

fn process(pid: u32) -> Option<f64> {
    let (mut clock, mut time) = (0, libc::timespec { tv_sec: 0, tv_nsec: 0 });
    // SAFETY: both write one value of their own type through a pointer to it.
    let failed = unsafe {
        libc::clock_getcpuclockid(libc::pid_t::try_from(pid).ok()?, &mut clock) != 0
            || libc::clock_gettime(clock, &mut time) != 0
    };
    (!failed).then_some(time.tv_sec as f64 + time.tv_nsec as f64 / 1e9)
}
