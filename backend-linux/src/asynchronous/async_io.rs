//! async-io's reactor, that of smol and of what else runs on it.

use std::io;
use std::task::{Context, Poll};

use ::async_io::Async;

use super::{AsyncProducer, AsyncSet, AsyncShared, Reactor, ReactorError, WakeFd};
use crate::mapping::Mapping;

/// A producer for many tasks of an executor over async-io.
pub type AsyncIoShared<M = Mapping> = AsyncShared<M, Async<WakeFd>>;

/// A producer for one task of an executor over async-io.
pub type AsyncIoProducer<M = Mapping> = AsyncProducer<M, Async<WakeFd>>;

/// What tasks of many rings wait with, over async-io.
pub type AsyncIoSet = AsyncSet<Async<WakeFd>>;

impl Reactor for Async<WakeFd> {
    fn register(fd: WakeFd) -> Result<Self, ReactorError> {
        // Never read, only polled, so it may stay as it is.
        Ok(Self::new_nonblocking(fd)?)
    }

    fn wake_fd(&self) -> &WakeFd {
        self.get_ref()
    }

    fn poll_readable(&self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        // async-io registers one-shot: each registration finds the descriptor readable until it was fetched, and wakes.
        // It need not say so here: of an event of the reactor's current turn it can't tell.
        Async::poll_readable(self, cx)
    }
}
