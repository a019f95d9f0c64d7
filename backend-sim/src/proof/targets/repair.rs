//! Any ring image, any positions: after a repair the fake kernel drains it to empty without an error, and no submitted
//! record is lost that a walk could reach.

use user_ringbuf_core::{Corruption, Producer, Repair, RingMemory, plan_repair, repair};

use crate::proof::input::{Judge, Picture, Source};
use crate::proof::second_reading::expect_of_repair;
use crate::{FakeKernel, RawAccess};

/// What one input does.
///
/// # Panics
/// Where the repair, or what it left, is wrong.
pub fn run(bytes: &[u8]) {
    Picture::take(Source::new(bytes)).show(RepairJudge);
}

struct RepairJudge;

impl Judge for RepairJudge {
    fn judge<M: RingMemory + RawAccess>(self, picture: &Picture, memory: &M) {
        let mut planned = Vec::new();
        let plan = plan_repair(&memory.view(), |repair| planned.push(repair));
        let (size, consumer, producer) = (picture.size, picture.consumer, picture.producer);
        let mut expected = Vec::new();
        let word = |offset| memory.kernel_load_header(offset).word();
        let place = expect_of_repair(size.bytes(), consumer, producer, word, |offset, len| {
            let mut sample = Vec::new();
            memory.kernel_read_sample((offset + size.bytes() - 8) % size.bytes(), len, &mut sample);
            expected.push(sample);
        });
        let mut done = Vec::new();
        // SAFETY: the ring was painted just now, and has no producer.
        let result = unsafe { repair(memory, |repair| done.push(repair)) };
        assert_eq!((result, &done), (plan, &planned), "what was planned was not done");
        if picture.consumer % 8 != 0 {
            assert_eq!(result, Err(Corruption::UnalignedConsumer { consumer: picture.consumer }));
            assert!(done.is_empty());
            return;
        }
        assert_eq!(result, Ok(()));
        let end = memory.kernel_load_producer();
        assert_eq!((memory.kernel_load_consumer(), end), (consumer, place));
        let moved = done.iter().filter_map(|repair| match repair {
            Repair::ProducerMoved { from, to } => Some((from.get(), to.get())),
            _ => None,
        });
        let expected_move = (end != producer).then_some((producer, end));
        assert!(moved.eq(expected_move), "{done:?}, but {expected_move:?} is what was to be told");
        again(memory);
        drained(memory, consumer, end, &expected);
        // In order again: a producer may begin.
        Producer::attach(memory).unwrap_or_else(|error| panic!("{error}"));
    }
}

/// A second repair finds nothing to do.
fn again<M: RingMemory + RawAccess>(memory: &M) {
    // SAFETY: as for the first.
    let result = unsafe { repair(memory, |repair| panic!("a second time: {repair:?}")) };
    assert_eq!(result, Ok(()));
}

/// A drain to the end hands over these samples and ends there.
fn drained<M: RawAccess>(memory: &M, consumer: u64, mut end: u64, expected: &[Vec<u8>]) {
    if end < consumer {
        // Across 2^64 the kernel falls silent, but not on the same bytes 2^63 positions further on.
        end = end.wrapping_sub(1 << 63);
        // SAFETY: there are no samples of this ring.
        unsafe {
            memory.set_consumer(consumer.wrapping_sub(1 << 63));
            memory.set_producer(end);
        }
    }
    let kernel = FakeKernel::new(memory);
    let mut count = 0;
    loop {
        let drained = kernel.drain(0, |sample| {
            assert_eq!(Some(sample), expected.get(count).map(Vec::as_slice), "sample {count}");
            count += 1;
            std::ops::ControlFlow::Continue(())
        });
        assert!(drained.returned.is_ok(), "{drained:?}");
        if drained.consumed == 0 {
            break;
        }
    }
    assert_eq!((count, memory.kernel_load_consumer()), (expected.len(), end));
}
