//! Errors as errno values: libbpf's, where libbpf has one.

use core::ffi::{c_int, c_void};
use core::ptr;

use user_ringbuf_linux::{BlockingError, MapError, MappingError, ReserveError};

/// An error number as C knows it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Errno(pub(crate) c_int);

impl Errno {
    /// The `errno` of the last failed call in this thread.
    pub(crate) fn last() -> Self {
        // SAFETY: the C library's errno location is valid for the calling thread at all times.
        Self(unsafe { *libc::__errno_location() })
    }

    pub(crate) fn set(self) {
        // SAFETY: as above.
        unsafe { *libc::__errno_location() = self.0 };
    }

    /// Sets `errno`. Returns NULL.
    #[cold]
    pub(crate) fn null(self) -> *mut c_void {
        self.set();
        ptr::null_mut()
    }

    /// Sets `errno`. Returns -1.
    #[cold]
    pub(crate) fn minus_one(self) -> c_int {
        self.set();
        -1
    }
}

/// The return value of a C function that returns 0 or -1.
#[inline(always)]
pub(crate) fn zero_or<E: Into<Errno>>(done: Result<(), E>) -> c_int {
    match done {
        Ok(()) => 0,
        Err(why) => why.into().minus_one(),
    }
}

impl From<ReserveError> for Errno {
    fn from(why: ReserveError) -> Self {
        Self(match why {
            ReserveError::TooLarge { .. } | ReserveError::BatchFull { .. } => libc::E2BIG,
            ReserveError::Full { .. } => libc::ENOSPC,
            ReserveError::Corrupted(_) => libc::EUCLEAN,
            // Only from lanes and from producers that remember a position; neither is used here.
            _ => libc::EINVAL,
        })
    }
}

impl From<BlockingError<Errno>> for Errno {
    fn from(why: BlockingError<Errno>) -> Self {
        Self(match why {
            BlockingError::Reserve(why) => return why.into(),
            BlockingError::Wait(why) => return why,
            BlockingError::TimedOut { .. } => libc::ETIMEDOUT,
            BlockingError::Cancelled => libc::ECANCELED,
            _ => libc::EINVAL,
        })
    }
}

impl From<MapError> for Errno {
    fn from(why: MapError) -> Self {
        Self(match why {
            // The kernel's answer to BPF_OBJ_GET_INFO_BY_FD.
            MapError::ClosedFd => libc::EBADFD,
            MapError::PathMissing { .. } | MapError::UnknownId { .. } => libc::ENOENT,
            MapError::PathTaken => libc::EEXIST,
            MapError::NotOnBpffs | MapError::PathForbidden => libc::EACCES,
            MapError::PathTooLong { .. } | MapError::NameTooLong { .. } => libc::ENAMETOOLONG,
            MapError::SizeTooLarge { .. } => libc::E2BIG,
            MapError::NoMemory { .. } => libc::ENOMEM,
            MapError::Unsupported => libc::EOPNOTSUPP,
            MapError::NotPermitted { error, .. } | MapError::Bpf(error) => error.errno.raw_os_error(),
            MapError::InfoForbidden { bpf: Some(error), .. } => error.errno.raw_os_error(),
            MapError::InfoForbidden { fdinfo: errno, .. } | MapError::System { errno, .. } => errno.raw_os_error(),
            _ => libc::EINVAL,
        })
    }
}

impl From<MappingError> for Errno {
    fn from(why: MappingError) -> Self {
        Self(match why {
            MappingError::AlreadyMapped { .. } | MappingError::Claimed { .. } => libc::EBUSY,
            MappingError::TooLarge { .. } => libc::E2BIG,
            MappingError::Kernel32Bit => libc::EOPNOTSUPP,
            MappingError::Mmap { errno, .. } | MappingError::System { errno, .. } => errno.raw_os_error(),
            _ => libc::EINVAL,
        })
    }
}
