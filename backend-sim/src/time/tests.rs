//! Scripted consumers, and producers that wait for them: all on virtual time.

use std::time::{Duration, Instant};

use user_ringbuf_core::{BlockingError, Producer};

use super::*;
use crate::kernel::{KernelError, Trigger};
use crate::memory::{HeapMemory, KernelMemory};

fn ms(millis: u64) -> Duration {
    Duration::from_millis(millis)
}

/// A ring of 64 bytes holds four of these records.
fn full() -> HeapMemory {
    let memory = HeapMemory::new(64).unwrap();
    let mut producer = Producer::attach(&memory).unwrap();
    for n in 0..4 {
        producer.push(&[n; 8]).unwrap();
    }
    drop(producer);
    memory
}

fn times<M: KernelMemory>(consumer: &ScriptedConsumer<M>) -> Vec<u128> {
    consumer.drains().iter().map(|(at, _)| at.as_micros()).collect()
}

#[test]
fn drains_happen_at_their_times_and_not_before() {
    let consumer = ScriptedConsumer::new(full(), Script::at(ms(5)));
    consumer.run_until(ms(5) - Duration::from_nanos(1));
    assert!(consumer.drains().is_empty());
    consumer.run_until(ms(5));
    assert_eq!(consumer.samples(), [[0; 8], [1; 8], [2; 8], [3; 8]]);
    assert_eq!(consumer.clock().now(), ms(5));
    assert_eq!(consumer.next_event(), None);
}

#[test]
fn an_hour_of_drains_takes_no_time() {
    let before = Instant::now();
    let consumer = ScriptedConsumer::new(full(), Script::every(ms(100)));
    consumer.run_for(Duration::from_secs(3600));
    assert_eq!(consumer.drains().len(), 36_000);
    assert!(before.elapsed() < Duration::from_secs(60));
}

#[test]
fn a_slow_callback_frees_room_sample_by_sample_and_wakes_at_the_end() {
    let memory = full();
    let consumer = ScriptedConsumer::new(&memory, Script::at(ms(1)).per_sample(ms(2)));
    let mut watch = consumer.kernel().watch(Trigger::Edge);
    let mut free = vec![];
    for at in 0..10 {
        consumer.run_until(ms(at));
        free.push(64 - (memory.kernel_load_producer() - memory.kernel_load_consumer()));
        assert_eq!(watch.event(), at == 9, "at {at} ms");
    }
    assert_eq!(free, [0, 0, 0, 16, 16, 32, 32, 48, 48, 64]);
    assert_eq!(times(&consumer), [9000]);
}

#[test]
fn a_slow_drain_is_busy_for_another_drainer_and_takes_what_comes_meanwhile() {
    let memory = full();
    let consumer = ScriptedConsumer::new(&memory, Script::every(ms(1)).until(ms(3)).per_sample(ms(2)));
    consumer.run_until(ms(4));
    assert_eq!(consumer.kernel().collect(0).0.returned, Err(KernelError::Busy));
    Producer::attach(&memory).unwrap().push(&[4; 8]).unwrap();
    consumer.run_until(ms(20));
    assert_eq!(consumer.samples().len(), 5);
    // From 1 to 11 ms; what fell due meanwhile is one empty drain at once.
    assert_eq!(times(&consumer), [11_000, 11_000]);
}

#[test]
fn a_callback_that_stops_leaves_the_rest_for_the_next_drain() {
    let consumer = ScriptedConsumer::new(full(), Script::every(ms(1)).at_most(3));
    consumer.run_until(ms(1));
    assert_eq!(consumer.samples().len(), 3);
    consumer.run_until(ms(2));
    assert_eq!(consumer.samples().len(), 4);
    let none = ScriptedConsumer::new(full(), Script::every(ms(1)).at_most(0));
    none.run_until(ms(5));
    assert_eq!(none.samples().len(), 0);
}

#[test]
fn a_script_with_flags_that_the_kernel_refuses_gets_its_refusal() {
    let consumer = ScriptedConsumer::new(full(), Script::at(ms(1)).with_flags(4));
    consumer.run_until(ms(1));
    assert_eq!(consumer.drains()[0].1.returned, Err(KernelError::Invalid));
    assert!(consumer.samples().is_empty());
}

#[test]
fn a_blocking_reserve_returns_when_the_script_has_made_room() {
    let memory = full();
    let consumer = ScriptedConsumer::new(&memory, Script::at(ms(7)));
    let mut producer = Producer::attach(&memory).unwrap();
    let mut waiter = consumer.waiter();
    producer.reserve_blocking(8, &mut waiter, Some(ms(100))).unwrap().submit();
    assert_eq!(consumer.clock().now(), ms(7));
    assert_eq!(waiter.looks(), 1, "it slept until the drain");
}

#[test]
fn a_blocking_reserve_times_out_on_the_dot_and_takes_room_that_comes_with_the_deadline() {
    for (drain, in_time) in [(ms(9), true), (ms(10), true), (ms(11), false)] {
        let memory = full();
        let consumer = ScriptedConsumer::new(&memory, Script::at(drain));
        let mut producer = Producer::attach(&memory).unwrap();
        let reserved = producer.reserve_blocking(8, &mut consumer.waiter(), Some(ms(10))).map(drop);
        assert_eq!(reserved, if in_time { Ok(()) } else { Err(BlockingError::TimedOut { timeout: ms(10) }) });
        assert_eq!(consumer.clock().now(), drain.min(ms(10)));
    }
}

#[test]
fn a_wait_that_nothing_ends_is_an_error_and_no_hang() {
    for script in [
        Script::never(),
        Script::at(ms(3)).no_wakeup(),
        Script::every(ms(3)).at_most(0),
        Script::every(ms(100)).until(ms(1000)).no_wakeup(),
        Script::every(Duration::from_secs(1)).no_wakeup(),
    ] {
        let memory = full();
        let consumer = ScriptedConsumer::new(&memory, script);
        let mut producer = Producer::attach(&memory).unwrap();
        let mut waiter = consumer.waiter();
        let waited = producer.reserve_blocking(8, &mut waiter, None).map(drop).unwrap_err();
        assert!(matches!(waited, BlockingError::Wait(NeverWoken { .. })), "{waited:?}");
        // A wait for consumption looks by itself too, so only where nothing is ever consumed.
        if consumer.drains().iter().all(|(_, drained)| drained.consumed == 0) {
            let shared = producer.into_shared();
            let waited = shared.wait_consumed(shared.position(), &mut consumer.waiter(), None).unwrap_err();
            assert!(matches!(waited, BlockingError::Wait(NeverWoken { .. })), "{waited:?}");
        }
    }
}

#[test]
fn without_wakeups_only_the_recheck_finds_the_room() {
    let script = || Script::at(ms(3)).no_wakeup();
    let memory = full();
    let consumer = ScriptedConsumer::new(&memory, script());
    let mut producer = Producer::attach(&memory).unwrap();
    let late = producer.reserve_blocking(8, &mut consumer.waiter(), Some(ms(50))).map(drop);
    assert_eq!((late, consumer.clock().now()), (Ok(()), ms(50)), "found by the last attempt only");

    let memory = full();
    let consumer = ScriptedConsumer::new(&memory, script());
    let mut producer = Producer::attach(&memory).unwrap();
    let mut waiter = consumer.waiter().with_recheck(ms(1), ms(2));
    producer.reserve_blocking(8, &mut waiter, Some(ms(50))).unwrap().submit();
    // Looks at 1, 3 and, because the drain at 3 ms comes with the look, no later.
    assert_eq!((waiter.looks(), consumer.clock().now()), (2, ms(3)));
}

#[test]
fn level_triggered_waiting_spins_on_a_partly_full_ring_and_edge_triggered_does_not() {
    let memory = full();
    let consumer = ScriptedConsumer::new(&memory, Script::at(ms(1)).at_most(1).and_at(ms(100)));
    let mut producer = Producer::attach(&memory).unwrap();
    consumer.run_until(ms(1));
    let mut level = consumer.waiter_with(Trigger::Level);
    assert!(producer.reserve_blocking(24, &mut level, Some(ms(20))).is_err());
    assert!(level.looks() > 10_000, "{}", level.looks());
    let mut edge = consumer.waiter();
    assert!(producer.reserve_blocking(24, &mut edge, Some(ms(20))).is_err());
    assert!(edge.looks() <= 3, "{}", edge.looks());
}

#[test]
fn a_cancelled_wait_ends_when_it_is_cancelled_and_so_does_every_later_one() {
    let memory = full();
    let consumer = ScriptedConsumer::new(&memory, Script::at(ms(30)));
    let mut producer = Producer::attach(&memory).unwrap();
    let mut waiter = consumer.waiter().cancelled_at(ms(20));
    for _ in 0..2 {
        let cancelled = producer.reserve_blocking(8, &mut waiter, None).map(drop);
        assert_eq!(cancelled, Err(BlockingError::Cancelled));
        assert!(consumer.clock().now() < ms(21));
    }
}

#[test]
fn waiting_for_consumption_ends_with_the_drain_that_takes_the_sample() {
    let memory = full();
    let consumer = ScriptedConsumer::new(&memory, Script::every(ms(10)).at_most(1));
    let producer = Producer::attach(&memory).unwrap();
    producer.wait_consumed(producer.position(), &mut consumer.waiter(), Some(ms(100))).unwrap();
    assert_eq!(consumer.clock().now(), ms(40));
}

#[test]
fn a_waiter_for_another_ring_is_refused_and_does_not_wait_forever() {
    let memories = [full(), full()];
    let [ours, other] = memories.each_ref().map(|memory| ScriptedConsumer::new(memory, Script::every(ms(1))));
    let mut producer = Producer::attach(&memories[0]).unwrap();
    let [of_producer, of_waiter] = memories.each_ref().map(KernelMemory::kernel_ring_id);
    let refused = Err(BlockingError::OtherRing { waiter: of_waiter, producer: of_producer });
    assert_eq!(producer.reserve_blocking(8, &mut other.waiter(), None).map(drop), refused);
    assert_eq!(producer.wait_consumed(producer.position(), &mut other.waiter(), None), refused);
    assert_eq!(producer.reserve_blocking(8, &mut ours.waiter(), None).map(drop), Ok(()));
}

#[test]
fn a_new_script_takes_over_and_a_forced_wakeup_comes_from_an_empty_drain_too() {
    let consumer = ScriptedConsumer::new(full(), Script::at(ms(1)).and_at(ms(2)));
    let mut watch = consumer.kernel().watch(Trigger::Edge);
    consumer.run_until(ms(1));
    assert!(watch.event());
    consumer.set_script(Script::at(ms(3)).force_wakeup());
    consumer.run_until(ms(5));
    assert_eq!((times(&consumer), consumer.samples().len()), (vec![1000, 3000], 4));
    assert!(watch.event(), "nothing was left, and the drain woke all the same");
}
