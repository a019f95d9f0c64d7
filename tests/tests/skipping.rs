//! Without rights the kernel tests say that they were skipped; where the kernel is required they fail.

use user_ringbuf_kit::rights::as_nobody;
use user_ringbuf_kit::{needs_admin, needs_bpf};
use user_ringbuf_tests::ring::Ring;

/// A kernel test like any other, which the one below runs as user nobody.
#[test]
fn a_kernel_test() {
    needs_bpf!();
    assert!(Ring::of_a_page().drain().is_empty());
}

#[test]
fn without_rights_kernel_tests_say_that_they_were_skipped_and_fail_where_the_kernel_is_required() {
    needs_admin!();
    for (required, status, says) in [
        (None, 0, "skipped: needs CAP_BPF"),
        (Some("0"), 0, "skipped: needs CAP_BPF"),
        (Some("1"), 101, "USER_RINGBUF_REQUIRE_KERNEL=1, but this test needs CAP_BPF"),
    ] {
        let (_copy, mut command) = as_nobody(std::env::current_exe().unwrap());
        command.args(["--exact", "a_kernel_test"]).env_remove("USER_RINGBUF_REQUIRE_KERNEL");
        command.envs(required.map(|value| ("USER_RINGBUF_REQUIRE_KERNEL", value)));
        let run = command.output().expect("setpriv (of util-linux) runs");
        let said = [run.stdout, run.stderr].map(|text| String::from_utf8(text).unwrap()).concat();
        assert_eq!(run.status.code(), Some(status), "{said}");
        assert!(said.contains(says), "{said}");
        assert!(status != 0 || said.contains("1 passed"), "{said}");
    }
}
