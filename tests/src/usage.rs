//! What this process holds: descriptors and mappings, to see that nothing leaks.

use std::io::Read;

/// Descriptors that are open now.
///
/// # Panics
/// If `/proc` can't be read.
pub fn open_descriptors() -> usize {
    // The directory's own descriptor is among them, each time.
    std::fs::read_dir("/proc/self/fd").expect("/proc is mounted").count()
}

/// Mappings of BPF maps now, as lines of `/proc/self/maps`.
///
/// # Panics
/// If `/proc` can't be read.
pub fn mapped_maps() -> Vec<String> {
    let mut text = String::new();
    std::fs::File::open("/proc/self/maps")
        .and_then(|mut file| file.read_to_string(&mut text))
        .expect("/proc is mounted");
    text.lines().filter(|line| line.contains("bpf-map") || line.contains("bpf_map")).map(str::to_owned).collect()
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
