//! The rings of the machine as they are reported, as words or as JSON.

use serde::Serialize;

use super::gather::Unreadable;
use crate::producer::{Process, Producing};

/// A ring as it is reported.
#[derive(Serialize)]
pub(super) struct Listed<'a> {
    pub(super) id: u32,
    pub(super) name: &'a str,
    pub(super) size: u32,
    /// Bytes between the positions; null if these are wrong.
    pub(super) used: Option<u32>,
    pub(super) consumer_pos: u64,
    pub(super) producer_pos: u64,
    pub(super) verdict: &'static str,
    pub(super) stuck: bool,
    /// The verdict in words.
    pub(super) words: String,
    /// For how long the obstacle, or the head of a ring that is not empty, has not moved; only with `--watch`.
    pub(super) unchanged_seconds: Option<f64>,
    /// Since the last look; only with `--watch`.
    pub(super) produced_bytes_per_second: Option<f64>,
    pub(super) drained_bytes_per_second: Option<f64>,
    pub(super) producer: Producing<'a>,
    /// The processes that hold the ring open; null if `/proc` can't be read.
    pub(super) holders: Option<&'a [Process]>,
    pub(super) pins: Vec<String>,
}

/// One look at all rings.
#[derive(Serialize)]
pub(super) struct Listing<'a> {
    pub(super) rings: Vec<Listed<'a>>,
    /// The ids of those that are stuck.
    pub(super) stuck: Vec<u32>,
    /// Rings that could not be looked at.
    pub(super) unreadable: &'a [Unreadable],
    /// Maps that were gone before they could be looked at.
    pub(super) vanished: u64,
    /// How many processes could not be looked at; null if `/proc` can't be read.
    pub(super) holders_unreadable: Option<usize>,
    #[serde(skip)]
    pub(super) watch: bool,
    #[serde(skip)]
    pub(super) colour: bool,
    /// Why there can be no ring, if so.
    #[serde(skip)]
    pub(super) unsupported: bool,
    /// Why the holders are not known.
    #[serde(skip)]
    pub(super) no_holders: Option<&'a str>,
    /// To be drawn over the last look.
    #[serde(skip)]
    pub(super) again: bool,
    #[serde(skip)]
    pub(super) prometheus: bool,
}
