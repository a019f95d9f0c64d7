//! Rows that need a process without rights: this binary again, as user nobody.

use std::os::fd::AsRawFd;
use std::process::Command;

use user_ringbuf_kit::bpffs::{Bpffs, Directory};
use user_ringbuf_linux::Map;

use crate::row::Attempt;
use crate::{nobody, rows};

/// Runs the rows in a process of their own.
pub(crate) fn run_its_rows() {
    let map = Map::create("handed_down", 1).unwrap();
    let bpffs = Bpffs::mount();
    let pin = bpffs.path("private");
    map.pin(&pin).unwrap();
    // A duplicate that stays open across the exec; the number is what counts.
    let handed = rustix::io::dup(&map).unwrap();

    let directory = Directory::new();
    let binary = directory.path("bad-input");
    std::fs::copy(std::env::current_exe().unwrap(), &binary).unwrap();
    let run = Command::new("setpriv")
        .args(["--reuid=65534", "--clear-groups", "--bounding-set=-all", "--"])
        .arg(&binary)
        .args(["--exact", "other_process::rows_for_user_nobody", "--nocapture"])
        .env(nobody::MAP, handed.as_raw_fd().to_string())
        .env(nobody::PIN, pin)
        .output()
        .expect("setpriv (of util-linux) runs");
    let (out, err) = (String::from_utf8_lossy(&run.stdout), String::from_utf8_lossy(&run.stderr));
    assert!(run.status.success() && out.contains("rows checked as nobody: "), "{out}{err}");
}

/// The other process's part. By itself it has nothing to do: the table's test starts it.
#[test]
fn rows_for_user_nobody() {
    if nobody::map().is_none() {
        return;
    }
    let mut checked = 0;
    for row in rows::all() {
        if let Attempt::AsNobody(attempt) = row.attempt {
            let faults = row.faults(&attempt());
            assert!(faults.is_empty(), "{}", faults.join("\n"));
            checked += 1;
        }
    }
    assert!(checked > 0);
    println!("rows checked as nobody: {checked}");
}
