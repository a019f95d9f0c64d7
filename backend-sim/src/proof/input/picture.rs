//! A ring as a fuzzer paints it: a row of headers from the consumer position on, over any bytes.
//!
//! ```text
//! size | consumer | number of records | flags, length and distance of each | producer | background bytes ...
//! ```

use user_ringbuf_core::{BUSY_BIT, DISCARD_BIT, HEADER_LEN, Position, RingMemory, RingSize, record_extent};

use super::Source;
use crate::{HeapMemory, RawAccess, RingImage, SimMemory};

/// Rings of this size have room for samples that are longer than a dynptr may be.
const HUGE: u64 = 1 << 25;

/// A ring's positions and bytes.
#[derive(Clone, Debug)]
pub struct Picture {
    /// Size of the data area.
    pub size: RingSize,
    /// `consumer_pos`.
    pub consumer: u64,
    /// `producer_pos`.
    pub producer: u64,
    headers: Vec<(u32, u32)>,
    background: Vec<u8>,
}

/// What a target does to a ring that was painted, whatever memory it lies in.
pub trait Judge {
    /// Panics where something is wrong.
    fn judge<M: RingMemory + RawAccess>(self, picture: &Picture, memory: &M);
}

impl Picture {
    /// The picture that the rest of an input is.
    pub fn take(mut source: Source<'_>) -> Self {
        let code = source.byte();
        // Small rings do most of the work; every so often comes one beyond the limit of a dynptr.
        let bytes = match code {
            0..=223 => 8 << (code % 8),
            224..=247 => 8 << (code % 14),
            _ => HUGE,
        };
        let size = RingSize::new(bytes).unwrap_or_else(|error| panic!("{error}"));
        let consumer = source.start(bytes);
        let (mut headers, mut end) = (Vec::new(), 0);
        for _ in 0..source.byte() % 32 {
            if bytes == HUGE && end >= HUGE {
                break;
            }
            let code = source.byte();
            let flags = [0, 0, 0, DISCARD_BIT, BUSY_BIT, BUSY_BIT | DISCARD_BIT, 0, DISCARD_BIT][usize::from(code & 7)];
            let len = source.length(size.bytes());
            let offset = Position::new(consumer).advance(end).offset(size) & !7;
            headers.push((offset, flags | len));
            // The next stands behind it, or somewhere else.
            let elsewhere = code & 0xc0 == 0 && bytes != HUGE;
            end += if elsewhere { 8 * u64::from(source.byte()) } else { u64::from(record_extent(len)) };
        }
        let producer = source.position(consumer, end, bytes);
        let mut picture = Self { size, consumer, producer, headers, background: source.rest().to_vec() };
        if bytes == HUGE {
            picture.tame(end);
        }
        picture
    }

    /// Keeps a huge ring fast: no long samples to copy, and the rest of it is a few discarded records, not millions of
    /// zeros, every eight of which are an empty sample.
    fn tame(&mut self, mut end: u64) {
        for (_, word) in &mut self.headers {
            if (1 << 16..1 << 24).contains(word) {
                *word |= DISCARD_BIT;
            }
        }
        while end < HUGE {
            let extent = (HUGE - end).min(1 << 24);
            let len = u32::try_from(extent).map_or(0, |extent| extent - HEADER_LEN);
            self.headers.push((Position::new(self.consumer).advance(end).offset(self.size) & !7, DISCARD_BIT | len));
            end += extent;
        }
        self.background.clear();
    }

    /// Puts it into memory, and lets `judge` work on that.
    ///
    /// # Panics
    /// If there is no memory, and as `judge` does.
    pub fn show(&self, judge: impl Judge) {
        let bytes = self.size.bytes_u64();
        if bytes == HUGE {
            // Mapped, so that only what is written takes memory.
            let memory = SimMemory::new(bytes).unwrap_or_else(|error| panic!("{error}"));
            for (offset, word) in &self.headers {
                // SAFETY: there are no samples of this ring.
                unsafe { memory.write_raw(*offset, &word.to_ne_bytes()) }.unwrap_or_else(|error| panic!("{error}"));
            }
            // SAFETY: as above.
            unsafe {
                memory.set_consumer(self.consumer);
                memory.set_producer(self.producer);
            }
            judge.judge(self, &memory);
        } else {
            let mut memory = HeapMemory::new(bytes).unwrap_or_else(|error| panic!("{error}"));
            memory.restore(&self.image()).unwrap_or_else(|error| panic!("{error}"));
            judge.judge(self, &memory);
        }
    }

    fn image(&self) -> RingImage {
        let mut image = RingImage::from_bytes(self.size, self.consumer, self.producer, &self.background);
        for (offset, word) in &self.headers {
            image.write(*offset, &word.to_ne_bytes()).unwrap_or_else(|error| panic!("{error}"));
        }
        image
    }

    /// Whether a working ring may have these positions.
    #[must_use]
    pub fn is_in_place(&self) -> bool {
        let aligned = self.consumer % 8 == 0 && self.producer % 8 == 0;
        aligned && self.producer.wrapping_sub(self.consumer) <= self.size.bytes_u64()
    }
}
