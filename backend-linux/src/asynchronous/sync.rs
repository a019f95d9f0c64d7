//! What the watch and its lines are synchronised by: the standard library's, or loom's in the models of
//! [`waiting`](super::waiting).

#[cfg(all(test, user_ringbuf_loom))]
pub(super) use loom::sync::{
    Mutex, MutexGuard,
    atomic::{AtomicU8, AtomicUsize, Ordering},
};
#[cfg(not(all(test, user_ringbuf_loom)))]
pub(super) use std::sync::{
    Mutex, MutexGuard,
    atomic::{AtomicU8, AtomicUsize, Ordering},
};
