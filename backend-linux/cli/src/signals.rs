//! SIGINT and SIGTERM as an event: a run that must tell what it has done is not killed by the first one.
//!
//! Invariant: the second signal ends the process as it would have done without this.

use std::io;
use std::os::fd::{AsFd, BorrowedFd};
use std::os::unix::net::UnixStream;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicI32, Ordering};
use std::thread;

use signal_hook::consts::{SIGINT, SIGTERM};
use signal_hook::flag;

/// A watch over both signals.
#[derive(Debug)]
pub(crate) struct Signals {
    /// The signal's number; 0 so far.
    caught: Arc<AtomicI32>,
    /// Its other end is closed when a signal has come.
    closed_on_signal: UnixStream,
}

impl Signals {
    /// Watches from now on, and calls `then` in a thread of its own when the first signal comes.
    pub(crate) fn watch(then: impl FnOnce() + Send + 'static) -> io::Result<Self> {
        // First, so that no signal is caught without being seen. One that comes before the flags are there does not count as
        // the first of two.
        let mut signals = signal_hook::iterator::Signals::new([SIGINT, SIGTERM])?;
        let again = Arc::new(AtomicBool::new(false));
        for signal in [SIGINT, SIGTERM] {
            // In this order: the first signal raises the flag, the second one finds it raised.
            flag::register_conditional_default(signal, Arc::clone(&again))?;
            flag::register(signal, Arc::clone(&again))?;
        }
        let (closed_on_signal, other_end) = UnixStream::pair()?;
        let caught = Arc::new(AtomicI32::new(0));
        let store = Arc::clone(&caught);
        thread::Builder::new().name("signals".to_owned()).spawn(move || {
            if let Some(signal) = signals.forever().next() {
                // Release: pairs with the acquire load in `caught`.
                store.store(signal, Ordering::Release);
                drop(other_end);
                then();
            }
        })?;
        Ok(Self { caught, closed_on_signal })
    }

    /// The name of the signal that has come, if one has.
    pub(crate) fn caught(&self) -> Option<&'static str> {
        // Acquire: pairs with the release store of the thread above.
        match self.caught.load(Ordering::Acquire) {
            SIGINT => Some("SIGINT"),
            SIGTERM => Some("SIGTERM"),
            _ => None,
        }
    }
}

/// Readable once a signal has come.
impl AsFd for Signals {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.closed_on_signal.as_fd()
    }
}
