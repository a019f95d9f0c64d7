//! What is in a ring and whether the kernel can take it: a walk over the records, summed up.
//!
//! Kernel counterpart: `__bpf_user_ringbuf_peek`, whose first obstacle is the verdict.

use core::fmt;

use crate::format::header::RecordState;
use crate::format::layout::RingSize;
use crate::format::position::{Corruption, Position};
use crate::observe::records::{Damage, Record, Records};
use crate::seam::kernel::KernelError;
use crate::seam::memory::RingView;
use crate::seam::role::Role;

/// Records of one kind.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Tally {
    /// Number of records.
    pub records: u64,
    /// Bytes that they take up, headers and padding included.
    pub bytes: u64,
}

impl Tally {
    fn add(&mut self, extent: u32) {
        self.records += 1;
        self.bytes += u64::from(extent);
    }
}

/// The state of a ring.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Verdict {
    /// The ring is empty.
    Empty,
    /// The kernel can take everything that is in the ring.
    Flowing,
    /// The kernel stops in front of this busy record: its producer has yet to submit it, or is gone.
    Held {
        /// The first busy record.
        record: Record,
    },
    /// Every drain that gets here returns [`Damage::kernel_error`].
    Jammed {
        /// What is wrong, and where.
        damage: Damage,
    },
    /// The positions can't be those of a working ring.
    Misplaced {
        /// What is wrong with them.
        corruption: Corruption,
    },
}

impl Verdict {
    /// The error that a drain which gets this far returns, if it returns one.
    pub const fn kernel_error(&self) -> Option<KernelError> {
        match self {
            Self::Jammed { damage } => Some(damage.kernel_error()),
            Self::Misplaced { corruption: Corruption::UnalignedProducer { .. } } => Some(KernelError::Invalid),
            _ => None,
        }
    }
}

impl fmt::Display for Verdict {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Empty => f.write_str("empty"),
            Self::Flowing => f.write_str("flowing"),
            Self::Held { record } => write!(f, "held by the busy record at {}", record.start),
            Self::Jammed { damage } => write!(f, "jammed with {}: {damage}", damage.kernel_error()),
            Self::Misplaced { corruption } => corruption.fmt(f),
        }
    }
}

/// The result of a walk over a ring.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Survey {
    /// Size of the data area.
    pub size: RingSize,
    /// `consumer_pos`: the head of the ring.
    pub consumer: Position,
    /// `producer_pos`: the tail of the ring.
    pub producer: Position,
    /// Records that the kernel hands to the program.
    pub submitted: Tally,
    /// Records that the kernel waits for.
    pub busy: Tally,
    /// Records that the kernel skips.
    pub discarded: Tally,
    /// Records that the kernel refuses.
    pub damaged: Tally,
    /// Records at the head that the kernel consumes before the first obstacle, discarded ones included.
    pub ready: u64,
    /// The state of the ring.
    pub verdict: Verdict,
}

impl Survey {
    /// Walks the ring once. Never fails: wrong positions are a [`Verdict`] too.
    pub fn of<V: RingView>(view: &V) -> Self {
        Self::walk(view, |_| ())
    }

    /// Walks the ring once, and passes each record to `each` on the way.
    pub fn walk<V: RingView>(view: &V, mut each: impl FnMut(&Result<Record, Damage>)) -> Self {
        let mut survey = Self {
            size: view.size(),
            consumer: view.load_consumer(),
            producer: view.load_producer(Role::ObserveProducer),
            submitted: Tally::default(),
            busy: Tally::default(),
            discarded: Tally::default(),
            damaged: Tally::default(),
            ready: 0,
            verdict: Verdict::Empty,
        };
        let records = match Records::new(view) {
            Ok(records) => records,
            Err(corruption) => {
                survey.verdict = Verdict::Misplaced { corruption };
                return survey;
            }
        };
        (survey.consumer, survey.producer) = (records.position(), records.end());
        for record in records {
            survey.count(&record);
            each(&record);
        }
        survey
    }

    fn count(&mut self, record: &Result<Record, Damage>) {
        let verdict = match record {
            Ok(record) => {
                let tally = match record.state {
                    RecordState::Submitted => &mut self.submitted,
                    RecordState::Busy => &mut self.busy,
                    RecordState::Discarded => &mut self.discarded,
                };
                tally.add(record.extent());
                match record.state {
                    RecordState::Busy => Verdict::Held { record: *record },
                    _ => Verdict::Flowing,
                }
            }
            Err(damage) => {
                self.damaged.add(damage.bytes());
                Verdict::Jammed { damage: *damage }
            }
        };
        // The first obstacle is the verdict: the kernel does not get past it.
        if matches!(self.verdict, Verdict::Empty | Verdict::Flowing) {
            self.ready += u64::from(verdict == Verdict::Flowing);
            self.verdict = verdict;
        }
    }
}
