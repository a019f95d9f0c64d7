//! The probe with all rights, with none, and with something in between.

use rustix::io::Errno;
use rustix::thread::{UnshareFlags, unshare_unsafe};
use user_ringbuf_kit::fork::ask;
use user_ringbuf_kit::needs_bpf;
use user_ringbuf_kit::rights::without_rights;
use user_ringbuf_kit::seccomp::without_bpf_call;
use user_ringbuf_linux::{Capability, Obstacle, Support, probe};

#[test]
fn with_rights_all_is_there() {
    needs_bpf!();
    let probe = probe();
    assert_eq!((probe.map_type, probe.drain_helper, probe.create), (Support::Yes, Support::Yes, Ok(())));
    assert_eq!(probe.page_size, rustix::param::page_size());
    let release = std::fs::read_to_string("/proc/sys/kernel/osrelease").unwrap();
    assert_eq!(probe.kernel.as_str(), release.trim());
}

/// What the kernel publishes about itself, where it does.
fn published() -> Support {
    if std::path::Path::new("/sys/kernel/btf/vmlinux").exists() { Support::Yes } else { Support::Unknown }
}

#[test]
fn without_rights_the_capability_is_named_and_support_is_still_found_out() {
    let unprivileged = std::fs::read_to_string("/proc/sys/kernel/unprivileged_bpf_disabled").unwrap();
    let unprivileged: u32 = unprivileged.trim().parse().unwrap();
    let probe = without_rights(probe);
    if unprivileged == 0 {
        assert_eq!(probe.create, Ok(()));
        return;
    }
    if probe.map_type == Support::No {
        return;
    }
    let obstacle = probe.create.unwrap_err();
    assert_eq!(
        obstacle,
        Obstacle::MissingCapability { capability: Capability::Bpf, unprivileged_bpf_disabled: Some(unprivileged) }
    );
    assert!(obstacle.to_string().contains("CAP_BPF"), "{obstacle}");
    assert_eq!((probe.map_type, probe.drain_helper), (published(), published()));
}

#[test]
fn a_seccomp_filter_is_told_from_missing_support() {
    needs_bpf!();
    for errno in [Errno::PERM, Errno::ACCESS, Errno::NOSYS] {
        let probe = without_bpf_call(errno, probe);
        assert_eq!(probe.create, Err(Obstacle::Seccomp), "{errno}");
        assert_eq!((probe.map_type, probe.drain_helper), (published(), published()), "{errno}");
    }
}

#[test]
fn capabilities_of_a_user_namespace_do_not_count() {
    needs_bpf!();
    let created = ask(|| {
        // SAFETY: the child has one thread, and shares nothing with others that it could unshare.
        unsafe { unshare_unsafe(UnshareFlags::NEWUSER) }.unwrap();
        // Root inside is root outside.
        std::fs::write("/proc/self/uid_map", "0 0 1").unwrap();
        format!("{:?}", probe().create)
    });
    assert_eq!(created, format!("{:?}", Err::<(), _>(Obstacle::UserNamespace)));
}
