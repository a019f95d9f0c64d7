//! Faults that can be planted in the fake kernel, to show that a comparison with the real kernel notices them. Each
//! overrides one of the kernel's [`Rules`].

use core::fmt;
use core::str::FromStr;

use user_ringbuf_core::kernel::MAX_RECORDS_PER_DRAIN;
use user_ringbuf_core::{BUSY_BIT, Header, KernelError, MAX_SAMPLE_LEN, RecordState, record_extent};

use crate::kernel::{FakeKernel, KernelRules, Length, Rules};
use crate::memory::KernelMemory;

macro_rules! faults {
    ($($(#[$doc:meta])* $fault:ident = $name:literal { $($rule:tt)* })*) => {
        /// A way in which the fake kernel can be made to differ from the real one.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
        pub enum Fault {
            $($(#[$doc])* $fault,)*
        }

        impl Fault {
            /// Every fault.
            pub const ALL: &'static [Fault] = &[$(Fault::$fault),*];

            /// The fault's name on a command line and in reports.
            pub const fn name(self) -> &'static str {
                match self { $(Fault::$fault => $name,)* }
            }

            /// The kernel's rules, one of them wrong.
            pub fn rules(self) -> &'static dyn Rules {
                match self {
                    $(Fault::$fault => {
                        #[derive(Debug)]
                        struct Planted;
                        impl Rules for Planted { $($rule)* }
                        &Planted
                    })*
                }
            }
        }
    };
}

faults! {
    /// Checks whether a record is too big before it checks whether it reaches beyond the producer position.
    ChecksReordered = "checks-reordered" {
        fn check(&self, length: Length) -> Result<(), KernelError> {
            if length.too_big { Err(KernelError::TooBig) } else { KernelRules.check(length) }
        }
    }
    /// Stops at a record that is busy and discarded, instead of skipping it.
    BusyBeforeDiscard = "busy-before-discard" {
        fn state(&self, header: Header) -> RecordState {
            if header.word() & BUSY_BIT != 0 { RecordState::Busy } else { header.state() }
        }
    }
    /// Takes samples of 2^24 bytes, one more than the kernel.
    SampleLimit = "sample-limit" {
        fn longest_sample(&self) -> u32 {
            MAX_SAMPLE_LEN + 1
        }
    }
    /// Takes twice as many records in one drain. Not any number: a wild producer position would then keep the drain busy
    /// forever, and a comparison would hang instead of finding it.
    CapTooLarge = "cap-too-large" {
        fn most_records(&self) -> u32 {
            2 * MAX_RECORDS_PER_DRAIN
        }
    }
    /// Counts eight bytes too many for a sample whose length is a multiple of 8.
    Rounding = "rounding" {
        fn extent(&self, len: u32) -> u32 {
            record_extent(len) + if len % 8 == 0 { 8 } else { 0 }
        }
    }
    /// Puts the consumer position back to where the drain began if it ends with an error.
    ConsumerKeptOnError = "consumer-kept-on-error" {
        fn back_on_error(&self, consumer: &dyn Fn() -> u64) -> Option<u64> {
            Some(consumer())
        }
    }
}

impl<M: KernelMemory> FakeKernel<M, dyn Rules> {
    /// A kernel with a planted fault, or with none.
    ///
    /// ```compile_fail,E0133
    /// # use user_ringbuf_sim::{FakeKernel, SimMemory, proof::Fault};
    /// # fn show(memory: &SimMemory) {
    /// let kernel = FakeKernel::with_fault(memory, Some(Fault::Rounding));
    /// # }
    /// ```
    ///
    /// # Safety
    /// A faulty kernel may move the consumer behind busy records, whose bytes are then handed out once more: no sample of
    /// this ring is used as a slice. That is always so for [`Unsliced`](crate::Unsliced) memory.
    #[expect(unsafe_code, reason = "may give a sample's bytes away")]
    pub unsafe fn with_fault(memory: M, fault: Option<Fault>) -> Self {
        Self::with_rules(memory, fault.map_or(&KernelRules, Fault::rules))
    }
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// A name that no [`Fault`] has.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct UnknownFault {
    /// The name as given.
    pub name: String,
}

impl fmt::Display for UnknownFault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "no fault is named {:?}; there are", self.name)?;
        for (i, fault) in Fault::ALL.iter().enumerate() {
            write!(f, "{} {fault}", if i == 0 { "" } else { "," })?;
        }
        Ok(())
    }
}

impl core::error::Error for UnknownFault {}

impl FromStr for Fault {
    type Err = UnknownFault;

    /// The fault of this [`name`](Self::name).
    fn from_str(name: &str) -> Result<Self, UnknownFault> {
        let found = Self::ALL.iter().copied().find(|fault| fault.name() == name);
        found.ok_or_else(|| UnknownFault { name: name.to_owned() })
    }
}

#[cfg(test)]
mod tests {
    use std::ops::ControlFlow;

    use super::*;
    use crate::kernel::tests::{BUSY, Bytes, DISCARD, never_panics};

    #[expect(unsafe_code, reason = "plants faults")]
    fn faulty(ring: Bytes, fault: Option<Fault>) -> FakeKernel<Bytes, dyn Rules> {
        // SAFETY: there are no samples of this memory.
        unsafe { FakeKernel::with_fault(ring, fault) }
    }

    #[test]
    fn every_fault_is_found_by_its_name_and_another_name_is_an_error_that_lists_them() {
        for fault in Fault::ALL {
            assert_eq!(fault.name().parse(), Ok(*fault));
        }
        let unknown = "no-cap".parse::<Fault>().unwrap_err();
        assert_eq!(unknown.name, "no-cap");
        assert!(unknown.to_string().contains("cap-too-large, rounding"), "{unknown}");
    }

    #[test]
    fn every_planted_fault_shows_in_a_result() {
        let too_big_and_beyond = || {
            let ring = Bytes::with_records(64, 0, &[0]);
            ring.set_header(0, Header::submitted(100));
            ring
        };
        let dynptr_limit = || {
            let ring = Bytes::new(1 << 25);
            ring.set_header(0, Header::submitted(1 << 24));
            ring.producer.set((1 << 24) + 8);
            ring
        };
        let many = || {
            let ring = Bytes::new(2 << 20);
            ring.producer.set(2 << 20);
            ring
        };
        let error_behind_sample = || {
            let ring = Bytes::with_records(64, 0, &[0, 0]);
            ring.set_header(8, Header::submitted(8));
            ring
        };
        for fault in Fault::ALL {
            let ring: &dyn Fn() -> Bytes = match fault {
                Fault::ChecksReordered => &too_big_and_beyond,
                Fault::BusyBeforeDiscard => &|| Bytes::with_records(64, 0, &[BUSY | DISCARD]),
                Fault::SampleLimit => &dynptr_limit,
                Fault::CapTooLarge => &many,
                Fault::Rounding => &|| Bytes::with_records(64, 0, &[8]),
                Fault::ConsumerKeptOnError => &error_behind_sample,
            };
            let results = [None, Some(*fault)].map(|fault| {
                let kernel = faulty(ring(), fault);
                (kernel.drain(0, |_| ControlFlow::Continue(())), kernel.memory().consumer.get())
            });
            assert_ne!(results[0], results[1], "{fault}");
        }
    }

    #[test]
    fn no_fault_makes_a_drain_panic_or_read_outside() {
        for fault in Fault::ALL {
            never_panics(|ring| faulty(ring, Some(*fault)));
        }
    }
}
