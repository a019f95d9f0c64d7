//! `send` on a ring that nothing drains, when it is interrupted, and when its pin changes meanwhile.

use std::io::{BufRead, BufReader, Write};
use std::process::{Child, ChildStderr, ChildStdin, Stdio};
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};
use serde_json::{Value, json};
use user_ringbuf_kit::{needs_admin, patience};
use user_ringbuf_linux::Map;

use crate::support::{Bpffs, Directory, Run, command, drain, run, run_with};
use crate::watchdog::Watchdog;

/// A `send` whose standard input stays open.
struct Sending {
    _watchdog: Watchdog,
    child: Child,
    stdin: ChildStdin,
    stderr: BufReader<ChildStderr>,
}

impl Sending {
    fn start(args: &[&str]) -> Self {
        let mut child = command()
            .arg("send")
            .args(args)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let (stdin, stderr) = (child.stdin.take().unwrap(), BufReader::new(child.stderr.take().unwrap()));
        Self { _watchdog: Watchdog::over(&child), child, stdin, stderr }
    }

    /// The next line on standard error, but for the note that this process holds the ring open.
    fn note(&mut self) -> String {
        loop {
            let mut line = String::new();
            self.stderr.read_line(&mut line).unwrap();
            if !line.contains("the ring open without a claim") {
                return line;
            }
        }
    }

    fn kill(&self, signal: Signal) {
        kill_process(Pid::from_child(&self.child), signal).unwrap();
    }

    /// Waits for its end. Its input stays open until then.
    fn end(self) -> Run {
        let Self { child, stdin, _watchdog, .. } = self;
        let mut run = Run::of(&child.wait_with_output().unwrap());
        drop(stdin);
        run.stderr.clear();
        run
    }
}

fn numbered(count: u32) -> Vec<u8> {
    (0..count).flat_map(|number| format!("{number:0248}\n").into_bytes()).collect()
}

fn drained(map: &Map, count: usize) {
    let patience = Instant::now() + patience();
    let mut samples = 0;
    while samples < count {
        samples += drain(map).len();
        assert!(Instant::now() < patience, "nothing came");
        std::thread::sleep(Duration::from_millis(2));
    }
    assert_eq!(samples, count);
}

#[test]
fn a_ring_that_nothing_drains_is_named_after_a_second_and_gets_the_rest_once_it_is_drained() {
    needs_admin!();
    let bpffs = Bpffs::mount();
    let map = bpffs.ring(65536);
    let path = bpffs.text("ring");
    let mut sending = Sending::start(&["--pin", &path, "--json"]);
    let began = Instant::now();
    sending.stdin.write_all(&numbered(300)).unwrap();
    let note = sending.note();
    assert!(note.contains("line 257 (248 bytes) has been waiting for room for 1 s: the ring is full"), "{note}");
    assert!(note.contains(&format!("`user-ringbuf inspect --pin {path} --watch`")), "{note}");
    assert!(began.elapsed() >= Duration::from_secs(1));
    drained(&map, 300);
    let Sending { child, stdin, _watchdog, .. } = sending;
    drop(stdin);
    let run = Run::of(&child.wait_with_output().unwrap());
    assert_eq!((run.status, run.json()["samples"].as_u64()), (0, Some(300)));
}

#[test]
fn a_timeout_ends_the_waiting_and_tells_what_went_in() {
    needs_admin!();
    let map = Map::create("send_timeout", 65536).unwrap();
    let id = map.id().to_string();
    let began = Instant::now();
    let run = run_with(&["send", "--id", &id, "--timeout", "0.3", "--json"], &numbered(300));
    assert!(began.elapsed() >= Duration::from_millis(300));
    assert!(run.failed(1).contains("line 257 (248 bytes) found no room within 0.3 s"), "{run:?}");
    let json = run.json();
    assert_eq!(json["samples"], 256);
    assert!(json["error"].as_str().unwrap().contains("within 0.3 s"), "{json}");
    for wrong in ["-1", "soon", "1e99", "4294967296", "NaN"] {
        let run = crate::support::run(&["send", "--id", &id, &format!("--timeout={wrong}")]);
        run.failed(2);
    }
}

#[test]
fn a_signal_ends_it_and_it_tells_how_many_samples_went_in() {
    needs_admin!();
    let map = Map::create("send_signal", 65536).unwrap();
    let id = map.id().to_string();
    for (signal, name) in [(Signal::INT, "SIGINT"), (Signal::TERM, "SIGTERM")] {
        // While it waits for input, and while it waits for room.
        for (lines, sent) in [(2, 2), (300, 256)] {
            let mut sending = Sending::start(&["--id", &id, "--json"]);
            sending.stdin.write_all(&numbered(lines)).unwrap();
            let patience = Instant::now() + patience();
            while run(&["inspect", "--id", &id, "--json"]).json()["ready"] != sent {
                assert!(Instant::now() < patience);
            }
            let began = Instant::now();
            sending.kill(signal);
            let note = sending.note();
            assert_eq!(note, format!("user-ringbuf: interrupted by {name}\n"));
            assert!(began.elapsed() < Duration::from_secs(10));
            let run = sending.end();
            assert_eq!(run.status, 1);
            let json = run.json();
            assert_eq!((&json["samples"], &json["error"]), (&json!(sent), &json!(format!("interrupted by {name}"))));
            assert_eq!(u64::try_from(drain(&map).len()).unwrap(), sent);
        }
    }
    let sending = Sending::start(&["--id", &id]);
    // It watches for signals by the time that it has the claim.
    let patience = Instant::now() + patience();
    while !signals_are_caught(sending.child.id()) {
        assert!(Instant::now() < patience);
    }
    sending.kill(Signal::INT);
    let run = sending.end();
    assert!(
        run.stdout.starts_with("sent 0 samples (0 bytes) in ") && run.stdout.ends_with(", then stopped\n"),
        "{run:?}"
    );
}

/// Whether a process has a handler for SIGINT and SIGTERM.
fn signals_are_caught(pid: u32) -> bool {
    let status = std::fs::read_to_string(format!("/proc/{pid}/status")).unwrap_or_default();
    let caught = status.lines().find_map(|line| line.strip_prefix("SigCgt:")).unwrap_or("0").trim();
    let caught = u64::from_str_radix(caught, 16).unwrap();
    let [int, term] = [1_u64 << 1, 1 << 14];
    caught & int != 0 && caught & term != 0
}

#[test]
fn a_pin_that_leads_to_another_ring_stops_it() {
    needs_admin!();
    let bpffs = Bpffs::mount();
    let (map, path) = (bpffs.ring(65536), bpffs.text("ring"));
    for lines in [1, 300] {
        let mut sending = Sending::start(&["--pin", &path, "--json"]);
        sending.stdin.write_all(&numbered(lines)).unwrap();
        let first = Instant::now() + patience();
        while run(&["inspect", "--id", &map.id().to_string(), "--json"]).json()["ready"].as_u64() < Some(1) {
            assert!(Instant::now() < first);
        }
        // As a loader does that starts again.
        std::fs::remove_file(&path).unwrap();
        let other = bpffs.ring(65536);
        let note = loop {
            let note = sending.note();
            // Removed and not replaced yet, or waiting for room.
            if !note.contains("was removed") && !note.contains("has been waiting") {
                break note;
            }
        };
        let want = format!(
            "the pin {path} was replaced: it leads to ring {} now, and this is still ring {}",
            other.id(),
            map.id()
        );
        assert!(note.contains(&want), "{note}");
        let run = sending.end();
        assert_eq!((run.status, run.json()["samples"].as_u64()), (1, Some(u64::from(lines.min(256)))));
        drain(&map);
        std::fs::remove_file(&path).unwrap();
        map.pin(&path).unwrap();
    }
}

#[test]
fn a_pin_that_is_removed_is_told_once_and_sending_goes_on() {
    needs_admin!();
    let bpffs = Bpffs::mount();
    let (map, path) = (bpffs.ring(65536), bpffs.text("ring"));
    let mut sending = Sending::start(&["--pin", &path]);
    sending.stdin.write_all(b"one\n").unwrap();
    drained(&map, 1);
    std::fs::remove_file(&path).unwrap();
    let note = sending.note();
    assert!(note.contains(&format!("the pin {path} was removed: this is still ring {}", map.id())), "{note}");
    sending.stdin.write_all(b"two\n").unwrap();
    drained(&map, 1);
    std::thread::sleep(Duration::from_millis(1200));
    let Sending { child, stdin, mut stderr, _watchdog } = sending;
    drop(stdin);
    let mut rest = String::new();
    std::io::Read::read_to_string(&mut stderr, &mut rest).unwrap();
    assert_eq!((Run::of(&child.wait_with_output().unwrap()).status, rest.as_str()), (0, ""));
}

#[test]
fn watching_says_that_the_pin_was_removed_or_replaced() {
    needs_admin!();
    let bpffs = Bpffs::mount();
    let (map, path) = (bpffs.ring(65536), bpffs.text("ring"));
    let mut child = command()
        .args(["inspect", "--pin", &path, "--watch", "--every", "20", "--json"])
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
    let mut wait_for = |state: Value| {
        let patience = Instant::now() + patience();
        loop {
            let look: Value = serde_json::from_str(&lines.next().unwrap().unwrap()).unwrap();
            assert_eq!(look["id"], map.id(), "it is still the ring that was opened");
            if look["pin"] == state {
                return;
            }
            assert!(Instant::now() < patience, "{look}");
        }
    };
    wait_for(json!({"state": "here"}));
    std::fs::remove_file(&path).unwrap();
    wait_for(json!({"state": "gone"}));
    let other = bpffs.ring(65536);
    wait_for(json!({"state": "replaced", "id": other.id()}));
    child.kill().unwrap();
    child.wait().unwrap();
    let by_id = run(&["inspect", "--id", &map.id().to_string(), "--json"]).json();
    assert!(by_id["pin"].is_null(), "{by_id}");
}

#[test]
fn thousands_of_lines_that_are_too_long_are_told_in_ranges() {
    needs_admin!();
    let map = Map::create("send_too_long", 4096).unwrap();
    let id = map.id().to_string();
    let limit = usize::try_from(map.size()).unwrap() - 8;
    let long = |count: usize| [vec![b'x'; limit + 1], b"\n".to_vec()].concat().repeat(count);
    let input = [b"a\n".to_vec(), long(2000), b"b\n".to_vec()].concat();
    // From a file, which never pauses.
    let directory = Directory::new();
    let send = |input: &[u8]| {
        std::fs::write(directory.path("input"), input).unwrap();
        let stdin = std::fs::File::open(directory.path("input")).unwrap();
        Run::of(&command().args(["send", "--id", &id, "--json"]).stdin(stdin).output().unwrap())
    };
    let run = send(&input);
    assert_eq!(run.status, 1);
    let said = run.unnoted();
    assert_eq!(
        said,
        format!(
            "user-ringbuf: lines 2 to 2001 skipped: {} bytes, the limit of this ring is {limit}\n\
             user-ringbuf: not everything was sent: 2000 lines skipped as too long\n",
            limit + 1
        )
    );
    assert_eq!(run.json()["too_large"], 2000);
    assert_eq!(drain(&map), [b"a", b"b"]);
    let mixed = [long(1), b"c\n".to_vec()].concat().repeat(150);
    let run = send(&mixed);
    assert_eq!(run.unnoted().lines().count(), 102, "a hundred, the rest together, and the end: {run:?}");
    assert!(run.stderr.contains("50 more of the lines 201 to 299 skipped as too long"), "{run:?}");
}
