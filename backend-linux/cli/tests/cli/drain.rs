//! `drain`: what was sent comes out, all of it, and a ring that can't be drained says why.

use rustix::process::Signal;
use serde_json::{Value, json};
use user_ringbuf_kit::{needs_admin, soon};
use user_ringbuf_linux::{DrainOptions, DrainProgram, Map, Mapping, MappingView, Producer, Survey, Verdict};

use crate::support::{Bpffs, Run, Running, command, drain, producer, run, run_with, run_without_rights};

fn id(map: &Map) -> String {
    map.id().to_string()
}

fn push(map: &Map, samples: &[&[u8]]) {
    let mut producer = producer(map);
    for sample in samples {
        producer.push(sample).unwrap();
    }
}

fn is_empty(map: &Map) -> bool {
    Survey::of(&MappingView::new(map).unwrap()).verdict == Verdict::Empty
}

#[test]
fn what_send_puts_in_drain_prints() {
    needs_admin!();
    let (_bpffs, map, path) = Bpffs::with_ring(4096);
    assert_eq!(run_with(&["send", "--pin", &path], b"a\nbb\n").status, 0);
    assert_eq!(run(&["drain", "--pin", &path]).quiet().stdout, "a\nbb\n");
    assert!(is_empty(&map));
    assert_eq!(run(&["drain", "--id", &id(&map)]).quiet().stdout, "");
}

#[test]
fn samples_are_written_as_frames_digits_or_objects() {
    needs_admin!();
    let map = Map::create("drain_frames", 4096).unwrap();
    let samples: [&[u8]; 3] = [b"a\nb", b"", b"\xff\0"];
    let drained = |args: &[&str]| {
        push(&map, &samples);
        let output = command().args(["drain", "--id", &id(&map)]).args(args).output().unwrap();
        assert_eq!((output.status.code(), &output.stderr[..]), (Some(0), &b""[..]));
        output.stdout
    };
    let frames = drained(&["--framing", "u32"]);
    assert_eq!(frames, b"\x03\0\0\0a\nb\0\0\0\0\x02\0\0\0\xff\0");
    assert_eq!(drained(&["--framing", "hex"]), b"610a62\n\nff00\n");
    let objects = drained(&["--json"]);
    let objects = serde_json::Deserializer::from_slice(&objects).into_iter::<Value>();
    assert_eq!(
        objects.map(Result::unwrap).collect::<Vec<_>>(),
        [
            json!({"sample": 1, "len": 3, "text": "a\nb"}),
            json!({"sample": 2, "len": 0, "text": ""}),
            json!({"sample": 3, "len": 2, "hex": "ff00"}),
            json!({"id": map.id(), "samples": 3, "bytes": 5}),
        ]
    );
    // And back in.
    let sent = run_with(&["send", "--id", &id(&map), "--framing", "u32"], &frames);
    assert_eq!((sent.status, drain(&map)), (0, samples.map(<[u8]>::to_vec).to_vec()));
}

#[test]
fn no_sample_is_lost_however_many_there_are_and_however_long_they_are() {
    needs_admin!();
    // More than a drain takes, and more than its log holds.
    let map = Map::create("drain_many", 32 << 20).unwrap();
    let mut producer = producer(&map);
    let mut count = 0;
    for number in 0..300_000 {
        producer.push(format!("{number:07}").as_bytes()).unwrap();
        count += 1;
    }
    while producer.push(&vec![b'x'; 100_000]).is_ok() {
        count += 1;
    }
    drop(producer);
    let drained = run(&["drain", "--id", &id(&map)]).quiet();
    let lines: Vec<&str> = drained.stdout.lines().collect();
    assert_eq!(lines.len(), count);
    assert!(lines[..300_000].iter().enumerate().all(|(number, line)| *line == format!("{number:07}")));
    assert!(lines[300_000..].iter().all(|line| line.len() == 100_000));
    assert!(is_empty(&map));
}

#[test]
fn as_many_samples_as_asked_for_and_the_others_stay() {
    needs_admin!();
    let map = Map::create("drain_some", 4096).unwrap();
    push(&map, &[b"1", b"2", b"3"]);
    let drained = run(&["drain", "--id", &id(&map), "--samples", "2"]);
    assert_eq!((drained.status, drained.stdout.as_str()), (0, "1\n2\n"));
    assert_eq!(drain(&map), [b"3"]);
}

fn follow(map: &Map, more: &[&str]) -> Running {
    Running::start(&[&["drain", "--follow", "--id", &id(map)], more].concat())
}

fn end(following: Running, signal: Signal) -> Run {
    following.kill(signal);
    following.end()
}

#[test]
fn following_goes_on_until_a_signal_and_says_how_much_it_was() {
    needs_admin!();
    let map = Map::create("drain_follow", 4096).unwrap();
    for signal in [Signal::INT, Signal::TERM] {
        let mut following = follow(&map, &[]);
        for line in ["one", "two"] {
            push(&map, &[line.as_bytes()]);
            assert_eq!(following.line(), format!("{line}\n"));
        }
        let run = end(following, signal);
        assert_eq!((run.status, run.stdout.as_str()), (0, ""));
        assert!(run.stderr.ends_with("drained 2 samples (6 bytes)\n"), "{run:?}");
    }
    let mut following = follow(&map, &["--json"]);
    push(&map, &[b"one"]);
    assert_eq!(following.line(), "{\"sample\":1,\"len\":3,\"text\":\"one\"}\n");
    let total: Value = serde_json::from_str(&end(following, Signal::INT).stdout).unwrap();
    assert_eq!(total, json!({"id": map.id(), "samples": 1, "bytes": 3}));
}

#[test]
fn following_waits_at_a_busy_record_and_says_so() {
    needs_admin!();
    let map = Map::create("drain_held", 4096).unwrap();
    let mut producer = producer(&map);
    let busy = producer.reserve_detached(4).unwrap();
    producer.push(b"behind").unwrap();
    let mut following = follow(&map, &[]);
    let note = following.note();
    assert!(note.contains("is held: the kernel stops at the busy record of"), "{note}");
    busy.discard();
    assert_eq!(following.line(), "behind\n");
    end(following, Signal::TERM);
}

#[test]
fn what_stops_the_kernel_is_told_with_what_to_do() {
    needs_admin!();
    let map = Map::create("drain_stuck", 4096).unwrap();
    let mapping = Mapping::new(&map).unwrap();
    let mut producer = Producer::attach(&mapping).unwrap();
    producer.push(b"before").unwrap();
    std::mem::forget(producer.reserve_detached(100).unwrap());
    producer.push(b"behind").unwrap();
    drop(producer);
    drop(mapping);
    let held = run(&["drain", "--id", &id(&map)]);
    assert_eq!(held.stdout, "before\n");
    held.failed(1, &["is held: the kernel stops at the busy record of 100 bytes", "`user-ringbuf repair --id"]);
    let json = run(&["drain", "--id", &id(&map), "--json"]);
    json.failed(1, &["held", json.json()["error"].as_str().unwrap()]);
    assert_eq!(run(&["repair", "--id", &id(&map), "--producer-is-gone"]).status, 0);
    assert_eq!(run(&["drain", "--id", &id(&map)]).stdout, "behind\n");
}

#[test]
fn another_drain_of_the_same_ring_is_noticed_and_waited_for() {
    needs_admin!();
    let map = Map::create("drain_twice", 4096).unwrap();
    let samples: Vec<Vec<u8>> = (0..100).map(|number: u32| number.to_string().into_bytes()).collect();
    let fill = || push(&map, &samples.iter().map(Vec::as_slice).collect::<Vec<_>>());
    let consumer = || Survey::of(&MappingView::new(&map).unwrap()).consumer;
    let mut slow = DrainProgram::load_troublesome(&map, 1 << 20).unwrap();
    let options = DrainOptions::new().delay(DrainOptions::MAX_DELAY);
    // A slow drain takes two seconds. On a busy machine the command may need longer to begin: then once more.
    soon("a drain beside another", || {
        fill();
        let before = consumer();
        std::thread::scope(|scope| {
            let draining = scope.spawn(|| slow.run(&options).unwrap().returned());
            soon("begun", || consumer() != before);
            let run = run(&["drain", "--id", &id(&map)]);
            assert_eq!(draining.join().unwrap(), Ok(100));
            assert_eq!((run.status, run.stdout.as_str()), (0, ""));
            run.stderr.contains("another drain of this ring is running (-EBUSY)")
        })
    });
    // Two of the command, one after the other or at once: each sample comes out of one of them.
    for _ in 0..20 {
        fill();
        let both = [(); 2].map(|()| Running::start(&["drain", "--id", &id(&map)])).map(Running::end);
        let mut lines: Vec<&str> = both.iter().flat_map(|one| one.stdout.lines()).collect();
        lines.sort_unstable_by_key(|line| line.parse::<u32>().unwrap());
        assert!(lines.iter().map(|line| line.as_bytes()).eq(samples.iter().map(Vec::as_slice)), "{both:?}");
    }
}

#[test]
fn the_flags_say_whether_a_waiting_producer_is_woken() {
    needs_admin!();
    use user_ringbuf_linux::{EpollWaiter, Recheck};
    let woken = |args: &[&str], full: bool| {
        let map = Map::create("drain_flags", 65536).unwrap();
        if full {
            push(&map, &[&[0; 65000]]);
        }
        let waiter = EpollWaiter::with_recheck(&map, Recheck::Never).unwrap();
        let mut waiter = waiter;
        // The registration leaves an event.
        waiter.acknowledge().unwrap();
        assert_eq!(run(&[&["drain", "--id", &id(&map), "--framing", "hex"], args].concat()).status, 0);
        let mut look = [rustix::event::PollFd::new(&waiter, rustix::event::PollFlags::IN)];
        let time = rustix::event::Timespec { tv_sec: 0, tv_nsec: 200_000_000 };
        rustix::event::poll(&mut look, Some(&time)).unwrap() > 0
    };
    assert!(woken(&[], true) && !woken(&["--no-wakeup"], true));
    assert!(!woken(&[], false) && woken(&["--force-wakeup"], false));
}

#[test]
fn a_closed_pipe_ends_it_quietly() {
    needs_admin!();
    let map = Map::create("drain_pipe", 1 << 20).unwrap();
    push(&map, &vec![&b"0123456789"[..]; 30_000]);
    let mut following = follow(&map, &[]);
    assert_eq!(following.line(), "0123456789\n");
    following.close_output();
    // What is read of it now is beyond what a pipe holds.
    push(&map, &[&[0; 40]]);
    following.end().quiet();
    for args in [&["list"][..], &["probe"], &["inspect", "--id", &id(&map)]] {
        let mut running = Running::start(args);
        running.close_output();
        let stderr = running.end().stderr;
        assert!(!stderr.contains("pipe") && !stderr.contains("panicked"), "{args:?} {stderr}");
    }
}

#[test]
fn without_rights_the_error_names_the_capability() {
    use std::os::unix::fs::PermissionsExt;
    needs_admin!();
    let (bpffs, _map, path) = Bpffs::with_ring(4096);
    std::fs::set_permissions(bpffs.path(""), PermissionsExt::from_mode(0o755)).unwrap();
    std::fs::set_permissions(bpffs.path("ring"), PermissionsExt::from_mode(0o666)).unwrap();
    run_without_rights(&["drain", "--pin", &path]).failed(1, &["it needs CAP_BPF"]);
}
