//! One producer per ring on the whole machine.
//!
//! A claim is a write lock of an open file description on the one byte that stands for the map's id ([`byte`]). All
//! descriptors of maps and all eventfds share the kernel's one anonymous inode, so the byte is the same in every
//! process, however that process got the map. Each process locks through one description of its own, the [`carrier`],
//! which only a fork shares: copies of the map's descriptor don't carry the claim.
//!
//! Invariant: at most one `Claim` per map id exists on the machine, and it ends with its process at the latest.
//! Kernel counterpart: `fcntl_setlk` and `posix_lock_inode` in `fs/locks.c`.

pub(crate) mod byte;
mod carrier;
mod failed;
mod generation;

use rustix::fd::BorrowedFd;
use rustix::io::Errno;

use carrier::Turn;
pub(crate) use failed::Failed;
pub(crate) use generation::Generation;

/// Why a claim was not granted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Refused {
    /// This process has it.
    ByThisProcess,
    /// Another process has it.
    ByAnother,
    /// A system call failed.
    System(Failed),
}

impl From<Failed> for Refused {
    fn from(failed: Failed) -> Self {
        Self::System(failed)
    }
}

/// The right to produce into one ring, and the process that has it. Dropping it lets another take it.
#[derive(Debug)]
#[must_use = "a claim that is dropped is given back"]
pub struct Claim {
    id: u32,
    made_in: Generation,
}

impl Claim {
    /// Whether this process has the claim. A forked child has only a copy of its parent's, and must not give it up.
    pub(crate) fn is_ours(&self) -> bool {
        self.made_in.is_current()
    }

    /// Claims the map with this id, of which `map` is a descriptor. It makes three `fcntl` calls; the first time it
    /// opens an eventfd and makes two more.
    pub(crate) fn take(map: BorrowedFd<'_>, id: u32, made_in: Generation) -> Result<Self, Refused> {
        let turn = Turn::wait(made_in);
        // A description sees only the locks of others. The map's is not the carrier, so it sees this process's own
        // claims too.
        if byte::is_locked(map, id)? {
            match turn.carrier() {
                Some(carrier) if !byte::is_locked(carrier, id)? => {
                    // No other process has it: it is ours, unless one has let go since.
                    if byte::is_locked(map, id)? {
                        return Err(Refused::ByThisProcess);
                    }
                }
                _ => return Err(Refused::ByAnother),
            }
        }
        let locked = match turn.carrier() {
            Some(carrier) => byte::lock(carrier, id),
            None => lock_and_see(turn.make()?, map, id),
        };
        match locked {
            Ok(()) => Ok(Self { id, made_in }),
            // Another process was quicker.
            Err(Failed { errno: Errno::AGAIN, .. }) => Err(Refused::ByAnother),
            Err(failed) => Err(failed.into()),
        }
    }
}

/// Locks the byte, and checks that the lock is visible through the map: that the kernel keeps both on one inode.
fn lock_and_see(carrier: BorrowedFd<'_>, map: BorrowedFd<'_>, id: u32) -> Result<(), Failed> {
    byte::lock(carrier, id)?;
    if byte::is_locked(map, id)? {
        return Ok(());
    }
    byte::unlock(carrier, id);
    Err(Failed { call: byte::LOCK, errno: Errno::NOLCK })
}

impl Drop for Claim {
    fn drop(&mut self) {
        if self.is_ours() {
            let turn = Turn::wait(self.made_in);
            if let Some(carrier) = turn.carrier() {
                byte::unlock(carrier, self.id);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use rustix::event::{EventfdFlags, eventfd};
    use rustix::fd::AsFd;

    use super::*;

    // Ids far beyond those that a kernel gives out during a test run, and another anonymous file instead of a map.
    fn take(id: u32) -> Result<Claim, Refused> {
        let map = eventfd(0, EventfdFlags::CLOEXEC).unwrap();
        Claim::take(map.as_fd(), id, Generation::current().unwrap())
    }

    #[test]
    fn a_ring_is_claimed_once_at_a_time() {
        let claim = take(0xffff_0001).unwrap();
        assert_eq!(take(0xffff_0001).unwrap_err(), Refused::ByThisProcess);
        let other = take(0xffff_0002).unwrap();
        drop(claim);
        drop(take(0xffff_0001).unwrap());
        assert_eq!(take(0xffff_0002).unwrap_err(), Refused::ByThisProcess);
        drop(other);
    }

    #[test]
    fn a_lock_of_another_description_is_another_process() {
        let id = 0xffff_0003;
        let foreign = eventfd(0, EventfdFlags::CLOEXEC).unwrap();
        byte::lock(foreign.as_fd(), id).unwrap();
        assert_eq!(take(id).unwrap_err(), Refused::ByAnother);
        drop(foreign);
        drop(take(id).unwrap());
    }

    #[test]
    fn a_kernel_that_keeps_maps_on_an_inode_of_their_own_is_noticed() {
        let carrier = eventfd(0, EventfdFlags::CLOEXEC).unwrap();
        let map = rustix::fs::open(c"/proc/self/maps", rustix::fs::OFlags::RDONLY, rustix::fs::Mode::empty()).unwrap();
        let failed = Failed { call: byte::LOCK, errno: Errno::NOLCK };
        assert_eq!(lock_and_see(carrier.as_fd(), map.as_fd(), 0xffff_0004), Err(failed));
        let other = eventfd(0, EventfdFlags::CLOEXEC).unwrap();
        assert_eq!(byte::is_locked(other.as_fd(), 0xffff_0004), Ok(false), "nothing stays locked");
        assert_eq!(lock_and_see(carrier.as_fd(), other.as_fd(), 0xffff_0004), Ok(()));
    }

    #[test]
    fn of_two_threads_that_want_one_ring_one_has_it() {
        use std::sync::atomic::{AtomicUsize, Ordering};
        const ROUNDS: usize = 2000;
        let (arrived, won) = (AtomicUsize::new(0), AtomicUsize::new(0));
        // Spins, so that both go on in the same instant.
        let meet = |meeting: usize| {
            arrived.fetch_add(1, Ordering::SeqCst);
            let mut spins = 0;
            while arrived.load(Ordering::SeqCst) < 2 * meeting {
                spins += 1;
                if spins % 10_000 == 0 { std::thread::yield_now() } else { core::hint::spin_loop() }
            }
        };
        std::thread::scope(|scope| {
            for _ in 0..2 {
                scope.spawn(|| {
                    let map = eventfd(0, EventfdFlags::CLOEXEC).unwrap();
                    let generation = Generation::current().unwrap();
                    for round in 0..ROUNDS {
                        meet(2 * round + 1);
                        let claim = Claim::take(map.as_fd(), 0xffff_0005, generation);
                        won.fetch_add(usize::from(claim.is_ok()), Ordering::Relaxed);
                        meet(2 * round + 2);
                    }
                });
            }
        });
        assert_eq!(won.into_inner(), ROUNDS);
    }
}
