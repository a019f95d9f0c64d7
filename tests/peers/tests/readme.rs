//! The BPF half in the README, compiled by clang, loaded by libbpf and run by the kernel.

use std::ffi::OsStr;
use std::os::fd::AsFd;
use std::path::Path;
use std::process::{Command, Stdio};

use libbpf_rs::{MapCore, MapFlags, ObjectBuilder, ProgramInput};
use user_ringbuf_linux::{Map, Mapping, Producer};

/// The only block of C in the README.
fn source() -> String {
    let readme = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../README.md");
    let readme = std::fs::read_to_string(readme).unwrap();
    let (_, rest) = readme.split_once("\n```c\n").expect("the README has a block of C");
    let (source, _) = rest.split_once("\n```").expect("the block ends");
    source.to_string()
}

fn compile(object: &Path) {
    let source_file = object.with_extension("c");
    std::fs::write(&source_file, source()).unwrap();
    let status = Command::new("clang")
        .args(["-target", "bpf", "-O2", "-g", "-Wall", "-Wextra", "-Wno-unused-parameter", "-Werror", "-c"])
        // Debian keeps <asm/types.h> in a folder of the machine's.
        .arg(format!("-I/usr/include/{}-linux-gnu", std::env::consts::ARCH))
        .args([source_file.as_os_str(), OsStr::new("-o"), object.as_os_str()])
        .status()
        .unwrap();
    assert!(status.success(), "clang refuses the README's C, see above");
}

#[test]
fn the_readme_s_bpf_half_takes_the_samples_of_its_other_half() {
    let clang = Command::new("clang").arg("--version").stdout(Stdio::null()).status().is_ok();
    if !clang || !Path::new("/usr/include/bpf/bpf_helpers.h").exists() {
        user_ringbuf_kit::rights::skipped("needs clang and libbpf's headers");
        return;
    }
    user_ringbuf_kit::needs_bpf!();
    let file = Path::new(env!("CARGO_TARGET_TMPDIR")).join("readme.bpf.o");
    compile(&file);

    let object = ObjectBuilder::default().open_file(&file).unwrap().load().expect("the verifier takes it");
    let dispatches = object.maps().find(|map| map.name() == "dispatches").unwrap();
    let map = Map::from_borrowed(dispatches.as_fd()).unwrap();
    let mapping = Mapping::new(&map).unwrap();
    let mut producer = Producer::attach(&mapping).unwrap();
    for pid in 1_u64..=3 {
        producer.push(&[pid.to_ne_bytes(), [0; 8]].concat()).unwrap();
    }
    producer.push(b"too short").unwrap();

    let drain = object.progs_mut().find(|program| program.name() == "drain").unwrap();
    assert_eq!(drain.test_run(ProgramInput::default()).unwrap().return_value, 4, "samples handed over");
    let handled = object.maps().find(|map| map.name().to_string_lossy().ends_with(".bss")).unwrap();
    let handled = handled.lookup(&0_u32.to_ne_bytes(), MapFlags::ANY).unwrap().unwrap();
    assert_eq!(handled, 3_u64.to_ne_bytes(), "the short one is skipped");
    assert_eq!(producer.used().unwrap(), 0);
}
