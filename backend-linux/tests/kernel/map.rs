//! Every way to a map, and every way to miss one.

use rustix::io::FdFlags;
use user_ringbuf_kit::bpffs::Bpffs;
use user_ringbuf_kit::objects::{self, c_path};
use user_ringbuf_kit::rights::{skipped, without_rights};
use user_ringbuf_kit::seccomp::without_bpf_call;
use user_ringbuf_kit::{needs_admin, needs_bpf};
// Types of other crates too: a user of this crate can name them without depending on those.
use user_ringbuf_linux::{
    Arg, AsFd, AsRawFd, BorrowedFd, BpfCommand, Capability, Errno, FromFdError, Map, MapError, OwnedFd, PathTail,
    rounded_size,
};

fn page() -> u32 {
    rounded_size(1).unwrap()
}

fn same(one: &Map, other: &Map) {
    assert_eq!((one.id(), one.size(), one.name()), (other.id(), other.size(), other.name()));
}

/// Whether the error says that a path is missing.
fn is_missing(error: MapError) {
    assert!(matches!(error, MapError::PathMissing { .. }), "{error}");
}

#[test]
fn a_created_map_has_the_rounded_size_and_its_name() {
    needs_bpf!();
    let map = Map::create("ring_1.a", u64::from(page()) + 1).unwrap();
    assert_eq!(map.size(), 2 * page());
    assert_eq!(map.name(), "ring_1.a");
    assert_ne!(map.id(), 0);
    assert_eq!(Map::create_exact("exact", u64::from(4 * page())).unwrap().size(), 4 * page());
    assert_eq!(Map::create("", 1).unwrap().name(), "");
    assert_eq!(Map::create("fifteen_bytes_x", 1).unwrap().name(), "fifteen_bytes_x");
}

#[test]
fn descriptors_are_closed_on_exec() {
    needs_bpf!();
    let map = Map::create("cloexec", 1).unwrap();
    for map in [map.try_clone().unwrap(), Map::from_borrowed(&map).unwrap(), map] {
        assert!(rustix::io::fcntl_getfd(&map).unwrap().contains(FdFlags::CLOEXEC));
    }
}

#[test]
fn a_map_is_reopened_by_descriptor_borrow_clone_and_id() {
    needs_admin!();
    let map = Map::create("again", 1).unwrap();
    same(&map, &map.try_clone().unwrap());
    let borrowed: BorrowedFd<'_> = map.as_fd();
    same(&map, &Map::from_borrowed(borrowed).unwrap());
    same(&map, &Map::from_id(map.id()).unwrap());
    let clone = OwnedFd::from(map.try_clone().unwrap());
    same(&map, &Map::from_fd(clone).unwrap());
}

#[test]
fn a_map_outlives_its_handle_by_its_pin() {
    needs_admin!();
    let bpffs = Bpffs::mount();
    let path = bpffs.path("ring");
    let map = Map::create("pinned", 1).unwrap();
    map.pin(&path).unwrap();
    let id = map.id();
    drop(map);
    let map = Map::from_pin(&path).unwrap();
    assert_eq!((map.id(), map.size(), map.name()), (id, page(), "pinned"));
    // Any kind of path will do.
    fn from(path: impl Arg) -> Map {
        Map::from_pin(path).unwrap()
    }
    same(&map, &from(c_path(&path).as_c_str()));
    same(&map, &from(path.to_str().unwrap()));
    std::fs::remove_file(&path).unwrap();
    is_missing(Map::from_pin(&path).unwrap_err());
}

/// A lookup in an arena fails as it does on a descriptor that is not a map.
#[test]
fn an_arena_is_a_map_of_another_type() {
    needs_bpf!();
    let Some(arena) = objects::arena() else {
        return skipped("this kernel has no arenas");
    };
    assert_eq!(Map::from_borrowed(&arena).unwrap_err(), MapError::WrongType { found: 33 });
    assert_eq!(Map::from_fd_via_fdinfo(arena).unwrap_err().error(), MapError::WrongType { found: 33 });
}

#[test]
fn missing_rights_name_the_capability() {
    let created = without_rights(|| Map::create("none", 1)).unwrap_err();
    let by_id = without_rights(|| Map::from_id(1)).unwrap_err();
    for (failed, command, capability, name) in [
        (created, BpfCommand::MapCreate, Capability::Bpf, "CAP_BPF"),
        (by_id, BpfCommand::MapGetFdById, Capability::SysAdmin, "CAP_SYS_ADMIN"),
    ] {
        match failed {
            MapError::NotPermitted { error, needs } => assert_eq!((error.command, needs), (command, capability)),
            MapError::Unsupported if command == BpfCommand::MapCreate => continue,
            _ => panic!("{failed}"),
        }
        assert!(failed.to_string().contains(name), "{failed}");
    }
}

#[test]
fn a_descriptor_is_enough_without_any_right() {
    needs_bpf!();
    let map = Map::create("handed", 1).unwrap();
    let there = without_rights(|| Map::from_borrowed(&map)).unwrap();
    same(&map, &there);
}

#[test]
fn where_bpf_is_forbidden_fdinfo_says_what_a_map_is() {
    needs_bpf!();
    let map = Map::create("filtered", u64::from(2 * page())).unwrap();
    let array = objects::map(2, 4, 8, 1);
    for errno in [Errno::PERM, Errno::ACCESS, Errno::NOSYS] {
        without_bpf_call(errno, || {
            let there = Map::from_borrowed(&map).unwrap();
            assert_eq!((there.id(), there.size(), there.name()), (map.id(), map.size(), ""));
            assert_eq!(Map::from_borrowed(&array).unwrap_err(), MapError::WrongType { found: 2 });
            let closed = Map::create("filtered", 1).unwrap_err();
            let expected = if errno == Errno::NOSYS { "6.1" } else { "CAP_BPF" };
            assert!(closed.to_string().contains(expected), "{closed}");
        });
    }
    let there = Map::from_fd_via_fdinfo(map.try_clone().unwrap().into()).unwrap();
    assert_eq!((there.id(), there.size()), (map.id(), map.size()));
}

#[test]
fn a_missing_path_is_named() {
    needs_admin!();
    let bpffs = Bpffs::mount();
    let path = bpffs.path("missing");
    let text = path.to_str().unwrap();
    let error = Map::from_pin(&path).unwrap_err();
    assert_eq!(error.to_string(), format!("no such path: {text}"));
    // So does a path of any kind, and pinning.
    assert_eq!(Map::from_pin(c_path(&path).as_c_str()).unwrap_err(), error);
    let below = path.join("ring");
    let error = Map::create("pin", 1).unwrap().pin(&below).unwrap_err();
    assert_eq!(error.to_string(), format!("no such path: {}", below.display()));
    // Of a long path, the end.
    let long = bpffs.path("x").join("y".repeat(200)).join("ring");
    match Map::from_pin(&long).unwrap_err() {
        MapError::PathMissing { path } => {
            assert!(path.is_cut() && long.to_str().unwrap().as_bytes().ends_with(path.as_bytes()));
            assert_eq!(path.as_bytes().len(), PathTail::MAX);
        }
        error => panic!("{error}"),
    }
}

#[test]
fn a_descriptor_that_makes_no_map_is_handed_back_open() {
    let given = || OwnedFd::from(std::fs::File::open("/dev/null").unwrap());
    for make in [Map::from_fd, Map::from_fd_via_fdinfo, Map::try_from] {
        let fd = given();
        let number = fd.as_raw_fd();
        let failed: FromFdError = make(fd).unwrap_err();
        assert_eq!((failed.error(), failed.to_string()), (MapError::NotAMap, MapError::NotAMap.to_string()));
        let back = failed.into_inner();
        assert_eq!(back.as_raw_fd(), number);
        assert!(rustix::io::fcntl_getfd(&back).is_ok());
    }
    fn of(fd: OwnedFd) -> Result<Map, MapError> {
        Ok(Map::from_fd(fd)?)
    }
    assert_eq!(of(given()).unwrap_err(), MapError::NotAMap);
}
