//! The rules by which the kernel drains, seen through the program.

use super::*;

#[test]
fn discarded_records_are_skipped_busy_or_not() {
    needs_bpf!();
    let (mut ring, mut program) = setup(4096, 4096);
    ring.write(DISCARD, b"gone");
    ring.write(0, b"first");
    ring.write(DISCARD | BUSY, b"gone too");
    ring.write(DISCARD, b"");
    ring.write(0, b"second");
    ring.write(DISCARD, b"gone at last");
    ring.publish();
    comes(&mut program, [&b"first"[..], b"second"]);
    assert_eq!(ring.consumer_pos(), ring.producer_pos());
}

#[test]
fn a_busy_record_holds_up_what_lies_behind_it() {
    needs_bpf!();
    let (mut ring, mut program) = setup(4096, 4096);
    ring.write(0, b"before");
    let busy = ring.write(BUSY, b"late");
    ring.write(0, b"behind");
    ring.publish();
    comes(&mut program, [b"before"]);
    comes(&mut program, [b""; 0]);
    assert_eq!(ring.consumer_pos(), busy);
    ring.set_header(busy, 4);
    comes(&mut program, [&b"late"[..], b"behind"]);
}

#[test]
fn a_sample_above_the_dynptr_limit_is_too_big_forever() {
    needs_bpf!();
    let (mut ring, mut program) = setup(1 << 25, 4096);
    ring.write(0, b"before");
    let at = ring.next;
    ring.set_header(at, 1 << 24);
    ring.next += (1 << 24) + 8;
    ring.publish();
    let drained = program.run(&QUIET).unwrap();
    assert_eq!(drained.returned(), Err(Errno::TOOBIG));
    assert_eq!(drained.raw_returned(), -7);
    // What came before the bad record was handed over all the same.
    assert!(drained.samples().eq([&b"before"[..]]));
    assert_eq!(ring.consumer_pos(), at);
    ring.set_header(at, 1 << 24 | DISCARD);
    assert_eq!(program.run(&QUIET).unwrap().returned(), Err(Errno::TOOBIG));
}

#[test]
fn unknown_flags_are_invalid_and_consume_nothing() {
    needs_bpf!();
    let (mut ring, mut program) = setup(4096, 4096);
    ring.send(b"stays");
    for flags in [4, 1 << 31, 1 << 63, u64::MAX] {
        let options = DrainOptions::new().wakeup(WakeupFlags(flags));
        assert_eq!(program.run(&options).unwrap().returned(), Err(Errno::INVAL), "{flags:#x}");
    }
    assert_eq!(ring.consumer_pos(), 0);
    for flags in [WakeupFlags::IF_CONSUMED, WakeupFlags::ALWAYS, WakeupFlags(3)] {
        assert!(program.run(&DrainOptions::new().wakeup(flags)).unwrap().returned().is_ok());
    }
}

#[test]
fn a_drain_stops_after_as_many_samples_as_asked() {
    needs_bpf!();
    let (mut ring, mut program) = setup(4096, 4096);
    for byte in 0..6_u8 {
        ring.send(&[byte]);
        ring.write(DISCARD, b"not counted");
        ring.publish();
    }
    for (stop_after, expected) in [(1, &[0][..]), (3, &[1, 2, 3]), (0, &[4, 5]), (5, &[])] {
        let drained = program.run(&QUIET.stop_after(stop_after)).unwrap();
        assert_eq!(drained.returned(), Ok(u32::try_from(expected.len()).unwrap()));
        assert!(drained.samples().map(|sample| sample[0]).eq(expected.iter().copied()), "{stop_after}");
    }
}

#[test]
fn a_drain_within_a_drain_is_busy() {
    needs_bpf!();
    let map = Map::create("nested", 4096).unwrap();
    let mut program = DrainProgram::load_troublesome(&map, 4096).unwrap();
    let mut ring = RawProducer::new(&map);
    ring.send(b"one");
    ring.send(b"two");
    let drained = program.run(&QUIET.nested(true)).unwrap();
    assert_eq!(drained.nested(), Some(Err(Errno::BUSY)));
    assert_eq!(drained.returned(), Ok(2));
    assert!(drained.samples().eq([b"one", b"two"]));
    assert_eq!(program.run(&QUIET).unwrap().nested(), None);
}

#[test]
fn a_slow_callback_takes_its_time_and_keeps_other_drains_out() {
    const SAMPLES: u32 = 10;
    needs_bpf!();
    let map = Map::create("slow", 4096).unwrap();
    let mut slow = DrainProgram::load_troublesome(&map, 4096).unwrap();
    let mut other = DrainProgram::load(&map, 4096).unwrap();
    let mut ring = RawProducer::new(&map);
    let delay = DrainOptions::MAX_DELAY;
    // A callback keeps its core for itself: on a busy machine the other drain may get none before it is all over.
    let found_busy = (0..20).any(|_| {
        let begin = ring.consumer_pos();
        for number in 0..SAMPLES {
            ring.send(&number.to_ne_bytes());
        }
        std::thread::scope(|scope| {
            let slow = scope.spawn(|| {
                let start = Instant::now();
                let returned = slow.run(&QUIET.delay(delay)).unwrap().returned();
                (returned, start.elapsed())
            });
            // Once the first sample is consumed, the slow drain is busy with the others for a long while.
            while ring.consumer_pos() == begin {
                std::thread::yield_now();
            }
            let answer = other.run(&QUIET).unwrap().returned();
            let (returned, elapsed) = slow.join().unwrap();
            assert_eq!(returned, Ok(SAMPLES));
            assert!(elapsed >= SAMPLES * delay, "{elapsed:?}");
            assert!(matches!(answer, Err(Errno::BUSY) | Ok(0)), "{answer:?}");
            answer == Err(Errno::BUSY)
        })
    });
    assert!(found_busy, "the other drain was never kept out");
}

#[test]
fn two_drainers_at_once_share_the_samples_out() {
    const SAMPLES: u32 = 20_000;
    needs_bpf!();
    let map = Map::create("share", 4096).unwrap();
    let mut ring = RawProducer::new(&map);
    let done = std::sync::atomic::AtomicBool::new(false);
    let start = Instant::now();
    let mut seen: Vec<u32> = std::thread::scope(|scope| {
        let drainers = [(); 2].map(|()| {
            // One drain may take far more than the ring holds, if the producer keeps up with it.
            let log_bytes = DrainProgram::log_bytes(usize::try_from(SAMPLES).unwrap(), 4);
            let mut program = DrainProgram::load(&map, log_bytes).unwrap();
            let done = &done;
            scope.spawn(move || {
                let mut seen = Vec::new();
                loop {
                    assert!(start.elapsed() < Duration::from_secs(60), "the producer gave up");
                    // Read before the drain, so that the last drain comes after the last sample.
                    let last = done.load(std::sync::atomic::Ordering::Acquire);
                    let drained = program.run(&QUIET).unwrap();
                    match drained.returned() {
                        Ok(_) => {}
                        Err(Errno::BUSY) => continue,
                        Err(error) => panic!("{error}"),
                    }
                    assert_eq!(drained.unlogged(), 0);
                    seen.extend(drained.samples().map(|sample| u32::from_ne_bytes(sample.try_into().unwrap())));
                    if last {
                        return seen;
                    }
                }
            })
        });
        for number in 0..SAMPLES {
            while ring.free() < 16 {
                assert!(start.elapsed() < Duration::from_secs(60), "the drainers gave up");
                std::thread::yield_now();
            }
            ring.send(&number.to_ne_bytes());
        }
        done.store(true, std::sync::atomic::Ordering::Release);
        drainers.into_iter().flat_map(|drainer| drainer.join().unwrap()).collect()
    });
    seen.sort_unstable();
    assert!(seen.into_iter().eq(0..SAMPLES));
}
