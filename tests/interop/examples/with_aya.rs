//! With aya: requests go to a BPF program through a user ring buffer, answers come back through aya's `RingBuf`.
//!
//! ```sh
//! cargo run --example with_aya               # as root
//! ```

use anyhow::{Context, bail};
use aya::maps::RingBuf;
use aya::programs::{RawTracePoint, TestRun};
use aya::{EbpfLoader, RawTracePointRunOptions};
use user_ringbuf_linux::{Map, Mapping, Producer, rounded_size};
use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout};

/// `struct request` of the BPF program.
#[derive(IntoBytes, FromBytes, Immutable, KnownLayout)]
#[repr(C)]
struct Request {
    id: u64,
    first: u32,
    second: u32,
}

/// `struct response` of the BPF program.
#[derive(FromBytes, Immutable, KnownLayout)]
#[repr(C)]
struct Response {
    id: u64,
    product: u64,
}

fn main() -> anyhow::Result<()> {
    let mut ebpf = EbpfLoader::new()
        // aya has no type for user ring buffers: without this, it refuses to load the object.
        .allow_unsupported_maps()
        // Nor does it round their size, as it does for ring buffers and as libbpf does: the kernel would answer EINVAL.
        .map_max_entries("requests", rounded_size(100_000)?)
        .load(aya::include_bytes_aligned!(concat!(env!("OUT_DIR"), "/with_aya.bpf.o")))?;

    // Only the descriptor is needed. It is duplicated, so aya's may be closed.
    let Some(aya::maps::Map::Unsupported(requests)) = ebpf.take_map("requests") else {
        bail!("no map 'requests', or one of a type that aya knows");
    };
    let map = Map::from_borrowed(requests.fd())?;
    println!("{} has {} bytes", map.name(), map.size());

    let mapping = Mapping::new(&map)?;
    let mut producer = Producer::attach(&mapping)?;
    let mut responses = RingBuf::try_from(ebpf.take_map("responses").context("no map 'responses'")?)?;
    let drain: &mut RawTracePoint = ebpf.program_mut("drain").context("no program 'drain'")?.try_into()?;
    drain.load()?;

    // A struct is copied into a sample in one go ...
    producer.push(Request { id: 1, first: 6, second: 7 }.as_bytes())?;
    // ... or written there, where the kernel will read it.
    let mut sample = producer.reserve(size_of::<Request>())?;
    let request = Request::mut_from_bytes(&mut sample).ok().context("of another size")?;
    *request = Request { id: 2, first: 1000, second: 1000 };
    sample.submit();

    // In production a tracepoint, a timer or a packet runs the program: see the example `triggers`.
    let drained = drain.test_run(RawTracePointRunOptions::new())?.return_value.cast_signed();
    println!("{drained} requests drained");

    while let Some(item) = responses.next() {
        let Response { id, product } = Response::read_from_bytes(&item).ok().context("of another size")?;
        println!("response {id}: {product}");
    }
    Ok(())
}
