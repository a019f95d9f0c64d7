//! Looks at simulated rings: counts, records kept and advice, without a kernel.

use std::time::{Duration, Instant};

use clap::Parser;
use user_ringbuf_linux::{BUSY_BIT, Header, RingSize};
use user_ringbuf_sim::{HeapMemory, RawAccess, RingImage};

use super::advice::{Advice, Context};
use super::snapshot::Snapshot;
use super::*;
use crate::producer::{Holders, Process, Producing};
use crate::row::Row;
use crate::target::Target;

#[derive(Parser)]
struct Args {
    #[command(flatten)]
    target: Target,
}

const SIZE: u32 = 4096;

/// A ring whose records are these headers, from `start` on.
fn image(start: u64, headers: &[Header]) -> RingImage {
    let mut image = RingImage::empty(RingSize::new(u64::from(SIZE)).unwrap(), start);
    for header in headers {
        image.append(*header, &[]);
    }
    image
}

fn seen(image: &RingImage, keep: usize) -> Snapshot {
    let mut memory = HeapMemory::new(u64::from(SIZE)).unwrap();
    memory.restore(image).unwrap();
    Snapshot::of(&memory, keep)
}

fn advice(image: &RingImage, since: Option<Duration>) -> Advice {
    advice_on(image, &Claim::ByNobody, None, since)
}

fn advice_on(image: &RingImage, claim: &Claim, holders: Option<&Holders>, since: Option<Duration>) -> Advice {
    let target = Args::parse_from(["", "--pin", "/bpf/ring"]).target;
    Advice::on(&seen(image, 1), &Context { target: &target, claim, holders, since })
}

fn agent() -> Process {
    Process { pid: 7, name: "agent".to_owned() }
}

fn submitted() -> Header {
    Header::submitted(8)
}

#[test]
fn the_first_and_the_last_records_are_kept_and_all_are_counted() {
    let snapshot = seen(&image(4080, &[submitted(); 100]), 2);
    assert_eq!(snapshot.records(), 100);
    let places = |rows: &mut dyn Iterator<Item = &Row>| rows.map(|row| (row.position, row.offset)).collect::<Vec<_>>();
    assert_eq!(places(&mut snapshot.first.iter()), [(4080, 4080), (4096, 0)]);
    assert_eq!(places(&mut snapshot.last.iter()), [(5648, 1552), (5664, 1568)]);
    assert_eq!((snapshot.used(), snapshot.free()), (Some(1600), Some(SIZE - 1600)));
    let none = seen(&image(0, &[submitted(); 3]), 0);
    assert_eq!((none.records(), none.first.len(), none.last.len()), (3, 0, 0));
    let few = seen(&image(0, &[submitted(); 3]), 2);
    assert_eq!((few.first.len(), few.last.len()), (2, 1), "no record is shown twice");
}

#[test]
fn each_verdict_says_what_is_wrong_and_what_to_do() {
    let busy = Header::busy(100);
    let too_long = Header::from_word(SIZE);
    let held = image(0, &[submitted(), busy, submitted(), submitted()]);
    let mut beyond = image(0, &[submitted(), too_long]);
    beyond.producer = 56;
    let mut unaligned = image(0, &[submitted()]);
    unaligned.producer += 3;
    let mut behind = image(64, &[]);
    behind.producer = 48;
    let mut ahead = image(0, &[submitted()]);
    ahead.producer += 2 * u64::from(SIZE);
    let mut consumer = image(0, &[]);
    consumer.consumer = 4;
    let repair = "`user-ringbuf repair --pin /bpf/ring --producer-is-gone` would";
    let moved = |from: u64, to: u64| format!("{repair} move the producer position from {from} to {to}");
    for (image, name, what, todo) in [
        (image(0, &[]), "empty", "the ring holds no record", "nothing.".to_owned()),
        (image(0, &[submitted(); 2]), "flowing", "2 records", "as long as a program drains".to_owned()),
        (held.clone(), "held", "at position 16 (offset 16)", format!("{repair} discard 1 busy record (112 bytes)")),
        (held, "held", "The 1 record before it can still be drained. 2 records behind it wait.", "libbpf".to_owned()),
        (beyond, "jammed", "-EINVAL", format!("{repair} fill 1 damaged stretch (40 bytes) with 1 discarded record")),
        (unaligned, "misplaced", "every drain returns -EINVAL", moved(19, 16)),
        (behind, "misplaced", "drains return 0", moved(48, 64)),
        (ahead, "misplaced", "drains old bytes", moved(16 + 2 * u64::from(SIZE), u64::from(SIZE))),
        (consumer, "misplaced", "no kernel stores", "can't repair this".to_owned()),
    ] {
        let advice = advice(&image, None);
        assert_eq!(advice.state.name(), name, "{advice:?}");
        assert!(advice.words.contains(what), "{what}: {advice:?}");
        assert!(advice.todo.contains(&todo), "{todo}: {advice:?}");
    }
}

#[test]
fn a_busy_record_is_its_producers_that_is_alive_gone_or_not_to_be_found() {
    let held = image(0, &[Header::busy(8)]);
    let repair = "`user-ringbuf repair --pin /bpf/ring --producer-is-gone` would discard 1 busy record (16 bytes).";
    let watched = Some(Duration::from_secs(3));
    let alive = Claim::By(Some(agent()));
    let unknown = Claim::Unknown("fcntl failed".to_owned());
    let open = Holders { found: vec![agent()], unreadable: 0 };
    for (claim, holders, since, words, todo) in [
        (
            &alive,
            None,
            None,
            "agent (pid 7), is alive and has yet to submit it.",
            "stays. If it does, end agent (pid 7). Then",
        ),
        (&alive, None, watched, "is alive and has yet", "if it stays, end agent (pid 7). Then"),
        (&Claim::By(None), None, None, "its producer, which /proc does not show, is alive", "end its producer. Then"),
        (&Claim::ByNobody, None, None, "no process claims the ring, so its producer is gone", "(such as libbpf's)"),
        (&Claim::ByNobody, Some(&Holders::default()), watched, "its producer is gone", "(such as libbpf's)"),
        (
            &Claim::ByNobody,
            Some(&open),
            None,
            "unless it takes no claim",
            "agent (pid 7) holds the ring open: make sure that it is not",
        ),
        (&unknown, None, None, "has yet to submit it, or is gone (fcntl failed)", "no producer is alive. Then"),
    ] {
        let advice = advice_on(&held, claim, holders, since);
        assert!(advice.state == State::Held && advice.words.contains(words), "{words}: {advice:?}");
        assert!(advice.todo.contains(todo) && advice.todo.ends_with(repair), "{todo}: {advice:?}");
        assert_eq!(advice.todo.contains("--watch"), since.is_none() && claim != &Claim::ByNobody, "{advice:?}");
    }
    let damaged = image(0, &[Header::from_word(SIZE)]);
    for (claim, todo) in [(&alive, "end agent (pid 7). Then"), (&unknown, "stop all producers of this ring. Then")] {
        let advice = advice_on(&damaged, claim, None, None);
        assert!(advice.todo.starts_with(todo), "{advice:?}");
    }
}

#[test]
fn a_claim_that_nobody_has_means_gone_only_where_something_is_left() {
    let state = |headers: &[Header], claim: Claim| {
        serde_json::to_value(Producing::of(seen(&image(0, headers), 1).plan.is_some(), &claim)).unwrap()
    };
    let (busy, done) = (Header::busy(8), submitted());
    assert_eq!(state(&[busy], Claim::ByNobody), serde_json::json!({"state": "gone"}));
    assert_eq!(state(&[done], Claim::ByNobody), serde_json::json!({"state": "none"}));
    for header in [busy, done] {
        let alive = serde_json::json!({"state": "alive", "pid": 7, "name": "agent"});
        assert_eq!(state(&[header], Claim::By(Some(agent()))), alive);
        assert_eq!(state(&[header], Claim::By(None)), serde_json::json!({"state": "alive"}));
        let unknown = serde_json::json!({"state": "unknown", "why": "x"});
        assert_eq!(state(&[header], Claim::Unknown("x".to_owned())), unknown);
    }
}

#[test]
fn a_ring_is_still_stuck_only_at_the_same_obstacle() {
    let stuck = seen(&image(0, &[Header::busy(8)]), 1);
    let still = |headers: &[Header]| {
        let mut memory = HeapMemory::new(u64::from(SIZE)).unwrap();
        memory.restore(&image(0, headers)).unwrap();
        is_still_stuck(&memory, &stuck.survey)
    };
    assert!(still(&[Header::busy(8)]) && still(&[Header::busy(8), submitted()]));
    assert!(!still(&[submitted()]) && !still(&[submitted(), Header::busy(8)]) && !still(&[]));
}

#[test]
fn a_watched_ring_is_told_for_how_long_it_stands() {
    let (start, mut unchanged) = (Instant::now(), Unchanged::default());
    let mut since = |image: &RingImage, seconds| {
        unchanged.since(&seen(image, 1).survey, start + Duration::from_secs(seconds)).as_secs_f64()
    };
    let held = image(0, &[Header::from_word(8 | BUSY_BIT)]);
    assert_eq!([since(&held, 0), since(&held, 3)], [0.0, 3.0]);
    assert_eq!(since(&image(16, &[Header::busy(8)]), 4), 0.0, "another record");
    let flowing = image(32, &[submitted()]);
    assert_eq!([since(&flowing, 5), since(&flowing, 9)], [0.0, 4.0]);
    assert_eq!(since(&image(48, &[submitted()]), 10), 0.0, "it was drained");
    let empty = image(64, &[]);
    assert_eq!([since(&empty, 11), since(&empty, 12)], [0.0; 2], "an empty ring waits for nothing");
    assert!(advice(&held, Some(Duration::from_secs(3))).words.contains("Unchanged for 3.0 s"));
    assert!(advice(&flowing, Some(Duration::from_secs(4))).todo.contains("bpf_user_ringbuf_drain"));
}

#[test]
fn a_ring_that_can_be_drained_is_called_flowing_only_while_it_has_room_and_is_drained() {
    let full = image(0, &[submitted(); 256]);
    let almost = image(0, &[submitted(); 255]);
    let state = |image: &RingImage, seconds: Option<u64>| advice(image, seconds.map(Duration::from_secs)).state;
    assert_eq!((state(&almost, None), state(&full, None)), (State::Flowing, State::Full));
    assert_eq!((state(&almost, Some(1)), state(&full, Some(1))), (State::Flowing, State::Full));
    assert_eq!((state(&almost, Some(2)), state(&full, Some(2))), (State::Undrained, State::Undrained));
    assert_eq!(state(&image(0, &[]), Some(9)), State::Empty);
    // No room for another one of the average size, although there are bytes left.
    assert_eq!(state(&image(0, &[Header::submitted(3000)]), None), State::Full);
    assert_eq!(state(&image(0, &[Header::submitted(3000), submitted()]), None), State::Full);
    assert_eq!(state(&image(0, &[Header::submitted(3000), submitted(), submitted()]), None), State::Flowing);
    let words = advice(&full, None);
    assert!(words.words.contains("only 0 bytes are free") && words.todo.contains("--watch"), "{words:?}");
    let words = advice(&almost, Some(Duration::from_secs(3)));
    assert!(words.words.contains("has drained nothing for 3.0 s"), "{words:?}");
    assert!(words.todo.contains("`user-ringbuf drain --pin /bpf/ring`"), "{words:?}");
}

#[test]
fn a_ring_is_stuck_where_only_a_repair_or_a_drain_moves_it() {
    let (long, brief) = (Some(Duration::from_secs(2)), Some(Duration::from_secs(1)));
    let alive = Claim::By(None);
    let unknown = Claim::Unknown("x".to_owned());
    for claim in [&alive, &Claim::ByNobody, &unknown] {
        for since in [None, brief, long] {
            for state in [State::Empty, State::Flowing, State::Full] {
                assert!(!state.is_stuck(claim, since));
            }
            for state in [State::Undrained, State::Jammed, State::Misplaced] {
                assert!(state.is_stuck(claim, since));
            }
            assert_eq!(State::Held.is_stuck(claim, since), claim != &alive || since == long);
        }
    }
}
