//! Without rights the kernel tests say that they were skipped; where the kernel is required they fail.

use std::process::{Command, Output};

use user_ringbuf_kit::bpffs::Directory;
use user_ringbuf_kit::rights::{may_admin, may_bpf};
use user_ringbuf_tests::ring::Ring;

/// A kernel test like any other, which the one below runs as user nobody.
#[test]
fn a_kernel_test() {
    if !may_bpf() {
        return;
    }
    assert!(Ring::of_a_page().drain().is_empty());
}

/// Runs [`a_kernel_test`] of this very binary as user nobody without capabilities.
fn as_nobody(binary: &std::path::Path, require: Option<&str>) -> Output {
    let mut command = Command::new("setpriv");
    command.args(["--reuid=65534", "--clear-groups", "--bounding-set=-all", "--"]).arg(binary);
    command.args(["--exact", "a_kernel_test"]).env_remove("USER_RINGBUF_REQUIRE_KERNEL");
    command.envs(require.map(|value| ("USER_RINGBUF_REQUIRE_KERNEL", value)));
    command.output().expect("setpriv (of util-linux) runs")
}

#[test]
fn without_rights_kernel_tests_say_that_they_were_skipped_and_fail_where_the_kernel_is_required() {
    if !may_admin() {
        return;
    }
    let directory = Directory::new();
    let binary = directory.path("kernel-test");
    std::fs::copy(std::env::current_exe().unwrap(), &binary).unwrap();

    for require in [None, Some("0")] {
        let run = as_nobody(&binary, require);
        let (out, err) = (String::from_utf8_lossy(&run.stdout), String::from_utf8_lossy(&run.stderr));
        assert!(run.status.success(), "{out}{err}");
        assert!(out.contains("1 passed"), "{out}");
        assert!(err.contains("skipped: needs CAP_BPF"), "{err}");
    }

    let run = as_nobody(&binary, Some("1"));
    let (out, err) = (String::from_utf8_lossy(&run.stdout), String::from_utf8_lossy(&run.stderr));
    assert_eq!(run.status.code(), Some(101), "{out}{err}");
    assert!(out.contains("USER_RINGBUF_REQUIRE_KERNEL=1, but this test needs CAP_BPF"), "{out}{err}");
}
