//! What a demo's sample holds: its sequence number, a checksum and a pattern, as much of these as fits.
//!
//! All of it follows from sequence number and length, so what the kernel saw can be compared byte for byte.

/// Bytes of the sequence number, little-endian, in front.
const SEQUENCE: usize = 8;
/// Bytes of the checksum, little-endian, behind it.
const CHECKSUM: usize = 8;

/// 2^64 divided by the golden ratio: multiples of it differ in many bits.
const STRIDE: u64 = 0x9e37_79b9_7f4a_7c15;

/// Fills a sample.
pub(super) fn write(sequence: u64, sample: &mut [u8]) {
    let mut sum = sequence ^ STRIDE;
    let mut word = sequence.wrapping_mul(STRIDE).rotate_left(29);
    if let Some(pattern) = sample.get_mut(SEQUENCE + CHECKSUM..) {
        let mut words = pattern.chunks_exact_mut(8);
        for place in &mut words {
            word = word.wrapping_add(STRIDE);
            sum = sum.rotate_left(1) ^ word;
            place.copy_from_slice(&word.to_le_bytes());
        }
        let rest = words.into_remainder();
        word = word.wrapping_add(STRIDE);
        put(rest, word);
    }
    put(sample, sequence);
    put(sample.get_mut(SEQUENCE..).unwrap_or_default(), sum);
}

/// The sequence number that the sample carries, and how many of its bits fit.
pub(super) fn sequence(sample: &[u8]) -> (u64, u32) {
    let mut bytes = [0; SEQUENCE];
    let mut bits = 0;
    for (to, from) in bytes.iter_mut().zip(sample) {
        *to = *from;
        bits += 8;
    }
    (u64::from_le_bytes(bytes), bits)
}

/// As much of `word` as fits at the beginning of `place`.
fn put(place: &mut [u8], word: u64) {
    for (to, from) in place.iter_mut().zip(word.to_le_bytes()) {
        *to = from;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn samples_of_every_length_are_written_whole_and_tell_their_number() {
        for len in 0..=100 {
            let sequence_number = 0x1122_3344_5566_7788;
            let (mut one, mut other) = (vec![0; len], vec![0xff; len]);
            write(sequence_number, &mut one);
            write(sequence_number, &mut other);
            assert_eq!(one, other, "every byte is written");
            let bits = u32::try_from(len.min(8) * 8).unwrap();
            let mask = if bits == 64 { u64::MAX } else { (1 << bits) - 1 };
            assert_eq!(sequence(&one), (sequence_number & mask, bits));
        }
    }

    #[test]
    fn neighbours_differ_in_number_checksum_and_pattern() {
        let (mut one, mut next) = ([0; 64], [0; 64]);
        write(7, &mut one);
        write(8, &mut next);
        for at in (0..64).step_by(8) {
            assert_ne!(one[at..at + 8], next[at..at + 8], "at {at}");
        }
    }
}
