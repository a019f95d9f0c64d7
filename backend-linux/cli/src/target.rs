//! Which ring a subcommand works on.

use std::fmt;
use std::path::{Path, PathBuf};

use anyhow::{Context, anyhow, bail};
use clap::Args;
use user_ringbuf_linux::{Map, MapError};

use crate::bpffs;
use crate::text::{printable, shell_word};

/// Most ids to name.
const NAMED: usize = 10;

/// A ring that exists: by its path, its id or its name.
#[derive(Args, Clone, Debug)]
#[group(required = true, multiple = false)]
pub(crate) struct Target {
    /// The ring pinned at this path on a bpffs.
    #[arg(long, value_name = "PATH", value_hint = clap::ValueHint::FilePath)]
    pin: Option<PathBuf>,
    /// The ring with this map id. Needs CAP_SYS_ADMIN.
    #[arg(long, value_name = "N")]
    id: Option<u32>,
    /// The only ring with this name. Needs CAP_SYS_ADMIN.
    #[arg(long, value_name = "NAME")]
    name: Option<String>,
}

impl Target {
    /// Opens the ring.
    pub(crate) fn open(&self) -> anyhow::Result<Map> {
        if let Some(name) = &self.name {
            return named(name).with_context(|| format!("cannot open {self}"));
        }
        match &self.pin {
            Some(path) => {
                Map::from_pin(path).map_err(|error| anyhow!("cannot open {self}: {}", bpffs::in_words(path, error)))
            }
            // clap requires one of the three.
            None => Map::from_id(self.id.unwrap_or_default()).with_context(|| format!("cannot open {self}")),
        }
    }

    /// The path by which the ring is opened, if it is.
    pub(crate) fn pin(&self) -> Option<&Path> {
        self.pin.as_deref()
    }

    /// The arguments that name this ring to another subcommand.
    pub(crate) fn args(&self) -> String {
        match (&self.pin, &self.name) {
            (Some(path), _) => format!("--pin {}", shell_word(path)),
            (None, Some(name)) => format!("--name {}", shell_word(Path::new(name))),
            (None, None) => format!("--id {}", self.id.unwrap_or_default()),
        }
    }
}

/// The one ring with this name.
fn named(name: &str) -> anyhow::Result<Map> {
    // One stays open, however many there are.
    let (mut first, mut ids) = (None, Vec::new());
    for id in Map::ids() {
        match Map::from_id(id?) {
            Ok(map) if map.name() == name => {
                ids.push(map.id().to_string());
                first.get_or_insert(map);
            }
            // Other rings, maps of other types, and maps that are gone since they were listed.
            Ok(_) | Err(MapError::WrongType { .. } | MapError::UnknownId { .. }) => {}
            Err(error) => return Err(error.into()),
        }
    }
    match (first, ids.len()) {
        (None, _) => bail!("no ring has this name; `user-ringbuf list` shows all rings"),
        (Some(map), 1) => Ok(map),
        (Some(_), count) => {
            ids.truncate(NAMED);
            let more = if count > NAMED { ", ..." } else { "" };
            bail!("{count} rings have this name: choose one with --id ({}{more})", ids.join(", "))
        }
    }
}

impl fmt::Display for Target {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match (&self.pin, &self.name) {
            (Some(path), _) => write!(f, "the ring at {}", printable(path)),
            (None, Some(name)) => write!(f, "the ring named '{}'", printable(Path::new(name))),
            (None, None) => write!(f, "the ring with id {}", self.id.unwrap_or_default()),
        }
    }
}
