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
/// ```no_run
/// use std::sync::Arc;
/// use user_ringbuf_linux::{Map, Mapping, Shared, TokioShared};
///
/// # async fn send() -> Result<(), Box<dyn std::error::Error>> {
/// let map = Map::from_pin("/sys/fs/bpf/to_kernel")?;
/// let shared = Shared::attach(Mapping::new(&map)?)?;
/// let ring = Arc::new(TokioShared::new(shared, &map)?);
/// tokio::spawn({
///     let ring = Arc::clone(&ring);
///     async move {
///         let mut sample = ring.reserve(16).await?;
///         sample.fill(7);
///         sample.submit();
///         Ok::<(), user_ringbuf_linux::AsyncError>(())
///     }
/// });
/// # Ok(())
/// # }
/// ```
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
