//! The process that is killed.

use std::os::fd::FromRawFd;

use rustix::fd::{OwnedFd, RawFd};
use user_ringbuf_linux::{Map, Mapping};

use super::board::{Board, PRODUCERS};
use crate::send::{Api, Order, send};

/// Sends forever, and notes on the board what is submitted.
///
/// # Errors
/// What ended the sending: a child that ends by itself has found a bug.
///
/// # Safety
/// Both fds were inherited for this and nothing else in this process owns them.
pub unsafe fn run(api: Api, map: RawFd, board: RawFd) -> anyhow::Result<()> {
    // SAFETY: the caller's promise.
    let (map, board) = unsafe { (OwnedFd::from_raw_fd(map), OwnedFd::from_raw_fd(board)) };
    let map = Map::from_fd(map)?;
    let mapping = Mapping::new(&map)?;
    let board = Board::open(board)?;
    let producers = if api.is_concurrent() { PRODUCERS } else { 1 };
    let counts = vec![u64::MAX; usize::try_from(producers)?];
    let submitted = |stamp| board.note(stamp);
    send(api, Order { map: &map, mapping: &mapping, first_producer: 0, counts: &counts, submitted: &submitted })
}
