//! For those who look at a ring, and for those who mend one whose producer is gone.
//!
//! Kernel counterpart: the checks of `__bpf_user_ringbuf_peek`, in its order.

#[expect(unsafe_code, reason = "reads headers at checked positions")]
pub(crate) mod records;
#[expect(unsafe_code, reason = "writes into records whose producer is gone")]
pub(crate) mod repair;
pub(crate) mod survey;
