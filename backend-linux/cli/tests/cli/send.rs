//! `send`: what goes in reaches the kernel, and what does not is named.

use std::io::{BufRead, BufReader, Write};
use std::process::Stdio;
use std::time::{Duration, Instant};

use user_ringbuf_kit::{needs_admin, patience};
use user_ringbuf_linux::{DrainOptions, DrainProgram, Map};

use crate::support::{Bpffs, Directory, Run, command, drain, run_with, run_without_rights};

#[test]
fn lines_come_out_in_the_kernel_by_path_and_by_id() {
    needs_admin!();
    let bpffs = Bpffs::mount();
    let map = bpffs.ring(4096);
    let run = run_with(&["send", "--pin", &bpffs.text("ring")], b"a\nbb\n");
    assert_eq!((run.status, run.unnoted().as_str()), (0, ""));
    assert!(run.stdout.starts_with("sent 2 samples (3 bytes)"), "{run:?}");
    assert_eq!(drain(&map), [&b"a"[..], b"bb"]);

    let run = run_with(&["send", "--id", &map.id().to_string(), "--json"], b"\nlast without newline");
    assert_eq!((run.status, run.unnoted().as_str()), (0, ""));
    let json = run.json();
    assert_eq!((json["samples"].as_u64(), json["bytes"].as_u64()), (Some(2), Some(20)));
    assert_eq!((json["dropped"].as_u64(), json["too_large"].as_u64()), (Some(0), Some(0)));
    assert_eq!(json["id"], map.id());
    assert_eq!(drain(&map), [&b""[..], b"last without newline"]);
}

#[test]
fn nothing_in_is_nothing_out() {
    needs_admin!();
    let bpffs = Bpffs::mount();
    let map = bpffs.ring(4096);
    for framing in ["lines", "u32"] {
        let run = run_with(&["send", "--pin", &bpffs.text("ring"), "--framing", framing, "--json"], b"");
        assert_eq!((run.status, run.json()["samples"].as_u64()), (0, Some(0)));
    }
    assert!(drain(&map).is_empty());
}

#[test]
fn frames_carry_newlines_and_a_cut_one_is_an_error() {
    needs_admin!();
    let bpffs = Bpffs::mount();
    let map = bpffs.ring(4096);
    let args = ["send", "--pin", &bpffs.text("ring"), "--framing", "u32", "--json"];
    let run = run_with(&args, b"\x03\0\0\0a\nb\0\0\0\0\x02\0\0\0x");
    let error = run.failed(1).to_owned();
    assert!(error.contains("frame 3 (at byte 11)") && error.contains("its length is 2 bytes"), "{error}");
    let json = run.json();
    assert_eq!(json["samples"], 2);
    assert!(error.contains(json["error"].as_str().unwrap()));
    assert_eq!(drain(&map), [&b"a\nb"[..], b""]);
}

#[test]
fn lines_that_are_too_large_are_skipped_by_number_and_length() {
    needs_admin!();
    let bpffs = Bpffs::mount();
    let map = bpffs.ring(65536);
    let input = [&b"a\n"[..], &[b'x'; 65529], b"\nb\n", &[b'y'; 300_000]].concat();
    let run = run_with(&["send", "--pin", &bpffs.text("ring"), "--json"], &input);
    let error = run.failed(1);
    assert!(error.contains("line 2 skipped: 65529 bytes, the limit of this ring is 65528"), "{error}");
    assert!(error.contains("line 4 skipped: 300000 bytes"), "{error}");
    assert!(
        error.ends_with("not everything was sent: 2 lines skipped as too long\n"),
        "the last word says why 1: {error}"
    );
    assert_eq!(
        run.json()["too_large_ranges"],
        serde_json::json!([
            {"first": 2, "last": 2, "shortest": 65529, "longest": 65529},
            {"first": 4, "last": 4, "shortest": 300_000, "longest": 300_000},
        ])
    );
    assert_eq!(drain(&map), [b"a", b"b"]);
}

/// 1000 numbered lines, of which a ring of 65536 bytes holds 256.
fn lines() -> (Vec<u8>, Vec<Vec<u8>>) {
    let lines: Vec<Vec<u8>> = (0..1000).map(|number| format!("{number:0248}").into_bytes()).collect();
    (lines.join(&b'\n'), lines)
}

#[test]
fn a_full_ring_fails_drops_or_waits_as_asked() {
    needs_admin!();
    let (mut input, lines) = lines();
    // The last line ends with its newline too, so that it never comes after a pause.
    input.push(b'\n');
    let bpffs = Bpffs::mount();
    let map = bpffs.ring(65536);
    let path = bpffs.text("ring");

    let run = run_with(&["send", "--pin", &path, "--on-full", "fail", "--json"], &input);
    let error = run.failed(1);
    assert!(error.contains("line 257 (248 bytes) does not fit"), "{error}");
    assert_eq!(run.json()["samples"], 256);
    assert_eq!(drain(&map), lines[..256]);

    let run = run_with(&["send", "--pin", &path, "--on-full", "drop", "--json"], &input);
    assert_eq!(run.status, 0);
    assert!(run.stderr.contains("lines 257 to 1000 dropped"), "{run:?}");
    let json = run.json();
    assert_eq!((json["samples"].as_u64(), json["dropped"].as_u64()), (Some(256), Some(744)));
    assert_eq!(json["dropped_ranges"], serde_json::json!([[257, 1000]]));
    assert_eq!(drain(&map), lines[..256]);

    let (run, samples) = send_while_draining(&map, &path, &input, Duration::from_millis(3));
    assert_eq!((run.status, run.unnoted().as_str()), (0, ""));
    assert_eq!(run.json()["samples"], 1000);
    assert_eq!(samples, lines);
}

/// Sends, and drains every so often until the sender has ended.
fn send_while_draining(map: &Map, path: &str, input: &[u8], every: Duration) -> (Run, Vec<Vec<u8>>) {
    // One drain may take more than the ring holds, since the sender goes on meanwhile.
    let mut program = DrainProgram::load(map, DrainProgram::log_bytes(1000, 248)).unwrap();
    let mut samples = Vec::new();
    std::thread::scope(|scope| {
        let sender = scope.spawn(|| run_with(&["send", "--pin", path, "--json"], input));
        loop {
            let ended = sender.is_finished();
            let drained = program.run(&DrainOptions::new()).unwrap();
            assert_eq!(drained.unlogged(), 0);
            samples.extend(drained.samples().map(<[u8]>::to_vec));
            if ended {
                return (sender.join().unwrap(), samples);
            }
            std::thread::sleep(every);
        }
    })
}

#[test]
fn what_an_interactive_pipe_loses_is_named_while_it_pauses() {
    needs_admin!();
    let (input, _) = lines();
    let bpffs = Bpffs::mount();
    let _map = bpffs.ring(65536);
    let mut child = command()
        .args(["send", "--pin", &bpffs.text("ring"), "--on-full", "drop"])
        .stdin(Stdio::piped())
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let mut stdin = child.stdin.take().unwrap();
    let stderr = child.stderr.take().unwrap();
    // More than the ring holds, at once, and then nothing more for now.
    stdin.write_all(&input).unwrap();
    let (said, hear) = std::sync::mpsc::channel();
    let reader = std::thread::spawn(move || {
        let lines = BufReader::new(stderr).lines().map(Result::unwrap);
        // That this process holds the ring open comes first.
        for line in lines.filter(|line| !line.contains("the ring open without a claim")) {
            let _ = said.send(line);
        }
    });
    let named = hear.recv_timeout(patience());
    drop(stdin);
    assert_eq!(child.wait().unwrap().code(), Some(0));
    reader.join().unwrap();
    let named = named.expect("named while the pipe is open");
    assert!(named.contains("lines 257 to 999 dropped"), "{named}");
    let last = hear.recv().unwrap();
    assert!(last.contains("line 1000 dropped"), "its end came with the input's: {last}");
}

#[test]
fn an_interactive_pipe_is_visible_line_by_line() {
    needs_admin!();
    let bpffs = Bpffs::mount();
    let map = bpffs.ring(4096);
    let mut child = command()
        .args(["send", "--pin", &bpffs.text("ring")])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let mut stdin = child.stdin.take().unwrap();
    for line in [&b"one"[..], b"two", b"three"] {
        stdin.write_all(&[line, b"\nunfini"].concat()).unwrap();
        let patience = Instant::now() + patience();
        let samples = loop {
            let samples = drain(&map);
            if !samples.is_empty() || Instant::now() > patience {
                break samples;
            }
            std::thread::sleep(Duration::from_millis(2));
        };
        assert_eq!(samples.len(), 1, "the line, and not the unfinished one behind it");
        assert!(samples[0].ends_with(line));
    }
    drop(stdin);
    assert_eq!(Run::of(&child.wait_with_output().unwrap()).status, 0);
    assert_eq!(drain(&map), [b"unfini"]);
}

#[test]
fn a_ring_that_is_not_there_is_told_apart_from_what_is_no_ring() {
    needs_admin!();
    let bpffs = Bpffs::mount();
    let directory = Directory::new();
    std::fs::write(directory.path("file"), b"").unwrap();
    for (path, why) in [
        (bpffs.text("nothing"), "no such path"),
        (directory.text("nothing"), "no such path"),
        (directory.text("file"), "not on a bpffs"),
        ("/dev/null".to_owned(), "not on a bpffs"),
    ] {
        let run = run_with(&["send", "--pin", &path, "--json"], b"a\n");
        let error = run.failed(1);
        assert!(error.contains(why) && error.contains(&path), "{error}");
        assert!(run.json()["error"].is_string());
    }
    let run = run_with(&["send", "--id", "4294967294"], b"a\n");
    assert!(run.failed(1).contains("no map has the id 4294967294"), "{run:?}");
}

#[test]
fn without_rights_a_ring_by_id_is_refused_and_the_capability_named() {
    needs_admin!();
    let map = Map::create("cli_test", 1).unwrap();
    let run = run_without_rights(&["send", "--id", &map.id().to_string()]);
    assert!(run.failed(1).contains("CAP_SYS_ADMIN"), "{run:?}");
}

#[test]
fn a_ring_that_may_not_be_opened_says_so() {
    needs_admin!();
    let bpffs = Bpffs::mount();
    let _map = bpffs.ring(4096);
    let run = run_without_rights(&["send", "--pin", &bpffs.text("ring")]);
    assert!(run.failed(1).contains("permissions"), "{run:?}");
}
