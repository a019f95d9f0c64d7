//! Whether a test may run against the real kernel, and threads without rights.
//!
//! Every kernel test begins with [`needs_bpf!`](crate::needs_bpf) or [`needs_admin!`](crate::needs_admin). Where rights
//! or the map type are missing, the test says so on standard error and returns. With `USER_RINGBUF_REQUIRE_KERNEL=1` it
//! fails instead, so that no skipped test counts as passed where the kernel is expected.

use std::io::{ErrorKind, Write};
use std::path::Path;
use std::process::Command;

use rustix::thread::{CapabilitySet, CapabilitySets, capabilities, set_capabilities};

use crate::bpffs::Directory;
use crate::objects::{USER_RINGBUF, try_map};

/// Whether this process may make user ring buffers and load programs (`CAP_BPF`). Prints why not.
///
/// # Panics
/// If it may not, and `USER_RINGBUF_REQUIRE_KERNEL=1`.
pub fn may_bpf() -> bool {
    allowed_or_skipped(CapabilitySet::BPF, "CAP_BPF")
}

/// Whether this process may also mount, and open maps by their ids (`CAP_SYS_ADMIN`). Prints why not.
///
/// # Panics
/// If it may not, and `USER_RINGBUF_REQUIRE_KERNEL=1`.
pub fn may_admin() -> bool {
    allowed_or_skipped(CapabilitySet::SYS_ADMIN, "CAP_SYS_ADMIN")
}

/// Ends the test unless [`may_bpf`](crate::rights::may_bpf).
#[macro_export]
macro_rules! needs_bpf {
    () => {
        if !$crate::rights::may_bpf() {
            return;
        }
    };
}

/// Ends the test unless [`may_admin`](crate::rights::may_admin).
#[macro_export]
macro_rules! needs_admin {
    () => {
        if !$crate::rights::may_admin() {
            return;
        }
    };
}

/// Says on standard error that a test was skipped, and why: written directly, because the harness hides what a test
/// prints that passes.
pub fn skipped(why: &str) {
    let _ = std::io::stderr().write_all(format!("skipped: {why}\n").as_bytes());
}

fn allowed_or_skipped(needs: CapabilitySet, name: &str) -> bool {
    let Err(why) = check(needs, name) else { return true };
    let required = std::env::var_os("USER_RINGBUF_REQUIRE_KERNEL").is_some_and(|value| value == "1");
    assert!(!required, "USER_RINGBUF_REQUIRE_KERNEL=1, but this test {why}");
    skipped(&why);
    false
}

fn check(needs: CapabilitySet, name: &str) -> Result<(), String> {
    // CAP_SYS_ADMIN includes CAP_BPF.
    let enough = |set: CapabilitySet| set.contains(needs) || set.contains(CapabilitySet::SYS_ADMIN);
    if !capabilities(None).is_ok_and(|sets| enough(sets.effective)) {
        return Err(format!("needs {name}, which this process lacks"));
    }
    let page = u32::try_from(rustix::param::page_size()).expect("a page is small");
    match try_map(USER_RINGBUF, 0, 0, page, 0) {
        Ok(_) => Ok(()),
        Err(error) if error.kind() == ErrorKind::PermissionDenied => Err(format!("needs CAP_BPF: {error}")),
        Err(error) => Err(format!("needs a kernel with user ring buffers: {error}")),
    }
}

/// Runs `work` on a thread of its own that has no capability.
///
/// # Panics
/// If `work` does, or the capabilities can't be dropped.
pub fn without_rights<T: Send>(work: impl FnOnce() -> T + Send) -> T {
    on_a_thread(|| {
        let none = CapabilitySet::empty();
        set_capabilities(None, CapabilitySets { effective: none, permitted: none, inheritable: none })
            .expect("dropping capabilities is always allowed");
        work()
    })
}

/// A command that runs `program` as user nobody without any capability, from a copy that every user may run. The copy is
/// gone when the directory is dropped. Needs root, and `setpriv` of util-linux.
///
/// # Panics
/// If the program can't be copied.
pub fn as_nobody(program: impl AsRef<Path>) -> (Directory, Command) {
    let directory = Directory::new();
    let copy = directory.path("program");
    // Another process copies: a child that another test forks meanwhile would hold our copy open for writing, and the
    // kernel does not run such a file (ETXTBSY).
    let copied = Command::new("cp").arg(program.as_ref()).arg(&copy).status().expect("cp runs");
    assert!(copied.success(), "copying {}", program.as_ref().display());
    let mut command = Command::new("setpriv");
    command.args(["--reuid=65534", "--regid=65534", "--clear-groups", "--bounding-set=-all", "--inh-caps=-all", "--"]);
    command.arg(copy).current_dir("/");
    (directory, command)
}

pub(crate) fn on_a_thread<T: Send>(work: impl FnOnce() -> T + Send) -> T {
    std::thread::scope(|scope| match scope.spawn(work).join() {
        Ok(result) => result,
        Err(panic) => std::panic::resume_unwind(panic),
    })
}
