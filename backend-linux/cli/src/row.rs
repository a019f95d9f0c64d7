//! A record as tables and reports show it.

use serde::Serialize;
use user_ringbuf_linux::{Damage, Record, RecordState, RingSize};

/// A record, or a damaged stretch.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub(crate) struct Row {
    pub(crate) position: u64,
    pub(crate) offset: u32,
    /// Length of the sample as its header says.
    pub(crate) len: u32,
    /// Bytes that the record takes.
    pub(crate) bytes: u32,
    pub(crate) state: &'static str,
}

impl Row {
    pub(crate) fn of_record(record: &Record, size: RingSize) -> Self {
        Self {
            position: record.start.get(),
            offset: record.start.offset(size),
            len: record.len,
            bytes: record.extent(),
            state: state_name(record.state),
        }
    }

    pub(crate) fn of_damage(damage: &Damage, size: RingSize) -> Self {
        let len = match damage {
            Damage::BeyondProducer { len, .. } | Damage::TooLong { len, .. } => *len,
            _ => damage.bytes(),
        };
        let start = damage.start();
        let (position, offset) = (start.get(), start.offset(size));
        Self { position, offset, len, bytes: damage.bytes(), state: "damaged" }
    }
}

fn state_name(state: RecordState) -> &'static str {
    match state {
        RecordState::Submitted => "submitted",
        RecordState::Busy => "busy",
        RecordState::Discarded => "discarded",
    }
}
