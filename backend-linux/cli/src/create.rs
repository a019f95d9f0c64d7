//! `create`: a ring that outlives the command, because it is pinned.

use std::io::{self, Write};
use std::path::PathBuf;

use anyhow::Context;
use clap::Args;
use serde::Serialize;
use user_ringbuf_linux::{Map, MapError};

use crate::report::{Output, Report, Verdict};
use crate::{bpffs, bytes};

/// Make a ring and pin it on a bpffs, where it outlives this command. Removing the file unpins it.
#[derive(Args, Debug)]
pub(crate) struct Create {
    /// Where to pin it: a new path on a bpffs, such as /sys/fs/bpf/ring. The name must not hold a dot.
    #[arg(long, value_name = "PATH")]
    pin: PathBuf,
    /// Size of the ring in bytes (K, M and G allowed), rounded up to a power-of-two multiple of the page size.
    #[arg(long, value_name = "BYTES", value_parser = bytes::parse)]
    size: u64,
    /// The map's name: at most 15 letters, digits, '_' and '.'.
    #[arg(long, default_value = "")]
    name: String,
}

#[derive(Serialize)]
struct Created<'a> {
    id: u32,
    name: &'a str,
    size: u32,
    pin: String,
    #[serde(skip)]
    asked: u64,
}

impl Create {
    pub(crate) fn run(&self, output: &Output) -> anyhow::Result<Verdict> {
        let map = Map::create(&self.name, self.size).context("cannot make a ring")?;
        map.pin(&self.pin).map_err(|error| self.not_pinned(error))?;
        output.report(&Created {
            id: map.id(),
            name: map.name(),
            size: map.size(),
            pin: self.pin.display().to_string(),
            asked: self.size,
        })?;
        Ok(Verdict::Good)
    }

    fn not_pinned(&self, error: MapError) -> anyhow::Error {
        let why = match error {
            MapError::PathMissing { .. } => "no such path; make the directory first".to_owned(),
            error => bpffs::in_words(error),
        };
        anyhow::anyhow!("cannot pin the ring at {}: {why}", self.pin.display())
    }
}

impl Report for Created<'_> {
    fn words(&self, out: &mut dyn Write) -> io::Result<()> {
        write!(out, "made ring {}", self.id)?;
        if !self.name.is_empty() {
            write!(out, " ({})", self.name)?;
        }
        write!(out, " of {} bytes", self.size)?;
        if u64::from(self.size) != self.asked {
            write!(out, " (rounded up from {})", self.asked)?;
        }
        writeln!(out, ", pinned at {}", self.pin)
    }
}
