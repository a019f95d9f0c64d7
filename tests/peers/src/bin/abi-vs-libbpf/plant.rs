//! Differences put into our side, each of which must be found.

use clap::ValueEnum;
use user_ringbuf_linux::{BUSY_BIT, DISCARD_BIT, record_extent};

use crate::abi::{Call, Reply};
use crate::pages::Pages;

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Plant {
    /// A discarded record is as long as its room, not as was asked
    RoundedDiscard,
    /// A discarded sample's room is taken back
    FreeDiscard,
    /// The header's second word is not zero
    Pad,
    /// The position is published at submit, not at reserve
    PublishedLate,
    /// No room is E2BIG
    WrongErrno,
    /// The longest sample is refused
    OneShort,
    /// A sample behind a header at the ring's end is in the second copy
    SecondCopy,
    /// One submit in a thousand is lost
    LostSubmit,
    /// Options that are too small are taken
    LaxOptions,
    /// A timeout below -1 means none
    LaxTimeout,
}

impl Plant {
    /// Spoils what our library has done, or said, from position `before` on.
    pub(crate) fn spoil(self, call: Call, reply: &mut Reply, pages: &Pages, before: u64, size: u32, number: u64) {
        let offset_of = |position: u64| u32::try_from(position & u64::from(size - 1)).unwrap_or(0);
        let reserved = call.reserves() && reply.offset >= 0;
        let at = offset_of(before);
        match (self, call) {
            (Self::RoundedDiscard, Call::Discard { header }) => {
                let len = pages.header(header).to_ne_bytes();
                let len = u32::from_ne_bytes([len[0], len[1], len[2], len[3]]) & !DISCARD_BIT;
                pages.set_header(header, u64::from((record_extent(len) - 8) | DISCARD_BIT));
            }
            (Self::FreeDiscard, Call::Discard { header }) if before > 8 => {
                let len = u32::try_from(pages.header(header) & u64::from(!(DISCARD_BIT | BUSY_BIT))).unwrap_or(0);
                let extent = u64::from(record_extent(len));
                if offset_of(before.wrapping_sub(extent)) == header {
                    pages.set_producer_pos(before - extent);
                }
            }
            (Self::Pad, _) if reserved => pages.set_header(at, pages.header(at) | 1 << 40),
            (Self::PublishedLate, _) if reserved => pages.set_producer_pos(before),
            (Self::WrongErrno, _) if reply.errno == libc::ENOSPC => reply.errno = libc::E2BIG,
            (Self::OneShort, Call::Reserve { size: asked }) if reserved && asked == size - 8 => {
                *reply = Reply::refused(libc::E2BIG);
            }
            (Self::SecondCopy, _) if reserved && at == size - 8 => reply.offset += i64::from(size),
            (Self::LostSubmit, Call::Submit { header }) if number % 1000 == 7 => {
                pages.set_header(header, pages.header(header) | u64::from(BUSY_BIT));
            }
            (Self::LaxOptions, Call::Open { options: Some((..=7, _)), .. }) => *reply = Reply::DONE,
            (Self::LaxTimeout, Call::ReserveBlocking { timeout: ..=-2, .. }) => reply.errno = libc::ENOSPC,
            _ => {}
        }
    }
}
