//! The privileged half of a pair: it makes a ring, starts a program that has no right at all, hands it the ring's descriptor over
//! a Unix socket, and drains what the program publishes. The other half is `examples/smallest-agent`, or any program
//! that takes one descriptor from its standard input and publishes its readings.
//!
//! ```sh
//! cargo build --release -p user-ringbuf-linux --example hand_over
//! (cd backend-linux/examples/smallest-agent && cargo build --release)
//! sudo target/release/examples/hand_over \
//!     backend-linux/examples/smallest-agent/target/x86_64-unknown-linux-musl/release/smallest-agent 1000000
//! ```
//!
//! It checks each sample, and prints how many there were and how much memory the program took. For half a second
//! nothing is drained, so that the program has to wait for room.

use std::ffi::OsString;
use std::fs;
use std::io::IoSlice;
use std::mem::MaybeUninit;
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::net::UnixStream;
use std::process::{Child, Command, ExitCode};
use std::thread::sleep;
use std::time::Duration;

use rustix::net::{SendAncillaryBuffer, SendAncillaryMessage, SendFlags, sendmsg};
use user_ringbuf_linux::{DrainOptions, DrainProgram, Map};
use zerocopy::{FromBytes, Immutable, KnownLayout};

type Failure = Box<dyn std::error::Error>;

/// What the program publishes: `struct reading { __u64 number; __u64 value; };`
#[derive(FromBytes, Immutable, KnownLayout)]
#[repr(C)]
struct Reading {
    number: u64,
    value: u64,
}

const RING: u64 = 64 * 1024;

fn main() -> ExitCode {
    let mut arguments = std::env::args_os().skip(1);
    let Some(program) = arguments.next() else {
        eprintln!("usage: hand_over PROGRAM [ARGUMENT...]");
        return ExitCode::from(2);
    };
    match run(program, arguments) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("hand_over: {error}");
            ExitCode::FAILURE
        }
    }
}

fn run(program: OsString, arguments: impl Iterator<Item = OsString>) -> Result<(), Failure> {
    let map = Map::create("hand_over", RING)?;
    let mut drain = DrainProgram::load(&map, 4 << 20)?;
    // The consumer and the producer page, and the data twice.
    let mapped = 2 * (rustix::param::page_size() as u64 + RING);
    let (ours, theirs) = UnixStream::pair()?;
    let mut child = Command::new(program).args(arguments).stdin(OwnedFd::from(theirs)).spawn()?;
    hand_over(&ours, &map)?;

    // It fills the ring, and waits.
    sleep(Duration::from_millis(500));
    let waiting = Memory::of(&child);
    let mut peak = waiting;
    let mut next = 0;
    loop {
        peak = peak.max(Memory::of(&child));
        // Looked at before the drain, so that nothing comes behind the last one.
        let ended = child.try_wait()?;
        next = receive(&mut drain, next)?;
        if let Some(status) = ended {
            println!("samples   {next}");
            println!("ring      {} KiB mapped", mapped / 1024);
            println!("resident  {} KiB while the program waits, the ring included", waiting.resident);
            println!("peak      {} KiB", peak.peak);
            return if status.success() { Ok(()) } else { Err(format!("the program ended with {status}").into()) };
        }
    }
}

/// Sends the map's descriptor, with one byte to carry it.
fn hand_over(socket: &UnixStream, map: &Map) -> Result<(), Failure> {
    let descriptors = [map.as_fd()];
    let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(1))];
    let mut control = SendAncillaryBuffer::new(&mut space);
    if !control.push(SendAncillaryMessage::ScmRights(&descriptors)) {
        return Err("a descriptor does not fit into its message".into());
    }
    sendmsg(socket, &[IoSlice::new(&[0])], &mut control, SendFlags::empty())?;
    Ok(())
}

/// Drains once, and checks that readings from number `next` on came. Returns the number that is due then.
fn receive(drain: &mut DrainProgram, mut next: u64) -> Result<u64, Failure> {
    // As many as the log has room for, and with a wakeup for the program.
    let drained = drain.run(&DrainOptions::new().stop_after(100_000))?;
    drained.returned()?;
    for sample in drained.samples() {
        match Reading::ref_from_bytes(sample) {
            Ok(Reading { number, value }) if *number == next && *value == next.wrapping_mul(next) => next += 1,
            _ => return Err(format!("reading {next} came as {sample:?}").into()),
        }
    }
    Ok(next)
}

/// What the kernel counts of a process's memory, in KiB; nothing once it has ended.
#[derive(Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord)]
struct Memory {
    peak: u64,
    resident: u64,
}

impl Memory {
    fn of(child: &Child) -> Self {
        let status = fs::read_to_string(format!("/proc/{}/status", child.id())).unwrap_or_default();
        let field = |name: &str| {
            let value = status.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(':'));
            value.and_then(|value| value.split_whitespace().next()?.parse().ok()).unwrap_or(0)
        };
        Self { peak: field("VmHWM"), resident: field("VmRSS") }
    }
}
