//! `drain`: what was sent comes out, all of it, and a ring that can't be drained says why.

use std::io::{BufRead, BufReader, Read};
use std::process::{Child, Stdio};
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};
use serde_json::{Value, json};
use user_ringbuf_kit::{needs_admin, patience};
use user_ringbuf_linux::{DrainOptions, DrainProgram, Map, Mapping, MappingView, Producer, Survey, Verdict};

use crate::support::{Bpffs, Run, command, drain, run, run_with, run_without_rights};
use crate::watchdog::Watchdog;

fn id(map: &Map) -> String {
    map.id().to_string()
}

fn push(map: &Map, samples: &[&[u8]]) {
    let mapping = Mapping::new(map).unwrap();
    let mut producer = Producer::attach(&mapping).unwrap();
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
    let bpffs = Bpffs::mount();
    let map = bpffs.ring(4096);
    let path = bpffs.text("ring");
    assert_eq!(run_with(&["send", "--pin", &path], b"a\nbb\n").status, 0);
    let drained = run(&["drain", "--pin", &path]);
    assert_eq!((drained.status, drained.stdout.as_str(), drained.stderr.as_str()), (0, "a\nbb\n", ""));
    assert!(is_empty(&map));
    let empty = run(&["drain", "--id", &id(&map)]);
    assert_eq!((empty.status, empty.stdout.as_str(), empty.stderr.as_str()), (0, "", ""));
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
    let objects: Vec<Value> = objects
        .split(|byte| *byte == b'\n')
        .filter(|line| !line.is_empty())
        .map(|line| serde_json::from_slice(line).unwrap())
        .collect();
    assert_eq!(
        objects,
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
    let mapping = Mapping::new(&map).unwrap();
    let mut producer = Producer::attach(&mapping).unwrap();
    let mut count = 0;
    for number in 0..300_000 {
        producer.push(format!("{number:07}").as_bytes()).unwrap();
        count += 1;
    }
    while producer.push(&vec![b'x'; 100_000]).is_ok() {
        count += 1;
    }
    drop(producer);
    drop(mapping);
    let drained = run(&["drain", "--id", &id(&map)]);
    assert_eq!((drained.status, drained.stderr.as_str()), (0, ""));
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

/// A `drain --follow`, and what it has written.
struct Following {
    _watchdog: Watchdog,
    child: Child,
    stdout: BufReader<std::process::ChildStdout>,
}

impl Following {
    fn start(map: &Map, more: &[&str]) -> Self {
        let mut child = command()
            .args(["drain", "--follow", "--id", &id(map)])
            .args(more)
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let stdout = BufReader::new(child.stdout.take().unwrap());
        Self { _watchdog: Watchdog::over(&child), child, stdout }
    }

    fn line(&mut self) -> String {
        let mut line = String::new();
        self.stdout.read_line(&mut line).unwrap();
        line
    }

    fn end(mut self, signal: Signal) -> Run {
        kill_process(Pid::from_child(&self.child), signal).unwrap();
        let mut rest = String::new();
        self.stdout.read_to_string(&mut rest).unwrap();
        let mut run = Run::of(&self.child.wait_with_output().unwrap());
        run.stdout = rest;
        run
    }
}

#[test]
fn following_goes_on_until_a_signal_and_says_how_much_it_was() {
    needs_admin!();
    let map = Map::create("drain_follow", 4096).unwrap();
    for signal in [Signal::INT, Signal::TERM] {
        let mut following = Following::start(&map, &[]);
        for line in ["one", "two"] {
            push(&map, &[line.as_bytes()]);
            assert_eq!(following.line(), format!("{line}\n"));
        }
        let run = following.end(signal);
        assert_eq!((run.status, run.stdout.as_str()), (0, ""));
        assert!(run.stderr.ends_with("drained 2 samples (6 bytes)\n"), "{run:?}");
    }
    let mut following = Following::start(&map, &["--json"]);
    push(&map, &[b"one"]);
    assert_eq!(following.line(), "{\"sample\":1,\"len\":3,\"text\":\"one\"}\n");
    let total: Value = serde_json::from_str(&following.end(Signal::INT).stdout).unwrap();
    assert_eq!(total, json!({"id": map.id(), "samples": 1, "bytes": 3}));
}

#[test]
fn following_waits_at_a_busy_record_and_says_so() {
    needs_admin!();
    let map = Map::create("drain_held", 4096).unwrap();
    let mapping = Mapping::new(&map).unwrap();
    let mut producer = Producer::attach(&mapping).unwrap();
    let busy = producer.reserve_detached(4).unwrap();
    producer.push(b"behind").unwrap();
    let mut following = Following::start(&map, &[]);
    let mut stderr = BufReader::new(following.child.stderr.take().unwrap());
    let mut note = String::new();
    stderr.read_line(&mut note).unwrap();
    assert!(note.contains("is held: the kernel stops at the busy record of"), "{note}");
    busy.discard();
    assert_eq!(following.line(), "behind\n");
    following.end(Signal::TERM);
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
    let error = held.failed(1);
    assert!(error.contains("is held: the kernel stops at the busy record of 100 bytes"), "{error}");
    assert!(error.contains("`user-ringbuf repair --id"), "{error}");
    let json = run(&["drain", "--id", &id(&map), "--json"]);
    assert!(json.failed(1).contains("held") && json.json()["error"].is_string(), "{json:?}");
    assert_eq!(run(&["repair", "--id", &id(&map), "--producer-is-gone"]).status, 0);
    assert_eq!(run(&["drain", "--id", &id(&map)]).stdout, "behind\n");
}

#[test]
fn another_drain_of_the_same_ring_is_noticed_and_waited_for() {
    needs_admin!();
    let map = Map::create("drain_twice", 4096).unwrap();
    let samples: Vec<Vec<u8>> = (0..200).map(|number: u32| number.to_string().into_bytes()).collect();
    push(&map, &samples.iter().map(Vec::as_slice).collect::<Vec<_>>());
    let mut slow = DrainProgram::load_troublesome(&map, 1 << 20).unwrap();
    let options = DrainOptions::new().delay(DrainOptions::MAX_DELAY);
    std::thread::scope(|scope| {
        let draining = scope.spawn(move || {
            let drained = slow.run(&options).unwrap();
            assert_eq!(drained.returned(), Ok(200));
        });
        // Some time before the slow one has taken them all.
        std::thread::sleep(Duration::from_millis(100));
        let run = run(&["drain", "--id", &id(&map)]);
        assert_eq!((run.status, run.stdout.as_str()), (0, ""));
        assert!(run.stderr.contains("another drain of this ring is running (-EBUSY)"), "{run:?}");
        draining.join().unwrap();
    });
    // Two of the command, one after the other or at once: each sample comes out of one of them.
    for _ in 0..20 {
        push(&map, &samples.iter().map(Vec::as_slice).collect::<Vec<_>>());
        let start =
            || command().args(["drain", "--id", &id(&map)]).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn();
        let both = [start().unwrap(), start().unwrap()].map(|one| Run::of(&one.wait_with_output().unwrap()));
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
    let mut following = Following::start(&map, &[]);
    assert_eq!(following.line(), "0123456789\n");
    let Following { child, stdout, _watchdog } = following;
    drop(stdout);
    let began = Instant::now();
    // What is read of it now is beyond what a pipe holds.
    push(&map, &[&[0; 40]]);
    let run = Run::of(&child.wait_with_output().unwrap());
    assert_eq!((run.status, run.stderr.as_str()), (0, ""));
    assert!(began.elapsed() < patience());
    for args in [&["list"][..], &["probe"], &["inspect", "--id", &id(&map)]] {
        let mut child = command().args(args).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
        drop(child.stdout.take());
        let stderr = Run::of(&child.wait_with_output().unwrap()).stderr;
        assert!(!stderr.contains("pipe") && !stderr.contains("panicked"), "{args:?} {stderr}");
    }
}

#[test]
fn without_rights_the_error_names_the_capability() {
    use std::os::unix::fs::PermissionsExt;
    needs_admin!();
    let bpffs = Bpffs::mount();
    let map = bpffs.ring(4096);
    std::fs::set_permissions(bpffs.path(""), PermissionsExt::from_mode(0o755)).unwrap();
    std::fs::set_permissions(bpffs.path("ring"), PermissionsExt::from_mode(0o666)).unwrap();
    let run = run_without_rights(&["drain", "--pin", &bpffs.text("ring")]);
    assert!(run.failed(1).contains("it needs CAP_BPF"), "{run:?}");
    let run = run_without_rights(&["drain", "--id", &id(&map)]);
    assert!(run.failed(1).contains("it needs CAP_SYS_ADMIN"), "{run:?}");
}
