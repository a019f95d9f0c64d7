//! All maps that processes hold open, and all claims: one walk over `/proc`, however many rings are asked about.
//!
//! Invariant: the walk supplies names only. Whether a ring is claimed is asked of the kernel each time.

use alloc::vec::Vec;
use core::iter::successors;
use core::ops::RangeInclusive;

use super::{Claimant, Holder, claimed_bytes, map_id, proc};
use crate::claim::byte;
use crate::map::{Map, MapError};

/// Which processes hold which maps open and claim which rings, as one walk over `/proc` found them.
///
/// [`Map::holders`] and [`Map::claimant`] walk over `/proc` once per ring; this walks once for any number of rings. What
/// they say about rights and about processes that can't be seen holds here, too.
///
/// ```no_run
/// use user_ringbuf_linux::{Map, OpenMaps};
///
/// let open = OpenMaps::scan()?;
/// for path in ["/sys/fs/bpf/one", "/sys/fs/bpf/two"] {
///     let ring = Map::from_pin(path)?;
///     println!("{path}: {:?} {:?}", open.claimant(&ring)?, open.holders(ring.id()).collect::<Vec<_>>());
/// }
/// # Ok::<(), user_ringbuf_linux::MapError>(())
/// ```
#[derive(Clone, Debug)]
pub struct OpenMaps {
    /// Map ids and who holds them, sorted, each pair once.
    maps: Vec<(u32, Holder)>,
    claims: Vec<Locked>,
    unreadable: usize,
}

/// Claimed bytes, and a process that has the lock: the one that took it, or a forked child.
#[derive(Clone, Debug)]
struct Locked {
    bytes: RangeInclusive<i64>,
    by: Holder,
    parent: Option<u32>,
}

impl OpenMaps {
    /// Walks over `/proc`: three system calls per open file on the machine.
    ///
    /// # Errors
    /// [`MapError::System`] if `/proc` can't be read at all.
    pub fn scan() -> Result<Self, MapError> {
        let mut open = Self { maps: Vec::new(), claims: Vec::new(), unreadable: 0 };
        let (mut ids, mut claims) = (Vec::new(), Vec::new());
        proc::for_each_process(|process| {
            ids.clear();
            claims.clear();
            let looked = process.any_descriptor(|line| {
                ids.extend(map_id(line));
                claims.extend(claimed_bytes(line));
                false
            });
            if looked.is_err() {
                open.unreadable = open.unreadable.saturating_add(1);
            }
            if !ids.is_empty() || !claims.is_empty() {
                let holder = process.holder();
                open.maps.extend(ids.iter().map(|id| (*id, holder)));
                let parent = if claims.is_empty() { None } else { process.parent().map(|parent| parent.pid) };
                open.claims.extend(claims.drain(..).map(|bytes| Locked { bytes, by: holder, parent }));
            }
            proc::Next::Go
        })
        .map_err(|errno| MapError::System { call: "reading /proc", errno })?;
        open.maps.sort_unstable_by_key(|(id, holder)| (*id, holder.pid()));
        open.maps.dedup_by_key(|(id, holder)| (*id, holder.pid()));
        Ok(open)
    }

    /// The processes that held a descriptor of this map, by ascending pid. This process is among them if it did.
    pub fn holders(&self, id: u32) -> impl Iterator<Item = Holder> + '_ {
        let first = self.maps.partition_point(|(map, _)| *map < id);
        let rest = self.maps.get(first..).unwrap_or_default();
        rest.iter().take_while(move |(map, _)| *map == id).map(|(_, holder)| *holder)
    }

    /// Who claims this ring. The kernel is asked now, and the process is one that the walk found: a claim that was taken
    /// since then is [`Claimant::Unseen`].
    ///
    /// # Errors
    /// As [`Map::claimant`].
    pub fn claimant(&self, map: &Map) -> Result<Claimant, MapError> {
        let place = byte::offset(map.id());
        let locked = || self.claims.iter().filter(|locked| locked.bytes.contains(&place));
        let parent = |child: &&Locked| locked().find(|locked| Some(locked.by.pid()) == child.parent);
        // Bounded, since a pid that was given out again during the walk might close a circle.
        map.claimant_by(|| successors(locked().next(), parent).take(self.claims.len()).last().map(|locked| locked.by))
    }

    /// How many processes could not be looked at, for want of rights.
    #[must_use]
    pub fn unreadable(&self) -> usize {
        self.unreadable
    }
}
