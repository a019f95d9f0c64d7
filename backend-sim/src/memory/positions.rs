//! The words of a simulated ring that are not data: both positions, and whether a drain and a producer are at work.
//!
//! Kernel counterpart: `consumer_pos`, `producer_pos` and `busy` of `struct bpf_ringbuf`.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use user_ringbuf_core::{Position, Role};

use super::Orderings;

/// The orderings of the roles. A role whose exchange releases is loaded relaxed where it only looks.
const PROTOCOL: Orderings = Orderings::of_the_protocol();

/// A word on its own cache line, as the kernel keeps each position on its own page.
#[derive(Debug, Default)]
#[repr(align(128))]
struct CacheLine<T>(T);

#[derive(Debug, Default)]
pub(super) struct Positions {
    producer: CacheLine<AtomicU64>,
    consumer: CacheLine<AtomicU64>,
    busy: CacheLine<AtomicBool>,
    claimed: AtomicBool,
}

/// The claim to be the one producer, which is not part of the ring.
impl Positions {
    pub(super) fn claim_producer(&self) -> bool {
        // Pairs with the release store below: what the last producer did is over.
        !self.claimed.swap(true, Ordering::Acquire)
    }

    pub(super) fn release_producer(&self) {
        // Pairs with the acquire exchange above.
        self.claimed.store(false, Ordering::Release);
    }
}

/// The producer's accesses, each for its role; what a role pairs with stands with [`Role`].
impl Positions {
    #[inline]
    pub(super) fn load_consumer(&self) -> Position {
        Position::new(self.consumer.0.load(PROTOCOL.of_load(Role::LoadConsumer)))
    }

    #[inline]
    pub(super) fn load_producer(&self, role: Role) -> Position {
        Position::new(self.producer.0.load(PROTOCOL.of_load(role)))
    }

    #[inline]
    pub(super) fn publish_producer(&self, position: Position) {
        self.producer.0.store(position.get(), PROTOCOL.of_store(Role::PublishProducer));
    }

    #[inline]
    pub(super) fn load_word(&self, word: &AtomicU64, role: Role) -> u64 {
        word.load(PROTOCOL.of_load(role))
    }

    #[inline]
    pub(super) fn store_word(&self, word: &AtomicU64, value: u64, role: Role) {
        word.store(value, PROTOCOL.of_store(role));
    }

    #[inline]
    pub(super) fn exchange_word(
        &self,
        word: &AtomicU64,
        current: u64,
        new: u64,
        role: Role,
        found: Role,
    ) -> Result<(), u64> {
        let (put, found) = (PROTOCOL.of(role), PROTOCOL.of_load(found));
        word.compare_exchange_weak(current, new, put, found).map(drop)
    }
}

/// The kernel's accesses, whose orderings nothing weakens.
impl Positions {
    pub(super) fn kernel_load_producer(&self) -> u64 {
        // Pairs with the producer's release store: publish-producer.
        self.producer.0.load(Ordering::Acquire)
    }

    pub(super) fn kernel_load_consumer(&self) -> u64 {
        // Pairs with the release store below, of a drain on another thread.
        self.consumer.0.load(Ordering::Acquire)
    }

    pub(super) fn kernel_store_consumer(&self, position: u64) {
        // Pairs with the producer's acquire load: load-consumer.
        self.consumer.0.store(position, Ordering::Release);
    }

    pub(super) fn begin_drain(&self) -> bool {
        // Pairs with the release store below: what the last drain did is over.
        self.busy.0.compare_exchange(false, true, Ordering::Acquire, Ordering::Relaxed).is_ok()
    }

    pub(super) fn end_drain(&self) {
        // Pairs with the acquire exchange above.
        self.busy.0.store(false, Ordering::Release);
    }

    /// Stores `producer_pos` as a foreign producer would, which pairs with the same loads as our own.
    pub(super) fn set_producer(&self, position: u64) {
        self.producer.0.store(position, Ordering::Release);
    }
}
