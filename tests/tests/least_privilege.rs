//! The example agent, which holds a descriptor and no privilege, gets all its samples through.

use std::process::Command;

use user_ringbuf_tests::rights::may_admin;

/// Runs the example; its own exit status says whether the agent kept to what its filters allow.
fn run(flag: &str) -> String {
    let run = Command::new(env!("CARGO"))
        .args(["run", "--quiet", "--package", "user-ringbuf-linux", "--example", "least_privilege", "--"])
        .args(["--samples", "200000", flag])
        .current_dir(env!("CARGO_MANIFEST_DIR"))
        .output()
        .unwrap();
    let (out, err) = (String::from_utf8_lossy(&run.stdout), String::from_utf8_lossy(&run.stderr));
    assert!(run.status.success(), "{flag}: {out}{err}");
    out.into_owned()
}

#[test]
fn an_agent_without_privileges_attaches_and_produces_behind_its_filters() {
    if !may_admin() {
        return;
    }
    // With bpf(2), with it refused, and where calling it would be the end.
    for (flag, calls_bpf) in [("", true), ("--without-bpf", false), ("--via-fdinfo", false)] {
        let out = run(flag);
        assert!(out.contains("the kernel took 200000 samples"), "{flag}: {out}");
        let attaching = out.lines().find(|line| line.contains("attaching with")).unwrap();
        assert_eq!(attaching.contains("bpf"), calls_bpf, "{attaching}");
        let producing = out.lines().find(|line| line.contains("producing with")).unwrap();
        assert!(!producing.contains("mmap") && producing.contains("epoll_pwait2"), "{producing}");
    }
}
