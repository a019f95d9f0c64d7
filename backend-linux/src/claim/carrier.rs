//! The one description through which this process locks.
//!
//! An eventfd that is made at the first claim and stays until the process ends. One for all claims rather than one
//! each: the kernel keeps a list of locks per inode and walks it, and joins neighbouring bytes of one description to
//! one lock.

use core::hint::spin_loop;
use core::sync::atomic::{AtomicI32, AtomicU32, Ordering};
use core::time::Duration;

use rustix::event::{EventfdFlags, eventfd};
use rustix::fd::{AsRawFd, BorrowedFd, FromRawFd, IntoRawFd, OwnedFd, RawFd};
use rustix::io::Errno;
use rustix::thread::{Timespec, nanosleep};

use super::failed::Failed;
use super::generation::Generation;

/// The generation whose thread has its turn; 0 if no thread has.
static TURN: AtomicU32 = AtomicU32::new(0);
/// The carrier, or -1, and the generation that made it. Only the thread that has the turn writes them.
static CARRIER: AtomicI32 = AtomicI32::new(NONE);
static MADE_IN: AtomicU32 = AtomicU32::new(0);

const NONE: RawFd = -1;

/// `F_SETSIG` and `F_GETSIG`: a number of 7 bits that a description keeps, without effect unless signals are asked for.
/// It tells a carrier from another file that got its descriptor number after the carrier was closed.
const F_SETSIG: core::ffi::c_int = 10;
const F_GETSIG: core::ffi::c_int = 11;
const MARK: core::ffi::c_int = 61;

/// How often to look for the turn before sleeping in between: it lasts for some system calls of a microsecond each,
/// unless its thread is preempted.
const SPINS: u32 = 1000;
const NAP: Duration = Duration::from_micros(50);

/// The turn to look at the locks and change them: one thread of a process at a time.
pub(super) struct Turn {
    generation: Generation,
}

impl Turn {
    pub(super) fn wait(generation: Generation) -> Self {
        let mut spins: u32 = 0;
        loop {
            // Acquire: pairs with the release store of `drop`, so that the carrier is what the last one left.
            let free = TURN.compare_exchange_weak(0, generation.get(), Ordering::Acquire, Ordering::Relaxed);
            match free {
                Ok(_) => return Self { generation },
                Err(other) if other != 0 && other != generation.get() => {
                    // A thread of the parent had the turn at the fork. That thread does not exist in this process.
                    if TURN.compare_exchange(other, generation.get(), Ordering::Acquire, Ordering::Relaxed).is_ok() {
                        return Self { generation };
                    }
                }
                Err(_) if spins < SPINS => {
                    spins += 1;
                    spin_loop();
                }
                // Sleep, so that not even a real-time thread keeps the thread that has the turn off the processor.
                Err(_) => nap(),
            }
        }
    }

    /// The carrier, if this process has one. A forked child closes its copy of the parent's carrier; otherwise the
    /// parent's claims would outlive the parent.
    pub(super) fn carrier(&self) -> Option<BorrowedFd<'_>> {
        let fd = CARRIER.load(Ordering::Relaxed);
        if fd == NONE {
            return None;
        }
        // SAFETY: the command takes no more arguments, and only looks; a closed descriptor it refuses.
        let marked = unsafe { libc::fcntl(fd, F_GETSIG) } == MARK;
        let inherited = MADE_IN.load(Ordering::Relaxed) != self.generation.get();
        if marked && !inherited {
            // SAFETY: the mark says that this is what `make` opened. It is closed below only, in another process, while
            // nothing borrows it: borrows end with the turn.
            return Some(unsafe { BorrowedFd::borrow_raw(fd) });
        }
        if marked {
            // SAFETY: the mark says that it is still the carrier, which nothing in this process owns but these statics.
            drop(unsafe { OwnedFd::from_raw_fd(fd) });
        }
        CARRIER.store(NONE, Ordering::Relaxed);
        None
    }

    /// Makes a carrier.
    pub(super) fn make(&self) -> Result<BorrowedFd<'_>, Failed> {
        let carrier = eventfd(0, EventfdFlags::CLOEXEC).map_err(|errno| Failed { call: "eventfd2", errno })?;
        // SAFETY: the command takes a number.
        if unsafe { libc::fcntl(carrier.as_raw_fd(), F_SETSIG, MARK) } < 0 {
            // SAFETY: the C library's errno location is valid for the calling thread at all times.
            let errno = Errno::from_raw_os_error(unsafe { *libc::__errno_location() });
            return Err(Failed { call: "fcntl(F_SETSIG)", errno });
        }
        let fd = carrier.into_raw_fd();
        if fd == NONE {
            return Err(Failed { call: "eventfd2", errno: Errno::BADF });
        }
        MADE_IN.store(self.generation.get(), Ordering::Relaxed);
        CARRIER.store(fd, Ordering::Relaxed);
        // SAFETY: just opened, and closed as in `carrier`.
        Ok(unsafe { BorrowedFd::borrow_raw(fd) })
    }
}

impl Drop for Turn {
    fn drop(&mut self) {
        // Pairs with the acquire exchange of `wait`.
        TURN.store(0, Ordering::Release);
    }
}

fn nap() {
    let nap = Timespec { tv_sec: 0, tv_nsec: NAP.subsec_nanos().into() };
    // A signal may end the sleep early; that does no harm.
    let _ = nanosleep(&nap);
}
