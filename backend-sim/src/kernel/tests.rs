//! What the fake kernel returns, case by case, on rings laid out by hand.

use std::cell::{Cell, RefCell};

use user_ringbuf_core::{Header, RingId, RingSize, record_extent};

use super::*;

/// The minimum that a drain needs: bytes and positions that a test sets as it likes. Every index is checked, so a read
/// outside would panic.
pub(crate) struct Bytes {
    size: RingSize,
    data: RefCell<Vec<u8>>,
    pub(crate) producer: Cell<u64>,
    pub(crate) consumer: Cell<u64>,
    busy: Cell<bool>,
}

impl Bytes {
    pub(crate) fn new(size: u64) -> Self {
        let size = RingSize::new(size).unwrap();
        let data = RefCell::new(vec![0; size.bytes() as usize]);
        Self { size, data, producer: Cell::new(0), consumer: Cell::new(0), busy: Cell::new(false) }
    }

    /// A ring whose records, as length words, stand one behind the other from position `start` on; sample bytes count
    /// up from the record's number.
    pub(crate) fn with_records(size: u64, start: u64, words: &[u32]) -> Self {
        let ring = Self::new(size);
        ring.consumer.set(start);
        let mut at = Position::new(start);
        for (n, word) in words.iter().enumerate() {
            let header = Header::from_word(*word);
            ring.set_header(at.offset(ring.size), header);
            for i in 0..header.len().min(ring.size.bytes() - 8) {
                let place = at.advance(u64::from(8 + i)).offset(ring.size);
                ring.data.borrow_mut()[place as usize] = byte(n, i);
            }
            at = at.advance(u64::from(record_extent(header.len())));
        }
        ring.producer.set(at.get());
        ring
    }

    pub(crate) fn set_header(&self, offset: u32, header: Header) {
        let offset = offset as usize;
        self.data.borrow_mut()[offset..offset + 8].copy_from_slice(&header.with_pad().to_ne_bytes());
    }
}

fn byte(n: usize, i: u32) -> u8 {
    u8::try_from((n * 31 + i as usize) % 251).unwrap()
}

fn sample(n: usize, len: u32) -> Vec<u8> {
    (0..len).map(|i| byte(n, i)).collect()
}

// SAFETY: one thread, checked cells, and no samples: there is no producer's side.
unsafe impl KernelMemory for Bytes {
    fn size(&self) -> RingSize {
        self.size
    }
    fn kernel_ring_id(&self) -> RingId {
        RingId::new(0)
    }

    fn kernel_load_producer(&self) -> u64 {
        self.producer.get()
    }
    fn kernel_load_consumer(&self) -> u64 {
        self.consumer.get()
    }
    fn kernel_load_header(&self, offset: u32) -> Header {
        let offset = offset as usize;
        let word: [u8; 4] = self.data.borrow()[offset..offset + 4].try_into().unwrap();
        Header::from_word(u32::from_ne_bytes(word))
    }
    fn kernel_read_sample(&self, offset: u32, len: u32, into: &mut Vec<u8>) {
        into.clear();
        let data = self.data.borrow();
        into.extend((0..len as usize).map(|i| data[(offset as usize + 8 + i) % data.len()]));
    }
    unsafe fn kernel_store_consumer(&self, position: u64) {
        self.consumer.set(position);
    }
    fn kernel_begin_drain(&self) -> bool {
        !self.busy.replace(true)
    }
    unsafe fn kernel_end_drain(&self) {
        self.busy.set(false);
    }
}

pub(crate) const BUSY: u32 = 1 << 31;
pub(crate) const DISCARD: u32 = 1 << 30;

fn ok(samples: u32, discarded: u32) -> Drained {
    let consumed = samples + discarded;
    Drained { returned: Ok(samples), consumed, discarded, woke: consumed > 0 }
}

fn err(why: KernelError, samples: u32, discarded: u32) -> Drained {
    Drained { returned: Err(why), ..ok(samples, discarded) }
}

#[test]
fn an_empty_ring_gives_nothing_and_wakes_no_waiter() {
    let kernel = FakeKernel::new(Bytes::new(64));
    assert_eq!(kernel.collect(0), (ok(0, 0), vec![]));
    assert!(!kernel.memory().busy.get());
}

#[test]
fn submitted_samples_come_in_order_with_their_bytes_also_across_the_end_of_the_area() {
    for start in (0..64).step_by(8) {
        let kernel = FakeKernel::new(Bytes::with_records(64, start, &[5, 0, 16]));
        let (drained, samples) = kernel.collect(0);
        assert_eq!(drained, ok(3, 0));
        assert_eq!(samples, [sample(0, 5), sample(1, 0), sample(2, 16)]);
        assert_eq!(kernel.memory().consumer.get(), start + 16 + 8 + 24);
    }
}

#[test]
fn a_record_that_fills_the_ring_is_taken() {
    let kernel = FakeKernel::new(Bytes::with_records(64, 24, &[56]));
    assert_eq!(kernel.collect(0), (ok(1, 0), vec![sample(0, 56)]));
}

#[test]
fn an_unaligned_producer_position_is_invalid_even_behind_the_consumer() {
    for producer in [1, 4, 12, 63] {
        let ring = Bytes::with_records(64, 16, &[0]);
        ring.producer.set(producer);
        let kernel = FakeKernel::new(ring);
        assert_eq!(kernel.collect(0), (err(KernelError::Invalid, 0, 0), vec![]));
        assert_eq!(kernel.memory().consumer.get(), 16);
    }
}

#[test]
fn a_producer_behind_the_consumer_is_silence() {
    let ring = Bytes::with_records(64, 4800, &[0]);
    ring.producer.set(4792);
    assert_eq!(FakeKernel::new(ring).collect(0), (ok(0, 0), vec![]));
}

#[test]
fn a_producer_position_that_passed_two_to_the_64_is_silence_as_in_the_kernel() {
    let ring = Bytes::with_records(64, u64::MAX - 15, &[0, 0, 0]);
    assert_eq!(ring.producer.get(), 8);
    assert_eq!(FakeKernel::new(ring).collect(0), (ok(0, 0), vec![]));
    let below = Bytes::with_records(64, u64::MAX - 23, &[0, 0]);
    assert_eq!(FakeKernel::new(below).collect(0), (ok(2, 0), vec![vec![], vec![]]));
}

#[test]
fn a_producer_far_ahead_makes_the_kernel_read_last_laps_bytes_again() {
    let ring = Bytes::with_records(64, 0, &[24, 24]);
    ring.producer.set(128);
    let (drained, samples) = FakeKernel::new(ring).collect(0);
    assert_eq!((drained, samples.len()), (ok(4, 0), 4));
}

#[test]
fn a_length_beyond_the_producer_position_is_invalid_whatever_its_flags() {
    for flags in [0, BUSY, DISCARD, BUSY | DISCARD] {
        let ring = Bytes::with_records(64, 8, &[8]);
        ring.set_header(8, Header::from_word(9 | flags));
        let kernel = FakeKernel::new(ring);
        assert_eq!(kernel.collect(0), (err(KernelError::Invalid, 0, 0), vec![]));
        assert_eq!(kernel.memory().consumer.get(), 8);
    }
}

#[test]
fn a_record_larger_than_the_ring_is_too_big_only_if_it_lies_before_the_producer_position() {
    for flags in [0, BUSY, DISCARD, BUSY | DISCARD] {
        let ring = Bytes::with_records(64, 0, &[57 | flags]);
        assert_eq!(ring.producer.get(), 72);
        let kernel = FakeKernel::new(ring);
        assert_eq!(kernel.collect(0).0, err(KernelError::TooBig, 0, 0));
        kernel.memory().producer.set(64);
        assert_eq!(kernel.collect(0).0, err(KernelError::Invalid, 0, 0));
    }
}

#[test]
fn samples_of_two_to_the_24_bytes_are_too_big_and_one_byte_less_is_taken() {
    for (len, flags, expected) in [
        ((1 << 24) - 1, 0, ok(1, 0)),
        ((1 << 24) - 1, DISCARD, ok(0, 1)),
        (1 << 24, 0, err(KernelError::TooBig, 0, 0)),
        (1 << 24, DISCARD, err(KernelError::TooBig, 0, 0)),
        (1 << 24, BUSY, err(KernelError::TooBig, 0, 0)),
    ] {
        let ring = Bytes::new(1 << 25);
        ring.set_header(0, Header::from_word(len | flags));
        ring.producer.set(u64::from(record_extent(len)));
        assert_eq!(FakeKernel::new(ring).drain(0, |_| ControlFlow::Continue(())), expected, "{len} {flags:x}");
    }
}

#[test]
fn discarded_records_are_skipped_busy_or_not_and_count_as_consumed() {
    let kernel = FakeKernel::new(Bytes::with_records(64, 0, &[3 | DISCARD, 8 | DISCARD | BUSY, 2]));
    assert_eq!(kernel.collect(0), (ok(1, 2), vec![sample(2, 2)]));
    let kernel = FakeKernel::new(Bytes::with_records(64, 0, &[3 | DISCARD]));
    assert_eq!(kernel.collect(0), (ok(0, 1), vec![]));
    assert_eq!(kernel.memory().consumer.get(), 16);
}

#[test]
fn a_busy_record_holds_up_everything_behind_it_in_silence() {
    let kernel = FakeKernel::new(Bytes::with_records(64, 0, &[1, 2 | BUSY, 3]));
    assert_eq!(kernel.collect(0), (ok(1, 0), vec![sample(0, 1)]));
    assert_eq!(kernel.collect(0), (ok(0, 0), vec![]));
    assert_eq!(kernel.memory().consumer.get(), 16);
}

#[test]
fn an_error_after_some_samples_is_returned_and_what_came_before_stays_consumed() {
    let ring = Bytes::with_records(64, 0, &[1, DISCARD, 8]);
    ring.set_header(24, Header::submitted(24));
    let kernel = FakeKernel::new(ring);
    let (drained, samples) = kernel.collect(0);
    assert_eq!((drained, samples), (err(KernelError::Invalid, 1, 1), vec![sample(0, 1)]));
    assert_eq!(drained.code(), -22);
    assert_eq!(kernel.memory().consumer.get(), 24);
    assert!(!kernel.memory().busy.get());
}

#[test]
fn a_callback_that_stops_has_consumed_its_sample() {
    let kernel = FakeKernel::new(Bytes::with_records(64, 0, &[1, DISCARD, 8]));
    for expected in [ok(1, 0), ok(1, 1), ok(0, 0)] {
        assert_eq!(kernel.drain(0, |_| ControlFlow::Break(())), expected);
    }
}

#[test]
fn the_consumer_position_is_stored_after_each_callback() {
    let kernel = FakeKernel::new(Bytes::with_records(64, 0, &[1, 1]));
    let mut seen = vec![];
    let drained = kernel.drain(0, |_| {
        seen.push(kernel.memory().consumer.get());
        ControlFlow::Continue(())
    });
    assert_eq!((drained.returned, seen), (Ok(2), vec![0, 16]));
    assert_eq!(kernel.memory().consumer.get(), 32);
}

#[test]
fn a_drain_within_a_drain_is_busy_and_changes_nothing() {
    let kernel = FakeKernel::new(Bytes::with_records(64, 0, &[1, 1]));
    let mut nested = vec![];
    let drained = kernel.drain(0, |_| {
        nested.push(kernel.drain(FORCE_WAKEUP, |_| ControlFlow::Continue(())));
        ControlFlow::Continue(())
    });
    assert_eq!(drained, ok(2, 0));
    let busy = Drained { returned: Err(KernelError::Busy), consumed: 0, discarded: 0, woke: false };
    assert_eq!(nested, [busy, busy]);
    assert_eq!(kernel.collect(0).0, ok(0, 0));
}

#[test]
fn unknown_flags_are_invalid_before_anything_else() {
    let kernel = FakeKernel::new(Bytes::with_records(64, 0, &[1]));
    for flags in [4, 8, 3 | 4, 1 << 32, u64::MAX] {
        let refused = Drained { returned: Err(KernelError::Invalid), consumed: 0, discarded: 0, woke: false };
        assert_eq!(kernel.collect(flags), (refused, vec![]));
        kernel.memory().busy.set(true);
        assert_eq!(kernel.collect(flags).0.returned, Err(KernelError::Invalid), "flags come before busy");
        kernel.memory().busy.set(false);
    }
    assert_eq!(kernel.collect(3).0, ok(1, 0));
}

#[test]
fn the_wake_rules_hold_for_each_flag() {
    for (words, consumed) in [(&[][..], false), (&[1][..], true), (&[DISCARD][..], true), (&[BUSY][..], false)] {
        for (flags, woke) in [(0, consumed), (NO_WAKEUP, false), (FORCE_WAKEUP, true), (3, true)] {
            let kernel = FakeKernel::new(Bytes::with_records(64, 0, words));
            assert_eq!(kernel.collect(flags).0.woke, woke, "{words:?} {flags}");
        }
    }
    let ring = Bytes::with_records(64, 0, &[0, 0]);
    ring.set_header(8, Header::submitted(8));
    assert!(FakeKernel::new(ring).collect(0).0.woke, "also when an error ends it");
}

#[test]
fn one_drain_takes_131072_records_discarded_ones_counted() {
    let ring = Bytes::new(2 << 20);
    for n in 0..140_000 {
        ring.set_header(n * 8, Header::from_word(if n % 2 == 0 { 0 } else { DISCARD }));
    }
    ring.producer.set(140_000 * 8);
    let kernel = FakeKernel::new(ring);
    assert_eq!(kernel.drain(0, |_| ControlFlow::Continue(())), ok(65_536, 65_536));
    assert_eq!(kernel.drain(0, |_| ControlFlow::Continue(())), ok(4464, 4464));
}

#[test]
fn no_image_and_no_positions_make_a_drain_panic_or_read_outside() {
    never_panics(FakeKernel::new);
}

/// Puts wild lengths and positions through a kernel.
pub(crate) fn never_panics<R: Rules + ?Sized>(kernel: impl Fn(Bytes) -> FakeKernel<Bytes, R>) {
    let words = [0, 7, 8, 56, 57, 64, (1 << 24) - 1, 1 << 24, (1 << 30) - 1];
    let ends = [0, 3, 8, 56, 64, 72, 4096, u64::MAX - 7, u64::MAX];
    for word in words.into_iter().flat_map(|len| [len, len | BUSY, len | DISCARD, len | BUSY | DISCARD]) {
        for (consumer, producer) in ends.into_iter().flat_map(|c| ends.map(|p| (c, p))) {
            let ring = Bytes::new(64);
            (0..64).step_by(8).for_each(|at| ring.set_header(at, Header::from_word(word)));
            ring.consumer.set(consumer);
            ring.producer.set(producer);
            let kernel = kernel(ring);
            let mut left = 100;
            let _ = kernel.drain(0, |_| {
                left -= 1;
                if left > 0 { ControlFlow::Continue(()) } else { ControlFlow::Break(()) }
            });
            assert!(!kernel.memory().busy.get());
        }
    }
}
