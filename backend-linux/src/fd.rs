//! Borrowing a descriptor without a check that panics, and duplicating one.
//!
//! Without std, rustix checks each time that a descriptor which it borrows is not -1, and panics otherwise. An owned
//! one never is, but the compiler can't know that.

use core::hint::assert_unchecked;

use rustix::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};
use rustix::io::Errno;

/// The descriptor, borrowed.
#[inline(always)]
pub(crate) fn borrow(fd: &OwnedFd) -> BorrowedFd<'_> {
    // SAFETY: the maker of the `OwnedFd` has promised that it is open, which -1 never is.
    unsafe { assert_unchecked(fd.as_raw_fd() != -1) };
    fd.as_fd()
}

/// The call that [`duplicate`] makes.
pub(crate) const DUPLICATE: &str = "fcntl(F_DUPFD_CLOEXEC)";

/// A descriptor of our own for the same file, close-on-exec.
pub(crate) fn duplicate(fd: impl AsFd) -> Result<OwnedFd, Errno> {
    rustix::io::fcntl_dupfd_cloexec(fd, 0)
}
