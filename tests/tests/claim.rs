//! One producer per ring on the whole machine: the claim, whom it keeps out, and who is told about.

use std::os::fd::{AsFd, AsRawFd};

use rustix::io::Errno;
use rustix::process::{Signal, set_parent_process_death_signal};
use user_ringbuf_kit::bpffs::Bpffs;
use user_ringbuf_kit::fork::{Ended, Forked, Line, ask, forever, fork, fork_with_a_lower_pid, holding};
use user_ringbuf_kit::objects;
use user_ringbuf_kit::seccomp::without_calls;
use user_ringbuf_kit::{needs_admin, needs_bpf};
use user_ringbuf_linux::{Claimant, Map, Mapping, MappingError, OpenMaps, Producer};
use user_ringbuf_tests::ring::Ring;

fn ring() -> Map {
    Map::create("claim", 1).unwrap()
}

/// Another process that has the claim.
fn claimed_by_another(map: &Map) -> Forked {
    holding(|| Mapping::new(map).unwrap())
}

/// Who is named as the holder, if the claim is refused for another process.
fn refused(map: &Map) -> Option<(u32, String)> {
    match Mapping::new(map) {
        Err(MappingError::Claimed { id, holder }) => {
            assert_eq!(id, map.id());
            holder.map(|holder| (holder.pid(), holder.name().into()))
        }
        other => panic!("{other:?}"),
    }
}

#[test]
fn a_ring_that_another_process_claims_is_refused_whatever_the_way_to_its_map() {
    needs_admin!();
    let (bpffs, mut ring) = (Bpffs::mount(), Ring::of_a_page());
    let path = bpffs.path("ring");
    ring.map.pin(&path).unwrap();
    let other = claimed_by_another(&ring.map);
    let comm = std::fs::read_to_string(format!("/proc/{}/comm", other.pid())).unwrap();
    let holder = Some((other.pid(), comm.trim_end().to_owned()));
    // The very description that the other process inherited, a duplicate, and new ones.
    for map in [
        &ring.map,
        &ring.map.try_clone().unwrap(),
        &Map::from_pin(&path).unwrap(),
        &Map::from_id(ring.map.id()).unwrap(),
    ] {
        assert_eq!(refused(map), holder);
        assert!(matches!(map.claimant(), Ok(Claimant::Process(process)) if process.pid() == other.pid()));
    }
    let text = Mapping::new(&ring.map).unwrap_err().to_string();
    assert!(text.contains(&format!("{} (pid {})", comm.trim_end(), other.pid())), "{text}");
    // By SIGKILL.
    other.kill();
    assert_eq!(ring.map.claimant(), Ok(Claimant::Nobody));
    let mapping = ring.mapping();
    Producer::attach(&mapping).unwrap().push(b"ours").unwrap();
    assert_eq!(ring.drain(), [b"ours"]);
}

#[test]
fn a_claim_in_this_process_is_told_apart_from_one_in_another() {
    needs_bpf!();
    let (ours, theirs) = (ring(), ring());
    let mapping = Mapping::new(&ours).unwrap();
    let _other = claimed_by_another(&theirs);
    assert_eq!(Mapping::new(&ours).unwrap_err(), MappingError::AlreadyMapped { id: ours.id() });
    assert!(refused(&theirs).is_some());
    assert!(matches!(ours.claimant(), Ok(Claimant::Process(holder)) if holder.pid() == std::process::id()));
    drop(mapping);
    assert_eq!(ours.claimant(), Ok(Claimant::Nobody));
}

#[test]
fn a_forked_child_that_shares_a_claim_is_not_taken_for_the_process_that_took_it() {
    needs_admin!();
    let map = ring();
    let _mapping = Mapping::new(&map).unwrap();
    let line = Line::new();
    // A walk by ascending pid finds the child's child first, then the child.
    let _child = fork_with_a_lower_pid(|| {
        let _grandchild = fork_with_a_lower_pid(|| {
            set_parent_process_death_signal(Some(Signal::KILL)).unwrap();
            line.say(0);
            forever();
        });
        forever();
    });
    line.hear();
    let open = OpenMaps::scan().unwrap();
    for claimant in [map.claimant(), open.claimant(&map)] {
        assert!(
            matches!(claimant, Ok(Claimant::Process(holder)) if holder.pid() == std::process::id()),
            "{claimant:?} and not {}",
            std::process::id()
        );
    }
}

#[test]
fn of_processes_that_attach_at_the_same_instant_one_gets_the_ring() {
    needs_bpf!();
    let ring = Ring::of_a_page();
    for _ in 0..100 {
        let (start, results) = (Line::new(), Line::new());
        let children: Vec<_> = (0..3)
            .map(|_| {
                fork(|| {
                    start.hear();
                    let attempt = Mapping::new(&ring.map);
                    let refused = matches!(attempt, Err(MappingError::Claimed { .. }));
                    results.say(if attempt.is_ok() { 1 } else { u32::from(refused) * 100 });
                    forever();
                })
            })
            .collect();
        children.iter().for_each(|_| start.say(0));
        assert_eq!(children.iter().map(|_| results.hear()).sum::<u32>(), 201, "one has it and two are refused");
        children.into_iter().for_each(Forked::kill);
        assert!(Mapping::new(&ring.map).is_ok(), "the claim is free again");
    }
}

#[test]
fn a_process_claims_more_rings_than_any_table_has_places_and_gives_each_back() {
    needs_bpf!();
    let maps: Vec<_> = (0..600).map(|_| ring()).collect();
    let mut mappings: Vec<_> = maps.iter().map(|map| Some(Mapping::new(map).unwrap())).collect();
    // From the middle of what the kernel has joined to one lock.
    for at in (0..600).step_by(3) {
        mappings[at] = None;
    }
    for (map, mapping) in maps.iter().zip(&mappings) {
        match mapping {
            Some(_) => assert!(matches!(map.claimant(), Ok(Claimant::Process(_)))),
            None => assert_eq!(map.claimant(), Ok(Claimant::Nobody)),
        }
    }
    assert!(maps.iter().step_by(3).all(|map| Mapping::new(map).is_ok()));
}

#[test]
fn a_failed_mapping_gives_its_claim_back() {
    needs_admin!();
    let map = ring();
    without_calls(&[libc::SYS_madvise], Errno::PERM, || {
        let failed = MappingError::System { call: "madvise(MADV_DONTFORK)", errno: Errno::PERM };
        // The first time, the page that tells children apart fails.
        drop(Mapping::new(&ring()));
        let error = Mapping::new(&map).unwrap_err();
        assert!(error == failed || matches!(error, MappingError::System { call: "madvise(MADV_WIPEONFORK)", .. }));
    });
    assert_eq!(map.claimant(), Ok(Claimant::Nobody));
    assert!(Mapping::new(&map).is_ok());
    // Nor do descriptors keep one that were opened for reading only, or for writing only.
    let bpffs = Bpffs::mount();
    map.pin(bpffs.path("ring")).unwrap();
    for flags in [objects::READ_ONLY, objects::WRITE_ONLY] {
        let one_way = Map::from_fd(objects::open(&bpffs.path("ring"), flags)).unwrap();
        let refused = Mapping::new(&one_way);
        assert!(matches!(refused, Err(MappingError::NotReadWrite { .. })), "{refused:?}");
        assert!(Mapping::new(&map).is_ok());
    }
}

#[test]
fn without_rights_a_claim_is_seen_and_its_holder_is_not() {
    needs_admin!();
    let map = ring();
    let _other = claimed_by_another(&map);
    let seen = ask(|| {
        // SAFETY: the child has one thread.
        assert_eq!(unsafe { libc::setgid(65534) | libc::setuid(65534) }, 0);
        let unreadable = map.holders().unwrap().unreadable;
        format!("{:?} {:?} {}", map.claimant(), Mapping::new(&map).map(drop), unreadable > 0)
    });
    let id = map.id();
    assert_eq!(seen, format!("Ok(Unseen) Err(Claimed {{ id: {id}, holder: None }}) true"));
}

#[test]
fn those_who_hold_a_map_open_are_found_with_a_claim_or_without() {
    needs_admin!();
    let map = ring();
    let pids = || map.holders().unwrap().found.iter().map(|holder| holder.pid()).collect::<Vec<_>>();
    assert!(pids().contains(&std::process::id()));
    let claiming = claimed_by_another(&map);
    let idle = fork(|| forever());
    // SAFETY: what the parent has open stays open there; nothing here uses it any more.
    let closed = holding(|| unsafe { libc::close(map.as_raw_fd()) });
    assert!(!pids().contains(&closed.pid()));
    let found = pids();
    assert!(found.contains(&claiming.pid()) && found.contains(&idle.pid()) && found.is_sorted(), "{found:?}");
    let (pid, _) = (idle.pid(), idle.kill());
    assert!(!pids().contains(&pid));
}

#[test]
fn a_claim_without_a_mapping_keeps_others_out_until_it_is_dropped() {
    needs_bpf!();
    let map = ring();
    let claim = Mapping::claim(&map).unwrap();
    assert_eq!(Mapping::claim(&map).unwrap_err(), MappingError::AlreadyMapped { id: map.id() });
    assert_eq!(Mapping::new(&map).unwrap_err(), MappingError::AlreadyMapped { id: map.id() });
    let other = fork(|| assert!(matches!(Mapping::claim(&map), Err(MappingError::Claimed { .. }))));
    assert_eq!(other.wait(), Ended::Done);
    drop(claim);
    assert!(Mapping::new(&map).is_ok());
}

#[test]
fn a_forked_child_inherits_a_mapping_without_a_claim() {
    needs_bpf!();
    let mut ring = Ring::of_a_page();
    // SAFETY: parent and child take turns.
    let mapping = unsafe { Mapping::unclaimed(&ring.map) }.unwrap();
    Producer::attach(&mapping).unwrap().push(b"parent").unwrap();
    let child = fork(|| {
        Producer::attach(&mapping).unwrap().push(b"child").unwrap();
    });
    assert_eq!(child.wait(), Ended::Done);
    Producer::attach(&mapping).unwrap().push(b"parent").unwrap();
    assert_eq!(ring.drain(), [&b"parent"[..], b"child", b"parent"]);
}

#[test]
fn processes_that_share_a_ring_on_purpose_take_turns_without_a_claim() {
    needs_bpf!();
    let mut ring = Ring::of_a_page();
    let turn = |ring: &Ring, sample: &[u8]| {
        // SAFETY: no other producer works on the ring meanwhile: the test runs one turn after the other.
        let mapping = unsafe { Mapping::unclaimed(&ring.map) }.unwrap();
        Producer::attach(&mapping).unwrap().push(sample).unwrap();
    };
    // SAFETY: nothing is produced through it.
    let _beside = unsafe { Mapping::unclaimed(&ring.map) }.unwrap();
    turn(&ring, b"one");
    assert_eq!(fork(|| turn(&ring, b"two")).wait(), Ended::Done);
    turn(&ring, b"three");
    assert_eq!(ring.map.claimant(), Ok(Claimant::Nobody));
    // They don't keep a claim out either, nor does it keep them out.
    let claiming = ring.mapping();
    turn(&ring, b"four");
    drop(claiming);
    assert_eq!(ring.drain(), [&b"one"[..], b"two", b"three", b"four"]);
}

/// The descriptor through which this process claims: the anonymous file that has a lock.
fn carrier() -> i32 {
    let numbers = std::fs::read_dir("/proc/self/fdinfo").unwrap().map(|entry| entry.unwrap().file_name());
    let has_lock =
        |fd: &i32| std::fs::read_to_string(format!("/proc/self/fdinfo/{fd}")).is_ok_and(|text| text.contains("OFDLCK"));
    let found: Vec<i32> = numbers.filter_map(|name| name.to_str()?.parse().ok()).filter(has_lock).collect();
    assert_eq!(found.len(), 1, "one for all claims: {found:?}");
    found[0]
}

#[test]
fn a_carrier_that_something_closed_is_replaced_and_what_has_its_number_is_left_alone() {
    needs_bpf!();
    let (first, second, third) = (ring(), ring(), ring());
    let file = std::fs::File::open("/proc/self/status").unwrap();
    let is_file = |fd: i32| std::fs::read_link(format!("/proc/self/fd/{fd}")).is_ok_and(|to| to.ends_with("status"));
    let child = fork(|| {
        let _first = Mapping::new(&first).unwrap();
        let fd = carrier();
        // SAFETY: closes what the library opened, and puts a file in its place, as a careless program does.
        assert_eq!(unsafe { libc::dup2(file.as_fd().as_raw_fd(), fd) }, fd);
        assert!(is_file(fd));
        let second = Mapping::new(&second).unwrap();
        assert_eq!(ask(|| format!("{:?}", Mapping::new(&third).is_ok())), "true");
        assert!(is_file(fd), "it was closed");
        drop(second);
        assert!(is_file(fd));
        // A child that closed everything, and opened a file at the parent's carrier's number.
        let again = Mapping::new(&third).unwrap();
        let fd = carrier();
        let child = fork(|| {
            // SAFETY: as above.
            assert_eq!(unsafe { libc::dup2(file.as_fd().as_raw_fd(), fd) }, fd);
            drop(Mapping::new(&ring()).unwrap());
            assert!(is_file(fd), "it was closed");
        });
        assert_eq!(child.wait(), Ended::Done);
        drop(again);
    });
    assert_eq!(child.wait(), Ended::Done);
}
