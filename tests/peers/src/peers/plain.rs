//! The core over plain memory of this process: what any backend must supply, and a consumer as simple as can be.
//!
//! Kernel counterpart: `bpf_user_ringbuf_drain`, of whose work [`Consumer`] does the part that concerns a well-behaved
//! ring.

use std::ptr::{self, NonNull};
use std::sync::atomic::{AtomicBool, AtomicU32, AtomicU64, Ordering};

use anyhow::{Context, Result};
use rustix::fs::{MemfdFlags, ftruncate, memfd_create};
use rustix::mm::{MapFlags, ProtFlags, mmap, mmap_anonymous, munmap};
use user_ringbuf_linux::{
    ContiguousMemory, HEADER_LEN, Header, Position, RecordState, RingId, RingMemory, RingPositions, RingSize, Role,
    record_extent,
};

/// A position on cache lines of its own, as the kernel's are on pages of their own.
#[derive(Debug, Default)]
#[repr(align(128))]
struct Alone(AtomicU64);

/// A ring whose data area is mapped twice in a row.
#[derive(Debug)]
pub(crate) struct PlainMemory {
    data: NonNull<u8>,
    size: RingSize,
    producer_pos: Alone,
    consumer_pos: Alone,
    claimed: AtomicBool,
}

// SAFETY: plain memory, not tied to a thread; positions are atomics, and the core hands out each stretch once.
unsafe impl Send for PlainMemory {}
// SAFETY: as above.
unsafe impl Sync for PlainMemory {}

impl PlainMemory {
    /// `bytes` is a multiple of the page size besides what [`RingSize`] asks.
    pub(crate) fn new(bytes: u64) -> Result<Self> {
        let size = RingSize::new(bytes)?;
        let len = usize::try_from(bytes)?;
        let memory = memfd_create("plain ring", MemfdFlags::CLOEXEC)?;
        ftruncate(&memory, bytes)?;
        let prot = ProtFlags::READ | ProtFlags::WRITE;
        // SAFETY: a fresh mapping at an address of the kernel's choice; its two halves are then replaced by mappings of
        // the same file, which nothing uses yet.
        let data = unsafe {
            let whole = mmap_anonymous(ptr::null_mut(), 2 * len, prot, MapFlags::PRIVATE)?;
            for half in [whole, whole.byte_add(len)] {
                mmap(half, len, prot, MapFlags::SHARED | MapFlags::FIXED, &memory, 0)?;
            }
            whole
        };
        let data = NonNull::new(data.cast()).context("mmap answered null")?;
        Ok(Self {
            data,
            size,
            producer_pos: Alone::default(),
            consumer_pos: Alone::default(),
            claimed: AtomicBool::new(false),
        })
    }

    /// # Safety
    /// `offset` is a multiple of 8 below the ring's size.
    #[inline(always)]
    unsafe fn length_word(&self, offset: u32) -> &AtomicU32 {
        // SAFETY: within the data area, and aligned as that is.
        unsafe { self.data.add(offset as usize).cast().as_ref() }
    }

    /// # Safety
    /// As for [`length_word`](Self::length_word).
    #[inline(always)]
    unsafe fn header(&self, offset: u32) -> Header {
        // SAFETY: the caller's promise is passed on.
        Header::from_word(unsafe { self.length_word(offset) }.load(Role::ObserveHeader.ordering()))
    }

    /// The ring's one consumer.
    pub(crate) fn consumer(&self) -> Consumer<'_> {
        let position = Position::new(self.consumer_pos.0.load(Ordering::Acquire));
        Consumer { memory: self, position, end: position }
    }
}

impl Drop for PlainMemory {
    fn drop(&mut self) {
        // SAFETY: mapped by `new`; producers and consumers borrow `self`.
        let _ = unsafe { munmap(self.data.as_ptr().cast(), 2 * self.size.bytes() as usize) };
    }
}

/// Takes samples one by one.
#[derive(Debug)]
pub(crate) struct Consumer<'m> {
    memory: &'m PlainMemory,
    position: Position,
    /// The producer position as last seen.
    end: Position,
}

impl Consumer<'_> {
    /// Hands the next sample to `take`, or says that there is none.
    #[inline(always)]
    pub(crate) fn next(&mut self, take: impl FnOnce(&[u8])) -> bool {
        if self.position == self.end {
            // Pairs with the producer's release store: publish-producer.
            self.end = Position::new(self.memory.producer_pos.0.load(Ordering::Acquire));
            if self.position == self.end {
                return false;
            }
        }
        let offset = self.position.offset(self.memory.size);
        // SAFETY: an offset of a record, below the size.
        let header = unsafe { self.memory.header(offset) };
        if header.state() != RecordState::Submitted {
            return false;
        }
        // SAFETY: the producer has published these bytes and leaves them alone until they are consumed; lengths are its
        // own, and this process's producer writes none beyond the ring.
        take(unsafe {
            std::slice::from_raw_parts(self.memory.payload(offset), header.len().min(self.memory.size.bytes()) as usize)
        });
        self.position = self.position.advance(u64::from(record_extent(header.len())));
        // Pairs with the producer's acquire load: load-consumer.
        self.memory.consumer_pos.0.store(self.position.get(), Ordering::Release);
        true
    }
}

// SAFETY: 1: `size` never changes. 2: offsets are below the size by the callers' promise, orderings are the roles' own.
// 3: references name the same ring.
unsafe impl RingPositions for PlainMemory {
    #[inline(always)]
    fn size(&self) -> RingSize {
        self.size
    }

    #[inline(always)]
    fn load_consumer(&self) -> Position {
        Position::new(self.consumer_pos.0.load(Role::LoadConsumer.ordering()))
    }

    #[inline(always)]
    fn load_producer(&self, role: Role) -> Position {
        Position::new(self.producer_pos.0.load(role.ordering()))
    }
}

// SAFETY: 1: writes go to `data + offset` and on, in a doubled mapping. 2: the orderings are the roles' own. 3: the
// mapping is private to this value, and the consumer only reads.
unsafe impl RingMemory for PlainMemory {
    type Word = AtomicU64;

    fn ring_id(&self) -> RingId {
        // No other object has this address as long as it lives.
        RingId::new(self.data.as_ptr().addr() as u64)
    }

    unsafe fn claim_producer(&self) -> bool {
        // Pairs with the release store below: what the last producer wrote comes first.
        !self.claimed.swap(true, Ordering::AcqRel)
    }

    unsafe fn release_producer(&self) {
        self.claimed.store(false, Ordering::Release);
    }

    #[inline(always)]
    unsafe fn read_header(&self, offset: u32) -> Header {
        // SAFETY: the caller's promise is passed on.
        unsafe { self.header(offset) }
    }

    #[inline(always)]
    unsafe fn publish_producer(&self, position: Position) {
        self.producer_pos.0.store(position.get(), Role::PublishProducer.ordering());
    }

    #[inline(always)]
    unsafe fn write_header(&self, offset: u32, header: Header) {
        // SAFETY: within the data area and the caller's own, by the caller's promise.
        unsafe { self.data.add(offset as usize).cast::<u64>().write(header.with_pad()) };
    }

    #[inline(always)]
    unsafe fn commit_header(&self, offset: u32, header: Header) {
        // SAFETY: the caller's promise is passed on.
        unsafe { self.length_word(offset) }.store(header.word(), Role::CommitHeader.ordering());
    }

    #[inline(always)]
    unsafe fn write_payload(&self, offset: u32, at: u32, bytes: &[u8]) {
        // SAFETY: the bytes are the caller's, by its promise, and inside the doubled mapping.
        unsafe { ptr::copy_nonoverlapping(bytes.as_ptr(), self.payload(offset).add(at as usize), bytes.len()) };
    }

    #[inline(always)]
    unsafe fn fill_payload(&self, offset: u32, at: u32, byte: u8, len: u32) {
        // SAFETY: as in `write_payload`.
        unsafe { ptr::write_bytes(self.payload(offset).add(at as usize), byte, len as usize) };
    }

    #[inline(always)]
    fn new_word(&self, value: u64) -> AtomicU64 {
        AtomicU64::new(value)
    }

    #[inline(always)]
    fn load_word(&self, word: &AtomicU64, role: Role) -> u64 {
        word.load(role.ordering())
    }

    #[inline(always)]
    fn store_word(&self, word: &AtomicU64, value: u64, role: Role) {
        word.store(value, role.ordering());
    }

    #[inline(always)]
    fn exchange_word(&self, word: &AtomicU64, current: u64, new: u64, role: Role, found: Role) -> Result<(), u64> {
        word.compare_exchange_weak(current, new, role.ordering(), found.ordering()).map(|_| ())
    }
}

// SAFETY: 1: the data area is mapped twice in a row. 2: `write_payload` goes through `payload`. 3: nothing
// else stores a position. 4: the area begins on a page.
unsafe impl ContiguousMemory for PlainMemory {
    #[inline(always)]
    unsafe fn payload(&self, offset: u32) -> *mut u8 {
        // SAFETY: the header lies within the data area, by the caller's promise, and its copy follows.
        unsafe { self.data.add(offset as usize + HEADER_LEN as usize).as_ptr() }
    }
}
