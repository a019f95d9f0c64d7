//! The built command, driven as its users drive it.
//!
//! What needs rights goes through [`support::may`]: without them a test says that it was skipped, and with
//! `USER_RINGBUF_REQUIRE_KERNEL=1` it fails.

mod create;
mod demo;
mod drain;
mod generated;
mod inspect;
mod list;
mod probe;
mod producer;
mod repair;
mod send;
mod support;
mod target;
mod two_sends;
mod usage;
mod waiting;
mod watchdog;
