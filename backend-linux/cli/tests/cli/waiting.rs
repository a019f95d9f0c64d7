//! `send` on a ring that nothing drains, when it is interrupted, and when its pin changes meanwhile.

use std::time::{Duration, Instant};

use rustix::process::Signal;
use serde_json::{Value, json};
use user_ringbuf_kit::{needs_admin, patience, soon};
use user_ringbuf_linux::Map;

use crate::support::{Bpffs, Directory, Run, Running, command, drain, has, run, run_with};

fn numbered(count: u32) -> Vec<u8> {
    (0..count).flat_map(|number| format!("{number:0248}\n").into_bytes()).collect()
}

fn drained(map: &Map, count: usize) {
    let mut samples = 0;
    soon("everything came", || {
        samples += drain(map).len();
        samples >= count
    });
    assert_eq!(samples, count);
}

/// How many samples of the ring the kernel could take now.
fn ready(map: &Map) -> u64 {
    run(&["inspect", "--id", &map.id().to_string(), "--json"]).json()["ready"].as_u64().unwrap()
}

#[test]
fn a_ring_that_nothing_drains_is_named_after_a_second_and_gets_the_rest_once_it_is_drained() {
    needs_admin!();
    let (_bpffs, map, path) = Bpffs::with_ring(65536);
    let mut sending = Running::start(&["send", "--pin", &path, "--json"]);
    let began = Instant::now();
    sending.write(&numbered(300));
    let note = sending.note();
    assert!(note.contains("line 257 (248 bytes) has been waiting for room for 1 s: the ring is full"), "{note}");
    assert!(note.contains(&format!("`user-ringbuf inspect --pin {path} --watch`")), "{note}");
    assert!(began.elapsed() >= Duration::from_secs(1));
    drained(&map, 300);
    let run = sending.finish();
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
    run.failed(1, &["line 257 (248 bytes) found no room within 0.3 s"]);
    let json = run.json();
    assert_eq!(json["samples"], 256);
    assert!(json["error"].as_str().unwrap().contains("within 0.3 s"), "{json}");
    for wrong in ["-1", "soon", "1e99", "4294967296", "NaN"] {
        crate::support::run(&["send", "--id", &id, &format!("--timeout={wrong}")]).failed(2, &[]);
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
            let mut sending = Running::start(&["send", "--id", &id, "--json"]);
            sending.write(&numbered(lines));
            soon("sent", || ready(&map) == sent);
            let began = Instant::now();
            sending.kill(signal);
            let note = sending.note();
            assert_eq!(note, format!("user-ringbuf: interrupted by {name}\n"));
            assert!(began.elapsed() < Duration::from_secs(10));
            let run = sending.end();
            assert_eq!(run.status, 1);
            has(&run.json(), json!({"samples": sent, "error": format!("interrupted by {name}")}));
            assert_eq!(u64::try_from(drain(&map).len()).unwrap(), sent);
        }
    }
}

#[test]
fn a_signal_that_comes_as_soon_as_it_does_not_kill_ends_it_too() {
    needs_admin!();
    let map = Map::create("send_at_once", 65536).unwrap();
    for _ in 0..50 {
        let sending = Running::start(&["send", "--id", &map.id().to_string()]);
        let began = Instant::now();
        while !has_handlers(sending.pid()) {
            assert!(began.elapsed() < patience());
        }
        sending.kill(Signal::INT);
        let run = sending.end();
        assert!(
            run.stdout.starts_with("sent 0 samples (0 bytes) in ") && run.stdout.ends_with(", then stopped\n"),
            "{run:?}"
        );
    }
}

/// Whether a process has handlers for SIGINT and SIGTERM.
fn has_handlers(pid: u32) -> bool {
    let status = std::fs::read_to_string(format!("/proc/{pid}/status")).unwrap_or_default();
    let caught = status.lines().find_map(|line| line.strip_prefix("SigCgt:")).unwrap_or("0").trim();
    let both = 1 << (Signal::INT.as_raw() - 1) | 1 << (Signal::TERM.as_raw() - 1);
    u64::from_str_radix(caught, 16).unwrap() & both == both
}

#[test]
fn a_pin_that_leads_to_another_ring_stops_it() {
    needs_admin!();
    let (bpffs, map, path) = Bpffs::with_ring(65536);
    for lines in [1, 300] {
        let mut sending = Running::start(&["send", "--pin", &path, "--json"]);
        sending.write(&numbered(lines));
        soon("sending", || ready(&map) > 0);
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
    let (_bpffs, map, path) = Bpffs::with_ring(65536);
    let mut sending = Running::start(&["send", "--pin", &path]);
    sending.write(b"one\n");
    drained(&map, 1);
    std::fs::remove_file(&path).unwrap();
    let note = sending.note();
    assert!(note.contains(&format!("the pin {path} was removed: this is still ring {}", map.id())), "{note}");
    sending.write(b"two\n");
    drained(&map, 1);
    std::thread::sleep(Duration::from_millis(1200));
    sending.finish().quiet();
}

#[test]
fn watching_says_that_the_pin_was_removed_or_replaced() {
    needs_admin!();
    let (bpffs, map, path) = Bpffs::with_ring(65536);
    let mut watching = Running::start(&["inspect", "--pin", &path, "--watch", "--every", "20", "--json"]);
    let mut wait_for = |state: Value| {
        soon(&state.to_string(), || {
            let look: Value = serde_json::from_str(&watching.line()).unwrap();
            assert_eq!(look["id"], map.id(), "it is still the ring that was opened");
            look["pin"] == state
        });
    };
    wait_for(json!({"state": "here"}));
    std::fs::remove_file(&path).unwrap();
    wait_for(json!({"state": "gone"}));
    let other = bpffs.ring(65536);
    wait_for(json!({"state": "replaced", "id": other.id()}));
    drop(watching);
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
    let range = json!({"first": 2, "last": 2001, "shortest": limit + 1, "longest": limit + 1});
    has(&run.json(), json!({"samples": 2, "too_large": 2000, "too_large_ranges": [range]}));
    assert_eq!(drain(&map), [b"a", b"b"]);
    let mixed = [long(1), b"c\n".to_vec()].concat().repeat(150);
    let run = send(&mixed);
    assert_eq!(run.unnoted().lines().count(), 102, "a hundred, the rest together, and the end: {run:?}");
    assert!(run.stderr.contains("50 more of the lines 201 to 299 skipped as too long"), "{run:?}");
}
