//! The seam between the protocol and what carries it: what a backend supplies, the ordering of every atomic access, the
//! claim on a ring, and what the kernel takes and returns.

#[expect(unsafe_code, reason = "gives its own claim back")]
pub(crate) mod claim;
#[expect(unsafe_code, reason = "passes promises on")]
pub(crate) mod forward;
pub mod kernel;
#[expect(unsafe_code, reason = "the contract of the seam")]
pub(crate) mod memory;
pub(crate) mod role;
