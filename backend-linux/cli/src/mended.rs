//! What a repair does to a ring, in total.

use serde::Serialize;
use user_ringbuf_linux::Repair as Mended;

use crate::report::plural;

/// A repair in total.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub(crate) struct Sum {
    /// Busy records discarded.
    discarded: u64,
    discarded_bytes: u64,
    /// Damaged stretches filled.
    filled: u64,
    filled_bytes: u64,
    /// The discarded records that replace them.
    fillers: u64,
    producer_moved: Option<Moved>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub(crate) struct Moved {
    pub(crate) from: u64,
    pub(crate) to: u64,
}

impl Sum {
    pub(crate) fn add(&mut self, mended: &Mended) {
        match mended {
            Mended::Discarded { record } => {
                self.discarded += 1;
                self.discarded_bytes += u64::from(record.extent());
            }
            Mended::Filled { damage, fillers } => {
                self.filled += 1;
                self.filled_bytes += u64::from(damage.bytes());
                self.fillers += u64::from(*fillers);
            }
            Mended::ProducerMoved { from, to } => {
                self.producer_moved = Some(Moved { from: from.get(), to: to.get() });
            }
            _ => {}
        }
    }

    /// What it would do: a verb and its object.
    pub(crate) fn as_plan(&self) -> String {
        self.sentence(["discard", "fill", "move"])
    }

    /// What was done.
    pub(crate) fn as_done(&self) -> String {
        self.sentence(["discarded", "filled", "moved"])
    }

    fn sentence(&self, [discard, fill, moved]: [&str; 3]) -> String {
        let mut parts = Vec::new();
        if let Some(Moved { from, to }) = self.producer_moved {
            parts.push(format!("{moved} the producer position from {from} to {to}"));
        }
        if self.discarded > 0 {
            let records = plural(self.discarded, "busy record");
            parts.push(format!("{discard} {records} ({} bytes)", self.discarded_bytes));
        }
        if self.filled > 0 {
            let stretches = match self.filled {
                1 => "1 damaged stretch".to_owned(),
                more => format!("{more} damaged stretches"),
            };
            let fillers = plural(self.fillers, "discarded record");
            parts.push(format!("{fill} {stretches} ({} bytes) with {fillers}", self.filled_bytes));
        }
        if parts.is_empty() {
            // The ring may have moved on since it was looked at.
            return "change nothing".to_owned();
        }
        parts.join(", ")
    }
}
