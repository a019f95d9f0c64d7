//! The word in which the threads of a shared producer take room.
//!
//! Pure arithmetic. Invariant: whatever is added, the count of threads never overflows into the position. Kernel
//! counterpart: none; the kernel sees only the producer position that follows from the word.

use crate::format::position::Position;

/// The end of what is reserved, in units of 8 bytes, and the number of threads in flight. At most 65,534 threads are in
/// flight; the number above that marks a word that is held.
///
/// The 48 bits of the end cover 2^51 bytes of positions. The topmost bits follow from another position that is within
/// the ring's size of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Reservations(pub(crate) u64);

impl Reservations {
    const IN_FLIGHT_BITS: u32 = 16;
    const IN_FLIGHT_MASK: u64 = (1 << Self::IN_FLIGHT_BITS) - 1;
    /// A position is a multiple of 8, so it moves up by 13 bits, not 16.
    const SHIFT: u32 = Self::IN_FLIGHT_BITS - 3;
    const POSITION_MASK: u64 = (1 << (64 - Self::SHIFT)) - 1;

    pub(crate) const fn none_in_flight(end: Position) -> Self {
        Self(end.get() << Self::SHIFT)
    }

    /// The end of what is reserved, without its topmost bits.
    #[inline(always)]
    const fn end_low(self) -> u64 {
        (self.0 & !Self::IN_FLIGHT_MASK) >> Self::SHIFT
    }

    /// Whether the end of what is reserved equals `position`, apart from the topmost bits.
    #[inline(always)]
    pub(crate) const fn ends_at(self, position: Position) -> bool {
        self.room(position) == 0
    }

    #[inline(always)]
    pub(crate) const fn in_flight(self) -> u64 {
        self.0 & Self::IN_FLIGHT_MASK
    }

    /// Bytes from the end of what is reserved to `limit`; more than any ring holds if `limit` lies behind.
    #[inline(always)]
    pub(crate) const fn room(self, limit: Position) -> u64 {
        limit.get().wrapping_sub(self.end_low()) & Self::POSITION_MASK
    }

    /// The end of what is reserved, which is at most a ring's size ahead of `position`.
    #[inline(always)]
    pub(crate) const fn end_near(self, position: Position) -> Position {
        position.advance(self.end_low().wrapping_sub(position.get()) & Self::POSITION_MASK)
    }

    /// The end of what is reserved, which may be any number of laps ahead of `position` or behind it, up to 2^50 bytes.
    pub(crate) const fn end_around(self, position: Position) -> Position {
        let behind = position.get().wrapping_sub(self.end_low()) & Self::POSITION_MASK;
        let back = position.get().wrapping_sub(behind);
        Position::new(if behind <= Self::POSITION_MASK / 2 { back } else { back.wrapping_add(Self::POSITION_MASK + 1) })
    }

    /// Whether no thread is about to publish: none is in flight, or the word is held.
    #[inline(always)]
    pub(crate) const fn is_quiet(self) -> bool {
        self.in_flight() == 0 || self.in_flight() == Self::IN_FLIGHT_MASK
    }

    /// The same end, with a count that keeps every thread from taking room.
    pub(crate) const fn held(self) -> Self {
        Self(self.0 | Self::IN_FLIGHT_MASK)
    }

    /// With `extent` more bytes reserved and one more thread in flight; `None` if the count is full.
    #[inline(always)]
    pub(crate) fn with_another(self, extent: u32) -> Option<Self> {
        if self.in_flight() >= Self::IN_FLIGHT_MASK - 1 {
            return None;
        }
        Some(Self(self.0.wrapping_add(u64::from(extent) << Self::SHIFT).wrapping_add(1)))
    }

    /// With one thread fewer in flight; the caller is one of them.
    #[inline(always)]
    pub(crate) const fn with_one_less(self) -> Self {
        Self(self.0.wrapping_sub(1))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::format::layout::RingSize;

    #[test]
    fn the_reservations_word_keeps_ends_and_counts_apart_also_where_either_wraps() {
        for start in [0, 8, 4096, (1 << 51) - 16, 1 << 51, (1 << 63) + 24, u64::MAX - 15, u64::MAX - 7] {
            let start = Position::new(start);
            let word = Reservations::none_in_flight(start);
            assert_eq!((word.in_flight(), word.end_near(start)), (0, start));
            assert!(word.ends_at(start) && !word.ends_at(start.advance(8)) && !word.ends_at(start.advance(u64::MAX)));
            let taken = word.with_another(24).unwrap().with_another(16).unwrap();
            assert_eq!((taken.in_flight(), taken.end_near(start)), (2, start.advance(40)));
            assert_eq!(taken.room(start.advance(4096)), 4056);
            let far = (1 << 50) - 64;
            for position in [start, start.advance(far), Position::new(start.get().wrapping_sub(far))] {
                assert_eq!(taken.end_around(position), start.advance(40));
            }
            let left = taken.with_one_less().with_one_less();
            assert_eq!((left.in_flight(), left.end_near(start)), (0, start.advance(40)));
        }
    }

    #[test]
    fn a_limit_behind_the_end_leaves_more_room_than_any_ring_has() {
        let word = Reservations::none_in_flight(Position::new(64));
        assert!(word.room(Position::new(56)) > u64::from(RingSize::MAX));
        assert!(word.room(Position::new(63)) > u64::from(RingSize::MAX));
        assert_eq!(word.room(Position::new(64)), 0);
    }

    #[test]
    fn the_count_of_threads_in_flight_never_spills_into_the_position() {
        let held = Reservations::none_in_flight(Position::new(8)).held();
        let full = held.with_one_less();
        assert_eq!((held.with_another(8), full.with_another(8)), (None, None));
        assert!(held.is_quiet() && !full.is_quiet() && held.ends_at(Position::new(8)));
        assert_eq!(full.held(), held);
        assert!(full.with_one_less().with_another(8).is_some_and(|word| word.ends_at(Position::new(16))));
    }
}
