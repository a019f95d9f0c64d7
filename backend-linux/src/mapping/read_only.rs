//! Atomic loads from pages that are mapped read-only.
//!
//! There the language allows relaxed loads of at most a machine word and nothing else ("Atomic accesses to read-only
//! memory" in `core::sync::atomic`): a stronger or wider one may be compiled to an instruction that writes, as
//! `cmpxchg8b` does. So every load here is relaxed and no wider than a pointer, and the acquire is a fence behind it.
//!
//! A 32-bit process reads the two halves of a position one after the other: upper, lower, upper again. The upper half
//! only grows, once every 4 GiB, so if it is the same before and after, it was the same when the lower one was read.

use core::ptr::NonNull;
use core::sync::atomic::{AtomicU32, AtomicU64, Ordering, fence};

use user_ringbuf_core::Role;

/// The fence that makes relaxed loads before it what `role` asks for.
#[inline(always)]
fn order(role: Role) {
    match role.ordering() {
        Ordering::Relaxed => {}
        // No load has a role of another kind.
        _ => fence(Ordering::Acquire),
    }
}

/// Loads a word for `role`.
///
/// # Safety
/// `word` is aligned and mapped; within this process only loads of this kind touch it.
#[inline(always)]
pub(super) unsafe fn load_word(word: NonNull<AtomicU32>, role: Role) -> u32 {
    // SAFETY: the caller's promise.
    let value = unsafe { word.as_ref() }.load(Ordering::Relaxed);
    order(role);
    value
}

/// Loads a position for `role`.
///
/// # Safety
/// As for [`load_word`].
#[inline(always)]
pub(super) unsafe fn load_position(position: NonNull<AtomicU64>, role: Role) -> u64 {
    let value = if cfg!(target_pointer_width = "64") {
        // SAFETY: the caller's promise.
        unsafe { position.as_ref() }.load(Ordering::Relaxed)
    } else {
        let words = position.cast::<AtomicU32>();
        // SAFETY: the caller's promise; a position is two such words.
        unsafe { load_halves(words.as_ref(), words.add(1).as_ref()) }
    };
    order(role);
    value
}

/// Tries that an honest counter needs are two at most. What changes faster is no position, and any value will do.
const TRIES: u32 = 8;

/// Loads a position by its halves, `first` in memory and `second`.
fn load_halves(first: &AtomicU32, second: &AtomicU32) -> u64 {
    let (low, high) = if cfg!(target_endian = "little") { (first, second) } else { (second, first) };
    // The fences keep the three loads in their order.
    let mut upper = high.load(Ordering::Relaxed);
    let mut lower = 0;
    for _ in 0..TRIES {
        fence(Ordering::Acquire);
        lower = low.load(Ordering::Relaxed);
        fence(Ordering::Acquire);
        let again = high.load(Ordering::Relaxed);
        if again == upper {
            break;
        }
        upper = again;
    }
    u64::from(upper) << 32 | u64::from(lower)
}
