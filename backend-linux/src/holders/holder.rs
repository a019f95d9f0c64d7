//! A process that has a ring: its id and its name.

use core::fmt;

/// A process that has a ring.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Holder {
    pub(super) pid: u32,
    /// Text, and zeros behind it.
    pub(super) name: [u8; 16],
}

impl Holder {
    /// Its process id, as this process's `/proc` has it.
    #[must_use]
    pub fn pid(&self) -> u32 {
        self.pid
    }

    /// Its name, at most 15 bytes, as `/proc/PID/comm` has it. Each byte of what is not text or can't be printed is `?`
    /// here. Empty if it could not be read.
    #[must_use]
    pub fn name(&self) -> &str {
        let len = self.name.iter().position(|byte| *byte == 0).unwrap_or(self.name.len());
        self.name.get(..len).and_then(|name| core::str::from_utf8(name).ok()).unwrap_or_default()
    }
}

impl fmt::Display for Holder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.name() {
            "" => write!(f, "process {}", self.pid),
            name => write!(f, "{name} (pid {})", self.pid),
        }
    }
}

impl fmt::Debug for Holder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Holder").field("pid", &self.pid).field("name", &self.name()).finish()
    }
}
