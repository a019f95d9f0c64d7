//! What happens to a producer from outside: it dies in the middle of its work, or the ring changes under it.

mod crash;
mod hooked;

pub use crash::{Crash, Mortal};
pub use hooked::{Fate, Hook, Hooked, STEP_BYTES, Step};
