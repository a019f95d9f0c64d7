//! The ring under loom.
mod access;
mod memory;
pub mod models;
mod orderings;

pub use memory::{LoomMemory, LoomWord, STALE_BYTE, STALE_LEN};
pub use orderings::{Orderings, UnknownRole, role_by_name};
