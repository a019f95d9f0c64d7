//! Positions change under a working producer, between any two of its memory operations: it reports that or goes on, and
//! never writes outside the space that was free by some consumer position that it loaded, or that it holds already.

use std::cell::RefCell;
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
    let Some(program) = Program::decode(program) else { return HostileCounts::default() };
    let memory = HeapMemory::new(program.size.bytes_u64()).unwrap_or_else(|error| panic!("{error}"));
    memory.set_consumer(program.start);
    memory.set_producer(program.start);
    let witness = Eyewitness(RefCell::new(Seen {
        memory: &memory,
        hostile: Source::new(hostile),
        tail: program.start,
        begun: program.start,
        room: 0,
        looked: None,
        asked: (0, 0),
        consumers: vec![],
        held: [None; PLACES as usize],
        headers: vec![],
        counts: HostileCounts::default(),
    }));
    let stores = || witness.0.borrow().counts.stores;
    // SAFETY: this memory lends no slices.
    let mut actor = unsafe { Actor::new(&memory, &witness) };
    let nothing = &mut |_, _| DrainResult { returned: Err(KernelError::Busy), samples: vec![], woke: false };
    let first = Operation::Attach { shared: false };
    for (n, operation) in (0..).zip([&first].into_iter().chain(&program.operations)) {
        witness.0.borrow_mut().begin();
        match operation {
            Operation::Drain { .. } | Operation::Wait { .. } => {}
            Operation::Push { .. } => {
                if let [Event::Ended(end)] = actor.step(n, operation, nothing)[..] {
                    assert_eq!(end.get(), witness.0.borrow().tail);
                }
            }
            Operation::Ask => {
                let before = stores();
                actor.step(n, operation, nothing);
                assert_eq!(stores(), before, "asking only looks");
            }
            _ => drop(actor.step(n, operation, nothing)),
        }
    }
    drop(actor);
    witness.0.into_inner().counts
}

/// Sees each memory operation before it happens, and moves positions.
struct Eyewitness<'m>(RefCell<Seen<'m>>);

struct Seen<'m> {
    memory: &'m HeapMemory,
    hostile: Source<'m>,
    /// Where the producer's next record begins.
    tail: u64,
    /// Bytes from there on that were free by the most generous consumer position.
    room: u64,
    /// Where the next record began when this operation did: what was published since is the operation's own.
    begun: u64,
    /// Whether the producer position was where the producer left it when it was last loaded, if it was loaded.
    looked: Option<bool>,
    /// Stores, and where the next record began, when the producer was asked last.
    asked: (u64, u64),
    /// Consumer positions loaded since then.
    consumers: Vec<u64>,
    /// Beginnings and extents of what is held.
    held: [Option<(u64, u64)>; PLACES as usize],
    /// Offsets and extents of the records whose headers this operation wrote and did not publish yet.
    headers: Vec<(u32, u64)>,
    counts: HostileCounts,
}

impl Seen<'_> {
    fn size(&self) -> u64 {
        u64::from(KernelMemory::size(self.memory).bytes())
    }

    /// The producer is about to load its own position. A shared one keeps the low 51 bits only.
    fn look(&mut self) {
        let moved = self.memory.kernel_load_producer().wrapping_sub(self.tail);
        self.looked = Some(moved << 13 == 0);
    }

    /// Moves a position every so often.
    fn strike(&mut self) {
        let which = self.hostile.byte();
        if which & 3 != 3 {
            return;
        }
        self.counts.strikes += 1;
        let (consumer, producer) = (self.memory.kernel_load_consumer(), self.memory.kernel_load_producer());
        let ahead = producer.wrapping_sub(consumer);
        let base = if which & 4 == 0 { self.tail } else { consumer };
        let position = self.hostile.position(base, ahead, self.size());
        if which & 8 == 0 {
            self.memory.set_consumer(position);
        } else {
            self.memory.set_producer(position);
        }
    }

    /// The producer is about to learn where the consumer is.
    fn learn(&mut self, consumer: u64) {
        self.consumers.push(consumer);
        let used = self.tail.wrapping_sub(consumer);
        if consumer % 8 == 0 && used <= self.size() {
            self.room = self.room.max(self.size() - used);
        }
    }

    /// `len` bytes, `at` bytes behind the header at `offset`, are about to be written.
    fn store(&mut self, offset: u32, at: u32, len: u32) {
        self.counts.stores += 1;
        let end = u64::from(at) + u64::from(len);
        let within = |start: u64, extent: u64| {
            let header = u64::from(offset).wrapping_sub(start) % self.size();
            header + end <= extent
        };
        let free = within(self.tail, self.room);
        let own = within(self.begun, self.tail.wrapping_sub(self.begun));
        let held = self.held.iter().flatten().any(|(start, extent)| within(*start, *extent));
        let (room, tail) = (self.room, self.tail);
        assert!(free || own || held, "{len} bytes at {offset} + {at}, with {room} free at {tail}");
    }

    /// What becomes visible is records with headers, one behind the other, and nothing else.
    fn publish(&mut self, position: u64) {
        let mut end = self.tail;
        for (offset, extent) in std::mem::take(&mut self.headers) {
            assert_eq!(u64::from(offset), end % self.size(), "the next record has no header");
            end = end.wrapping_add(extent);
        }
        assert_eq!(position, end, "what is published, and where the last header's record ends");
        self.counts.stores += 1;
        let by = position.wrapping_sub(self.tail);
        assert!(by <= self.room, "{position} is published, {by} bytes on with {} free", self.room);
        self.tail = position;
        self.room -= by;
    }

    /// From here on, headers are the next record's.
    fn begin(&mut self) {
        self.begun = self.tail;
        self.headers.clear();
    }
}

impl Hook for &Eyewitness<'_> {
    fn before(&self, step: Step) -> Fate {
        let mut seen = self.0.borrow_mut();
        seen.strike();
        match step {
            Step::Load(Role::LoadOwnProducer | Role::ObserveProducer) => seen.look(),
            Step::Load(Role::LoadConsumer) => {
                let consumer = seen.memory.kernel_load_consumer();
                seen.learn(consumer);
            }
            Step::Publish(position) => seen.publish(position.get()),
            Step::WriteHeader { offset, header } => {
                seen.store(offset, 0, 8);
                seen.headers.push((offset, record_extent(header.len()).into()));
            }
            Step::CommitHeader { offset, .. } => seen.store(offset, 0, 4),
            Step::WritePayload { offset, at, len } => seen.store(offset, 8 + at, len),
            _ => {}
        }
        Fate::Happens
    }
}

impl Witness for &Eyewitness<'_> {
    fn asks(&self) {
        let mut seen = self.0.borrow_mut();
        seen.looked = None;
        seen.asked = (seen.counts.stores, seen.tail);
        seen.consumers.clear();
    }

    /// Room is given only after a look at the position, and only where the producer left it; a refusal stores nothing.
    fn answered(&self, refused: Option<ReserveError>, looks_only: bool) {
        let mut seen = self.0.borrow_mut();
        let (looked, stored) = (seen.looked.take(), seen.counts.stores != seen.asked.0);
        assert!(refused.is_some() || looked == Some(true), "reserved, and the look at the position gave {looked:?}");
        assert!(!stored || refused.is_none() && !looks_only, "{refused:?}, but something was stored");
        *match refused {
            None => &mut seen.counts.reserved,
            Some(ReserveError::Corrupted(_)) => &mut seen.counts.corrupted,
            Some(ReserveError::ForeignProducer { .. }) => &mut seen.counts.foreign,
            Some(_) => &mut seen.counts.refused,
        } += 1;
    }

    fn attached(&self, position: Result<Position, AttachError>) {
        let mut seen = self.0.borrow_mut();
        assert_eq!(seen.counts.stores, seen.asked.0, "attaching and resuming only look");
        if let Ok(position) = position {
            (seen.tail, seen.begun, seen.room) = (position.get(), position.get(), 0);
            std::mem::take(&mut seen.consumers).into_iter().for_each(|consumer| seen.learn(consumer));
        }
    }

    fn holds(&self, place: u8, extent: Option<u32>) {
        let mut seen = self.0.borrow_mut();
        seen.held[usize::from(place)] = extent.map(|extent| (seen.asked.1, extent.into()));
        if extent.is_none() {
            // What is written from here on is another record's.
            seen.begin();
        }
    }
}
