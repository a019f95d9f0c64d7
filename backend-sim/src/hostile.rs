//! Positions that change under a working producer, between any two of its memory operations.
//!
//! Shown: nothing panics or hangs, and no write leaves the space that the producer was told is free, or what it holds.
//! What it was told may be a lie; that it can't know. Kernel counterpart: none, the kernel's consumer position is its
//! own. A foreign producer, or a bug, can do the rest.

use std::cell::{Cell, RefCell};
use std::fmt;

use user_ringbuf_core::{DetachedSample, Lane, Position, Producer, ReserveError, RingSize, Role};

use crate::hooked::{Fate, Hook, Hooked, Step};
use crate::kernel_memory::KernelMemory;
use crate::memory::{HeapMemory, RawAccess};
use crate::operations::PLACES;
use crate::runner::stale_ring;

/// What a hostile run came to.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct HostileReport {
    /// Times that a position was changed.
    pub changes: u64,
    /// Writes that were checked.
    pub writes: u64,
    /// Samples, batches and lanes reserved.
    pub reserved: u64,
    /// Reservations refused because a position can't be.
    pub corrupted: u64,
    /// Reservations refused because somebody else moved the producer position.
    pub foreign: u64,
    /// Other refusals.
    pub refused: u64,
}

impl HostileReport {
    /// Adds another's counts.
    pub fn add(&mut self, other: &Self) {
        self.changes += other.changes;
        self.writes += other.writes;
        self.reserved += other.reserved;
        self.corrupted += other.corrupted;
        self.foreign += other.foreign;
        self.refused += other.refused;
    }

    fn count<T>(&mut self, reserved: Result<T, ReserveError>) -> Option<T> {
        match reserved {
            Ok(reserved) => {
                self.reserved += 1;
                return Some(reserved);
            }
            Err(ReserveError::Corrupted(_)) => self.corrupted += 1,
            Err(ReserveError::ForeignProducer { .. }) => self.foreign += 1,
            Err(_) => self.refused += 1,
        }
        None
    }
}

/// A write that left the space that was free.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Trespass {
    /// What was about to be written, and what was free.
    pub what: String,
}

impl fmt::Display for Trespass {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.what)
    }
}

impl std::error::Error for Trespass {}

/// Lets a producer do what `bytes` say, while positions change as they say too. Any bytes will do.
///
/// # Errors
/// [`Trespass`] if the producer writes where it must not.
///
/// # Panics
/// If the heap has no room for a ring of 4096 bytes.
pub fn run_hostile(bytes: &[u8]) -> Result<HostileReport, Trespass> {
    let input = Input { bytes, at: Cell::new(0) };
    let size = RingSize::new(8 << (input.byte() % 10)).unwrap_or_else(|why| panic!("{why}"));
    let start = [0, 0_u64.wrapping_sub(2 * size.bytes_u64()), (1 << 32) - 8][usize::from(input.byte() % 3)];
    let mut memory = HeapMemory::new(size.bytes_u64()).unwrap_or_else(|why| panic!("{why}"));
    // The image is made for this size.
    let _ = memory.restore(&stale_ring(size, start));
    let vandal = Vandal {
        memory: &memory,
        size,
        input: &input,
        producer: Cell::new(Position::new(start)),
        told: RefCell::default(),
        held: RefCell::default(),
        trespass: RefCell::default(),
        changes: Cell::new(0),
        writes: Cell::new(0),
    };
    let mut report = HostileReport::default();
    while !input.is_empty() && vandal.trespass.borrow().is_none() {
        vandal.begin();
        // Whoever moved the positions while it looked: the next attempt begins where they are then.
        if let Ok(producer) = Producer::attach(Hooked::new(&memory, &vandal)) {
            vandal.producer.set(producer.position());
            work(producer, &vandal, &mut report);
        }
        // A new producer finds a ring in order, and nothing of this one.
        let _ = input.byte();
        let end = memory.kernel_load_producer() & !7;
        memory.set_producer(end);
        memory.set_consumer(end);
    }
    report.changes = vandal.changes.get();
    report.writes = vandal.writes.get();
    match vandal.trespass.into_inner() {
        Some(what) => Err(Trespass { what }),
        None => Ok(report),
    }
}

type Memory<'m> = Hooked<&'m HeapMemory, &'m Vandal<'m>>;

enum Held<'m> {
    Sample(DetachedSample<Memory<'m>>),
    Lane(Lane<Memory<'m>>),
}

/// One producer's life: some thirty operations.
fn work<'m>(mut producer: Producer<Memory<'m>>, vandal: &'m Vandal<'m>, report: &mut HostileReport) {
    let input = vandal.input;
    let mut places: [Option<Held<'m>>; PLACES as usize] = Default::default();
    for _ in 0..30 {
        if input.is_empty() || vandal.trespass.borrow().is_some() {
            break;
        }
        let (code, len) = (input.byte(), usize::from(input.byte()) % (vandal.size.bytes() as usize + 8));
        let place = usize::from(code >> 4) % places.len();
        match code % 8 {
            0 | 1 => drop(report.count(producer.push(&vec![code; len]))),
            2 => {
                if let Some(mut sample) = report.count(producer.reserve(len)) {
                    let _ = sample.fill_range(0, len, code);
                    let _ = sample.submit_len(len / 2);
                }
            }
            3 => {
                let mut batch = producer.batch();
                for part in 1..4 {
                    report.count(batch.push(&vec![code; len / part]));
                }
                batch.submit();
            }
            4 => {
                places[place] = None;
                vandal.holds(place, None);
                let from = producer.position();
                if let Some(sample) = report.count(producer.reserve_detached(len)) {
                    vandal.holds(place, Some((from, producer.position())));
                    places[place] = Some(Held::Sample(sample));
                }
            }
            5 => {
                places[place] = None;
                vandal.holds(place, None);
                let from = producer.position();
                if let Some(lane) = report.count(producer.lane(len)) {
                    vandal.holds(place, Some((from, producer.position())));
                    places[place] = Some(Held::Lane(lane));
                }
            }
            _ => match places[place].take() {
                Some(Held::Sample(mut sample)) => {
                    let whole = sample.len();
                    let _ = sample.fill_range(0, whole, code);
                    let _ = sample.submit_len(len);
                    vandal.holds(place, None);
                }
                Some(Held::Lane(mut lane)) => {
                    report.count(lane.push(&vec![code; len / 4]));
                    places[place] = Some(Held::Lane(lane));
                }
                None => {}
            },
        }
    }
}

struct Input<'b> {
    bytes: &'b [u8],
    at: Cell<usize>,
}

impl Input<'_> {
    fn is_empty(&self) -> bool {
        self.at.get() >= self.bytes.len()
    }

    /// The next byte; zeros when there are none left.
    fn byte(&self) -> u8 {
        let at = self.at.get();
        self.at.set(at + 1);
        self.bytes.get(at).copied().unwrap_or(0)
    }
}

/// Changes positions before a producer's operations, and watches where it writes.
struct Vandal<'m> {
    memory: &'m HeapMemory,
    size: RingSize,
    input: &'m Input<'m>,
    /// Where the producer has published up to.
    producer: Cell<Position>,
    /// Consumer positions that the producer has been shown.
    told: RefCell<Vec<Position>>,
    /// Stretches published busy, which it may write to still.
    held: RefCell<[Option<(Position, Position)>; PLACES as usize]>,
    trespass: RefCell<Option<String>>,
    changes: Cell<u64>,
    writes: Cell<u64>,
}

impl Vandal<'_> {
    fn begin(&self) {
        self.told.borrow_mut().clear();
        *self.held.borrow_mut() = Default::default();
    }

    fn holds(&self, place: usize, stretch: Option<(Position, Position)>) {
        // Written to until the very end: a stretch is given up after its owner has let go.
        self.held.borrow_mut()[place] = stretch;
    }

    fn change_something(&self) {
        let code = self.input.byte();
        if code < 208 {
            return;
        }
        self.changes.set(self.changes.get() + 1);
        let size = self.size.bytes_u64();
        let far = 1_u64 << (self.input.byte() % 64);
        let near = [0, 8, size - 8, size, size + 8, 3, far, far + 4];
        let distance = near[usize::from(code) % near.len()];
        let from = self.producer.get().get();
        match code {
            208..=231 => self.memory.set_consumer(from.wrapping_sub(distance)),
            232..=239 => self.memory.set_consumer(from.wrapping_add(distance)),
            240..=247 => self.memory.set_producer(from.wrapping_add(distance)),
            _ => self.memory.set_producer(from),
        }
    }

    /// Bytes behind the producer's position that it may take for free, by the best that it was told.
    fn free(&self) -> u64 {
        let size = self.size.bytes_u64();
        let used = self.told.borrow().iter().map(|told| self.producer.get().distance_from(*told)).collect::<Vec<_>>();
        used.into_iter().filter(|used| *used <= size).map(|used| size - used).max().unwrap_or(0)
    }

    fn check_write(&self, step: Step, offset: u32, len: u32) {
        self.writes.set(self.writes.get() + 1);
        let size = self.size.bytes_u64();
        // Bytes from a position on to the write, within one lap.
        let behind = |from: Position| Position::new(offset.into()).distance_from(from) % size;
        let end = |from: Position| behind(from) + u64::from(len);
        let in_free_space = end(self.producer.get()) <= self.free();
        let held = self.held.borrow();
        let in_what_it_holds = held.iter().flatten().any(|(from, to)| end(*from) <= to.distance_from(*from));
        if !in_free_space && !in_what_it_holds {
            let (producer, free) = (self.producer.get(), self.free());
            *self.trespass.borrow_mut() =
                Some(format!("{step:?} with the producer at {producer} and {free} bytes free; it holds {held:?}"));
        }
    }
}

impl Hook for &Vandal<'_> {
    fn before(&self, step: Step) -> Fate {
        self.change_something();
        match step {
            Step::Load(Role::LoadConsumer) => {
                self.told.borrow_mut().push(Position::new(self.memory.kernel_load_consumer()));
            }
            Step::WriteHeader { offset, .. } => self.check_write(step, offset, 8),
            Step::CommitHeader { offset, .. } => self.check_write(step, offset, 4),
            Step::WritePayload { offset, at, len } => {
                self.check_write(step, offset.wrapping_add(8 + at) & (self.size.bytes() - 1), len);
            }
            Step::Publish(position) => self.producer.set(position),
            Step::Load(_) | Step::Word(_) => {}
        }
        Fate::Happens
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::random::Random;

    #[test]
    fn no_change_of_positions_lures_a_producer_out_of_free_space() {
        let mut random = Random::new(99);
        let mut sum = HostileReport::default();
        for _ in 0..4000 {
            let bytes = random.bytes(1000);
            sum.add(&run_hostile(&bytes).unwrap_or_else(|why| panic!("{why}\n{bytes:?}")));
        }
        println!("{sum:?}");
        assert!(sum.changes > 100_000 && sum.writes > 200_000 && sum.reserved > 10_000, "{sum:?}");
        assert!(sum.corrupted > 1000 && sum.foreign > 1000 && sum.refused > 1000, "{sum:?}");
    }

    #[test]
    fn a_consumer_that_goes_back_under_a_batch_leaves_no_room() {
        // Zeros: empty records, wherever one looks.
        let memory = HeapMemory::new(64).unwrap();
        memory.set_producer(64);
        memory.set_consumer(16);
        let mut producer = Producer::attach(&memory).unwrap();
        let mut batch = producer.batch();
        batch.push(&[]).unwrap();
        // Legal by itself, but the ring would be full then, 8 bytes before the end of the batch.
        memory.set_consumer(0);
        assert_eq!(batch.push(&[3; 8]), Err(ReserveError::Full { needed: 16, available: 0 }));
        assert_eq!(batch.push(&[]), Err(ReserveError::Full { needed: 8, available: 0 }));
        batch.submit();
        assert!(matches!(producer.push(&[]), Err(ReserveError::Corrupted(_))));
    }

    #[test]
    fn bytes_that_say_nothing_are_a_short_run() {
        assert_eq!(run_hostile(&[]), Ok(HostileReport::default()));
    }
}
