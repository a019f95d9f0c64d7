//! tokio's reactor.

use std::future::{Future, poll_fn};
use std::io;
use std::pin::pin;
use std::task::{Context, Poll};

use ::tokio::io::Interest;
use ::tokio::io::unix::AsyncFd;
use ::tokio::runtime::Handle;
use ::tokio::task::unconstrained;

use super::{AsyncProducer, AsyncSet, AsyncShared, Reactor, ReactorError, WakeFd};
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

/// What tokio tasks of many rings wait with.
///
/// # Panics
/// As [`TokioShared`].
pub type TokioSet = AsyncSet<AsyncFd<WakeFd>>;

impl Reactor for AsyncFd<WakeFd> {
    fn register(fd: WakeFd) -> Result<Self, ReactorError> {
        // tokio would panic.
        Handle::try_current().map_err(|_| ReactorError::NoRuntime)?;
        #[expect(deprecated, reason = "its successor came with tokio 1.53.3, and asks for no more than `WakeFd` keeps")]
        Ok(Self::with_interest(fd, Interest::READABLE)?)
    }

    fn wake_fd(&self) -> &WakeFd {
        self.get_ref()
    }

    fn poll_readable(&self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        // Cleared before the descriptor is looked at: what comes in between makes it ready again. tokio registers
        // edge-triggered, and hears of each drain. The watch belongs to no single task, so no task's budget counts.
        let ready = unconstrained(poll_fn(|cx| self.poll_read_ready(cx).map_ok(|mut ready| ready.clear_ready())));
        pin!(ready).poll(cx)
    }
}
