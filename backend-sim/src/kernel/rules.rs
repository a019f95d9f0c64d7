//! The rules that the kernel applies to a drain and to each record, one method per rule.
//!
//! [`FakeKernel`](super::FakeKernel) asks them, and [`KernelRules`] leaves each as it is. A fault that is planted to show
//! that a comparison notices it overrides one of them.

use std::fmt;

use user_ringbuf_core::kernel::MAX_RECORDS_PER_DRAIN;
use user_ringbuf_core::{Header, KernelError, MAX_SAMPLE_LEN, RecordState, record_extent};

/// The rules of a drain. The provided methods are the kernel's own.
pub trait Rules: fmt::Debug + Sync + 'static {
    /// Most records that one drain takes: `BPF_MAX_USER_RINGBUF_SAMPLES`.
    fn most_records(&self) -> u32 {
        MAX_RECORDS_PER_DRAIN
    }

    /// Longest sample that a dynptr can stand for: `DYNPTR_MAX_SIZE`.
    fn longest_sample(&self) -> u32 {
        MAX_SAMPLE_LEN
    }

    /// Bytes that a record takes: `round_up(sample_len + BPF_RINGBUF_HDR_SZ, 8)`.
    fn extent(&self, len: u32) -> u32 {
        record_extent(len)
    }

    /// Which error a record's length is, in the kernel's order of checks.
    ///
    /// # Errors
    /// The one that ends the drain.
    fn check(&self, length: Length) -> Result<(), KernelError> {
        if length.beyond_producer {
            Err(KernelError::Invalid)
        } else if length.too_big {
            Err(KernelError::TooBig)
        } else {
            Ok(())
        }
    }

    /// What a record's flag bits mean.
    fn state(&self, header: Header) -> RecordState {
        header.state()
    }

    /// Where an error puts the consumer back to: nowhere, because what was consumed stays consumed. Called when a drain
    /// begins.
    fn back_on_error(&self, _consumer: &dyn Fn() -> u64) -> Option<u64> {
        None
    }
}

/// What a record's length reaches beyond.
#[derive(Clone, Copy, Debug)]
pub struct Length {
    /// The record ends beyond the producer position.
    pub beyond_producer: bool,
    /// The record is larger than the ring, or its sample longer than [`Rules::longest_sample`].
    pub too_big: bool,
}

/// The kernel's rules.
#[derive(Clone, Copy, Debug)]
pub struct KernelRules;

impl Rules for KernelRules {}
