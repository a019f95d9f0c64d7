//! A checked walk over the records between the positions.
//!
//! Nothing that is read is trusted: a record is accepted only if the kernel would accept it, by the same checks in the
//! same order, and the walk reports where it had to stop. While a producer works and the kernel drains, the walk sees
//! each record at some moment, not the whole ring at one moment. Kernel counterpart: the checks of
//! `__bpf_user_ringbuf_peek`.

use core::fmt;

use crate::format::header::RecordState;
use crate::format::layout::{MAX_SAMPLE_LEN, record_extent};
use crate::format::position::{Corruption, Position};
use crate::seam::kernel::KernelError;
use crate::seam::memory::RingView;
use crate::seam::role::Role;

/// One record as it stands in the ring.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Record {
    /// Position of its header.
    pub start: Position,
    /// Length of its sample, in bytes.
    pub len: u32,
    /// What the kernel does with it.
    pub state: RecordState,
}

impl Record {
    /// Bytes that it takes up: header, sample and padding.
    pub const fn extent(&self) -> u32 {
        record_extent(self.len)
    }

    /// Position at which it ends and the next record begins.
    pub const fn end(&self) -> Position {
        self.start.advance(self.extent() as u64)
    }
}

/// A record that the kernel can never get past.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Damage {
    /// The length in the header reaches beyond the producer position. Nothing behind it can be walked.
    BeyondProducer {
        /// Position of the record.
        start: Position,
        /// Length in its header, in bytes.
        len: u32,
        /// Bytes from its beginning to the producer position.
        left: u32,
    },
    /// The sample is longer than 2^24 - 1 bytes. The records behind it can be walked.
    TooLong {
        /// Position of the record.
        start: Position,
        /// Length in its header, in bytes.
        len: u32,
    },
}

impl Damage {
    /// Position of the damaged record.
    pub const fn start(&self) -> Position {
        match self {
            Self::BeyondProducer { start, .. } | Self::TooLong { start, .. } => *start,
        }
    }

    /// What every drain that reaches the record returns.
    pub const fn kernel_error(&self) -> KernelError {
        match self {
            Self::BeyondProducer { .. } => KernelError::Invalid,
            Self::TooLong { .. } => KernelError::TooBig,
        }
    }

    /// Bytes that can't be used: those of the record, or all up to the producer position.
    pub const fn bytes(&self) -> u32 {
        match self {
            Self::BeyondProducer { left, .. } => *left,
            Self::TooLong { len, .. } => record_extent(*len),
        }
    }
}

impl fmt::Display for Damage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::BeyondProducer { start, len, left } => write!(
                f,
                "the record at {start} names {len} bytes, but only {left} bytes are left up to the producer position"
            ),
            Self::TooLong { start, len } => {
                write!(f, "the record at {start} has {len} bytes, more than the {MAX_SAMPLE_LEN} that the kernel takes")
            }
        }
    }
}

impl core::error::Error for Damage {}

/// Reads the record at `start`, with `left` bytes from there to the producer position.
///
/// `start` is a multiple of 8.
pub(crate) fn read_record<V: RingView>(view: &V, start: Position, left: u32) -> Result<Record, Damage> {
    // SAFETY: the position is a multiple of 8 and its offset below the ring's size, which is one too.
    let header = unsafe { view.load_header(start.offset(view.size())) };
    let len = header.len();
    if record_extent(len) > left {
        return Err(Damage::BeyondProducer { start, len, left });
    }
    // Between these two the kernel checks the extent against the ring's size, which `left` never exceeds.
    if len > MAX_SAMPLE_LEN {
        return Err(Damage::TooLong { start, len });
    }
    Ok(Record { start, len, state: header.state() })
}

/// The records of a ring from its head to its tail, one acquire load of a header per record. The walk ends behind
/// damage that can't be walked.
#[derive(Debug, Clone)]
pub struct Records<V> {
    view: V,
    next: Position,
    end: Position,
}

impl<V: RingView> Records<V> {
    /// Begins a walk over the records that are in the ring now.
    ///
    /// # Errors
    /// [`Corruption`] if the positions can't be those of a working ring.
    pub fn new(view: V) -> Result<Self, Corruption> {
        let mut next = view.load_consumer();
        // Both positions may have moved between the two loads, so a wrong pair counts only if the consumer stood still.
        // The limit is for a consumer position that keeps changing without a kernel.
        for _ in 0..1000 {
            let end = view.load_producer(Role::ObserveProducer);
            let before = core::mem::replace(&mut next, view.load_consumer());
            match end.occupied(before, view.size()) {
                Ok(_) => return Ok(Self { view, next: before, end }),
                Err(corruption) if next == before => return Err(corruption),
                Err(_) => {}
            }
        }
        let end = view.load_producer(Role::ObserveProducer);
        end.occupied(next, view.size())?;
        Ok(Self { view, next, end })
    }

    /// Position of the next record of the walk.
    pub fn position(&self) -> Position {
        self.next
    }

    /// Position at which the walk ends: the producer position when it began.
    pub fn end(&self) -> Position {
        self.end
    }

    /// Bytes from the next record to the end of the walk.
    pub fn left(&self) -> u32 {
        // At most the ring's size: checked at the beginning, and `next` never passes `end`.
        u32::try_from(self.end.distance_from(self.next)).unwrap_or(0)
    }
}

impl<V: RingView> Iterator for Records<V> {
    type Item = Result<Record, Damage>;

    fn next(&mut self) -> Option<Self::Item> {
        loop {
            let start = self.next;
            if start == self.end {
                return None;
            }
            let record = read_record(&self.view, start, self.left());
            // The kernel may have taken the record in the meantime, and a producer may have written over its header.
            // What was read counts only if the consumer has not passed it.
            let consumer = self.view.load_consumer();
            if consumer != start && consumer.has_reached(start) {
                self.next = if consumer.has_reached(self.end) { self.end } else { consumer };
                if self.next.is_aligned() {
                    continue;
                }
                self.next = self.end;
                return None;
            }
            self.next = match &record {
                Ok(record) => record.end(),
                Err(damage) => start.advance(u64::from(damage.bytes())),
            };
            return Some(record);
        }
    }
}
