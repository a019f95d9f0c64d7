//! Ways to a map, and to its memory.

use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::path::PathBuf;

use rustix::io::Errno;
use rustix::process::Resource;
use user_ringbuf_kit::bpffs::{Bpffs, Directory};
use user_ringbuf_kit::fork::{Forked, ask, holding};
use user_ringbuf_kit::objects;
use user_ringbuf_kit::rights::without_rights;
use user_ringbuf_kit::seccomp::{FCNTL, without_bpf_call, without_calls};
use user_ringbuf_kit::usage::{with_limit, with_little_address_space};
use user_ringbuf_linux::{Map, MapError, Mapping, MappingView, RingSize, rounded_size};

use crate::answer::Answer;
use crate::row::{Row, answers, row};

/// `BPF_PROG_TYPE_SYSCALL`, whose number is that of the map type too, and `BPF_F_SLEEPABLE`.
const SYSCALL: (u32, u32) = (31, 16);
/// `BPF_PROG_TYPE_SOCKET_FILTER`, without flags.
const SOCKET_FILTER: (u32, u32) = (1, 0);
const HASH: u32 = 1;
const ARRAY: u32 = 2;
const QUEUE: u32 = 22;
const RINGBUF: u32 = 27;

/// Every way from a descriptor to a map.
fn from_any(fd: OwnedFd) -> Vec<Answer> {
    let copy = || fd.try_clone().unwrap();
    vec![
        Answer::of(Map::from_fd(copy()).map_err(MapError::from)),
        Answer::of(Map::try_from(copy()).map_err(MapError::from)),
        Answer::of(Map::from_borrowed(&fd)),
        Answer::of(Map::with_borrowed(fd.as_fd(), Map::id)),
        Answer::of(Map::from_fd_via_fdinfo(copy()).map_err(MapError::from)),
        without_bpf_call(Errno::PERM, || Answer::of(Map::from_fd(copy()).map_err(MapError::from))),
    ]
}

/// Descriptors of other things than BPF objects.
fn strangers() -> Vec<OwnedFd> {
    let (one, _other) = std::os::unix::net::UnixStream::pair().unwrap();
    let epoll = rustix::event::epoll::create(rustix::event::epoll::CreateFlags::CLOEXEC).unwrap();
    vec![std::fs::File::open("/dev/null").unwrap().into(), one.into(), epoll]
}

fn map(size: u64) -> Map {
    Map::create("rows", size).unwrap()
}

/// A ring, and its pin, which belongs to another user.
fn pinned_by_another() -> (Bpffs, Map, PathBuf) {
    let (bpffs, map) = (Bpffs::mount(), map(1));
    let pin = bpffs.path("ring");
    map.pin(&pin).unwrap();
    std::os::unix::fs::chown(&pin, Some(65534), None).unwrap();
    (bpffs, map, pin)
}

/// A ring, and another process that has the claim.
fn claimed_by_another() -> (Map, Forked) {
    let map = map(1);
    let other = holding(|| Mapping::new(&map).unwrap());
    (map, other)
}

fn every_mapping(map: &Map) -> Vec<Answer> {
    // SAFETY: nothing is produced through it.
    let unclaimed = unsafe { Mapping::unclaimed(map) };
    answers![Mapping::new(map), unclaimed, MappingView::new(map)]
}

pub(crate) fn rows() -> Vec<Row> {
    let any = "Map::{from_fd, try_from, from_borrowed, with_borrowed, from_fd_via_fdinfo}";
    let create = "Map::{create, create_exact}";
    let claiming = "Mapping::{new, claim}";
    vec![
        row(any, "a file, a socket, an epoll instance")
            .is("MapError::NotAMap", "not a BPF map")
            .plain(|| strangers().into_iter().flat_map(from_any).collect()),
        row(any, "a BPF program").is("MapError::NotAMap", "not a BPF map").plain(|| {
            [SYSCALL, SOCKET_FILTER]
                .into_iter()
                .flat_map(|(kind, flags)| from_any(objects::program(kind, flags)))
                .collect()
        }),
        row(any, "a hash map")
            .is("MapError::WrongType", "BPF_MAP_TYPE_HASH (1)")
            .plain(|| from_any(objects::map(HASH, 4, 8, 4))),
        row(any, "an array map")
            .is("MapError::WrongType", "BPF_MAP_TYPE_ARRAY (2), not BPF_MAP_TYPE_USER_RINGBUF (31)")
            .plain(|| from_any(objects::map(ARRAY, 4, 8, 4))),
        row(any, "a queue map")
            .is("MapError::WrongType", "BPF_MAP_TYPE_QUEUE (22)")
            .plain(|| from_any(objects::map(QUEUE, 0, 8, 4))),
        row(any, "a ring buffer of the other direction")
            .is("MapError::WrongType", "BPF_MAP_TYPE_RINGBUF (27)")
            .plain(|| from_any(objects::map(RINGBUF, 0, 0, rounded_size(1).unwrap()))),
        row("Map::{from_borrowed, with_borrowed}", "a closed descriptor").is("MapError::ClosedFd", "not open").plain(
            || {
                // SAFETY: nothing is open at this number, and it is only ever refused.
                let closed = unsafe { BorrowedFd::borrow_raw(900) };
                answers![Map::from_borrowed(closed), Map::with_borrowed(closed, Map::id)]
            },
        ),
        row("Map::from_fd", "bpf(2) and /proc both forbidden")
            .is("MapError::InfoForbidden", "/proc/self/fdinfo")
            .plain(|| {
                let map = map(1);
                let fd = map.as_fd().try_clone_to_owned().unwrap();
                let from_fd = || Answer::of(Map::from_fd(fd).map_err(MapError::from));
                vec![without_calls(&[libc::SYS_bpf, libc::SYS_openat], Errno::PERM, from_fd)]
            }),
        row("Map::from_id", "an id that no map has: 0")
            .is("MapError::UnknownId", "no map has the id 0")
            .plain(|| answers![Map::from_id(0)]),
        row("Map::from_id", "another: 2^32 - 1")
            .is("MapError::UnknownId", "no map has the id 4294967295")
            .plain(|| answers![Map::from_id(u32::MAX)]),
        row("Map::from_id", "any id, without rights")
            .is("MapError::NotPermitted", "needs CAP_SYS_ADMIN")
            .without_rights(|| answers![Map::from_id(1)]),
        row("Map::from_pin", "a missing path, one below a file, an empty one")
            .is("MapError::PathMissing", "no such path")
            .plain(|| {
                let (bpffs, plain) = (Bpffs::mount(), Directory::new());
                std::fs::write(plain.path("file"), "").unwrap();
                let missing =
                    [bpffs.path("none"), bpffs.path("none/none"), plain.path("none"), plain.path("file/none")];
                missing.into_iter().chain(["".into()]).map(|path| Answer::of(Map::from_pin(path))).collect()
            }),
        row("Map::from_pin", "a file or directory outside any bpffs").is("MapError::NotOnBpffs", "mount -t bpf").plain(
            || {
                let plain = Directory::new();
                std::fs::write(plain.path("file"), "").unwrap();
                answers![Map::from_pin(plain.path("file")), Map::from_pin(plain.path("."))]
            },
        ),
        row("Map::from_pin", "a directory on a bpffs, a pinned program")
            .is("MapError::NotAMap", "not a BPF map")
            .plain(|| {
                let bpffs = Bpffs::mount();
                std::fs::create_dir(bpffs.path("directory")).unwrap();
                objects::pin(objects::program(SYSCALL.0, SYSCALL.1), &bpffs.path("program"));
                objects::pin(objects::program(SOCKET_FILTER.0, SOCKET_FILTER.1), &bpffs.path("filter"));
                [".", "directory", "program", "filter"].map(|name| Answer::of(Map::from_pin(bpffs.path(name)))).into()
            }),
        row("Map::from_pin", "a pinned map of another type").is("MapError::WrongType", "BPF_MAP_TYPE_HASH (1)").plain(
            || {
                let bpffs = Bpffs::mount();
                objects::pin(objects::map(HASH, 4, 8, 4), &bpffs.path("hash"));
                answers![Map::from_pin(bpffs.path("hash"))]
            },
        ),
        row("Map::{from_pin, pin, is_pinned_at}", "a path with a zero in it")
            .is("MapError::System", "reading the path")
            .plain(|| {
                let (map, path) = (map(1), "a\0b");
                answers![Map::from_pin(path), map.pin(path), map.is_pinned_at(path)]
            }),
        row("Map::{from_pin, pin, is_pinned_at}", "a path of 5,000 bytes, a name of 256")
            .is("MapError::PathTooLong", "the limit is 4095, and 255 for each name")
            .plain(|| {
                let (bpffs, map) = (Bpffs::mount(), map(1));
                let paths = ["x/".repeat(2500).into(), bpffs.path("x".repeat(256))];
                let tried = |path| answers![Map::from_pin(path), map.pin(path), map.is_pinned_at(path)];
                paths.iter().flat_map(tried).collect()
            }),
        row("Map::is_pinned_at", "a pin of somebody else").is("MapError::PathForbidden", "permissions").plain(|| {
            let (_bpffs, map, pin) = pinned_by_another();
            without_rights(|| answers![map.is_pinned_at(&pin)])
        }),
        row("Map::is_pinned_at", "bpf(2) forbidden by seccomp").is("MapError::NotPermitted", "needs CAP_BPF").plain(
            || {
                let (bpffs, map) = (Bpffs::mount(), map(1));
                map.pin(bpffs.path("ring")).unwrap();
                vec![without_bpf_call(Errno::PERM, || Answer::of(map.is_pinned_at(bpffs.path("ring"))))]
            },
        ),
        row("Map::from_pin", "a pin of somebody else").is("MapError::PathForbidden", "permissions forbid").plain(
            || {
                let (_bpffs, _map, pin) = pinned_by_another();
                without_rights(|| answers![Map::from_pin(&pin)])
            },
        ),
        row("Map::pin", "a path that is taken").is("MapError::PathTaken", "taken already").plain(|| {
            let (bpffs, map) = (Bpffs::mount(), map(1));
            map.pin(bpffs.path("ring")).unwrap();
            answers![map.pin(bpffs.path("ring"))]
        }),
        row("Map::pin", "a path outside any bpffs")
            .is("MapError::NotOnBpffs", "mount -t bpf")
            .plain(|| answers![map(1).pin(Directory::new().path("ring"))]),
        row("Map::pin", "a missing directory, an empty path").is("MapError::PathMissing", "no such path").plain(|| {
            let bpffs = Bpffs::mount();
            answers![map(1).pin(bpffs.path("none/ring")), map(1).pin("")]
        }),
        row("Map::pin", "a name with a dot")
            .is("MapError::PathHasDot", "must not hold a dot")
            .plain(|| answers![map(1).pin(Bpffs::mount().path("ring.old"))]),
        row("{Map::create, Map::create_exact, rounded_size}", "size 0")
            .is("MapError::SizeZero", "size 0")
            .plain(|| answers![Map::create("x", 0), Map::create_exact("x", 0), rounded_size(0)]),
        row("{Map::create, Map::create_exact, rounded_size}", "2 GiB + 1, 4 GiB, 2^64 - 1 bytes")
            .is("MapError::SizeTooLarge", "the limit is 2147483648")
            .plain(|| {
                let sizes = [(1 << 31) + 1, 1 << 32, u64::MAX];
                let by_size = |size| answers![Map::create("x", size), Map::create_exact("x", size), rounded_size(size)];
                sizes.into_iter().flat_map(by_size).collect()
            }),
        row("Map::create_exact", "1 byte, 3 pages").is("MapError::SizeNotRounded", "the next is").plain(|| {
            let page = u64::from(rounded_size(1).unwrap());
            answers![Map::create_exact("x", 1), Map::create_exact("x", 3 * page)]
        }),
        row(create, "a name of 16 bytes").is("MapError::NameTooLong", "16 bytes, the limit is 15").plain(|| {
            answers![
                Map::create("sixteen_bytes_xy", 1),
                Map::create_exact("sixteen_bytes_xy", rounded_size(1).unwrap().into())
            ]
        }),
        row(create, "a name with a blank, a slash, a zero, an umlaut")
            .is("MapError::NameCharacter", "byte 1 is")
            .plain(|| {
                ["a b", "a/b", "a\0b", "a\u{fc}"].into_iter().map(|name| Answer::of(Map::create(name, 1))).collect()
            }),
        row(create, "anything, without rights")
            .is("MapError::NotPermitted", "needs CAP_BPF")
            .without_rights(|| answers![Map::create("x", 1), Map::create_exact("x", rounded_size(1).unwrap().into())]),
        row("RingSize::new", "0, 7, 12, 2^32, 2^64 - 1 bytes")
            .is("SizeError", "a power of two from 8 to")
            .plain(|| [0, 7, 12, 1 << 32, u64::MAX].into_iter().map(|size| Answer::of(RingSize::new(size))).collect()),
        row(claiming, "a ring that is mapped already").is("MappingError::AlreadyMapped", "share that").on_ring(
            |tried| {
                let (map, again) = (&tried.ring.map, tried.ring.map.try_clone().unwrap());
                answers![Mapping::new(map), Mapping::new(&again), Mapping::claim(map)]
            },
        ),
        row(claiming, "a ring that another process claims").is("MappingError::Claimed", "(pid ").plain(|| {
            let (map, _other) = claimed_by_another();
            let again = map.try_clone().unwrap();
            answers![Mapping::new(&map), Mapping::new(&again), Mapping::claim(&map)]
        }),
        row("Mapping::new", "the same where /proc can't be read")
            .is("MappingError::Claimed", "/proc does not show")
            .plain(|| {
                let (map, _other) = claimed_by_another();
                vec![without_calls(&[libc::SYS_openat], Errno::PERM, || Answer::of(Mapping::new(&map)))]
            }),
        row("Mapping::new", "no descriptor left for the claim").is("MappingError::System", "eventfd2 failed").plain(
            || {
                // A process that has claimed nothing yet.
                let map = map(1);
                let answer = ask(|| with_limit(Resource::Nofile, 0, || Answer::of(Mapping::new(&map)).written()));
                vec![Answer::read(&answer)]
            },
        ),
        row("Mapping::new", "fcntl forbidden by seccomp")
            .is("MappingError::System", "fcntl(F_OFD_GETLK) failed")
            .plain(|| {
                let map = map(1);
                vec![without_calls(FCNTL, Errno::PERM, || Answer::of(Mapping::new(&map)))]
            }),
        row("Map::claimant", "fcntl forbidden by seccomp").is("MapError::System", "fcntl(F_OFD_GETLK) failed").plain(
            || {
                let map = map(1);
                vec![without_calls(FCNTL, Errno::PERM, || Answer::of(map.claimant()))]
            },
        ),
        row("Mapping::new", "madvise forbidden by seccomp").is("MappingError::System", "madvise(").plain(|| {
            let map = map(1);
            vec![without_calls(&[libc::SYS_madvise], Errno::PERM, || Answer::of(Mapping::new(&map)))]
        }),
        row("Map::holders", "/proc can't be read").is("MapError::System", "reading /proc failed").plain(|| {
            let map = map(1);
            vec![without_calls(&[libc::SYS_openat], Errno::PERM, || Answer::of(map.holders()))]
        }),
        row("{Mapping::{new, unclaimed}, MappingView::new}", "a descriptor opened for reading only, for writing only")
            .is("MappingError::NotReadWrite", "needs read and write permission on its pin")
            .plain(|| {
                let bpffs = Bpffs::mount();
                map(1).pin(bpffs.path("ring")).unwrap();
                let opened = |flags| every_mapping(&Map::from_fd(objects::open(&bpffs.path("ring"), flags)).unwrap());
                [objects::READ_ONLY, objects::WRITE_ONLY].into_iter().flat_map(opened).collect()
            }),
        row("{Mapping::{new, unclaimed}, MappingView::new}", "a ring for which no address space is left")
            .is("MappingError::Mmap", "mmap of the producer page and the data")
            .plain(|| {
                let map = map(64 << 20);
                with_little_address_space(|| every_mapping(&map))
            }),
    ]
}
