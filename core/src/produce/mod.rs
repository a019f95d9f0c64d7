//! Producers, and the samples that they hand out.
//!
//! - Published late, at submit: `producer`, `sample`, `batch`, on the exclusive producer's `room`.
//! - Published at reserve, with the busy bit: `detached` and `lane`, on a `busy` record; `shared`, which takes its room
//!   in the `reservations` word, and whose threads wait for it (`blocking`) in a `line`; `auto_lane`, which takes lanes of
//!   it; `raw`, which keeps libbpf's contract.
//!
//! `payload` is a sample's place in the ring, whichever way it is published. `opening` finds out where a producer
//! begins.

pub(crate) mod auto_lane;
#[expect(unsafe_code, reason = "claims the room that it found")]
pub(crate) mod batch;
mod blocking;
#[expect(unsafe_code, reason = "splits the record that it holds")]
mod busy;
pub(crate) mod detached;
pub(crate) mod lane;
mod line;
#[expect(unsafe_code, reason = "looks at headers while it holds the claim")]
mod opening;
#[expect(unsafe_code, reason = "writes into the record that it holds")]
pub(crate) mod payload;
#[expect(unsafe_code, reason = "claims the room that it found")]
pub(crate) mod producer;
#[expect(unsafe_code, reason = "callers keep the contract, as in C")]
pub(crate) mod raw;
mod reservations;
#[expect(unsafe_code, reason = "publishes for the holder of the claim")]
mod room;
pub(crate) mod sample;
#[expect(unsafe_code, reason = "claims the room that it took")]
pub(crate) mod shared;
