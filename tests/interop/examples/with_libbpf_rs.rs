//! With libbpf-rs: from an object's map, from a `MapHandle`, and with a map that was made before the object was loaded.
//!
//! ```sh
//! cargo run --example with_libbpf_rs         # as root
//! ```

use std::os::fd::AsFd;

use anyhow::Context;
use libbpf_rs::{MapCore, MapHandle, Object, ObjectBuilder, OpenObject, ProgramInput};
use user_ringbuf_linux::{Map, Mapping, Producer};
use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout};

/// `struct reading` of the BPF program.
#[derive(IntoBytes, FromBytes, Immutable, KnownLayout)]
#[repr(C)]
struct Reading {
    number: u64,
    sensor: u32,
    value: u32,
}

fn main() -> anyhow::Result<()> {
    // A map of the object; with a skeleton it is `&skeleton.maps.readings`.
    let object = open()?.load()?;
    let readings = object.maps().find(|map| map.name() == "readings").context("no map 'readings'")?;
    let map = Map::from_borrowed(&readings)?;
    println!("object: {} has {} bytes", map.name(), map.size());
    publish(&map, 3)?;
    println!("object: the program has added up {}", drain(&object)?);

    // A handle, for maps that are pinned or known by id.
    let handle = MapHandle::from_map_id(map.id())?;
    let map = Map::from_borrowed(&handle)?;
    publish(&map, 4)?;
    println!("handle: the program has added up {}", drain(&object)?);

    // The other way round: the map is ours, and libbpf takes it instead of making one. It stays when the object is
    // replaced, with all that is in it.
    let map = Map::create("readings", 64 * 1024)?;
    publish(&map, 5)?;
    let mut open = open()?;
    let mut readings = open.maps_mut().find(|map| map.name() == "readings").context("no map 'readings'")?;
    readings.reuse_fd(map.as_fd())?;
    println!("reused: the program has added up {}", drain(&open.load()?)?);
    Ok(())
}

fn open() -> anyhow::Result<OpenObject> {
    Ok(ObjectBuilder::default().open_memory(include_bytes!(concat!(env!("OUT_DIR"), "/with_libbpf_rs.bpf.o")))?)
}

/// Publishes readings of 1, 2, ... up to `count`.
fn publish(map: &Map, count: u32) -> anyhow::Result<()> {
    let mapping = Mapping::new(map)?;
    let mut producer = Producer::attach(&mapping)?;
    for value in 1..=count {
        // A struct is copied into a sample in one go ...
        if value % 2 == 0 {
            producer.push(Reading { number: value.into(), sensor: 7, value }.as_bytes())?;
            continue;
        }
        // ... or written there, where the kernel will read it.
        let mut sample = producer.reserve(size_of::<Reading>())?;
        let reading = Reading::mut_from_bytes(&mut sample).ok().context("of another size")?;
        *reading = Reading { number: value.into(), sensor: 7, value };
        sample.submit();
    }
    Ok(())
}

/// Runs the program once. In production a tracepoint, a timer or a packet runs it: see the example `triggers`.
fn drain(object: &Object) -> anyhow::Result<u32> {
    let program = object.progs_mut().find(|program| program.name() == "drain").context("no program 'drain'")?;
    Ok(program.test_run(ProgramInput::default())?.return_value)
}
