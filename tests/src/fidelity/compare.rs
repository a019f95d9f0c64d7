//! One case on both sides: every result compared, with the other side and with a second reading of the rules.

use std::fmt;

use anyhow::{bail, ensure};
use user_ringbuf_sim::proof::Program;
use user_ringbuf_sim::proof::second_reading::{DrainCall, Reading, Ring, expect_of_repair, read};
use user_ringbuf_sim::{Corruption, MAX_SAMPLE_LEN, Repair, repair};

use super::image::{Call, Case, Image, Start, Work};
use super::outcome::{Met, Outcome};
use super::script::record;
use super::side::{Answer, Side};

/// Rings up to this size are wiped entirely between two cases, larger ones where they were written.
const WIPED: u32 = 1 << 16;

/// Drains in which a repaired ring must be empty.
const DRAINS: u32 = 8;

/// The two rings that are compared, of the same size.
#[derive(Debug)]
pub struct Pair<R, F> {
    /// The reference.
    pub real: R,
    /// The one that is tested.
    pub fake: F,
}

/// Where the two differ.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Difference {
    /// In which step.
    pub step: String,
    /// What the real one did.
    pub real: String,
    /// What the fake one did, or the second reading.
    pub fake: String,
}

impl fmt::Display for Difference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}\n  real: {}\n  fake: {}", self.step, self.real, self.fake)
    }
}

impl std::error::Error for Difference {}

fn differ(step: &str, real: impl fmt::Display, fake: impl fmt::Display) -> Difference {
    Difference { step: step.to_owned(), real: real.to_string(), fake: fake.to_string() }
}

impl<R: Side, F: Side> Pair<R, F> {
    /// Two empty rings of the same size whose bytes are all zero.
    pub fn new(real: R, fake: F) -> Self {
        Self { real, fake }
    }

    /// Puts a case on both. The rings are empty and zero before and afterwards.
    ///
    /// # Errors
    /// If something could not be tried.
    pub fn run(&mut self, case: &Case, met: &mut Met) -> anyhow::Result<Option<Difference>> {
        let start = self.place(case.start)?;
        let compared = match &case.work {
            Work::Drain(image, calls) => self.drain_image(start, image, calls, met),
            Work::Repair(image) => self.repair_image(start, image, met),
            Work::Produce(program) => self.produce(start, program, met),
        };
        self.clean(start, case);
        compared.map_or_else(|error| error.downcast().map(Some), |()| Ok(None))
    }

    /// Moves both to where the case begins.
    fn place(&mut self, start: Start) -> anyhow::Result<u64> {
        let now = self.real.consumer();
        let target = match start {
            Start::Offset(offset) => {
                let size = u64::from(self.real.size());
                now + u64::from(offset).wrapping_sub(now) % size
            }
            Start::Before4GiB(bytes) => (now + u64::from(bytes)).next_multiple_of(1 << 32) - u64::from(bytes),
        };
        self.real.move_to(target)?;
        self.fake.move_to(target)?;
        Ok(target)
    }

    fn clean(&mut self, start: u64, case: &Case) {
        wipe(&mut self.real, start, case);
        wipe(&mut self.fake, start, case);
        let consumer = self.real.consumer();
        self.real.set_producer(consumer);
        self.fake.set_producer(consumer);
    }

    fn put(&mut self, start: u64, image: &Image) {
        for piece in &image.pieces {
            self.real.write(start + u64::from(piece.at), &piece.bytes);
            self.fake.write(start + u64::from(piece.at), &piece.bytes);
        }
        let producer = image.tail.position(start);
        self.real.set_producer(producer);
        self.fake.set_producer(producer);
    }

    fn drain_image(&mut self, start: u64, image: &Image, calls: &[Call], met: &mut Met) -> anyhow::Result<()> {
        self.put(start, image);
        calls.iter().try_for_each(|call| self.drain(call, met).map(drop))
    }

    /// Drains both, and reads the rules once more. Returns what both did.
    fn drain(&mut self, call: &Call, met: &mut Met) -> anyhow::Result<Answer> {
        let reading = self.read(call, met)?;
        let fake = self.fake.drain(call, false)?;
        let real = self.real.drain(call, fake.woke)?;
        ensure!(real == fake, differ(&call.to_string(), real.told(&fake), fake.told(&real)));
        let count = u32::try_from(real.samples.len()).unwrap_or(u32::MAX) + real.unlogged;
        let found = (real.returned, real.consumer, count, real.woke);
        let expected = (reading.returned, reading.consumer, reading.samples, reading.wakes);
        let step = || format!("{call}, read once more: returned, consumer, samples, woke");
        let by_the_rules = || format!("{expected:?}, by the second reading");
        ensure!(found == expected, differ(&step(), format!("{found:?}"), by_the_rules()));
        Ok(real)
    }

    fn read(&self, call: &Call, met: &mut Met) -> anyhow::Result<Reading> {
        let (consumer, producer) = (self.real.consumer(), self.real.producer());
        let ring = Ring { size: self.real.size(), consumer, producer, word: |offset| self.fake.word(offset) };
        let drain = DrainCall { flags: call.flags, stop_after: call.stop_after };
        let reading = read(&ring, drain, |_, len| {
            if len == MAX_SAMPLE_LEN {
                met.add(Outcome::Longest);
            }
        });
        met.add_drain(ring.size, consumer, producer, call, &reading)?;
        Ok(reading)
    }

    /// Lets the core repair both, and drains them until nothing is left: every submitted sample that could be reached
    /// comes out.
    fn repair_image(&mut self, start: u64, image: &Image, met: &mut Met) -> anyhow::Result<()> {
        self.put(start, image);
        let (place, expected) = self.expected_of_repair()?;
        let (real, fake) = (repaired(&self.real), repaired(&self.fake));
        ensure!(real == fake, differ("the repair", format!("{real:?}"), format!("{fake:?}")));
        let (found, rule) = (self.real.producer(), format!("{place}, by the rules"));
        ensure!(found == place, differ("the repair's producer position", found, rule));
        let mut samples = Vec::new();
        for _ in 0..DRAINS {
            samples.extend(self.drain(&Call { flags: 1, ..Call::default() }, &mut Met::default())?.samples);
            if self.real.consumer() == self.real.producer() {
                let told = |samples: &[Vec<u8>]| format!("{} samples: {samples:02x?}", samples.len());
                let left = "what is left to drain after the repair";
                ensure!(samples == expected, differ(left, told(&samples), told(&expected) + ", by the rules"));
                met.add(Outcome::Repaired);
                return Ok(());
            }
        }
        let left = format!("consumer {} and producer {}", self.real.consumer(), self.real.producer());
        bail!(differ("the repaired ring, which must be drained to empty", left, format!("the same, after {real:?}")))
    }

    /// Where a repair must put the producer, and the samples that it must keep.
    fn expected_of_repair(&self) -> anyhow::Result<(u64, Vec<Vec<u8>>)> {
        let (consumer, producer) = (self.real.consumer(), self.real.producer());
        let ring = self.real.snapshot();
        let mut samples = Vec::new();
        let place = expect_of_repair(
            self.real.size(),
            consumer,
            producer,
            |offset| self.real.word(offset),
            |offset, len| samples.push(ring.read(offset, usize::try_from(len).unwrap_or(usize::MAX))),
        );
        Ok((place, samples.into_iter().collect::<Result<_, _>>()?))
    }

    /// Runs the program on both, each held against the reference model, and compares what was drained.
    fn produce(&mut self, start: u64, program: &Program, met: &mut Met) -> anyhow::Result<()> {
        met.add(Outcome::Produced);
        let program = Program { start, ..program.clone() };
        let fake = record(&program, &mut self.fake, None)?;
        let real = record(&program, &mut self.real, Some(&fake.drains))?;
        for (n, (real, fake)) in real.drains.iter().zip(&fake.drains).enumerate() {
            ensure!(real == fake, differ(&format!("drain {n} of the program"), real.told(fake), fake.told(real)));
        }
        let same = real.result == fake.result && real.drains.len() == fake.drains.len();
        ensure!(same, differ("the program", format!("{:?}", real.result), format!("{:?}", fake.result)));
        if let Err(mismatch) = &real.result {
            bail!(differ("the program, held against the reference model", mismatch, "the same"));
        }
        let (real, fake) = (real.after, fake.after);
        ensure!(real == fake, differ("the ring afterwards", format!("{real:?}"), format!("{fake:?}")));
        Ok(())
    }
}

fn wipe(side: &mut impl Side, start: u64, case: &Case) {
    let size = side.size();
    match &case.work {
        Work::Drain(image, _) if size > WIPED => {
            for piece in &image.pieces {
                side.write(start + u64::from(piece.at), &vec![0; piece.bytes.len()]);
            }
        }
        _ => side.write(0, &vec![0; usize::try_from(size).unwrap_or(0)]),
    }
}

fn repaired(side: &impl Side) -> (Result<(), Corruption>, Vec<Repair>) {
    let mut repairs = Vec::new();
    // SAFETY: a trial has no producer while it repairs: those of its programs are gone with them.
    let result = unsafe { repair(&*side.memory(), |repair| repairs.push(repair)) };
    (result, repairs)
}

impl Answer {
    /// In words, with the first sample that another answer does not have.
    fn told(&self, other: &Self) -> String {
        let mut told =
            format!("returned {}, consumer {}, {} samples", self.returned, self.consumer, self.samples.len());
        let (mine, theirs) = (self.samples.iter(), other.samples.iter().map(Some).chain(std::iter::repeat(None)));
        if let Some((n, (sample, _))) = mine.zip(theirs).enumerate().find(|(_, (mine, theirs))| Some(*mine) != *theirs)
        {
            let shown = &sample[..sample.len().min(16)];
            told += &format!(", sample {n} of {} bytes: {shown:02x?}", sample.len());
        }
        for (value, name) in [(self.nested, "nested drain"), (self.unlogged.into(), "unlogged samples")] {
            if value != 0 {
                told += &format!(", {name} {value}");
            }
        }
        told + if self.woke { ", woke" } else { ", woke no waiter" }
    }
}
