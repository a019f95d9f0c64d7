//! A descriptor that made no map goes back to who gave it.

use core::fmt;

use rustix::fd::OwnedFd;

use super::MapError;

/// Why a descriptor did not become a [`Map`](super::Map), together with the descriptor, which is still open.
///
/// `?` turns it into a [`MapError`] and closes the descriptor.
#[derive(Debug)]
pub struct FromFdError {
    pub(super) fd: OwnedFd,
    pub(super) error: MapError,
}

impl FromFdError {
    /// What was wrong.
    #[must_use]
    pub fn error(&self) -> MapError {
        self.error
    }

    /// The descriptor.
    #[must_use]
    pub fn into_inner(self) -> OwnedFd {
        self.fd
    }
}

impl fmt::Display for FromFdError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.error.fmt(f)
    }
}

impl core::error::Error for FromFdError {
    fn source(&self) -> Option<&(dyn core::error::Error + 'static)> {
        self.error.source()
    }
}

impl From<FromFdError> for MapError {
    fn from(failed: FromFdError) -> Self {
        failed.error
    }
}
