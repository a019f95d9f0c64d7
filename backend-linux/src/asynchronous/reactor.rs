//! What a runtime contributes to waiting.

use std::task::{Context, Poll};

use super::{ReactorError, WakeFd};

/// A [`WakeFd`] that is registered with a runtime's reactor, which says when it is readable.
///
/// The `tokio` and `async-io` features implement this for their own types. Another runtime needs two functions, and no
/// timers.
pub trait Reactor: Sized + Send + Sync + 'static {
    /// Registers the descriptor for reading.
    ///
    /// # Errors
    /// [`ReactorError::NoRuntime`], or the reactor's error.
    fn register(fd: WakeFd) -> Result<Self, ReactorError>;

    /// The descriptor.
    fn wake_fd(&self) -> &WakeFd;

    /// Returns ready if the descriptor has become readable since this last returned ready, or is still readable.
    /// Otherwise the waker must be woken when it becomes readable. It is always the same waker, which belongs to the
    /// producer and not to a task. Once woken, the producer looks at the descriptor whatever this returns then, so a
    /// reactor that is not sure may return `Pending` as long as it wakes.
    ///
    /// The waker calls this again from its `wake`, so don't hold a lock while waking that is needed here.
    ///
    /// # Errors
    /// The reactor's error.
    fn poll_readable(&self, cx: &mut Context<'_>) -> Poll<std::io::Result<()>>;
}
