//! Sleeping until a drain wakes the waiter; as in libbpf a signal ends the wait, and so does a cancellation.
//!
//! Edge-triggered: the map polls as writable whenever any byte is free, so level-triggered waiting spins on a ring that is
//! partly full. An edge is remembered until it is fetched, so a drain between a failed reservation and the wait is not
//! lost. Consumers that drain with `BPF_RB_NO_WAKEUP` cause no edge, so the ring is also checked from time to time.
//! Uses only system calls that libbpf makes too (`epoll_wait`, not `epoll_pwait2`), so a seccomp filter for libbpf still fits.

use core::ffi::{c_int, c_void};
use core::sync::atomic::{AtomicBool, AtomicI32, Ordering};
use core::time::Duration;

use rustix::fd::{AsRawFd, FromRawFd, OwnedFd, RawFd};
use user_ringbuf_linux::{RingId, Wait, Wake};

use crate::errno::Errno;

/// Pauses double from 1 ms up to this, so room is found with a delay of at most about the time already waited.
const LONGEST_PAUSE_MS: u32 = 20;

/// What an event is about.
const MAP: u64 = 0;
const KICK: u64 = 1;

/// The events waited for: an edge of the map, and the level of the eventfd.
#[expect(clippy::cast_sign_loss, reason = "bits, which the C library's binding takes for a signed number")]
const DRAINED: u32 = (libc::EPOLLOUT | libc::EPOLLET) as u32;
const CANCELLED: u32 = libc::EPOLLIN as u32;

/// A handle's wait queue: an epoll instance that watches the map, and the eventfd that cancels waits.
#[derive(Debug)]
pub(crate) struct Queue {
    epoll: OwnedFd,
    cancelled: AtomicBool,
    /// Created by the first cancellation; -1 until then.
    kick: AtomicI32,
}

fn checked(answer: c_int) -> Result<c_int, Errno> {
    if answer < 0 { Err(Errno::last()) } else { Ok(answer) }
}

impl Queue {
    /// An empty queue; [`watch`](Self::watch) adds the map.
    pub(crate) fn new() -> Result<Self, Errno> {
        // SAFETY: the call takes a number, and the descriptor that it returns is ours.
        let epoll = unsafe { OwnedFd::from_raw_fd(checked(libc::epoll_create1(libc::EPOLL_CLOEXEC))?) };
        Ok(Self { epoll, cancelled: AtomicBool::new(false), kick: AtomicI32::new(-1) })
    }

    /// Watches the map. The registration lives as long as the map's file, which its mappings keep open.
    pub(crate) fn watch(&self, map: RawFd) -> Result<(), Errno> {
        self.add(map, DRAINED, MAP)
    }

    fn add(&self, fd: RawFd, interest: u32, about: u64) -> Result<(), Errno> {
        let mut event = libc::epoll_event { events: interest, u64: about };
        // SAFETY: the event lives across the call.
        checked(unsafe { libc::epoll_ctl(self.epoll.as_raw_fd(), libc::EPOLL_CTL_ADD, fd, &raw mut event) }).map(drop)
    }

    /// A waiter for one wait.
    pub(crate) fn waiter(&self) -> Waiter<'_> {
        Waiter { queue: self, woken: false }
    }

    /// Ends all waits, current and future. If no descriptor is left, they end at their next check.
    ///
    /// Makes only system calls and atomic accesses, so a signal handler may call it.
    pub(crate) fn cancel(&self) {
        let before = Errno::last();
        // Release: pairs with the acquire load of a wait, which returns to what the canceller has done.
        self.cancelled.store(true, Ordering::Release);
        if let Some(kick) = self.kick() {
            let one = 1_u64;
            // SAFETY: eight bytes, as an eventfd takes them. It fails only if it is full, and wakes then as well.
            let _ = unsafe { libc::write(kick, (&raw const one).cast::<c_void>(), size_of::<u64>()) };
        }
        before.set();
    }

    /// Allows waits again.
    pub(crate) fn resume(&self) {
        let before = Errno::last();
        self.cancelled.store(false, Ordering::Relaxed);
        let kick = self.kick.load(Ordering::Acquire);
        if kick >= 0 {
            let mut count = 0_u64;
            // SAFETY: eight bytes, as an eventfd fills them. It doesn't block, and may be empty.
            let _ = unsafe { libc::read(kick, (&raw mut count).cast::<c_void>(), size_of::<u64>()) };
        }
        before.set();
    }

    /// The eventfd, created on first use.
    fn kick(&self) -> Option<RawFd> {
        // Acquire: pairs with the exchange below, so that the descriptor is in the epoll instance.
        let found = self.kick.load(Ordering::Acquire);
        if found >= 0 {
            return Some(found);
        }
        // SAFETY: the call takes numbers.
        let made = checked(unsafe { libc::eventfd(0, libc::EFD_CLOEXEC | libc::EFD_NONBLOCK) }).ok()?;
        let exchanged = match self.add(made, CANCELLED, KICK) {
            Ok(()) => self.kick.compare_exchange(-1, made, Ordering::AcqRel, Ordering::Acquire),
            Err(_) => Err(-1),
        };
        match exchanged {
            Ok(_) => Some(made),
            Err(other) => {
                // SAFETY: it was created above, and nothing else knows it.
                let _ = unsafe { libc::close(made) };
                (other >= 0).then_some(other)
            }
        }
    }
}

impl Drop for Queue {
    fn drop(&mut self) {
        let kick = *self.kick.get_mut();
        if kick >= 0 {
            // SAFETY: `kick` created it, and this was its last user.
            let _ = unsafe { libc::close(kick) };
        }
    }
}

/// One wait.
#[derive(Debug)]
pub(crate) struct Waiter<'q> {
    queue: &'q Queue,
    /// A drain's wakeup ended the last sleep, so the consumer is likely to wake us again.
    woken: bool,
}

impl Wait for Waiter<'_> {
    type Error = Errno;

    fn ring(&self) -> Option<RingId> {
        // A handle creates it for itself, so it can't meet another ring.
        None
    }

    fn now(&self) -> Duration {
        let mut now = libc::timespec { tv_sec: 0, tv_nsec: 0 };
        // SAFETY: the structure lives across the call, which can't fail for this clock.
        let _ = unsafe { libc::clock_gettime(libc::CLOCK_MONOTONIC, &raw mut now) };
        let seconds = u64::try_from(now.tv_sec).unwrap_or(0);
        // The kernel keeps nanoseconds below a second. Without this the compiler would link the panic in `new`.
        Duration::new(seconds, u32::try_from(now.tv_nsec).unwrap_or(0).min(999_999_999))
    }

    fn wait(&mut self, round: u32, until: Option<Duration>) -> Result<Wake, Errno> {
        let queue = self.queue;
        if queue.cancelled.load(Ordering::Acquire) {
            return Ok(Wake::Cancelled);
        }
        let pause = if self.woken { LONGEST_PAUSE_MS } else { LONGEST_PAUSE_MS.min(1 << round.min(10)) };
        let left = until.map_or(u32::MAX, |until| {
            let nanoseconds = nanoseconds(until).saturating_sub(nanoseconds(self.now()));
            // Rounded up: a wait that ends early would check once too often.
            u32::try_from(nanoseconds.div_ceil(1_000_000)).unwrap_or(u32::MAX)
        });
        let sleep = c_int::try_from(pause.min(left)).unwrap_or(c_int::MAX);
        let mut events = [libc::epoll_event { events: 0, u64: 0 }; 2];
        // SAFETY: there are two events to be written.
        let count = checked(unsafe { libc::epoll_wait(queue.epoll.as_raw_fd(), events.as_mut_ptr(), 2, sleep) })?;
        self.woken = events.iter().take(usize::try_from(count).unwrap_or(0)).any(|event| event.u64 == MAP);
        Ok(if queue.cancelled.load(Ordering::Acquire) { Wake::Cancelled } else { Wake::Look })
    }
}

/// At most 584 years. Not `as_nanos`: dividing 128 bits takes Rust's own helper, which on ppc64el doesn't link without std.
fn nanoseconds(time: Duration) -> u64 {
    time.as_secs().saturating_mul(1_000_000_000).saturating_add(u64::from(time.subsec_nanos()))
}
