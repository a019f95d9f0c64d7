//! Samples that tell which producer sent them, with which sequence number, and whether every byte arrived.
//!
//! A stamped sample, native endian: `u32` producer, `u32` length, `u64` sequence, filler that follows from those three,
//! and in the last eight bytes a checksum of all before them. Any two samples differ in every word, so bytes of another
//! lap or of another producer's sample fail the check.

/// The shortest stamped sample, in bytes: producer, length, sequence, checksum.
pub const MIN_LEN: usize = 24;

const FILLER: usize = 16;
const CHECKSUM: usize = 8;

/// Which producer sent a sample, and which of its samples it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Stamp {
    /// The producer's number.
    pub producer: u32,
    /// The sample's number within its producer, from 0.
    pub sequence: u64,
}

impl Stamp {
    /// A length for this sample, from [`MIN_LEN`] to `longest` (at least `MIN_LEN`), which varies from one to the next.
    #[must_use]
    pub fn len(self, longest: usize) -> usize {
        let span = u64::try_from(longest.saturating_sub(MIN_LEN)).unwrap_or(u64::MAX).saturating_add(1);
        let beyond = mix(self.seed(0)) % span;
        usize::try_from(beyond).map_or(MIN_LEN, |beyond| MIN_LEN + beyond)
    }

    /// Fills a sample of at least [`MIN_LEN`] bytes. A shorter one gets the stamp's beginning only, and is torn.
    pub fn write(self, sample: &mut [u8]) {
        let len = u32::try_from(sample.len()).unwrap_or(u32::MAX);
        let (body, checksum) = sample.split_at_mut(sample.len().saturating_sub(CHECKSUM));
        for (word, at) in body.chunks_mut(8).zip((0..).step_by(8)) {
            word.copy_from_slice(&self.word(at, len)[..word.len()]);
        }
        let sum = checksum_of(body).to_ne_bytes();
        checksum.copy_from_slice(&sum[..checksum.len()]);
    }

    /// A sample of `len` bytes, at least [`MIN_LEN`].
    #[must_use]
    pub fn sample(self, len: usize) -> Vec<u8> {
        let mut sample = vec![0; len];
        self.write(&mut sample);
        sample
    }

    /// Reads a sample and checks all its bytes.
    ///
    /// # Errors
    /// What is wrong with them, in words.
    pub fn read(sample: &[u8]) -> Result<Self, String> {
        let found = sample.len();
        let (Some(claimed), Some((body, checksum))) =
            (Self::claimed(sample), sample.split_last_chunk().filter(|_| found >= MIN_LEN))
        else {
            return Err(format!("{found} bytes are no sample"));
        };
        let (stamp, stamped) = claimed;
        if usize::try_from(stamped) != Ok(found) {
            return Err(format!("{found} bytes arrived of a sample of {stamped}"));
        }
        if checksum_of(body) != u64::from_ne_bytes(*checksum) {
            return Err(format!("the checksum of {stamp:?} is wrong"));
        }
        for (word, at) in body.chunks(8).zip((0..).step_by(8)) {
            if word != &stamp.word(at, stamped)[..word.len()] {
                return Err(format!("byte {at} of {stamp:?} is wrong"));
            }
        }
        Ok(stamp)
    }

    /// The stamp and the length that a sample claims.
    fn claimed(sample: &[u8]) -> Option<(Self, u32)> {
        let (producer, rest) = sample.split_first_chunk()?;
        let (len, rest) = rest.split_first_chunk()?;
        let (sequence, _) = rest.split_first_chunk()?;
        let stamp = Self { producer: u32::from_ne_bytes(*producer), sequence: u64::from_ne_bytes(*sequence) };
        Some((stamp, u32::from_ne_bytes(*len)))
    }

    /// The word at byte `at` of a sample of `len` bytes, its checksum apart.
    fn word(self, at: usize, len: u32) -> [u8; 8] {
        match at {
            0 => {
                let mut word = [0; 8];
                word[..4].copy_from_slice(&self.producer.to_ne_bytes());
                word[4..].copy_from_slice(&len.to_ne_bytes());
                word
            }
            8 => self.sequence.to_ne_bytes(),
            _ => mix(self.seed(at - FILLER + 8)).to_ne_bytes(),
        }
    }

    fn seed(self, at: usize) -> u64 {
        let at = u64::try_from(at).unwrap_or(u64::MAX);
        self.sequence.wrapping_mul(0x9e37_79b9_7f4a_7c15) ^ (u64::from(self.producer) << 40) ^ at
    }
}

/// The finalizer of splitmix64: every bit of the input reaches every bit of the output.
fn mix(value: u64) -> u64 {
    let value = (value ^ (value >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let value = (value ^ (value >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    value ^ (value >> 31)
}

fn checksum_of(bytes: &[u8]) -> u64 {
    bytes.chunks(8).fold(0x6c62_272e_07bb_0142, |sum: u64, chunk| {
        let mut word = [0; 8];
        word[..chunk.len()].copy_from_slice(chunk);
        (sum.rotate_left(5) ^ u64::from_ne_bytes(word)).wrapping_mul(0x0000_0100_0000_01b3)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    const STAMP: Stamp = Stamp { producer: 3, sequence: 77 };

    #[test]
    fn a_sample_tells_its_stamp_at_any_length() {
        for len in MIN_LEN..200 {
            assert_eq!(Stamp::read(&STAMP.sample(len)), Ok(STAMP));
        }
    }

    #[test]
    fn any_changed_missing_or_additional_byte_is_noticed() {
        let sample = STAMP.sample(61);
        for at in 0..sample.len() {
            let mut torn = sample.clone();
            torn[at] ^= 0x10;
            assert!(Stamp::read(&torn).is_err(), "byte {at}");
            assert!(Stamp::read(&sample[..at]).unwrap_err().contains(" bytes "), "{at} bytes");
        }
        let longer = [&sample[..], &[0; 8]].concat();
        assert_eq!(Stamp::read(&longer).unwrap_err(), "69 bytes arrived of a sample of 61");
    }

    #[test]
    fn the_filler_of_another_sample_is_noticed_even_under_a_right_checksum() {
        let other = Stamp { sequence: 78, ..STAMP }.sample(64);
        let mut sample = STAMP.sample(64);
        sample[32..40].copy_from_slice(&other[32..40]);
        let sum = checksum_of(&sample[..56]);
        sample[56..].copy_from_slice(&sum.to_ne_bytes());
        assert_eq!(Stamp::read(&sample), Err(format!("byte 32 of {STAMP:?} is wrong")));
    }

    #[test]
    fn lengths_vary_between_the_shortest_and_the_longest() {
        let lengths: Vec<usize> = (0..1000).map(|sequence| Stamp { producer: 0, sequence }.len(40)).collect();
        assert!((MIN_LEN..=40).all(|len| lengths.contains(&len)));
        assert_eq!(lengths.iter().max(), Some(&40));
        assert_eq!(STAMP.len(MIN_LEN), MIN_LEN);
        assert_eq!(STAMP.len(0), MIN_LEN);
    }
}
