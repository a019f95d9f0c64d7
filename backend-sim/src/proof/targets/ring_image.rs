//! Any bytes as a ring, any positions: the fake kernel drains as the second reading says, and a producer attaches, or
//! says why it can't.

use std::ops::ControlFlow;

use user_ringbuf_core::{AttachError, Position, Producer, RingMemory, Survey, Verdict};

use crate::proof::input::{Judge, Picture, Source};
use crate::proof::second_reading::{DrainCall, End, Reading, Ring, read};
use crate::{FakeKernel, KernelMemory, RawAccess};

/// Rings up to this size have their samples compared byte by byte.
const SMALL: u32 = 1 << 16;

/// What one input does.
///
/// # Panics
/// Where the fake kernel, the walk or the producer is wrong.
pub fn run(bytes: &[u8]) {
    let mut source = Source::new(bytes);
    let calls = (0..=source.byte() % 3).map(|_| call(&mut source)).collect();
    Picture::take(source).show(DrainJudge { calls });
}

fn call(source: &mut Source<'_>) -> DrainCall {
    let flags = match source.byte() {
        255 => source.u64(),
        code => u64::from(code & 3) | if code & 0x70 == 0x70 { 1 << (code & 15) } else { 0 },
    };
    DrainCall { flags, stop_after: source.byte().into() }
}

struct DrainJudge {
    calls: Vec<DrainCall>,
}

impl Judge for DrainJudge {
    fn judge<M: RingMemory + RawAccess>(self, picture: &Picture, memory: &M) {
        survey(picture, memory);
        attach(picture, memory);
        for call in self.calls {
            // Behind so many records comes more of the same.
            if drain(memory, call).end == End::Cap {
                return;
            }
        }
        // Out of place, a producer position may promise records without end.
        if picture.is_in_place() {
            drain(memory, DrainCall { flags: 1, stop_after: 0 });
        }
    }
}

fn ring<M: RawAccess>(memory: &M) -> Ring<impl Fn(u32) -> u32> {
    let (consumer, producer) = (memory.kernel_load_consumer(), memory.kernel_load_producer());
    let size = KernelMemory::size(memory).bytes();
    Ring { size, consumer, producer, word: |offset| memory.kernel_load_header(offset).word() }
}

/// The fake kernel drains as the second reading says.
fn drain<M: RawAccess>(memory: &M, call: DrainCall) -> Reading {
    let mut expected = Vec::new();
    let reading = read(&ring(memory), call, |offset, len| expected.push((offset, len)));
    let before = (ring(memory).size <= SMALL).then(|| memory.snapshot());
    let kernel = FakeKernel::new(memory);
    let mut expected = expected.iter();
    let mut count = 0;
    let drained = kernel.drain(call.flags, |sample| {
        let (offset, len) = expected.next().unwrap_or_else(|| panic!("sample {count} is one too many"));
        match &before {
            Some(image) => {
                let bytes = image.read(*offset, sample.len()).unwrap_or_else(|error| panic!("{error}"));
                assert_eq!((sample, sample.len()), (&bytes[..], *len as usize), "sample {count}");
            }
            None => assert_eq!(sample.len(), *len as usize, "sample {count}"),
        }
        count += 1;
        if count == call.stop_after { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
    });
    assert_eq!(expected.len(), 0, "samples are missing");
    let found = (drained.code(), memory.kernel_load_consumer(), drained.consumed, drained.discarded, drained.woke);
    let consumed = reading.samples + reading.discarded;
    assert_eq!(found, (reading.returned, reading.consumer, consumed, reading.discarded, reading.wakes), "{reading:?}");
    if let Some(mut before) = before {
        before.consumer = memory.kernel_load_consumer();
        assert_eq!(memory.snapshot(), before, "a drain stores nothing but the consumer position");
    }
    reading
}

/// What an observer says is what the kernel will do.
fn survey<M: RingMemory + RawAccess>(picture: &Picture, memory: &M) {
    let survey = Survey::of(&memory.view());
    if !picture.is_in_place() {
        assert!(matches!(survey.verdict, Verdict::Misplaced { .. }), "{survey:?}");
        return;
    }
    let bytes: u64 =
        [survey.submitted, survey.busy, survey.discarded, survey.damaged].iter().map(|tally| tally.bytes).sum();
    assert_eq!(picture.producer.wrapping_sub(picture.consumer), bytes, "{survey:?}");
    if picture.producer < picture.consumer {
        // Across 2^64, where the kernel falls silent.
        return;
    }
    let reading = read(&ring(memory), DrainCall { flags: 1, stop_after: 0 }, |_, _| ());
    if reading.end == End::Cap {
        return;
    }
    assert_eq!(survey.ready, u64::from(reading.samples + reading.discarded), "{survey:?}");
    let agrees = match survey.verdict {
        Verdict::Empty => reading.end == End::Empty && survey.ready == 0,
        Verdict::Flowing => reading.end == End::Empty && survey.ready > 0,
        Verdict::Held { record } => reading.end == End::Busy && record.start.get() == reading.consumer,
        Verdict::Jammed { damage } => {
            (-i64::from(damage.kernel_error().errno()), damage.start().get()) == (reading.returned, reading.consumer)
        }
        _ => false,
    };
    assert!(agrees, "{survey:?}, {reading:?}");
}

/// A producer attaches to a ring that is in order, and to no other; what it writes comes out.
fn attach<M: RingMemory + RawAccess>(picture: &Picture, memory: &M) {
    let survey = Survey::of(&memory.view());
    let mut producer = match Producer::attach(memory) {
        Ok(producer) => producer,
        Err(AttachError::Corrupted(_)) => {
            assert!(!picture.is_in_place(), "{picture:?}");
            return;
        }
        Err(error @ (AttachError::Busy { .. } | AttachError::Damaged { .. })) => {
            assert!(survey.busy.records + survey.damaged.records > 0, "{error}, but {survey:?}");
            return;
        }
        Err(error) => panic!("{error}"),
    };
    assert!(picture.is_in_place(), "{picture:?}");
    assert_eq!(survey.busy.records + survey.damaged.records, 0, "{survey:?}");
    let (used, free) = (producer.used(), producer.free());
    let bytes = picture.producer.wrapping_sub(picture.consumer);
    assert_eq!(used.map(u64::from), Ok(bytes));
    assert_eq!(free.map(u64::from), Ok(picture.size.bytes_u64() - bytes));
    let sample = *b"by the producer";
    let room = picture.size.bytes_u64() - bytes;
    let pushed = producer.push(&sample);
    if room < 24 {
        pushed.unwrap_err();
        return;
    }
    let end = picture.producer.wrapping_add(24);
    assert_eq!(pushed, Ok(Position::new(end)));
    assert_eq!(memory.kernel_load_producer(), end);
    let mut last = Vec::new();
    let kernel = FakeKernel::new(memory);
    while kernel
        .drain(1, |sample| {
            last.clear();
            last.extend_from_slice(sample);
            ControlFlow::Continue(())
        })
        .consumed
        > 0
    {}
    // Across 2^64 the kernel falls silent.
    if end > picture.consumer {
        assert_eq!(last, sample);
        assert_eq!(memory.kernel_load_consumer(), end);
    }
    // As it was, for what comes next.
    // SAFETY: the producer has no sample left, and used none as a slice.
    unsafe {
        memory.set_consumer(picture.consumer);
        memory.set_producer(picture.producer);
    }
}
