//! Ways to a map, and to its memory.

use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use rustix::io::Errno;
use rustix::process::Resource;
use user_ringbuf_kit::bpffs::{Bpffs, Directory};
use user_ringbuf_kit::fork::{Forked, Line, ask, forever, fork};
use user_ringbuf_kit::objects;
use user_ringbuf_kit::seccomp::{FCNTL, without_bpf_call, without_calls};
use user_ringbuf_kit::usage::{with_limit, with_little_address_space};
use user_ringbuf_linux::{Map, MapError, Mapping, MappingView, RingSize, rounded_size};

use crate::answer::Answer;
use crate::nobody;
use crate::row::{Row, as_nobody, on_ring, plain};

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

/// A ring, and another process that has the claim.
fn claimed_by_another() -> (Map, Forked) {
    let (map, line) = (map(1), Line::new());
    let other = fork(|| {
        let _mapping = Mapping::new(&map).unwrap();
        line.say(0);
        forever();
    });
    line.hear();
    (map, other)
}

pub(crate) fn rows() -> Vec<Row> {
    let any = "Map::{from_fd, try_from, from_borrowed, with_borrowed, from_fd_via_fdinfo}";
    let create = "Map::{create, create_exact}";
    let claiming = "Mapping::{new, claim}";
    let mut rows = vec![
        plain(any, "a file, a socket, an epoll instance", "MapError::NotAMap", "not a BPF map", || {
            strangers().into_iter().flat_map(from_any).collect()
        }),
        plain(any, "a BPF program", "MapError::NotAMap", "not a BPF map", || {
            [SYSCALL, SOCKET_FILTER]
                .into_iter()
                .flat_map(|(kind, flags)| from_any(objects::program(kind, flags)))
                .collect()
        }),
        plain(any, "a hash map", "MapError::WrongType", "BPF_MAP_TYPE_HASH (1)", || {
            from_any(objects::map(HASH, 4, 8, 4))
        }),
        plain(
            any,
            "an array map",
            "MapError::WrongType",
            "BPF_MAP_TYPE_ARRAY (2), not BPF_MAP_TYPE_USER_RINGBUF (31)",
            || from_any(objects::map(ARRAY, 4, 8, 4)),
        ),
        plain(any, "a queue map", "MapError::WrongType", "BPF_MAP_TYPE_QUEUE (22)", || {
            from_any(objects::map(QUEUE, 0, 8, 4))
        }),
        plain(any, "a ring buffer of the other direction", "MapError::WrongType", "BPF_MAP_TYPE_RINGBUF (27)", || {
            from_any(objects::map(RINGBUF, 0, 0, rounded_size(1).unwrap()))
        }),
        plain("Map::{from_borrowed, with_borrowed}", "a closed descriptor", "MapError::ClosedFd", "not open", || {
            // SAFETY: nothing is open at this number, and it is only ever refused.
            let closed = unsafe { BorrowedFd::borrow_raw(900) };
            vec![Answer::of(Map::from_borrowed(closed)), Answer::of(Map::with_borrowed(closed, Map::id))]
        }),
        plain(
            "Map::from_fd",
            "bpf(2) and /proc both forbidden",
            "MapError::InfoForbidden",
            "/proc/self/fdinfo",
            || {
                let map = map(1);
                let fd = map.as_fd().try_clone_to_owned().unwrap();
                let from_fd = || Answer::of(Map::from_fd(fd).map_err(MapError::from));
                vec![without_calls(&[libc::SYS_bpf, libc::SYS_openat], Errno::PERM, from_fd)]
            },
        ),
        plain("Map::from_id", "an id that no map has: 0", "MapError::UnknownId", "no map has the id 0", || {
            vec![Answer::of(Map::from_id(0))]
        }),
        plain("Map::from_id", "another: 2^32 - 1", "MapError::UnknownId", "no map has the id 4294967295", || {
            vec![Answer::of(Map::from_id(u32::MAX))]
        }),
        as_nobody("Map::from_id", "any id, without rights", "MapError::NotPermitted", "needs CAP_SYS_ADMIN", || {
            vec![Answer::of(Map::from_id(1))]
        }),
        plain(
            "Map::from_pin",
            "a missing path, one below a file, an empty one",
            "MapError::PathMissing",
            "no such path",
            || {
                let (bpffs, plain) = (Bpffs::mount(), Directory::new());
                std::fs::write(plain.path("file"), "").unwrap();
                let missing =
                    [bpffs.path("none"), bpffs.path("none/none"), plain.path("none"), plain.path("file/none")];
                missing.into_iter().chain(["".into()]).map(|path| Answer::of(Map::from_pin(path))).collect()
            },
        ),
        plain("Map::from_pin", "a file or directory outside any bpffs", "MapError::NotOnBpffs", "mount -t bpf", || {
            let plain = Directory::new();
            std::fs::write(plain.path("file"), "").unwrap();
            vec![Answer::of(Map::from_pin(plain.path("file"))), Answer::of(Map::from_pin(plain.path(".")))]
        }),
        plain(
            "Map::from_pin",
            "a directory on a bpffs, a pinned program",
            "MapError::NotAMap",
            "not a BPF map",
            || {
                let bpffs = Bpffs::mount();
                std::fs::create_dir(bpffs.path("directory")).unwrap();
                objects::pin(objects::program(SYSCALL.0, SYSCALL.1), &bpffs.path("program"));
                objects::pin(objects::program(SOCKET_FILTER.0, SOCKET_FILTER.1), &bpffs.path("filter"));
                [".", "directory", "program", "filter"].map(|name| Answer::of(Map::from_pin(bpffs.path(name)))).into()
            },
        ),
        plain("Map::from_pin", "a pinned map of another type", "MapError::WrongType", "BPF_MAP_TYPE_HASH (1)", || {
            let bpffs = Bpffs::mount();
            objects::pin(objects::map(HASH, 4, 8, 4), &bpffs.path("hash"));
            vec![Answer::of(Map::from_pin(bpffs.path("hash")))]
        }),
        plain(
            "Map::{from_pin, pin, is_pinned_at}",
            "a path with a zero in it",
            "MapError::System",
            "reading the path",
            || {
                let (map, path) = (map(1), "a\0b");
                vec![Answer::of(Map::from_pin(path)), Answer::of(map.pin(path)), Answer::of(map.is_pinned_at(path))]
            },
        ),
        plain(
            "Map::{from_pin, pin, is_pinned_at}",
            "a path of 5,000 bytes, a name of 256",
            "MapError::PathTooLong",
            "the limit is 4095, and 255 for each name",
            || {
                let (bpffs, map) = (Bpffs::mount(), map(1));
                let paths = ["x/".repeat(2500).into(), bpffs.path("x".repeat(256))];
                let tried = |path| {
                    [Answer::of(Map::from_pin(path)), Answer::of(map.pin(path)), Answer::of(map.is_pinned_at(path))]
                };
                paths.iter().flat_map(tried).collect()
            },
        ),
        as_nobody("Map::is_pinned_at", "a pin of somebody else", "MapError::PathForbidden", "permissions", || {
            vec![Answer::of(nobody::map().unwrap().is_pinned_at(nobody::pin()))]
        }),
        plain("Map::is_pinned_at", "bpf(2) forbidden by seccomp", "MapError::NotPermitted", "needs CAP_BPF", || {
            let (bpffs, map) = (Bpffs::mount(), map(1));
            map.pin(bpffs.path("ring")).unwrap();
            vec![without_bpf_call(Errno::PERM, || Answer::of(map.is_pinned_at(bpffs.path("ring"))))]
        }),
        as_nobody("Map::from_pin", "a pin of somebody else", "MapError::PathForbidden", "permissions forbid", || {
            vec![Answer::of(Map::from_pin(nobody::pin()))]
        }),
        plain("Map::pin", "a path that is taken", "MapError::PathTaken", "taken already", || {
            let (bpffs, map) = (Bpffs::mount(), map(1));
            map.pin(bpffs.path("ring")).unwrap();
            vec![Answer::of(map.pin(bpffs.path("ring")))]
        }),
        plain("Map::pin", "a path outside any bpffs", "MapError::NotOnBpffs", "mount -t bpf", || {
            vec![Answer::of(map(1).pin(Directory::new().path("ring")))]
        }),
        plain("Map::pin", "a missing directory, an empty path", "MapError::PathMissing", "no such path", || {
            let bpffs = Bpffs::mount();
            vec![Answer::of(map(1).pin(bpffs.path("none/ring"))), Answer::of(map(1).pin(""))]
        }),
        plain("Map::pin", "a name with a dot", "MapError::PathHasDot", "must not hold a dot", || {
            vec![Answer::of(map(1).pin(Bpffs::mount().path("ring.old")))]
        }),
        plain("{Map::create, Map::create_exact, rounded_size}", "size 0", "MapError::SizeZero", "size 0", || {
            vec![Answer::of(Map::create("x", 0)), Answer::of(Map::create_exact("x", 0)), Answer::of(rounded_size(0))]
        }),
        plain(
            "{Map::create, Map::create_exact, rounded_size}",
            "2 GiB + 1, 4 GiB, 2^64 - 1 bytes",
            "MapError::SizeTooLarge",
            "the limit is 2147483648",
            || {
                let sizes = [(1 << 31) + 1, 1 << 32, u64::MAX];
                let by_size = |size| {
                    [
                        Answer::of(Map::create("x", size)),
                        Answer::of(Map::create_exact("x", size)),
                        Answer::of(rounded_size(size)),
                    ]
                };
                sizes.into_iter().flat_map(by_size).collect()
            },
        ),
        plain("Map::create_exact", "1 byte, 3 pages", "MapError::SizeNotRounded", "the next is", || {
            let page = u64::from(rounded_size(1).unwrap());
            vec![Answer::of(Map::create_exact("x", 1)), Answer::of(Map::create_exact("x", 3 * page))]
        }),
        plain(create, "a name of 16 bytes", "MapError::NameTooLong", "16 bytes, the limit is 15", || {
            vec![
                Answer::of(Map::create("sixteen_bytes_xy", 1)),
                Answer::of(Map::create_exact("sixteen_bytes_xy", rounded_size(1).unwrap().into())),
            ]
        }),
        plain(
            create,
            "a name with a blank, a slash, a zero, an umlaut",
            "MapError::NameCharacter",
            "byte 1 is",
            || ["a b", "a/b", "a\0b", "a\u{fc}"].into_iter().map(|name| Answer::of(Map::create(name, 1))).collect(),
        ),
        as_nobody(create, "anything, without rights", "MapError::NotPermitted", "needs CAP_BPF", || {
            vec![Answer::of(Map::create("x", 1)), Answer::of(Map::create_exact("x", rounded_size(1).unwrap().into()))]
        }),
        plain("RingSize::new", "0, 7, 12, 2^32, 2^64 - 1 bytes", "SizeError", "a power of two from 8 to", || {
            [0, 7, 12, 1 << 32, u64::MAX].into_iter().map(|size| Answer::of(RingSize::new(size))).collect()
        }),
        on_ring(claiming, "a ring that is mapped already", "MappingError::AlreadyMapped", "share that", |tried| {
            let (map, again) = (&tried.ring.map, tried.ring.map.try_clone().unwrap());
            vec![Answer::of(Mapping::new(map)), Answer::of(Mapping::new(&again)), Answer::of(Mapping::claim(map))]
        }),
        plain(claiming, "a ring that another process claims", "MappingError::Claimed", "(pid ", || {
            let (map, _other) = claimed_by_another();
            let again = map.try_clone().unwrap();
            vec![Answer::of(Mapping::new(&map)), Answer::of(Mapping::new(&again)), Answer::of(Mapping::claim(&map))]
        }),
        plain(
            "Mapping::new",
            "the same where /proc can't be read",
            "MappingError::Claimed",
            "/proc does not show",
            || {
                let (map, _other) = claimed_by_another();
                vec![without_calls(&[libc::SYS_openat], Errno::PERM, || Answer::of(Mapping::new(&map)))]
            },
        ),
        plain("Mapping::new", "no descriptor left for the claim", "MappingError::System", "eventfd2 failed", || {
            // A process that has claimed nothing yet.
            let map = map(1);
            let answer = ask(|| with_limit(Resource::Nofile, 0, || Answer::of(Mapping::new(&map)).written()));
            vec![Answer::read(&answer)]
        }),
        plain(
            "Mapping::new",
            "fcntl forbidden by seccomp",
            "MappingError::System",
            "fcntl(F_OFD_GETLK) failed",
            || {
                let map = map(1);
                vec![without_calls(FCNTL, Errno::PERM, || Answer::of(Mapping::new(&map)))]
            },
        ),
        plain("Map::claimant", "fcntl forbidden by seccomp", "MapError::System", "fcntl(F_OFD_GETLK) failed", || {
            let map = map(1);
            vec![without_calls(FCNTL, Errno::PERM, || Answer::of(map.claimant()))]
        }),
        plain("Mapping::new", "madvise forbidden by seccomp", "MappingError::System", "madvise(", || {
            let map = map(1);
            vec![without_calls(&[libc::SYS_madvise], Errno::PERM, || Answer::of(Mapping::new(&map)))]
        }),
        plain("Map::holders", "/proc can't be read", "MapError::System", "reading /proc failed", || {
            let map = map(1);
            vec![without_calls(&[libc::SYS_openat], Errno::PERM, || Answer::of(map.holders()))]
        }),
    ];
    rows.push(plain(
        "{Mapping::{new, unclaimed}, MappingView::new}",
        "a descriptor opened for reading only, for writing only",
        "MappingError::NotReadWrite",
        "needs read and write permission on its pin",
        || {
            let bpffs = Bpffs::mount();
            map(1).pin(bpffs.path("ring")).unwrap();
            let opened = |flags| {
                let map = Map::from_fd(objects::open(&bpffs.path("ring"), flags)).unwrap();
                // SAFETY: nothing is produced through it.
                let unclaimed = unsafe { Mapping::unclaimed(&map) };
                [Answer::of(Mapping::new(&map)), Answer::of(unclaimed), Answer::of(MappingView::new(&map))]
            };
            [objects::READ_ONLY, objects::WRITE_ONLY].into_iter().flat_map(opened).collect()
        },
    ));
    rows.push(plain(
        "{Mapping::{new, unclaimed}, MappingView::new}",
        "a ring for which no address space is left",
        "MappingError::Mmap",
        "mmap of the producer page and the data",
        || {
            let map = map(64 << 20);
            with_little_address_space(|| {
                // SAFETY: nothing is produced through it.
                let unclaimed = unsafe { Mapping::unclaimed(&map) };
                vec![Answer::of(Mapping::new(&map)), Answer::of(unclaimed), Answer::of(MappingView::new(&map))]
            })
        },
    ));
    rows
}
