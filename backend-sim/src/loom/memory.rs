//! The ring's memory as loom sees it.
//!
//! ```text
//! granule (8 bytes of the data area)
//!   word:  loom atomic   the first four bytes: a length word, wherever a record begins here
//!   bytes: tracked cell  all eight bytes
//! ```
//! Invariants:
//! - A plain write (a header where nothing looks yet, a payload) writes the tracked cell, and the word relaxed. A commit
//!   stores the word alone: it may race with the kernel's look at the same header, and must.
//! - The kernel loads the word first and then reads the cell. A header that it reads without being ordered after the
//!   write of it is a data race, whatever value it found; so is a sample. Its reads in turn must be ordered before the
//!   write of the next lap.
//! - An observer loads the word only: the ring may move on under its feet, and it trusts nothing that it reads. What it
//!   must not see, a stale header, shows in the value.
//! - The data area begins with what an earlier lap might have left: every granule looks like a submitted record.
//!
//! Kernel counterpart: `struct bpf_ringbuf`, its data pages and its `busy` word.

use std::fmt;

use ::loom::cell::UnsafeCell;
use ::loom::sync::atomic::{AtomicU32, AtomicU64, Ordering};
use user_ringbuf_core::{HEADER_LEN, Header, Position, RingId, RingMemory, RingPositions, RingSize, RingView, Role};

use super::access::{Access, tracked};
use crate::memory::ring_id_at;
use crate::{KernelMemory, Orderings, Unsliced};

const GRANULE: usize = 8;

/// Length of the sample whose header a granule seems to hold before anything was written there.
pub const STALE_LEN: u32 = 5;

/// What the other bytes hold before anything was written there.
pub const STALE_BYTE: u8 = 0x5a;

struct Granule {
    word: AtomicU32,
    bytes: UnsafeCell<[u8; GRANULE]>,
}

// SAFETY: every access to the cell goes through `with` and `with_mut`, where loom checks that no two of them race, and
// stops the model if they do.
unsafe impl Sync for Granule {}

impl Granule {
    fn stale() -> Self {
        let mut bytes = [STALE_BYTE; GRANULE];
        let word = Header::submitted(STALE_LEN).word();
        bytes[..4].copy_from_slice(&word.to_ne_bytes());
        Self { word: AtomicU32::new(word), bytes: UnsafeCell::new(bytes) }
    }

    /// Writes `bytes` from `at` on, as plain memory is written.
    #[track_caller]
    fn write(&self, at: usize, bytes: &[u8], access: Access, plain: Ordering) {
        let first = tracked(access, || {
            self.bytes.with_mut(|cell| {
                // SAFETY: loom has just checked that nothing else reads or writes the cell now.
                let cell = unsafe { &mut *cell };
                cell[at..at + bytes.len()].copy_from_slice(bytes);
                [cell[0], cell[1], cell[2], cell[3]]
            })
        });
        if at < 4 {
            self.word.store(u32::from_ne_bytes(first), plain);
        }
    }

    #[track_caller]
    fn read(&self, access: Access) -> [u8; GRANULE] {
        // SAFETY: loom has just checked that nothing writes the cell now.
        tracked(access, || self.bytes.with(|cell| unsafe { *cell }))
    }
}

/// A private word of the core, under loom.
#[derive(Debug)]
pub struct LoomWord(AtomicU64);

/// A ring of a few bytes, whose every access loom sees. It can be made inside a loom model only.
pub struct LoomMemory {
    size: RingSize,
    orderings: Orderings,
    granules: Box<[Granule]>,
    producer_pos: AtomicU64,
    consumer_pos: AtomicU64,
    /// `consumer_pos` as the kernel itself knows it. Drains take turns, so it is a plain word: were it loaded where it
    /// is stored, loom would overlook races of that store with the producers' loads.
    consumed: UnsafeCell<u64>,
    /// Where there is one, every access exchanges it first: see [`without_reduction`](Self::without_reduction).
    turn: Option<AtomicU32>,
    /// How a plain write shows in the word of its granule.
    plain: Ordering,
    busy: AtomicU32,
    claimed: AtomicU32,
}

// SAFETY: as for a granule.
unsafe impl Sync for LoomMemory {}

// SAFETY: 1. Words are atomic, and loom checks each access to a cell. 2. No memory over it has slices.
unsafe impl Unsliced for LoomMemory {}

impl LoomMemory {
    /// A ring of `size` bytes, its positions 0, with these orderings.
    ///
    /// # Panics
    /// Outside a loom model, with loom's own message.
    #[must_use]
    pub fn new(size: RingSize, orderings: Orderings) -> Self {
        Self::starting_at(size, Position::new(0), orderings)
    }

    /// As [`new`](Self::new), for a ring that was filled and drained up to `position`.
    ///
    /// # Panics
    /// As [`new`](Self::new).
    #[must_use]
    pub fn starting_at(size: RingSize, position: Position, orderings: Orderings) -> Self {
        let granules = size.bytes() as usize / GRANULE;
        Self {
            size,
            orderings,
            granules: (0..granules).map(|_| Granule::stale()).collect(),
            producer_pos: AtomicU64::new(position.get()),
            consumer_pos: AtomicU64::new(position.get()),
            consumed: UnsafeCell::new(position.get()),
            turn: None,
            plain: Ordering::Relaxed,
            busy: AtomicU32::new(0),
            claimed: AtomicU32::new(0),
        }
    }

    /// Lets loom try schedules that it otherwise takes for equal to others.
    ///
    /// Loom leaves out schedules that differ only in the order of accesses that don't depend on each other. It decides
    /// that by the last access to each word, and so leaves out too many where a thread loads a word that it stores to
    /// later, or where more than two threads are at work. Of a memory made so, every two accesses depend on each
    /// other, so nothing is left out; use a preemption bound, for there are many more schedules then. The accesses
    /// are not ordered by this any more than they are anyway.
    #[must_use]
    pub fn without_reduction(mut self) -> Self {
        self.turn = Some(AtomicU32::new(0));
        self
    }

    /// A thread that sees a plain write of a header also sees what its writer had seen before: as on processors where a
    /// store becomes visible to all others at once (x86, Arm, RISC-V).
    ///
    /// Loom's memory is weaker, as is the language's: there, a thread that walks the ring may find the header of a sample
    /// that is not published yet, and then an older consumer position than the one that made room for it. The kernel
    /// looks at published headers only. Use this for models of such walks and nothing else, for it also orders what must
    /// be ordered by other means.
    #[must_use]
    pub fn multi_copy_atomic(mut self) -> Self {
        self.plain = Ordering::Release;
        self
    }

    /// Whether a byte is free, as `ringbuf_map_poll_user` loads it: any thread may ask, at any time.
    #[cfg(feature = "proof")]
    pub(crate) fn is_writable(&self) -> bool {
        self.turn();
        let consumer = self.consumer_pos.load(Ordering::Acquire);
        self.turn();
        self.producer_pos.load(Ordering::Acquire).wrapping_sub(consumer) < self.size.bytes_u64()
    }

    /// Before each access to a word.
    #[track_caller]
    fn turn(&self) {
        if let Some(turn) = &self.turn {
            turn.swap(0, Ordering::Relaxed);
        }
    }

    fn granule(&self, offset: u32) -> &Granule {
        &self.granules[offset as usize / GRANULE]
    }

    /// The granules under `len` bytes from `from` on, across the end of the data area: each with the stretch of it and
    /// where that lies among the `len`.
    fn stretch(&self, from: usize, len: usize) -> impl Iterator<Item = (&Granule, std::ops::Range<usize>, usize)> {
        let area = self.granules.len() * GRANULE;
        let mut done = 0;
        std::iter::from_fn(move || {
            if done == len {
                return None;
            }
            let at = (from + done) % area;
            let inside = at % GRANULE;
            let count = (GRANULE - inside).min(len - done);
            let result = (&self.granules[at / GRANULE], inside..inside + count, done);
            done += count;
            Some(result)
        })
    }

    #[track_caller]
    fn write_bytes(&self, from: usize, bytes: &[u8]) {
        for (granule, inside, at) in self.stretch(from, bytes.len()) {
            granule.write(inside.start, &bytes[at..at + inside.len()], Access::WritePayload, self.plain);
        }
    }
}

/// Whether the model is still running. When it has failed, loom unwinds its threads, and what is dropped then (a busy
/// sample, a producer) must not be seen by loom any more: that would hide the failure behind an abort.
fn goes_on() -> bool {
    !std::thread::panicking()
}

fn sample_from(offset: u32, at: u32) -> usize {
    offset as usize + HEADER_LEN as usize + at as usize
}

impl fmt::Debug for LoomMemory {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // Positions are left out: to look at them would be an access of the model.
        f.debug_struct("LoomMemory")
            .field("size", &self.size)
            .field("orderings", &self.orderings)
            .finish_non_exhaustive()
    }
}

// SAFETY: 1. `size` is never written. 2. Only atomics of this ring are loaded, with the role's own ordering unless a
// check asked otherwise. 3. There are no clones; references and pointers stand for this one ring.
unsafe impl RingPositions for LoomMemory {
    fn size(&self) -> RingSize {
        self.size
    }

    fn load_consumer(&self) -> Position {
        self.turn();
        Position::new(self.consumer_pos.load(self.orderings.of_load(Role::LoadConsumer)))
    }

    fn load_producer(&self, role: Role) -> Position {
        self.turn();
        Position::new(self.producer_pos.load(self.orderings.of_load(role)))
    }
}

// SAFETY: 1. Only the word of a granule is loaded, and every access to it is atomic. 2. As above.
unsafe impl RingView for LoomMemory {
    unsafe fn load_header(&self, offset: u32) -> Header {
        self.turn();
        Header::from_word(self.granule(offset).word.load(self.orderings.of_load(Role::ObserveHeader)))
    }
}

// SAFETY: 1. Offsets are taken modulo the data area, granule by granule, and nothing else is written. 2. `orderings`
// are the role's own unless a check asked otherwise. 3. The fake kernel reads the data area only. 4. There is one word
// to claim, and it changes hands by an exchange.
unsafe impl RingMemory for LoomMemory {
    type Word = LoomWord;

    fn ring_id(&self) -> RingId {
        ring_id_at(self.granules.as_ptr())
    }

    unsafe fn claim_producer(&self) -> bool {
        // Pairs with the release below.
        self.claimed.compare_exchange(0, 1, Ordering::Acquire, Ordering::Relaxed).is_ok()
    }

    unsafe fn release_producer(&self) {
        if goes_on() {
            // Pairs with the acquire above: what this producer did comes before the next one.
            self.claimed.store(0, Ordering::Release);
        }
    }

    unsafe fn read_header(&self, offset: u32) -> Header {
        // SAFETY: the caller's promise is passed on.
        unsafe { self.load_header(offset) }
    }

    unsafe fn publish_producer(&self, position: Position) {
        self.turn();
        self.producer_pos.store(position.get(), self.orderings.of_store(Role::PublishProducer));
    }

    unsafe fn write_header(&self, offset: u32, header: Header) {
        self.turn();
        self.granule(offset).write(0, &header.with_pad().to_ne_bytes(), Access::WriteHeader, self.plain);
    }

    unsafe fn commit_header(&self, offset: u32, header: Header) {
        if goes_on() {
            self.turn();
            self.granule(offset).word.store(header.word(), self.orderings.of_store(Role::CommitHeader));
        }
    }

    unsafe fn write_payload(&self, offset: u32, at: u32, bytes: &[u8]) {
        self.write_bytes(sample_from(offset, at), bytes);
    }

    unsafe fn fill_payload(&self, offset: u32, at: u32, byte: u8, len: u32) {
        self.write_bytes(sample_from(offset, at), &vec![byte; len as usize]);
    }

    fn new_word(&self, value: u64) -> LoomWord {
        LoomWord(AtomicU64::new(value))
    }

    fn load_word(&self, word: &LoomWord, role: Role) -> u64 {
        self.turn();
        word.0.load(self.orderings.of_load(role))
    }

    fn store_word(&self, word: &LoomWord, value: u64, role: Role) {
        self.turn();
        word.0.store(value, self.orderings.of_store(role));
    }

    fn exchange_word(&self, word: &LoomWord, current: u64, new: u64, role: Role, found: Role) -> Result<(), u64> {
        self.turn();
        let (put, found) = (self.orderings.of(role), self.orderings.of_load(found));
        word.0.compare_exchange(current, new, put, found).map(|_| ())
    }
}

// SAFETY: 1. Each load is that of a word or cell of this ring. 2. Cells are checked by loom. 3. There are no clones.
unsafe impl KernelMemory for LoomMemory {
    fn size(&self) -> RingSize {
        self.size
    }

    fn kernel_ring_id(&self) -> RingId {
        RingMemory::ring_id(self)
    }

    fn kernel_load_producer(&self) -> u64 {
        self.turn();
        self.producer_pos.load(Ordering::Acquire)
    }

    fn kernel_load_consumer(&self) -> u64 {
        // SAFETY: loom has just checked that no other drain writes the cell now.
        self.consumed.with(|consumed| unsafe { *consumed })
    }

    fn kernel_load_header(&self, offset: u32) -> Header {
        self.turn();
        let granule = self.granule(offset);
        let word = granule.word.load(Ordering::Acquire);
        // The value of the cell is of no use, a commit does not touch it: that this read is in order is what counts.
        granule.read(Access::KernelReadsHeader);
        Header::from_word(word)
    }

    fn kernel_read_sample(&self, offset: u32, len: u32, into: &mut Vec<u8>) {
        into.clear();
        for (granule, inside, _) in self.stretch(sample_from(offset, 0), len as usize) {
            into.extend_from_slice(&granule.read(Access::KernelReadsSample)[inside]);
        }
    }

    unsafe fn kernel_store_consumer(&self, position: u64) {
        self.turn();
        // SAFETY: loom has just checked that no other drain is at work.
        self.consumed.with_mut(|consumed| unsafe { *consumed = position });
        self.consumer_pos.store(position, Ordering::Release);
    }

    fn kernel_begin_drain(&self) -> bool {
        self.turn();
        self.busy.compare_exchange(0, 1, Ordering::AcqRel, Ordering::Relaxed).is_ok()
    }

    unsafe fn kernel_end_drain(&self) {
        self.turn();
        self.busy.store(0, Ordering::Release);
    }
}
