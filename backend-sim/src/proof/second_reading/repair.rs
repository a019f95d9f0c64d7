//! What a repair must leave of a ring, written apart from the core.

/// What a repair must leave of a ring of `size` bytes. Calls `sample` for each sample that must not be lost, those that are
/// submitted and that a walk from the consumer on can reach, with the offset of its first byte, below the size, and its
/// length. Returns where the producer position must be. `word` reads the length word at an offset of the data area, a
/// multiple of 8 below the size.
///
/// Means nothing where the consumer position is not a multiple of 8: that can't be repaired.
pub fn expect_of_repair(
    size: u32,
    consumer: u64,
    producer: u64,
    word: impl Fn(u32) -> u32,
    mut sample: impl FnMut(u32, u32),
) -> u64 {
    let ahead = producer.wrapping_sub(consumer);
    let room = match ahead {
        _ if ahead <= u64::from(size) => ahead - ahead % 8,
        // Too far ahead, the ring may be full; behind, it is empty.
        _ if ahead < 1 << 63 => size.into(),
        _ => 0,
    };
    let (mut at, mut left) = (consumer & !7, room);
    while left > 0 {
        let offset = u32::try_from(at % u64::from(size)).unwrap_or(0);
        let word = word(offset);
        let len = word % (1 << 30);
        let total = 8 + u64::from(len).div_ceil(8) * 8;
        if total > left {
            break;
        }
        if word >> 30 == 0 && len < 1 << 24 {
            sample((offset + 8) % size, len);
        }
        at = at.wrapping_add(total);
        left -= total;
    }
    consumer.wrapping_add(room)
}
