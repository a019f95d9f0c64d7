//! One look at a ring as it is reported, as a picture or as JSON.

use serde::Serialize;
use user_ringbuf_linux::Tally;

use crate::look::snapshot::Snapshot;
use crate::mended::Sum;
use crate::pin_state::PinState;
use crate::producer::{Claim, Holders, Process, Producing};
use crate::row::Row;

/// One look, as it is reported.
#[derive(Serialize)]
pub(super) struct Look<'a> {
    pub(super) id: u32,
    pub(super) name: &'a str,
    pub(super) size: u32,
    pub(super) consumer_pos: u64,
    pub(super) producer_pos: u64,
    pub(super) head_offset: u32,
    pub(super) tail_offset: u32,
    /// Bytes between the positions; null if these are wrong.
    pub(super) used: Option<u32>,
    pub(super) free: Option<u32>,
    /// Bytes that each mark of the picture stands for.
    pub(super) bytes_per_mark: u32,
    pub(super) submitted: Count,
    pub(super) busy: Count,
    pub(super) discarded: Count,
    pub(super) damaged: Count,
    /// Records that the kernel takes before it reaches the first obstacle.
    pub(super) ready: u64,
    pub(super) verdict: &'static str,
    pub(super) stuck: bool,
    pub(super) words: &'a str,
    pub(super) todo: &'a str,
    /// What every drain returns that reaches the obstacle.
    pub(super) kernel_error: Option<String>,
    /// The obstacle's position.
    pub(super) obstacle: Option<u64>,
    /// For how long the obstacle, or the head of a ring that is not empty, has not moved; only with `--watch`.
    pub(super) unchanged_seconds: Option<f64>,
    pub(super) producer: Producing<'a>,
    /// The other processes that hold the ring open; null if `/proc` can't be read.
    pub(super) holders: Option<&'a [Process]>,
    /// How many processes could not be looked at.
    pub(super) holders_unreadable: Option<usize>,
    pub(super) first_records: &'a [Row],
    pub(super) last_records: Vec<Row>,
    /// What `repair` would do; null if there is nothing to repair, or it can't be.
    pub(super) repair: Option<Sum>,
    /// Where the pin leads by which the ring was opened; null if it was opened otherwise, or that can't be determined.
    pub(super) pin: Option<PinState>,
    #[serde(skip)]
    pub(super) pin_words: Option<String>,
    #[serde(skip)]
    pub(super) snapshot: &'a Snapshot,
    #[serde(skip)]
    pub(super) claim: &'a Claim,
    #[serde(skip)]
    pub(super) held_open: &'a Result<Holders, String>,
    #[serde(skip)]
    pub(super) colour: bool,
    /// To be drawn over the last look.
    #[serde(skip)]
    pub(super) again: bool,
}

#[derive(Serialize)]
pub(super) struct Count {
    pub(super) records: u64,
    pub(super) bytes: u64,
}

impl From<Tally> for Count {
    fn from(Tally { records, bytes }: Tally) -> Self {
        Self { records, bytes }
    }
}
