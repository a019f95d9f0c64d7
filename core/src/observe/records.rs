//! A checked walk over the records between the positions, for those who look at a ring.
//!
//! What is read is never trusted: a record is taken only if the kernel would take it, by the same checks in the same
//! order, and the walk says where it had to stop. Beside a working producer and a draining kernel it sees a moment of
//! each record, not of the ring. Kernel counterpart: the checks of `__bpf_user_ringbuf_peek`.

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
    /// Where its header begins.
    pub start: Position,
    /// Length of its sample in bytes.
    pub len: u32,
    /// What the kernel does with it.
    pub state: RecordState,
}

impl Record {
    /// Bytes that it takes: header, sample and padding.
    pub const fn extent(&self) -> u32 {
        record_extent(self.len)
    }

    /// Where the next record begins.
    pub const fn end(&self) -> Position {
        self.start.advance(self.extent() as u64)
    }
}

/// A record that the kernel never gets past.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Damage {
    /// The header's length reaches beyond the producer position. Nothing behind it can be walked.
    BeyondProducer {
        /// Where the record begins.
        start: Position,
        /// Length that its header names, in bytes.
        len: u32,
        /// Bytes from its beginning to the producer position.
        left: u32,
    },
    /// The sample is longer than 2^24 - 1 bytes. The records behind it can be walked.
    TooLong {
        /// Where the record begins.
        start: Position,
        /// Length that its header names, in bytes.
        len: u32,
    },
}

impl Damage {
    /// Where the damaged record begins.
    pub const fn start(&self) -> Position {
        match self {
            Self::BeyondProducer { start, .. } | Self::TooLong { start, .. } => *start,
        }
    }

    /// What the kernel answers to every drain that gets there.
    pub const fn kernel_error(&self) -> KernelError {
        match self {
            Self::BeyondProducer { .. } => KernelError::Invalid,
            Self::TooLong { .. } => KernelError::TooBig,
        }
    }

    /// Bytes that can't be used: the record's, or all up to the producer position.
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

/// Reads the record at `start`, of which `left` bytes are left up to the producer position.
///
/// `start` is a multiple of 8.
pub(crate) fn read_record<V: RingView>(view: &V, start: Position, left: u32) -> Result<Record, Damage> {
    // SAFETY: the position is a multiple of 8 and its offset below the ring's size, which is one too.
    let header = unsafe { view.load_header(start.offset(view.size())) };
    let len = header.len();
    if record_extent(len) > left {
        return Err(Damage::BeyondProducer { start, len, left });
    }
    // The kernel's check of the extent against the ring's size lies between these two; `left` is at most that size.
    if len > MAX_SAMPLE_LEN {
        return Err(Damage::TooLong { start, len });
    }
    Ok(Record { start, len, state: header.state() })
}

/// The records of a ring from its head to its tail. Ends behind damage that can't be walked.
#[derive(Debug, Clone)]
pub struct Records<V> {
    view: V,
    next: Position,
    end: Position,
}

impl<V: RingView> Records<V> {
    /// The records that are in the ring now.
    ///
    /// # Errors
    /// [`Corruption`] if the positions can't be those of a working ring.
    pub fn new(view: V) -> Result<Self, Corruption> {
        let mut next = view.load_consumer();
        // Between the two loads both may have moved. Only wrong positions stay so; a consumer that no kernel moves may
        // not keep us here forever.
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

    /// Where the next record begins.
    pub fn position(&self) -> Position {
        self.next
    }

    /// Where the walk ends: the producer position.
    pub fn end(&self) -> Position {
        self.end
    }

    /// Bytes up to the end of the walk.
    pub fn left(&self) -> u32 {
        // Both are within the ring's size of each other: checked at the beginning, and `next` never passes `end`.
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
            // The kernel may have taken the record meanwhile, and a producer may have written over its header: what
            // was read counts only if the consumer had not passed it afterwards.
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
