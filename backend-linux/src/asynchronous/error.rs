//! What can go wrong while a task waits.

use core::fmt;

use user_ringbuf_core::{BlockingError, RingId};

use crate::mapping::MappingError;
use crate::wait::WaiterError;

/// Why waiting in a task gave up: as for blocking waits, though nothing times out and nobody cancels. For those, drop
/// the future.
pub type AsyncError = BlockingError<ReactorError>;

/// Why a task could not wait.
#[derive(Debug)]
#[non_exhaustive]
pub enum ReactorError {
    /// There is no runtime here that the descriptor could be registered with.
    NoRuntime,
    /// The map is another one than the producer's.
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
            Self::Reactor(why) => write!(f, "the reactor failed: {why}"),
        }
    }
}

impl core::error::Error for ReactorError {
    fn source(&self) -> Option<&(dyn core::error::Error + 'static)> {
        match self {
            Self::NoRuntime | Self::OtherRing { .. } => None,
            Self::Mapping(why) => Some(why),
            Self::System(why) => Some(why),
            Self::Reactor(why) => Some(why),
        }
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
