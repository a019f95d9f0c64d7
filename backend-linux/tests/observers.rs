//! Those who only look at a real ring, beside its producer and the kernel's drains: for ThreadSanitizer, and a test
//! without it.
//!
//! The tool does not see the kernel. So one thread produces here: of two that share a ring, the order between a write and
//! one a lap later comes through the kernel's loads and stores.

use std::sync::atomic::{AtomicU64, Ordering};
use std::thread;

use user_ringbuf_kit::needs_bpf;
use user_ringbuf_linux::{
    AttachError, DrainOptions, DrainProgram, Map, Mapping, MappingView, Position, Producer, Records, ReserveError,
    Survey, Verdict, plan_repair,
};

const PUSHES: u64 = 50_000;

fn look(view: &MappingView) -> u64 {
    let mut seen = 0;
    let survey = Survey::walk(view, |record| seen += u64::from(record.is_ok()));
    assert!(matches!(survey.verdict, Verdict::Empty | Verdict::Flowing | Verdict::Held { .. }), "{survey:?}");
    assert!(Records::new(view).unwrap().all(|record| record.is_ok()));
    plan_repair(view, |_| ()).unwrap();
    seen
}

fn push(producer: &mut Producer<&Mapping>, number: u64) -> Result<(), ReserveError> {
    let bytes = number.to_ne_bytes().repeat(5);
    match number % 4 {
        0 => producer.reserve_detached(9).map(|mut sample| {
            sample.copy_from_slice(&bytes[..9]);
            sample.submit();
        }),
        1 => producer.lane(64).map(|mut lane| while lane.push(&bytes[..20]).is_ok() {}),
        2 => {
            let mut sample = producer.reserve(40)?;
            sample.fill(0xff);
            sample.submit_len(11).unwrap();
            Ok(())
        }
        _ => producer.push(&bytes).map(|_: Position| ()),
    }
}

#[test]
fn observers_see_a_working_ring() {
    needs_bpf!();
    let map = Map::create("observed", 4096).unwrap();
    let mapping = Mapping::new(&map).unwrap();
    let mut kernel = DrainProgram::load(&map, 0).unwrap();
    let (sent, seen) = (AtomicU64::new(0), AtomicU64::new(0));
    // On a busy machine the producer may be done before an observer has had its turn.
    let goes_on = || {
        let sent = sent.load(Ordering::Relaxed);
        sent < PUSHES || sent < 100 * PUSHES && seen.load(Ordering::Relaxed) == 0
    };
    thread::scope(|scope| {
        scope.spawn(|| {
            let mut producer = Producer::attach(&mapping).unwrap();
            while goes_on() {
                let number = sent.load(Ordering::Relaxed);
                match push(&mut producer, number) {
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
                let view = MappingView::new(&map).unwrap();
                while goes_on() {
                    seen.fetch_add(look(&view), Ordering::Relaxed);
                    thread::yield_now();
                }
            });
        }
        while goes_on() {
            kernel.run(&DrainOptions::new()).unwrap().returned().unwrap();
            thread::yield_now();
        }
    });
    assert!(seen.into_inner() > 0, "the observers met no record");
}

/// The walk of an attach goes through the addresses at which the lanes of an earlier producer are still written.
#[test]
fn a_producer_attaches_beside_an_earlier_ones_lane() {
    needs_bpf!();
    let map = Map::create("observed", 4096).unwrap();
    let mapping = Mapping::new(&map).unwrap();
    let mut kernel = DrainProgram::load(&map, 0).unwrap();
    let mut refused = 0;
    for _ in 0..300 {
        let mut lane = Producer::attach(&mapping).unwrap().lane(500).unwrap();
        thread::scope(|scope| {
            scope.spawn(move || while lane.push(&[7; 13]).is_ok() {});
            loop {
                match Producer::attach(&mapping) {
                    Ok(_) => break,
                    Err(AttachError::Busy { .. }) => refused += 1,
                    Err(why) => panic!("{why}"),
                }
                thread::yield_now();
            }
        });
        assert!(kernel.run(&DrainOptions::new()).unwrap().returned().unwrap() > 0);
    }
    assert!(refused > 0, "no walk met the lane");
}
