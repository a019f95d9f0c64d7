//! Where BPF programs are interpreted, no program that drains can be loaded: the library and the command say so, and what
//! to set.

use std::process::{Command, Output};

use serde_json::Value;
use user_ringbuf_kit::bpffs::Directory;
use user_ringbuf_kit::interpreter::without_jit;
use user_ringbuf_kit::{needs_admin, needs_bpf};
use user_ringbuf_linux::{DrainError, DrainProgram, Map, Support, probe};

const JIT_ENABLE: &str = "/proc/sys/net/core/bpf_jit_enable";
const REMEDY: &str = "sysctl -w net.core.bpf_jit_enable=1";

/// What the machine that runs the test has in truth.
fn jit_enable() -> Option<u32> {
    std::fs::read_to_string(JIT_ENABLE).ok().and_then(|text| text.trim().parse().ok())
}

#[test]
fn a_drain_program_that_would_be_interpreted_is_refused_with_the_value_of_the_sysctl() {
    needs_bpf!();
    let map = Map::create("no_jit", 1).unwrap();
    for log in [0, 4096] {
        let loads = [DrainProgram::load, DrainProgram::load_troublesome];
        for load in loads {
            let error = without_jit(|| load(&map, log)).unwrap_err();
            assert_eq!(error, DrainError::NoJit { jit_enable: jit_enable() });
        }
        DrainProgram::load(&map, log).unwrap();
    }
}

#[test]
fn a_probe_tries_a_program_with_a_callback_and_believes_that_rather_than_the_sysctl() {
    needs_bpf!();
    let with = probe();
    assert_eq!((with.jit, with.jit_enable), (Support::Yes, jit_enable()));
    let without = without_jit(probe);
    assert_eq!((without.jit, without.drain_helper, without.create), (Support::No, Support::Yes, Ok(())));
}

/// Runs the command where `net.core.bpf_jit_enable` reads `value`: in a mount namespace of its own.
fn where_it_reads(value: &str, before: &str, args: &str) -> Output {
    let directory = Directory::new();
    std::fs::write(directory.path("bpf_jit_enable"), value).unwrap();
    // From a place where user nobody may run it, too.
    let script = format!(
        "mount --bind {planted} {JIT_ENABLE} && cp {command} {here}/command && cd / && exec {before} {here}/command {args}",
        planted = directory.path("bpf_jit_enable").display(),
        here = directory.path("").display(),
        command = env!("CARGO_BIN_EXE_command"),
    );
    Command::new("unshare").args(["--mount", "sh", "-c", &script]).output().unwrap()
}

fn json(run: &Output) -> Value {
    serde_json::from_slice(&run.stdout).unwrap_or_else(|error| panic!("{error}: {run:?}"))
}

#[test]
fn the_command_says_that_the_jit_is_off_and_which_sysctl_switches_it_on() {
    needs_admin!();
    let off = |args: &str| without_jit(|| where_it_reads("0\n", "", args));

    let probed = json(&off("probe --json"));
    assert_eq!((&probed["jit"], &probed["jit_enable"], &probed["may_create"]), (&"no".into(), &0.into(), &true.into()));
    assert!(probed["jit_obstacle"].as_str().unwrap().contains(REMEDY), "{probed}");
    let words = off("probe");
    let words = String::from_utf8_lossy(&words.stdout);
    assert!(words.contains("net.core.bpf_jit_enable is 0") && words.contains(REMEDY), "{words}");

    let demo = off("demo --backend linux --samples 10");
    let error = String::from_utf8_lossy(&demo.stderr);
    assert_eq!(demo.status.code(), Some(1));
    assert!(error.contains(REMEDY) && error.contains("--backend sim"), "{error}");

    let demo = off("demo --samples 10 --json");
    let error = String::from_utf8_lossy(&demo.stderr);
    assert!(error.contains("backend sim, not linux") && error.contains(REMEDY), "{error}");
    assert_eq!((demo.status.code(), &json(&demo)["backend"]), (Some(0), &"sim".into()));
}

#[test]
fn a_ring_can_not_be_drained_by_the_command_and_it_says_which_sysctl_to_set() {
    needs_admin!();
    let map = Map::create("no_jit", 1).unwrap();
    let drain = without_jit(|| where_it_reads("0\n", "", &format!("drain --id {} --json", map.id())));
    let error = String::from_utf8_lossy(&drain.stderr);
    assert!(error.contains("cannot drain the ring with id") && error.contains(REMEDY), "{error}");
    assert_eq!(drain.status.code(), Some(1));
    assert!(json(&drain)["error"].as_str().unwrap().contains(REMEDY));
}

#[test]
fn without_rights_the_sysctl_is_all_there_is_to_go_by() {
    needs_admin!();
    let nobody = "setpriv --reuid=65534 --regid=65534 --clear-groups --bounding-set=-all --inh-caps=-all --";
    for (value, jit) in [("0\n", "no"), ("1\n", "yes"), ("2\n", "yes"), ("", "unknown"), ("on\n", "unknown")] {
        let probed = json(&where_it_reads(value, nobody, "probe --json"));
        assert_eq!(probed["jit"], jit, "{value:?}: {probed}");
        assert_eq!(probed["jit_enable"].as_u64(), value.trim().parse().ok(), "{value:?}: {probed}");
        assert_eq!(probed["jit_obstacle"].is_null(), jit != "no", "{value:?}: {probed}");
    }
}
