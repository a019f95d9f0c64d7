//! Producers on several threads beside a drainer, over a ring of plain bytes, where both sides use the same addresses.
//!
//! The memories of this crate keep tools from seeing a race: one has atomic bytes, the other has the kernel's side at
//! addresses of its own, as a real kernel has. Here headers and samples are plain stores, samples are slices, and the
//! kernel reads where they were written: so what the protocol does not order is a data race, for ThreadSanitizer and for
//! Miri, and two slices of the same bytes are undefined behaviour for Miri. Without them this is a test like others.
//!
//! The data area has room for a second copy of it, but the two are not the same bytes: a sample that passes the end goes
//! on behind it, where the kernel reads it too. That a byte has two addresses is what this can't show.

use std::cell::UnsafeCell;
use std::ops::ControlFlow;
use std::ptr;
use std::sync::atomic::{AtomicBool, AtomicU32, AtomicU64, AtomicUsize, Ordering};
use std::thread;

use user_ringbuf_sim::{
    AttachError, ContiguousMemory, HEADER_LEN, Header, Payload, Position, Producer, ReserveError, RingId, RingMemory,
    RingPositions, RingSize, Role, Shared,
};
use user_ringbuf_sim::{FakeKernel, KernelMemory, Orderings};

const SIZE: usize = 256;
const THREADS: usize = 3;
/// Miri is some thousand times slower.
const ROUNDS: usize = if cfg!(miri) { 8 } else { 3000 };
/// A round's samples: one, two of a lane, and two that are submitted in reverse if there is room for the second.
const SAMPLES: std::ops::RangeInclusive<usize> = THREADS * ROUNDS * 4..=THREADS * ROUNDS * 5;

/// Positions and private words are atomic; the data area is plain.
struct Plain {
    orderings: Orderings,
    size: RingSize,
    producer_pos: AtomicU64,
    consumer_pos: AtomicU64,
    busy: AtomicBool,
    claimed: AtomicBool,
    data: Box<[UnsafeCell<u64>]>,
}

// SAFETY: the protocol says who may access which byte, and that is on trial here.
unsafe impl Sync for Plain {}

impl Plain {
    /// An empty ring. To see a tool find something, name a role in `USER_RINGBUF_WEAKEN` when this is compiled.
    fn new() -> Self {
        let orderings = match option_env!("USER_RINGBUF_WEAKEN") {
            Some(role) => Orderings::weakened(Role::from_name(role).unwrap()),
            None => Orderings::of_the_protocol(),
        };
        Self {
            orderings,
            size: RingSize::new(SIZE as u64).unwrap(),
            producer_pos: AtomicU64::new(0),
            consumer_pos: AtomicU64::new(0),
            busy: AtomicBool::new(false),
            claimed: AtomicBool::new(false),
            data: (0..2 * SIZE / 8).map(|_| UnsafeCell::new(0)).collect(),
        }
    }

    /// # Safety
    /// `offset` is at most twice the ring's size.
    unsafe fn at(&self, offset: usize) -> *mut u8 {
        // SAFETY: within the data area or at its end, by the caller's promise.
        unsafe { self.data.as_ptr().cast::<u8>().cast_mut().add(offset) }
    }

    /// # Safety
    /// `offset` is a multiple of 8 below the ring's size.
    unsafe fn length_word(&self, offset: u32) -> &AtomicU32 {
        // SAFETY: aligned and within the data area, by the caller's promise.
        unsafe { AtomicU32::from_ptr(self.at(offset as usize).cast()) }
    }
}

// SAFETY: 1. `size` is never written. 2. The role's own ordering, unless a check asked otherwise. 3. There are no clones.
unsafe impl RingPositions for Plain {
    fn size(&self) -> RingSize {
        self.size
    }
    fn load_consumer(&self) -> Position {
        Position::new(self.consumer_pos.load(self.orderings.of_load(Role::LoadConsumer)))
    }
    fn load_producer(&self, role: Role) -> Position {
        Position::new(self.producer_pos.load(self.orderings.of_load(role)))
    }
}

// SAFETY: 1: writes go to `data + offset` and on, where twice the size is allocated. 2: as above. 3: the kernel only reads.
// 4, 5: one exchange decides who has the claim, and a release store ends it.
unsafe impl RingMemory for Plain {
    type Word = AtomicU64;

    fn ring_id(&self) -> RingId {
        RingId::new(self.data.as_ptr().addr() as u64)
    }
    unsafe fn claim_producer(&self) -> bool {
        !self.claimed.swap(true, Ordering::Acquire)
    }
    unsafe fn release_producer(&self) {
        self.claimed.store(false, Ordering::Release);
    }
    unsafe fn publish_producer(&self, position: Position) {
        self.producer_pos.store(position.get(), self.orderings.of_store(Role::PublishProducer));
    }
    unsafe fn read_header(&self, offset: u32) -> Header {
        // SAFETY: the caller's promise is passed on.
        Header::from_word(unsafe { self.length_word(offset) }.load(self.orderings.of_load(Role::ObserveHeader)))
    }
    unsafe fn write_header(&self, offset: u32, header: Header) {
        // SAFETY: the caller's own bytes, by its promise; offset and area are 8-aligned.
        unsafe { self.at(offset as usize).cast::<u64>().write(header.with_pad()) };
    }
    unsafe fn commit_header(&self, offset: u32, header: Header) {
        let ordering = self.orderings.of_store(Role::CommitHeader);
        // SAFETY: the caller's promise is passed on.
        unsafe { self.length_word(offset) }.store(header.word(), ordering);
    }
    unsafe fn write_payload(&self, offset: u32, at: u32, bytes: &[u8]) {
        // SAFETY: the caller's own bytes, by its promise.
        unsafe { ptr::copy_nonoverlapping(bytes.as_ptr(), self.payload(offset).add(at as usize), bytes.len()) };
    }
    unsafe fn fill_payload(&self, offset: u32, at: u32, byte: u8, len: u32) {
        // SAFETY: as above.
        unsafe { ptr::write_bytes(self.payload(offset).add(at as usize), byte, len as usize) };
    }
    fn new_word(&self, value: u64) -> AtomicU64 {
        AtomicU64::new(value)
    }
    fn load_word(&self, word: &AtomicU64, role: Role) -> u64 {
        word.load(self.orderings.of_load(role))
    }
    fn store_word(&self, word: &AtomicU64, value: u64, role: Role) {
        word.store(value, self.orderings.of_store(role));
    }
    fn exchange_word(&self, word: &AtomicU64, current: u64, new: u64, role: Role, found: Role) -> Result<(), u64> {
        let (put, found) = (self.orderings.of(role), self.orderings.of_load(found));
        word.compare_exchange_weak(current, new, put, found).map(drop)
    }
}

// SAFETY: 1: a record is at most the ring's size and begins below it. 2: the writes above go through the same pointer.
// 3: nothing but the fake kernel moves the consumer.
unsafe impl ContiguousMemory for Plain {
    unsafe fn payload(&self, offset: u32) -> *mut u8 {
        // SAFETY: the header lies within the data area, by the caller's promise.
        unsafe { self.at(offset as usize + HEADER_LEN as usize) }
    }
}

// SAFETY: 1, 3: the inner memory's. 2: it is not so here: that the kernel's reads are ordered is what is on trial.
unsafe impl KernelMemory for Plain {
    fn size(&self) -> RingSize {
        self.size
    }
    fn kernel_ring_id(&self) -> RingId {
        self.ring_id()
    }
    fn kernel_load_producer(&self) -> u64 {
        self.producer_pos.load(Ordering::Acquire)
    }
    fn kernel_load_consumer(&self) -> u64 {
        self.consumer_pos.load(Ordering::Acquire)
    }
    fn kernel_load_header(&self, offset: u32) -> Header {
        // SAFETY: the fake kernel keeps offsets aligned and below the size.
        Header::from_word(unsafe { self.length_word(offset) }.load(Ordering::Acquire))
    }
    fn kernel_read_sample(&self, offset: u32, len: u32, into: &mut Vec<u8>) {
        into.clear();
        // SAFETY: the kernel has checked that the record is no larger than the ring.
        into.extend_from_slice(unsafe { std::slice::from_raw_parts(self.payload(offset), len as usize) });
    }
    unsafe fn kernel_store_consumer(&self, position: u64) {
        self.consumer_pos.store(position, Ordering::Release);
    }
    fn kernel_begin_drain(&self) -> bool {
        self.busy.compare_exchange(false, true, Ordering::Acquire, Ordering::Relaxed).is_ok()
    }
    unsafe fn kernel_end_drain(&self) {
        self.busy.store(false, Ordering::Release);
    }
}

/// Fills a sample as a slice, but for its end, which goes through the seam.
fn fill<M: ContiguousMemory>(sample: &mut Payload<M>) {
    sample[..9].fill(7);
    sample.write(9, &[8; 4]).unwrap();
}

/// Drains, and checks each sample. Returns how many there were.
fn drain(kernel: &FakeKernel<&Plain>) -> usize {
    let mut taken = 0;
    let drained = kernel.drain(0, |sample| {
        assert_eq!((&sample[..9], &sample[9..]), (&[7; 9][..], &[8; 4][..]));
        taken += 1;
        ControlFlow::Continue(())
    });
    assert!(drained.returned.is_ok());
    taken
}

/// Tries until there is room. Bounded, so that a drainer that fails does not leave this thread behind.
fn patiently<T>(mut reserve: impl FnMut() -> Result<T, ReserveError>) -> T {
    for _ in 0..10_000_000 {
        match reserve() {
            Ok(reserved) => return reserved,
            Err(ReserveError::Full { .. }) => thread::yield_now(),
            Err(why) => panic!("{why}"),
        }
    }
    panic!("nothing drains any more");
}

fn produce(shared: &Shared<&Plain>) {
    for _ in 0..ROUNDS {
        let mut sample = patiently(|| shared.reserve(13));
        fill(&mut sample);
        sample.submit();

        let mut lane = patiently(|| shared.lane(40));
        for _ in 0..2 {
            let mut sample = lane.reserve(13).unwrap();
            fill(&mut sample);
            sample.submit();
        }
        lane.close();

        let mut first = patiently(|| shared.reserve(13));
        fill(&mut first);
        // Not patiently: threads that hold one each would wait for each other.
        if let Ok(mut second) = shared.reserve(13) {
            fill(&mut second);
            second.submit();
        }
        first.submit();
    }
}

#[test]
fn what_threads_write_into_the_ring_is_theirs_until_it_is_drained() {
    let memory = Plain::new();
    let shared = Producer::attach(&memory).unwrap().into_shared();
    let kernel = FakeKernel::new(&memory);
    let running = AtomicUsize::new(THREADS);
    let mut taken = 0;
    thread::scope(|scope| {
        for _ in 0..THREADS {
            scope.spawn(|| {
                produce(&shared);
                running.fetch_sub(1, Ordering::Relaxed);
            });
        }
        while running.load(Ordering::Relaxed) > 0 {
            taken += drain(&kernel);
            thread::yield_now();
        }
    });
    taken += drain(&kernel);
    assert!(SAMPLES.contains(&taken), "{taken} samples");
}

#[test]
fn what_an_exclusive_producer_drops_shortens_and_batches_is_its_own() {
    let memory = Plain::new();
    let kernel = FakeKernel::new(&memory);
    let mut taken = 0;
    thread::scope(|scope| {
        let producing = scope.spawn(|| {
            let mut producer = Producer::attach(&memory).unwrap();
            for _ in 0..ROUNDS {
                // Filled, and dropped.
                patiently(|| producer.reserve(50).map(|mut sample| sample.fill(9)));
                patiently(|| {
                    let mut sample = producer.reserve(40)?;
                    sample.fill(9);
                    fill(&mut sample);
                    sample.shorten(13).unwrap();
                    sample.submit();
                    Ok(())
                });
                patiently(|| {
                    let mut batch = producer.batch();
                    for _ in 0..2 {
                        let mut sample = batch.reserve(13)?;
                        fill(&mut sample);
                        sample.submit();
                    }
                    batch.submit().unwrap();
                    Ok(())
                });
            }
        });
        // That the thread has finished is not yet that its stores are seen.
        while !producing.is_finished() {
            taken += drain(&kernel);
            thread::yield_now();
        }
    });
    taken += drain(&kernel);
    assert_eq!(taken, 3 * ROUNDS);
}

/// The walk of an attach goes through the addresses at which the lanes of an earlier producer are still written.
#[test]
fn a_producer_that_attaches_beside_an_earlier_ones_lane_reads_no_header_that_is_not_written() {
    let memory = Plain::new();
    let kernel = FakeKernel::new(&memory);
    let mut refused = 0;
    for _ in 0..ROUNDS.min(300) {
        let mut lane = Producer::attach(&memory).unwrap().lane(100).unwrap();
        thread::scope(|scope| {
            scope.spawn(move || {
                for _ in 0..4 {
                    let mut sample = lane.reserve(13).unwrap();
                    fill(&mut sample);
                    sample.submit();
                }
            });
            loop {
                match Producer::attach(&memory) {
                    Ok(_) => break,
                    Err(AttachError::Busy { .. }) => refused += 1,
                    Err(why) => panic!("{why}"),
                }
                thread::yield_now();
            }
        });
        assert_eq!(drain(&kernel), 4);
    }
    assert!(refused > 0, "no walk met the lane");
}
