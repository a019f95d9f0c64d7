//! The ring's bytes beside a layout written out by hand, for either byte order: no arithmetic of ours says what to expect.
//!
//! Nothing drains here, so this also runs where no program that drains can be loaded.

use user_ringbuf_kit::needs_bpf;
use user_ringbuf_kit::raw::RawRing;
use user_ringbuf_linux::{Mapping, Producer, RingMemory};
use user_ringbuf_sim::{HeapMemory, RawAccess};
use user_ringbuf_tests::kernel::ring;

/// A sample of five bytes, an empty one, one that was discarded, and one that is still busy.
#[cfg(target_endian = "little")]
#[rustfmt::skip]
const EXPECTED: [u8; 56] = [
    5, 0, 0, 0,     0, 0, 0, 0,   b'h', b'e', b'l', b'l', b'o', 0, 0, 0,
    0, 0, 0, 0,     0, 0, 0, 0,
    8, 0, 0, 0x40,  0, 0, 0, 0,   b'n', b'o', 0, 0, 0, 0, 0, 0,
    3, 0, 0, 0x80,  0, 0, 0, 0,   b'y', b'e', b't', 0, 0, 0, 0, 0,
];

/// The same with the most significant byte first.
#[cfg(target_endian = "big")]
#[rustfmt::skip]
const EXPECTED: [u8; 56] = [
    0, 0, 0, 5,     0, 0, 0, 0,   b'h', b'e', b'l', b'l', b'o', 0, 0, 0,
    0, 0, 0, 0,     0, 0, 0, 0,
    0x40, 0, 0, 8,  0, 0, 0, 0,   b'n', b'o', 0, 0, 0, 0, 0, 0,
    0x80, 0, 0, 3,  0, 0, 0, 0,   b'y', b'e', b't', 0, 0, 0, 0, 0,
];

/// Writes the samples, and hands them over while the last one is busy.
fn produce<M: RingMemory + Clone>(memory: M, look: impl FnOnce()) {
    let mut producer = Producer::attach(memory).unwrap();
    producer.push(b"hello").unwrap();
    producer.push(b"").unwrap();
    producer.reserve_detached(2).unwrap().write(0, b"no").unwrap();
    let mut busy = producer.reserve_detached(3).unwrap();
    busy.write(0, b"yet").unwrap();
    look();
    busy.submit();
}

#[test]
fn the_kernels_ring_holds_the_bytes_written_out_by_hand() {
    needs_bpf!();
    let map = ring(1).unwrap();
    let raw = RawRing::new(&map);
    produce(&Mapping::new(&map).unwrap(), || {
        assert_eq!(raw.bytes(0, EXPECTED.len()), EXPECTED);
        assert_eq!(raw.producer_pos(), 56);
    });
}

#[test]
fn the_simulated_ring_holds_the_bytes_written_out_by_hand() {
    let memory = HeapMemory::new(64).unwrap();
    produce(&memory, || {
        assert_eq!(memory.snapshot().data()[..EXPECTED.len()], EXPECTED);
    });
}
