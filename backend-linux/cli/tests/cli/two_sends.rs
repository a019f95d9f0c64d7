//! Two `send` on one ring: the second one is refused, and nothing is lost.

use user_ringbuf_kit::{needs_admin, soon_found};

use crate::support::{Bpffs, Running, drain, drain_soon, run_with};

fn claimed_by(pid: u32) -> String {
    format!("is claimed by user-ringbuf (pid {pid}): a ring has one producer at a time")
}

#[test]
fn a_second_send_is_refused_while_the_first_one_runs_and_nothing_is_lost() {
    needs_admin!();
    let (_bpffs, map, path) = Bpffs::with_ring(4096);
    for round in 0..100 {
        let line = |number| format!("round {round}, line {number}").into_bytes();
        let mut first = Running::start(&["send", "--pin", &path]);
        first.write(&[line(1), b"\n".to_vec()].concat());
        assert_eq!(drain_soon(&map), [line(1)]);
        let second = run_with(&["send", "--pin", &path], b"of the second\n");
        second.failed(1, &[&claimed_by(first.pid()), &path]);
        first.write(&[line(2), b"\n".to_vec(), line(3)].concat());
        let first = first.finish();
        assert_eq!((first.status, first.unnoted().as_str()), (0, ""));
        assert_eq!(drain(&map), [line(2), line(3)]);
    }
}

#[test]
fn of_two_sends_that_start_at_once_one_goes_through_and_the_other_says_who_holds_the_ring() {
    needs_admin!();
    let (_bpffs, map, path) = Bpffs::with_ring(4096);
    for round in 0..100 {
        let mut both = [(); 2].map(|()| Running::start(&["send", "--pin", &path]));
        // Neither comes to the end of its input, so one ends only by being refused.
        let refused = soon_found("refused: two producers at once", || both.iter_mut().position(Running::has_ended));
        let mut both = Vec::from(both);
        let refused = both.swap_remove(refused);
        let mut sending = both.remove(0);
        let line = format!("round {round}").into_bytes();
        let error = refused.finish();
        error.failed(1, &[&claimed_by(sending.pid())]);
        sending.write(&line);
        let sent = sending.finish();
        assert_eq!((sent.status, sent.unnoted().as_str()), (0, ""));
        assert_eq!(drain(&map), [line]);
    }
}

#[test]
fn two_sends_that_end_when_they_like_lose_nothing_and_jam_nothing() {
    needs_admin!();
    let (_bpffs, map, path) = Bpffs::with_ring(4096);
    for round in 0..100 {
        let lines = |sender: usize| (0..5).map(move |line| format!("{round} {sender} {line}").into_bytes());
        let mut both = [(); 2].map(|()| Running::start(&["send", "--pin", &path]));
        for (sender, one) in both.iter_mut().enumerate() {
            one.write(&lines(sender).collect::<Vec<_>>().join(&b'\n'));
            one.close_input();
        }
        let pids = [both[1].pid(), both[0].pid()];
        let mut sent = Vec::new();
        for ((sender, one), other) in both.into_iter().enumerate().zip(pids) {
            let run = one.end();
            if run.status == 0 {
                sent.extend(lines(sender));
            } else {
                run.failed(1, &[&format!("claimed by user-ringbuf (pid {other})")]);
            }
        }
        let mut drained = drain(&map);
        drained.sort();
        assert!(!sent.is_empty() && drained == sent, "{drained:?} {sent:?}");
    }
}
