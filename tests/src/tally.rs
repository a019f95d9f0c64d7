//! What arrived, against what was sent: lost, duplicated, torn, out of order.

use std::collections::BTreeSet;
use std::ops::AddAssign;

use serde::Serialize;

use user_ringbuf_kit::stamp::Stamp;

/// What became of all samples. All zero except `samples` if the ring kept its promises.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Counts {
    /// Samples sent.
    pub samples: u64,
    /// Sent and never seen.
    pub lost: u64,
    /// Seen more than once, or never sent.
    pub duplicated: u64,
    /// Seen with wrong bytes.
    pub torn: u64,
    /// Seen after a later one of the same producer.
    pub out_of_order: u64,
}

impl Counts {
    /// Whether everything arrived once, whole, and in order.
    #[must_use]
    pub fn is_clean(&self) -> bool {
        *self == Self { samples: self.samples, ..Self::default() }
    }
}

impl AddAssign for Counts {
    fn add_assign(&mut self, more: Self) {
        let Self { samples, lost, duplicated, torn, out_of_order } = more;
        self.samples += samples;
        self.lost += lost;
        self.duplicated += duplicated;
        self.torn += torn;
        self.out_of_order += out_of_order;
    }
}

/// One producer's samples as they arrive.
#[derive(Debug, Default)]
struct Seen {
    /// One more than the highest sequence seen.
    next: u64,
    /// Below `next` and not seen yet.
    missing: BTreeSet<u64>,
}

/// Counts samples as they arrive from several producers, each of which numbers its own from 0 on.
#[derive(Debug)]
pub struct Tally {
    seen: Vec<Seen>,
    counts: Counts,
    first_wrong: Option<String>,
}

impl Tally {
    /// Nothing has arrived yet from `producers` producers, numbered from 0.
    #[must_use]
    pub fn new(producers: usize) -> Self {
        Self { seen: (0..producers).map(|_| Seen::default()).collect(), counts: Counts::default(), first_wrong: None }
    }

    /// Checks one sample.
    pub fn note(&mut self, sample: &[u8]) {
        let stamp = match Stamp::read(sample) {
            Ok(stamp) => stamp,
            Err(torn) => {
                self.counts.torn += 1;
                self.tell(|| torn);
                return;
            }
        };
        let producer = usize::try_from(stamp.producer).unwrap_or(usize::MAX);
        let Some(seen) = self.seen.get_mut(producer) else {
            self.counts.duplicated += 1;
            self.tell(|| format!("no such producer: {stamp:?}"));
            return;
        };
        if stamp.sequence == seen.next {
            seen.next += 1;
        } else if stamp.sequence > seen.next {
            let expected = std::mem::replace(&mut seen.next, stamp.sequence.saturating_add(1));
            seen.missing.extend(expected..stamp.sequence);
            self.tell(|| format!("{stamp:?} came where {expected} was due"));
        } else if seen.missing.remove(&stamp.sequence) {
            self.counts.out_of_order += 1;
        } else {
            self.counts.duplicated += 1;
            self.tell(|| format!("{stamp:?} came twice"));
        }
    }

    /// Samples that arrived whole so far, each once.
    #[must_use]
    pub fn arrived(&self) -> u64 {
        self.seen.iter().map(|seen| seen.next - u64::try_from(seen.missing.len()).unwrap_or(0)).sum()
    }

    /// Whether this sample arrived.
    #[must_use]
    pub fn has(&self, stamp: Stamp) -> bool {
        let seen = self.seen.get(stamp.producer as usize);
        seen.is_some_and(|seen| stamp.sequence < seen.next && !seen.missing.contains(&stamp.sequence))
    }

    /// The samples that did not arrive although a later one of the same producer did.
    #[must_use]
    pub fn passed_over(&self) -> Vec<Stamp> {
        let stamps = |(producer, seen): (u32, &Seen)| {
            seen.missing.iter().map(|sequence| Stamp { producer, sequence: *sequence }).collect::<Vec<_>>()
        };
        (0..).zip(&self.seen).flat_map(stamps).collect()
    }

    /// What was wrong with what arrived so far.
    #[must_use]
    pub fn wrong(&self) -> Counts {
        self.counts
    }

    /// The first fault, in words.
    #[must_use]
    pub fn first_wrong(&self) -> Option<&str> {
        self.first_wrong.as_deref()
    }

    /// The counts, given how many samples each producer sent.
    #[must_use]
    pub fn counts(&self, sent: &[u64]) -> Counts {
        let mut counts = self.counts;
        for (seen, sent) in self.seen.iter().zip(sent) {
            counts.samples += sent;
            counts.lost += u64::try_from(seen.missing.len()).unwrap_or(u64::MAX) + sent.saturating_sub(seen.next);
            // More than were ever sent.
            counts.duplicated += seen.next.saturating_sub(*sent);
        }
        counts
    }

    fn tell(&mut self, what: impl FnOnce() -> String) {
        self.first_wrong.get_or_insert_with(what);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_way_in_which_samples_go_wrong_is_counted_as_what_it_is() {
        let clean = Counts::default();
        for (name, arrived, sent, expected) in [
            (
                "in each producer's order",
                &[(0, 0), (1, 0), (1, 1), (0, 1)][..],
                &[2, 2][..],
                Counts { samples: 4, ..clean },
            ),
            ("missing, within and at the end", &[(0, 0), (0, 2)], &[5], Counts { samples: 5, lost: 3, ..clean }),
            ("late", &[(0, 1), (0, 0), (0, 2)], &[3], Counts { samples: 3, out_of_order: 1, ..clean }),
            ("twice", &[(0, 0), (0, 0)], &[1], Counts { samples: 1, duplicated: 1, ..clean }),
            ("never sent", &[(0, 0), (0, 1)], &[1], Counts { samples: 1, duplicated: 1, ..clean }),
            ("of no producer", &[(0, 0), (7, 0)], &[1], Counts { samples: 1, duplicated: 1, ..clean }),
        ] {
            let mut tally = Tally::new(sent.len());
            for (producer, sequence) in arrived {
                tally.note(&Stamp { producer: *producer, sequence: *sequence }.sample(32));
            }
            assert_eq!(tally.counts(sent), expected, "{name}");
            assert_eq!(expected.is_clean(), name == "in each producer's order");
        }
    }

    #[test]
    fn wrong_bytes_are_torn_and_the_first_wrong_thing_is_told() {
        let mut tally = Tally::new(1);
        let sample = Stamp { producer: 0, sequence: 0 }.sample(32);
        let mut torn = sample.clone();
        torn[20] ^= 1;
        [&torn, &sample, &sample].into_iter().for_each(|sample| tally.note(sample));
        assert_eq!(tally.counts(&[1]), Counts { samples: 1, torn: 1, duplicated: 1, ..Counts::default() });
        assert!(tally.first_wrong().unwrap().contains("checksum"));
        assert_eq!(tally.arrived(), 1);
    }
}
