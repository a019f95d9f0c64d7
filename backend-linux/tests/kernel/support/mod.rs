//! What the kernel tests share: rights, a bpffs of one's own, and BPF objects of other kinds.

pub(crate) mod objects;
pub(crate) mod ring;

use std::ffi::CString;
use std::path::{Path, PathBuf};

use rustix::mount::{MountFlags, UnmountFlags};
use rustix::thread::{CapabilitySet, CapabilitySets, capabilities, set_capabilities};

/// Whether this process may do what a test needs.
///
/// Where it may not, this prints that the test was skipped and why; under `USER_RINGBUF_REQUIRE_KERNEL=1` it panics.
pub(crate) fn may(needs: CapabilitySet) -> bool {
    let has = capabilities(None).is_ok_and(|sets| {
        let admin = sets.effective.contains(CapabilitySet::SYS_ADMIN);
        sets.effective.contains(needs) || (admin && needs == CapabilitySet::BPF)
    });
    let why = if !has {
        let names = needs.iter_names().map(|(name, _)| format!("CAP_{name}")).collect::<Vec<_>>();
        format!("needs {}, and this process lacks it", names.join(" and "))
    } else if let Err(error) = user_ringbuf_linux::Map::create("", 1) {
        format!("needs a user ring buffer, and making one failed: {error}")
    } else {
        return true;
    };
    let required = std::env::var_os("USER_RINGBUF_REQUIRE_KERNEL").is_some_and(|value| value == "1");
    assert!(!required, "USER_RINGBUF_REQUIRE_KERNEL=1, but the test {why}");
    // Written directly, so that it shows although the test passes.
    let mut stderr = std::io::stderr();
    let _ = std::io::Write::write_all(&mut stderr, format!("skipped: {why}\n").as_bytes());
    false
}

/// Whether the process may make maps and load programs.
pub(crate) fn may_bpf() -> bool {
    may(CapabilitySet::BPF)
}

/// Whether the process may also mount and open objects by id.
pub(crate) fn may_admin() -> bool {
    may(CapabilitySet::BPF | CapabilitySet::SYS_ADMIN)
}

/// Runs `work` on a thread without any capability.
pub(crate) fn without_rights<T: Send>(work: impl FnOnce() -> T + Send) -> T {
    std::thread::scope(|scope| {
        scope
            .spawn(|| {
                let none = CapabilitySet::empty();
                set_capabilities(None, CapabilitySets { effective: none, permitted: none, inheritable: none }).unwrap();
                work()
            })
            .join()
            .unwrap()
    })
}

/// Runs `work` on a thread in which a seccomp filter answers `bpf(2)` with `errno`.
pub(crate) fn without_bpf_call<T: Send>(errno: rustix::io::Errno, work: impl FnOnce() -> T + Send) -> T {
    const LOAD_WORD: u16 = 0x20;
    const JUMP_EQUAL: u16 = 0x15;
    const RETURN: u16 = 0x06;
    const ALLOW: u32 = 0x7fff_0000;
    const ERRNO: u32 = 0x0005_0000;
    let number = u32::try_from(libc::SYS_bpf).unwrap();
    let errno = u32::try_from(errno.raw_os_error()).unwrap();
    let statement = |code, jt, jf, k| libc::sock_filter { code, jt, jf, k };
    let mut filter = [
        statement(LOAD_WORD, 0, 0, 0),
        statement(JUMP_EQUAL, 0, 1, number),
        statement(RETURN, 0, 0, ERRNO | errno),
        statement(RETURN, 0, 0, ALLOW),
    ];
    std::thread::scope(|scope| {
        scope
            .spawn(move || {
                rustix::thread::set_no_new_privs(true).unwrap();
                let program = libc::sock_fprog { len: 4, filter: filter.as_mut_ptr() };
                // SAFETY: the filter lives across the call; it binds this thread only.
                let answer = unsafe { libc::syscall(libc::SYS_seccomp, 1, 0, &raw const program) };
                assert_eq!(answer, 0, "seccomp");
                work()
            })
            .join()
            .unwrap()
    })
}

/// A bpffs in a directory of its own, unmounted and removed on drop.
pub(crate) struct Bpffs {
    path: PathBuf,
}

impl Bpffs {
    pub(crate) fn mount() -> Self {
        let path = fresh_directory();
        rustix::mount::mount("bpf", &path, "bpf", MountFlags::empty(), None).unwrap();
        Self { path }
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.path.join(name)
    }
}

impl Drop for Bpffs {
    fn drop(&mut self) {
        rustix::mount::unmount(&self.path, UnmountFlags::DETACH).unwrap();
        std::fs::remove_dir(&self.path).unwrap();
    }
}

/// A new, empty directory.
pub(crate) fn fresh_directory() -> PathBuf {
    use std::sync::atomic::{AtomicU32, Ordering};
    static COUNT: AtomicU32 = AtomicU32::new(0);
    // A counter only: it orders nothing.
    let count = COUNT.fetch_add(1, Ordering::Relaxed);
    let path = std::env::temp_dir().join(format!("user-ringbuf-{}-{count}", std::process::id()));
    std::fs::create_dir(&path).unwrap();
    path
}

/// A path as a C string.
pub(crate) fn c_path(path: &Path) -> CString {
    CString::new(path.to_str().unwrap()).unwrap()
}
