//! Observers beside a producer and a drainer: for ThreadSanitizer and for Miri, and a test without them.
//!
//! A view reads the addresses that a producer writes plainly, or it does not; that is what the tools see. What a walk
//! says must hold too: beside a working producer a ring is empty, flows or is held, and never damaged.

use std::sync::atomic::{AtomicU64, Ordering};
use std::thread;

use user_ringbuf_sim::{FakeKernel, HeapMemory, RawAccess};
use user_ringbuf_sim::{Producer, Records, RingMemory, RingView, Survey, Verdict, plan_repair};

/// Miri is some thousand times slower.
const SAMPLES: u64 = if cfg!(miri) { 60 } else { 20_000 };

fn look(view: &impl RingView) -> u64 {
    let survey = Survey::of(view);
    assert!(matches!(survey.verdict, Verdict::Empty | Verdict::Flowing | Verdict::Held { .. }), "{survey:?}");
    plan_repair(view, |_| ()).unwrap();
    Records::new(view).unwrap().map(Result::unwrap).fold(0, |count, _| count + 1)
}

fn observers_see_a_working_ring<M: RingMemory + RawAccess + Sync>(memory: &M) {
    let (sent, seen) = (AtomicU64::new(0), AtomicU64::new(0));
    // On a busy machine the producer may be done before an observer has had its turn.
    let goes_on = || {
        let sent = sent.load(Ordering::Relaxed);
        sent < SAMPLES || sent < 100 * SAMPLES && seen.load(Ordering::Relaxed) == 0
    };
    thread::scope(|scope| {
        scope.spawn(|| {
            let mut producer = Producer::attach(memory).unwrap();
            while goes_on() {
                let number = sent.load(Ordering::Relaxed);
                let bytes = number.to_ne_bytes().repeat(5);
                let pushed = match number % 4 {
                    0 => producer.reserve_detached(9).map(|mut sample| {
                        sample.write(0, &bytes[..9]).unwrap();
                        sample.submit();
                    }),
                    1 => producer.lane(64).map(|mut lane| while lane.push(&bytes[..20]).is_ok() {}),
                    _ => producer.push(&bytes[usize::try_from(number % 40).unwrap()..]).map(|_| ()),
                };
                match pushed {
                    Ok(()) => sent.store(number + 1, Ordering::Relaxed),
                    Err(why) => {
                        assert!(why.is_full(), "{why}");
                        thread::yield_now();
                    }
                }
            }
        });
        for _ in 0..2 {
            scope.spawn(|| {
                while goes_on() {
                    seen.fetch_add(look(&memory.view()), Ordering::Relaxed);
                    thread::yield_now();
                }
            });
        }
        let kernel = FakeKernel::new(memory);
        while goes_on() {
            assert!(kernel.collect(0).0.returned.is_ok());
            thread::yield_now();
        }
    });
    assert!(seen.into_inner() > 0, "the observers met no record");
}

#[test]
fn over_atomic_bytes() {
    observers_see_a_working_ring(&HeapMemory::new(512).unwrap());
}

#[cfg(all(target_os = "linux", not(miri)))]
#[test]
fn over_another_mapping_of_plain_bytes() {
    observers_see_a_working_ring(&user_ringbuf_sim::SimMemory::new(65536).unwrap());
}
