//! `send`: what goes in reaches the kernel, and what does not is named.

use std::time::Duration;

use serde_json::json;
use user_ringbuf_kit::needs_admin;
use user_ringbuf_linux::{DrainOptions, DrainProgram, Map};

use crate::support::{Bpffs, Run, Running, drain, drain_soon, has, run_with};

#[test]
fn lines_come_out_in_the_kernel_by_path_and_by_id() {
    needs_admin!();
    let (_bpffs, map, path) = Bpffs::with_ring(4096);
    let run = run_with(&["send", "--pin", &path], b"a\nbb\n");
    assert_eq!((run.status, run.unnoted().as_str()), (0, ""));
    assert!(run.stdout.starts_with("sent 2 samples (3 bytes)"), "{run:?}");
    assert_eq!(drain(&map), [&b"a"[..], b"bb"]);

    let run = run_with(&["send", "--id", &map.id().to_string(), "--json"], b"\nlast without newline");
    assert_eq!((run.status, run.unnoted().as_str()), (0, ""));
    has(&run.json(), json!({"id": map.id(), "samples": 2, "bytes": 20, "dropped": 0, "too_large": 0}));
    assert_eq!(drain(&map), [&b""[..], b"last without newline"]);
}

#[test]
fn frames_carry_newlines_and_a_cut_one_is_an_error() {
    needs_admin!();
    let (_bpffs, map, path) = Bpffs::with_ring(4096);
    let args = ["send", "--pin", &path, "--framing", "u32", "--json"];
    let run = run_with(&args, b"\x03\0\0\0a\nb\0\0\0\0\x02\0\0\0x");
    let json = run.json();
    assert_eq!(json["samples"], 2);
    run.failed(1, &["frame 3 (at byte 11)", "its length is 2 bytes", json["error"].as_str().unwrap()]);
    assert_eq!(drain(&map), [&b"a\nb"[..], b""]);
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
    let (_bpffs, map, path) = Bpffs::with_ring(65536);

    let run = run_with(&["send", "--pin", &path, "--on-full", "fail", "--json"], &input);
    run.failed(1, &["line 257 (248 bytes) does not fit"]);
    assert_eq!(run.json()["samples"], 256);
    assert_eq!(drain(&map), lines[..256]);

    let run = run_with(&["send", "--pin", &path, "--on-full", "drop", "--json"], &input);
    assert_eq!(run.status, 0);
    assert!(run.stderr.contains("lines 257 to 1000 dropped"), "{run:?}");
    has(&run.json(), json!({"samples": 256, "dropped": 744, "dropped_ranges": [[257, 1000]]}));
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
    let (_bpffs, _map, path) = Bpffs::with_ring(65536);
    let mut sending = Running::start(&["send", "--pin", &path, "--on-full", "drop"]);
    // More than the ring holds, at once, and then nothing more for now.
    sending.write(&input);
    let named = sending.note();
    assert!(named.contains("lines 257 to 999 dropped"), "named while the pipe is open: {named}");
    let run = sending.finish();
    assert_eq!(run.status, 0);
    assert!(run.stderr.contains("line 1000 dropped"), "its end came with the input's: {run:?}");
}

#[test]
fn an_interactive_pipe_is_visible_line_by_line() {
    needs_admin!();
    let (_bpffs, map, path) = Bpffs::with_ring(4096);
    let mut sending = Running::start(&["send", "--pin", &path]);
    let mut unfinished = "";
    for line in ["one", "two", "three"] {
        sending.write(format!("{line}\nunfini").as_bytes());
        assert_eq!(drain_soon(&map), [format!("{unfinished}{line}").as_bytes()], "and not what is unfinished");
        unfinished = "unfini";
    }
    assert_eq!(sending.finish().status, 0);
    assert_eq!(drain(&map), [b"unfini"]);
}
