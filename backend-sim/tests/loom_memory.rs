//! What the tracked memory catches, and what it lets pass: each way of breaking the protocol by hand.
#![cfg(feature = "loom")]
#![expect(unsafe_code, reason = "breaks the memory's contract on purpose")]

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;

use loom::thread;
use user_ringbuf_sim::loom::{LoomMemory, STALE_BYTE, STALE_LEN};
use user_ringbuf_sim::{Header, Position, Producer, RingMemory, RingSize, RingView};
use user_ringbuf_sim::{KernelMemory, Orderings};

fn ring(bytes: u64) -> Arc<LoomMemory> {
    Arc::new(LoomMemory::new(RingSize::new(bytes).expect("a power of two"), Orderings::of_the_protocol()))
}

/// Runs `writer` beside `kernel` in every interleaving, and says what loom found.
fn race(writer: fn(&LoomMemory), kernel: fn(&LoomMemory)) -> Result<(), String> {
    let outcome = catch_unwind(AssertUnwindSafe(|| {
        loom::model(move || {
            let memory = ring(32);
            let other = Arc::clone(&memory);
            let thread = thread::spawn(move || writer(&other));
            kernel(&memory);
            thread.join().expect("no panic");
        });
    }));
    outcome.map_err(|panic| match panic.downcast::<String>() {
        Ok(message) => *message,
        Err(panic) => (*panic.downcast::<&str>().expect("a message")).to_owned(),
    })
}

fn sample(memory: &LoomMemory, offset: u32, len: u32) -> Vec<u8> {
    let mut bytes = Vec::new();
    memory.kernel_read_sample(offset, len, &mut bytes);
    bytes
}

#[test]
fn a_header_written_after_the_position_is_a_race_with_the_kernels_look() {
    let found = race(
        |memory| {
            // SAFETY: the offset is sound; that the header comes too late is what the test is about.
            unsafe {
                memory.publish_producer(Position::new(16));
                memory.write_header(0, Header::submitted(8));
            }
        },
        |memory| {
            if memory.kernel_load_producer() == 16 {
                memory.kernel_load_header(0);
            }
        },
    );
    assert!(found.unwrap_err().contains("Causality violation"));
}

#[test]
fn a_sample_written_after_its_commit_is_a_race_with_the_kernels_reading() {
    let found = race(
        |memory| {
            // SAFETY: the offsets are sound; that the sample comes too late is what the test is about.
            unsafe {
                memory.write_header(0, Header::busy(8));
                memory.publish_producer(Position::new(16));
                memory.commit_header(0, Header::submitted(8));
                memory.write_payload(0, 0, b"too late");
            }
        },
        |memory| {
            if memory.kernel_load_producer() == 16 && memory.kernel_load_header(0) == Header::submitted(8) {
                sample(memory, 0, 8);
            }
        },
    );
    assert!(found.unwrap_err().contains("Causality violation"));
}

#[test]
fn a_sample_overwritten_before_it_is_consumed_is_a_race_with_the_kernels_reading() {
    let found = race(
        |memory| {
            // SAFETY: the offset is sound; that the place is not free is what the test is about.
            unsafe { memory.write_payload(0, 0, b"too soon") };
        },
        |memory| {
            sample(memory, 0, 8);
            // SAFETY: this memory lends no slices.
            unsafe { memory.kernel_store_consumer(16) };
        },
    );
    assert!(found.unwrap_err().contains("Causality violation"));
}

#[test]
fn a_kernel_that_looks_at_a_busy_header_while_it_is_committed_is_in_order() {
    let found = race(
        |memory| {
            // SAFETY: the offsets are sound, and the protocol is kept.
            unsafe {
                memory.write_header(0, Header::busy(8));
                memory.publish_producer(Position::new(16));
                memory.write_payload(0, 0, b"in order");
                memory.commit_header(0, Header::submitted(8));
            }
        },
        |memory| {
            if memory.kernel_load_producer() == 16 {
                let header = memory.kernel_load_header(0);
                assert!([Header::busy(8), Header::submitted(8)].contains(&header), "{header:?}");
                if header == Header::submitted(8) {
                    assert_eq!(sample(memory, 0, 8), b"in order");
                }
            }
        },
    );
    assert_eq!(found, Ok(()));
}

#[test]
fn a_ring_begins_with_what_an_earlier_lap_may_have_left() {
    loom::model(|| {
        let memory = ring(16);
        assert_eq!(memory.kernel_load_header(8), Header::submitted(STALE_LEN));
        assert_eq!(sample(&memory, 0, 8)[4..], [STALE_BYTE; 4]);
    });
}

#[test]
fn samples_of_every_length_at_every_place_come_out_as_they_went_in_also_across_the_end() {
    loom::model(|| {
        let memory = ring(32);
        for offset in [0, 8, 16, 24] {
            for len in 0..=24 {
                let bytes: Vec<u8> = (1..=len).collect();
                // SAFETY: the offset is sound, and there is no other thread.
                unsafe { memory.write_payload(offset, 0, &bytes) };
                assert_eq!(sample(&memory, offset, len.into()), bytes);
            }
            // SAFETY: as above.
            unsafe { memory.fill_payload(offset, 3, b'x', 11) };
            let mut expected: Vec<u8> = (1..=24).collect();
            expected[3..14].fill(b'x');
            assert_eq!(sample(&memory, offset, 24), expected);
        }
    });
}

#[test]
fn payload_bytes_stand_where_a_header_would_be_read() {
    loom::model(|| {
        let memory = ring(32);
        // SAFETY: the offset is sound, and there is no other thread.
        let header = unsafe {
            memory.write_payload(0, 8, &Header::busy(17).with_pad().to_ne_bytes());
            memory.load_header(16)
        };
        assert_eq!(header, Header::busy(17));
    });
}

#[test]
fn one_producer_at_a_time_may_attach() {
    loom::model(|| {
        let memory = ring(16);
        let first = Producer::attach(Arc::clone(&memory)).expect("a new ring");
        assert!(Producer::attach(Arc::clone(&memory)).is_err());
        drop(first);
        assert!(Producer::attach(memory).is_ok());
    });
}

#[test]
fn outside_a_model_loom_says_what_is_wrong() {
    let size = RingSize::new(16).expect("a power of two");
    let made = catch_unwind(|| LoomMemory::new(size, Orderings::of_the_protocol()));
    let message = *made.unwrap_err().downcast::<&str>().expect("a message");
    assert!(message.contains("outside a Loom model"), "{message}");
}
