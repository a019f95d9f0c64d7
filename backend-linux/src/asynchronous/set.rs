//! Many rings under one registration.

use std::sync::Arc;

use super::waiting::Watch;
use super::{Reactor, ReactorError};
use crate::wait::Recheck;

/// What the tasks of many rings wait with: one registration with the reactor, one epoll instance and one timer for all
/// rings together, where [`AsyncShared::new`](super::AsyncShared::new) makes one of each per ring.
///
/// For an agent with a ring per connection or per CPU: [`AsyncShared::in_set`](super::AsyncShared::in_set) and
/// [`AsyncProducer::in_set`](super::AsyncProducer::in_set) take one descriptor and one mapped page per ring beside the
/// map's. Dropping a producer takes its ring out of the set. A drain costs the same with 10,000 rings as with one; a look
/// where drains don't wake costs the rings of which tasks wait. Clones are handles of the same set, which goes with the
/// last of them and the last producer.
///
/// # Minimum kernel version
/// Linux 6.1.
#[derive(Debug)]
pub struct AsyncSet<R: Reactor> {
    pub(super) watch: Arc<Watch<R>>,
}

impl<R: Reactor> Clone for AsyncSet<R> {
    fn clone(&self) -> Self {
        Self { watch: Arc::clone(&self.watch) }
    }
}

impl<R: Reactor> AsyncSet<R> {
    /// An empty set with the default [`Recheck`].
    ///
    /// # Errors
    /// [`ReactorError`]: no runtime, or what a system call or the reactor returned. Nothing stays open then.
    pub fn new() -> Result<Self, ReactorError> {
        Self::with_recheck(Recheck::default())
    }

    /// An empty set that looks at each ring of which tasks wait as often as `recheck` says.
    ///
    /// # Errors
    /// As [`new`](Self::new).
    pub fn with_recheck(recheck: Recheck) -> Result<Self, ReactorError> {
        Ok(Self { watch: Watch::new(recheck)? })
    }

    /// How many producers wait in it.
    pub fn len(&self) -> usize {
        self.watch.len()
    }

    /// Whether none does.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}
