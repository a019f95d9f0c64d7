//! Compiles the BPF programs of the examples: `examples/NAME.bpf.c` to `$OUT_DIR/NAME.bpf.o`.

use std::env::var;
use std::ffi::OsStr;
use std::path::Path;
use std::process::Command;

fn main() {
    println!("cargo::rerun-if-changed=examples");
    println!("cargo::rerun-if-env-changed=CLANG");
    let clang = var("CLANG").unwrap_or_else(|_| "clang".to_owned());
    let (out, arch) = (var("OUT_DIR").expect("set by cargo"), var("CARGO_CFG_TARGET_ARCH").expect("set by cargo"));
    for entry in Path::new("examples").read_dir().expect("the examples are there") {
        let source = entry.expect("readable").path();
        let Some(name) = source.file_name().and_then(OsStr::to_str).and_then(|name| name.strip_suffix(".bpf.c")) else {
            continue;
        };
        let mut compile = Command::new(&clang);
        compile.args(["-target", "bpf", "-g", "-O2", "-Wall", "-Werror"]);
        // Which system calls' names BPF programs attach to, and where Debian has the headers of <linux/bpf.h>.
        compile.arg(format!("-D__TARGET_ARCH_{arch}")).arg(format!("-I/usr/include/{arch}-linux-gnu"));
        compile.arg("-c").arg(&source).arg("-o").arg(format!("{out}/{name}.bpf.o"));
        match compile.status() {
            Ok(status) if status.success() => {}
            Ok(_) => panic!("{} does not compile", source.display()),
            Err(error) => panic!("{clang}: {error}; Debian's packages are clang, libbpf-dev and linux-libc-dev"),
        }
    }
}
