//! The shared producer: many threads, one ring.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use user_ringbuf_kit::needs_bpf;
use user_ringbuf_kit::random::pattern;
use user_ringbuf_linux::{Mapping, Shared};
use user_ringbuf_tests::ring::{Consumer, Ring};

#[test]
fn pushed_samples_arrive() {
    needs_bpf!();
    let mut ring = Ring::of_a_page();
    let shared = Shared::attach(ring.mapping()).unwrap();
    shared.push(b"one").unwrap();
    let mut sample = shared.reserve(3).unwrap();
    sample.copy_from_slice(b"two");
    sample.submit();
    shared.reserve(100).unwrap().submit_len(0).unwrap();
    shared.reserve(5).unwrap().discard();
    drop(shared.reserve(6).unwrap());
    assert_eq!(ring.drain(), [&b"one"[..], b"two", b""]);
    assert_eq!(ring.raw().consumer_pos(), shared.position().get());
}

/// Threads that each push numbered samples while the kernel drains: nothing is lost, doubled, torn or out of order.
fn many_threads(ring_size: u64, threads: usize, each: u32, send: impl Fn(&Shared<Mapping>, &[u8], &Consumer) + Sync) {
    let mut ring = Ring::new(ring_size);
    let shared = Shared::attach(ring.mapping()).unwrap();
    let sample = |thread: usize, number: u32| {
        let mut sample = pattern(thread + 31 * usize::try_from(number).unwrap(), 7);
        sample.push(u8::try_from(thread).unwrap());
        sample.extend_from_slice(&number.to_ne_bytes());
        // Lengths from 12 to 75.
        sample.extend(std::iter::repeat_n(0xa5, usize::try_from(number % 64).unwrap()));
        sample
    };
    let produce = |thread: usize, consumer: &Consumer| {
        (0..each).for_each(|number| send(&shared, &sample(thread, number), consumer));
    };
    let mut next = vec![0_u32; threads];
    ring.drain_while(threads, produce, 1000, |samples| {
        for got in samples {
            let thread = usize::from(got[7]);
            assert_eq!(got, sample(thread, next[thread]));
            next[thread] += 1;
        }
    });
    assert_eq!(next, vec![each; threads]);
}

#[test]
fn many_threads_push_and_nothing_is_lost_doubled_torn_or_out_of_a_threads_order() {
    needs_bpf!();
    // The smallest ring is nearly always full.
    for (ring_size, threads, each) in [(1 << 16, 6, 20_000), (1, 4, 10_000)] {
        many_threads(ring_size, threads, each, |shared, sample, consumer| {
            consumer.retry(|| shared.push(sample));
        });
    }
}

#[test]
fn threads_that_discard_and_shorten_disturb_no_other_thread() {
    needs_bpf!();
    let turn = AtomicUsize::new(0);
    many_threads(1 << 14, 4, 10_000, |shared, bytes, consumer| {
        loop {
            let mut sample = consumer.retry(|| shared.reserve(bytes.len() + bytes.len() % 17));
            // Relaxed: only that every third is dropped, whosever it is.
            if turn.fetch_add(1, Ordering::Relaxed) % 3 != 0 {
                sample.write(0, bytes).unwrap();
                sample.submit_len(bytes.len()).unwrap();
                return;
            }
        }
    });
}

#[test]
fn lanes_of_a_shared_producer_publish_by_themselves() {
    needs_bpf!();
    let mut ring = Ring::new(1 << 16);
    let shared = Arc::new(Shared::attach(Arc::new(ring.mapping())).unwrap());
    let threads: Vec<_> = (0..4_u8)
        .map(|thread| {
            let shared = shared.clone();
            std::thread::spawn(move || {
                for round in 0..5_u8 {
                    let mut lane = if round % 2 == 0 {
                        shared.lane_owned(500).unwrap()
                    } else {
                        shared.reserve_owned(500).unwrap().into_lane()
                    };
                    for number in 0..20 {
                        lane.push(&[thread, round * 20 + number]).unwrap();
                    }
                }
            })
        })
        .collect();
    for thread in threads {
        thread.join().unwrap();
    }
    let seen = ring.drain();
    assert_eq!(seen.len(), 400);
    for thread in 0..4 {
        let own: Vec<_> = seen.iter().filter(|sample| sample[0] == thread).map(|sample| sample[1]).collect();
        assert_eq!(own, (0..100).collect::<Vec<_>>(), "thread {thread}");
    }
    let mut lane = shared.lane(16).unwrap();
    lane.push(b"by reference").unwrap();
    lane.close();
    assert_eq!(ring.drain(), [b"by reference"]);
}
