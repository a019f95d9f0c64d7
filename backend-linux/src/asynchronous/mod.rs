//! Waiting without blocking the thread: `reserve(len).await`.
//!
//! [`AsyncShared`] is a producer for many tasks, [`AsyncProducer`] one for a single task. Both work over any
//! [`Reactor`], which says when a descriptor is readable; the `tokio` and `async-io` features bring one each.
//!
//! All waiting is in [`waiting`]: tasks queue in the [`line`] of their ring, and [`rings`] knows when each ring is due for
//! a look. The reactor wakes the lines, which wake the tasks that may be able to continue. What the reactor watches is the
//! [`WakeFd`], readable when a drain has woken or when a look is due. Kernel counterpart: as for the blocking waiters, whose
//! edge-triggered epoll instance it shares.

mod error;
mod line;
mod producer;
mod reactor;
mod rings;
mod set;
mod shared;
mod sync;
mod waiting;
mod wake_fd;

#[cfg(feature = "async-io")]
mod async_io;
#[cfg(feature = "tokio")]
mod tokio;

pub use error::{AsyncError, NotAsync, ReactorError};
pub use producer::AsyncProducer;
pub use reactor::Reactor;
pub use set::AsyncSet;
pub use shared::AsyncShared;
pub use wake_fd::WakeFd;

#[cfg(feature = "async-io")]
pub use async_io::{AsyncIoProducer, AsyncIoSet, AsyncIoShared};
#[cfg(feature = "tokio")]
pub use tokio::{TokioProducer, TokioSet, TokioShared};
