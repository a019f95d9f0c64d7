//! A shared producer beside another one: what it refuses, how it goes on, and what it gives back.

use std::cell::Cell;
use std::sync::Barrier;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::thread;

use user_ringbuf_core::{
    AttachError, Corruption, Header, Position, Producer, ReserveError, RingMemory, RingPositions, Role, Shared,
};
use user_ringbuf_sim::{FakeKernel, Fate, HeapMemory, Hook, Hooked, RawAccess, Step};

const SIZE: u64 = 64;

/// Once it is armed, another thread has its turn right before the next step `at`.
struct Meanwhile {
    at: Step,
    armed: AtomicBool,
    turns: Barrier,
}

impl Hook for Meanwhile {
    fn before(&self, step: Step) -> Fate {
        if step == self.at && self.armed.swap(false, Ordering::Relaxed) {
            // The other thread begins, and is done.
            self.turns.wait();
            self.turns.wait();
        }
        Fate::Happens
    }
}

type Beside = Shared<Hooked<HeapMemory, Meanwhile>>;

/// The result of `act` on an empty ring, if another thread does `other` right before the first step `at` of `act`.
fn with_another_before<R>(at: Step, other: impl FnOnce(&Beside) + Send, act: impl FnOnce(&Beside) -> R) -> R {
    let meanwhile = Meanwhile { at, armed: AtomicBool::new(false), turns: Barrier::new(2) };
    let shared = Shared::attach(Hooked::new(HeapMemory::new(SIZE).unwrap(), meanwhile)).unwrap();
    thread::scope(|scope| {
        scope.spawn(|| {
            let Meanwhile { turns, .. } = shared.memory().hook();
            turns.wait();
            other(&shared);
            turns.wait();
        });
        let meanwhile = shared.memory().hook();
        meanwhile.armed.store(true, Ordering::Relaxed);
        let result = act(&shared);
        // If the step never came, the other thread is let go all the same.
        meanwhile.before(at);
        result
    })
}

fn push_nothing(shared: &Beside) {
    shared.push(b"").unwrap();
}

#[test]
fn a_shared_producer_resumes_behind_the_record_of_another_one() {
    let memory = HeapMemory::new(SIZE).unwrap();
    let shared = Shared::attach(&memory).unwrap();
    shared.push(b"ours").unwrap();
    memory.write_raw(16, &Header::submitted(0).with_pad().to_ne_bytes()).unwrap();
    memory.set_producer(24);
    let moved = ReserveError::ForeignProducer { expected: Position::new(16), found: Position::new(24) };
    assert_eq!(shared.push(b"late"), Err(moved));
    assert_eq!(shared.resume().unwrap(), Position::new(24));
    assert_eq!(shared.push(b"next").unwrap(), Position::new(40));
    assert_eq!(FakeKernel::new(&memory).collect(0).1, [&b"ours"[..], b"", b"next"]);
}

#[test]
fn a_resume_that_meets_a_busy_record_changes_nothing() {
    let memory = HeapMemory::new(SIZE).unwrap();
    let shared = Shared::attach(&memory).unwrap();
    let mut sample = shared.reserve(3).unwrap();
    assert!(matches!(shared.resume(), Err(AttachError::Busy { record }) if record.start == Position::new(0)));
    sample.write(0, b"one").unwrap();
    sample.submit();
    shared.push(b"two").unwrap();
    assert_eq!(FakeKernel::new(&memory).collect(0).1, [b"one", b"two"]);
}

#[test]
fn positions_that_are_not_multiples_of_eight_are_refused_before_a_byte_is_written() {
    let memory = HeapMemory::new(SIZE).unwrap();
    let shared = Shared::attach(&memory).unwrap();
    shared.push(&[1; 56]).unwrap();
    let before = memory.snapshot();
    memory.set_consumer(4);
    assert_eq!(shared.push(b"x"), Err(Corruption::UnalignedConsumer { consumer: 4 }.into()));
    memory.set_consumer(0);
    memory.set_producer(63);
    assert_eq!(shared.push(b"x"), Err(Corruption::UnalignedProducer { producer: 63 }.into()));
    memory.set_producer(64);
    assert_eq!(memory.snapshot(), before);
}

#[test]
fn producers_turn_into_one_another_and_give_their_memory_back() {
    let memory = HeapMemory::new(SIZE).unwrap();
    let shared = Shared::attach(&memory).unwrap();
    shared.push(b"one").unwrap();
    let sizes = (shared.ring_size().bytes(), shared.max_sample_len());
    assert_eq!(shared.memory().ring_id(), memory.ring_id());
    let mut producer = shared.into_producer();
    assert_eq!((producer.ring_size().bytes(), producer.max_sample_len()), sizes);
    assert_eq!(sizes, (64, 56));
    producer.push(b"two").unwrap();
    assert!(Shared::attach(&memory).is_err(), "it has a producer");
    let shared = producer.into_shared();
    assert_eq!(Producer::attach(&memory).unwrap_err(), AttachError::AlreadyAttached, "the claim goes along");
    let given_back = shared.into_memory();
    let given_back = Producer::attach(given_back).unwrap().into_memory();
    Shared::attach(given_back).unwrap().push(b"six").unwrap();
    assert_eq!(FakeKernel::new(&memory).collect(0).1, [b"one", b"two", b"six"]);
}

#[test]
fn a_resume_that_meets_a_reservation_says_so() {
    let resumed = with_another_before(Step::Word(Role::TakeRoom), push_nothing, Shared::resume);
    assert_eq!(resumed, Err(AttachError::InFlight));
}

#[test]
fn what_another_thread_publishes_while_a_push_looks_for_room_is_not_taken_for_another_producer() {
    for at in [Step::Load(Role::ObserveProducer), Step::Load(Role::LoadConsumer)] {
        let pushed = with_another_before(at, push_nothing, |shared| {
            shared.push(&[0; 24]).unwrap();
            shared.memory().inner().set_consumer(32);
            shared.push(&[0; 40])
        });
        assert_eq!(pushed, Ok(Position::new(88)), "{at:?}");
    }
}

#[test]
fn who_leaves_last_shows_what_another_thread_reserved_since_its_own_record_was_shown() {
    let shown = with_another_before(Step::Word(Role::FinishReservation), push_nothing, |shared| {
        shared.push(&[0; 24]).unwrap();
        shared.memory().inner().load_producer(Role::ObserveProducer)
    });
    assert_eq!(shown, Position::new(40));
}

#[test]
fn a_limit_that_was_overwritten_by_an_older_one_makes_no_room() {
    let fill_after_a_drain = |shared: &Beside| {
        shared.memory().inner().set_consumer(64);
        shared.push(&[0; 56]).unwrap();
    };
    let pushed = with_another_before(Step::Word(Role::StoreLimit), fill_after_a_drain, |shared| {
        shared.push(&[0; 56]).unwrap();
        // Room for an empty sample, which the other thread takes.
        shared.memory().inner().set_consumer(8);
        shared.push(b"")
    });
    assert_eq!(pushed, Err(ReserveError::Full { needed: 8, available: 0 }));
}

#[test]
fn a_push_that_meets_a_resume_waits_until_it_is_over() {
    let memory = HeapMemory::new(SIZE).unwrap();
    let (armed, looks, begun) = (AtomicBool::new(false), AtomicU32::new(0), Barrier::new(2));
    let hooked = Hooked::new(&memory, |step| {
        if step == Step::Load(Role::LoadReservations) {
            looks.fetch_add(1, Ordering::Relaxed);
        } else if step == Step::Load(Role::ObserveHeader) && armed.swap(false, Ordering::Relaxed) {
            // The walk continues once the push has looked three times.
            begun.wait();
            while looks.load(Ordering::Relaxed) < 3 {
                thread::yield_now();
            }
        }
        Fate::Happens
    });
    let shared = Shared::attach(&hooked).unwrap();
    shared.push(b"one").unwrap();
    looks.store(0, Ordering::Relaxed);
    armed.store(true, Ordering::Relaxed);
    thread::scope(|scope| {
        let pushed = scope.spawn(|| {
            begun.wait();
            let pushed = shared.push(b"two");
            looks.fetch_add(3, Ordering::Relaxed);
            pushed
        });
        assert_eq!(shared.resume(), Ok(Position::new(16)));
        assert_eq!(pushed.join().unwrap(), Ok(Position::new(32)));
    });
    assert_eq!(FakeKernel::new(&memory).collect(0).1, [b"one", b"two"]);
}

#[test]
fn the_consumer_position_is_loaded_only_when_the_known_room_runs_out() {
    let memory = HeapMemory::new(SIZE).unwrap();
    let loads = Cell::new(0);
    let hooked = Hooked::new(&memory, |step| {
        loads.set(loads.get() + u32::from(step == Step::Load(Role::LoadConsumer)));
        Fate::Happens
    });
    let fill = |push: &mut dyn FnMut(&[u8]) -> Result<Position, ReserveError>| {
        loads.set(0);
        for _ in 0..4 {
            push(&[0; 8]).unwrap();
        }
        assert_eq!(loads.get(), 0);
        assert!(push(b"").unwrap_err().is_full());
        assert_eq!(loads.get(), 1);
    };
    let mut producer = Producer::attach(&hooked).unwrap();
    fill(&mut |bytes| producer.push(bytes));
    drop(producer);
    assert_eq!(FakeKernel::new(&memory).collect(0).1.len(), 4);
    let shared = Shared::attach(&hooked).unwrap();
    fill(&mut |bytes| shared.push(bytes));
}

#[test]
fn an_exchange_that_fails_for_no_reason_is_repeated() {
    let memory = HeapMemory::new(SIZE).unwrap();
    let fails = Cell::new(true);
    let every_other = |step| match step {
        Step::Word(_) if fails.replace(!fails.get()) => Fate::Fails,
        _ => Fate::Happens,
    };
    let hooked = Hooked::new(&memory, every_other);
    let shared = Shared::attach(&hooked).unwrap();
    for end in [16, 32] {
        assert_eq!(shared.push(b"sample"), Ok(Position::new(end)));
        assert_eq!(shared.resume(), Ok(Position::new(end)));
    }
}
