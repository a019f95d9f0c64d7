//! One producer per ring, over the whole machine.
//!
//! A claim is a write lock of an open file description on the one byte that stands for the map's id ([`byte`]). All
//! descriptors of maps and all eventfds share the kernel's one anonymous inode, so the byte is the same in every process,
//! however that process came by the map. Each process locks through one description of its own, the [`carrier`], which
//! nothing but a fork shares: a copy of the map's descriptor carries no claim.
//!
//! Invariant: at most one `Claim` per map id exists on the machine, and it ends with its process at the latest.
//! Kernel counterpart: `fcntl_setlk` and `posix_lock_inode` in `fs/locks.c`.

pub(crate) mod byte;
mod carrier;
mod generation;

use rustix::fd::BorrowedFd;
use rustix::io::Errno;

use carrier::Turn;
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

/// A system call that failed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Failed {
    pub(crate) call: &'static str,
    pub(crate) errno: Errno,
}

impl From<Failed> for Refused {
    fn from(failed: Failed) -> Self {
        Self::System(failed)
    }
}

/// The right to produce into one ring. Dropping it lets another take it.
#[derive(Debug)]
#[must_use = "a claim that is dropped is given back"]
pub struct Claim {
    id: u32,
    made_in: Generation,
}

impl Claim {
    /// Claims the map with this id, of which `map` is a descriptor. It makes three `fcntl` calls, and an eventfd the
    /// first time.
    pub(crate) fn take(map: BorrowedFd<'_>, id: u32, made_in: Generation) -> Result<Self, Refused> {
        let turn = Turn::wait(made_in);
        // A description sees the locks of others only. The map's is not the carrier, so through it this process's own
        // claims show too.
        if byte::is_locked(map, id)? {
            let ours = turn.carrier().is_some_and(|carrier| byte::is_locked(carrier, id) == Ok(false));
            return Err(if ours { Refused::ByThisProcess } else { Refused::ByAnother });
        }
        if let Some(carrier) = turn.carrier() {
            match lock(carrier, map, id) {
                Ok(()) => return Ok(Self { id, made_in }),
                Err(Failed { errno: Errno::AGAIN, .. }) => return Err(Refused::ByAnother),
                // Something closed the carrier's descriptor, and its number may be another file's by now.
                Err(_) => turn.forget(),
            }
        }
        match lock(turn.make()?, map, id) {
            Ok(()) => Ok(Self { id, made_in }),
            Err(Failed { errno: Errno::AGAIN, .. }) => Err(Refused::ByAnother),
            Err(failed) => Err(failed.into()),
        }
    }
}

/// Locks the byte, and makes sure that whoever asks through the map sees it.
fn lock(carrier: BorrowedFd<'_>, map: BorrowedFd<'_>, id: u32) -> Result<(), Failed> {
    byte::lock(carrier, id)?;
    if byte::is_locked(map, id)? {
        return Ok(());
    }
    byte::unlock(carrier, id);
    Err(Failed { call: byte::LOCK, errno: Errno::NOLCK })
}

impl Drop for Claim {
    fn drop(&mut self) {
        // A forked child drops copies of its parent's claims, which are not its own to give up.
        if self.made_in.is_current() {
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

    // Ids far beyond what a kernel gives during a test run, and another anonymous file in the map's place.
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
    fn a_lock_on_a_file_that_is_not_anonymous_is_no_claim() {
        let plain =
            rustix::fs::open(c"/proc/self/maps", rustix::fs::OFlags::RDONLY, rustix::fs::Mode::empty()).unwrap();
        let generation = Generation::current().unwrap();
        let refused = Claim::take(plain.as_fd(), 0xffff_0004, generation).unwrap_err();
        assert_eq!(refused, Refused::System(Failed { call: byte::LOCK, errno: Errno::NOLCK }));
        drop(take(0xffff_0004).unwrap());
    }

    #[test]
    fn of_many_threads_that_want_one_ring_one_has_it() {
        let won = std::sync::atomic::AtomicUsize::new(0);
        let barrier = std::sync::Barrier::new(4);
        for _ in 0..200 {
            std::thread::scope(|scope| {
                for _ in 0..4 {
                    scope.spawn(|| {
                        barrier.wait();
                        let claim = take(0xffff_0005);
                        won.fetch_add(usize::from(claim.is_ok()), std::sync::atomic::Ordering::Relaxed);
                        barrier.wait();
                    });
                }
            });
        }
        assert_eq!(won.into_inner(), 200);
    }
}
