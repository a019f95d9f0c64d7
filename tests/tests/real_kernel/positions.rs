//! What a producer says about the ring: used, free, positions, what was consumed.

use user_ringbuf_kit::needs_bpf;
use user_ringbuf_kit::random::pattern;
use user_ringbuf_linux::{MappingView, RingPositions, Role};
use user_ringbuf_tests::ring::{Ring, page};

use crate::page_ring;

#[test]
fn used_and_free_count_whole_records_and_add_up_to_the_ring() {
    needs_bpf!();
    let (mut ring, mut producer) = page_ring();
    let size = producer.ring_size().bytes();
    assert_eq!(usize::try_from(size), Ok(page()));
    assert_eq!((producer.used(), producer.free()), (Ok(0), Ok(size)));
    producer.push(b"123").unwrap();
    assert_eq!((producer.used(), producer.free()), (Ok(16), Ok(size - 16)));
    producer.push(b"").unwrap();
    assert_eq!((producer.used(), producer.free()), (Ok(24), Ok(size - 24)));
    let detached = producer.reserve_detached(9).unwrap();
    assert_eq!(producer.used(), Ok(48), "busy records count");
    producer.reserve(9).unwrap().discard();
    assert_eq!(producer.used(), Ok(48), "late published ones don't before submit");
    drop(detached);
    ring.drain_some(1);
    assert_eq!(producer.used(), Ok(32));
    ring.drain();
    assert_eq!((producer.used(), producer.free()), (Ok(0), Ok(size)));
}

#[test]
fn positions_go_on_across_laps_and_agree_with_a_read_only_view() {
    needs_bpf!();
    let mut ring = Ring::of_a_page();
    let view = MappingView::new(&ring.map).unwrap();
    let mut producer = ring.producer();
    let many_laps = 25 * u64::from(producer.ring_size().bytes());
    for number in (0..).take_while(|_| view.load_producer(Role::ObserveProducer).get() < many_laps) {
        let end = producer.push(&pattern(number, number % 500)).unwrap();
        assert_eq!(view.load_producer(Role::ObserveProducer), end);
        assert!(!producer.is_consumed(end));
        ring.drain();
        assert_eq!(view.load_consumer(), end);
        assert!(producer.is_consumed(end));
    }
}
