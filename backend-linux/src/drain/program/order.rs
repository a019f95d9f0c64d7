//! What the program tells the callback, on the program's stack: offsets of 64-bit words.

/// Where the order begins, from the end of the stack.
pub(super) const ORDER: i16 = -40;
/// How many samples to take before stopping.
pub(super) const ORDER_LEFT: i16 = 0;
/// How many nanoseconds to let pass in each callback.
pub(super) const ORDER_DELAY: i16 = 8;
/// Not 0 to drain again in each callback.
pub(super) const ORDER_NEST: i16 = 16;
/// What the last drain within the drain returned.
pub(super) const ORDER_NESTED: i16 = 24;
/// The bytes of the log that may be in use when the drain goes on.
pub(super) const ORDER_ROOM: i16 = 32;
