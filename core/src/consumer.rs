//! The numbers of the kernel's side, `bpf_user_ringbuf_drain` (helper 209), for those who call it or imitate it.

/// Drain flag `BPF_RB_NO_WAKEUP`: wakes nobody, whatever was consumed.
pub const NO_WAKEUP: u64 = 1;

/// Drain flag `BPF_RB_FORCE_WAKEUP`: wakes those who wait, even if nothing was consumed.
pub const FORCE_WAKEUP: u64 = 2;

/// Most records that one drain takes, discarded ones counted (`BPF_MAX_USER_RINGBUF_SAMPLES`).
pub const MAX_RECORDS_PER_DRAIN: u32 = 128 * 1024;
