//! Structs as samples, by zerocopy: copied in, written in place, and with a tail of any length.
//!
//! ```sh
//! cargo build -p user-ringbuf-linux --example structs
//! sudo target/debug/examples/structs
//! ```
//!
//! The BPF program knows the same struct:
//!
//! ```c
//! struct dispatch {
//!         __u64 pid;
//!         __u32 cpu;
//!         __u32 flags;
//! };
//! ```
//!
//! Samples begin at a multiple of 8 bytes, so any struct whose alignment is at most 8 can be written in place. What
//! zerocopy's derives refuse at compile time (padding, references) or only allow one way (`bool`, enums) is what the BPF
//! program would read wrongly; GUIDE.md has the list.

use std::process::ExitCode;

use user_ringbuf_linux::{DrainOptions, DrainProgram, Map, Mapping, Producer};
use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout};

type Failure = Box<dyn std::error::Error>;

/// `struct dispatch` of the BPF program.
#[derive(Debug, PartialEq, FromBytes, IntoBytes, Immutable, KnownLayout)]
#[repr(C)]
struct Dispatch {
    pid: u64,
    cpu: u32,
    flags: u32,
}

fn main() -> ExitCode {
    match run() {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("structs: {error}");
            ExitCode::FAILURE
        }
    }
}

fn run() -> Result<(), Failure> {
    let map = Map::create("structs", 4096)?;
    let mut kernel = DrainProgram::load(&map, 4096)?;
    let mapping = Mapping::new(&map)?;
    let mut producer = Producer::attach(&mapping)?;

    // Copied in.
    producer.push(Dispatch { pid: 1, cpu: 0, flags: 0 }.as_bytes())?;

    // In place. The bytes are an earlier sample's, so write the whole struct, not some fields.
    let mut sample = producer.reserve(size_of::<Dispatch>())?;
    let dispatch = Dispatch::mut_from_bytes(&mut sample).map_err(|error| error.to_string())?;
    *dispatch = Dispatch { pid: 2, cpu: 3, flags: 0 };
    sample.submit();

    // With a tail, as `struct note { struct dispatch head; char text[]; };`: the sample's length says where it ends.
    let text = b"migrate";
    let mut sample = producer.reserve(size_of::<Dispatch>() + text.len())?;
    let (head, tail) = Dispatch::mut_from_prefix(&mut sample).map_err(|error| error.to_string())?;
    *head = Dispatch { pid: 4, cpu: 1, flags: 1 };
    tail.copy_from_slice(text);
    sample.submit();

    let drained = kernel.run(&DrainOptions::new())?;
    drained.returned()?;
    for sample in drained.samples() {
        // The BPF program's side of it: the beginning is a dispatch, what follows is the tail.
        let (dispatch, text) = Dispatch::read_from_prefix(sample).map_err(|error| error.to_string())?;
        println!("{dispatch:?} {:?}", text.escape_ascii().to_string());
    }
    Ok(())
}
