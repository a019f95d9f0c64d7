//! Any ring image, any positions: after a repair the fake kernel drains it to empty without an error, and no submitted
//! record is lost that a walk could reach.

use user_ringbuf_sim::core::{Corruption, Position, Producer, Repair, RingMemory, plan_repair, repair};
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
        let plan = plan_repair(memory, |repair| planned.push(repair));
        let expected = submitted(picture, memory);
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
        assert_eq!(memory.kernel_load_consumer(), picture.consumer);
        for repair in &done {
            if let Repair::ProducerMoved { from, to } = repair {
                assert_eq!((from.get(), to.get()), (picture.producer, end));
            }
        }
        again(memory);
        if end >= picture.consumer {
            drained(memory, end, &expected);
        }
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

fn drained<M: RawAccess>(memory: &M, end: u64, expected: &[Vec<u8>]) {
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

/// The submitted samples that a walk from the consumer on can reach, before the repair: up to where the producer may be at most, and over everything whose length can be.
fn submitted<M: RawAccess>(picture: &Picture, memory: &M) -> Vec<Vec<u8>> {
    let size = picture.size.bytes_u64();
    let ahead = picture.producer.wrapping_sub(picture.consumer);
    let mut left = match ahead {
        _ if ahead <= size => ahead - ahead % 8,
        // Too far ahead, the ring may be full; behind, it is empty.
        _ if ahead < 1 << 63 => size,
        _ => 0,
    };
    let (mut at, mut found) = (Position::new(picture.consumer & !7), Vec::new());
    while left > 0 {
        let word = memory.kernel_load_header(at.offset(picture.size)).word();
        let len = word % (1 << 30);
        let total = 8 + u64::from(len).div_ceil(8) * 8;
        if total > left {
            break;
        }
        if word >> 30 == 0 && len < 1 << 24 {
            let mut sample = Vec::new();
            memory.kernel_read_sample(at.offset(picture.size), len, &mut sample);
            found.push(sample);
        }
        at = at.advance(total);
        left -= total;
    }
    found
}
