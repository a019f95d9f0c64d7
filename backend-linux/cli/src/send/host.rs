//! What sending needs from its surroundings: when to read, when to stop, and where to report.

use std::io;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use rustix::event::{PollFd, PollFlags, poll};
use rustix::io::Errno;
use user_ringbuf_linux::Map;

use crate::pin_state::PinState;
use crate::report::timespec;
use crate::signals::Signals;

/// How often to look at the pin, at most.
const PIN: Duration = Duration::from_millis(500);

/// How long the input must bring nothing to pause. The writer of a pipe is often slower than its reader.
const PAUSE: Duration = Duration::from_millis(200);

/// Why sending stops before the end of the input.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub(super) enum Stopped {
    #[error("interrupted by {0}")]
    Signal(&'static str),
    #[error("{0}")]
    PinReplaced(String),
}

/// The surroundings of a sender.
pub(super) trait Host {
    /// Says something on standard error.
    fn note(&mut self, text: &str);

    /// Whether the input pauses: it brings nothing for a while.
    fn pauses(&mut self) -> bool;

    /// Sleeps until there is something to read. The error says why to stop instead.
    fn wait_for_input(&mut self) -> Result<(), Stopped>;

    /// Whether to go on waiting for room. The error says why to stop instead.
    fn go_on(&mut self) -> Result<(), Stopped>;
}

/// Standard input, signals and the ring's pin.
pub(super) struct Process<'a> {
    pub(super) note: &'a mut dyn FnMut(&str),
    pub(super) signals: Signals,
    pub(super) pin: Option<Pin<'a>>,
}

/// The pin by which the ring was opened.
pub(super) struct Pin<'a> {
    map: &'a Map,
    path: PathBuf,
    looked: Instant,
    told: bool,
}

impl<'a> Pin<'a> {
    pub(super) fn new(map: &'a Map, path: &Path) -> Self {
        Self { map, path: path.to_owned(), looked: Instant::now(), told: false }
    }
}

impl Process<'_> {
    /// Looks at the pin, if it is time to.
    fn check_pin(&mut self) -> Result<(), Stopped> {
        let Some(pin) = self.pin.as_mut().filter(|pin| pin.looked.elapsed() >= PIN) else { return Ok(()) };
        pin.looked = Instant::now();
        let Some(state) = PinState::of(pin.map, &pin.path) else { return Ok(()) };
        match (state, state.words(&pin.path, pin.map.id())) {
            (PinState::Replaced { .. }, Some(words)) => Err(Stopped::PinReplaced(words)),
            (_, Some(words)) => {
                // Whoever has the ring open may go on draining it.
                if !std::mem::replace(&mut pin.told, true) {
                    (self.note)(&words);
                }
                Ok(())
            }
            (_, None) => Ok(()),
        }
    }

    /// Whether input, its end or a signal comes within this time; `None` waits forever.
    fn poll(&self, time: Option<Duration>) -> bool {
        let stdin = io::stdin();
        let mut look = [PollFd::new(&stdin, PollFlags::IN), PollFd::new(&self.signals, PollFlags::IN)];
        match poll(&mut look, time.map(timespec).as_ref()) {
            // The signal itself may end the sleep, before it is known to have come.
            Ok(0) | Err(Errno::INTR) => false,
            // If polling fails, reading says why.
            _ => true,
        }
    }
}

impl Host for Process<'_> {
    fn note(&mut self, text: &str) {
        (self.note)(text);
    }

    fn pauses(&mut self) -> bool {
        !self.poll(Some(PAUSE))
    }

    fn wait_for_input(&mut self) -> Result<(), Stopped> {
        loop {
            self.go_on()?;
            let time = self.pin.as_ref().map(|_| PIN);
            if self.poll(time) {
                // Both may have come, and the pin may have changed while this slept.
                return self.go_on();
            }
        }
    }

    fn go_on(&mut self) -> Result<(), Stopped> {
        if let Some(signal) = self.signals.caught() {
            return Err(Stopped::Signal(signal));
        }
        self.check_pin()
    }
}
