//! The drain program on rings written by hand.

use std::mem::ManuallyDrop;
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd};
use std::time::{Duration, Instant};

use rustix::io::Errno;
use user_ringbuf_linux::{
    BpfCommand, Capability, DrainError, DrainOptions, DrainProgram, MAX_LOG, Map, MapError, WakeupFlags,
};

use crate::support::ring::{BUSY, DISCARD, RawRing};
use crate::support::{may_bpf, objects, without_rights};

/// The most records that the kernel takes in one drain.
const BATCH: u32 = 131_072;
/// The longest sample, the limit of a dynptr.
const LONGEST: usize = (1 << 24) - 1;

const QUIET: DrainOptions = DrainOptions::new().wakeup(WakeupFlags::NEVER);

fn setup(ring: u64, log_bytes: usize) -> (RawRing, DrainProgram) {
    let map = Map::create("drain_test", ring).unwrap();
    let program = DrainProgram::load(&map, log_bytes).unwrap_or_else(|error| panic!("{error}"));
    (RawRing::new(&map), program)
}

/// Bytes that differ with length and place.
fn pattern(len: usize) -> Vec<u8> {
    let mut state = u64::try_from(len).unwrap().wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1;
    (0..len)
        .map(|_| {
            state ^= state << 13;
            state ^= state >> 7;
            state ^= state << 17;
            state.to_le_bytes()[7]
        })
        .collect()
}

#[test]
fn samples_arrive_in_order_with_their_exact_length_and_bytes() {
    if !may_bpf() {
        return;
    }
    let (mut ring, mut program) = setup(1 << 20, 1 << 20);
    let sent: Vec<_> = [3, 0, 1, 7, 8, 9, 8, 8, 0, 0, 4096, 4097, 40, 40, 4095, 65536].map(pattern).into();
    for sample in &sent {
        ring.send(sample);
    }
    let drained = program.run(&QUIET).unwrap();
    assert_eq!(drained.returned(), Ok(16));
    assert_eq!(drained.raw_returned(), 16);
    assert_eq!(drained.unlogged(), 0);
    assert_eq!(drained.nested(), None);
    assert!(drained.samples().eq(sent.iter().map(Vec::as_slice)));
    assert_eq!(ring.consumer_pos(), ring.producer_pos());
}

#[test]
fn every_length_up_to_a_page_and_each_near_a_power_of_two_arrives_intact() {
    if !may_bpf() {
        return;
    }
    let (mut ring, mut program) = setup(1 << 25, (1 << 25) + 64);
    let edges = (12..=24).flat_map(|bits| {
        let edge = 1_usize << bits;
        [edge - 1, edge, edge + 1, edge + edge / 2 + 5]
    });
    let lengths: Vec<_> = (0..=4200).chain(edges.filter(|len| *len <= LONGEST)).collect();
    for pair in lengths.chunks(2) {
        let sent: Vec<_> = pair.iter().map(|len| pattern(*len)).collect();
        let mut sent = &sent[..];
        while !sent.is_empty() {
            let fitting = sent.iter().take_while(|sample| {
                let fits = sample.len() + 16 <= ring.free();
                if fits {
                    ring.send(sample);
                }
                fits
            });
            let (now, later) = sent.split_at(fitting.count());
            let drained = program.run(&QUIET).unwrap();
            assert_eq!(drained.returned(), Ok(u32::try_from(now.len()).unwrap()));
            assert!(drained.samples().eq(now.iter().map(Vec::as_slice)), "{pair:?}");
            sent = later;
        }
    }
}

#[test]
fn the_longest_sample_fits_a_log_made_for_it() {
    if !may_bpf() {
        return;
    }
    let (mut ring, mut program) = setup(1 << 25, DrainProgram::log_bytes(1, LONGEST));
    let sample = pattern(LONGEST);
    ring.send(&sample);
    let drained = program.run(&QUIET).unwrap();
    assert_eq!(drained.returned(), Ok(1));
    assert!(drained.samples().eq([&sample[..]]));
}

#[test]
fn a_record_that_wraps_arrives_whole_again_and_again() {
    if !may_bpf() {
        return;
    }
    let (mut ring, mut program) = setup(4096, 8192);
    for round in 0..200 {
        let sample = pattern(1000 + round % 7);
        ring.send(&sample);
        assert!(program.run(&QUIET).unwrap().samples().eq([&sample[..]]), "round {round}");
    }
    assert!(ring.producer_pos() > 40 * 4096);
}

#[test]
fn a_record_as_large_as_the_ring_arrives() {
    if !may_bpf() {
        return;
    }
    let (mut ring, mut program) = setup(4096, 4096);
    for _ in 0..3 {
        let sample = pattern(4096 - 8);
        ring.send(&sample);
        assert!(program.run(&QUIET).unwrap().samples().eq([&sample[..]]));
    }
}

#[test]
fn an_empty_ring_yields_nothing_and_forgets_the_last_run() {
    if !may_bpf() {
        return;
    }
    let (mut ring, mut program) = setup(4096, 4096);
    ring.send(b"once");
    assert_eq!(program.run(&QUIET).unwrap().samples().len(), 1);
    let drained = program.run(&QUIET).unwrap();
    assert_eq!(drained.returned(), Ok(0));
    assert_eq!(drained.samples().len(), 0);
}

#[test]
fn discarded_records_are_skipped_busy_or_not() {
    if !may_bpf() {
        return;
    }
    let (mut ring, mut program) = setup(4096, 4096);
    ring.write(DISCARD, b"gone");
    ring.write(0, b"first");
    ring.write(DISCARD | BUSY, b"gone too");
    ring.write(DISCARD, b"");
    ring.write(0, b"second");
    ring.write(DISCARD, b"gone at last");
    ring.publish();
    let drained = program.run(&QUIET).unwrap();
    assert_eq!(drained.returned(), Ok(2));
    assert!(drained.samples().eq([&b"first"[..], b"second"]));
    assert_eq!(ring.consumer_pos(), ring.producer_pos());
}

#[test]
fn a_busy_record_holds_up_what_lies_behind_it() {
    if !may_bpf() {
        return;
    }
    let (mut ring, mut program) = setup(4096, 4096);
    ring.write(0, b"before");
    let busy = ring.write(BUSY, b"late");
    ring.write(0, b"behind");
    ring.publish();
    assert!(program.run(&QUIET).unwrap().samples().eq([&b"before"[..]]));
    assert_eq!(program.run(&QUIET).unwrap().returned(), Ok(0));
    assert_eq!(ring.consumer_pos(), busy);
    ring.header(busy, 4);
    assert!(program.run(&QUIET).unwrap().samples().eq([&b"late"[..], b"behind"]));
}

#[test]
fn a_sample_above_the_dynptr_limit_is_too_big_for_ever() {
    if !may_bpf() {
        return;
    }
    let (mut ring, mut program) = setup(1 << 25, 4096);
    ring.write(0, b"before");
    let at = ring.next;
    ring.header(at, 1 << 24);
    ring.next += (1 << 24) + 8;
    ring.publish();
    let drained = program.run(&QUIET).unwrap();
    assert_eq!(drained.returned(), Err(Errno::TOOBIG));
    assert_eq!(drained.raw_returned(), -7);
    // What came before the bad record was handed over all the same.
    assert!(drained.samples().eq([&b"before"[..]]));
    assert_eq!(ring.consumer_pos(), at);
    ring.header(at, 1 << 24 | DISCARD);
    assert_eq!(program.run(&QUIET).unwrap().returned(), Err(Errno::TOOBIG));
}

#[test]
fn an_unaligned_position_and_a_length_beyond_it_are_invalid() {
    if !may_bpf() {
        return;
    }
    let (mut ring, mut program) = setup(4096, 4096);
    ring.set_producer_pos(12);
    assert_eq!(program.run(&QUIET).unwrap().returned(), Err(Errno::INVAL));
    ring.write(0, b"12345678");
    ring.set_producer_pos(8);
    assert_eq!(program.run(&QUIET).unwrap().returned(), Err(Errno::INVAL));
    assert_eq!(ring.consumer_pos(), 0);
    ring.publish();
    assert_eq!(program.run(&QUIET).unwrap().returned(), Ok(1));
}

#[test]
fn unknown_flags_are_invalid_and_consume_nothing() {
    if !may_bpf() {
        return;
    }
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
    if !may_bpf() {
        return;
    }
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
fn one_drain_takes_at_most_131072_records_and_logs_them_all() {
    if !may_bpf() {
        return;
    }
    let count = usize::try_from(BATCH).unwrap();
    let (mut ring, mut program) = setup(1 << 22, DrainProgram::log_bytes(count, 8));
    for number in 0..BATCH + 5 {
        ring.write(0, &number.to_ne_bytes());
    }
    ring.publish();
    let drained = program.run(&QUIET).unwrap();
    assert_eq!(drained.returned(), Ok(BATCH));
    assert_eq!(drained.unlogged(), 0);
    assert!(drained.samples().eq((0..BATCH).map(u32::to_ne_bytes)));
    let drained = program.run(&QUIET).unwrap();
    assert_eq!(drained.returned(), Ok(5));
    assert!(drained.samples().eq((BATCH..BATCH + 5).map(u32::to_ne_bytes)));
}

#[test]
fn what_does_not_fit_the_log_is_consumed_and_counted_and_nothing_is_logged_behind_it() {
    if !may_bpf() {
        return;
    }
    // Room for three samples of 8 bytes.
    let (mut ring, mut program) = setup(1 << 20, DrainProgram::log_bytes(3, 8));
    assert_eq!(program.log_capacity(), 48);
    for _ in 0..3 {
        ring.send(b"12345678");
    }
    assert_eq!(program.run(&QUIET).unwrap().unlogged(), 0);

    ring.send(b"a");
    ring.send(&pattern(30));
    ring.send(b"b");
    ring.send(&pattern(100_000));
    let drained = program.run(&QUIET).unwrap();
    assert_eq!(drained.returned(), Ok(4));
    assert_eq!(drained.unlogged(), 3);
    assert!(drained.samples().eq([b"a"]));
    assert_eq!(ring.consumer_pos(), ring.producer_pos());
    // The next run starts anew.
    ring.send(b"c");
    assert!(program.run(&QUIET).unwrap().samples().eq([b"c"]));
}

#[test]
fn a_large_sample_that_does_not_fit_leaves_no_trace_in_the_log() {
    if !may_bpf() {
        return;
    }
    for log_bytes in [4096, 5000, 8192, 65_536, 100_000] {
        let (mut ring, mut program) = setup(1 << 20, log_bytes);
        let fits = pattern(log_bytes.next_multiple_of(8) - 8);
        ring.send(&fits);
        assert!(program.run(&QUIET).unwrap().samples().eq([&fits[..]]), "{log_bytes}");
        ring.send(b"x");
        ring.send(&fits);
        let drained = program.run(&QUIET).unwrap();
        assert!(drained.samples().eq([b"x"]));
        assert_eq!(drained.unlogged(), 1);
    }
}

#[test]
fn without_a_log_the_ring_is_emptied_all_the_same() {
    if !may_bpf() {
        return;
    }
    let (mut ring, mut program) = setup(4096, 0);
    ring.send(b"one");
    ring.send(b"two");
    let drained = program.run(&DrainOptions::new()).unwrap();
    assert_eq!(drained.returned(), Ok(2));
    assert_eq!((drained.samples().len(), drained.unlogged()), (0, 0));
    assert_eq!(ring.consumer_pos(), ring.producer_pos());
}

#[test]
fn a_drain_within_a_drain_is_busy() {
    if !may_bpf() {
        return;
    }
    let map = Map::create("nested", 4096).unwrap();
    let mut program = DrainProgram::load_troublesome(&map, 4096).unwrap();
    let mut ring = RawRing::new(&map);
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
    const SAMPLES: u32 = 8;
    if !may_bpf() {
        return;
    }
    let map = Map::create("slow", 4096).unwrap();
    let mut slow = DrainProgram::load_troublesome(&map, 4096).unwrap();
    let mut other = DrainProgram::load(&map, 4096).unwrap();
    let mut ring = RawRing::new(&map);
    for number in 0..SAMPLES {
        ring.send(&number.to_ne_bytes());
    }
    let delay = DrainOptions::MAX_DELAY;
    std::thread::scope(|scope| {
        let slow = scope.spawn(|| {
            let start = Instant::now();
            let returned = slow.run(&QUIET.delay(delay)).unwrap().returned();
            (returned, start.elapsed())
        });
        // Once the first sample is consumed, the slow drain is busy with the others for a long while.
        while ring.consumer_pos() == 0 {
            std::thread::yield_now();
        }
        assert_eq!(other.run(&QUIET).unwrap().returned(), Err(Errno::BUSY));
        let (returned, elapsed) = slow.join().unwrap();
        assert_eq!(returned, Ok(SAMPLES));
        assert!(elapsed >= SAMPLES * delay, "{elapsed:?}");
    });
}

#[test]
fn a_program_goes_on_after_its_map_handle_is_gone() {
    if !may_bpf() {
        return;
    }
    let map = Map::create("gone", 4096).unwrap();
    let mut program = DrainProgram::load(&map, 4096).unwrap();
    let mut ring = RawRing::new(&map);
    drop(map);
    ring.send(b"still");
    assert!(program.run(&QUIET).unwrap().samples().eq([b"still"]));
}

#[test]
fn two_programs_keep_their_logs_apart() {
    if !may_bpf() {
        return;
    }
    let map = Map::create("two", 4096).unwrap();
    let mut one = DrainProgram::load(&map, 4096).unwrap();
    let mut two = DrainProgram::load(&map, 4096).unwrap();
    let mut ring = RawRing::new(&map);
    ring.send(b"one");
    let first = one.run(&QUIET).unwrap();
    ring.send(b"two");
    assert!(two.run(&QUIET).unwrap().samples().eq([b"two"]));
    assert!(first.samples().eq([b"one"]));
}

#[test]
fn two_drainers_at_once_share_the_samples_out() {
    const SAMPLES: u32 = 20_000;
    // One drain may go on for longer than the ring, while the other side submits: to its limit of records.
    const LOG: usize = 131_072 * 16;
    if !may_bpf() {
        return;
    }
    let map = Map::create("share", 4096).unwrap();
    let mut ring = RawRing::new(&map);
    let done = std::sync::atomic::AtomicBool::new(false);
    let mut seen: Vec<u32> = std::thread::scope(|scope| {
        let drainers = [(); 2].map(|()| {
            let mut program = DrainProgram::load(&map, LOG).unwrap();
            let done = &done;
            scope.spawn(move || {
                let mut seen = Vec::new();
                loop {
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

#[test]
fn options_that_a_program_does_not_have_are_refused() {
    if !may_bpf() {
        return;
    }
    let map = Map::create("options", 4096).unwrap();
    let mut plain = DrainProgram::load(&map, 0).unwrap();
    assert_eq!(plain.run(&QUIET.nested(true)).unwrap_err(), DrainError::NotTroublesome);
    assert_eq!(plain.run(&QUIET.delay(Duration::from_nanos(1))).unwrap_err(), DrainError::NotTroublesome);
    let mut troublesome = DrainProgram::load_troublesome(&map, 0).unwrap();
    let delay = Duration::from_secs(1);
    let max = DrainOptions::MAX_DELAY;
    assert_eq!(troublesome.run(&QUIET.delay(delay)).unwrap_err(), DrainError::DelayTooLong { delay, max });
}

#[test]
fn a_log_above_the_limit_is_refused() {
    if !may_bpf() {
        return;
    }
    let map = Map::create("log", 4096).unwrap();
    for bytes in [MAX_LOG + 1, usize::MAX, DrainProgram::log_bytes(usize::MAX, 8)] {
        assert_eq!(DrainProgram::load(&map, bytes).unwrap_err(), DrainError::LogTooLarge { bytes, max: MAX_LOG });
    }
}

#[test]
fn loading_without_rights_names_the_capability_and_running_needs_none() {
    if !may_bpf() {
        return;
    }
    let map = Map::create("rights", 4096).unwrap();
    let mut ring = RawRing::new(&map);
    let mut program = DrainProgram::load(&map, 4096).unwrap();
    without_rights(|| {
        for log_bytes in [0, 4096] {
            let error = DrainProgram::load(&map, log_bytes).unwrap_err();
            assert!(matches!(error, DrainError::NotPermitted { needs: Capability::Bpf, .. }), "{error:?}");
            assert!(error.to_string().contains("CAP_BPF"), "{error}");
        }
        ring.send(b"free");
        assert!(program.run(&QUIET).unwrap().samples().eq([b"free"]));
    });
}

#[test]
fn the_verifiers_words_stand_in_the_error() {
    if !may_bpf() {
        return;
    }
    // A handle under which another map was put in the descriptor's place.
    let impostor = Map::create("replaced", 4096).unwrap();
    let array = objects::map(2, 4, 8, 1);
    // SAFETY: the number is open; `ManuallyDrop` leaves it to `impostor` to close it.
    let mut place = ManuallyDrop::new(unsafe { OwnedFd::from_raw_fd(impostor.as_raw_fd()) });
    rustix::io::dup2(&array, &mut place).unwrap();
    match DrainProgram::load(&impostor, 4096).unwrap_err() {
        error @ DrainError::Rejected { .. } => {
            assert!(error.to_string().contains("bpf_user_ringbuf_drain"), "{error}");
            let DrainError::Rejected { error, log } = error else { unreachable!() };
            assert_eq!(error.command, BpfCommand::ProgLoad);
            assert!(log.lines().count() > 5, "{log}");
        }
        error => panic!("{error:?}"),
    }
    assert_eq!(Map::from_borrowed(&impostor).unwrap_err(), MapError::WrongType { found: 2 });
}
