//! A place for pins that no one else sees.

use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU32, Ordering};

use rustix::mount::{MountFlags, UnmountFlags, mount, unmount};

/// A directory of its own, removed with all that is in it on drop.
#[derive(Debug)]
pub struct Directory {
    path: PathBuf,
}

impl Directory {
    /// Makes a new, empty directory that everyone may enter.
    ///
    /// # Panics
    /// If it can't be made.
    #[expect(clippy::new_without_default, reason = "it touches the file system")]
    pub fn new() -> Self {
        static COUNT: AtomicU32 = AtomicU32::new(0);
        // Relaxed: only that the numbers differ.
        let count = COUNT.fetch_add(1, Ordering::Relaxed);
        let path = std::env::temp_dir().join(format!("user-ringbuf-tests-{}-{count}", std::process::id()));
        std::fs::create_dir(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
        let everyone = std::os::unix::fs::PermissionsExt::from_mode(0o755);
        std::fs::set_permissions(&path, everyone).expect("the directory is ours");
        Self { path }
    }

    /// The path of `name` in it.
    pub fn path(&self, name: impl AsRef<Path>) -> PathBuf {
        self.path.join(name)
    }
}

impl Drop for Directory {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.path);
    }
}

/// A bpffs mounted on a directory of its own, unmounted on drop. Needs `CAP_SYS_ADMIN`.
#[derive(Debug)]
pub struct Bpffs {
    directory: Directory,
}

impl Bpffs {
    /// Mounts it.
    ///
    /// # Panics
    /// If the kernel does not let us.
    pub fn mount() -> Self {
        let directory = Directory::new();
        mount("bpf", &directory.path, "bpf", MountFlags::empty(), None).expect("mounting a bpffs");
        Self { directory }
    }

    /// The path of `name` in it.
    pub fn path(&self, name: impl AsRef<Path>) -> PathBuf {
        self.directory.path(name)
    }
}

impl Drop for Bpffs {
    fn drop(&mut self) {
        // Before the directory goes: what is pinned there goes with the mount.
        let _ = unmount(&self.directory.path, UnmountFlags::DETACH);
    }
}
