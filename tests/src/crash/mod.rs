//! Producers that are killed at a random instant, and what their ring is like afterwards.
//!
//! A child process sends stamped samples at full speed and notes on a [`board`] what it has submitted; the parent drains,
//! kills it, and looks: nothing torn, nothing submitted lost, and a ring that flows again, after a repair where the
//! interface may leave a busy record behind.

pub mod board;
pub mod parent;
