//! tokio's reactor.

use std::io;
use std::task::{Context, Poll, ready};

use ::tokio::io::Interest;
use ::tokio::io::unix::AsyncFd;
use ::tokio::runtime::Handle;

use super::{AsyncProducer, AsyncShared, Reactor, ReactorError, WakeFd};
use crate::mapping::Mapping;

/// A producer for many tokio tasks.
///
/// # Panics
/// [`AsyncShared::new`] panics, as tokio does, in a runtime that was built without `enable_io`.
pub type TokioShared<M = Mapping> = AsyncShared<M, AsyncFd<WakeFd>>;

/// A producer for one tokio task.
///
/// # Panics
/// As [`TokioShared`].
pub type TokioProducer<M = Mapping> = AsyncProducer<M, AsyncFd<WakeFd>>;

impl Reactor for AsyncFd<WakeFd> {
    fn register(fd: WakeFd) -> Result<Self, ReactorError> {
        // tokio would panic.
        Handle::try_current().map_err(|_| ReactorError::NoRuntime)?;
        // SAFETY: a `WakeFd` owns its descriptor, never changes it, and closes it only when it is dropped itself.
        let registered = unsafe { Self::register_with_interest(fd, Interest::READABLE) };
        Ok(registered.map_err(io::Error::from)?)
    }

    fn wake_fd(&self) -> &WakeFd {
        self.get_ref()
    }

    fn poll_readable(&self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        // Cleared before the descriptor is looked at: what comes in between makes it ready again. tokio registers
        // edge-triggered, and hears of each drain.
        ready!(self.poll_read_ready(cx))?.clear_ready();
        Poll::Ready(Ok(()))
    }
}
