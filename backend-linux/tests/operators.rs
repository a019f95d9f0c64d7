//! What tools for operators need: the ids of all maps, who holds and claims them, and drains that lose nothing.

use user_ringbuf_linux::{Claimant, DrainOptions, DrainProgram, Map, MapError, Mapping, OpenMaps, Producer};

/// A ring, where this process may make one and see all others; else a test says that it is skipped.
fn ring(size: u64) -> Option<Map> {
    let made = Map::create("operators", size).and_then(|map| Map::from_id(map.id()).map(|_| map));
    let required = std::env::var_os("USER_RINGBUF_REQUIRE_KERNEL").is_some_and(|value| value == "1");
    match made {
        Ok(map) => Some(map),
        Err(error) if required => panic!("USER_RINGBUF_REQUIRE_KERNEL=1, but no ring can be made or opened: {error}"),
        Err(error) => {
            eprintln!("skipped: no ring can be made or opened: {error}");
            None
        }
    }
}

#[test]
fn every_map_is_listed_once_in_ascending_order() {
    let Some(first) = ring(1) else { return };
    let second = ring(1).unwrap();
    let ids = Map::ids().collect::<Result<Vec<u32>, MapError>>().unwrap();
    assert!(ids.is_sorted_by(|one, next| one < next), "{ids:?}");
    assert!(ids.contains(&first.id()) && ids.contains(&second.id()), "{ids:?}");
    let id = second.id();
    drop(second);
    // The kernel frees a map a moment after its last descriptor is closed.
    let gone = (0..1000).any(|_| {
        std::thread::sleep(std::time::Duration::from_millis(2));
        !Map::ids().any(|listed| listed == Ok(id))
    });
    assert!(gone);
}

#[test]
fn one_walk_finds_who_holds_and_who_claims_each_ring() {
    let Some(claimed) = ring(1) else { return };
    let free = ring(1).unwrap();
    let mapping = Mapping::new(&claimed).unwrap();
    let twice = claimed.try_clone().unwrap();
    let open = OpenMaps::scan().unwrap();
    for map in [&claimed, &free] {
        let ours = open.holders(map.id()).filter(|holder| holder.pid() == std::process::id()).count();
        assert_eq!(ours, 1, "however many descriptors it has");
    }
    let found = map_holders(&claimed);
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

fn map_holders(map: &Map) -> Vec<u32> {
    map.holders().unwrap().found.iter().map(|holder| holder.pid()).collect()
}

#[test]
fn a_drain_stops_before_its_log_might_not_hold_a_sample() {
    let Some(map) = ring(64 * 1024) else { return };
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
