//! What the kernel saw, compared with what was published.

use super::stamp;
use crate::report::Verdict;

/// Counts over a whole run.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Counts {
    /// Samples that the kernel handed to its program.
    pub(super) drained: u64,
    /// Samples that were published and never arrived.
    pub(super) lost: u64,
    /// Samples that are intact and arrived out of their order.
    pub(super) out_of_order: u64,
    /// Samples whose bytes or length are not those of any that was published.
    pub(super) corrupt: u64,
}

impl Counts {
    pub(super) fn all_good(&self) -> bool {
        *self == Self { drained: self.drained, ..Self::default() }
    }

    pub(super) fn verdict(&self) -> Verdict {
        if self.all_good() {
            return Verdict::Good;
        }
        let Self { lost, out_of_order, corrupt, .. } = self;
        Verdict::Bad(format!(
            "the kernel did not see what was published: {lost} lost, {out_of_order} out of order, {corrupt} corrupt"
        ))
    }
}

/// Compares the samples that arrive with the round that was published: `count` samples from number `first` on.
#[derive(Debug)]
pub(super) struct Check {
    counts: Counts,
    first: u64,
    count: u64,
    /// The number that should come next.
    next: u64,
    /// Whether each sample of the round has arrived; empty as long as all arrived in order.
    seen: Vec<bool>,
    corrupt_in_round: u64,
    arrived: u64,
    expected: Vec<u8>,
}

impl Check {
    /// For samples of `len` bytes.
    pub(super) fn new(len: usize) -> Self {
        Self {
            counts: Counts::default(),
            first: 0,
            count: 0,
            next: 0,
            seen: Vec::new(),
            corrupt_in_round: 0,
            arrived: 0,
            expected: vec![0; len],
        }
    }

    /// A round was published.
    pub(super) fn begin(&mut self, first: u64, count: u64) {
        (self.first, self.count, self.next) = (first, count, first);
        (self.corrupt_in_round, self.arrived) = (0, 0);
        self.seen.clear();
    }

    /// A sample arrived.
    pub(super) fn sample(&mut self, sample: &[u8]) {
        self.counts.drained += 1;
        self.arrived += 1;
        if self.seen.is_empty() && self.next < self.first + self.count && self.is_intact(self.next, sample) {
            self.next += 1;
        } else {
            self.look_closer(sample);
        }
    }

    /// The round is over. Of empty samples only the count is compared.
    pub(super) fn end(&mut self) {
        let came = if self.seen.is_empty() {
            self.next - self.first
        } else {
            self.seen.iter().map(|seen| u64::from(*seen)).sum()
        };
        // A corrupt sample stands for one that arrived, though it can't be known which.
        self.counts.lost += self.count.saturating_sub(came + self.corrupt_in_round);
    }

    pub(super) fn counts(&self) -> Counts {
        self.counts
    }

    /// Samples of this round that have arrived so far.
    pub(super) fn arrived(&self) -> u64 {
        self.arrived
    }

    #[cold]
    fn look_closer(&mut self, sample: &[u8]) {
        if self.seen.is_empty() {
            let in_order = self.next - self.first;
            self.seen = (0..self.count).map(|index| index < in_order).collect();
        }
        let number = self.claimed(sample);
        if !self.is_intact(number, sample) {
            self.counts.corrupt += 1;
            self.corrupt_in_round += 1;
            // It is probably the one whose turn it was.
            self.next += 1;
            return;
        }
        if number != self.next {
            self.counts.out_of_order += 1;
        }
        self.next = number.wrapping_add(1);
        let index = usize::try_from(number.wrapping_sub(self.first)).unwrap_or(usize::MAX);
        if let Some(seen) = self.seen.get_mut(index) {
            *seen = true;
        }
    }

    /// The number that a sample carries. If it has only some of the bits: the next number in the round with these bits, or
    /// the one before if that lies beyond the round.
    fn claimed(&self, sample: &[u8]) -> u64 {
        let (number, bits) = stamp::sequence(sample);
        if bits == u64::BITS {
            return number;
        }
        let lap = 1_u64 << bits;
        let ahead = number.wrapping_sub(self.next) & (lap - 1);
        let next = self.next.wrapping_add(ahead);
        if next < self.first + self.count { next } else { next.wrapping_sub(lap) }
    }

    fn is_intact(&mut self, number: u64, sample: &[u8]) -> bool {
        stamp::write(number, &mut self.expected);
        sample == self.expected
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Runs one round of 10 samples from number 1000 on, of which those arrive that `arrive` leaves.
    fn round(len: usize, arrive: impl FnOnce(&mut Vec<Vec<u8>>)) -> Counts {
        let mut samples: Vec<Vec<u8>> = (1000..1010)
            .map(|number| {
                let mut sample = vec![0; len];
                stamp::write(number, &mut sample);
                sample
            })
            .collect();
        arrive(&mut samples);
        let mut check = Check::new(len);
        check.begin(1000, 10);
        for sample in &samples {
            check.sample(sample);
        }
        assert_eq!(check.arrived(), u64::try_from(samples.len()).unwrap());
        check.end();
        check.counts()
    }

    fn counts(drained: u64, lost: u64, out_of_order: u64, corrupt: u64) -> Counts {
        Counts { drained, lost, out_of_order, corrupt }
    }

    #[test]
    fn all_in_order_is_good_at_every_length() {
        for len in 0..50 {
            let counts = round(len, |_| {});
            assert_eq!(counts, Counts { drained: 10, ..Counts::default() });
            assert!(counts.all_good());
        }
    }

    #[test]
    fn a_missing_sample_is_lost_and_the_gap_is_out_of_order() {
        for len in [1, 2, 8, 16, 40] {
            assert_eq!(round(len, |samples| drop(samples.remove(4))), counts(9, 1, 1, 0), "{len}");
            assert_eq!(round(len, |samples| drop(samples.pop())), counts(9, 1, 0, 0), "{len}");
            assert_eq!(round(len, Vec::clear), counts(0, 10, 0, 0), "{len}");
        }
        assert_eq!(round(0, |samples| drop(samples.pop())), counts(9, 1, 0, 0));
    }

    #[test]
    fn exchanged_and_repeated_samples_are_out_of_order_and_not_lost() {
        for len in [1, 7, 8, 40] {
            assert_eq!(round(len, |samples| samples.swap(3, 4)), counts(10, 0, 3, 0), "{len}");
            let counts = round(len, |samples| samples.push(samples[9].clone()));
            assert_eq!((counts.drained, counts.lost, counts.out_of_order), (11, 0, 1), "{len}");
            assert!(!counts.all_good());
        }
    }

    #[test]
    fn any_changed_byte_and_any_other_length_is_corrupt() {
        for at in 0..40 {
            assert_eq!(round(40, |samples| samples[5][at] ^= 0x10), counts(10, 0, 0, 1), "byte {at}");
        }
        for len in [0, 8, 40] {
            assert_eq!(round(len, |samples| samples[5].push(0)), counts(10, 0, 0, 1), "{len}");
        }
        assert_eq!(round(40, |samples| samples[9].truncate(39)), counts(10, 0, 0, 1));
    }

    #[test]
    fn a_sample_of_an_earlier_round_is_out_of_order() {
        let mut stale = vec![0; 40];
        stamp::write(999, &mut stale);
        assert_eq!(round(40, |samples| samples[0] = stale), counts(10, 1, 2, 0));
    }
}
