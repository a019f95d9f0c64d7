//! Nothing stays open or mapped: after a drop, a wait, and on every path that fails halfway.
//!
//! One test, since descriptors and mappings are counted for the whole process.

use std::future::{Future, poll_fn};
use std::task::Poll;
use std::time::Duration;

use rustix::io::Errno;
use rustix::process::Resource;
use user_ringbuf_kit::bpffs::Directory;
use user_ringbuf_kit::objects;
use user_ringbuf_kit::seccomp::without_bpf_call;
use user_ringbuf_kit::usage::{mapped_maps, open_descriptors, with_limit, with_little_address_space};
use user_ringbuf_kit::{needs_bpf, soon};
use user_ringbuf_linux::{
    AsyncIoShared, BpfCommand, DrainError, DrainProgram, EpollWaiter, MAX_LOG, Map, MapError, Mapping, MappingError,
    MappingView, Producer, Shared,
};

/// Runs `work` some times and sees that it leaves nothing behind.
fn leaves_nothing(what: &str, mut work: impl FnMut()) {
    // The first time may open what stays: the C library's own.
    work();
    let before = (open_descriptors(), mapped_maps());
    for _ in 0..20 {
        work();
    }
    // A runtime's own thread may close what it has opened a little later.
    soon(&format!("as before: {what}"), || open_descriptors() <= before.0 && mapped_maps() == before.1);
}

/// The lowest limit that lets `more` descriptors be opened.
fn room_for(more: u64) -> u64 {
    // The limit is one on numbers, and each new descriptor takes the lowest free one: so many are free below the last.
    let free: Vec<_> = (0..=more).map(|_| rustix::io::fcntl_dupfd_cloexec(std::io::stdin(), 0).unwrap()).collect();
    u64::try_from(std::os::fd::AsRawFd::as_raw_fd(free.last().unwrap())).unwrap()
}

#[test]
fn nothing_stays_open_or_mapped_after_a_drop_or_a_failure() {
    needs_bpf!();
    let ring = Map::create("leaks", 1 << 16).unwrap();

    leaves_nothing("a ring used and dropped", || {
        let map = Map::create("short_lived", 1).unwrap();
        let mapping = Mapping::new(&map).unwrap();
        let view = MappingView::new(&map).unwrap();
        assert_eq!(mapped_maps().len(), 4, "two stretches a mapping: {:?}", mapped_maps());
        let mut program = DrainProgram::load(&map, 4096).unwrap();
        let mut producer = Producer::attach(&mapping).unwrap();
        producer.push(b"x").unwrap();
        let outstanding = producer.reserve_detached(5).unwrap();
        assert_eq!(program.run(&Default::default()).unwrap().returned(), Ok(1));
        drop(outstanding);
        let waiter = EpollWaiter::new(&map).unwrap();
        drop((view, waiter.canceller(), waiter));
    });
    assert_eq!(mapped_maps(), Vec::<String>::new());

    leaves_nothing("a shared producer and its samples, dropped last", || {
        let mapping = std::sync::Arc::new(Mapping::new(&ring).unwrap());
        let shared = Shared::attach(mapping).unwrap();
        let sample = shared.reserve_owned(3).unwrap();
        drop(shared);
        assert_eq!(mapped_maps().len(), 2, "the sample holds the mapping");
        sample.discard();
    });

    leaves_nothing("a wait that times out, and one that is cancelled", || {
        let map = Map::create("waits", 65536).unwrap();
        let mut producer = Producer::attach(Mapping::new(&map).unwrap()).unwrap();
        producer.push(&[0; 65528]).unwrap();
        let mut waiter = EpollWaiter::new(&map).unwrap();
        let canceller = waiter.canceller().unwrap().try_clone().unwrap();
        producer.reserve_blocking(8, &mut waiter, Some(Duration::from_millis(1))).unwrap_err();
        canceller.cancel().unwrap();
        producer.reserve_blocking(8, &mut waiter, None).unwrap_err();
    });

    leaves_nothing("a task that gives up", || {
        let map = Map::create("tasks", 65536).unwrap();
        let shared = Shared::attach(Mapping::new(&map).unwrap()).unwrap();
        shared.push(&[0; 65528]).unwrap();
        let ring = AsyncIoShared::new(shared, &map).unwrap();
        let mut reserving = Box::pin(ring.reserve(8));
        async_io::block_on(poll_fn(|cx| {
            assert!(reserving.as_mut().poll(cx).is_pending());
            Poll::Ready(())
        }));
    });

    let directory = Directory::new();
    leaves_nothing("wrong descriptors, names, sizes, paths", || {
        let file = || std::fs::File::open("/dev/null").unwrap();
        assert_eq!(Map::from_fd(file().into()).unwrap_err().error(), MapError::NotAMap);
        assert_eq!(Map::from_borrowed(file()).unwrap_err(), MapError::NotAMap);
        assert_eq!(Map::from_fd_via_fdinfo(file().into()).unwrap_err().error(), MapError::NotAMap);
        assert_eq!(Map::from_fd(objects::map(2, 4, 8, 1)).unwrap_err().error(), MapError::WrongType { found: 2 });
        assert!(Map::create("not a name", 1).is_err() && Map::create("size", 0).is_err());
        assert!(matches!(Map::from_pin(directory.path("none")), Err(MapError::PathMissing { .. })));
        assert_eq!(ring.pin(directory.path("ring")).unwrap_err(), MapError::NotOnBpffs);
        let bytes = MAX_LOG + 1;
        assert_eq!(DrainProgram::load(&ring, bytes).unwrap_err(), DrainError::LogTooLarge { bytes, max: MAX_LOG });
    });

    leaves_nothing("a second mapping, and a second producer", || {
        let mapping = Mapping::new(&ring).unwrap();
        assert!(matches!(Mapping::new(&ring), Err(MappingError::AlreadyMapped { .. })));
        let producer = Producer::attach(&mapping).unwrap();
        assert!(Producer::attach(&mapping).is_err());
        drop(producer);
    });

    leaves_nothing("bpf(2) forbidden", || {
        without_bpf_call(Errno::PERM, || {
            assert!(Map::create("forbidden", 1).is_err());
            assert!(DrainProgram::load(&ring, 4096).is_err());
            // By fdinfo, whose file is closed again.
            assert_eq!(Map::from_borrowed(&ring).unwrap().id(), ring.id());
        });
    });

    // A 64 MiB ring needs twice as much address space: its consumer page goes in, and the rest does not.
    let large = Map::create("large", 64 << 20).unwrap();
    leaves_nothing("no address space for the data", || {
        let page = rustix::param::page_size();
        let too_much = MappingError::Mmap {
            what: "the producer page and the data",
            bytes: page + (128 << 20),
            errno: Errno::NOMEM,
        };
        with_little_address_space(|| assert_eq!(Mapping::new(&large).unwrap_err(), too_much));
        with_little_address_space(|| assert_eq!(MappingView::new(&large).unwrap_err(), too_much));
    });
    assert!(Mapping::new(&large).is_ok(), "the failed attempt holds no claim");

    leaves_nothing("no descriptor left, at each step", || {
        let few = |more, work: &dyn Fn()| with_limit(Resource::Nofile, room_for(more), work);
        few(0, &|| {
            let full = Map::create("none_left", 1).unwrap_err();
            assert!(matches!(full, MapError::Bpf(error) if error.command == BpfCommand::MapCreate), "{full}");
            assert!(full.to_string().contains("BPF_MAP_CREATE failed"), "{full}");
            let full = ring.try_clone().unwrap_err();
            assert!(matches!(full, MapError::System { errno: Errno::MFILE, .. }), "{full}");
        });
        let waiter = |more| with_limit(Resource::Nofile, room_for(more), || EpollWaiter::new(&ring));
        let steps = (0..8).take_while(|more| waiter(*more).is_err_and(|full| full.errno == Errno::MFILE)).count();
        assert!((2..8).contains(&steps), "an epoll instance and an eventfd at least, {steps} steps");
        for more in 0..3 {
            few(more, &|| assert!(DrainProgram::load(&ring, 4096).is_err(), "with {more} left"));
        }
        // The log, the type information, the program: three at once.
        few(3, &|| assert!(DrainProgram::load(&ring, 4096).is_ok()));
    });
}
