//! `create`: a ring that outlives the command because it is pinned.

use std::io::{self, Write};
use std::path::PathBuf;

use anyhow::Context;
use clap::Args;
use serde::Serialize;
use user_ringbuf_linux::{Map, MapError};

use crate::report::{Output, Report, Verdict};
use crate::text::printable;
use crate::{bpffs, bytes};

/// Create a ring and pin it on a bpffs, where it outlives this command.
///
/// Removing the file unpins the ring; the kernel frees it once no process and no program uses it.
#[derive(Args, Debug)]
pub(crate) struct Create {
    /// Where to pin it: a new path on a bpffs, such as /sys/fs/bpf/ring. Its last name must not contain a dot.
    #[arg(long, value_name = "PATH", value_hint = clap::ValueHint::FilePath)]
    pin: PathBuf,
    /// Size of the ring: bytes, or a number with K, M or G (KiB, MiB, GiB). Rounded up to a power-of-two multiple of the
    /// page size, at most 2G.
    #[arg(long, value_name = "BYTES", value_parser = bytes::parse_ring)]
    size: u64,
    /// Name of the ring: at most 15 letters, digits, '_' and '.'.
    #[arg(long, default_value = "", hide_default_value = true, value_parser = parse_name)]
    name: String,
}

fn parse_name(name: &str) -> Result<String, String> {
    Map::check_name(name).map(|()| name.to_owned()).map_err(|error| error.to_string())
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
        let map = Map::create(&self.name, self.size).context("cannot create a ring")?;
        map.pin(&self.pin).map_err(|error| self.not_pinned(error))?;
        output.report(&Created {
            id: map.id(),
            name: map.name(),
            size: map.size(),
            pin: printable(&self.pin),
            asked: self.size,
        })?;
        Ok(Verdict::Good)
    }

    fn not_pinned(&self, error: MapError) -> anyhow::Error {
        let why = match error {
            MapError::PathMissing { .. } => "the directory does not exist".to_owned(),
            error => bpffs::in_words(&self.pin, error),
        };
        anyhow::anyhow!("cannot pin the ring at {}: {why}", printable(&self.pin))
    }
}

impl Report for Created<'_> {
    fn words(&self, out: &mut dyn Write) -> io::Result<()> {
        write!(out, "created ring {}", self.id)?;
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
