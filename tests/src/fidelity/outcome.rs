//! Which rules of the protocol a run has met: what nothing met is not tested.

use std::collections::BTreeMap;

use user_ringbuf_sim::proof::second_reading::{End, Reading};

use super::image::Call;

macro_rules! outcomes {
    ($($(#[$doc:meta])* $outcome:ident = $name:literal $(, rare: $rare:literal)?;)*) => {
        /// An outcome of a case, which may have several.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
        pub enum Outcome {
            $($(#[$doc])* $outcome,)*
        }

        impl Outcome {
            /// All of them.
            pub const ALL: &'static [Self] = &[$(Self::$outcome,)*];

            /// Its name in reports.
            #[must_use]
            pub const fn name(self) -> &'static str {
                match self { $(Self::$outcome => $name,)* }
            }

            /// Why fewer than one case in a hundred has it, where that is so.
            #[must_use]
            pub fn rare(self) -> Option<&'static str> {
                let why: &[&str] = match self { $(Self::$outcome => &[$($rare)?],)* };
                why.first().copied()
            }
        }
    };
}

outcomes! {
    /// -EINVAL: a flag that the kernel does not know.
    UnknownFlag = "einval_unknown_flag";
    /// -EINVAL: the producer position is not a multiple of 8.
    UnalignedProducer = "einval_unaligned_producer";
    /// -EINVAL: a record reaches beyond the producer position.
    BeyondProducer = "einval_beyond_producer";
    /// -E2BIG: a record is larger than the ring.
    BeyondRing = "e2big_beyond_ring";
    /// -E2BIG: a sample is longer than a dynptr may be.
    BeyondDynptr = "e2big_beyond_dynptr";
    /// An error behind records that were consumed.
    ErrorBehindRecords = "error_behind_records";
    /// Nothing was there.
    FoundEmpty = "found_empty";
    /// Everything was consumed.
    Emptied = "emptied";
    /// The producer position lies behind the consumer.
    ProducerBehind = "producer_behind";
    /// A busy record holds the ring.
    Held = "held_by_busy";
    /// The callback stopped the drain, and something was left.
    Stopped = "stopped_by_callback";
    /// One drain took all the records that it takes.
    Cap = "stopped_by_cap", rare: "131,072 records take a thousand times as long as others";
    /// -EBUSY for the drain within the drain.
    Nested = "ebusy_nested_drain";
    /// Samples were handed over.
    Samples = "samples";
    /// Discarded records were skipped.
    Discarded = "discarded_skipped";
    /// One of them was also busy.
    BusyDiscarded = "busy_discarded_skipped";
    /// A consumed record passed the end of the data area.
    Wrapped = "wrapped";
    /// Not a byte was free before.
    Full = "full_ring";
    /// The producer was further ahead than the ring is large, and bytes were taken twice.
    Replayed = "replayed";
    /// The longest sample that the kernel takes was handed over.
    Longest = "longest_sample", rare: "16 MiB are copied and compared";
    /// Woke, because of records.
    Woke = "woke";
    /// Consumed records, but was asked not to wake.
    WakeupSuppressed = "wakeup_suppressed";
    /// Consumed nothing and so woke no waiter.
    NoWakeup = "no_wakeup_without_records";
    /// Consumed nothing, but was asked to wake.
    WakeupForced = "wakeup_forced";
    /// Positions beyond 2^32.
    Beyond4GiB = "positions_beyond_2_32";
    /// The consumer passed a multiple of 2^32.
    Across4GiB = "across_2_32";
    /// Repaired and drained to the end.
    Repaired = "repaired";
    /// A producer's program ran.
    Produced = "produced";
}

/// How often each was met.
#[derive(Clone, Debug, Default)]
pub struct Met {
    counts: Vec<u64>,
    /// Met by the current case.
    now: u64,
}

impl Met {
    /// Notes that the current case has this outcome.
    pub fn add(&mut self, outcome: Outcome) {
        let index = Outcome::ALL.binary_search(&outcome).unwrap_or(0);
        self.now |= 1 << index;
    }

    /// The current case is over.
    pub fn next(&mut self) {
        self.counts.resize(Outcome::ALL.len(), 0);
        for (index, count) in self.counts.iter_mut().enumerate() {
            *count += self.now >> index & 1;
        }
        self.now = 0;
    }

    /// How many cases had this outcome.
    #[must_use]
    pub fn count(&self, outcome: Outcome) -> u64 {
        let index = Outcome::ALL.binary_search(&outcome).unwrap_or(0);
        self.counts.get(index).copied().unwrap_or(0)
    }

    /// All counts, by name.
    #[must_use]
    pub fn by_name(&self) -> BTreeMap<&'static str, u64> {
        Outcome::ALL.iter().map(|outcome| (outcome.name(), self.count(*outcome))).collect()
    }

    /// Notes the outcomes of a drain of a ring of `size` bytes, with the positions at `consumer` and `producer` before.
    ///
    /// # Errors
    /// If the consumer position is not a multiple of 8: nothing can be compared on such a ring.
    pub fn add_drain(
        &mut self,
        size: u32,
        consumer: u64,
        producer: u64,
        call: &Call,
        reading: &Reading,
    ) -> anyhow::Result<()> {
        let consumed = reading.samples + reading.discarded > 0;
        self.add(match reading.end {
            End::UnknownFlag => Outcome::UnknownFlag,
            End::UnalignedProducer => Outcome::UnalignedProducer,
            End::UnalignedConsumer => anyhow::bail!("the consumer is at {consumer}, where no kernel puts one"),
            End::BeyondProducer => Outcome::BeyondProducer,
            End::BeyondRing => Outcome::BeyondRing,
            End::BeyondDynptr => Outcome::BeyondDynptr,
            End::Empty if consumed => Outcome::Emptied,
            End::Empty => Outcome::FoundEmpty,
            End::ProducerBehind => Outcome::ProducerBehind,
            End::Busy => Outcome::Held,
            End::Stopped if reading.consumer == producer => Outcome::Emptied,
            End::Stopped => Outcome::Stopped,
            End::Cap => Outcome::Cap,
        });
        let ahead = producer.wrapping_sub(consumer);
        let moved = reading.consumer.wrapping_sub(consumer);
        for (met, outcome) in [
            (consumed && reading.returned < 0, Outcome::ErrorBehindRecords),
            (call.nested && reading.samples > 0, Outcome::Nested),
            (reading.samples > 0, Outcome::Samples),
            (reading.discarded > 0, Outcome::Discarded),
            (reading.busy_discarded > 0, Outcome::BusyDiscarded),
            (reading.wrapped > 0, Outcome::Wrapped),
            (ahead == u64::from(size), Outcome::Full),
            (moved > u64::from(size), Outcome::Replayed),
            (reading.wakes && consumed, Outcome::Woke),
            (call.flags == 1 && consumed, Outcome::WakeupSuppressed),
            (call.flags == 0 && !consumed, Outcome::NoWakeup),
            (reading.wakes && !consumed, Outcome::WakeupForced),
            (consumer >> 32 > 0, Outcome::Beyond4GiB),
            (consumer >> 32 != reading.consumer >> 32, Outcome::Across4GiB),
        ] {
            if met {
                self.add(outcome);
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_case_counts_once_for_each_of_its_outcomes() {
        let mut met = Met::default();
        for _ in 0..3 {
            met.add(Outcome::Samples);
            met.add(Outcome::Samples);
            met.add(Outcome::Produced);
            met.next();
        }
        met.next();
        assert_eq!([Outcome::Samples, Outcome::Produced, Outcome::Cap].map(|outcome| met.count(outcome)), [3, 3, 0]);
        assert_eq!(met.by_name().len(), Outcome::ALL.len());
    }
}
