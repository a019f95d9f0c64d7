//! The reference model: a plain [`Queue`] of records, which says what must come out of a ring without any memory, and a
//! [`Predictor`], which says what each operation results in.
//!
//! It is written from the protocol's rules alone, and adds up counts, so that it shares no mistake with the core: no
//! masks, no cached limits, no bytes. Kernel counterpart: the rules of `bpf_user_ringbuf_drain`.

mod predict;

use std::collections::VecDeque;

use user_ringbuf_core::{Header, Position, RecordState, ReserveError, RingSize};

use crate::memory::RingImage;
pub use predict::{Event, Predictor};
pub(crate) use predict::{pattern, second_write};
use user_ringbuf_core::KernelError;

/// What came out of a drain.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DrainResult {
    /// What the helper returned.
    pub returned: Result<u32, KernelError>,
    /// The samples, in order.
    pub samples: Vec<Vec<u8>>,
    /// Whether it woke the waiters.
    pub woke: bool,
}

/// The records of a ring, oldest first.
#[derive(Clone, Debug)]
pub struct Queue {
    size: RingSize,
    consumer: u64,
    records: VecDeque<Queued>,
    next_id: u64,
}

#[derive(Clone, Debug)]
struct Queued {
    id: u64,
    extent: u64,
    content: Content,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Content {
    Submitted(Vec<u8>),
    /// With the length that its header names.
    Busy(u32),
    Discarded,
}

/// Names a record that is busy, or was.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Id(u64);

/// Bytes that a record with this sample takes: a header of 8, and a multiple of 8.
fn extent(len: u64) -> u64 {
    8 + len.div_ceil(8) * 8
}

fn narrow(bytes: u64) -> u32 {
    u32::try_from(bytes).unwrap_or(u32::MAX)
}

impl Queue {
    /// An empty ring with both positions at `start`.
    pub fn new(size: RingSize, start: u64) -> Self {
        Self { size, consumer: start, records: VecDeque::new(), next_id: 0 }
    }

    /// The records of a ring that is in order: a repaired one for example.
    ///
    /// # Errors
    /// Why it is not, in words.
    pub fn from_image(image: &RingImage) -> Result<Self, String> {
        let mut queue = Self::new(image.size(), image.consumer);
        let mut left = image.producer.wrapping_sub(image.consumer);
        if left > queue.size.bytes_u64() || image.consumer % 8 != 0 || left % 8 != 0 {
            return Err(format!("positions {} and {} belong to no ring", image.consumer, image.producer));
        }
        while left > 0 {
            let at = image.producer.wrapping_sub(left);
            let header = image.header_at(at);
            let extent = extent(header.len().into());
            if extent > left {
                return Err(format!("{header:?} at {at} reaches beyond the producer position {}", image.producer));
            }
            let state = match header.state() {
                RecordState::Submitted => Content::Submitted(sample_at(image, at, header)?),
                RecordState::Busy => Content::Busy(header.len()),
                RecordState::Discarded => Content::Discarded,
            };
            queue.add(extent, state);
            left -= extent;
        }
        Ok(queue)
    }

    pub(crate) fn size(&self) -> RingSize {
        self.size
    }

    pub(crate) fn used(&self) -> u64 {
        self.records.iter().map(|record| record.extent).sum()
    }

    pub(crate) fn consumer(&self) -> u64 {
        self.consumer
    }

    pub(crate) fn producer(&self) -> u64 {
        self.consumer.wrapping_add(self.used())
    }

    /// Where the first record ends, or the consumer is if there is none.
    pub(crate) fn first_end(&self) -> u64 {
        self.consumer.wrapping_add(self.records.front().map_or(0, |record| record.extent))
    }

    /// Longest sample: the whole ring but a header, or the kernel's limit.
    pub(crate) fn max(&self) -> u32 {
        (self.size.bytes() - 8).min((1 << 24) - 1)
    }

    /// The samples that a drain without end would give, busy records skipped.
    pub(crate) fn submitted(&self) -> Vec<&[u8]> {
        let samples = self.records.iter().filter_map(|record| match &record.content {
            Content::Submitted(sample) => Some(&sample[..]),
            Content::Busy(_) | Content::Discarded => None,
        });
        samples.collect()
    }

    /// Whether a record of `len` has room behind `pending` bytes of a batch.
    pub(crate) fn room(&self, len: u32, pending: u64) -> Result<u64, ReserveError> {
        if len > self.max() {
            return Err(ReserveError::TooLarge { len: len as usize, max: self.max() });
        }
        let needed = extent(len.into());
        let left = self.size.bytes_u64() - pending;
        if needed > left {
            return Err(ReserveError::BatchFull { needed: narrow(needed), left: narrow(left) });
        }
        let available = self.size.bytes_u64() - self.used() - pending;
        if needed > available {
            return Err(ReserveError::Full { needed: narrow(needed), available: narrow(available) });
        }
        Ok(needed)
    }

    /// Adds a submitted record. Returns where it ends.
    pub(crate) fn push(&mut self, sample: Vec<u8>) -> Position {
        self.add(extent(sample.len() as u64), Content::Submitted(sample));
        Position::new(self.producer())
    }

    /// Adds a busy record with a sample of this length.
    pub(crate) fn reserve(&mut self, len: u32) -> Id {
        self.add(extent(len.into()), Content::Busy(len))
    }

    fn add(&mut self, extent: u64, content: Content) -> Id {
        let id = self.next_id;
        self.next_id += 1;
        self.records.push_back(Queued { id, extent, content });
        Id(id)
    }

    fn place(&self, id: Id) -> Option<usize> {
        self.records.iter().position(|record| record.id == id.0)
    }

    /// Bytes of a busy record that are left.
    pub(crate) fn left(&self, id: Id) -> u64 {
        self.place(id).map_or(0, |at| self.records[at].extent)
    }

    /// Submits the front of a busy record. The rest stays busy under the same name. Returns where the
    /// sample's record ends.
    pub(crate) fn submit_front(&mut self, id: Id, sample: Vec<u8>) -> Option<Position> {
        let at = self.place(id)?;
        let taken = extent(sample.len() as u64);
        let front = Queued { id: self.next_id, extent: taken, content: Content::Submitted(sample) };
        self.next_id += 1;
        self.records[at].extent = self.records[at].extent.checked_sub(taken)?;
        if self.records[at].extent == 0 {
            self.records.remove(at);
        } else {
            self.records[at].content = Content::Busy(narrow(self.records[at].extent - 8));
        }
        self.records.insert(at, front);
        let before: u64 = self.records.iter().take(at + 1).map(|record| record.extent).sum();
        Some(Position::new(self.consumer.wrapping_add(before)))
    }

    /// Discards what is left of a busy record.
    pub(crate) fn discard(&mut self, id: Id) {
        if let Some(at) = self.place(id) {
            self.records[at].content = Content::Discarded;
        }
    }

    /// The first busy record, as a core's record.
    pub(crate) fn first_busy(&self) -> Option<user_ringbuf_core::Record> {
        let busy = |record: &Queued| if let Content::Busy(len) = record.content { Some(len) } else { None };
        let (at, len) = self.records.iter().enumerate().find_map(|(at, record)| Some((at, busy(record)?)))?;
        let before: u64 = self.records.iter().take(at).map(|record| record.extent).sum();
        let start = Position::new(self.consumer.wrapping_add(before));
        Some(user_ringbuf_core::Record { start, len, state: RecordState::Busy })
    }

    /// `bpf_user_ringbuf_drain` on a ring in order.
    pub(crate) fn drain(&mut self, flags: u64, stop_after: Option<u32>) -> DrainResult {
        if flags > 3 {
            return DrainResult { returned: Err(KernelError::Invalid), samples: vec![], woke: false };
        }
        let mut samples = vec![];
        let mut consumed = 0;
        while consumed < 131_072 && self.consumer < self.producer() {
            match self.records.front().map(|record| &record.content) {
                None | Some(Content::Busy(_)) => break,
                Some(Content::Discarded) => {}
                Some(Content::Submitted(sample)) => samples.push(sample.clone()),
            }
            let Some(record) = self.records.pop_front() else { break };
            self.consumer = self.consumer.wrapping_add(record.extent);
            consumed += 1;
            let enough = stop_after.is_some_and(|most| samples.len() >= most.max(1) as usize);
            if enough && matches!(record.content, Content::Submitted(_)) {
                break;
            }
        }
        let woke = flags & 2 != 0 || (flags & 1 == 0 && consumed > 0);
        DrainResult { returned: Ok(narrow(samples.len() as u64)), samples, woke }
    }

    /// Compares a ring with this, down to the bytes.
    ///
    /// # Errors
    /// Where they differ, in words.
    pub fn compare(&self, image: &RingImage) -> Result<(), String> {
        let (found, expected) = ((image.consumer, image.producer), (self.consumer, self.producer()));
        if found != expected {
            return Err(format!("consumer and producer are at {found:?}, expected {expected:?}"));
        }
        let found = Self::from_image(image)?;
        let (found, expected) = (found.contents(), self.contents());
        if found == expected { Ok(()) } else { Err(format!("the ring holds {found:?}, expected {expected:?}")) }
    }

    /// Each record's extent and content.
    fn contents(&self) -> Vec<(u64, &Content)> {
        self.records.iter().map(|record| (record.extent, &record.content)).collect()
    }
}

fn sample_at(image: &RingImage, at: u64, header: Header) -> Result<Vec<u8>, String> {
    let offset = Position::new(at.wrapping_add(8)).offset(image.size());
    image.read(offset, header.len() as usize).map_err(|why| why.to_string())
}
