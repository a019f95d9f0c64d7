//! What a producer says about the ring: used, free, positions, what was consumed.

use user_ringbuf_kit::needs_bpf;
use user_ringbuf_kit::random::pattern;
use user_ringbuf_linux::{MappingView, RingPositions, Role};
use user_ringbuf_tests::ring::{Ring, page};

#[test]
fn used_and_free_count_whole_records_and_add_up_to_the_ring() {
    needs_bpf!();
    let mut ring = Ring::of_a_page();
    let mut producer = ring.producer();
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
fn submit_says_where_the_record_ends_and_is_consumed_says_when_the_kernel_has_it() {
    needs_bpf!();
    let mut ring = Ring::of_a_page();
    let mut producer = ring.producer();
    let start = producer.position();
    assert!(producer.is_consumed(start), "nothing to wait for");
    let first = producer.push(b"1").unwrap();
    let second = producer.push(b"12345678 and more").unwrap();
    assert_eq!((first.get(), second.get()), (16, 48));
    assert_eq!(producer.position(), second);
    assert!(!producer.is_consumed(first));
    ring.drain_some(1);
    assert!(producer.is_consumed(first) && !producer.is_consumed(second));
    ring.drain();
    assert!(producer.is_consumed(second));
}

#[test]
fn positions_go_on_across_laps_and_agree_with_a_read_only_view() {
    needs_bpf!();
    let mut ring = Ring::of_a_page();
    let view = MappingView::new(&ring.map).unwrap();
    let mut producer = ring.producer();
    for number in 0..500 {
        let end = producer.push(&pattern(number, number)).unwrap();
        assert_eq!(view.load_producer(Role::ObserveProducer), end);
        assert!(!producer.is_consumed(end));
        ring.drain();
        assert_eq!(view.load_consumer(), end);
        assert!(producer.is_consumed(end));
    }
    assert!(producer.position().get() > 25 * u64::from(producer.ring_size().bytes()));
}

#[test]
fn a_shared_producer_knows_where_everything_reserved_ends() {
    needs_bpf!();
    let mut ring = Ring::of_a_page();
    let mapping = ring.mapping();
    let shared = user_ringbuf_linux::Shared::attach(&mapping).unwrap();
    let first = shared.reserve(5).unwrap();
    assert_eq!(shared.position().get(), 16);
    let end = shared.push(b"x").unwrap();
    assert_eq!((end, shared.position()), (shared.position(), end));
    assert!(!shared.is_consumed(end));
    first.submit();
    ring.drain();
    assert!(shared.is_consumed(end));
}
