//! Two `send` on one ring: the second one is refused, and nothing is lost.

use std::io::Write;
use std::process::{Child, ChildStdin, Stdio};
use std::time::{Duration, Instant};

use user_ringbuf_kit::{needs_admin, patience};
use user_ringbuf_linux::Map;

use crate::support::{Bpffs, Run, command, drain, run_with};

/// A `send` whose standard input stays open.
struct Sending {
    child: Child,
    stdin: Option<ChildStdin>,
}

impl Sending {
    fn start(path: &str) -> Self {
        let mut child = command()
            .args(["send", "--pin", path])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let stdin = child.stdin.take();
        Self { child, stdin }
    }

    fn write(&mut self, lines: &[u8]) {
        // One that was refused no longer reads.
        let _ = self.stdin.as_mut().unwrap().write_all(lines);
    }

    /// Ends its input, and waits for it.
    fn end(mut self) -> Run {
        drop(self.stdin.take());
        Run::of(&self.child.wait_with_output().unwrap())
    }
}

/// Drains until something comes.
fn drain_patiently(map: &Map) -> Vec<Vec<u8>> {
    let patience = Instant::now() + patience();
    loop {
        let samples = drain(map);
        if !samples.is_empty() {
            return samples;
        }
        assert!(Instant::now() < patience, "nothing came");
        std::thread::sleep(Duration::from_millis(1));
    }
}

fn claimed_by(child: &Child) -> String {
    format!("is claimed by user-ringbuf (pid {}): a ring has one producer at a time", child.id())
}

#[test]
fn a_second_send_is_refused_while_the_first_one_runs_and_nothing_is_lost() {
    needs_admin!();
    let bpffs = Bpffs::mount();
    let map = bpffs.ring(4096);
    let path = bpffs.text("ring");
    for round in 0..100 {
        let line = |number| format!("round {round}, line {number}").into_bytes();
        let mut first = Sending::start(&path);
        first.write(&[line(1), b"\n".to_vec()].concat());
        assert_eq!(drain_patiently(&map), [line(1)]);
        let second = run_with(&["send", "--pin", &path], b"of the second\n");
        let error = second.failed(1);
        assert!(error.contains(&claimed_by(&first.child)) && error.contains(&path), "{error}");
        first.write(&[line(2), b"\n".to_vec(), line(3)].concat());
        let first = first.end();
        assert_eq!((first.status, first.unnoted().as_str()), (0, ""));
        assert_eq!(drain(&map), [line(2), line(3)]);
    }
}

#[test]
fn of_two_sends_that_start_at_once_one_goes_through_and_the_other_says_who_holds_the_ring() {
    needs_admin!();
    let bpffs = Bpffs::mount();
    let map = bpffs.ring(4096);
    let path = bpffs.text("ring");
    for round in 0..100 {
        let mut both = [Sending::start(&path), Sending::start(&path)];
        // Neither comes to the end of its input, so one ends only by being refused.
        let patience = Instant::now() + patience();
        let refused = loop {
            if let Some(at) = both.iter_mut().position(|one| one.child.try_wait().unwrap().is_some()) {
                break at;
            }
            assert!(Instant::now() < patience, "two producers at once");
            std::thread::sleep(Duration::from_millis(1));
        };
        let mut both = Vec::from(both);
        let refused = both.swap_remove(refused);
        let mut sending = both.remove(0);
        let line = format!("round {round}").into_bytes();
        let error = refused.end();
        assert!(error.failed(1).contains(&claimed_by(&sending.child)), "{error:?}");
        sending.write(&line);
        let sent = sending.end();
        assert_eq!((sent.status, sent.unnoted().as_str()), (0, ""));
        assert_eq!(drain(&map), [line]);
    }
}

#[test]
fn two_sends_that_end_when_they_like_lose_nothing_and_jam_nothing() {
    needs_admin!();
    let bpffs = Bpffs::mount();
    let map = bpffs.ring(4096);
    let path = bpffs.text("ring");
    for round in 0..100 {
        let lines = |sender: usize| (0..5).map(move |line| format!("{round} {sender} {line}").into_bytes());
        let mut both = [Sending::start(&path), Sending::start(&path)];
        for (sender, one) in both.iter_mut().enumerate() {
            one.write(&lines(sender).collect::<Vec<_>>().join(&b'\n'));
            drop(one.stdin.take());
        }
        let pids = [both[1].child.id(), both[0].child.id()];
        let mut sent = Vec::new();
        for ((sender, one), other) in both.into_iter().enumerate().zip(pids) {
            let run = one.end();
            if run.status == 0 {
                sent.extend(lines(sender));
            } else {
                assert!(run.failed(1).contains(&format!("claimed by user-ringbuf (pid {other})")), "{run:?}");
            }
        }
        let mut drained = drain(&map);
        drained.sort();
        assert!(!sent.is_empty() && drained == sent, "{drained:?} {sent:?}");
    }
}
