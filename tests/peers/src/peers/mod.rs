//! Those who do the work: ours, and what anyone would use instead.

pub(crate) mod capi;
pub(crate) mod floor;
pub(crate) mod floor_of_calls;
pub(crate) mod libbpf;
pub(crate) mod ours;
