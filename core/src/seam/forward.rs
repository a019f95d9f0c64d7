//! Memory that stands for another memory: every access is passed on as it is.
//!
//! Invariant: whatever stands for a ring keeps that ring's obligations, because the ring keeps them itself. The claim
//! is passed on like everything else, so all that stands for a ring has one claim together.

use crate::seam::memory::{ContiguousMemory, RingMemory, RingPositions, RingView};

/// Implements one trait of the seam by passing each call on to the memory behind a value.
///
/// References and `Arc`s to a memory are implemented this way, and a backend can do the same for its own handles. There
/// is one form for each of [`RingPositions`](crate::RingPositions), [`RingView`](crate::RingView),
/// [`RingMemory`](crate::RingMemory) and [`ContiguousMemory`](crate::ContiguousMemory). Generic parameters stand in
/// brackets, and the closure-like part says how to get from `self` to the memory behind it.
///
/// # Safety
/// `unsafe impl` is a promise here as anywhere: that the expression always leads to the same ring, which lives as long
/// as the value and all clones of it, and that the memory behind it keeps the trait's obligations.
///
/// ```
/// use user_ringbuf_core::{Producer, RingMemory, RingPositions, forward_memory};
/// use user_ringbuf_sim::{FakeKernel, HeapMemory};
///
/// /// A memory with a name.
/// struct Named<M> {
///     memory: M,
///     name: &'static str,
/// }
///
/// forward_memory! {
///     // SAFETY: the memory within is always the same, and keeps every obligation itself.
///     unsafe impl [M: RingPositions] RingPositions for Named<M> { |this| this.memory }
/// }
/// forward_memory! {
///     // SAFETY: as above.
///     unsafe impl [M: RingMemory] RingMemory<Word = M::Word> for Named<M> { |this| this.memory }
/// }
///
/// let memory = HeapMemory::new(64)?;
/// let mut producer = Producer::attach(Named { memory: &memory, name: "events" })?;
/// producer.push(b"sample")?;
/// assert_eq!(producer.memory().name, "events");
/// assert_eq!(FakeKernel::new(&memory).collect(0).1, [b"sample"]);
/// // The claim is the memory's own.
/// assert!(Producer::attach(&memory).is_err());
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[macro_export]
macro_rules! forward_memory {
    (unsafe impl [$($generics:tt)*] RingPositions for $handle:ty { |$this:ident| $to:expr }) => {
        // SAFETY: the caller of the macro promises it.
        unsafe impl<$($generics)*> $crate::RingPositions for $handle {
            #[inline(always)]
            fn size(&self) -> $crate::RingSize {
                let $this = self;
                let to = &$to;
                $crate::RingPositions::size(to)
            }

            #[inline(always)]
            fn load_consumer(&self) -> $crate::Position {
                let $this = self;
                let to = &$to;
                $crate::RingPositions::load_consumer(to)
            }

            #[inline(always)]
            fn load_producer(&self, role: $crate::Role) -> $crate::Position {
                let $this = self;
                let to = &$to;
                $crate::RingPositions::load_producer(to, role)
            }
        }
    };
    (unsafe impl [$($generics:tt)*] RingView for $handle:ty { |$this:ident| $to:expr }) => {
        // SAFETY: the caller of the macro promises it.
        unsafe impl<$($generics)*> $crate::RingView for $handle {
            #[inline(always)]
            unsafe fn load_header(&self, offset: u32) -> $crate::Header {
                let $this = self;
                let to = &$to;
                // SAFETY: the caller's promise is passed on.
                unsafe { $crate::RingView::load_header(to, offset) }
            }
        }
    };
    (unsafe impl [$($generics:tt)*] RingMemory<Word = $word:ty> for $handle:ty { |$this:ident| $to:expr }) => {
        // SAFETY: the caller of the macro promises it.
        unsafe impl<$($generics)*> $crate::RingMemory for $handle {
            type Word = $word;

            #[inline(always)]
            fn ring_id(&self) -> $crate::RingId {
                let $this = self;
                let to = &$to;
                $crate::RingMemory::ring_id(to)
            }

            #[inline(always)]
            unsafe fn claim_producer(&self) -> bool {
                let $this = self;
                let to = &$to;
                // SAFETY: the caller's promise is passed on.
                unsafe { $crate::RingMemory::claim_producer(to) }
            }

            #[inline(always)]
            unsafe fn release_producer(&self) {
                let $this = self;
                let to = &$to;
                // SAFETY: the caller's promise is passed on.
                unsafe { $crate::RingMemory::release_producer(to) };
            }

            #[inline(always)]
            unsafe fn read_header(&self, offset: u32) -> $crate::Header {
                let $this = self;
                let to = &$to;
                // SAFETY: the caller's promise is passed on.
                unsafe { $crate::RingMemory::read_header(to, offset) }
            }

            #[inline(always)]
            unsafe fn publish_producer(&self, position: $crate::Position) {
                let $this = self;
                let to = &$to;
                // SAFETY: the caller's promise is passed on.
                unsafe { $crate::RingMemory::publish_producer(to, position) };
            }

            #[inline(always)]
            unsafe fn write_header(&self, offset: u32, header: $crate::Header) {
                let $this = self;
                let to = &$to;
                // SAFETY: the caller's promise is passed on.
                unsafe { $crate::RingMemory::write_header(to, offset, header) }
            }

            #[inline(always)]
            unsafe fn commit_header(&self, offset: u32, header: $crate::Header) {
                let $this = self;
                let to = &$to;
                // SAFETY: the caller's promise is passed on.
                unsafe { $crate::RingMemory::commit_header(to, offset, header) }
            }

            #[inline(always)]
            unsafe fn write_payload(&self, offset: u32, at: u32, bytes: &[u8]) {
                let $this = self;
                let to = &$to;
                // SAFETY: the caller's promise is passed on.
                unsafe { $crate::RingMemory::write_payload(to, offset, at, bytes) }
            }

            #[inline(always)]
            unsafe fn fill_payload(&self, offset: u32, at: u32, byte: u8, len: u32) {
                let $this = self;
                let to = &$to;
                // SAFETY: the caller's promise is passed on.
                unsafe { $crate::RingMemory::fill_payload(to, offset, at, byte, len) }
            }

            #[inline(always)]
            fn new_word(&self, value: u64) -> Self::Word {
                let $this = self;
                let to = &$to;
                $crate::RingMemory::new_word(to, value)
            }

            #[inline(always)]
            fn load_word(&self, word: &Self::Word, role: $crate::Role) -> u64 {
                let $this = self;
                let to = &$to;
                $crate::RingMemory::load_word(to, word, role)
            }

            #[inline(always)]
            fn store_word(&self, word: &Self::Word, value: u64, role: $crate::Role) {
                let $this = self;
                let to = &$to;
                $crate::RingMemory::store_word(to, word, value, role);
            }

            #[inline(always)]
            fn exchange_word(
                &self,
                word: &Self::Word,
                current: u64,
                new: u64,
                role: $crate::Role,
                found: $crate::Role,
            ) -> ::core::result::Result<(), u64> {
                let $this = self;
                let to = &$to;
                $crate::RingMemory::exchange_word(to, word, current, new, role, found)
            }
        }
    };
    (unsafe impl [$($generics:tt)*] ContiguousMemory for $handle:ty { |$this:ident| $to:expr }) => {
        // SAFETY: the caller of the macro promises it.
        unsafe impl<$($generics)*> $crate::ContiguousMemory for $handle {
            #[inline(always)]
            unsafe fn payload(&self, offset: u32) -> *mut u8 {
                let $this = self;
                let to = &$to;
                // SAFETY: the caller's promise is passed on.
                unsafe { $crate::ContiguousMemory::payload(to, offset) }
            }
        }
    };
}

macro_rules! forward_pointer {
    ($($pointer:tt)*) => {
        forward_memory! {
            // SAFETY: a pointer to a ring stands for that ring, and so do its clones.
            unsafe impl [M: RingPositions + ?Sized] RingPositions for $($pointer)* { |this| **this }
        }
        forward_memory! {
            // SAFETY: as above.
            unsafe impl [M: RingView + ?Sized] RingView for $($pointer)* { |this| **this }
        }
        forward_memory! {
            // SAFETY: as above.
            unsafe impl [M: RingMemory + ?Sized] RingMemory<Word = M::Word> for $($pointer)* { |this| **this }
        }
        forward_memory! {
            // SAFETY: as above.
            unsafe impl [M: ContiguousMemory + ?Sized] ContiguousMemory for $($pointer)* { |this| **this }
        }
    };
}

forward_pointer!(&M);
#[cfg(feature = "alloc")]
forward_pointer!(alloc::sync::Arc<M>);
