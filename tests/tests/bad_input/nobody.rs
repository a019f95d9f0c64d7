//! What a process of user nobody, without rights, is handed by its parent.

use std::os::fd::BorrowedFd;

use user_ringbuf_linux::Map;

pub(crate) const MAP: &str = "USER_RINGBUF_TESTS_MAP_FD";
pub(crate) const PIN: &str = "USER_RINGBUF_TESTS_PIN";

/// The map that the privileged parent handed down, if this is the process that it started.
pub(crate) fn map() -> Option<Map> {
    let fd = std::env::var(MAP).ok()?.parse().unwrap();
    // SAFETY: the parent left it open for us, and nothing here closes it.
    Some(Map::from_borrowed(unsafe { BorrowedFd::borrow_raw(fd) }).expect("having the descriptor is enough"))
}

/// A path on the parent's bpffs where it has pinned the map for itself alone.
pub(crate) fn pin() -> String {
    std::env::var(PIN).unwrap()
}
