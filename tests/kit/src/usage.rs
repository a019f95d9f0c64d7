//! What this process holds and uses, and limits to what it may have.

use std::time::{Duration, Instant};

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use rustix::time::{ClockId, clock_gettime};

/// Descriptors that are open now.
///
/// # Panics
/// If `/proc` can't be read.
pub fn open_descriptors() -> usize {
    // The directory's own descriptor is always among them.
    std::fs::read_dir("/proc/self/fd").expect("/proc is mounted").count()
}

/// Mappings of BPF maps now, as lines of `/proc/self/maps`.
///
/// # Panics
/// If `/proc` can't be read.
pub fn mapped_maps() -> Vec<String> {
    let text = std::fs::read_to_string("/proc/self/maps").expect("/proc is mounted");
    text.lines().filter(|line| line.contains("bpf-map") || line.contains("bpf_map")).map(str::to_owned).collect()
}

/// Runs `work` with a soft limit of this process lowered.
///
/// # Panics
/// If the limit can't be set.
pub fn with_limit<T>(resource: Resource, limit: u64, work: impl FnOnce() -> T) -> T {
    let before = getrlimit(resource);
    setrlimit(resource, Rlimit { current: Some(limit), ..before }).expect("lowering a soft limit is allowed");
    let result = work();
    setrlimit(resource, before).expect("and so is raising it again");
    result
}

/// Runs `work` while only 16 MiB more of address space can be mapped.
///
/// # Panics
/// If `/proc` can't be read or the limit not set.
pub fn with_little_address_space<T>(work: impl FnOnce() -> T) -> T {
    let statm = std::fs::read_to_string("/proc/self/statm").expect("/proc is mounted");
    let pages: u64 = statm.split(' ').next().and_then(|pages| pages.parse().ok()).expect("it begins with a count");
    let used = pages * u64::try_from(rustix::param::page_size()).expect("a page is small");
    with_limit(Resource::As, used + (16 << 20), work)
}

/// Memory of this process that is resident now, in KiB.
///
/// # Panics
/// If `/proc` can't be read.
pub fn resident_kib() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").expect("/proc is mounted");
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).expect("every process has VmRSS");
    line.trim().trim_end_matches(" kB").parse().expect("a number of kB")
}

/// CPU time that this thread has used.
///
/// # Panics
/// Never: it is not negative.
pub fn thread_cpu() -> Duration {
    Duration::try_from(clock_gettime(ClockId::ThreadCPUTime)).expect("a thread's time begins at 0")
}

/// How much of the time since [`begin`](Self::begin) this thread spent on a CPU.
#[derive(Clone, Copy, Debug)]
pub struct CpuShare {
    cpu: Duration,
    clock: Instant,
}

impl CpuShare {
    /// Starts measuring.
    pub fn begin() -> Self {
        Self { cpu: thread_cpu(), clock: Instant::now() }
    }

    /// CPU time by time on the clock, since the beginning.
    pub fn so_far(&self) -> f64 {
        (thread_cpu() - self.cpu).as_secs_f64() / self.clock.elapsed().as_secs_f64()
    }
}
