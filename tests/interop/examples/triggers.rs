//! Four ways to make the kernel drain: on demand, at a tracepoint, at a system call, and by a timer.
//!
//! ```sh
//! cargo run --example triggers               # as root
//! cargo run --example triggers -- --fentry   # with the system call, where the kernel takes fentry programs
//! ```

use std::process::Command;
use std::time::Duration;

use anyhow::{Context, ensure};
use libbpf_rs::{MapCore, MapFlags, Object, ObjectBuilder, ProgramInput, ProgramMut};
use user_ringbuf_linux::{EpollWaiter, Map, Mapping, Producer};
use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout};

/// `struct policy` of the BPF program.
#[derive(IntoBytes, Immutable)]
#[repr(C)]
struct Policy {
    user: u32,
    limit: u32,
}

/// The program's counters, in the order in which it declares them.
#[derive(FromBytes, KnownLayout, Immutable)]
#[repr(C)]
struct Counters {
    by_syscall: u64,
    by_exec: u64,
    by_getpgid: u64,
    by_timer: u64,
}

fn main() -> anyhow::Result<()> {
    let mut open = ObjectBuilder::default().open_memory(include_bytes!(concat!(env!("OUT_DIR"), "/triggers.bpf.o")))?;
    // `agent` is all that the program has in .rodata.
    let mut rodata =
        open.maps_mut().find(|map| map.name().to_string_lossy().ends_with(".rodata")).context("no constants")?;
    rodata.initial_value_mut().context("no constants")?.copy_from_slice(&std::process::id().to_ne_bytes());
    let fentry = std::env::args().any(|argument| argument == "--fentry");
    open.progs_mut().find(|program| program.name() == "on_getpgid").context("no program")?.set_autoload(fentry);
    let object = open.load()?;

    let map = Map::from_borrowed(&find_map(&object, "policies")?)?;
    let mapping = Mapping::new(&map)?;
    let mut producer = Producer::attach(&mapping)?;
    let mut waiter = EpollWaiter::new(&map)?;

    // Publishes policies, triggers a drain, and waits until the kernel has taken them all.
    let mut publish = |count: u32, trigger: &mut dyn FnMut() -> anyhow::Result<()>| -> anyhow::Result<()> {
        for user in 0..count {
            producer.push(Policy { user, limit: 100 }.as_bytes())?;
        }
        trigger()?;
        producer.wait_consumed(producer.position(), &mut waiter, Some(Duration::from_secs(5)))?;
        Ok(())
    };

    publish(1, &mut || run(&object, "on_demand", 1))?;

    let link = find_program(&object, "on_exec")?.attach()?;
    publish(2, &mut || {
        ensure!(Command::new("true").status()?.success());
        Ok(())
    })?;
    drop(link);

    if fentry {
        let _link = find_program(&object, "on_getpgid")?.attach()?;
        publish(3, &mut || {
            rustix::process::getpgid(None)?;
            Ok(())
        })?;
    }

    publish(4, &mut || run(&object, "start_timer", 0))?;
    // From here on the timer drains: nothing is to be triggered.
    publish(5, &mut || Ok(()))?;

    let bss = find_map(&object, ".bss")?.lookup(&0_u32.to_ne_bytes(), MapFlags::ANY)?.context("no counters")?;
    let counters = Counters::read_from_bytes(&bss).ok().context("of another size")?;
    println!("on demand:    {} policies", counters.by_syscall);
    println!("at each exec: {} policies", counters.by_exec);
    println!("at getpgid:   {} policies", counters.by_getpgid);
    println!("by the timer: {} policies", counters.by_timer);
    Ok(())
}

/// Runs a program of the type "syscall" once.
fn run(object: &Object, name: &str, result: i32) -> anyhow::Result<()> {
    let returned = find_program(object, name)?.test_run(ProgramInput::default())?.return_value.cast_signed();
    ensure!(returned == result, "{name} returned {returned}");
    Ok(())
}

/// By the end of its name: the map of the counters is called `NAME.bss`, where NAME is the object's.
fn find_map<'o>(object: &'o Object, name: &str) -> anyhow::Result<libbpf_rs::Map<'o>> {
    object.maps().find(|map| map.name().to_string_lossy().ends_with(name)).with_context(|| format!("no map {name}"))
}

fn find_program<'o>(object: &'o Object, name: &str) -> anyhow::Result<ProgramMut<'o>> {
    object.progs_mut().find(|program| program.name() == name).with_context(|| format!("no program {name}"))
}
