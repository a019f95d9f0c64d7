//! Faults that can be planted in the fake kernel, to show that a comparison with the real kernel notices them.

use core::fmt;
use core::str::FromStr;

macro_rules! faults {
    ($($(#[$doc:meta])* $fault:ident = $name:literal;)*) => {
        /// A way in which the fake kernel can be made to differ from the real one.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
        #[non_exhaustive]
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
        }
    };
}

faults! {
    /// Looks whether a record is too big before it looks whether it reaches beyond the producer position.
    ChecksReordered = "checks-reordered";
    /// Stops at a record that is busy and discarded, instead of skipping it.
    BusyBeforeDiscard = "busy-before-discard";
    /// Takes samples of 2^24 bytes, one more than the kernel.
    SampleLimit = "sample-limit";
    /// Takes twice as many records in one drain. Not any number: a wild producer position would then keep the drain busy
    /// forever, and a comparison would hang instead of finding it.
    CapTooLarge = "cap-too-large";
    /// Counts eight bytes too many for a sample whose length is a multiple of 8.
    Rounding = "rounding";
    /// Puts the consumer position back to where the drain began if it ends with an error.
    ConsumerKeptOnError = "consumer-kept-on-error";
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
    use super::*;

    #[test]
    fn every_fault_is_found_by_its_name_and_another_name_is_an_error_that_lists_them() {
        for fault in Fault::ALL {
            assert_eq!(fault.name().parse(), Ok(*fault));
        }
        let unknown = "no-cap".parse::<Fault>().unwrap_err();
        assert_eq!(unknown.name, "no-cap");
        assert!(unknown.to_string().contains("cap-too-large, rounding"), "{unknown}");
    }
}
