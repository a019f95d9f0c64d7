//! Those who do the work: ours, and what anyone would use instead.

pub(crate) mod capi;
pub(crate) mod floor;
pub(crate) mod libbpf;
pub(crate) mod libbpf_rs;
pub(crate) mod ours;
