//! What is counted and disassembled: an operation a function.

use core::slice;

use user_ringbuf_linux::{Mapping, Producer, Shared};

use crate::places::Fixed;

/// Reserves `len` bytes, writes `word` into the first eight, and submits. Whether there was room.
#[unsafe(no_mangle)]
pub extern "C" fn hot_reserve_submit(producer: &mut Producer<Mapping>, len: usize, word: u64) -> bool {
    let Ok(mut sample) = producer.reserve(len) else { return false };
    let Some(first) = sample.first_chunk_mut() else { return false };
    *first = word.to_ne_bytes();
    sample.submit();
    true
}

/// Pushes 40 bytes.
#[unsafe(no_mangle)]
pub extern "C" fn hot_push_40(producer: &mut Producer<Mapping>, sample: &[u8; 40]) -> bool {
    producer.push(sample).is_ok()
}

/// Pushes `len` bytes.
///
/// # Safety
/// `bytes` are readable.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn hot_push(producer: &mut Producer<Mapping>, bytes: *const u8, len: usize) -> bool {
    // SAFETY: the caller's promise.
    producer.push(unsafe { slice::from_raw_parts(bytes, len) }).is_ok()
}

/// Pushes a batch of 32 samples of 40 bytes.
#[unsafe(no_mangle)]
pub extern "C" fn hot_batch_32(producer: &mut Producer<Mapping>, sample: &[u8; 40]) -> bool {
    let mut batch = producer.batch();
    for _ in 0..32 {
        if batch.push(sample).is_err() {
            return false;
        }
    }
    batch.submit().is_ok()
}

/// Reserves a detached sample, writes its first eight bytes, and submits it.
#[unsafe(no_mangle)]
pub extern "C" fn hot_detached(producer: &mut Producer<Fixed>, len: usize, word: u64) -> bool {
    let Ok(mut sample) = producer.reserve_detached(len) else { return false };
    let Some(first) = sample.first_chunk_mut() else { return false };
    *first = word.to_ne_bytes();
    sample.submit();
    true
}

/// Takes a lane for 32 samples of 40 bytes, and pushes them.
#[unsafe(no_mangle)]
pub extern "C" fn hot_lane_32(producer: &mut Producer<Fixed>, sample: &[u8; 40]) -> bool {
    let Ok(mut lane) = producer.lane(32 * 48 - 8) else { return false };
    (0..32).all(|_| lane.push(sample).is_ok())
}

/// Reserves, writes and submits a sample of a ring that threads share.
#[unsafe(no_mangle)]
pub extern "C" fn hot_shared(shared: &Shared<Fixed>, len: usize, word: u64) -> bool {
    let Ok(mut sample) = shared.reserve(len) else { return false };
    let Some(first) = sample.first_chunk_mut() else { return false };
    *first = word.to_ne_bytes();
    sample.submit();
    true
}
