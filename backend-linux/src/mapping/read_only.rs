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
        let (low, high) = if cfg!(target_endian = "little") { (0, 1) } else { (1, 0) };
        // SAFETY: the caller's promise; a position is two such words.
        let half = |which| unsafe { words.add(which).as_ref() }.load(Ordering::Relaxed);
        by_halves(|| half(low), || half(high))
    };
    order(role);
    value
}

/// Tries: a real position needs two at most. A word that changes faster is not a position, and any value will do.
const TRIES: u32 = 8;

/// A position whose lower and upper half are loaded by these.
fn by_halves(low: impl Fn() -> u32, high: impl Fn() -> u32) -> u64 {
    // The fences keep the three loads in their order.
    let mut upper = high();
    let mut lower = 0;
    for _ in 0..TRIES {
        fence(Ordering::Acquire);
        lower = low();
        fence(Ordering::Acquire);
        let again = high();
        if again == upper {
            break;
        }
        upper = again;
    }
    u64::from(upper) << 32 | u64::from(lower)
}

#[cfg(test)]
mod tests {
    use core::cell::Cell;

    use super::*;

    #[test]
    fn a_position_read_by_halves_is_one_that_the_counter_had_meanwhile() {
        let near = [0, 1, (1 << 32) - 24, (1 << 32) - 8, 1 << 32, (7 << 32) - 16, u64::MAX - 31];
        for (start, step) in
            near.into_iter().flat_map(|start| [0, 8, 16, 1 << 20, (1 << 29) - 8].map(|step| (start, step)))
        {
            // It moves on before each load.
            let counter = Cell::new(start);
            let next = || {
                counter.set(counter.get().wrapping_add(step));
                counter.get()
            };
            let (low, high) = (|| (next() & 0xffff_ffff) as u32, || (next() >> 32) as u32);
            let got = by_halves(low, high);
            let (ahead, moved) = (got.wrapping_sub(start), counter.get().wrapping_sub(start));
            assert!(ahead <= moved, "{got:#x} from {start:#x} by {step:#x}");
            assert!(step == 0 || ahead % step == 0, "{got:#x} from {start:#x} by {step:#x}");
        }
    }

    #[test]
    fn halves_that_never_stay_the_same_are_given_up() {
        let loads = Cell::new(0);
        by_halves(
            || 0,
            || {
                loads.set(loads.get() + 1);
                loads.get()
            },
        );
        assert_eq!(loads.get(), TRIES + 1);
    }
}
