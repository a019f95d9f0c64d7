//! Positions change under a working producer, between any two of its memory operations: it reports that or goes on, and
//! never writes outside the space that was free by some answer that it got, or that it holds already.

use std::cell::{Cell, RefCell};
use std::ops::AddAssign;

use user_ringbuf_sim::{
    DetachedSample, Lane, Payload, Producer, ReserveError, RingMemory, Role, Shared, record_extent,
};
use user_ringbuf_sim::{Fate, HeapMemory, Hook, Hooked, KernelMemory, Step};

use crate::source::Source;

/// Samples and lanes held at a time.
const HELD: usize = 4;

/// How much an input tried. Sums of these show that many inputs were no empty ones.
#[derive(Clone, Copy, Debug, Default)]
pub struct Counts {
    /// Times that a position was changed.
    pub strikes: u64,
    /// Stores to the ring, each of them checked.
    pub stores: u64,
    /// Samples and lanes reserved.
    pub reserved: u64,
    /// Reservations refused because a position can't be.
    pub corrupted: u64,
    /// Reservations refused because somebody else moved the producer position.
    pub foreign: u64,
    /// Other refusals.
    pub refused: u64,
}

impl AddAssign for Counts {
    fn add_assign(&mut self, other: Self) {
        self.strikes += other.strikes;
        self.stores += other.stores;
        self.reserved += other.reserved;
        self.corrupted += other.corrupted;
        self.foreign += other.foreign;
        self.refused += other.refused;
    }
}

/// What one input does: its first half is what the producer does, its second what happens to the positions.
///
/// # Panics
/// Where a write goes where it may not.
pub fn run(bytes: &[u8]) {
    run_counted(bytes);
}

/// As [`run`], and says how much that was.
///
/// # Panics
/// As [`run`].
pub fn run_counted(bytes: &[u8]) -> Counts {
    let (actions, hostile) = bytes.split_at(bytes.len() / 2);
    let mut actions = Source::new(actions);
    let size = 8_u64 << (actions.byte() % 10);
    let memory = HeapMemory::new(size).unwrap_or_else(|error| panic!("{error}"));
    let start = actions.start(size) & !7;
    memory.set_consumer(start);
    memory.set_producer(start);
    let witness = Witness {
        memory: &memory,
        hostile: RefCell::new(Source::new(hostile)),
        tail: Cell::new(start),
        begun: Cell::new(start),
        room: Cell::new(0),
        looked: Cell::default(),
        answers: RefCell::default(),
        held: RefCell::default(),
        headers: RefCell::default(),
        counts: Cell::default(),
    };
    let mut driver = Driver { memory: Hooked::new(&memory, &witness), handle: None, held: vec![] };
    driver.attach(false);
    while !actions.is_empty() {
        driver.act(&mut actions);
    }
    drop(driver);
    witness.counts.get()
}

/// Sees each memory operation before it happens, and moves positions.
struct Witness<'m> {
    memory: &'m HeapMemory,
    hostile: RefCell<Source<'m>>,
    /// Where the producer's next record begins.
    tail: Cell<u64>,
    /// Bytes from there on that were free by the most generous answer.
    room: Cell<u64>,
    /// Where the next record began when this action did: what was published since is the action's own.
    begun: Cell<u64>,
    /// Whether the producer position was where the producer left it when it was loaded last, if it was.
    looked: Cell<Option<bool>>,
    /// Consumer positions loaded while attaching.
    answers: RefCell<Vec<u64>>,
    /// Beginnings and extents of what is held.
    held: RefCell<Vec<(u64, u64)>>,
    /// Offsets and extents of the records whose headers this action wrote and did not publish yet.
    headers: RefCell<Vec<(u32, u64)>>,
    counts: Cell<Counts>,
}

impl Witness<'_> {
    fn size(&self) -> u64 {
        u64::from(KernelMemory::size(self.memory).bytes())
    }

    fn count(&self, what: impl FnOnce(&mut Counts)) {
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

    /// No reservation hands out room without a look at the position, nor where it was moved.
    fn answered<T>(&self, reserved: &Result<T, ReserveError>) {
        let looked = self.looked.take();
        assert!(reserved.is_err() || looked == Some(true), "reserved, and the look at the position gave {looked:?}");
        self.count(|counts| match reserved {
            Ok(_) => counts.reserved += 1,
            Err(ReserveError::Corrupted(_)) => counts.corrupted += 1,
            Err(ReserveError::ForeignProducer { .. }) => counts.foreign += 1,
            Err(_) => counts.refused += 1,
        });
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
    fn answer(&self, consumer: u64) {
        self.answers.borrow_mut().push(consumer);
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
        let held = self.held.borrow().iter().any(|(start, extent)| within(*start, *extent));
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

    /// A producer has begun at `tail`.
    fn attached(&self, tail: u64) {
        self.tail.set(tail);
        self.begun.set(tail);
        self.room.set(0);
        let answers = self.answers.take();
        answers.into_iter().for_each(|consumer| self.answer(consumer));
    }
}

impl Hook for &Witness<'_> {
    fn before(&self, step: Step) -> Fate {
        self.strike();
        match step {
            Step::Load(Role::LoadOwnProducer | Role::ObserveProducer) => self.look(),
            Step::Load(Role::LoadConsumer) => self.answer(self.memory.kernel_load_consumer()),
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

type Memory<'m> = Hooked<&'m HeapMemory, &'m Witness<'m>>;

enum Handle<'m> {
    Exclusive(Producer<Memory<'m>>),
    Shared(Shared<Memory<'m>>),
}

enum Held<'m> {
    Sample(DetachedSample<Memory<'m>>),
    Lane(Lane<Memory<'m>>),
}

struct Driver<'m> {
    memory: Memory<'m>,
    handle: Option<Handle<'m>>,
    /// In the order of the witness's list.
    held: Vec<Held<'m>>,
}

impl<'m> Driver<'m> {
    fn witness(&self) -> &'m Witness<'m> {
        self.memory.hook()
    }

    fn attach(&mut self, shared: bool) {
        self.handle = None;
        let witness = self.witness();
        witness.answers.take();
        let stores = witness.stores();
        let attached = Producer::attach(self.memory);
        assert_eq!(witness.stores(), stores, "attaching only looks");
        if let Ok(producer) = attached {
            witness.attached(producer.position().get());
            self.handle =
                Some(if shared { Handle::Shared(producer.into_shared()) } else { Handle::Exclusive(producer) });
        }
    }

    /// Goes on from wherever the positions are.
    fn resume(&mut self) {
        let witness = self.witness();
        witness.answers.take();
        let stores = witness.stores();
        let resumed = match &mut self.handle {
            Some(Handle::Exclusive(producer)) => producer.resume(),
            Some(Handle::Shared(shared)) => shared.resume(),
            None => return,
        };
        assert_eq!(witness.stores(), stores, "resuming only looks");
        if let Ok(position) = resumed {
            witness.attached(position.get());
        }
    }

    fn act(&mut self, source: &mut Source<'_>) {
        self.witness().begin();
        let code = source.byte();
        let size = u32::try_from(self.witness().size()).unwrap_or(u32::MAX);
        match code & 15 {
            0..=3 => {
                let len = source.length(size);
                self.push(len);
            }
            4 | 5 => {
                let (len, ending) = (source.length(size), source.byte());
                self.sample(len, ending);
            }
            6 => {
                let lens: Vec<u32> = (0..code >> 4).map(|_| source.length(size)).collect();
                self.batch(&lens, source.byte() & 3 != 0);
            }
            7 | 8 => {
                let len = source.length(size);
                self.hold(len, code & 16 != 0);
            }
            9 => {
                let (which, ending) = (code >> 4, source.byte());
                self.let_go(which, ending);
            }
            10 | 11 => {
                let len = source.length(size);
                self.lane_sample(code >> 4, len);
            }
            12 => self.attach(code & 16 != 0),
            13 => self.resume(),
            _ => self.ask(),
        }
    }

    /// A reservation that failed has stored nothing.
    fn stores_nothing_on_error<T>(
        &mut self,
        reserve: impl FnOnce(&mut Handle<'m>) -> Result<T, ReserveError>,
    ) -> Option<T> {
        let witness = self.witness();
        let stores = witness.stores();
        let reserved = reserve(self.handle.as_mut()?);
        witness.answered(&reserved);
        match reserved {
            Ok(reserved) => Some(reserved),
            Err(error) => {
                assert_eq!(witness.stores(), stores, "{error}, but something was stored");
                None
            }
        }
    }

    fn push(&mut self, len: u32) {
        let size = u32::try_from(self.witness().size()).unwrap_or(u32::MAX);
        // As long as need be to be refused.
        let bytes = vec![7; bytes_of(len.min(size))];
        let pushed = self.stores_nothing_on_error(|handle| match handle {
            Handle::Exclusive(producer) => producer.push(&bytes),
            Handle::Shared(shared) => shared.push(&bytes),
        });
        if let Some(end) = pushed {
            assert_eq!(end.get(), self.witness().tail.get());
        }
    }

    fn sample(&mut self, len: u32, ending: u8) {
        let witness = self.witness();
        let Some(Handle::Exclusive(producer)) = &mut self.handle else { return };
        let stores = witness.stores();
        let reserved = producer.reserve(bytes_of(len));
        assert_eq!(witness.stores(), stores, "reserving only looks");
        witness.answered(&reserved);
        let Ok(mut sample) = reserved else { return };
        fill(&mut sample);
        match ending % 3 {
            0 => drop(sample.submit()),
            1 => drop(sample.submit_len(usize::from(ending))),
            _ => sample.discard(),
        }
    }

    fn batch(&mut self, lens: &[u32], submit: bool) {
        let witness = self.witness();
        let Some(Handle::Exclusive(producer)) = &mut self.handle else { return };
        let mut batch = producer.batch();
        for len in lens {
            let reserved = batch.reserve(bytes_of(*len));
            witness.answered(&reserved);
            if let Ok(mut sample) = reserved {
                fill(&mut sample);
                sample.submit();
            }
        }
        if submit {
            _ = batch.submit();
        }
    }

    fn hold(&mut self, len: u32, lane: bool) {
        if self.held.len() == HELD {
            self.let_go(0, 0);
            self.witness().begin();
        }
        let start = self.witness().tail.get();
        let reserved = self.stores_nothing_on_error(|handle| match handle {
            Handle::Exclusive(producer) if lane => producer.lane(bytes_of(len)).map(Held::Lane),
            Handle::Exclusive(producer) => producer.reserve_detached(bytes_of(len)).map(Held::Sample),
            Handle::Shared(shared) if lane => shared.lane_owned(bytes_of(len)).map(Held::Lane),
            Handle::Shared(shared) => shared.reserve_owned(bytes_of(len)).map(Held::Sample),
        });
        let Some(mut held) = reserved else { return };
        self.witness().held.borrow_mut().push((start, record_extent(len).into()));
        if let Held::Sample(sample) = &mut held {
            fill(sample);
        }
        self.held.push(held);
    }

    fn let_go(&mut self, which: u8, ending: u8) {
        if self.held.is_empty() {
            return;
        }
        let which = usize::from(which) % self.held.len();
        match self.held.remove(which) {
            Held::Sample(sample) => match ending % 3 {
                0 => drop(sample.submit()),
                1 => drop(sample.submit_len(usize::from(ending))),
                _ => sample.discard(),
            },
            Held::Lane(lane) => lane.close(),
        }
        self.witness().held.borrow_mut().remove(which);
    }

    fn lane_sample(&mut self, which: u8, len: u32) {
        let count = self.held.len().max(1);
        if let Some(Held::Lane(lane)) = self.held.get_mut(usize::from(which) % count) {
            if let Ok(mut sample) = lane.reserve(bytes_of(len)) {
                fill(&mut sample);
                sample.submit();
            }
        }
    }

    /// Questions, which store nothing.
    fn ask(&mut self) {
        let stores = self.witness().stores();
        match &self.handle {
            Some(Handle::Exclusive(producer)) => {
                let size = u64::from(producer.ring_size().bytes());
                if let (Ok(used), Ok(free)) = (producer.used(), producer.free()) {
                    assert!(u64::from(used) <= size && u64::from(free) <= size);
                }
                producer.is_consumed(producer.position());
            }
            Some(Handle::Shared(shared)) => {
                shared.is_consumed(shared.position());
            }
            None => {}
        }
        assert_eq!(self.witness().stores(), stores);
    }
}

fn bytes_of(len: u32) -> usize {
    usize::try_from(len).unwrap_or(usize::MAX)
}

/// Writes the whole sample, in two parts.
fn fill<M: RingMemory>(payload: &mut Payload<M>) {
    let half = payload.len() / 2;
    payload.fill_range(0, half, 1).unwrap_or_else(|error| panic!("{error}"));
    payload.fill_range(half, payload.len() - half, 2).unwrap_or_else(|error| panic!("{error}"));
}
