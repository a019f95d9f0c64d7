//! The core between two threads over plain memory, beside rings that are made for that.
//!
//! No goals: rtrb and bbqueue are not what one would use towards a kernel. They show what the protocol costs where the
//! other side is as fast.

use std::hint::black_box;

use anyhow::{Result, anyhow, ensure};
use bbqueue::nicknames::GogiGui;
use bbqueue::traits::storage::BoxedSlice;
use user_ringbuf_linux::{Producer, ReserveError};

use crate::options::Options;
use crate::pair::{Patience, together};
use crate::peers::plain::PlainMemory;
use crate::report::{Row, Table, Unit};
use crate::stats::{median, nanoseconds_each};

const CASE: &str = "plain_memory/40";
const LEN: usize = 40;
/// Header and sample.
const RECORD: usize = 48;
const RING: usize = 64 * 1024;
const SAMPLES: u64 = 200_000;

type Sample = [u8; LEN];

pub(crate) fn run(options: &Options, table: &mut Table) -> Result<()> {
    if !options.wants(CASE) {
        return Ok(());
    }
    let cores = options.two_cores()?;
    ensure!(cores[0] != cores[1] || options.quick, "two threads that spin for each other need two cores");
    let rings: [fn([usize; 2]) -> Result<f64>; 3] = [ours, rtrb, bbqueue];
    let mut times = [const { Vec::new() }; 3];
    for round in 0..options.rounds() + 1 {
        for turn in 0..rings.len() {
            let which = (turn + round) % rings.len();
            let time = rings[which](cores)?;
            if round > 0 {
                times[which].push(time);
            }
        }
    }
    let [ours, rtrb, bbqueue] = times.map(|times| median(&times));
    for (peer, theirs) in [("rtrb", rtrb), ("bbqueue", bbqueue)] {
        table.add(Row { case: CASE.into(), peer, unit: Unit::Nanoseconds, ours, theirs, goal: None });
    }
    Ok(())
}

/// The sample of this number, made anew for each.
#[inline(always)]
fn sample(number: u64) -> Sample {
    let mut sample = [7; LEN];
    sample[..8].copy_from_slice(&number.to_ne_bytes());
    sample
}

/// Takes samples until all have come, in order and whole.
#[inline(always)]
fn take_all(mut next: impl FnMut(&mut dyn FnMut(&[u8])) -> bool) -> Result<()> {
    let mut number = 0;
    let mut wrong = None;
    let mut patience = Patience::default();
    while number < SAMPLES {
        let taken = next(&mut |bytes| {
            if bytes != sample(number) {
                wrong.get_or_insert(number);
            }
            black_box(bytes);
        });
        if taken { number += 1 } else { patience.wait() }
    }
    ensure!(wrong.is_none(), "sample {wrong:?} is not the one that was sent");
    Ok(())
}

fn each(time: std::time::Duration) -> f64 {
    nanoseconds_each(time, SAMPLES)
}

fn ours(cores: [usize; 2]) -> Result<f64> {
    let memory = PlainMemory::new(RING as u64)?;
    let mut producer = Producer::attach(&memory)?;
    let mut consumer = memory.consumer();
    let produce = || {
        for number in 0..SAMPLES {
            let sample = sample(number);
            let mut patience = Patience::default();
            loop {
                match producer.push(&sample) {
                    Ok(_) => break,
                    Err(ReserveError::Full { .. }) => patience.wait(),
                    Err(why) => return Err(why.into()),
                }
            }
        }
        Ok(())
    };
    let (time, (), ()) = together(cores, produce, || take_all(|take| consumer.next(take)))?;
    Ok(each(time))
}

fn rtrb(cores: [usize; 2]) -> Result<f64> {
    let (mut producer, mut consumer) = rtrb::RingBuffer::<Sample>::new(RING / RECORD);
    let produce = || {
        for number in 0..SAMPLES {
            let mut patience = Patience::default();
            while producer.push(sample(number)).is_err() {
                patience.wait();
            }
        }
        Ok(())
    };
    let consume = || take_all(|take| consumer.pop().map(|sample| take(&sample)).is_ok());
    let (time, (), ()) = together(cores, produce, consume)?;
    Ok(each(time))
}

fn bbqueue(cores: [usize; 2]) -> Result<f64> {
    let ring = GogiGui::new_with_storage(BoxedSlice::new(RING));
    let (producer, consumer) = (ring.framed_producer(), ring.framed_consumer());
    let len = u16::try_from(LEN)?;
    let produce = move || {
        for number in 0..SAMPLES {
            let sample = sample(number);
            let mut patience = Patience::default();
            let mut grant = loop {
                match producer.grant(len) {
                    Ok(grant) => break grant,
                    Err(bbqueue::traits::coordination::WriteGrantError::InsufficientSize) => patience.wait(),
                    Err(why) => return Err(anyhow!("bbqueue grants nothing: {why:?}")),
                }
            };
            grant.copy_from_slice(&sample);
            grant.commit(len);
        }
        Ok(())
    };
    let consume = move || {
        take_all(|take| match consumer.read() {
            Ok(grant) => {
                take(&grant);
                grant.release();
                true
            }
            Err(_) => false,
        })
    };
    let (time, (), ()) = together(cores, produce, consume)?;
    Ok(each(time))
}
