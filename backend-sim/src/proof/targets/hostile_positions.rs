//! Positions change under a working producer, between any two of its memory operations: it reports that or goes on, and
//! never writes outside the space that was free by some consumer position that it loaded, or that it holds already.

use std::cell::{Cell, RefCell};
use std::ops::AddAssign;

use user_ringbuf_core::{AttachError, KernelError, Position, ReserveError, Role, record_extent};

use crate::proof::actor::{Actor, Witness};
use crate::proof::input::Source;
use crate::proof::model::{DrainResult, Event};
use crate::proof::program::{Operation, PLACES, Program};
use crate::{Fate, HeapMemory, Hook, KernelMemory, Step};

/// How much an input tried. Sums of these show that many inputs were not empty ones.
#[derive(Clone, Copy, Debug, Default)]
pub struct HostileCounts {
    /// Times that a position was changed.
    pub strikes: u64,
    /// Stores to the ring, each of them checked.
    pub stores: u64,
    /// Samples and lanes reserved.
    pub reserved: u64,
    /// Reservations refused because a position is impossible.
    pub corrupted: u64,
    /// Reservations refused because another producer moved the producer position.
    pub foreign: u64,
    /// Other refusals.
    pub refused: u64,
}

impl AddAssign for HostileCounts {
    fn add_assign(&mut self, other: Self) {
        self.strikes += other.strikes;
        self.stores += other.stores;
        self.reserved += other.reserved;
        self.corrupted += other.corrupted;
        self.foreign += other.foreign;
        self.refused += other.refused;
    }
}

/// What one input does: its first half is a [`Program`] of what the producer does, as far as it can be decoded; the second
/// half is what happens to the positions. The consumer does not drain: its position moves as the input says.
///
/// # Panics
/// Where a write goes where it may not.
pub fn run(bytes: &[u8]) -> HostileCounts {
    let (program, hostile) = bytes.split_at(bytes.len() / 2);
    let Ok((program, _)) = Program::decode_prefix(program) else { return HostileCounts::default() };
    let memory = HeapMemory::new(program.size.bytes_u64()).unwrap_or_else(|error| panic!("{error}"));
    memory.set_consumer(program.start);
    memory.set_producer(program.start);
    let witness = Eyewitness {
        memory: &memory,
        hostile: RefCell::new(Source::new(hostile)),
        tail: Cell::new(program.start),
        begun: Cell::new(program.start),
        room: Cell::new(0),
        looked: Cell::default(),
        asked: Cell::default(),
        consumers: RefCell::default(),
        held: RefCell::default(),
        headers: RefCell::default(),
        counts: Cell::default(),
    };
    // SAFETY: this memory lends no slices.
    let mut actor = unsafe { Actor::new(&memory, &witness) };
    let nothing = &mut |_, _| DrainResult { returned: Err(KernelError::Busy), samples: vec![], woke: None };
    let first = Operation::Attach { shared: false };
    for (n, operation) in (0..).zip([&first].into_iter().chain(&program.operations)) {
        witness.begin();
        match operation {
            Operation::Drain { .. } | Operation::Wait { .. } => {}
            Operation::Push { .. } => {
                if let [Event::Ended(end)] = actor.step(n, operation, nothing)[..] {
                    assert_eq!(end.get(), witness.tail.get());
                }
            }
            Operation::Ask => {
                let stores = witness.stores();
                actor.step(n, operation, nothing);
                assert_eq!(witness.stores(), stores, "asking only looks");
            }
            _ => drop(actor.step(n, operation, nothing)),
        }
    }
    drop(actor);
    witness.counts.get()
}

/// Sees each memory operation before it happens, and moves positions.
struct Eyewitness<'m> {
    memory: &'m HeapMemory,
    hostile: RefCell<Source<'m>>,
    /// Where the producer's next record begins.
    tail: Cell<u64>,
    /// Bytes from there on that were free by the most generous consumer position.
    room: Cell<u64>,
    /// Where the next record began when this operation did: what was published since is the operation's own.
    begun: Cell<u64>,
    /// Whether the producer position was where the producer left it when it was last loaded, if it was loaded.
    looked: Cell<Option<bool>>,
    /// Stores, and where the next record began, when the producer was asked last.
    asked: Cell<(u64, u64)>,
    /// Consumer positions loaded since then.
    consumers: RefCell<Vec<u64>>,
    /// Beginnings and extents of what is held.
    held: RefCell<[Option<(u64, u64)>; PLACES as usize]>,
    /// Offsets and extents of the records whose headers this operation wrote and did not publish yet.
    headers: RefCell<Vec<(u32, u64)>>,
    counts: Cell<HostileCounts>,
}

impl Eyewitness<'_> {
    fn size(&self) -> u64 {
        u64::from(KernelMemory::size(self.memory).bytes())
    }

    fn count(&self, what: impl FnOnce(&mut HostileCounts)) {
        let mut counts = self.counts.get();
        what(&mut counts);
        self.counts.set(counts);
    }

    fn stores(&self) -> u64 {
        self.counts.get().stores
    }

    /// The producer is about to load its own position. A shared one keeps the low 51 bits only.
    fn look(&self) {
        let moved = self.memory.kernel_load_producer().wrapping_sub(self.tail.get());
        self.looked.set(Some(moved << 13 == 0));
    }

    /// Moves a position every so often.
    fn strike(&self) {
        let mut hostile = self.hostile.borrow_mut();
        let which = hostile.byte();
        if which & 3 != 3 {
            return;
        }
        self.count(|counts| counts.strikes += 1);
        let (consumer, producer) = (self.memory.kernel_load_consumer(), self.memory.kernel_load_producer());
        let ahead = producer.wrapping_sub(consumer);
        let base = if which & 4 == 0 { self.tail.get() } else { consumer };
        let position = hostile.position(base, ahead, self.size());
        if which & 8 == 0 {
            self.memory.set_consumer(position);
        } else {
            self.memory.set_producer(position);
        }
    }

    /// The producer is about to learn where the consumer is.
    fn learn(&self, consumer: u64) {
        self.consumers.borrow_mut().push(consumer);
        let used = self.tail.get().wrapping_sub(consumer);
        if consumer % 8 == 0 && used <= self.size() {
            self.room.set(self.room.get().max(self.size() - used));
        }
    }

    /// `len` bytes, `at` bytes behind the header at `offset`, are about to be written.
    fn store(&self, offset: u32, at: u32, len: u32) {
        self.count(|counts| counts.stores += 1);
        let end = u64::from(at) + u64::from(len);
        let within = |start: u64, extent: u64| {
            let header = u64::from(offset).wrapping_sub(start) % self.size();
            header + end <= extent
        };
        let free = within(self.tail.get(), self.room.get());
        let own = within(self.begun.get(), self.tail.get().wrapping_sub(self.begun.get()));
        let held = self.held.borrow().iter().flatten().any(|(start, extent)| within(*start, *extent));
        assert!(
            free || own || held,
            "{len} bytes at {offset} + {at}, with {} free at {}",
            self.room.get(),
            self.tail.get()
        );
    }

    /// What becomes visible is records with headers, one behind the other, and nothing else.
    fn publish(&self, position: u64) {
        let mut end = self.tail.get();
        for (offset, extent) in self.headers.take() {
            assert_eq!(u64::from(offset), end % self.size(), "the next record has no header");
            end = end.wrapping_add(extent);
        }
        assert_eq!(position, end, "what is published, and where the last header's record ends");
        self.count(|counts| counts.stores += 1);
        let by = position.wrapping_sub(self.tail.get());
        assert!(by <= self.room.get(), "{position} is published, {by} bytes on with {} free", self.room.get());
        self.tail.set(position);
        self.room.set(self.room.get() - by);
    }

    /// From here on, headers are the next record's.
    fn begin(&self) {
        self.begun.set(self.tail.get());
        self.headers.take();
    }
}

impl Hook for &Eyewitness<'_> {
    fn before(&self, step: Step) -> Fate {
        self.strike();
        match step {
            Step::Load(Role::LoadOwnProducer | Role::ObserveProducer) => self.look(),
            Step::Load(Role::LoadConsumer) => self.learn(self.memory.kernel_load_consumer()),
            Step::Publish(position) => self.publish(position.get()),
            Step::WriteHeader { offset, header } => {
                self.store(offset, 0, 8);
                self.headers.borrow_mut().push((offset, record_extent(header.len()).into()));
            }
            Step::CommitHeader { offset, .. } => self.store(offset, 0, 4),
            Step::WritePayload { offset, at, len } => self.store(offset, 8 + at, len),
            _ => {}
        }
        Fate::Happens
    }
}

impl Witness for &Eyewitness<'_> {
    fn asks(&self) {
        self.looked.set(None);
        self.asked.set((self.stores(), self.tail.get()));
        self.consumers.take();
    }

    /// Room is given only after a look at the position, and only where the producer left it; a refusal stores nothing.
    fn answered(&self, refused: Option<ReserveError>, looks_only: bool) {
        let (looked, stored) = (self.looked.take(), self.stores() != self.asked.get().0);
        assert!(refused.is_some() || looked == Some(true), "reserved, and the look at the position gave {looked:?}");
        assert!(!stored || refused.is_none() && !looks_only, "{refused:?}, but something was stored");
        self.count(|counts| match refused {
            None => counts.reserved += 1,
            Some(ReserveError::Corrupted(_)) => counts.corrupted += 1,
            Some(ReserveError::ForeignProducer { .. }) => counts.foreign += 1,
            Some(_) => counts.refused += 1,
        });
    }

    fn attached(&self, position: Result<Position, AttachError>) {
        assert_eq!(self.stores(), self.asked.get().0, "attaching and resuming only look");
        if let Ok(position) = position {
            self.tail.set(position.get());
            self.begun.set(position.get());
            self.room.set(0);
            self.consumers.take().into_iter().for_each(|consumer| self.learn(consumer));
        }
    }

    fn holds(&self, place: u8, extent: Option<u32>) {
        self.held.borrow_mut()[usize::from(place)] = extent.map(|extent| (self.asked.get().1, extent.into()));
        if extent.is_none() {
            // What is written from here on is another record's.
            self.begin();
        }
    }
}
