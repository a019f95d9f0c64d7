//! A wrapper that lets a test act between any two memory operations of a producer, or drop one of them.
//!
//! It wraps any memory, the model checker's too. Invariant: what reaches the inner memory is what the producer
//! asked for, operation by operation and in its order; copies into a sample are cut into words of eight bytes, so
//! that a test can act in the middle of one.

use std::fmt;

use user_ringbuf_core::{Header, Position, RingId, RingMemory, RingPositions, RingSize, RingView, Role};

use crate::memory::Unsliced;

/// Most bytes of a sample that one step writes.
pub const STEP_BYTES: u32 = 8;

/// One memory operation of a producer, as a [`Hook`] sees it before it happens.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Step {
    /// A load: of a position, of a header, or of a private word.
    Load(Role),
    /// The store of `producer_pos`.
    Publish(Position),
    /// A header is written where nothing looks yet.
    WriteHeader {
        /// Where in the data area.
        offset: u32,
        /// What is written.
        header: Header,
    },
    /// The length word of a visible header is stored.
    CommitHeader {
        /// Where in the data area.
        offset: u32,
        /// What is stored.
        header: Header,
    },
    /// Bytes of a sample are written: at most [`STEP_BYTES`].
    WritePayload {
        /// Where the record's header lies in the data area.
        offset: u32,
        /// First byte written, counted from the sample's beginning.
        at: u32,
        /// Bytes written.
        len: u32,
    },
    /// A private word is stored or exchanged.
    Word(Role),
}

/// What happens to an operation.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fate {
    /// It happens.
    Happens,
    /// It does not: a store or write changes nothing. A load has nothing to change, and a private word is seen by
    /// no other process, so they happen all the same; an exchange counts as done, lest a loop wait for it.
    IsLost,
    /// An exchange fails although the word holds what it expects, as `compare_exchange_weak` may. Anything else
    /// happens.
    Fails,
}

/// What a test does before each operation.
pub trait Hook {
    /// Called before `step` takes place.
    fn before(&self, step: Step) -> Fate;
}

impl<F: Fn(Step) -> Fate> Hook for F {
    fn before(&self, step: Step) -> Fate {
        self(step)
    }
}

/// The memory `M`, with the hook `H` called before each operation.
///
/// It wraps memory that is [`Unsliced`], and offers no slices of samples itself, because writes through a slice bypass any
/// hook: fill samples through [`Payload::write`](user_ringbuf_core::Payload::write).
///
/// ```
/// use user_ringbuf_sim::{Fate, HeapMemory, Hooked, RawAccess, Step, Producer};
///
/// // The consumer position goes wild as soon as the first sample is published.
/// let memory = HeapMemory::new(64)?;
/// let hooked = Hooked::new(&memory, |step: Step| {
///     if matches!(step, Step::Publish(_)) {
///         memory.set_consumer(12345);
///     }
///     Fate::Happens
/// });
/// let mut producer = Producer::attach(hooked)?;
/// while producer.push(b"sample").is_ok() {}
/// assert!(producer.push(b"sample").unwrap_err().to_string().contains("12345 is not a multiple of 8"));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Copy)]
pub struct Hooked<M, H> {
    memory: M,
    hook: H,
}

impl<M, H> Hooked<M, H> {
    /// `memory` with `hook` before each operation.
    pub const fn new(memory: M, hook: H) -> Self
    where
        M: Unsliced,
    {
        Self { memory, hook }
    }

    /// As [`new`](Self::new), for memory that can lend slices too.
    ///
    /// # Safety
    /// While the hooked memory or a sample of it lives, no sample of the same ring is used as a slice: the hook may take
    /// away the stores by which a sample keeps its bytes.
    pub const unsafe fn new_over_slices(memory: M, hook: H) -> Self {
        Self { memory, hook }
    }

    /// The memory within.
    pub const fn inner(&self) -> &M {
        &self.memory
    }

    /// The hook.
    pub const fn hook(&self) -> &H {
        &self.hook
    }
}

impl<M: fmt::Debug, H> fmt::Debug for Hooked<M, H> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Hooked").field("memory", &self.memory).finish_non_exhaustive()
    }
}

impl<M, H: Hook> Hooked<M, H> {
    fn happens(&self, step: Step) -> bool {
        self.hook.before(step) != Fate::IsLost
    }
}

/// The stretches of at most eight bytes that `len` bytes from `at` on are cut into.
fn words(at: u32, len: u32) -> impl Iterator<Item = (u32, u32)> {
    (0..len.div_ceil(STEP_BYTES)).map(move |n| {
        let done = n * STEP_BYTES;
        (at + done, STEP_BYTES.min(len - done))
    })
}

// SAFETY: every load is passed on as it is, to a memory that keeps the obligations.
unsafe impl<M: RingPositions, H: Hook> RingPositions for Hooked<M, H> {
    fn size(&self) -> RingSize {
        self.memory.size()
    }

    fn load_consumer(&self) -> Position {
        self.happens(Step::Load(Role::LoadConsumer));
        self.memory.load_consumer()
    }

    fn load_producer(&self, role: Role) -> Position {
        self.happens(Step::Load(role));
        self.memory.load_producer(role)
    }
}

// SAFETY: as above.
unsafe impl<M: RingView, H: Hook> RingView for Hooked<M, H> {
    unsafe fn load_header(&self, offset: u32) -> Header {
        self.happens(Step::Load(Role::ObserveHeader));
        // SAFETY: the caller's promise is passed on.
        unsafe { self.memory.load_header(offset) }
    }
}

// SAFETY: every operation is passed on as it is, in parts, or not at all, to a memory that keeps the obligations.
unsafe impl<M: RingMemory, H: Hook> RingMemory for Hooked<M, H> {
    type Word = M::Word;

    fn ring_id(&self) -> RingId {
        self.memory.ring_id()
    }

    unsafe fn claim_producer(&self) -> bool {
        // SAFETY: the caller's promise is passed on.
        unsafe { self.memory.claim_producer() }
    }

    unsafe fn release_producer(&self) {
        // SAFETY: the caller's promise is passed on.
        unsafe { self.memory.release_producer() };
    }

    unsafe fn read_header(&self, offset: u32) -> Header {
        self.happens(Step::Load(Role::ObserveHeader));
        // SAFETY: the caller's promise is passed on.
        unsafe { self.memory.read_header(offset) }
    }

    unsafe fn publish_producer(&self, position: Position) {
        if self.happens(Step::Publish(position)) {
            // SAFETY: the caller's promise is passed on.
            unsafe { self.memory.publish_producer(position) };
        }
    }

    unsafe fn write_header(&self, offset: u32, header: Header) {
        if self.happens(Step::WriteHeader { offset, header }) {
            // SAFETY: the caller's promise is passed on.
            unsafe { self.memory.write_header(offset, header) };
        }
    }

    unsafe fn commit_header(&self, offset: u32, header: Header) {
        if self.happens(Step::CommitHeader { offset, header }) {
            // SAFETY: the caller's promise is passed on.
            unsafe { self.memory.commit_header(offset, header) };
        }
    }

    unsafe fn write_payload(&self, offset: u32, at: u32, bytes: &[u8]) {
        let mut at = at;
        for part in bytes.chunks(STEP_BYTES as usize) {
            let len = u32::try_from(part.len()).unwrap_or(STEP_BYTES);
            if self.happens(Step::WritePayload { offset, at, len }) {
                // SAFETY: the caller's promise, which holds for a part too, is passed on.
                unsafe { self.memory.write_payload(offset, at, part) };
            }
            at += len;
        }
    }

    unsafe fn fill_payload(&self, offset: u32, at: u32, byte: u8, len: u32) {
        for (at, len) in words(at, len) {
            if self.happens(Step::WritePayload { offset, at, len }) {
                // SAFETY: the caller's promise, which holds for a part too, is passed on.
                unsafe { self.memory.fill_payload(offset, at, byte, len) };
            }
        }
    }

    fn new_word(&self, value: u64) -> M::Word {
        self.memory.new_word(value)
    }

    fn load_word(&self, word: &M::Word, role: Role) -> u64 {
        self.happens(Step::Load(role));
        self.memory.load_word(word, role)
    }

    fn store_word(&self, word: &M::Word, value: u64, role: Role) {
        self.happens(Step::Word(role));
        self.memory.store_word(word, value, role);
    }

    fn exchange_word(&self, word: &M::Word, current: u64, new: u64, role: Role, found: Role) -> Result<(), u64> {
        match self.hook.before(Step::Word(role)) {
            Fate::Happens => self.memory.exchange_word(word, current, new, role, found),
            Fate::IsLost => Ok(()),
            Fate::Fails => Err(self.memory.load_word(word, found)),
        }
    }
}

// SAFETY: the hook only decides whether an operation happens; the memory within keeps both obligations.
unsafe impl<M: Unsliced, H> Unsliced for Hooked<M, H> {}

#[cfg(test)]
mod tests {
    use std::cell::RefCell;

    use user_ringbuf_core::Producer;

    use super::*;
    use crate::memory::{HeapMemory, RawAccess};

    #[test]
    fn a_hook_sees_every_operation_of_a_push_in_order() {
        let memory = HeapMemory::new(64).unwrap();
        let steps = RefCell::new(vec![]);
        let hooked = Hooked::new(&memory, |step| {
            steps.borrow_mut().push(step);
            Fate::Happens
        });
        let mut producer = Producer::attach(hooked).unwrap();
        assert!(steps.borrow().iter().all(|step| matches!(step, Step::Load(_))), "attaching only looks");
        steps.borrow_mut().clear();
        producer.push(b"eleven byte").unwrap();
        let expected = [
            Step::Load(Role::LoadOwnProducer),
            Step::WritePayload { offset: 0, at: 0, len: 8 },
            Step::WritePayload { offset: 0, at: 8, len: 3 },
            Step::WriteHeader { offset: 0, header: Header::submitted(11) },
            Step::Publish(Position::new(24)),
        ];
        assert_eq!(*steps.borrow(), expected);
    }

    #[test]
    fn a_hooked_memory_holds_what_a_plain_one_would() {
        let plain = HeapMemory::new(64).unwrap();
        let memory = HeapMemory::new(64).unwrap();
        fn produce<M: RingMemory + Clone>(memory: M) {
            let mut producer = Producer::attach(memory).unwrap();
            producer.push(b"0123456789a").unwrap();
            let mut sample = producer.reserve_detached(9).unwrap();
            sample.fill_range(0, 9, 7).unwrap();
            sample.submit();
        }
        produce(&plain);
        produce(Hooked::new(&memory, |_| Fate::Happens));
        assert_eq!(plain.snapshot(), memory.snapshot());
    }

    #[test]
    fn operations_that_are_lost_change_nothing() {
        let memory = HeapMemory::new(64).unwrap();
        let before = memory.snapshot();
        let mut producer = Producer::attach(Hooked::new(&memory, |_| Fate::IsLost)).unwrap();
        producer.push(b"gone").unwrap();
        producer.batch().submit().unwrap();
        assert_eq!(memory.snapshot(), before);
    }
}
