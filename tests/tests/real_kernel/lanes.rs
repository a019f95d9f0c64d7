//! Lanes: a thread's own stretch, split into samples that are visible one by one.

use user_ringbuf_kit::needs_bpf;
use user_ringbuf_kit::random::pattern;
use user_ringbuf_kit::raw::{BUSY, DISCARD};
use user_ringbuf_tests::ring::{Ring, page};

use crate::page_ring;

#[test]
fn what_lies_behind_an_open_lane_waits_until_it_is_closed() {
    needs_bpf!();
    let (mut ring, mut producer) = page_ring();
    let raw = ring.raw();
    let mut lane = producer.lane(200).unwrap();
    producer.push(b"behind").unwrap();
    lane.push(b"in front").unwrap();
    assert_eq!(ring.drain(), [b"in front"]);
    assert_eq!(raw.records()[0].word, BUSY | 184, "what is left of it");
    lane.close();
    assert_eq!(raw.records()[0].word, DISCARD | 184);
    assert_eq!(ring.drain(), [b"behind"]);
}

#[test]
fn lanes_of_several_threads_interleave_and_lose_nothing() {
    needs_bpf!();
    let mut ring = Ring::new(1 << 16);
    let mut producer = ring.producer();
    let lanes: Vec<_> = (0..4_u8).map(|thread| (thread, producer.lane(4000).unwrap())).collect();
    std::thread::scope(|scope| {
        for (thread, mut lane) in lanes {
            scope.spawn(move || {
                for number in 0..100_u8 {
                    lane.push(&[thread, number]).unwrap();
                }
            });
        }
    });
    let expected: Vec<_> = (0..4).flat_map(|thread| (0..100).map(move |number| vec![thread, number])).collect();
    assert_eq!(ring.drain(), expected, "lane by lane, each in its own order");
}

#[test]
fn a_lane_wraps_and_may_be_as_large_as_the_ring() {
    needs_bpf!();
    let (mut ring, mut producer) = page_ring();
    for round in 0..50 {
        producer.push(&pattern(round, round)).unwrap();
        assert_eq!(ring.drain().len(), 1);
        let mut lane = producer.lane(page() - 8).unwrap();
        let mut sent = Vec::new();
        while let Ok(mut sample) = lane.reserve(100 + round) {
            sent.push(pattern(sent.len(), 100 + round));
            sample.copy_from_slice(&sent[sent.len() - 1]);
            sample.submit();
        }
        lane.close();
        assert_eq!(ring.drain(), sent, "round {round}");
    }
}
