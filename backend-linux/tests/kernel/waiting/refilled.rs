//! Waiting for consumption on a ring that is full again before the waiter has run: epoll then drops the edge.

use user_ringbuf_linux::Position;

use super::*;

/// A ring that is full of samples of 56 bytes, and where the first of them ends.
fn full() -> (Map, Shared<Mapping>, DrainProgram, Position) {
    let map = Map::create("refilled", RING).unwrap();
    let program = DrainProgram::load(&map, 0).unwrap();
    let shared = Shared::attach(Mapping::new(&map).unwrap()).unwrap();
    let first = shared.push(&[0; 56]).unwrap();
    while shared.push(&[0; 56]).is_ok() {}
    (map, shared, program, first)
}

#[test]
fn what_was_consumed_is_noticed_although_the_ring_is_full_again() {
    needs_bpf!();
    let hour = Duration::from_secs(3600);
    for recheck in [Recheck::Never, Recheck::Backoff { first: hour, longest: hour }, Recheck::default()] {
        for _ in 0..5 {
            let (map, shared, mut program, first) = full();
            let shared = &shared;
            std::thread::scope(|scope| {
                let mut waiter = EpollWaiter::with_recheck(&map, recheck).unwrap();
                let thread = scope.spawn(move || {
                    let began = Instant::now();
                    (shared.wait_consumed(first, &mut waiter, Some(patience())), began.elapsed())
                });
                sleep(5 * MS);
                assert!(!thread.is_finished(), "nothing was drained");
                assert_eq!(drain(&mut program, WAKING.stop_after(1)), 1);
                shared.push(&[0; 56]).unwrap();
                let (consumed, took) = joined_scoped(thread);
                assert_eq!(consumed, Ok(()));
                assert!(took < patience() / 2, "the one wake was lost: found after {took:?}, with {recheck:?}");
            });
        }
    }
}
