//! Positions: free-running byte counts that only grow, and wrap around at the end of their width.
//!
//! `producer_pos` and `consumer_pos` count bytes since the map was made; the offset in the data area is the position
//! modulo the ring size. All arithmetic here wraps, so crossing 2^64 is like crossing any other multiple of the ring
//! size. Kernel counterpart: `consumer_pos` and `producer_pos` of `struct bpf_ringbuf`.

use crate::format::layout::RingSize;

/// Why two positions can't be those of a working ring.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Corruption {
    /// The consumer position is not a multiple of 8. The kernel never stores such a position.
    UnalignedConsumer {
        /// `consumer_pos` as found.
        consumer: u64,
    },
    /// The producer position is not a multiple of 8, so every drain returns -EINVAL.
    UnalignedProducer {
        /// `producer_pos` as found.
        producer: u64,
    },
    /// The producer position is behind the consumer position, or ahead of it by more than the ring holds.
    OutOfRange {
        /// `consumer_pos` as found.
        consumer: u64,
        /// `producer_pos` as found, or as this producer remembers it.
        producer: u64,
        /// Size of the data area in bytes: the largest distance allowed.
        size: u32,
    },
}

impl core::fmt::Display for Corruption {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        match *self {
            Self::UnalignedConsumer { consumer } => {
                write!(f, "the consumer position {consumer} is not a multiple of 8")
            }
            Self::UnalignedProducer { producer } => {
                write!(f, "the producer position {producer} is not a multiple of 8")
            }
            Self::OutOfRange { consumer, producer, size } => write!(
                f,
                "the producer position {producer} is not within the ring's {size} bytes after the consumer position {consumer}"
            ),
        }
    }
}

impl core::error::Error for Corruption {}

// One definition for two widths: 64 bits for the ring, and 8 bits for tests that try every value.
macro_rules! position_of_width {
    ($(#[$doc:meta])* $name:ident, $word:ty) => {
        $(#[$doc])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
        #[repr(transparent)]
        pub struct $name($word);

        impl $name {
            /// The position with this byte count.
            #[inline]
            pub const fn new(bytes: $word) -> Self {
                Self(bytes)
            }

            /// The byte count.
            #[inline]
            pub const fn get(self) -> $word {
                self.0
            }

            /// The position `bytes` further on; wraps at the end of the width.
            #[inline]
            #[must_use]
            pub const fn advance(self, bytes: $word) -> Self {
                Self(self.0.wrapping_add(bytes))
            }

            /// Bytes from `earlier` to this position. If `earlier` is in fact ahead, the result wraps and is larger
            /// than any ring.
            #[inline]
            pub const fn distance_from(self, earlier: Self) -> $word {
                self.0.wrapping_sub(earlier.0)
            }

            /// Whether a record may begin here: positions of records are multiples of 8.
            #[inline]
            pub const fn is_aligned(self) -> bool {
                self.0 % 8 == 0
            }

            /// The offset of this position in a data area of `size` bytes, a power of two.
            #[inline]
            pub(super) const fn modulo(self, size: $word) -> $word {
                self.0 & size.wrapping_sub(1)
            }

            /// Bytes in use with this producer position, if both positions are possible in a ring of `size` bytes.
            #[inline]
            pub(super) fn checked_occupied(self, consumer: Self, size: $word) -> Result<$word, Wrong> {
                if !consumer.is_aligned() {
                    return Err(Wrong::UnalignedConsumer);
                }
                if !self.is_aligned() {
                    return Err(Wrong::UnalignedProducer);
                }
                let occupied = self.distance_from(consumer);
                if occupied > size { Err(Wrong::OutOfRange) } else { Ok(occupied) }
            }
        }
    };
}

/// What is wrong with a pair of positions, without the numbers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Wrong {
    UnalignedConsumer,
    UnalignedProducer,
    OutOfRange,
}

position_of_width! {
    /// A place in the stream of bytes through the ring, counted in bytes since the ring was made: a value of
    /// `producer_pos` or `consumer_pos`.
    ///
    /// Positions wrap at 2^64, so they have no order of their own: compare distances from a third position, or use
    /// [`has_reached`](Self::has_reached).
    Position, u64
}

impl Position {
    /// Offset of this position in the data area, in bytes.
    #[inline]
    #[expect(clippy::cast_possible_truncation, reason = "masked below a size that is a u32")]
    pub const fn offset(self, size: RingSize) -> u32 {
        self.modulo(size.bytes_u64()) as u32
    }

    /// Whether this position is at `other` or beyond it: a consumer at this position has taken everything up to
    /// `other`. `other` counts as reached if it is less than 2^63 bytes back.
    #[inline]
    pub const fn has_reached(self, other: Self) -> bool {
        self.distance_from(other) < 1 << 63
    }

    /// Bytes in use between `consumer` and this producer position. Both are checked, since they come from shared
    /// memory.
    ///
    /// # Errors
    /// [`Corruption`] unless both are multiples of 8 and at most `size` apart, the producer ahead.
    #[inline]
    pub fn occupied(self, consumer: Self, size: RingSize) -> Result<u32, Corruption> {
        let (consumer_pos, producer) = (consumer.get(), self.get());
        match self.checked_occupied(consumer, size.bytes_u64()) {
            #[expect(clippy::cast_possible_truncation, reason = "checked to be at most the ring's size, a u32")]
            Ok(occupied) => Ok(occupied as u32),
            Err(Wrong::UnalignedConsumer) => Err(Corruption::UnalignedConsumer { consumer: consumer_pos }),
            Err(Wrong::UnalignedProducer) => Err(Corruption::UnalignedProducer { producer }),
            Err(Wrong::OutOfRange) => {
                Err(Corruption::OutOfRange { consumer: consumer_pos, producer, size: size.bytes() })
            }
        }
    }
}

impl core::fmt::Display for Position {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        core::fmt::Display::fmt(&self.0, f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[expect(unreachable_pub, reason = "the text of the public type, instantiated for a test")]
    mod narrow {
        use super::Wrong;
        position_of_width! {
            /// The same arithmetic, narrow enough to try everything.
            Narrow, u8
        }
    }
    use narrow::Narrow;

    const NARROW_SIZES: [u8; 5] = [8, 16, 32, 64, 128];

    #[test]
    fn every_narrow_pair_of_positions_is_judged_like_a_count_that_never_wraps() {
        for size in NARROW_SIZES {
            for consumer in 0..=u8::MAX {
                for producer in 0..=u8::MAX {
                    // The model: the producer is this many bytes ahead, in numbers that can't wrap.
                    let ahead = (u16::from(producer) + 256 - u16::from(consumer)) % 256;
                    let legal = consumer % 8 == 0 && producer % 8 == 0 && ahead <= u16::from(size);
                    let got = Narrow::new(producer).checked_occupied(Narrow::new(consumer), size);
                    assert_eq!(got.is_ok(), legal, "consumer {consumer} producer {producer} size {size}");
                    if let Ok(occupied) = got {
                        assert_eq!(u16::from(occupied), ahead);
                    }
                }
            }
        }
    }

    #[test]
    fn every_narrow_advance_comes_back_as_its_distance_and_its_offset() {
        for size in NARROW_SIZES {
            for start in 0..=u8::MAX {
                for by in 0..=u8::MAX {
                    let end = Narrow::new(start).advance(by);
                    assert_eq!(end.distance_from(Narrow::new(start)), by);
                    assert_eq!(end.get(), start.wrapping_add(by));
                    let unwrapped = u16::from(start) + u16::from(by);
                    assert_eq!(u16::from(end.modulo(size)), unwrapped % u16::from(size));
                    assert_eq!(end.is_aligned(), unwrapped % 8 == 0);
                }
            }
        }
    }

    #[test]
    fn a_position_is_reached_if_it_lies_less_than_half_of_all_positions_back() {
        let half = 1 << 63;
        for start in [0, 8, half, u64::MAX - 7].map(Position::new) {
            assert!(start.has_reached(start) && start.advance(half - 1).has_reached(start));
            assert!(!start.advance(half).has_reached(start) && !start.has_reached(start.advance(1)));
        }
    }

    #[test]
    fn the_wide_positions_name_what_is_wrong_with_the_numbers() {
        let size = RingSize::new(4096).unwrap();
        let at = Position::new;
        assert_eq!(at(u64::MAX - 7).advance(16).occupied(at(u64::MAX - 7), size), Ok(16));
        let behind = Corruption::OutOfRange { consumer: 7200, producer: 4800, size: 4096 };
        assert_eq!(at(4800).occupied(at(7200), size), Err(behind));
        assert_eq!(at(8).occupied(at(3), size), Err(Corruption::UnalignedConsumer { consumer: 3 }));
        assert_eq!(at(9).occupied(at(8), size), Err(Corruption::UnalignedProducer { producer: 9 }));
        let beyond = Corruption::OutOfRange { consumer: 0, producer: 4104, size: 4096 };
        assert_eq!(at(4104).occupied(at(0), size), Err(beyond));
        assert_eq!(at(1 << 40).offset(size), 0);
        assert_eq!(at(u64::MAX).offset(size), 4095);
    }
}
