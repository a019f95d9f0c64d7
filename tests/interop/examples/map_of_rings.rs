//! A ring per connection, in a hash of maps that a BPF program looks up by its key.
//!
//! ```sh
//! cargo run --example map_of_rings         # as root
//! ```

use std::os::fd::AsFd;

use anyhow::Context;
use libbpf_rs::{MapCore, Object, ObjectBuilder, ProgramInput};
use user_ringbuf_linux::{Map, MapOfRings, Mapping, Producer};

fn main() -> anyhow::Result<()> {
    let object = ObjectBuilder::default()
        .open_memory(include_bytes!(concat!(env!("OUT_DIR"), "/map_of_rings.bpf.o")))?
        .load()?;
    let map = object.maps().find(|map| map.name() == "connections").context("no map 'connections'")?;
    let connections = MapOfRings::from_fd(map.as_fd().try_clone_to_owned()?)?;

    // A ring for each connection, by its number.
    for (connection, values) in [(7_u32, [40_u32, 2]), (8, [50, 8])] {
        let ring = Map::create("connection", 4096)?;
        connections.insert(&connection.to_ne_bytes(), &ring)?;
        publish(&ring, &values)?;
        println!("connection {connection}: {}", drain(&object, connection)?);
    }

    // Busier than expected: it gets a larger ring, at the same key.
    let larger = Map::create("larger", 1024 * 1024)?;
    connections.replace(&7_u32.to_ne_bytes(), &larger)?;
    publish(&larger, &[1000])?;
    println!("connection 7, moved to a larger ring: {}", drain(&object, 7)?);

    // -ENOENT, from the program.
    if drain(&object, 9)? == -2 {
        println!("connection 9: no ring");
    }
    Ok(())
}

fn publish(ring: &Map, values: &[u32]) -> anyhow::Result<()> {
    let mapping = Mapping::new(ring)?;
    let mut producer = Producer::attach(&mapping)?;
    for value in values {
        producer.push(&value.to_ne_bytes())?;
    }
    Ok(())
}

/// Runs the program for one connection. In production what happens on the connection runs it.
fn drain(object: &Object, connection: u32) -> anyhow::Result<i32> {
    let program = object.progs_mut().find(|program| program.name() == "drain").context("no program 'drain'")?;
    let mut context = connection.to_ne_bytes();
    let input = ProgramInput { context_in: Some(&mut context), ..ProgramInput::default() };
    Ok(program.test_run(input)?.return_value.cast_signed())
}
