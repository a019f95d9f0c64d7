//! Every kind of producer at work on a ring that lies.

use std::time::Duration;

use user_ringbuf_kit::random::Rng;
use user_ringbuf_linux::{
    ContiguousMemory, EpollWaiter, Lane, Mapping, MappingView, Payload, Producer, Records, Shared, Spin, Survey,
    plan_repair, repair,
};

use crate::attack::Victim;

/// A length, mostly short, now and then one that no ring with samples of `max` bytes has.
fn sample_len(rng: &mut Rng, max: usize) -> usize {
    match rng.u32(..16) {
        0 => rng.usize(..max + 100),
        1 => max,
        2 => 0,
        _ => rng.usize(..200),
    }
}

/// Writes all over the sample, through each way to write.
fn fill<M: ContiguousMemory>(sample: &mut Payload<M>, rng: &mut Rng) {
    let len = sample.len();
    match rng.usize(..4) {
        0 => sample.fill(0xab),
        1 => sample.fill_range(0, len, 0xcd).unwrap(),
        2 => sample.write(len / 2, &vec![0xef; len - len / 2]).unwrap(),
        _ => {
            // What is read may be anything.
            std::hint::black_box(sample.iter().map(|byte| u64::from(*byte)).sum::<u64>());
            assert!(sample.write(len, b"x").is_err());
        }
    }
}

/// Fills a sample of any kind, and lets go of it.
macro_rules! finish {
    ($sample:expr, $rng:expr) => {{
        let mut sample = $sample;
        fill(&mut sample, $rng);
        let len = sample.len();
        match $rng.usize(..4) {
            0 => sample.discard(),
            1 => _ = sample.submit_len($rng.usize(..len + 2)),
            _ => _ = sample.submit(),
        }
    }};
}

/// Attaches again and again; `work` comes back when its producer is of no more use.
fn again<'v>(victim: &'v Victim, mut work: impl FnMut(Producer<&'v Mapping>, &mut Rng)) {
    let mut rng = Rng::with_seed(2);
    while victim.goes_on() {
        match victim.count(Producer::attach(&victim.mapping)) {
            Some(producer) => work(producer, &mut rng),
            None => victim.heal(),
        }
    }
}

/// So many errors in a row end a producer's life.
const FAILURES: u32 = 30;

/// Repeats `step`, which says whether it went well, until a producer is of no more use.
fn until_useless(victim: &Victim, mut step: impl FnMut() -> bool) {
    let mut failures = 0;
    while failures < FAILURES && victim.goes_on() {
        failures += u32::from(!step());
    }
}

pub(crate) fn exclusive(victim: &Victim) {
    again(victim, |mut producer, rng| {
        until_useless(victim, || {
            let len = sample_len(rng, producer.max_sample_len());
            let reserved = victim.count(producer.reserve(len)).map(|sample| finish!(sample, rng)).is_some();
            let _ = victim.count(producer.push(&[7; 33]));
            let _ = (producer.used(), producer.free(), producer.is_consumed(producer.position()));
            reserved
        });
    });
}

pub(crate) fn batches(victim: &Victim) {
    again(victim, |mut producer, rng| {
        until_useless(victim, || {
            let (max, mut all_reserved) = (producer.max_sample_len(), true);
            let mut batch = producer.batch();
            for _ in 0..rng.usize(..20) {
                let len = sample_len(rng, max);
                match victim.count(batch.reserve(len)) {
                    None => all_reserved = false,
                    Some(sample) => finish!(sample, rng),
                }
            }
            if rng.usize(..4) == 0 {
                batch.discard();
            } else {
                _ = batch.submit();
            }
            all_reserved
        });
    });
}

fn run_through<M: ContiguousMemory>(mut lane: Lane<M>, victim: &Victim, rng: &mut Rng) {
    for _ in 0..rng.usize(..20) {
        let len = sample_len(rng, 100);
        let Some(sample) = victim.count(lane.reserve(len)) else { continue };
        finish!(sample, rng);
    }
}

pub(crate) fn detached(victim: &Victim) {
    // Outstanding samples outlive their producer, as they may.
    let mut outstanding = Vec::new();
    again(victim, |mut producer, rng| {
        until_useless(victim, || {
            let len = sample_len(rng, producer.max_sample_len());
            let reserved =
                victim.count(producer.reserve_detached(len)).map(|sample| outstanding.push(sample)).is_some();
            while outstanding.len() > 10 || (!outstanding.is_empty() && rng.usize(..3) == 0) {
                finish!(outstanding.swap_remove(rng.usize(..outstanding.len())), rng);
            }
            let _ = victim.count(producer.push(b"beside"));
            reserved
        });
    });
}

pub(crate) fn lanes(victim: &Victim) {
    again(victim, |mut producer, rng| {
        until_useless(victim, || {
            let len = sample_len(rng, producer.max_sample_len());
            victim.count(producer.lane(len)).map(|lane| run_through(lane, victim, rng)).is_some()
        });
    });
}

pub(crate) fn shared(victim: &Victim) {
    again(victim, |producer, _| {
        let shared = producer.into_shared();
        std::thread::scope(|scope| {
            for seed in 0..3 {
                let shared = &shared;
                scope.spawn(move || one_of_many(shared, victim, &mut Rng::with_seed(100 + seed)));
            }
        });
    });
}

fn one_of_many(shared: &Shared<&Mapping>, victim: &Victim, rng: &mut Rng) {
    until_useless(victim, || {
        let len = sample_len(rng, shared.max_sample_len());
        let _ = shared.is_consumed(shared.position());
        match rng.usize(..4) {
            0 => victim.count(shared.push(&vec![9; len])).is_some(),
            1 => victim.count(shared.lane(len)).map(|lane| run_through(lane, victim, rng)).is_some(),
            _ => victim.count(shared.reserve(len)).map(|sample| finish!(sample, rng)).is_some(),
        }
    });
}

pub(crate) fn waiting(victim: &Victim) {
    let mut waiter = EpollWaiter::new(&victim.map).unwrap();
    let millisecond = Some(Duration::from_millis(1));
    again(victim, |mut producer, rng| {
        for _ in 0..FAILURES {
            let len = sample_len(rng, producer.max_sample_len());
            if let Some(mut sample) = victim.count(producer.reserve_blocking(len, &mut waiter, millisecond)) {
                fill(&mut sample, rng);
                sample.submit();
            }
            let _ = victim.count(producer.wait_consumed(producer.position(), &mut Spin::new(), millisecond));
        }
        let shared = producer.into_shared();
        for _ in 0..FAILURES {
            let len = sample_len(rng, shared.max_sample_len());
            if let Some(sample) = victim.count(shared.reserve_blocking(len, &mut waiter, millisecond)) {
                finish!(sample, rng);
            }
            let _ = victim.count(shared.wait_consumed(shared.position(), &mut waiter, millisecond));
        }
    });
}

pub(crate) fn looking(victim: &Victim) {
    let view = MappingView::new(&victim.map).unwrap();
    while victim.goes_on() {
        if let Some(records) = victim.count(Records::new(&view)) {
            // Each takes 8 bytes at least, of a ring of 8 KiB.
            assert!(records.take(2000).filter(|record| record.is_ok()).count() <= 1024);
        }
        let mut looked_at = 0;
        let survey = Survey::walk(&view, |_| looked_at += 1);
        assert!(looked_at <= 1025, "{survey:?}");
        let mut planned = 0;
        let _ = victim.count(plan_repair(&view, |_| planned += 1));
        assert!(planned <= 1026);
    }
}

pub(crate) fn repairing(victim: &Victim) {
    while victim.goes_on() {
        let mut done = 0;
        // SAFETY: only the scribbler writes here, and no whole sample is expected of it.
        let repaired = unsafe { repair(&victim.mapping, |_| done += 1) };
        let _ = victim.count(repaired);
        assert!(done <= 1026);
        if let Some(mut producer) = victim.count(Producer::attach(&victim.mapping)) {
            let _ = victim.count(producer.push(b"goes on"));
        }
    }
}
