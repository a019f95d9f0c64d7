//! Any ring image, any positions: after a repair the fake kernel drains it to empty without an error, and no submitted
//! record is lost that a walk could reach.

use user_ringbuf_sim::{Corruption, Producer, Repair, RingMemory, plan_repair, repair};
use user_ringbuf_sim::{FakeKernel, RawAccess};

use crate::picture::{Judge, Picture};
use crate::source::Source;

/// What one input does.
///
/// # Panics
/// Where the repair, or what it left, is wrong.
pub fn run(bytes: &[u8]) {
    let picture = Picture::take(Source::new(bytes));
    picture.show(Repaired { picture: &picture });
}

struct Repaired<'p> {
    picture: &'p Picture,
}

impl Judge for Repaired<'_> {
    fn judge<M: RingMemory + RawAccess>(self, memory: &M) {
        let picture = self.picture;
        let mut planned = Vec::new();
        let plan = plan_repair(&memory.view(), |repair| planned.push(repair));
        let (size, consumer, producer) = (picture.size, picture.consumer, picture.producer);
        let mut expected = Vec::new();
        let word = |offset| memory.kernel_load_header(offset).word();
        let place = expect(size.bytes(), consumer, producer, word, |offset, len| {
            let mut sample = Vec::new();
            memory.kernel_read_sample((offset + size.bytes() - 8) % size.bytes(), len, &mut sample);
            expected.push(sample);
        });
        let mut done = Vec::new();
        // SAFETY: the ring was painted just now, and nobody produces into it.
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

/// What a drain to the end brings, and where it ends.
fn drained<M: RawAccess>(memory: &M, consumer: u64, mut end: u64, expected: &[Vec<u8>]) {
    if end < consumer {
        // Across 2^64 the kernel falls silent. The same bytes half of all positions further on, it does not.
        end = end.wrapping_sub(1 << 63);
        // SAFETY: nobody has a sample of this ring.
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

/// What a repair has to leave of a ring of `size` bytes: shows the samples that must not be lost, submitted ones that
/// a walk from the consumer on can reach, and answers where the producer position has to be. `word` reads the length
/// word at an offset of the data area, a multiple of 8 below the size; `sample` gets the offset of a sample's first
/// byte, below the size, and its length.
///
/// Says nothing where the consumer position is not a multiple of 8: that can't be repaired.
pub fn expect(
    size: u32,
    consumer: u64,
    producer: u64,
    word: impl Fn(u32) -> u32,
    mut sample: impl FnMut(u32, u32),
) -> u64 {
    let ahead = producer.wrapping_sub(consumer);
    let room = match ahead {
        _ if ahead <= u64::from(size) => ahead - ahead % 8,
        // Too far ahead, the ring may be full; behind, it is empty.
        _ if ahead < 1 << 63 => size.into(),
        _ => 0,
    };
    let (mut at, mut left) = (consumer & !7, room);
    while left > 0 {
        let offset = u32::try_from(at % u64::from(size)).unwrap_or(0);
        let word = word(offset);
        let len = word % (1 << 30);
        let total = 8 + u64::from(len).div_ceil(8) * 8;
        if total > left {
            break;
        }
        if word >> 30 == 0 && len < 1 << 24 {
            sample((offset + 8) % size, len);
        }
        at = at.wrapping_add(total);
        left -= total;
    }
    consumer.wrapping_add(room)
}
