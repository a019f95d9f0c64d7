//! What is in a ring, and whether it flows: the walk summed up.

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
    /// How many.
    pub records: u64,
    /// Bytes that they take, headers and padding included.
    pub bytes: u64,
}

impl Tally {
    fn add(&mut self, extent: u32) {
        self.records += 1;
        self.bytes += u64::from(extent);
    }
}

/// How it stands with a ring.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Verdict {
    /// Nothing is in the ring.
    Empty,
    /// The kernel can take everything that is in the ring.
    Flowing,
    /// The kernel stops in front of this busy record: its producer is about to submit it, or gone.
    Held {
        /// The first busy record.
        record: Record,
    },
    /// The kernel answers every drain that gets here with [`Damage::kernel_error`].
    Jammed {
        /// What is wrong, and where.
        damage: Damage,
    },
    /// The positions themselves are wrong.
    Misplaced {
        /// What is wrong with them.
        corruption: Corruption,
    },
}

impl Verdict {
    /// What the kernel answers to a drain that comes this far, where it is an error.
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

/// What a walk over the ring found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Survey {
    /// Size of the data area.
    pub size: RingSize,
    /// `consumer_pos`, the ring's head.
    pub consumer: Position,
    /// `producer_pos`, the ring's tail.
    pub producer: Position,
    /// Records that the kernel hands to the program.
    pub submitted: Tally,
    /// Records that the kernel waits for.
    pub busy: Tally,
    /// Records that the kernel skips.
    pub discarded: Tally,
    /// Records that can't be used.
    pub damaged: Tally,
    /// Records at the head that the kernel takes before it meets the first obstacle, discarded ones counted.
    pub ready: u64,
    /// How it stands.
    pub verdict: Verdict,
}

impl Survey {
    /// Walks the ring once.
    pub fn of<V: RingView>(view: &V) -> Self {
        Self::walk(view, |_| ())
    }

    /// Walks the ring once, and shows each record to `each` on the way.
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
        // The first obstacle decides: the kernel does not get past it.
        if matches!(self.verdict, Verdict::Empty | Verdict::Flowing) {
            self.ready += u64::from(verdict == Verdict::Flowing);
            self.verdict = verdict;
        }
    }
}
