//! Who has a ring: which process claims it, and which ones hold the map open.
//!
//! Whether a ring is claimed, the kernel says. By whom is found in `/proc/PID/fdinfo`, as far as this process may read
//! it. Invariant: what could not be looked at is told apart from what is not there. Kernel counterparts:
//! `show_fd_locks` in `fs/locks.c` and `bpf_map_show_fdinfo` in `kernel/bpf/syscall.c`.

mod holder;
mod lines;
#[cfg(feature = "alloc")]
mod open_maps;
mod proc;

use core::iter::successors;
use core::ops::RangeInclusive;

use crate::claim::byte;
use crate::map::{Map, MapError};
use rustix::fd::AsFd;

pub use holder::Holder;
#[cfg(feature = "alloc")]
pub use open_maps::OpenMaps;

/// Who claims a ring: [`Map::claimant`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Claimant {
    /// No process. (One that takes no claim, such as a program of libbpf's, may produce all the same.)
    Nobody,
    /// This process: it is alive, or was when it was looked at.
    Process(Holder),
    /// A process that `/proc` does not show: one of another user, of another pid namespace, or one that ended while it
    /// was looked for.
    Unseen,
}

/// The processes that hold a map open: [`Map::holders`].
#[cfg(feature = "alloc")]
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Holders {
    /// Those found, by ascending pid. This process is among them if it holds a descriptor of the map.
    pub found: alloc::vec::Vec<Holder>,
    /// How many processes could not be looked at, for want of rights. If it is 0, all that `/proc` shows were.
    pub unreadable: usize,
}

impl Map {
    /// Who claims this ring.
    ///
    /// Whether it is claimed, the kernel says reliably, with one `fcntl`. If so, the process is looked for in
    /// `/proc/PID/fdinfo`: that takes some system calls per open file on the machine, and CAP_SYS_PTRACE for processes
    /// of other users. Forked children that have neither executed a program nor mapped a ring share the claim. The
    /// process named is the one that took it, unless it has ended, or one between it and such a child has.
    ///
    /// # Errors
    /// [`MapError::System`] if the kernel can't be asked: a seccomp filter forbids `fcntl`, say.
    pub fn claimant(&self) -> Result<Claimant, MapError> {
        self.claimant_by(|| claimant_of(self.id()))
    }

    /// Who claims this ring, where `find` looks for the process if there is one.
    fn claimant_by(&self, find: impl FnOnce() -> Option<Holder>) -> Result<Claimant, MapError> {
        let claimed = byte::is_locked(self.as_fd(), self.id())
            .map_err(|failed| MapError::System { call: failed.call, errno: failed.errno })?;
        Ok(match claimed {
            false => Claimant::Nobody,
            true => find().map_or(Claimant::Unseen, Claimant::Process),
        })
    }

    /// Which processes hold a descriptor of this map, this one included.
    ///
    /// A descriptor does not say what it is for: producing, looking, loading. And not every producer has one: a process
    /// that has closed it and kept its mapping is not found (`/proc/PID/maps` names no map), nor is one in another pid
    /// namespace, or one that `hidepid` hides. Pins and BPF programs keep a map alive without any process.
    ///
    /// # Errors
    /// [`MapError::System`] if `/proc` can't be read at all.
    #[cfg(feature = "alloc")]
    pub fn holders(&self) -> Result<Holders, MapError> {
        let mut holders = Holders { found: alloc::vec::Vec::new(), unreadable: 0 };
        let id = self.id();
        proc::for_each_process(|process| {
            match process.any_descriptor(|line| map_id(line) == Some(id)) {
                Ok(true) => holders.found.push(process.holder()),
                Ok(false) => {}
                Err(_) => holders.unreadable = holders.unreadable.saturating_add(1),
            }
            proc::Next::Go
        })
        .map_err(|errno| MapError::System { call: "reading /proc", errno })?;
        holders.found.sort_unstable_by_key(Holder::pid);
        Ok(holders)
    }
}

/// The process that claims the map with this id, if `/proc` shows it.
pub(crate) fn claimant_of(id: u32) -> Option<Holder> {
    let claims = |process: &proc::Process<'_>| process.any_descriptor(|line| is_claim(line, id)) == Ok(true);
    let mut found = None;
    // What can't be read can't be shown: the caller knows that somebody has the claim.
    let _ = proc::for_each_process(|process| {
        if !claims(&process) {
            return proc::Next::Go;
        }
        // It may be a forked child, which shares its parent's claim.
        let eldest = successors(Some(process), |process| process.parent().filter(claims)).last();
        found = eldest.map(|process| process.holder());
        proc::Next::Stop
    });
    found
}

/// Whether a line of fdinfo is a lock that claims the map with this id.
fn is_claim(line: &[u8], id: u32) -> bool {
    claimed_bytes(line).is_some_and(|bytes| bytes.contains(&byte::offset(id)))
}

/// The bytes that a claim covers, from a line of fdinfo:
/// `lock:<tab>1: OFDLCK ADVISORY  WRITE -1 00:10:1039 START END`, both inclusive.
fn claimed_bytes(line: &[u8]) -> Option<RangeInclusive<i64>> {
    let mut fields = core::str::from_utf8(line.strip_prefix(b"lock:")?).ok()?.split_ascii_whitespace().skip(1);
    if fields.next()? != "OFDLCK" || fields.next()? != "ADVISORY" || fields.next()? != "WRITE" {
        return None;
    }
    // Pid and inode come before.
    let (first, last) = (fields.nth(2)?.parse().ok()?, fields.next()?.parse().ok()?);
    // The kernel joins neighbouring bytes of a description. A lock that reaches beyond the bytes of all maps is not a
    // claim but a lock on a plain file.
    let all = byte::offset(0)..=byte::offset(u32::MAX);
    (all.contains(&first) && all.contains(&last)).then_some(first..=last)
}

/// The id of the map that a line of fdinfo names: `map_id:<tab>7`.
#[cfg(feature = "alloc")]
fn map_id(line: &[u8]) -> Option<u32> {
    lines::number(line, b"map_id:")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_lock_claims_the_maps_whose_bytes_it_covers() {
        let line = |first: i64, last: i64| {
            std::format!("lock:\t2: OFDLCK ADVISORY  WRITE -1 00:10:1039 {first} {last}").into_bytes()
        };
        let (three, five) = (byte::offset(3), byte::offset(5));
        for id in 3..=5 {
            assert!(is_claim(&line(three, five), id));
        }
        assert!(!is_claim(&line(three, five), 2) && !is_claim(&line(three, five), 6));
        assert!(is_claim(&line(byte::offset(u32::MAX), byte::offset(u32::MAX)), u32::MAX));
        // A database that locks its whole file, or a part of it.
        assert!(!is_claim(&line(0, i64::MAX), 3));
        assert!(!is_claim(b"lock:\t1: OFDLCK ADVISORY  WRITE -1 00:10:1039 0 EOF", 3));
        assert!(!is_claim(&line(3, 5), 4));
    }

    #[test]
    fn other_lines_claim_nothing() {
        let (first, last) = (byte::offset(0), byte::offset(u32::MAX));
        for text in [
            std::format!("lock:\t1: POSIX  ADVISORY  WRITE 77 00:10:1039 {first} {last}"),
            std::format!("lock:\t1: OFDLCK ADVISORY  READ  -1 00:10:1039 {first} {last}"),
            std::format!("lock:\t1: OFDLCK ADVISORY  WRITE -1 00:10:1039 {first}"),
            std::format!("1: OFDLCK ADVISORY  WRITE -1 00:10:1039 {first} {last}"),
            "lock:".into(),
            "map_id:\t3".into(),
        ] {
            assert!(!is_claim(text.as_bytes(), 3), "{text}");
        }
    }

    #[test]
    fn a_map_is_named_by_its_whole_id() {
        assert_eq!(map_id(b"map_id:\t77"), Some(77));
        for line in [&b"map_id:\t7"[..], b"map_id:\t777", b"prog_id:\t77", b"map_id:", b"xmap_id:\t77"] {
            assert_ne!(map_id(line), Some(77));
        }
    }
}
