//! Which rules of the protocol a run has met: what nothing met is not tested.

use std::collections::{BTreeMap, BTreeSet};

use user_ringbuf_sim::proof::second_reading::{End, Reading};

use super::image::Call;

macro_rules! outcomes {
    ($($outcome:ident, $name:literal, $doc:literal;)*) => {
        /// An outcome of a case, which may have several.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
        pub enum Outcome {
            $(#[doc = $doc] $outcome,)*
        }

        impl Outcome {
            /// All of them.
            pub const ALL: &'static [Self] = &[$(Self::$outcome,)*];

            /// Its name in reports.
            #[must_use]
            pub const fn name(self) -> &'static str {
                match self { $(Self::$outcome => $name,)* }
            }
        }
    };
}

outcomes! {
    UnknownFlag, "einval_unknown_flag", "-EINVAL: a flag that the kernel does not know.";
    UnalignedProducer, "einval_unaligned_producer", "-EINVAL: the producer position is not a multiple of 8.";
    BeyondProducer, "einval_beyond_producer", "-EINVAL: a record reaches beyond the producer position.";
    BeyondRing, "e2big_beyond_ring", "-E2BIG: a record is larger than the ring.";
    BeyondDynptr, "e2big_beyond_dynptr", "-E2BIG: a sample is longer than a dynptr may be.";
    ErrorBehindRecords, "error_behind_records", "An error behind records that were consumed.";
    FoundEmpty, "found_empty", "Nothing was there.";
    Emptied, "emptied", "Everything was consumed.";
    ProducerBehind, "producer_behind", "The producer position lies behind the consumer.";
    Held, "held_by_busy", "A busy record holds the ring.";
    Stopped, "stopped_by_callback", "The callback stopped the drain, and something was left.";
    Cap, "stopped_by_cap", "One drain took all the records that it takes.";
    Nested, "ebusy_nested_drain", "-EBUSY for the drain within the drain.";
    Samples, "samples", "Samples were handed over.";
    Discarded, "discarded_skipped", "Discarded records were skipped.";
    BusyDiscarded, "busy_discarded_skipped", "One of them was also busy.";
    Wrapped, "wrapped", "A consumed record passed the end of the data area.";
    Full, "full_ring", "Not a byte was free before.";
    Replayed, "replayed", "The producer was further ahead than the ring is large, and bytes were taken twice.";
    Longest, "longest_sample", "The longest sample that the kernel takes was handed over.";
    Woke, "woke", "Woke, because of records.";
    WakeupSuppressed, "wakeup_suppressed", "Consumed records, but was asked not to wake.";
    NoWakeup, "no_wakeup_without_records", "Consumed nothing and so woke no waiter.";
    WakeupForced, "wakeup_forced", "Consumed nothing, but was asked to wake.";
    Beyond4GiB, "positions_beyond_2_32", "Positions beyond 2^32.";
    Across4GiB, "across_2_32", "The consumer passed a multiple of 2^32.";
    Repaired, "repaired", "Repaired and drained to the end.";
    Produced, "produced", "A producer's program ran.";
}

impl Outcome {
    /// Why fewer than one case in a hundred has it, where that is so.
    #[must_use]
    pub const fn rare(self) -> Option<&'static str> {
        match self {
            Self::Cap => Some("131,072 records take a thousand times as long as others"),
            Self::Longest => Some("16 MiB are copied and compared"),
            _ => None,
        }
    }
}

/// How often each was met.
#[derive(Clone, Debug, Default)]
pub struct Met {
    counts: BTreeMap<Outcome, u64>,
    /// Met by the current case, which counts once for each of its outcomes.
    now: BTreeSet<Outcome>,
}

impl Met {
    /// Notes that the current case has this outcome.
    pub fn add(&mut self, outcome: Outcome) {
        self.now.insert(outcome);
    }

    /// The current case is over.
    pub fn next(&mut self) {
        for outcome in std::mem::take(&mut self.now) {
            *self.counts.entry(outcome).or_default() += 1;
        }
    }

    /// How many cases had this outcome.
    #[must_use]
    pub fn count(&self, outcome: Outcome) -> u64 {
        self.counts.get(&outcome).copied().unwrap_or(0)
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
