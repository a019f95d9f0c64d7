//! What the tests of the examples share. The examples themselves are in `examples`.

use std::io::Write;
use std::path::{Path, PathBuf};

use rustix::mount::{MountFlags, UnmountFlags, mount, unmount};
use user_ringbuf_linux::Map;

/// Whether this process may make maps and load programs. Says why not.
///
/// # Panics
/// If it may not, and `USER_RINGBUF_REQUIRE_KERNEL=1`.
pub fn may_run() -> bool {
    let Err(why) = Map::create("", 1) else { return true };
    let required = std::env::var_os("USER_RINGBUF_REQUIRE_KERNEL").is_some_and(|value| value == "1");
    assert!(!required, "USER_RINGBUF_REQUIRE_KERNEL=1, but: {why}");
    skipped(&why.to_string());
    false
}

/// Says that something can't be tried here.
pub fn skipped(why: &str) {
    say(&format!("skipped: {why}\n"));
}

/// Prints past the harness, which hides what a test that passes prints.
pub fn say(text: &str) {
    let _ = std::io::stderr().write_all(text.as_bytes());
}

/// A bpffs mounted on a directory of its own, unmounted on drop. Needs `CAP_SYS_ADMIN`.
#[derive(Debug)]
pub struct Bpffs(PathBuf);

impl Bpffs {
    /// Mounts it.
    ///
    /// # Panics
    /// If the kernel does not let us.
    #[must_use]
    pub fn mount() -> Self {
        let path = std::env::temp_dir().join(format!("user-ringbuf-interop-{}", std::process::id()));
        std::fs::create_dir(&path).expect("a new directory");
        mount("bpf", &path, "bpf", MountFlags::empty(), None).expect("mounting a bpffs");
        Self(path)
    }

    /// The path of `name` in it.
    #[must_use]
    pub fn path(&self, name: impl AsRef<Path>) -> PathBuf {
        self.0.join(name)
    }
}

impl Drop for Bpffs {
    fn drop(&mut self) {
        let _ = unmount(&self.0, UnmountFlags::DETACH);
        let _ = std::fs::remove_dir(&self.0);
    }
}
