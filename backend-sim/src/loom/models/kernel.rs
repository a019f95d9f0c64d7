//! The kernel's side of a model: draining, and what must never come of it.

use user_ringbuf_core::{RecordState, record_extent};

use crate::KernelMemory;
use crate::loom::LoomMemory;

/// Another drain was at work.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Busy;

/// Drains what is there into `taken`.
pub(super) fn try_drain(memory: &LoomMemory, taken: &mut Vec<Vec<u8>>) -> Result<usize, Busy> {
    if !memory.kernel_begin_drain() {
        return Err(Busy);
    }
    let before = taken.len();
    let size = KernelMemory::size(memory);
    loop {
        let producer = memory.kernel_load_producer();
        let consumer = memory.kernel_load_consumer();
        let there = producer.wrapping_sub(consumer);
        if there == 0 {
            break;
        }
        let offset = u32::try_from(consumer & (size.bytes_u64() - 1)).expect("below the size");
        let header = memory.kernel_load_header(offset);
        let extent = u64::from(record_extent(header.len()));
        assert!(extent <= there, "stale header: {header:?} with {there} bytes there");
        match header.state() {
            RecordState::Busy => break,
            RecordState::Discarded => {}
            RecordState::Submitted => {
                let mut sample = Vec::new();
                memory.kernel_read_sample(offset, header.len(), &mut sample);
                taken.push(sample);
            }
        }
        memory.kernel_store_consumer(consumer.wrapping_add(extent));
    }
    memory.kernel_end_drain();
    Ok(taken.len() - before)
}

/// As [`try_drain`], where there is no other drainer.
pub(super) fn drain(memory: &LoomMemory, taken: &mut Vec<Vec<u8>>) -> usize {
    try_drain(memory, taken).expect("one drainer only")
}
