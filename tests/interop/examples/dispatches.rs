//! A scheduler's user-space half, as scx_rustland_core has it: dispatches of 40 bytes, all memory locked, and a seccomp filter
//! that forbids asking for more. Its BPF half takes one dispatch per drain and wakes nobody.
//!
//! ```sh
//! cargo run --release --example dispatches             # as root: 10,000,000 dispatches
//! cargo run --release --example dispatches -- 1000000
//! ```

use std::time::Instant;

use anyhow::{Context, ensure};
use libbpf_rs::{MapCore, MapFlags, ObjectBuilder};
use rustix::mm::{MlockAllFlags, mlockall};
use seccompiler::{BpfProgram, SeccompAction, SeccompFilter};
use user_ringbuf_linux::{Map, Mapping, Producer};
use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout};

/// `struct dispatch` of the BPF program.
#[derive(IntoBytes, Immutable)]
#[repr(C)]
struct Dispatch {
    pid: i32,
    cpu: i32,
    flags: u64,
    slice_ns: u64,
    vtime: u64,
    cpumask_cnt: u64,
}

/// `struct counters` of the BPF program.
#[derive(Default, IntoBytes, FromBytes, Immutable, KnownLayout)]
#[repr(C)]
struct Counters {
    taken: u64,
    wrong: u64,
    drains: u64,
    failed: u64,
    others: u64,
}

fn main() -> anyhow::Result<()> {
    let dispatches: u64 = std::env::args().nth(1).map_or(Ok(10_000_000), |count| count.parse())?;

    let mut open =
        ObjectBuilder::default().open_memory(include_bytes!(concat!(env!("OUT_DIR"), "/dispatches.bpf.o")))?;
    // `scheduler` and `trigger` are all that the program has in .rodata.
    let constants = [std::process::id(), u32::try_from(libc::SYS_getppid)?];
    let mut rodata =
        open.maps_mut().find(|map| map.name().to_string_lossy().ends_with(".rodata")).context("no constants")?;
    rodata.initial_value_mut().context("no constants")?.copy_from_slice(constants.as_bytes());
    let object = open.load()?;
    let _link = object.progs_mut().next().context("no program")?.attach()?;
    let counters = object.maps().find(|map| map.name() == "counters_map").context("no map 'counters_map'")?;
    let dispatched = object.maps().find(|map| map.name() == "dispatched").context("no map 'dispatched'")?;

    // Attaching maps the ring, all of it populated: from here on it needs neither memory nor system calls.
    let mapping = Mapping::new(&Map::from_borrowed(&dispatched)?)?;
    let mut producer = Producer::attach(&mapping)?;
    mlockall(MlockAllFlags::CURRENT | MlockAllFlags::FUTURE)?;
    kill_whoever_asks_for_memory()?;

    let began = Instant::now();
    let key = 0_u32.to_ne_bytes();
    counters.update(&key, Counters::default().as_bytes(), MapFlags::ANY)?;
    for number in 0..dispatches {
        let dispatch = Dispatch { pid: 1, cpu: -1, flags: 0, slice_ns: 5_000_000, vtime: number, cpumask_cnt: 0 };
        while let Err(error) = producer.push(dispatch.as_bytes()) {
            ensure!(error.is_full(), error);
            drain();
        }
    }
    while !producer.is_consumed(producer.position()) {
        drain();
    }
    let counted = counters.lookup(&key, MapFlags::ANY)?.context("no counters")?;
    let took = began.elapsed();

    let Counters { taken, wrong, drains, failed, others } =
        Counters::read_from_bytes(&counted).ok().context("of another size")?;
    let lost = dispatches.abs_diff(taken);
    println!("{dispatches} dispatches of {} bytes: {lost} lost, {wrong} out of order", size_of::<Dispatch>());
    println!("{drains} drains: {failed} failed");
    // The call that asked for the counters is one of them.
    println!("{} other system calls", others - 1);
    eprintln!("dispatches: {took:.1?}");
    Ok(())
}

/// Makes the system call at which the BPF half drains. That wakes nobody, so waiting by epoll would be for nothing.
fn drain() {
    let _ = rustix::process::getppid();
}

/// From now on mmap, brk and mremap end the process.
fn kill_whoever_asks_for_memory() -> anyhow::Result<()> {
    let forbidden = [libc::SYS_mmap, libc::SYS_brk, libc::SYS_mremap].map(|call| (call, vec![]));
    let filter = SeccompFilter::new(
        forbidden.into(),
        SeccompAction::Allow,
        SeccompAction::KillProcess,
        std::env::consts::ARCH.try_into()?,
    )?;
    seccompiler::apply_filter(&BpfProgram::try_from(filter)?)?;
    Ok(())
}
