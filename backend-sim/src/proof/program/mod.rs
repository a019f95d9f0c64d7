//! The operation language: what fuzzers, property tests and the comparison with the real kernel do to a ring.
//!
//! A [`Program`] is a ring and a list of [`Operation`]s. Most bytes that a fuzzer makes up mean one
//! ([`Program::decode`]), and it is printed as a test would write it.

mod binary;

use std::fmt;

use user_ringbuf_core::RingSize;

/// Samples and lanes that a program can hold at a time.
pub const PLACES: u8 = 4;

/// A ring, and what is done to it. The first producer is attached before the first operation.
///
/// ```
/// use user_ringbuf_sim::proof::Finish::{Discard, Submit};
/// use user_ringbuf_sim::proof::Operation::{Detach, Drain, Finish, Push};
/// use user_ringbuf_sim::proof::{Program, run_on_heap};
///
/// let program = Program::new(16, 8, [
///     Detach { place: 0, len: 5 },
///     Finish { place: 0, finish: Discard },
///     Drain { flags: 0, stop_after: None },
///     Push { len: 8 },
///     Push { len: 0 },
///     Drain { flags: 2, stop_after: Some(1) },
/// ]);
/// let totals = run_on_heap(&program)?;
/// assert_eq!((totals.submitted, totals.refused, totals.drained), (1, 1, 1));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Program {
    /// Size of the ring's data area.
    pub size: RingSize,
    /// Both positions at the beginning: a multiple of 8.
    pub start: u64,
    /// What is done, in this order.
    pub operations: Vec<Operation>,
}

/// One thing done to a ring. Lengths are sample lengths in bytes, and may be more than the ring takes; places are below
/// [`PLACES`]. What does not apply, for example finishing a sample where none is held, does nothing.
#[derive(Clone, Debug, PartialEq, Eq)]
#[expect(missing_docs, reason = "fields are named for what they are")]
pub enum Operation {
    /// Reserves, writes and submits in one call.
    Push { len: u32 },
    /// Reserves a sample, writes the whole of it, writes `count` bytes from `at` on once more, perhaps beyond its end, and
    /// lets go of it.
    Sample { len: u32, at: u32, count: u32, finish: Finish },
    /// Writes samples, at most 255, and publishes them together or discards them. Only an exclusive producer does that.
    Batch { lens: Vec<u32>, submit: bool },
    /// Reserves a detached sample and holds it in a place. What was held there is dropped.
    Detach { place: u8, len: u32 },
    /// Writes and lets go of the sample held in a place. A lane held there is closed.
    Finish { place: u8, finish: Finish },
    /// Takes a lane and holds it in a place. What was held there is dropped.
    Lane { place: u8, len: u32 },
    /// Reserves, writes and lets go of a sample in the lane held in a place. A sample held there becomes a lane first.
    LaneSample { place: u8, len: u32, finish: Finish },
    /// Drops what is held in a place.
    Close { place: u8 },
    /// Reserves with a timeout, while a drain may come, and submits.
    Wait { len: u32, timeout_ms: u8, drain_after_ms: Option<u8> },
    /// The consumer drains with any flags, and stops after so many samples; 0 counts as 1.
    Drain { flags: u64, stop_after: Option<u32> },
    /// Drops the producer and attaches another. What is held stays.
    Attach { shared: bool },
    /// The producer goes on from where the ring is, as after another producer's turn.
    Resume,
    /// The producer is asked what is used, free and consumed.
    Ask,
    /// The producing process dies during the next operation, after so many more memory operations, or else right after
    /// it. Then the ring is repaired and another producer attached.
    Crash { after: u8 },
    /// The producing process ends, the ring is repaired, and another producer attached.
    Repair,
    /// Something else writes to the ring. Nothing is guaranteed from then on, until a repair.
    Tamper(Tampering),
}

/// How a reserved sample ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Finish {
    /// It is submitted.
    Submit,
    /// Its first bytes are submitted: this many, which may be more than it has.
    SubmitLen(u32),
    /// It is discarded.
    Discard,
}

/// What no producer and no kernel does to a ring.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[expect(missing_docs, reason = "fields are named for what they are")]
pub enum Tampering {
    /// Moves the producer position by so many bytes, wrapping around.
    Producer(i64),
    /// Moves the consumer position by so many bytes, wrapping around. A real kernel's can't be written.
    Consumer(i64),
    /// Writes a length word, flags included, so many bytes behind the consumer position, rounded down to a multiple of 8,
    /// modulo the ring's size.
    Header { offset: u32, word: u32 },
}

impl Program {
    /// A program on a ring of `size` bytes whose positions begin at `start`.
    ///
    /// # Panics
    /// If no ring has that size or position.
    pub fn new(size: u64, start: u64, operations: impl IntoIterator<Item = Operation>) -> Self {
        assert!(start % 8 == 0, "{start} is not a multiple of 8");
        let size = RingSize::new(size).unwrap_or_else(|error| panic!("{error}"));
        Self { size, start, operations: operations.into_iter().collect() }
    }

    /// The program without what damages the ring: what is left must go as the reference model says, to the end.
    #[must_use]
    pub fn without_damage(mut self) -> Self {
        self.operations.retain(|operation| !matches!(operation, Operation::Tamper(_)));
        self
    }
}

impl fmt::Display for Program {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "Program::new({}, {}, [", self.size.bytes(), self.start)?;
        self.operations.iter().try_for_each(|operation| writeln!(f, "    {operation:?},"))?;
        writeln!(f, "])")
    }
}
