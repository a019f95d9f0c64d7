//! What a runtime contributes to waiting.

use std::task::{Context, Poll};

use super::{ReactorError, WakeFd};

/// A [`WakeFd`] that is registered with a runtime's reactor, which says when it is readable.
///
/// The `tokio` and `async-io` features implement this for their own types. For another runtime, two functions do;
/// timers are not needed.
pub trait Reactor: Sized + Send + Sync + 'static {
    /// Registers the descriptor for reading.
    ///
    /// # Errors
    /// [`ReactorError::NoRuntime`], or what the reactor said.
    fn register(fd: WakeFd) -> Result<Self, ReactorError>;

    /// The descriptor.
    fn wake_fd(&self) -> &WakeFd;

    /// Ready if the descriptor has become readable since this last said so, or still is. If neither, the waker is woken
    /// when it becomes readable. It is always the same waker, of the producer and not of a task, and whoever is woken
    /// looks at the descriptor, whatever this says then: a reactor that is not sure may return `Pending`, if only it wakes.
    ///
    /// The waker calls this again from its `wake`. So hold no lock while waking that is needed here.
    ///
    /// # Errors
    /// What the reactor said.
    fn poll_readable(&self, cx: &mut Context<'_>) -> Poll<std::io::Result<()>>;
}
