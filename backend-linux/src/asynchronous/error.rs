//! What can go wrong while a task waits.

use core::fmt;

use user_ringbuf_core::{BlockingError, RingId};

use crate::mapping::MappingError;
use crate::wait::WaiterError;

/// Why waiting in a task gave up: as for blocking waits, except that it neither times out nor is cancelled. To end a
/// wait, drop its future.
pub type AsyncError = BlockingError<ReactorError>;

/// Why a task could not wait.
#[derive(Debug)]
#[non_exhaustive]
pub enum ReactorError {
    /// No runtime is running here to register the descriptor with: call this from a task of the runtime.
    NoRuntime,
    /// The map is not the producer's: pass the map that its mapping was made from.
    OtherRing {
        /// The map that was given, by its id.
        map: RingId,
        /// The ring that the producer works on.
        producer: RingId,
    },
    /// The consumer page could not be mapped.
    Mapping(MappingError),
    /// A system call failed.
    System(WaiterError),
    /// The reactor failed, as it does when it is shutting down.
    Reactor(std::io::Error),
}

impl fmt::Display for ReactorError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NoRuntime => f.write_str("no runtime is at work in this thread"),
            Self::OtherRing { map, producer } => {
                write!(f, "map {map} is another one than the producer's, which works on the ring {producer}")
            }
            Self::Mapping(why) => why.fmt(f),
            Self::System(why) => why.fmt(f),
            Self::Reactor(_) => f.write_str("the reactor failed"),
        }
    }
}

impl core::error::Error for ReactorError {
    fn source(&self) -> Option<&(dyn core::error::Error + 'static)> {
        match self {
            Self::NoRuntime | Self::OtherRing { .. } => None,
            Self::Mapping(why) => why.source(),
            Self::System(why) => why.source(),
            Self::Reactor(why) => Some(why),
        }
    }
}

/// Why tasks can't wait for a producer. As for the errors of std, `into_inner` gives the producer back.
#[derive(Debug)]
pub struct NotAsync<P> {
    pub(super) producer: P,
    pub(super) error: ReactorError,
}

impl<P> NotAsync<P> {
    /// Why.
    pub fn error(&self) -> &ReactorError {
        &self.error
    }

    /// The producer, for another attempt or to wait otherwise.
    pub fn into_inner(self) -> P {
        self.producer
    }
}

impl<P> fmt::Display for NotAsync<P> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.error.fmt(f)
    }
}

impl<P: fmt::Debug> core::error::Error for NotAsync<P> {
    fn source(&self) -> Option<&(dyn core::error::Error + 'static)> {
        self.error.source()
    }
}

impl<P> From<NotAsync<P>> for ReactorError {
    fn from(failed: NotAsync<P>) -> Self {
        failed.error
    }
}

impl From<MappingError> for ReactorError {
    fn from(why: MappingError) -> Self {
        Self::Mapping(why)
    }
}

impl From<WaiterError> for ReactorError {
    fn from(why: WaiterError) -> Self {
        Self::System(why)
    }
}

impl From<std::io::Error> for ReactorError {
    fn from(why: std::io::Error) -> Self {
        Self::Reactor(why)
    }
}
