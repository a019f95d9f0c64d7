//! What a drain must do, written apart from the fake kernel. Kernel counterpart: `bpf_user_ringbuf_drain`.

/// A ring as it stands before a drain.
pub struct Ring<W> {
    /// Bytes in the data area.
    pub size: u32,
    /// `consumer_pos`.
    pub consumer: u64,
    /// `producer_pos`.
    pub producer: u64,
    /// The length word at an offset of the data area: a multiple of 8 below the size.
    pub word: W,
}

/// How the consumer calls it.
#[derive(Clone, Copy, Debug, Default)]
pub struct DrainCall {
    /// Flags of the drain.
    pub flags: u64,
    /// The callback stops the drain with this sample; 0 is never.
    pub stop_after: u32,
}

/// Why a drain ended.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum End {
    /// A flag that the kernel does not know.
    #[default]
    UnknownFlag,
    /// The producer position is not a multiple of 8.
    UnalignedProducer,
    /// The consumer position is not a multiple of 8. No kernel stores one, so here the fake kernel's own rule counts.
    UnalignedConsumer,
    /// The consumer has come to the producer position.
    Empty,
    /// The producer position lies behind the consumer.
    ProducerBehind,
    /// The record reaches beyond the producer position.
    BeyondProducer,
    /// The record is larger than the ring.
    BeyondRing,
    /// The sample is longer than a dynptr may be.
    BeyondDynptr,
    /// The record is busy.
    Busy,
    /// The callback wanted no more.
    Stopped,
    /// One drain takes no more records.
    Cap,
}

/// What a drain must do.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Reading {
    /// What the helper returns.
    pub returned: i64,
    /// `consumer_pos` afterwards.
    pub consumer: u64,
    /// Samples handed over.
    pub samples: u32,
    /// Records skipped.
    pub discarded: u32,
    /// Records skipped that were busy besides.
    pub busy_discarded: u32,
    /// Records consumed whose bytes passed the end of the data area.
    pub wrapped: u32,
    /// Whether it wakes the waiters.
    pub wakes: bool,
    /// Why it ended.
    pub end: End,
}

const EINVAL: i64 = 22;
const E2BIG: i64 = 7;

/// A record that the kernel takes.
struct Taken {
    len: u32,
    total: u64,
    skip: bool,
    busy: bool,
}

/// What the drain of `ring` must do. Calls `sample` for each sample that must be handed over, with the offset of its first
/// byte in the data area, below the size, and its length.
pub fn read<W: Fn(u32) -> u32>(ring: &Ring<W>, call: DrainCall, mut sample: impl FnMut(u32, u32)) -> Reading {
    let size = u64::from(ring.size);
    let mut reading = Reading { consumer: ring.consumer, ..Reading::default() };
    // 1 is "no wakeup", 2 is "force a wakeup", and there are no other flags.
    if call.flags > 3 {
        reading.returned = -EINVAL;
        return reading;
    }
    reading.end = loop {
        if reading.samples + reading.discarded == 131_072 {
            break End::Cap;
        }
        let taken = match record(ring, reading.consumer) {
            Ok(taken) => taken,
            Err(end) => break end,
        };
        let offset = reading.consumer % size;
        reading.wrapped += u32::from(offset + taken.total > size);
        reading.consumer = sum(reading.consumer, taken.total);
        if taken.skip {
            reading.discarded += 1;
            reading.busy_discarded += u32::from(taken.busy);
            continue;
        }
        reading.samples += 1;
        sample(u32::try_from((offset + 8) % size).unwrap_or(0), taken.len);
        if reading.samples == call.stop_after {
            break End::Stopped;
        }
    };
    reading.returned = match reading.end {
        End::UnalignedProducer | End::UnalignedConsumer | End::BeyondProducer => -EINVAL,
        End::BeyondRing | End::BeyondDynptr => -E2BIG,
        _ => i64::from(reading.samples),
    };
    reading.wakes = match call.flags {
        0 => reading.samples + reading.discarded > 0,
        1 => false,
        // To force wins over not to wake.
        _ => true,
    };
    reading
}

/// The record at `consumer`, or why the drain ends there.
fn record<W: Fn(u32) -> u32>(ring: &Ring<W>, consumer: u64) -> Result<Taken, End> {
    let end = if ring.producer & 7 != 0 {
        End::UnalignedProducer
    } else if ring.producer == consumer {
        End::Empty
    } else if ring.producer < consumer {
        End::ProducerBehind
    } else if consumer & 7 != 0 {
        End::UnalignedConsumer
    } else {
        let word = (ring.word)(u32::try_from(consumer % u64::from(ring.size)).unwrap_or(0));
        // 30 bits of length, then the discard bit, then the busy bit.
        let (len, skip, busy) = (word % (1 << 30), word >> 30 & 1 == 1, word >> 31 == 1);
        let total = 8 * (1 + u64::from(len).div_ceil(8));
        if total > ring.producer - consumer {
            End::BeyondProducer
        } else if total > u64::from(ring.size) {
            End::BeyondRing
        } else if len >= 1 << 24 {
            End::BeyondDynptr
        } else if busy && !skip {
            End::Busy
        } else {
            return Ok(Taken { len, total, skip, busy });
        }
    };
    Err(end)
}

/// Positions are 64 bits wide, and go on at 0.
fn sum(position: u64, bytes: u64) -> u64 {
    let wide = u128::from(position) + u128::from(bytes);
    u64::try_from(wide % (1 << 64)).unwrap_or(0)
}
