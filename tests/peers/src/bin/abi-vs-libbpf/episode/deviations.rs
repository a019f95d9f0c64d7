//! Where ours differs from libbpf on purpose: each difference is looked for, and counted.

use std::os::fd::{AsFd, AsRawFd};
use std::thread;
use std::time::Duration;

use anyhow::{Result, bail};
use user_ringbuf_linux::{DrainOptions, Position, WakeupFlags, record_extent};

use super::{DYNPTR, Difference, Episode};
use crate::abi::{Call, LIBRARIES, Library, Place, Reply, SLOTS};

impl Episode<'_> {
    /// libbpf reserves what the kernel never takes; ours does not. What libbpf did is undone.
    pub(super) fn beyond_the_dynptr(&mut self, size: u32) -> Result<()> {
        for (ring, library) in LIBRARIES.into_iter().enumerate() {
            let pages = &self.sides[ring].pages;
            let (before, slot) = (pages.producer_pos(), self.random.usize(..SLOTS));
            let header = Position::new(before).offset(self.size);
            let word = pages.header(header);
            let reply = self.handles.call(Place { ring, library, slot }, Call::Reserve { size }, before);
            let pages = &self.sides[ring].pages;
            let expected = match library {
                Library::Theirs => reply.offset >= 0,
                Library::Ours => {
                    reply == Reply::refused(libc::E2BIG)
                        && (pages.producer_pos(), pages.header(header)) == (before, word)
                }
            };
            if !expected {
                bail!(Difference(format!(
                    "{size} bytes, which the kernel does not take: {library:?} replies {reply:?}"
                )));
            }
            pages.set_header(header, word);
            pages.set_producer_pos(before);
        }
        self.tally.deviation("a sample of 2^24 bytes or more");
        Ok(())
    }

    /// libbpf writes beyond the free space where positions are wrong; so only ours is asked.
    pub(super) fn wrong_position(&mut self) -> Result<()> {
        let pages = &self.sides[1].pages;
        let before = pages.producer_pos();
        let wrong = match self.random.u32(..4) {
            0 => before + self.random.u64(1..8),
            1 => pages.consumer_pos() + self.size.bytes_u64() + 8 + 8 * self.random.u64(..1 << 20),
            2 if pages.consumer_pos() > 0 => pages.consumer_pos() - 8,
            _ => u64::MAX - 7,
        };
        pages.set_producer_pos(wrong);
        let data = pages.bytes(0, 1 << 12);
        let place = Place { ring: 1, library: Library::Ours, slot: 0 };
        let size = self.random.u32(..64);
        let reply = self.handles.call(place, Call::Reserve { size }, before);
        let pages = &self.sides[1].pages;
        let untouched = pages.producer_pos() == wrong && pages.bytes(0, 1 << 12) == data;
        pages.set_producer_pos(before);
        if reply != Reply::refused(libc::EUCLEAN) || !untouched {
            bail!(Difference(format!("the producer position {wrong}: ours replies {reply:?}")));
        }
        self.tally.deviation("a wrong position");
        Ok(())
    }

    /// On a ring that is partly full libbpf's -1 returns at once; ours waits.
    pub(super) fn without_limit(&mut self) -> Result<()> {
        let free = u32::try_from(self.free())?;
        // Something to drain, some room, and none for this.
        let size = free.saturating_add(8);
        if !self.outstanding.is_empty() || free < 8 || record_extent(size) > self.size.bytes() || size >= DYNPTR {
            return Ok(());
        }
        let call = Call::ReserveBlocking { size, timeout: -1 };
        let before = self.sides[0].pages.producer_pos();
        let slot = self.random.usize(..SLOTS);
        let theirs = Place { ring: 0, library: Library::Theirs, slot };
        // A new handle, whose epoll has just found the ring writable. An old one may have found it full, and then waits
        // for a wakeup that a drain with BPF_RB_NO_WAKEUP has not made.
        let own = self.sides[0].map.as_fd().as_raw_fd();
        self.handles.call(theirs, Call::Open { fd: own, options: None }, before);
        let reply = self.handles.call(theirs, call, before);
        if reply != Reply::refused(libc::ENOSPC) {
            bail!(Difference(format!("without a limit libbpf replies {reply:?}")));
        }
        let options = DrainOptions::new().wakeup(WakeupFlags(self.random.u64(..2)));
        let [theirs, ours] = &mut self.sides;
        let handles = &mut self.handles;
        let reply = thread::scope(|scope| {
            let drain = &mut ours.drain;
            scope.spawn(move || {
                thread::sleep(Duration::from_millis(2));
                let _ = drain.run(&options);
            });
            handles.call(Place { ring: 1, library: Library::Ours, slot }, call, before)
        });
        theirs.drain.run(&options)?;
        let same = handles.call(Place { ring: 0, library: Library::Theirs, slot }, Call::Reserve { size }, before);
        if reply.offset < 0 || reply != same {
            bail!(Difference(format!("without a limit ours replies {reply:?}, with room libbpf {same:?}")));
        }
        self.committed = None;
        self.reserved(before, size)?;
        self.tally.deviation("-1 on a ring that is partly full");
        self.compare_positions("waiting without a limit")
    }
}
