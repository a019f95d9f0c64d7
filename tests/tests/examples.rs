//! The example programs do what they are there to show: on the real kernel, checked by their own exit status.

use std::process::Command;

use user_ringbuf_kit::bpffs::Bpffs;
use user_ringbuf_kit::needs_admin;

/// Runs an example and returns what it printed.
fn run(example: &str, arguments: &[&str]) -> String {
    let run = Command::new(env!("CARGO"))
        .args(["run", "--quiet", "--package", "user-ringbuf-linux", "--example", example, "--"])
        .args(arguments)
        .current_dir(env!("CARGO_MANIFEST_DIR"))
        .output()
        .unwrap();
    let (out, err) = (String::from_utf8_lossy(&run.stdout), String::from_utf8_lossy(&run.stderr));
    assert!(run.status.success(), "{example} {arguments:?}: {out}{err}");
    out.into_owned()
}

#[test]
fn an_agent_without_privileges_attaches_and_produces_behind_its_filters() {
    needs_admin!();
    // With bpf(2), with it refused, and where calling it would be the end.
    for (flag, calls_bpf) in [("", true), ("--without-bpf", false), ("--via-fdinfo", false)] {
        let out = run("least-privilege", &["--samples", "200000", flag]);
        assert!(out.contains("the kernel took 200000 samples"), "{flag}: {out}");
        let attaching = out.lines().find(|line| line.contains("attaching with")).unwrap();
        assert_eq!(attaching.contains("bpf"), calls_bpf, "{attaching}");
        let producing = out.lines().find(|line| line.contains("producing with")).unwrap();
        assert!(!producing.contains("mmap") && producing.contains("epoll_pwait2"), "{producing}");
    }
}

#[test]
fn a_sensor_follows_its_pin_to_a_new_ring_and_ends_when_told() {
    needs_admin!();
    let bpffs = Bpffs::mount();
    let pin = bpffs.path("ring");
    for arguments in [&[][..], &["--pin", pin.to_str().unwrap()]] {
        let out = run("sensor", arguments);
        assert_eq!(out.matches("the sensor publishes into ring ").count(), 2, "{out}");
        assert!(out.contains("readings of 40 bytes, all received, in order"), "{out}");
    }
    assert!(!pin.exists(), "it removes its pin");
}

#[test]
fn structs_arrive_as_they_were_written() {
    needs_admin!();
    let lines = [
        "pid: 1, cpu: 0, flags: 0 } \"\"",
        "pid: 2, cpu: 3, flags: 0 } \"\"",
        "pid: 4, cpu: 1, flags: 1 } \"migrate\"",
    ];
    let expected: String = lines.iter().map(|line| format!("Dispatch {{ {line}\n")).collect();
    assert_eq!(run("structs", &[]), expected);
}
