//! Directories and mounts that no other test sees.

use std::fs::Permissions;
use std::ops::Deref;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use rustix::mount::{MountFlags, UnmountFlags, mount, unmount};
use tempfile::TempDir;

/// An empty directory that every user may enter, removed with its contents on drop.
#[derive(Debug)]
pub struct Directory(TempDir);

impl Directory {
    /// Makes the directory.
    ///
    /// # Panics
    /// If it can't be made.
    #[expect(clippy::new_without_default, reason = "it touches the file system")]
    pub fn new() -> Self {
        let everyone = Permissions::from_mode(0o755);
        Self(tempfile::Builder::new().prefix("user-ringbuf-").permissions(everyone).tempdir().expect("a directory"))
    }

    /// The path of `name` in it; of the directory itself for an empty name.
    pub fn path(&self, name: impl AsRef<Path>) -> PathBuf {
        self.0.path().join(name)
    }

    /// The path of `name` in it, as text.
    ///
    /// # Panics
    /// If the path is not UTF-8.
    pub fn text(&self, name: impl AsRef<Path>) -> String {
        self.path(name).into_os_string().into_string().expect("a path in UTF-8")
    }
}

/// A bpffs mounted on a [`Directory`] and unmounted on drop. Needs `CAP_SYS_ADMIN`.
#[derive(Debug)]
pub struct Bpffs(Directory);

impl Bpffs {
    /// Mounts it.
    ///
    /// # Panics
    /// If the kernel refuses.
    pub fn mount() -> Self {
        let directory = Directory::new();
        mount("bpf", directory.0.path(), "bpf", MountFlags::empty(), None).expect("mounting a bpffs");
        Self(directory)
    }
}

impl Deref for Bpffs {
    type Target = Directory;

    fn deref(&self) -> &Directory {
        &self.0
    }
}

impl Drop for Bpffs {
    fn drop(&mut self) {
        // Before the directory is removed. The pins go with the mount.
        let _ = unmount(self.0.0.path(), UnmountFlags::DETACH);
    }
}
