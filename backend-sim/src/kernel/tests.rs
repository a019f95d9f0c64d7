//! What the fake kernel returns, case by case, on rings laid out by hand.

use user_ringbuf_core::{BUSY_BIT as BUSY, DISCARD_BIT as DISCARD, Header, MAX_SAMPLE_LEN, RingSize};

use super::KernelError::{Invalid, TooBig};
use super::*;
use crate::memory::{HeapMemory, RawAccess, RingImage};

/// A ring whose records, as length words, stand one behind the other from position `start` on; sample bytes count up from
/// the record's number.
fn ring(size: u64, start: u64, words: &[u32]) -> RingImage {
    let mut image = RingImage::empty(RingSize::new(size).unwrap(), start);
    for (n, word) in words.iter().enumerate() {
        let header = Header::from_word(*word);
        image.append(header, &sample(n, header.len()));
    }
    image
}

fn sample(n: usize, len: u32) -> Vec<u8> {
    (0..len).map(|i| u8::try_from((n * 31 + i as usize) % 251).unwrap()).collect()
}

/// The same ring with another producer position.
fn up_to(producer: u64, mut image: RingImage) -> RingImage {
    image.producer = producer;
    image
}

/// The same ring with another length word at an offset.
fn with_word(offset: u32, word: u32, mut image: RingImage) -> RingImage {
    image.write(offset, &word.to_ne_bytes()).unwrap();
    image
}

fn kernel(image: &RingImage) -> FakeKernel<HeapMemory> {
    let mut memory = HeapMemory::new(image.size().bytes_u64()).unwrap();
    memory.restore(image).unwrap();
    FakeKernel::new(memory)
}

fn drained(returned: Result<u32, KernelError>, samples: u32, discarded: u32) -> Drained {
    let consumed = samples + discarded;
    Drained { returned, consumed, discarded, woke: consumed > 0 }
}

fn ok(samples: u32, discarded: u32) -> Drained {
    drained(Ok(samples), samples, discarded)
}

/// One drain: the ring, the error or none, records skipped, samples, and how far the consumer came.
struct Case(&'static str, RingImage, Option<KernelError>, u32, Vec<Vec<u8>>, u64);

#[test]
fn each_check_of_the_kernel_comes_in_its_order_and_keeps_what_was_consumed_before() {
    let mut cases = vec![
        Case("empty", ring(64, 0, &[]), None, 0, vec![], 0),
        Case("one record that fills the ring", ring(64, 24, &[56]), None, 0, vec![sample(0, 56)], 64),
        Case("a producer behind the consumer is silence", up_to(4792, ring(64, 4800, &[0])), None, 0, vec![], 0),
        Case("so is one that passed 2^64", ring(64, u64::MAX - 15, &[0, 0, 0]), None, 0, vec![], 0),
        Case("but not one just below", ring(64, u64::MAX - 23, &[0, 0]), None, 0, vec![vec![], vec![]], 16),
        Case(
            "a producer far ahead: the last lap's bytes again",
            up_to(128, ring(64, 0, &[24, 24])),
            None,
            0,
            vec![sample(0, 24), sample(1, 24), sample(0, 24), sample(1, 24)],
            128,
        ),
        Case(
            "discarded records are skipped, busy or not",
            ring(64, 0, &[3 | DISCARD, 8 | DISCARD | BUSY, 2]),
            None,
            2,
            vec![sample(2, 2)],
            48,
        ),
        Case("only discarded ones", ring(64, 0, &[3 | DISCARD]), None, 1, vec![], 16),
        Case("held up behind a sample", ring(64, 0, &[1, 2 | BUSY, 3]), None, 0, vec![sample(0, 1)], 16),
        Case("held up at once", ring(64, 16, &[2 | BUSY, 3]), None, 0, vec![], 0),
        Case(
            "an error behind samples",
            with_word(24, 24, ring(64, 0, &[1, DISCARD, 8])),
            Some(Invalid),
            1,
            vec![sample(0, 1)],
            24,
        ),
    ];
    for start in (0..64).step_by(8) {
        let samples = vec![sample(0, 5), sample(1, 0), sample(2, 16)];
        cases.push(Case("samples across the end of the area", ring(64, start, &[5, 0, 16]), None, 0, samples, 48));
    }
    for producer in [1, 4, 12, 63] {
        let image = up_to(producer, ring(64, 16, &[0]));
        cases.push(Case("an unaligned producer, even behind the consumer", image, Some(Invalid), 0, vec![], 0));
    }
    for flags in [0, BUSY, DISCARD, BUSY | DISCARD] {
        let beyond = with_word(8, 9 | flags, ring(64, 8, &[8]));
        cases.push(Case("beyond the producer, whatever its flags", beyond, Some(Invalid), 0, vec![], 0));
        let larger = ring(64, 0, &[57 | flags]);
        cases.push(Case(
            "larger than the ring and beyond the producer",
            up_to(64, larger.clone()),
            Some(Invalid),
            0,
            vec![],
            0,
        ));
        cases.push(Case("larger than the ring", larger, Some(TooBig), 0, vec![], 0));
    }
    for Case(name, image, error, discarded, samples, moved) in cases {
        let kernel = kernel(&image);
        let count = u32::try_from(samples.len()).unwrap();
        let expected = drained(error.map_or(Ok(count), Err), count, discarded);
        let (found, got) = kernel.collect(0);
        assert_eq!(found, expected, "{name}: {image:?}");
        assert!(got == samples, "{name}: other samples of {image:?}");
        assert_eq!(kernel.memory().kernel_load_consumer(), image.consumer.wrapping_add(moved), "{name}: {image:?}");
        assert!(kernel.memory().kernel_begin_drain(), "{name}: the drain is over");
    }
}

#[test]
fn samples_of_two_to_the_24_bytes_are_too_big_and_one_byte_less_is_taken() {
    let too_big = drained(Err(TooBig), 0, 0);
    for (word, expected) in [
        (MAX_SAMPLE_LEN, ok(1, 0)),
        (MAX_SAMPLE_LEN | DISCARD, ok(0, 1)),
        (MAX_SAMPLE_LEN + 1, too_big),
        ((MAX_SAMPLE_LEN + 1) | DISCARD, too_big),
        ((MAX_SAMPLE_LEN + 1) | BUSY, too_big),
    ] {
        let mut image = RingImage::empty(RingSize::new(1 << 25).unwrap(), 0);
        image.append(Header::from_word(word), &[]);
        assert_eq!(kernel(&image).drain(0, |_| ControlFlow::Continue(())), expected, "{word:#x}");
    }
}

#[test]
fn a_callback_that_stops_has_consumed_its_sample() {
    let kernel = kernel(&ring(64, 0, &[1, DISCARD, 8]));
    for expected in [ok(1, 0), ok(1, 1), ok(0, 0)] {
        assert_eq!(kernel.drain(0, |_| ControlFlow::Break(())), expected);
    }
}

#[test]
fn the_consumer_position_is_stored_after_each_callback() {
    let kernel = kernel(&ring(64, 0, &[1, 1]));
    let mut seen = vec![];
    let drained = kernel.drain(0, |_| {
        seen.push(kernel.memory().kernel_load_consumer());
        ControlFlow::Continue(())
    });
    assert_eq!((drained.returned, seen), (Ok(2), vec![0, 16]));
    assert_eq!(kernel.memory().kernel_load_consumer(), 32);
}

#[test]
fn a_drain_within_a_drain_is_busy_and_changes_nothing() {
    let kernel = kernel(&ring(64, 0, &[1, 1]));
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
    let kernel = kernel(&ring(64, 0, &[1]));
    let mut refused = vec![];
    for flags in [4, 8, 3 | 4, 1 << 32, u64::MAX] {
        refused.push(kernel.collect(flags));
        assert!(kernel.memory().kernel_begin_drain());
        // Flags come before busy.
        refused.push(kernel.collect(flags));
        // SAFETY: begun just now.
        unsafe { kernel.memory().kernel_end_drain() };
    }
    assert_eq!(refused, vec![(Drained { woke: false, ..drained(Err(Invalid), 0, 0) }, vec![]); 10]);
    assert_eq!(kernel.collect(3).0, ok(1, 0));
}

#[test]
fn the_wake_rules_hold_for_each_flag() {
    for (words, consumed) in [(&[][..], false), (&[1][..], true), (&[DISCARD][..], true), (&[BUSY][..], false)] {
        for (flags, woke) in [(0, consumed), (NO_WAKEUP, false), (FORCE_WAKEUP, true), (3, true)] {
            assert_eq!(kernel(&ring(64, 0, words)).collect(flags).0.woke, woke, "{words:?} {flags}");
        }
    }
}

#[test]
fn one_drain_takes_131072_records_discarded_ones_counted() {
    let words: Vec<u32> = [0, DISCARD].repeat(70_000);
    let kernel = kernel(&ring(2 << 20, 0, &words));
    assert_eq!(kernel.drain(0, |_| ControlFlow::Continue(())), ok(65_536, 65_536));
    assert_eq!(kernel.drain(0, |_| ControlFlow::Continue(())), ok(4464, 4464));
}

#[test]
fn no_image_and_no_positions_make_a_drain_panic() {
    let words = [0, 7, 8, 56, 57, 64, (1 << 24) - 1, 1 << 24, (1 << 30) - 1];
    let ends = [0, 3, 8, 56, 64, 72, 4096, u64::MAX - 7, u64::MAX];
    let size = RingSize::new(64).unwrap();
    for word in words.into_iter().flat_map(|len| [len, len | BUSY, len | DISCARD, len | BUSY | DISCARD]) {
        for (consumer, producer) in ends.into_iter().flat_map(|c| ends.map(|p| (c, p))) {
            let words = Header::from_word(word).with_pad().to_ne_bytes();
            let kernel = kernel(&RingImage::from_bytes(size, consumer, producer, &words));
            let mut left = 100;
            let _ = kernel.drain(0, |_| {
                left -= 1;
                if left > 0 { ControlFlow::Continue(()) } else { ControlFlow::Break(()) }
            });
            assert!(kernel.memory().kernel_begin_drain());
        }
    }
}
