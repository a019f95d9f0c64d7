//! libbpf-rs, the safe wrapper around libbpf.

use anyhow::Result;
use libbpf_rs::{MapHandle, UserRingBuffer};
use user_ringbuf_linux::Map;

use crate::rounds::Contender;

/// libbpf-rs as a contender.
pub(crate) struct LibbpfRs<F> {
    ring: UserRingBuffer,
    work: F,
}

impl<F: FnMut(&UserRingBuffer, u64, u64) -> libbpf_rs::Result<()>> LibbpfRs<F> {
    /// `work` publishes samples: the first number, and how many.
    pub(crate) fn new(map: &Map, work: F) -> Result<Self> {
        let handle = MapHandle::from_map_id(map.id())?;
        Ok(Self { ring: UserRingBuffer::new(&handle)?, work })
    }
}

impl<F: FnMut(&UserRingBuffer, u64, u64) -> libbpf_rs::Result<()>> Contender for LibbpfRs<F> {
    fn name(&self) -> &'static str {
        "libbpf-rs"
    }

    fn begin(&mut self) -> Result<()> {
        // It loads both positions each time.
        Ok(())
    }

    fn burst(&mut self, first: u64, count: u64) -> Result<()> {
        Ok((self.work)(&self.ring, first, count)?)
    }
}
