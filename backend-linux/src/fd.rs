//! Borrowing a descriptor without a check that panics.
//!
//! Without std, rustix checks each time that a descriptor which it borrows is not -1, and panics otherwise; that an
//! owned one never is, is nothing the compiler could know.

use core::hint::assert_unchecked;

use rustix::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};

/// The descriptor, borrowed.
#[inline(always)]
pub(crate) fn borrow(fd: &OwnedFd) -> BorrowedFd<'_> {
    // SAFETY: whoever made the `OwnedFd` has promised that it is open, which -1 never is.
    unsafe { assert_unchecked(fd.as_raw_fd() != -1) };
    fd.as_fd()
}
