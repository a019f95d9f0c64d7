//! libbpf's contract over the simulated ring: what each call leaves in it, and what is refused before a byte is written.
#![expect(unsafe_code, reason = "one thread: its calls are in order, which is the lock")]

use std::time::Duration;

use user_ringbuf_core::{
    BeyondSample, BlockingError, Corruption, Header, Position, Raw, ReserveError, RingMemory, RingSize, Role,
};
use user_ringbuf_sim::{FakeKernel, Fate, HeapMemory, Hooked, RawAccess, RingImage, Script, ScriptedConsumer, Step};

const SIZE: u32 = 128;

fn ring() -> HeapMemory {
    HeapMemory::new(SIZE.into()).unwrap()
}

fn reserve(raw: &Raw<&HeapMemory>, len: usize) -> Result<u32, ReserveError> {
    // SAFETY: the test is the ring's only producer.
    unsafe { raw.reserve(len) }.map(|start| start.offset(RingSize::new(SIZE.into()).unwrap()))
}

fn write(raw: &Raw<&HeapMemory>, offset: u32, bytes: &[u8]) {
    // SAFETY: the sample was reserved, and is as long as `bytes`.
    unsafe { raw.memory().write_payload(offset, 0, bytes) };
}

fn submit(raw: &Raw<&HeapMemory>, offset: u32) -> bool {
    // SAFETY: a multiple of 8 below the size.
    unsafe { raw.submit(offset) }
}

fn discard(raw: &Raw<&HeapMemory>, offset: u32) -> bool {
    // SAFETY: a multiple of 8 below the size.
    unsafe { raw.discard(offset) }
}

fn push_all(raw: &Raw<&HeapMemory>, samples: &[&[u8]]) -> Result<Position, ReserveError> {
    // SAFETY: the test is the ring's only producer.
    unsafe { raw.push_all(samples.iter().map(|sample| Ok(*sample))) }
}

fn drain(memory: &HeapMemory) -> Vec<Vec<u8>> {
    let (drained, samples) = FakeKernel::new(memory).collect(0);
    assert!(drained.returned.is_ok(), "{drained:?}");
    samples
}

#[test]
fn a_reserved_sample_is_visible_and_busy_and_holds_up_what_is_behind_it() {
    let memory = ring();
    let raw = Raw::new(&memory);
    let first = reserve(&raw, 13).unwrap();
    let second = reserve(&raw, 3).unwrap();
    assert_eq!((first, second, memory.snapshot().producer), (0, 24, 40));
    assert_eq!(memory.snapshot().header_at(0), Header::busy(13));
    write(&raw, second, b"two");
    assert!(submit(&raw, second));
    assert_eq!(drain(&memory), [b""; 0]);
    write(&raw, first, b"thirteen byte");
    assert!(submit(&raw, first));
    assert_eq!(drain(&memory), [&b"thirteen byte"[..], b"two"]);
}

#[test]
fn a_discarded_record_keeps_its_length_and_its_room_until_it_is_drained() {
    let memory = ring();
    let raw = Raw::new(&memory);
    let mut discards = 0;
    while let Ok(offset) = reserve(&raw, 9) {
        assert!(discard(&raw, offset));
        assert_eq!(memory.snapshot().header_at(offset.into()), Header::discarded(9));
        discards += 1;
    }
    assert_eq!(discards, SIZE / 24);
    assert_eq!(drain(&memory), [b""; 0]);
    assert!(reserve(&raw, 9).is_ok());
}

#[test]
fn two_handles_read_the_positions_anew_and_never_overlap() {
    let memory = ring();
    let (one, other) = (Raw::new(&memory), Raw::new(&memory));
    let offsets = [&one, &other, &one, &other].map(|raw| reserve(raw, 8).unwrap());
    assert_eq!(offsets, [0, 16, 32, 48]);
    // Either commits what the other reserved.
    for (offset, raw) in offsets.into_iter().zip([&other, &one, &other, &one]) {
        write(raw, offset, &u64::from(offset).to_ne_bytes());
        assert!(submit(raw, offset));
    }
    assert_eq!(drain(&memory), [0_u64, 16, 32, 48].map(|offset| offset.to_ne_bytes().to_vec()));
}

#[test]
fn a_push_is_published_late_and_a_batch_at_once_or_not_at_all() {
    let memory = ring();
    let raw = Raw::new(&memory);
    // SAFETY: the test is the ring's only producer.
    let end = unsafe { raw.push(b"one") };
    let batch = push_all(&raw, &[b"two", b"", b"three"]);
    assert_eq!((end, batch), (Ok(Position::new(16)), Ok(Position::new(56))));
    let before = memory.snapshot().producer;
    let (full, too_much) = (push_all(&raw, &[&[7; 40], &[7; 40]]), push_all(&raw, &[&[7; 60], &[7; 60]]));
    assert_eq!(full, Err(ReserveError::Full { needed: 48, available: 24 }));
    assert_eq!(too_much, Err(ReserveError::BatchFull { needed: 72, left: 56 }));
    assert_eq!(memory.snapshot().producer, before);
    assert_eq!(drain(&memory), [&b"one"[..], b"two", b"", b"three"]);
    assert_eq!(push_all(&raw, &[]), Ok(Position::new(56)));
    // Nor if the samples themselves end with an error.
    let wrong = ReserveError::EmptyLane;
    // SAFETY: as above.
    assert_eq!(unsafe { raw.push_all([Ok(&b"fine"[..]), Err(wrong)]) }, Err(wrong));
    assert_eq!(raw.position(), Position::new(56));
}

#[test]
fn a_shorter_submit_leaves_a_discarded_rest() {
    let memory = ring();
    let raw = Raw::new(&memory);
    let offset = reserve(&raw, 40).unwrap();
    write(&raw, offset, &[5; 40]);
    // SAFETY: reserved above.
    let (longer, shorter, again) =
        unsafe { (raw.submit_len(offset, 41), raw.submit_len(offset, 3), raw.submit_len(offset, 3)) };
    assert_eq!(longer, Err(BeyondSample { at: 0, len: 41, reserved: 40 }));
    assert_eq!((shorter, again), (Ok(true), Ok(false)));
    assert_eq!(memory.snapshot().header_at(16), Header::discarded(24));
    // The same length leaves no rest.
    let offset = reserve(&raw, 3).unwrap();
    // SAFETY: as above.
    assert_eq!(unsafe { raw.submit_len(offset, 2) }, Ok(true));
    assert_eq!(drain(&memory).len(), 2);
}

#[test]
fn what_is_not_busy_is_neither_submitted_nor_discarded_again() {
    let memory = ring();
    let raw = Raw::new(&memory);
    let offset = reserve(&raw, 8).unwrap();
    assert!(submit(&raw, offset));
    let before = memory.snapshot();
    assert!(!submit(&raw, offset) && !discard(&raw, offset) && !submit(&raw, 64));
    assert_eq!(memory.snapshot(), before);
}

#[test]
fn wrong_positions_and_impossible_lengths_are_refused_before_a_byte_is_written() {
    let size = RingSize::new(SIZE.into()).unwrap();
    let out = |consumer, producer| Corruption::OutOfRange { consumer, producer, size: SIZE };
    for (consumer, producer, why) in [
        (0, 4, Corruption::UnalignedProducer { producer: 4 }),
        (4, 8, Corruption::UnalignedConsumer { consumer: 4 }),
        (4, 4, Corruption::UnalignedConsumer { consumer: 4 }),
        (8, 0, out(8, 0)),
        (0, 136, out(0, 136)),
        (0, u64::MAX - 7, out(0, u64::MAX - 7)),
        (1 << 40, 0, out(1 << 40, 0)),
    ] {
        let memory = ring();
        memory.set_consumer(consumer);
        memory.set_producer(producer);
        let before = memory.snapshot();
        let raw = Raw::new(&memory);
        assert_eq!(reserve(&raw, 8), Err(ReserveError::Corrupted(why)));
        assert_eq!(push_all(&raw, &[&[1; 8], &[2; 16]]), Err(ReserveError::Corrupted(why)));
        assert_eq!(memory.snapshot(), before);
    }
    let memory = ring();
    let raw = Raw::new(&memory);
    let max = size.max_sample_len();
    for len in [121, 1 << 24, 1 << 30, 1 << 31, u32::MAX as usize, usize::MAX] {
        assert_eq!(reserve(&raw, len), Err(ReserveError::TooLarge { len, max }));
    }
    assert_eq!(memory.snapshot(), RingImage::empty(size, 0));
    // The whole ring, and then nothing more.
    assert_eq!(reserve(&raw, 120), Ok(0));
    assert_eq!(reserve(&raw, 0), Err(ReserveError::Full { needed: 8, available: 0 }));
}

#[test]
fn a_wait_until_consumed_ends_when_the_kernel_has_drained_that_far() {
    let memory = ring();
    let raw = Raw::new(&memory);
    // SAFETY: the test is the ring's only producer.
    let (first, _) = unsafe { (raw.push(b"first").unwrap(), raw.push(b"second").unwrap()) };
    let none = ScriptedConsumer::new(&memory, Script::never());
    let timeout = Duration::from_millis(1);
    let waited = raw.wait_consumed(first, &mut none.waiter(), Some(timeout));
    assert!(matches!(waited, Err(BlockingError::TimedOut { .. })));
    let ahead = Position::new(40);
    let waited = raw.wait_consumed(ahead, &mut none.waiter(), None);
    assert!(
        matches!(waited, Err(BlockingError::NotSubmitted { position, end }) if position == ahead && end == raw.position())
    );
    assert_eq!(drain(&memory).len(), 2);
    assert!(raw.wait_consumed(raw.position(), &mut none.waiter(), Some(Duration::ZERO)).is_ok());
    memory.set_producer(1 << 30);
    let waited = raw.wait_consumed(Position::new(200), &mut none.waiter(), Some(timeout));
    assert!(matches!(waited, Err(BlockingError::Reserve(ReserveError::Corrupted(_)))));
}

#[test]
fn positions_that_move_while_a_raw_handle_waits_are_not_compared() {
    let memory = HeapMemory::new(64).unwrap();
    memory.set_producer(48);
    let raw = Raw::new(Hooked::new(&memory, |step| {
        // Between the two loads of the consumer position 48 bytes are consumed, and 48 more reserved.
        if step == Step::Load(Role::LoadConsumer) && memory.snapshot().producer == 96 {
            memory.set_consumer(48);
        } else if step == Step::Load(Role::LoadConsumer) {
            memory.set_producer(96);
        }
        Fate::Happens
    }));
    let none = ScriptedConsumer::new(&memory, Script::never());
    let waited = raw.wait_consumed(Position::new(48), &mut none.waiter(), Some(Duration::ZERO));
    assert!(matches!(waited, Err(BlockingError::TimedOut { .. })), "{waited:?}");
}
