//! Waiting for room and for consumption: who is woken, who comes first, and how a wait ends.

use super::*;

over_each_reactor! {
    fn a_drain_wakes_a_waiting_task<R>() {
        let (_map, ring, mut program) = half_full::<R>(Recheck::Never);
        for _ in 0..20 {
            let drained = || while drain(&mut program, WAKING) == 0 {};
            waits_until::<R, _>(drained, ring.reserve(WANTED)).unwrap().submit();
        }
    }

    fn a_task_that_waits_on_a_partly_full_ring_is_left_alone<R>() {
        let (_map, ring, mut program) = half_full::<R>(Recheck::Never);
        let drained_late = || {
            sleep(180 * MS);
            drain(&mut program, WAKING);
        };
        let (reserved, polls) = waits_until::<R, _>(drained_late, count_polls(ring.reserve(WANTED)));
        assert!(reserved.is_ok());
        // async-io polls besides whenever another test keeps its reactor busy; spinning takes thousands.
        assert!(polls <= 100, "{polls} polls");
    }

    fn a_silent_drain_is_noticed_by_the_recheck<R>() {
        let (_map, ring, mut program) = half_full::<R>(Recheck::default());
        let drained_late = || {
            sleep(280 * MS);
            drain(&mut program, SILENT);
        };
        let (pushed, polls) = waits_until::<R, _>(drained_late, count_polls(ring.push(&[0; WANTED])));
        assert!(pushed.is_ok());
        assert!(polls < 200, "{polls} polls: the pauses grow");
    }

    fn a_look_wakes_after_a_silent_drain<R>() {
        let (_map, ring, mut program) = half_full::<R>(Recheck::Never);
        let looked = || {
            drain(&mut program, SILENT);
            ring.look();
        };
        drop(waits_until::<R, _>(looked, ring.reserve(WANTED)).unwrap());
    }

    fn a_first_that_is_polled_all_the_while_still_looks_for_the_others<R>() {
        let pause = 50 * MS;
        let (_map, ring, mut program) = half_full::<R>(Recheck::Backoff { first: pause, longest: pause });
        let first = ring.shared().position();
        ring.shared().push(&[0; HALF]).unwrap();
        scope(|scope| {
            let mut reserved = pin!(ring.reserve(WANTED));
            let mut poll = || R::block_on(poll_once(&mut reserved)).is_none();
            assert!(poll());
            let watcher = scope.spawn(|| R::block_on(ring.wait_consumed(first)));
            sleep(20 * MS);
            // Enough for the one who waits for consumption, not enough for the first of the line.
            drain(&mut program, SILENT.stop_after(1));
            let began = Instant::now();
            while began.elapsed() < 40 * pause && !watcher.is_finished() {
                assert!(poll());
                sleep(MS);
            }
            let in_time = watcher.is_finished();
            drain(&mut program, WAKING);
            assert!(!poll());
            watcher.join().unwrap().unwrap();
            assert!(in_time, "each poll put off the look");
        });
    }

    fn tasks_get_room_in_the_order_in_which_they_came<R>() {
        let (_map, ring, mut program) = half_full::<R>(Recheck::Never);
        R::block_on(async {
            // Each but the last takes so much that the next has to wait for a drain.
            let lengths = [WANTED, WANTED, WANTED, WANTED, WANTED, 8];
            let mut waiting: Vec<_> = lengths.into_iter().map(|len| Box::pin(ring.reserve(len))).enumerate().collect();
            for (_, future) in &mut waiting {
                assert!(poll_once(&mut future.as_mut()).await.is_none(), "no task overtakes, also where there is room");
            }
            let mut order = Vec::new();
            while !waiting.is_empty() {
                drain(&mut program, WAKING);
                // The last is asked first.
                for at in (0..waiting.len()).rev() {
                    if let Some(sample) = poll_once(&mut waiting[at].1.as_mut()).await {
                        sample.unwrap().submit();
                        order.push(waiting.remove(at).0);
                    }
                }
            }
            assert_eq!(order, [0, 1, 2, 3, 4, 5]);
        });
    }

    fn a_future_that_is_dropped_leaves_nothing_behind<R>() {
        let (_map, ring, mut program) = half_full::<R>(Recheck::Never);
        let end = ring.shared().position();
        R::block_on(async {
            {
                let mut dropped = pin!(ring.reserve(WANTED));
                assert!(poll_once(&mut dropped).await.is_none());
                let mut behind = pin!(ring.reserve(8));
                assert!(poll_once(&mut behind).await.is_none(), "it stands in line");
                // There is room now, and the first of the line is about to be told.
                drain(&mut program, WAKING);
                sleep(20 * MS);
            }
            assert_eq!(ring.shared().position(), end, "nothing was reserved");
            drop(ring.reserve(8).await.unwrap());
            assert_eq!(ring.shared().position(), end.advance(16));
        });
    }

    fn who_stands_behind_a_dropped_future_is_next<R>() {
        for told in [false, true] {
            let (_map, ring, mut program) = half_full::<R>(Recheck::Never);
            R::block_on(async {
                let mut dropped = Box::pin(ring.reserve(WANTED));
                assert!(poll_once(&mut dropped.as_mut()).await.is_none());
                scope(|scope| {
                    let behind = scope.spawn(|| R::block_on(ring.reserve(WANTED + 8)).map(drop));
                    sleep(20 * MS);
                    if told {
                        // The wake goes to the first, which will never be polled again.
                        drain(&mut program, WAKING);
                        sleep(20 * MS);
                        assert!(!behind.is_finished());
                    }
                    drop(dropped);
                    if !told {
                        sleep(20 * MS);
                        assert!(!behind.is_finished());
                        drain(&mut program, WAKING);
                    }
                    behind.join().unwrap().unwrap();
                });
            });
        }
    }

    fn what_never_fits_is_refused_at_once_even_behind_a_line<R>() {
        let (_map, ring, _program) = half_full::<R>(Recheck::Never);
        R::block_on(async {
            let mut first = pin!(ring.reserve(WANTED));
            assert!(poll_once(&mut first).await.is_none());
            let too_large = ReserveError::TooLarge { len: 65529, max: 65528 };
            for error in [ring.reserve(65529).await.map(drop), ring.push(&[0; 65529]).await.map(drop)] {
                assert!(matches!(error, Err(BlockingError::Reserve(why)) if why == too_large), "{error:?}");
            }
        });
    }

    fn consumption_can_be_waited_for_beside_those_who_want_room<R>() {
        // The one who waits for consumption comes before, or after, the one who wants room.
        for watcher_first in [true, false] {
            let (_map, ring, mut program) = half_full::<R>(Recheck::Never);
            let first = ring.shared().position();
            ring.shared().push(&[0; HALF]).unwrap();
            scope(|scope| {
                let watch = || scope.spawn(|| R::block_on(ring.wait_consumed(first)));
                let want = || scope.spawn(|| R::block_on(ring.reserve(WANTED)).map(drop));
                let (watcher, reserver) = if watcher_first {
                    let watcher = watch();
                    sleep(20 * MS);
                    (watcher, want())
                } else {
                    let reserver = want();
                    sleep(20 * MS);
                    (watch(), reserver)
                };
                sleep(20 * MS);
                assert!(!watcher.is_finished() && !reserver.is_finished());
                drain(&mut program, WAKING.stop_after(1));
                watcher.join().unwrap().unwrap();
                sleep(20 * MS);
                assert!(!reserver.is_finished(), "half of the ring is not enough");
                drain(&mut program, WAKING);
                reserver.join().unwrap().unwrap();
            });
        }
    }

    fn several_wait_for_consumption_and_one_of_them_gives_up<R>() {
        let (_map, ring, mut program) = half_full::<R>(Recheck::Never);
        let end = ring.shared().position();
        let beyond = end.advance(8);
        R::block_on(async {
            let error = ring.wait_consumed(beyond).await.unwrap_err();
            assert!(matches!(error, BlockingError::NotSubmitted { position, .. } if position == beyond), "{error:?}");
            let mut given_up = Box::pin(ring.wait_consumed(end));
            assert!(poll_once(&mut given_up.as_mut()).await.is_none());
            scope(|scope| {
                let others = [0; 3].map(|_| scope.spawn(|| R::block_on(ring.wait_consumed(end))));
                sleep(20 * MS);
                drop(given_up);
                sleep(20 * MS);
                assert!(!others.iter().any(|thread| thread.is_finished()));
                drain(&mut program, WAKING);
                for thread in others {
                    thread.join().unwrap().unwrap();
                }
            });
        });
    }

    fn a_task_and_a_thread_wait_on_one_ring_side_by_side<R>() {
        let (map, ring, mut program) = half_full::<R>(Recheck::Never);
        scope(|scope| {
            let task = scope.spawn(|| R::block_on(ring.reserve(WANTED)).map(drop));
            let thread = scope.spawn(|| {
                let mut waiter = EpollWaiter::with_recheck(&map, Recheck::Never).unwrap();
                ring.shared().wait_consumed(ring.shared().position(), &mut waiter, None)
            });
            sleep(20 * MS);
            drain(&mut program, WAKING);
            task.join().unwrap().unwrap();
            thread.join().unwrap().unwrap();
        });
    }

    fn a_position_that_goes_wrong_ends_the_wait_of_all<R>() {
        let (map, ring, _program) = half_full::<R>(Recheck::default());
        scope(|scope| {
            let threads = [0; 3].map(|_| scope.spawn(|| R::block_on(ring.reserve(WANTED)).map(drop)));
            sleep(20 * MS);
            RawRing::new(&map).set_producer_pos(13);
            for thread in threads {
                let error = thread.join().unwrap().unwrap_err();
                assert!(matches!(error, BlockingError::Reserve(ReserveError::Corrupted(_))), "{error:?}");
            }
        });
    }

    fn a_batch_waits_until_the_whole_of_it_has_room<R>() {
        let (_map, ring, mut program) = half_full::<R>(Recheck::Never);
        let beyond = R::block_on(ring.wait_room(65537)).unwrap_err();
        assert!(matches!(beyond, BlockingError::BeyondRing { bytes: 65537, size: 65536 }), "{beyond}");
        R::block_on(ring.wait_room(32768)).unwrap();
        // Half of the ring is free, and no byte more.
        waits_until::<R, _>(|| _ = drain(&mut program, WAKING), ring.wait_room(32769)).unwrap();
    }

    fn an_exclusive_producer_waits_and_leaves_no_trace_of_a_dropped_future<R>() {
        let (map, shared, mut program) = sync_ring();
        let end = shared.push(&[0; HALF]).unwrap();
        let producer = R::block_on(async { AsyncProducer::with_recheck(shared.into_producer(), &map, Recheck::Never) });
        let mut producer: AsyncProducer<_, R::Reactor> = producer.unwrap();
        R::block_on(async {
            {
                let mut dropped = pin!(producer.reserve(WANTED));
                assert!(poll_once(&mut dropped).await.is_none());
            }
            assert!(matches!(producer.reserve(65529).await, Err(BlockingError::Reserve(ReserveError::TooLarge { .. }))));
            assert_eq!(producer.producer().position(), end);
        });
        scope(|scope| {
            scope.spawn(|| {
                for _ in 0..2 {
                    sleep(20 * MS);
                    while drain(&mut program, WAKING) == 0 {}
                }
            });
            R::block_on(async {
                let sent = producer.reserve(WANTED).await?.submit();
                producer.wait_consumed(sent).await?;
                producer.wait_room(65536).await?;
                producer.push(&[0; WANTED]).await
            })
            .unwrap();
        });
    }
}

#[test]
fn without_a_runtime_there_is_an_error_and_no_panic() {
    guarded(|| {
        let (map, shared, _program) = sync_ring();
        let failed = TokioShared::try_new(shared, &map, Recheck::default()).unwrap_err();
        assert!(matches!(failed.error(), ReactorError::NoRuntime), "{failed}");
        let shared = failed.into_inner();
        shared.push(b"the producer is still there").unwrap();
        let error = TokioShared::new(shared, &map).unwrap_err();
        assert!(matches!(error, ReactorError::NoRuntime), "{error}");
        let error = AsyncError::from(BlockingError::Wait(error));
        assert_eq!(error.to_string(), "could not wait: no runtime is at work in this thread");
    });
}

#[test]
fn another_map_than_the_producers_is_refused() {
    guarded(|| {
        let [map, other] = ["ours", "other"].map(|name| Map::create(name, 4096).unwrap());
        let mapping = Mapping::new(&map).unwrap();
        let refused = |error: ReactorError| {
            let ids = [&other, &map].map(|map| RingId::new(map.id().into()));
            assert!(matches!(error, ReactorError::OtherRing { map, producer } if [map, producer] == ids), "{error}");
        };
        let shared = Shared::attach(&mapping).unwrap();
        refused(AsyncIo::block_on(async { AsyncIoShared::new(shared, &other) }).unwrap_err());
        let producer = Producer::attach(&mapping).unwrap();
        refused(AsyncIo::block_on(async { AsyncIoProducer::new(producer, &other) }).unwrap_err());
        let clone = map.try_clone().unwrap();
        assert!(AsyncIoShared::new(Shared::attach(&mapping).unwrap(), &clone).is_ok(), "another handle of the same");
    });
}

#[test]
fn futures_may_move_between_threads() {
    fn is_send<T: Send>(_: T) {}
    fn check<R: Reactor + Send + Sync>(ring: &AsyncShared<Mapping, R>, producer: &mut AsyncProducer<Mapping, R>) {
        is_send(ring.reserve(8));
        is_send(ring.push(b"sample"));
        is_send(ring.wait_consumed(ring.shared().position()));
        is_send(producer.reserve(8));
    }
    // What this shows is that it compiles, for any reactor.
    let _ = check::<<Tokio as Runtime>::Reactor>;
    let _ = check::<<AsyncIo as Runtime>::Reactor>;
}
