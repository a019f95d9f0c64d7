//! The ways in which a ring jams, made for real: by a producer that stops half-way, or by the bytes that a broken foreign
//! producer leaves.

use anyhow::ensure;
use clap::ValueEnum;
use user_ringbuf_linux::{Map, Mapping, Producer};

use user_ringbuf_kit::raw::RawRing;

/// A way to jam a ring.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Jam {
    /// A busy record, whose producer dies before it submits it
    Busy,
    /// A sample of 2^24 bytes, one more than the kernel takes
    TooLong,
    /// A producer position that is not a multiple of 8
    Unaligned,
    /// A length that reaches beyond the producer position
    BeyondProducer,
    /// A producer position further ahead than the ring holds
    BeyondRing,
    /// A producer position behind the consumer's
    Behind,
}

/// Bytes of the sample that is reserved and never submitted.
pub const HELD: usize = 100;
/// Samples in front of the jam.
pub const BEFORE: u64 = 3;
/// Samples behind it, where any can be told.
pub const BEHIND: u64 = 4;
/// Bytes of a [`sample`]'s record.
pub const EXTENT: u64 = 16;

/// The sample with this number: 8 bytes.
///
/// # Panics
/// If the number has more than seven digits.
#[must_use]
pub fn sample(number: u64) -> [u8; 8] {
    let text = format!("#{number:07}");
    text.as_bytes().try_into().expect("numbers of at most seven digits")
}

impl Jam {
    /// The size in bytes of a ring in which this can be made; the kernel rounds it up.
    #[must_use]
    pub fn ring_bytes(self) -> u64 {
        if self == Self::TooLong { 32 << 20 } else { 4096 }
    }

    /// Jams a new ring. Most jams have three samples in front of them, and what can be told behind them four:
    /// [`BeyondRing`](Self::BeyondRing) fills the ring with samples instead. `while_busy` runs while the producer holds
    /// the busy record of [`Busy`](Self::Busy), and for no other jam.
    ///
    /// # Errors
    /// If the ring is too small, or can't be mapped or produced into.
    ///
    /// # Panics
    /// If the raw mapping fails.
    pub fn make(self, map: &Map, while_busy: impl FnOnce()) -> anyhow::Result<()> {
        let (size, needed) = (u64::from(map.size()), self.ring_bytes());
        ensure!(size >= needed, "a ring of {size} bytes is too small for this jam: it takes at least {needed}");
        if self == Self::Busy {
            let mapping = Mapping::new(map)?;
            let mut producer = Producer::attach(&mapping)?;
            push(&mut producer, 0..BEFORE)?;
            let held = producer.reserve_detached(HELD)?;
            push(&mut producer, BEFORE..BEFORE + BEHIND)?;
            while_busy();
            drop(held);
            return Ok(());
        }
        let raw = RawRing::new(map);
        if self == Self::BeyondRing {
            let end = write(&raw, 0, 0..size / EXTENT);
            raw.set_producer_pos(end + size);
            return Ok(());
        }
        let at = write(&raw, 0, 0..BEFORE);
        raw.set_producer_pos(match self {
            Self::TooLong => {
                let end = raw.write_record(at, 0, &vec![0; 1 << 24]);
                write(&raw, end, BEFORE..BEFORE + BEHIND)
            }
            Self::BeyondProducer => {
                raw.write_record(at, 0, &[0; 1000]);
                at + 40
            }
            Self::Unaligned => at + 3,
            // A behind one jams once the kernel has passed it.
            _ => at,
        });
        if self == Self::Behind {
            crate::kernel::drain_program(map, 0)?.run(&user_ringbuf_linux::DrainOptions::new())?;
            raw.set_producer_pos(at - EXTENT);
        }
        Ok(())
    }
}

fn push(producer: &mut Producer<&Mapping>, numbers: std::ops::Range<u64>) -> anyhow::Result<()> {
    for number in numbers {
        producer.push(&sample(number))?;
    }
    Ok(())
}

/// Writes records one after the other, and returns where the last one ends.
fn write(raw: &RawRing, at: u64, numbers: std::ops::Range<u64>) -> u64 {
    numbers.fold(at, |at, number| raw.write_record(at, 0, &sample(number)))
}
