//! Maps of maps whose inner maps are rings.

use user_ringbuf_kit::bpffs::Bpffs;
use user_ringbuf_kit::objects;
use user_ringbuf_kit::{needs_admin, needs_bpf};
use user_ringbuf_linux::{DrainOptions, DrainProgram, Map, MapError, MapOfRings, MapOfRingsError, Mapping, Producer};

fn key(index: u32) -> [u8; 4] {
    index.to_ne_bytes()
}

fn ring() -> Map {
    Map::create("inner", 4096).unwrap()
}

#[test]
fn rings_are_put_looked_up_replaced_and_removed_by_key() {
    needs_admin!();
    let [one, two] = [ring(), Map::create("larger", 64 * 1024).unwrap()];
    let array = MapOfRings::create_array("cpus", 4, &one).unwrap();
    let hash = MapOfRings::create_hash("connections", 4, 4, &one).unwrap();
    assert!(array.id() != hash.id() && ![one.id(), two.id(), 0].contains(&array.id()));
    for outer in [&array, &hash] {
        assert_eq!((outer.key_size(), outer.max_entries()), (4, 4));
        assert_eq!(outer.id_at(&key(3)), Err(MapOfRingsError::KeyMissing));
        assert_eq!(outer.replace(&key(3), &one), Err(MapOfRingsError::KeyMissing));
        outer.insert(&key(3), &one).unwrap();
        assert_eq!(outer.insert(&key(3), &two), Err(MapOfRingsError::KeyTaken));
        assert_eq!(outer.id_at(&key(3)), Ok(one.id()));
        outer.replace(&key(3), &two).unwrap();
        assert_eq!(outer.get(&key(3)).unwrap().size(), 64 * 1024, "of another size than the template");
        outer.put(&key(0), &one).unwrap();
        outer.put(&key(0), &two).unwrap();
        assert_eq!(outer.id_at(&key(0)), Ok(two.id()));
        outer.remove(&key(3)).unwrap();
        assert_eq!(outer.remove(&key(3)), Err(MapOfRingsError::KeyMissing));
    }
}

#[test]
fn a_ring_that_only_the_outer_map_holds_is_attached_to_by_its_key() {
    needs_admin!();
    let bpffs = Bpffs::mount();
    let path = bpffs.path("connections");
    let template = ring();
    MapOfRings::create_hash("connections", 8, 16, &template).unwrap().pin(&path).unwrap();
    let outer = MapOfRings::from_pin(&path).unwrap();
    let connection = 7_u64.to_ne_bytes();
    outer.insert(&connection, &ring()).unwrap();
    let inner = outer.get(&connection).unwrap();
    assert_ne!(inner.id(), template.id());
    let mut producer = Producer::attach(Mapping::new(&inner).unwrap()).unwrap();
    producer.push(b"by key").unwrap();
    let mut program = DrainProgram::load(&inner, 64).unwrap();
    assert_eq!(program.run(&DrainOptions::new()).unwrap().returned().unwrap(), 1);
}

#[test]
fn what_a_map_of_rings_can_not_do_is_refused() {
    needs_bpf!();
    let ring = ring();
    let array = MapOfRings::create_array("cpus", 4, &ring).unwrap();
    assert_eq!(array.put(&key(4), &ring), Err(MapOfRingsError::IndexTooLarge { index: 4, len: 4 }));
    assert_eq!(array.id_at(&[0; 8]), Err(MapOfRingsError::KeySize { len: 8, key_size: 4 }));
    let hash = MapOfRings::create_hash("small", 4, 2, &ring).unwrap();
    for index in 0..2 {
        hash.insert(&key(index), &ring).unwrap();
    }
    assert_eq!(hash.insert(&key(2), &ring), Err(MapOfRingsError::Full { max: 2 }));
    let sizes = MapOfRings::create_array("none", 0, &ring).unwrap_err();
    assert_eq!(sizes, MapOfRingsError::Sizes { key_size: 4, max_entries: 0 });
    assert!(matches!(MapOfRings::create_hash("keyless", 0, 1, &ring), Err(MapOfRingsError::Sizes { .. })));
    let name = MapOfRings::create_array("no spaces", 1, &ring).unwrap_err();
    assert!(matches!(name, MapOfRingsError::Map(MapError::NameCharacter { .. })));
    // Maps of another kind: of anything but maps, and of maps of another type.
    assert_eq!(MapOfRings::from_fd(objects::map(1, 4, 4, 8)).unwrap_err(), MapOfRingsError::WrongType { found: 1 });
    let other = MapOfRings::from_fd(objects::hash_of_maps(objects::map(1, 4, 4, 8))).unwrap();
    assert_eq!(other.insert(&key(0), &ring), Err(MapOfRingsError::OtherInnerMaps));
    let file = std::fs::File::open("/dev/null").unwrap();
    assert_eq!(MapOfRings::from_fd(file.into()).unwrap_err(), MapOfRingsError::Map(MapError::NotAMap));
}
