//! Every way to jam a ring of the real kernel: the drain's answer, what a look says, and that a repair frees it with all
//! submitted samples that can be reached.

use std::io::{BufRead, BufReader};
use std::os::unix::process::ExitStatusExt;
use std::process::{Command, Stdio};
use std::sync::atomic::{AtomicBool, Ordering};

use rustix::io::Errno;
use serde_json::{Value, json};
use user_ringbuf_kit::bpffs::Bpffs;
use user_ringbuf_kit::needs_admin;
use user_ringbuf_kit::raw::DISCARD;
use user_ringbuf_linux::{
    AttachError, Corruption, Damage, Map, Mapping, MappingView, Position, Producer, RecordState, Repair, Survey,
    Verdict, repair,
};
use user_ringbuf_tests::jam::{BEFORE, BEHIND, EXTENT, HELD, Jam, sample};
use user_ringbuf_tests::ring::Ring;

/// Where the jams are that have samples in front of them.
const AT: u64 = BEFORE * EXTENT;

fn samples(numbers: std::ops::Range<u64>) -> Vec<Vec<u8>> {
    numbers.map(|number| sample(number).to_vec()).collect()
}

/// Runs the built command on a ring, and returns its object. The exit status says whether the ring is stuck.
fn command(args: &[&str], map: &Map) -> Value {
    let output = Command::new(env!("CARGO_BIN_EXE_command"))
        .args(args)
        .args(["--id", &map.id().to_string(), "--json"])
        .stdin(Stdio::null())
        .output()
        .unwrap();
    let object: Value = serde_json::from_slice(&output.stdout).unwrap();
    let status = i32::from(object["stuck"] == true);
    assert_eq!((output.status.code(), &output.stderr[..]), (Some(status), &b""[..]), "{args:?}");
    object
}

/// A ring that is jammed so. The busy record's producer is a process that is killed.
fn jammed(jam: Jam) -> Ring {
    let ring = Ring::with_log(jam.ring_bytes(), 1 << 20);
    if jam != Jam::Busy {
        jam.make(&ring.map, || ()).unwrap();
        return ring;
    }
    let bpffs = Bpffs::mount();
    let path = bpffs.path("ring");
    ring.map.pin(&path).unwrap();
    let mut child = Command::new(env!("CARGO_BIN_EXE_jam"))
        .args(["--how", "busy", "--pin"])
        .arg(&path)
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut line = String::new();
    BufReader::new(child.stdout.take().unwrap()).read_line(&mut line).unwrap();
    child.kill().unwrap();
    let status = child.wait().unwrap();
    assert_eq!((line.as_str(), status.signal()), ("holding\n", Some(9)));
    ring
}

/// What is to be seen of a jam.
struct Shown {
    jam: Jam,
    /// What the first drain hands over, and what every later one answers.
    first: Vec<Vec<u8>>,
    answer: Result<u32, Errno>,
    verdict: Verdict,
    refused: AttachError,
    /// What `inspect` says: verdict, obstacle, kernel error, and a part of the words.
    name: &'static str,
    obstacle: u64,
    kernel_error: Option<&'static str>,
    words: &'static str,
    /// Counts of what `repair` does: discarded, filled, fillers, and where the producer position was and is.
    repaired: (u64, u64, u64, Option<(u64, u64)>),
    /// All submitted samples that can be reached, from the first on.
    reachable: Vec<Vec<u8>>,
}

impl Shown {
    /// What drains answer before the repair and after it, and all of it again with nothing drained before.
    fn check(&self) {
        let mut ring = jammed(self.jam);
        let (first, answer) = ring.try_drain(0);
        assert_eq!(first, self.first);
        if answer.is_err() || first.is_empty() {
            assert_eq!(answer, self.answer);
        }
        for _ in 0..3 {
            assert_eq!(ring.try_drain(0), (vec![], self.answer), "jammed for good");
        }
        self.check_look(&ring);
        let plan = command(&["repair", "--dry-run"], &ring.map);
        assert_eq!(ring.try_drain(0), (vec![], self.answer), "a dry run changes nothing");
        let done = command(&["repair", "--producer-is-gone"], &ring.map);
        self.check_repair(&done);
        assert_eq!((&plan["repairs"], &plan["after"]), (&done["repairs"], &plan["before"]));
        let rest = ring.drain();
        assert_eq!([first, rest].concat(), self.reachable);
        flows(&mut ring);

        self.check_repairs();
    }

    /// A record that the kernel refuses, behind the samples in front of the jam.
    fn damaged(jam: Jam, damage: Damage, error: (Errno, &'static str), words: &'static str, reachable: u64) -> Self {
        Self {
            jam,
            first: samples(0..BEFORE),
            answer: Err(error.0),
            verdict: Verdict::Jammed { damage },
            refused: AttachError::Damaged { damage },
            name: "jammed",
            obstacle: AT,
            kernel_error: Some(error.1),
            words,
            repaired: (0, 1, 1, None),
            reachable: samples(0..reachable),
        }
    }

    /// A producer position `from` which is wrong, and that a repair moves to another. Drains are to answer 0.
    fn misplaced(
        jam: Jam,
        corruption: Corruption,
        (from, to): (u64, u64),
        words: &'static str,
        reachable: u64,
    ) -> Self {
        Self {
            jam,
            first: vec![],
            answer: Ok(0),
            verdict: Verdict::Misplaced { corruption },
            refused: AttachError::Corrupted(corruption),
            name: "misplaced",
            obstacle: from,
            kernel_error: None,
            words,
            repaired: (0, 0, 0, Some((from, to))),
            reachable: samples(0..reachable),
        }
    }

    /// Repairs with nothing drained before, once by the command and once by the library.
    fn check_repairs(&self) {
        for by_command in [true, false] {
            let mut ring = jammed(self.jam);
            self.check_look(&ring);
            if by_command {
                self.check_repair(&command(&["repair", "--producer-is-gone"], &ring.map));
            } else {
                // SAFETY: whoever jammed the ring has ended.
                unsafe { repair(&ring.mapping(), |_| ()) }.unwrap();
            }
            assert_eq!(ring.drain(), self.reachable);
            flows(&mut ring);
        }
    }

    fn check_look(&self, ring: &Ring) {
        assert_eq!(Survey::of(&MappingView::new(&ring.map).unwrap()).verdict, self.verdict);
        assert_eq!(Producer::attach(&ring.mapping()).unwrap_err(), self.refused);
        let look = command(&["inspect"], &ring.map);
        assert_eq!((&look["verdict"], &look["obstacle"]), (&json!(self.name), &json!(self.obstacle)), "{look}");
        assert_eq!((&look["kernel_error"], &look["stuck"]), (&json!(self.kernel_error), &json!(true)), "{look}");
        assert!(look["words"].as_str().unwrap().contains(self.words), "{look}");
        assert!(look["todo"].as_str().unwrap().contains("--producer-is-gone` would"), "{look}");
        self.check_repair(&look["repair"]);
    }

    fn check_repair(&self, sum: &Value) {
        let (discarded, filled, fillers, moved) = self.repaired;
        assert_eq!((&sum["discarded"], &sum["filled"]), (&json!(discarded), &json!(filled)), "{sum}");
        assert_eq!(sum["fillers"], fillers, "{sum}");
        let moved = moved.map(|(from, to)| json!({"from": from, "to": to}));
        assert_eq!(sum["producer_moved"], json!(moved), "{sum}");
    }
}

/// A new producer goes on where the jam was.
fn flows(ring: &mut Ring) {
    assert_eq!(command(&["inspect"], &ring.map)["verdict"], "empty");
    let mut producer = ring.producer();
    producer.push(b"it flows").unwrap();
    assert_eq!(ring.drain(), [b"it flows"]);
}

#[test]
fn a_busy_record_of_a_killed_process_holds_the_ring_until_it_is_discarded() {
    needs_admin!();
    let len = u32::try_from(HELD).unwrap();
    // The reservation's length, rounded up to whole words.
    let record = |ring: &Ring| match Survey::of(&MappingView::new(&ring.map).unwrap()).verdict {
        Verdict::Held { record } => record,
        other => panic!("{other}"),
    };
    let record = record(&jammed(Jam::Busy));
    assert_eq!((record.start.get(), record.state), (AT, RecordState::Busy));
    assert!(record.len >= len);
    Shown {
        jam: Jam::Busy,
        first: samples(0..BEFORE),
        answer: Ok(0),
        verdict: Verdict::Held { record },
        refused: AttachError::Busy { record },
        name: "held",
        obstacle: AT,
        kernel_error: None,
        words: "no process claims the ring, so its producer is gone",
        repaired: (1, 0, 0, None),
        reachable: samples(0..BEFORE + BEHIND),
    }
    .check();
}

#[test]
fn a_sample_of_2_to_the_24_bytes_jams_with_e2big_until_it_is_filled() {
    needs_admin!();
    let damage = Damage::TooLong { start: Position::new(AT), len: 1 << 24 };
    let words = "more than the 16777215 that the kernel takes";
    Shown::damaged(Jam::TooLong, damage, (Errno::TOOBIG, "-E2BIG"), words, BEFORE + BEHIND).check();
    // Its producer can't free it by a discard.
    let mut ring = jammed(Jam::TooLong);
    ring.raw().set_header(AT, DISCARD | 1 << 24);
    assert_eq!(ring.try_drain(0), (samples(0..BEFORE), Err(Errno::TOOBIG)));
    assert_eq!(command(&["repair", "--producer-is-gone"], &ring.map)["filled"], 1);
    assert_eq!(ring.drain(), samples(BEFORE..BEFORE + BEHIND));
}

#[test]
fn an_unaligned_producer_position_jams_with_einval_until_it_is_moved() {
    needs_admin!();
    let corruption = Corruption::UnalignedProducer { producer: AT + 3 };
    let words = "every drain returns -EINVAL at once";
    let shown = Shown::misplaced(Jam::Unaligned, corruption, (AT + 3, AT), words, BEFORE);
    Shown { answer: Err(Errno::INVAL), kernel_error: Some("-EINVAL"), ..shown }.check();
}

#[test]
fn a_length_beyond_the_producer_position_jams_with_einval_until_it_is_filled() {
    needs_admin!();
    let damage = Damage::BeyondProducer { start: Position::new(AT), len: 1000, left: 40 };
    let words = "names 1000 bytes, but only 40 bytes are left";
    Shown::damaged(Jam::BeyondProducer, damage, (Errno::INVAL, "-EINVAL"), words, BEFORE).check();
}

#[test]
fn a_producer_position_behind_the_consumer_silences_the_drain_until_it_is_moved() {
    needs_admin!();
    let mut ring = jammed(Jam::Behind);
    for _ in 0..3 {
        assert_eq!(ring.try_drain(0), (vec![], Ok(0)));
    }
    let size = ring.map.size();
    let corruption = Corruption::OutOfRange { consumer: AT, producer: AT - EXTENT, size };
    let words = "drains return 0 whatever is submitted";
    // The samples were drained before the position moved back.
    Shown::misplaced(Jam::Behind, corruption, (AT - EXTENT, AT), words, 0).check_repairs();
}

#[test]
fn a_producer_position_beyond_the_ring_has_samples_drained_twice_unless_it_is_moved() {
    needs_admin!();
    let mut ring = jammed(Jam::BeyondRing);
    let size = u64::from(ring.map.size());
    let all = samples(0..size / EXTENT);
    assert_eq!(ring.drain(), [&all[..], &all].concat(), "the kernel does not notice");

    let corruption = Corruption::OutOfRange { consumer: 0, producer: 2 * size, size: ring.map.size() };
    let words = "drains old bytes of the ring again";
    Shown::misplaced(Jam::BeyondRing, corruption, (2 * size, size), words, size / EXTENT).check_repairs();
}

/// Samples and busy records in turn, and a length beyond the producer position at the end: the numbers of the samples.
fn litter(ring: &Ring, mapping: &Mapping) -> Vec<Vec<u8>> {
    let mut producer = Producer::attach(mapping).unwrap();
    for number in 0..400 {
        producer.push(&sample(number)).unwrap();
        if number % 3 == 0 {
            std::mem::forget(producer.reserve_detached(HELD).unwrap());
        }
    }
    let end = producer.position().get();
    let raw = ring.raw();
    raw.write_record(end, 0, &[0; 1000]);
    raw.set_producer_pos(end + 64);
    samples(0..400)
}

#[test]
fn a_repair_beside_a_draining_kernel_loses_and_repeats_nothing() {
    needs_admin!();
    let (mut held, mut errors) = (0, 0);
    for round in 0..100 {
        let mut ring = Ring::new(64 * 1024);
        let mapping = ring.mapping();
        let expected = litter(&ring, &mapping);
        let [begun, repaired] = [(); 2].map(|()| AtomicBool::new(false));
        let drained = std::thread::scope(|scope| {
            let draining = scope.spawn(|| {
                let mut drained = Vec::new();
                loop {
                    // Acquire: pairs with the release store below, so that the drain after it sees the whole repair.
                    let last = repaired.load(Ordering::Acquire);
                    let (samples, answer) = ring.try_drain(0);
                    begun.store(true, Ordering::Relaxed);
                    drained.extend(samples);
                    match answer {
                        Ok(_) if last => return drained,
                        Ok(_) => held += 1,
                        Err(error) => {
                            assert_eq!((error, last), (Errno::INVAL, false));
                            errors += 1;
                        }
                    }
                }
            });
            // At another moment of the drains each time, and in every second round not before the first of them.
            while round % 2 == 1 && !begun.load(Ordering::Relaxed) && !draining.is_finished() {
                std::thread::yield_now();
            }
            for _ in 0..round {
                std::thread::yield_now();
            }
            let mut discarded = 0;
            let count = |done| discarded += u32::from(matches!(done, Repair::Discarded { .. }));
            // SAFETY: the producer is dropped, and its forgotten samples are never used.
            unsafe { repair(&mapping, count) }.unwrap();
            repaired.store(true, Ordering::Release);
            assert_eq!(discarded, 134);
            draining.join().unwrap()
        });
        assert_eq!(drained, expected, "round {round}");
        assert_eq!(Survey::of(&MappingView::new(&ring.map).unwrap()).verdict, Verdict::Empty);
    }
    assert!(held > 0, "no drain ran beside a repair ({errors} errors)");
}
