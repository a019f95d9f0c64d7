//! Which ring a subcommand works on.

use std::fmt;
use std::path::PathBuf;

use anyhow::anyhow;
use clap::Args;
use user_ringbuf_linux::Map;

use crate::bpffs;

/// A ring that exists: by its path or by its id.
#[derive(Args, Clone, Debug)]
#[group(required = true, multiple = false)]
pub(crate) struct Target {
    /// The ring that is pinned at this path on a bpffs.
    #[arg(long, value_name = "PATH")]
    pin: Option<PathBuf>,
    /// The ring with this map id (needs CAP_SYS_ADMIN).
    #[arg(long, value_name = "N")]
    id: Option<u32>,
}

impl Target {
    /// Opens the ring.
    pub(crate) fn open(&self) -> anyhow::Result<Map> {
        let map = match (&self.pin, self.id) {
            (Some(path), _) => Map::from_pin(path),
            // clap lets neither through without the other.
            (None, id) => Map::from_id(id.unwrap_or_default()),
        };
        map.map_err(|error| anyhow!("cannot open {self}: {}", bpffs::in_words(error)))
    }

    /// The arguments that name this ring to another subcommand.
    pub(crate) fn args(&self) -> String {
        match (&self.pin, self.id) {
            (Some(path), _) => format!("--pin {}", path.display()),
            (None, id) => format!("--id {}", id.unwrap_or_default()),
        }
    }
}

impl fmt::Display for Target {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match (&self.pin, self.id) {
            (Some(path), _) => write!(f, "the ring at {}", path.display()),
            (None, id) => write!(f, "the ring with id {}", id.unwrap_or_default()),
        }
    }
}
