//! Tells a process from the one that it was forked from, without a system call.
//!
//! A page that the kernel wipes in a forked child (`MADV_WIPEONFORK`) holds the process's number. A child finds 0 there
//! and takes the next number. Process ids would not work: a child in a new pid namespace can have the same id as its
//! parent.
//!
//! Invariant: no process has the same number as one of its ancestors.

use core::num::NonZeroU32;
use core::ptr;
use core::sync::atomic::{AtomicPtr, AtomicU32, Ordering};

use rustix::io::Errno;
use rustix::mm::{Advice, MapFlags, ProtFlags, madvise, mmap_anonymous, munmap};
use rustix::param::page_size;

use super::failed::Failed;

/// The page, or null. It is never unmapped.
static PAGE: AtomicPtr<AtomicU32> = AtomicPtr::new(ptr::null_mut());
/// The last number given, in this process or before it was forked.
static LAST: AtomicU32 = AtomicU32::new(0);

/// The number that tells a process from its ancestors.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Generation(NonZeroU32);

impl Generation {
    /// Returns this process's number. The first call maps a page.
    pub(crate) fn current() -> Result<Self, Failed> {
        let page = match page() {
            Some(page) => page,
            None => make_page()?,
        };
        loop {
            // Relaxed, here and below: a number orders nothing.
            let number = page.load(Ordering::Relaxed);
            if let Some(number) = NonZeroU32::new(number) {
                return Ok(Self(number));
            }
            let last = LAST.fetch_update(Ordering::Relaxed, Ordering::Relaxed, |last| last.checked_add(1));
            // Four billion processes, each forked from the one before.
            let next = last.map_err(|_| Failed { call: "numbering forks", errno: Errno::OVERFLOW })?.wrapping_add(1);
            let _ = page.compare_exchange(0, next, Ordering::Relaxed, Ordering::Relaxed);
        }
    }

    /// Whether this process is the one that got this number, and not a child of it.
    pub(crate) fn is_current(self) -> bool {
        page().is_some_and(|page| page.load(Ordering::Relaxed) == self.get())
    }

    pub(super) fn get(self) -> u32 {
        self.0.get()
    }
}

fn page() -> Option<&'static AtomicU32> {
    // SAFETY: not null, so `make_page` has mapped it, and it stays mapped. Acquire: pairs with the exchange there.
    unsafe { PAGE.load(Ordering::Acquire).as_ref() }
}

fn make_page() -> Result<&'static AtomicU32, Failed> {
    let len = page_size();
    // SAFETY: a fresh mapping at an address of the kernel's choice touches no memory that is in use.
    let start = unsafe { mmap_anonymous(ptr::null_mut(), len, ProtFlags::READ | ProtFlags::WRITE, MapFlags::PRIVATE) }
        .map_err(|errno| Failed { call: "mmap", errno })?;
    // SAFETY: only this function knows the page, so wiping it in children affects nothing else.
    if let Err(errno) = unsafe { madvise(start, len, Advice::LinuxWipeOnFork) } {
        // SAFETY: mapped above, and nothing knows it.
        let _ = unsafe { munmap(start, len) };
        return Err(Failed { call: "madvise(MADV_WIPEONFORK)", errno });
    }
    // Release: what reads the pointer finds the advice given. Acquire, where another thread was first.
    match PAGE.compare_exchange(ptr::null_mut(), start.cast(), Ordering::AcqRel, Ordering::Acquire) {
        // SAFETY: a page-aligned address of mapped zeros, and never unmapped from here on.
        Ok(_) => Ok(unsafe { &*start.cast::<AtomicU32>() }),
        Err(first) => {
            // SAFETY: mapped above, and nothing knows it.
            let _ = unsafe { munmap(start, len) };
            // SAFETY: another thread's page, never unmapped.
            Ok(unsafe { &*first })
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn all_threads_of_a_process_have_one_number() {
        let one = Generation::current().unwrap();
        let other = std::thread::spawn(|| Generation::current().unwrap()).join().unwrap();
        assert_eq!(one, other);
        assert!(one.is_current());
        assert!(!Generation(NonZeroU32::MAX).is_current());
    }
}
