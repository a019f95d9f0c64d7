//! What walks a ring while positions move as no kernel moves them: it ends, and never shows what was not there.

use std::cell::Cell;

use user_ringbuf_core::{
    AttachError, Corruption, Header, Producer, Records, RingSize, Role, Shared, Survey, Tally, Verdict,
};
use user_ringbuf_sim::{Fate, HeapMemory, Hooked, RawAccess, Step};

const SIZE: u64 = 64;

/// Calls `at` before each load of the consumer position, with the number of loads before.
fn at_each_load(at: impl Fn(u64)) -> impl Fn(Step) -> Fate {
    let loads = Cell::new(0);
    move |step| {
        if step == Step::Load(Role::LoadConsumer) {
            at(loads.replace(loads.get() + 1));
        }
        Fate::Happens
    }
}

#[test]
fn a_survey_counts_each_kind_of_record_and_says_what_comes_before_the_first_obstacle() {
    let memory = HeapMemory::new(4 * SIZE).unwrap();
    assert_eq!(Survey::of(&memory.view()).verdict, Verdict::Empty);
    let producer = Shared::attach(&memory).unwrap();
    producer.push(&[0; 3]).unwrap();
    producer.push(&[0; 20]).unwrap();
    producer.reserve(9).unwrap().discard();
    let flowing = Survey::of(&memory.view());
    assert_eq!((flowing.ready, flowing.verdict), (3, Verdict::Flowing));
    let open = producer.reserve(30).unwrap();
    let end = producer.push(b"behind").unwrap().get();
    // The last record reaches beyond the producer position.
    memory.write_raw(end.try_into().unwrap(), &Header::submitted(200).with_pad().to_ne_bytes()).unwrap();
    memory.set_producer(end + 32);
    let mut walked = 0;
    let survey = Survey::walk(&memory.view(), |_| walked += 1);
    let tally = |records, bytes| Tally { records, bytes };
    assert_eq!((survey.submitted, survey.discarded), (tally(3, 64), tally(1, 24)));
    assert_eq!((survey.busy, survey.damaged), (tally(1, 40), tally(1, 32)));
    assert_eq!((survey.ready, walked), (3, 6));
    assert!(matches!(survey.verdict, Verdict::Held { record } if record.start == open.start()), "{survey:?}");
}

#[test]
fn positions_that_never_stand_still_are_refused_and_not_followed_forever() {
    let memory = HeapMemory::new(SIZE).unwrap();
    let hooked = Hooked::new(&memory, at_each_load(|load| memory.set_consumer(2 * SIZE * (load + 1))));
    let refused = Records::new(&hooked).unwrap_err();
    assert!(matches!(refused, Corruption::OutOfRange { producer: 0, .. }), "{refused}");
    assert!(matches!(Survey::of(&hooked).verdict, Verdict::Misplaced { .. }));
    assert!(matches!(Producer::attach(&hooked), Err(AttachError::Corrupted(_))));
}

#[test]
fn positions_that_stand_still_after_a_thousand_loads_are_taken() {
    let memory = HeapMemory::new(SIZE).unwrap();
    let hooked = Hooked::new(
        &memory,
        at_each_load(|load| memory.set_consumer(if load < 1000 { 2 * SIZE * (load + 1) } else { 0 })),
    );
    assert_eq!(Records::new(&hooked).unwrap().left(), 0);
}

#[test]
fn a_consumer_that_overtakes_the_walk_takes_it_along() {
    let memory = HeapMemory::new(SIZE).unwrap();
    let mut producer = Producer::attach(&memory).unwrap();
    for sample in [b"one", b"two", b"six"] {
        producer.push(sample).unwrap();
    }
    // Two loads to begin with, then one for each record.
    let drains_two = at_each_load(|load| memory.set_consumer(if load < 2 { 0 } else { 32 }));
    let hooked = Hooked::new(&memory, drains_two);
    let starts: Vec<_> = Records::new(&hooked).unwrap().map(|record| record.unwrap().start.get()).collect();
    assert_eq!(starts, [32]);
    for beyond in [48, 56, 33] {
        let drains_all = at_each_load(|load| memory.set_consumer(if load < 2 { 0 } else { beyond }));
        assert_eq!(Records::new(Hooked::new(&memory, drains_all)).unwrap().count(), 0, "{beyond}");
    }
}

#[test]
fn a_shared_producer_does_not_follow_a_consumer_that_no_kernel_moves() {
    let memory = HeapMemory::new(SIZE).unwrap();
    let (moving, loads) = (Cell::new(false), Cell::new(0));
    let at = at_each_load(|load| {
        loads.set(loads.get() + 1);
        if moving.get() {
            memory.set_consumer(2 * SIZE * (load + 1));
        }
    });
    let hooked = Hooked::new(&memory, at);
    let shared = Shared::attach(&hooked).unwrap();
    shared.push(b"sample").unwrap();
    moving.set(true);
    assert!(shared.used().is_err() && shared.free().is_err());
    moving.set(false);
    loads.set(0);
    assert!(shared.used().is_err());
    assert_eq!(loads.get(), 2, "a position that stands still is believed");
    assert_eq!(shared.ring_size(), RingSize::new(SIZE).unwrap());
}

#[test]
fn a_consumer_that_moves_between_two_loads_does_not_make_a_shared_producer_see_a_wrong_ring() {
    let memory = HeapMemory::new(SIZE).unwrap();
    // What the next load of the consumer position finds, and what those after it find.
    let finds = Cell::new([0, 0]);
    let hooked = Hooked::new(
        &memory,
        at_each_load(|_| {
            let [next, later] = finds.get();
            finds.set([later; 2]);
            memory.set_consumer(next);
        }),
    );
    let shared = Shared::attach(&hooked).unwrap();
    for drained in [0, 48, 96] {
        finds.set([drained; 2]);
        shared.push(&[0; 40]).unwrap();
    }
    // The ring ends at 144. An old position is loaded first: taken together they would be no ring of this size.
    finds.set([0, 96]);
    assert_eq!((shared.used(), shared.position().get()), (Ok(48), 144));
    finds.set([48, 96]);
    assert_eq!(shared.free(), Ok(16));
}
