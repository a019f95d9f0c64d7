//! What tools for operators need: the ids of all maps, who holds and claims them, and drains that lose nothing.

use user_ringbuf_kit::{needs_admin, needs_bpf, soon};
use user_ringbuf_linux::{Claimant, DrainOptions, DrainProgram, Map, MapError, Mapping, OpenMaps, Producer};

fn ring(size: u64) -> Map {
    Map::create("operators", size).unwrap()
}

#[test]
fn every_map_is_listed_once_in_ascending_order() {
    needs_admin!();
    let (first, second) = (ring(1), ring(1));
    let ids = Map::ids().collect::<Result<Vec<u32>, MapError>>().unwrap();
    assert!(ids.is_sorted_by(|one, next| one < next), "{ids:?}");
    assert!(ids.contains(&first.id()) && ids.contains(&second.id()), "{ids:?}");
    let id = second.id();
    drop(second);
    // The kernel frees a map a moment after its last descriptor is closed.
    soon("gone", || !Map::ids().any(|listed| listed == Ok(id)));
}

#[test]
fn one_walk_finds_who_holds_and_who_claims_each_ring() {
    needs_admin!();
    let (claimed, free) = (ring(1), ring(1));
    let mapping = Mapping::new(&claimed).unwrap();
    let twice = claimed.try_clone().unwrap();
    let open = OpenMaps::scan().unwrap();
    for map in [&claimed, &free] {
        let ours = open.holders(map.id()).filter(|holder| holder.pid() == std::process::id()).count();
        assert_eq!(ours, 1, "however many descriptors it has");
    }
    let found: Vec<_> = claimed.holders().unwrap().found.iter().map(|holder| holder.pid()).collect();
    assert_eq!(open.holders(claimed.id()).map(|holder| holder.pid()).collect::<Vec<_>>(), found);
    assert!(matches!(open.claimant(&claimed), Ok(Claimant::Process(holder)) if holder.pid() == std::process::id()));
    assert_eq!(open.claimant(&free), Ok(Claimant::Nobody));
    // The kernel is asked anew each time; the walk supplies names only.
    drop((mapping, twice));
    assert_eq!(open.claimant(&claimed), Ok(Claimant::Nobody));
    let _mapping = Mapping::new(&free).unwrap();
    assert_ne!(open.claimant(&free), Ok(Claimant::Nobody));
    assert_eq!(open.holders(u32::MAX).count(), 0);
}

#[test]
fn a_drain_stops_before_its_log_might_not_hold_a_sample() {
    needs_bpf!();
    let map = ring(64 * 1024);
    let mapping = Mapping::new(&map).unwrap();
    let mut producer = Producer::attach(&mapping).unwrap();
    let longest = 1000;
    let mut program = DrainProgram::load(&map, DrainProgram::log_bytes(3, longest)).unwrap();
    let mut push = |count: u32| {
        for number in 0..count {
            producer.push(&number.to_ne_bytes().repeat(250)).unwrap();
        }
    };
    push(10);
    let overflown = program.run(&DrainOptions::new()).unwrap();
    assert_eq!((overflown.returned(), overflown.samples().count(), overflown.unlogged()), (Ok(10), 3, 7));
    push(10);
    let options = DrainOptions::new().stop_before_full(longest);
    let mut numbers = Vec::new();
    for want in [3, 3, 3, 1, 0] {
        let drained = program.run(&options).unwrap();
        assert_eq!((drained.returned(), drained.unlogged()), (Ok(want), 0));
        numbers.extend(drained.samples().map(|sample| u32::from_ne_bytes(*sample.first_chunk().unwrap())));
    }
    assert!(numbers.into_iter().eq(0..10));
    // Whichever comes first.
    push(3);
    assert_eq!(program.run(&options.stop_after(2)).unwrap().returned(), Ok(2));
}
