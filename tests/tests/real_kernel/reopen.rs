//! Coming back to a ring: by pin, by id, by another handle, while it is in use.

use user_ringbuf_kit::bpffs::Bpffs;
use user_ringbuf_kit::random::pattern;
use user_ringbuf_kit::{needs_admin, needs_bpf};
use user_ringbuf_linux::{Map, Mapping, Producer};
use user_ringbuf_tests::ring::{Ring, page};

#[test]
fn a_ring_reopened_by_its_id_or_its_pin_goes_on_where_the_last_producer_stopped() {
    needs_admin!();
    let bpffs = Bpffs::mount();
    let path = bpffs.path("ring");
    let mut ring = Ring::new(8192);
    ring.map.pin(&path).unwrap();
    // In the middle of a lap, partly drained.
    let mut producer = ring.producer();
    for number in 0..200 {
        producer.push(&pattern(number, 40)).unwrap();
        if number < 195 {
            assert_eq!(ring.drain().len(), 1);
        }
    }
    let (position, used) = (producer.position(), producer.used());
    drop(producer);

    let by_id = Map::from_id(ring.map.id()).unwrap();
    let mut producer = Producer::attach(Mapping::new(&by_id).unwrap()).unwrap();
    assert_eq!((producer.position(), producer.used()), (position, used));
    let stopped = producer.push(b"by its id").unwrap();
    drop((producer, by_id, ring));

    let by_pin = Map::from_pin(&path).unwrap();
    assert_eq!(by_pin.size(), u32::try_from(8192.max(page())).unwrap(), "the size is the kernel's");
    let mut ring = Ring::of(by_pin, 4096);
    let mut producer = ring.producer();
    assert_eq!(producer.position(), stopped);
    producer.push(b"by its pin").unwrap();
    let expected: Vec<_> = (195..200).map(|number| pattern(number, 40)).collect();
    assert_eq!(ring.drain(), [&expected[..], &[b"by its id".to_vec(), b"by its pin".to_vec()]].concat());
}

#[test]
fn a_producer_attaches_to_a_ring_that_is_full_and_waits_its_turn() {
    needs_bpf!();
    let mut ring = Ring::of_a_page();
    let mapping = ring.mapping();
    let mut first = Producer::attach(&mapping).unwrap();
    first.push(&pattern(1, page() - 8)).unwrap();
    drop(first);
    let mut second = Producer::attach(&mapping).unwrap();
    assert!(second.push(b"").unwrap_err().is_full());
    assert_eq!(ring.drain(), [pattern(1, page() - 8)]);
    second.push(b"now").unwrap();
    assert_eq!(ring.drain(), [b"now"]);
}

#[test]
fn a_producer_attaches_to_what_another_make_of_producer_left() {
    needs_bpf!();
    let mut ring = Ring::of_a_page();
    let raw = ring.raw();
    let end = raw.write_record(0, 0, b"foreign");
    let end = raw.write_record(end, user_ringbuf_kit::raw::DISCARD, b"no");
    raw.set_producer_pos(end);
    let mut producer = ring.producer();
    assert_eq!((producer.position().get(), producer.used()), (32, Ok(32)));
    producer.push(b"ours").unwrap();
    assert_eq!(ring.drain(), [&b"foreign"[..], b"ours"]);
}

#[test]
fn two_rings_at_once_keep_their_samples_apart() {
    needs_bpf!();
    let (mut one, mut two) = (Ring::of_a_page(), Ring::new(16384));
    let (mapping_one, mapping_two) = (one.mapping(), two.mapping());
    let mut producer_one = Producer::attach(&mapping_one).unwrap();
    let mut producer_two = Producer::attach(&mapping_two).unwrap();
    let mut outstanding = producer_two.reserve_detached(3).unwrap();
    for number in 0..30 {
        producer_one.push(&pattern(number, 10)).unwrap();
        producer_two.push(&pattern(100 + number, 90)).unwrap();
    }
    outstanding.copy_from_slice(b"two");
    outstanding.submit();
    assert_eq!(one.drain(), (0..30).map(|number| pattern(number, 10)).collect::<Vec<_>>());
    let mut expected = vec![b"two".to_vec()];
    expected.extend((100..130).map(|number| pattern(number, 90)));
    assert_eq!(two.drain(), expected);
}

#[test]
fn a_mapping_outlives_the_handle_of_its_map() {
    needs_bpf!();
    let Ring { map, .. } = Ring::of_a_page();
    let mapping = Mapping::new(&map).unwrap();
    drop(map);
    let mut producer = Producer::attach(&mapping).unwrap();
    for _ in 0..page() / 16 {
        producer.push(b"8 bytes.").unwrap();
    }
    assert_eq!(producer.free(), Ok(0));
}
