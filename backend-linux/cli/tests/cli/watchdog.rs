//! A limit for what a test waits for: a command that goes on forever fails the test in place of hanging it.

use std::process::Child;
use std::sync::mpsc::{RecvTimeoutError, Sender, channel};

use rustix::process::{Pid, PidfdFlags, Signal, pidfd_open, pidfd_send_signal};
use user_ringbuf_kit::patience;

/// Kills a process after more than the tests' patience, unless this is dropped before.
#[derive(Debug)]
pub(crate) struct Watchdog {
    _alive: Sender<()>,
}

impl Watchdog {
    pub(crate) fn over(child: &Child) -> Self {
        // Not by its pid, which another process may have by then.
        let process = pidfd_open(Pid::from_child(child), PidfdFlags::empty()).unwrap();
        let (alive, gone) = channel();
        std::thread::spawn(move || {
            if gone.recv_timeout(patience() * 3 / 2) == Err(RecvTimeoutError::Timeout) {
                let _ = pidfd_send_signal(process, Signal::KILL);
            }
        });
        Self { _alive: alive }
    }
}
