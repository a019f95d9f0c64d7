//! Faults that can be planted in the fake kernel, to show that a comparison with the real kernel notices them. Each
//! overrides one of the kernel's [`Rules`].

use core::fmt;

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
