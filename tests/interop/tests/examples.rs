//! Runs every example on the real kernel, and compares what it prints.

use std::io::{BufRead, BufReader, Write};
use std::net::TcpStream;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};

use user_ringbuf_kit::bpffs::Bpffs;
use user_ringbuf_kit::rights::{may_bpf, skipped};
use user_ringbuf_kit::{needs_admin, needs_bpf};
use user_ringbuf_linux::{DrainOptions, DrainProgram, Map};

/// The example's binary.
fn example(name: &str) -> Command {
    let test = std::env::current_exe().unwrap();
    let target: PathBuf = test.ancestors().nth(2).unwrap().join("examples").join(name);
    assert!(target.exists(), "{} is not built: cargo build --examples", target.display());
    Command::new(target)
}

#[track_caller]
fn check(name: &str, arguments: &[&str], expected: &str) {
    needs_bpf!();
    let run = example(name).args(arguments).output().unwrap();
    let (out, err) = (String::from_utf8_lossy(&run.stdout), String::from_utf8_lossy(&run.stderr));
    assert!(run.status.success(), "{}\n{out}{err}", run.status);
    assert_eq!(out, expected);
    // What differs from run to run, past the harness, which hides what a test prints that passes: how long it took.
    let _ = std::io::stderr().write_all(err.as_bytes());
}

/// What libbpf says behind `refused`, if the kernel refused a program of the example.
fn refusal(name: &str, arguments: &[&str], refused: &str) -> Option<String> {
    let run = example(name).args(arguments).output().unwrap();
    let err = String::from_utf8_lossy(&run.stderr);
    err.lines().find_map(|line| line.split_once(refused)).map(|(_, why)| why.to_owned())
}

#[test]
fn aya_gets_answers_to_its_requests() {
    check(
        "with_aya",
        &[],
        "requests has 131072 bytes\n\
         2 requests drained\n\
         response 1: 42\n\
         response 2: 1000000\n",
    );
}

#[test]
fn libbpf_rs_lends_maps_and_takes_ours() {
    check(
        "with_libbpf_rs",
        &[],
        "object: readings has 131072 bytes\n\
         object: the program has added up 6\n\
         handle: the program has added up 10\n\
         reused: the program has added up 15\n",
    );
}

#[test]
fn a_program_drains_the_ring_that_it_finds_by_its_key() {
    check(
        "map_of_rings",
        &[],
        "connection 7: 42\n\
         connection 8: 58\n\
         connection 7, moved to a larger ring: 1000\n\
         connection 9: no ring\n",
    );
}

#[test]
fn each_trigger_drains_what_was_published_for_it() {
    check(
        "triggers",
        &[],
        "on demand:    1 policies\n\
         at each exec: 2 policies\n\
         at getpgid:   0 policies\n\
         by the timer: 9 policies\n",
    );
}

#[test]
fn a_system_call_drains_where_the_kernel_takes_fentry_programs() {
    let refused = "prog 'on_getpgid': BPF program load failed: ";
    if let Some(why) = may_bpf().then(|| refusal("triggers", &["--fentry"], refused)).flatten() {
        skipped(&format!("this kernel takes no fentry programs: {why}"));
        return;
    }
    check(
        "triggers",
        &["--fentry"],
        "on demand:    1 policies\n\
         at each exec: 2 policies\n\
         at getpgid:   3 policies\n\
         by the timer: 9 policies\n",
    );
}

#[test]
fn ten_million_dispatches_arrive_and_only_the_drains_are_system_calls() {
    check(
        "dispatches",
        &[],
        "10000000 dispatches of 40 bytes: 0 lost, 0 out of order\n\
         10000000 drains: 0 failed\n\
         0 other system calls\n",
    );
}

/// A service that is ended with the test.
struct Running(Child);

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

#[test]
fn the_service_answers_when_the_real_kernel_has_taken_a_policy() {
    needs_admin!();
    let bpffs = Bpffs::mount();
    let map = Map::create("policies", 4096).unwrap();
    map.pin(bpffs.path("policies")).unwrap();
    let mut drain = DrainProgram::load(&map, 4096).unwrap();

    let mut service = example("service");
    service.arg(bpffs.path("policies")).arg("127.0.0.1:0").stdout(Stdio::piped());
    let mut service = Running(service.spawn().unwrap());
    let mut said = String::new();
    BufReader::new(service.0.stdout.take().unwrap()).read_line(&mut said).unwrap();
    let mut client = TcpStream::connect(said.trim().strip_prefix("listening on ").unwrap()).unwrap();
    client.write_all(b"1000 64\n").unwrap();

    let mut taken = Vec::new();
    while taken.is_empty() {
        taken.extend(drain.run(&DrainOptions::new()).unwrap().samples().map(<[u8]>::to_vec));
    }
    assert_eq!(taken, [[1000_u32.to_ne_bytes(), 64_u32.to_ne_bytes()].concat()]);
    let mut answer = String::new();
    BufReader::new(client).read_line(&mut answer).unwrap();
    assert_eq!(answer, "taken\n");
}
