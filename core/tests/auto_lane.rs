//! A handle that takes lanes by itself: when it does, when it gives them up, and that nothing is lost meanwhile.

use std::time::Duration;

use user_ringbuf_core::{AutoLane, BeyondSample, BlockingError, Position, ReserveError, Shared};
use user_ringbuf_sim::{FakeKernel, HeapMemory, Script, ScriptedConsumer};

const SIZE: u64 = 4096;
const LONGEST: u32 = 256;

type Handle<'s, 'm> = AutoLane<&'s Shared<&'m HeapMemory>, &'m HeapMemory>;

fn drained(memory: &HeapMemory) -> Vec<Vec<u8>> {
    FakeKernel::new(memory).collect(0).1
}

fn empty(memory: &HeapMemory) {
    drained(memory);
}

/// Two handles that have sent by turns until both have lanes open.
fn busy<'s, 'm>(memory: &HeapMemory, shared: &'s Shared<&'m HeapMemory>) -> [Handle<'s, 'm>; 2] {
    let mut handles = [(); 2].map(|()| AutoLane::with_longest(shared, LONGEST));
    for _ in 0..200 {
        for handle in &mut handles {
            handle.push(b"12345678").unwrap();
        }
        empty(memory);
        if handles.iter().all(|handle| handle.left() >= 64) {
            return handles;
        }
    }
    panic!("{} and {} bytes of lane after 200 turns", handles[0].left(), handles[1].left());
}

#[test]
fn a_handle_that_is_alone_reserves_single_samples_and_holds_up_nothing() {
    let memory = HeapMemory::new(SIZE).unwrap();
    let shared = Shared::attach(&memory).unwrap();
    let mut handle = AutoLane::new(&shared);
    for _ in 0..100 {
        handle.push(b"12345678").unwrap();
        assert_eq!(handle.left(), 0);
    }
    assert_eq!(handle.shared().position(), Position::new(1600));
    assert_eq!(drained(&memory).len(), 100);
}

#[test]
fn handles_that_send_by_turns_take_lanes_and_every_sample_comes_in_the_order_of_its_thread() {
    let memory = HeapMemory::new(SIZE).unwrap();
    let shared = Shared::attach(&memory).unwrap();
    let mut handles = [(); 2].map(|()| AutoLane::with_longest(&shared, LONGEST));
    let mut came = Vec::new();
    let mut longest = 0;
    for number in 0..400_u32 {
        for (thread, handle) in handles.iter_mut().enumerate() {
            handle.push(format!("{thread} {number:03}").as_bytes()).unwrap();
            longest = longest.max(handle.left());
        }
        came.extend(drained(&memory));
    }
    assert_eq!(longest, LONGEST - 16);
    handles.iter_mut().for_each(AutoLane::release);
    came.extend(drained(&memory));
    for thread in ["0", "1"] {
        let of_one: Vec<_> = came.iter().filter(|sample| sample.starts_with(thread.as_bytes())).collect();
        let expected: Vec<_> = (0..400).map(|number| format!("{thread} {number:03}").into_bytes()).collect();
        assert!(of_one.iter().copied().eq(&expected), "thread {thread}");
    }
    assert_eq!(came.len(), 800);
}

#[test]
fn an_open_lane_is_given_up_on_release_on_drop_and_at_the_next_call_when_others_went_far_ahead() {
    for how in ["release", "drop", "next call"] {
        let memory = HeapMemory::new(SIZE).unwrap();
        let shared = Shared::attach(&memory).unwrap();
        let [mut idle, other] = busy(&memory, &shared);
        drop(other);
        let lane = idle.left();
        assert!(lane >= 64);
        let behind = if how == "next call" { 8 * LONGEST as usize / 16 + 1 } else { 1 };
        for _ in 0..behind {
            shared.push(b"behind..").unwrap();
        }
        let came = || drained(&memory).iter().filter(|sample| *sample == b"behind..").count();
        assert_eq!(came(), 0, "{how}: the lane holds it up");
        match how {
            "release" => idle.release(),
            "drop" => drop(idle),
            _ => {
                idle.push(b"singly").unwrap();
                assert_eq!(idle.left(), 0);
            }
        }
        assert_eq!(came(), behind, "{how}");
    }
}

#[test]
fn a_sample_that_is_dropped_or_shortened_leaves_nothing_busy_behind_it() {
    let memory = HeapMemory::new(SIZE).unwrap();
    let shared = Shared::attach(&memory).unwrap();
    let mut alone = AutoLane::new(&shared);
    alone.reserve(100).unwrap().discard();
    let mut sample = alone.reserve(100).unwrap();
    assert_eq!(sample.len(), 100);
    sample.write(0, b"short").unwrap();
    sample.submit_len(5).unwrap();
    let beyond = alone.reserve(8).unwrap().submit_len(9);
    assert_eq!(beyond, Err(BeyondSample { at: 0, len: 9, reserved: 8 }));
    shared.push(b"behind").unwrap();
    assert_eq!(drained(&memory), [&b"short"[..], b"behind"]);
}

#[test]
fn a_dropped_sample_leaves_its_room_to_the_lane() {
    let memory = HeapMemory::new(SIZE).unwrap();
    let shared = Shared::attach(&memory).unwrap();
    let [mut handle, other] = busy(&memory, &shared);
    drop(other);
    let left = handle.left();
    drop(handle.reserve(8).unwrap());
    assert_eq!(handle.left(), left);
    handle.reserve(40).unwrap().submit_len(8).unwrap();
    assert_eq!(handle.left(), left - 16);
}

#[test]
fn a_record_as_long_as_the_longest_lane_is_a_single_sample() {
    let memory = HeapMemory::new(SIZE).unwrap();
    let shared = Shared::attach(&memory).unwrap();
    let mut handles = [(); 2].map(|()| AutoLane::with_longest(&shared, 16));
    for _ in 0..20 {
        for handle in &mut handles {
            handle.push(b"12345678").unwrap();
            handle.reserve(8).unwrap().discard();
            assert_eq!(handle.left(), 0);
        }
        empty(&memory);
    }
}

#[test]
fn where_a_lane_does_not_fit_the_single_sample_is_tried() {
    let memory = HeapMemory::new(SIZE).unwrap();
    let shared = Shared::attach(&memory).unwrap();
    let mut handles = busy(&memory, &shared);
    let mut sent = 0;
    let full = loop {
        let turn = sent % 2;
        match handles[turn].push(b"12345678") {
            Ok(_) => sent += 1,
            // The other one may have a lane left.
            Err(_) if handles[1 - turn].left() > 0 => drop(handles[1 - turn].push(b"12345678")),
            Err(error) => break error,
        }
    };
    assert_eq!(full, ReserveError::Full { needed: 16, available: 0 });
    empty(&memory);
    handles[0].push(b"x").unwrap();
}

#[test]
fn a_handle_waits_for_room_and_refuses_what_never_fits() {
    let memory = HeapMemory::new(SIZE).unwrap();
    let shared = Shared::attach(&memory).unwrap();
    let mut handle = AutoLane::new(&shared);
    assert_eq!(handle.push(&[0; 4089]), Err(ReserveError::TooLarge { len: 4089, max: 4088 }));
    handle.push(&[0; 4088]).unwrap();
    let consumer = ScriptedConsumer::new(&memory, Script::at(Duration::from_millis(5)));
    let end = handle.push_blocking(b"waited", &mut consumer.waiter(), None).unwrap();
    assert_eq!((end, consumer.clock().now()), (Position::new(4112), Duration::from_millis(5)));
    handle.push(&[0; 4000]).unwrap();
    let late = handle.push_blocking(&[0; 400], &mut consumer.waiter(), Some(Duration::ZERO));
    assert!(matches!(late, Err(BlockingError::TimedOut { .. })), "{late:?}");
}
