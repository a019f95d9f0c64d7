//! What must be the same on both rings: positions, headers, bytes.

use anyhow::{Result, bail};

use super::{Difference, Episode};
use crate::abi::Call;

impl Episode<'_> {
    pub(super) fn compare_positions(&self, after: &str) -> Result<()> {
        let [theirs, ours] = self.sides.each_ref().map(|side| (side.pages.consumer_pos(), side.pages.producer_pos()));
        if theirs != ours {
            bail!(Difference(format!("after {after} the positions are {theirs:?} and {ours:?}")));
        }
        Ok(())
    }

    pub(super) fn compare_header(&self, call: Call, header: u32) -> Result<()> {
        let [theirs, ours] = self.sides.each_ref().map(|side| side.pages.header(header));
        if theirs != ours {
            bail!(Difference(format!("after {call:?} the header is {theirs:#x} and {ours:#x}")));
        }
        Ok(())
    }

    pub(super) fn compare_bytes(&self) -> Result<()> {
        let size = self.sides[0].pages.size();
        // Of the large ring only the beginning and the end are used.
        let len = size.min(1 << 14);
        for from in [0, size - len] {
            let [theirs, ours] = self.sides.each_ref().map(|side| side.pages.bytes(from, len));
            if let Some(at) = theirs.iter().zip(&ours).position(|(one, other)| one != other) {
                let positions = (self.sides[0].pages.consumer_pos(), self.sides[0].pages.producer_pos());
                bail!(Difference(format!(
                    "the rings' bytes differ at {}: {:#x} and {:#x}, at positions {positions:?}",
                    from + at,
                    theirs[at],
                    ours[at]
                )));
            }
        }
        Ok(())
    }
}
