//! The scribbler, the kernel that drains what it left, and the watchdog.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc;
use std::time::{Duration, Instant};

use user_ringbuf_kit::random::Rng;
use user_ringbuf_kit::raw::{BUSY, DISCARD, RawRing};
use user_ringbuf_linux::{DrainOptions, DrainProgram, Map, Mapping};

use crate::fence::{self, Fence};

/// How long each kind of producer works, and how much longer where it has not seen enough by then.
const TIME: Duration = Duration::from_millis(700);
const MORE: Duration = Duration::from_secs(20);
/// How long it may take to come back. Sanitizers and small machines are slow; nothing of this sleeps for long.
const PATIENCE: Duration = Duration::from_secs(60);
const RING: u64 = 8192;

/// The ring under attack.
pub(crate) struct Victim {
    pub(crate) map: Map,
    pub(crate) mapping: Mapping,
    raw: RawRing,
    end: Instant,
    done: AtomicU64,
    failed: AtomicU64,
    _fence: Fence,
}

impl Victim {
    /// Whether there is time left, or more is needed.
    pub(crate) fn goes_on(&self) -> bool {
        let now = Instant::now();
        now < self.end || now < self.end + MORE && !self.has_seen_enough()
    }

    /// Whether enough went well and enough failed to prove something.
    fn has_seen_enough(&self) -> bool {
        self.done.load(Ordering::Relaxed) > 100 && self.failed.load(Ordering::Relaxed) > 10
    }

    /// Counts what an operation came to, and says whether it failed.
    pub(crate) fn count<T, E>(&self, attempt: Result<T, E>) -> Option<T> {
        let counter = if attempt.is_ok() { &self.done } else { &self.failed };
        // Relaxed: a count only.
        counter.fetch_add(1, Ordering::Relaxed);
        attempt.ok()
    }

    /// A position with which a producer may begin, until the scribbler comes by again.
    pub(crate) fn heal(&self) {
        self.raw.set_producer_pos(self.raw.consumer_pos());
    }

    /// Writes something wrong somewhere.
    fn scribble(&self, rng: &mut Rng) {
        let size = u64::try_from(self.raw.size()).unwrap();
        let consumer = self.raw.consumer_pos();
        let anywhere = |rng: &mut Rng| 4 * rng.usize(..self.raw.size() / 2);
        match rng.usize(..12) {
            0 => self.raw.set_producer_pos(rng.u64(..)),
            1 => self.raw.set_producer_pos(rng.u64(..) & !7),
            2 => self.raw.set_producer_pos(consumer.wrapping_add(8 * rng.u64(..size))),
            3 => self.raw.set_producer_pos(self.raw.producer_pos() ^ (1 << rng.u32(..64))),
            4 | 5 => self.heal(),
            6 => {
                let offset = anywhere(rng);
                self.raw.word(offset).store(rng.u32(..), Ordering::Relaxed);
            }
            7..=9 => {
                // A header that looks like one: right where the kernel looks, or anywhere.
                let position = if rng.usize(..2) == 0 { consumer & !7 } else { 8 * rng.u64(..size) };
                let bits = [0, BUSY, DISCARD, BUSY | DISCARD][rng.usize(..4)];
                let len = [0, 8, 100, 8184, 8185, 1 << 24, (1 << 30) - 1][rng.usize(..7)];
                self.raw.set_header(position, len | bits);
            }
            _ => {
                let from = anywhere(rng);
                let word = rng.u32(..);
                for offset in (from..(from + 400).min(2 * self.raw.size())).step_by(4) {
                    self.raw.word(offset).store(word, Ordering::Relaxed);
                }
            }
        }
    }
}

/// Lets `work` produce while everything around it goes wrong.
pub(crate) fn under_attack(name: &'static str, work: fn(&Victim)) {
    let (finished, watch) = mpsc::channel::<()>();
    let watchdog = std::thread::spawn(move || {
        if watch.recv_timeout(TIME + MORE + PATIENCE) == Err(mpsc::RecvTimeoutError::Timeout) {
            eprintln!("{name}: hangs");
            std::process::abort();
        }
    });

    let map = Map::create("hostile", RING).unwrap();
    let (mapping, fence) = fence::mapped(&map);
    let raw = RawRing::new(&map);
    let kernels_own = raw.rest_of_producer_page();
    let (done, failed) = (AtomicU64::new(0), AtomicU64::new(0));
    let victim = Victim { end: Instant::now() + TIME, map, mapping, raw, done, failed, _fence: fence };
    let mut drain = DrainProgram::load(&victim.map, 0).unwrap();

    std::thread::scope(|scope| {
        let victim = &victim;
        scope.spawn(|| {
            let mut rng = Rng::with_seed(1);
            while victim.goes_on() {
                for _ in 0..rng.usize(..6) {
                    victim.scribble(&mut rng);
                }
                // Sometimes the producers get somewhere.
                std::thread::sleep(Duration::from_micros(rng.u64(..60)));
            }
        });
        scope.spawn(|| {
            while victim.goes_on() {
                // Whatever the kernel says to it.
                let _ = drain.run(&DrainOptions::new()).unwrap().returned();
                std::thread::sleep(Duration::from_micros(30));
            }
        });
        work(victim);
    });

    assert_eq!(victim.raw.rest_of_producer_page(), kernels_own, "the kernel's part of the producer page");
    let (done, failed) = (victim.done.load(Ordering::Relaxed), victim.failed.load(Ordering::Relaxed));
    assert!(victim.has_seen_enough(), "too quiet to prove anything: {done} done, {failed} failed");
    println!("{name}: {done} done, {failed} failed");
    drop(finished);
    watchdog.join().unwrap();
}
