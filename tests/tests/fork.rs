//! A forked child inherits producers and samples, and can do no harm to its parent's ring with them.

use std::process::Command;
use std::sync::atomic::{AtomicBool, Ordering};

use libc::SIGSEGV;
use rustix::mm::{MapFlags, ProtFlags, mmap_anonymous};
use user_ringbuf_kit::fork::{Ended, Line, ask, forever, fork, holding};
use user_ringbuf_kit::{needs_bpf, soon};
use user_ringbuf_linux::{
    Claimant, ContiguousMemory, DetachedSample, Map, Mapping, MappingError, MappingView, Producer, RingPositions,
    Shared,
};
use user_ringbuf_tests::ring::{Ring, page};

/// What becomes of a child that drops its copy of `held`. The parent keeps its own.
fn dropped_by_a_child<T>(held: &mut Option<T>) -> Ended {
    fork(|| drop(held.take())).wait()
}

/// Two samples more arrive, behind `before`.
fn goes_on<M: ContiguousMemory + Clone>(ring: &mut Ring, producer: &mut Producer<M>, before: &[&[u8]]) {
    producer.push(b"after").unwrap();
    let mut sample = producer.reserve_detached(5).unwrap();
    sample.copy_from_slice(b"later");
    sample.submit();
    assert_eq!(ring.drain(), [before, &[b"after", b"later"]].concat());
}

#[test]
fn a_child_may_drop_a_producer_a_sample_a_batch_and_the_mapping() {
    needs_bpf!();
    let mut ring = Ring::of_a_page();
    let mapping = ring.mapping();
    let mut producer = Producer::attach(&mapping).unwrap();

    let mut sample = Some(producer.reserve(5).unwrap());
    sample.as_mut().unwrap().copy_from_slice(b"first");
    assert_eq!(dropped_by_a_child(&mut sample), Ended::Done);
    sample.unwrap().submit();

    let mut batch = Some(producer.batch());
    batch.as_mut().unwrap().push(b"second").unwrap();
    assert_eq!(dropped_by_a_child(&mut batch), Ended::Done);
    batch.unwrap().submit().unwrap();

    let mut held = Some(producer);
    assert_eq!(dropped_by_a_child(&mut held), Ended::Done);
    goes_on(&mut ring, &mut held.unwrap(), &[b"first", b"second"]);

    let mut held = Some(mapping);
    assert_eq!(dropped_by_a_child(&mut held), Ended::Done);
    let mapping = held.unwrap();
    // The child has not given up the parent's claim either.
    assert!(matches!(Mapping::new(&ring.map), Err(MappingError::AlreadyMapped { .. })));
    goes_on(&mut ring, &mut Producer::attach(&mapping).unwrap(), &[]);

    let mut held = Some(Shared::attach(mapping).unwrap());
    assert_eq!(dropped_by_a_child(&mut held), Ended::Done);
    held.unwrap().push(b"shared").unwrap();
    assert_eq!(ring.drain(), [b"shared"]);
}

/// A child drops its copy of a sample that is still to be submitted, and another sample goes behind it.
fn dropped_while_busy<M: ContiguousMemory>(ring: &mut Ring, sample: DetachedSample<M>, push: impl FnOnce(&[u8])) {
    let mut sample = Some(sample);
    sample.as_mut().unwrap().copy_from_slice(b"first");
    assert_eq!(dropped_by_a_child(&mut sample), Ended::Killed(SIGSEGV));
    push(b"second");
    assert_eq!(ring.drain(), Vec::<Vec<u8>>::new(), "the record is busy");
    sample.unwrap().submit();
    assert_eq!(ring.drain(), [&b"first"[..], b"second"]);
}

#[test]
fn a_child_that_drops_a_busy_sample_leaves_the_parents_record_alone() {
    needs_bpf!();
    let mut ring = Ring::of_a_page();
    let mapping = ring.mapping();
    let mut producer = Producer::attach(&mapping).unwrap();
    let detached = producer.reserve_detached(5).unwrap();
    dropped_while_busy(&mut ring, detached, |bytes| _ = producer.push(bytes).unwrap());
    goes_on(&mut ring, &mut producer, &[]);
    let shared = producer.into_shared();
    let detached = shared.reserve(5).unwrap();
    dropped_while_busy(&mut ring, detached, |bytes| _ = shared.push(bytes).unwrap());
}

#[test]
fn a_child_that_drops_a_lane_swallows_nothing_of_it() {
    needs_bpf!();
    let mut ring = Ring::of_a_page();
    let mut producer = ring.producer();
    let mut lane = Some(producer.lane(256).unwrap());
    lane.as_mut().unwrap().push(b"first").unwrap();
    let line = Line::new();
    let child = fork(|| {
        line.hear();
        drop(lane.take());
    });
    // What lies behind the first sample in the child's eyes.
    let mut lane = lane.unwrap();
    lane.push(b"second").unwrap();
    line.say(0);
    let child = child.wait();
    lane.push(b"third").unwrap();
    lane.close();
    goes_on(&mut ring, &mut producer, &[b"first", b"second", b"third"]);
    assert_eq!(child, Ended::Killed(SIGSEGV));
}

#[test]
fn a_child_that_produces_ends_before_it_moves_a_position() {
    needs_bpf!();
    let mut ring = Ring::of_a_page();
    let raw = ring.raw();
    let mut producer = ring.producer();
    producer.push(b"first").unwrap();
    let line = Line::new();
    let child = fork(|| {
        line.hear();
        let _ = producer.push(b"of the child");
    });
    // The parent goes further than the child knows.
    producer.push(b"second").unwrap();
    producer.push(b"third").unwrap();
    let position = raw.producer_pos();
    line.say(0);
    let child = child.wait();
    assert_eq!(raw.producer_pos(), position);
    goes_on(&mut ring, &mut producer, &[b"first", b"second", b"third"]);
    assert_eq!(child, Ended::Killed(SIGSEGV));
}

#[test]
fn a_child_that_drops_the_mapping_unmaps_nothing_that_lies_there_since() {
    needs_bpf!();
    let ring = Ring::of_a_page();
    let mapping = ring.mapping();
    // SAFETY: offset 0 of the ring; nothing is written.
    let first_sample = unsafe { mapping.by_value().payload(0) };
    let start = first_sample.wrapping_sub(8 + page());
    let (len, mut held) = (3 * page(), Some(mapping));
    let child = fork(|| {
        // SAFETY: in this process nothing uses the ring's memory any more.
        let new = unsafe {
            let (prot, flags) = (ProtFlags::READ | ProtFlags::WRITE, MapFlags::PRIVATE | MapFlags::FIXED);
            mmap_anonymous(start.cast(), len, prot, flags).unwrap().cast::<u8>()
        };
        // SAFETY: within what was just mapped.
        unsafe { new.write_bytes(7, len) };
        drop(held.take());
        // SAFETY: as above.
        assert!((0..len).all(|at| unsafe { new.add(at).read_volatile() } == 7));
    });
    assert_eq!(child.wait(), Ended::Done);
    assert!(held.is_some_and(|mapping| mapping.size().bytes() > 0));
}

#[test]
fn a_child_may_look_at_the_ring_through_a_view_it_inherited() {
    needs_bpf!();
    let ring = Ring::of_a_page();
    let mut view = Some(MappingView::new(&ring.map).unwrap());
    let child = fork(|| {
        assert_eq!(view.as_ref().unwrap().load_consumer().get(), 0);
        drop(view.take());
    });
    assert_eq!(child.wait(), Ended::Done);
    assert_eq!(view.unwrap().load_consumer().get(), 0);
}

#[test]
fn a_child_that_is_forked_while_a_thread_maps_a_ring_maps_one_itself() {
    needs_bpf!();
    let (busy, own) = (Map::create("busy", 1).unwrap(), Map::create("own", 1).unwrap());
    let stop = AtomicBool::new(false);
    std::thread::scope(|scope| {
        scope.spawn(|| {
            while !stop.load(Ordering::Relaxed) {
                drop(Mapping::new(&busy).unwrap());
            }
        });
        let ended: Vec<_> = (0..400)
            .map(|_| fork(|| assert!(Mapping::new(&own).is_ok())).wait())
            .take_while(|ended| *ended == Ended::Done)
            .collect();
        stop.store(true, Ordering::Relaxed);
        assert_eq!(ended.len(), 400, "one child did not get through");
    });
}

#[test]
fn a_child_is_another_process_to_the_claim_and_may_have_the_ring_once_it_is_free() {
    needs_bpf!();
    let ring = Ring::of_a_page();
    let mapping = ring.mapping();
    let refused = ask(|| format!("{:?}", Mapping::new(&ring.map).map(drop)));
    assert!(refused.contains("Claimed") && refused.contains(&format!("pid: {}", std::process::id())), "{refused}");
    drop(mapping);
    let produced = ask(|| {
        let mapping = ring.mapping();
        Producer::attach(&mapping).unwrap().push(b"by the child").unwrap();
        String::new()
    });
    assert_eq!(produced, "");
    let mut ring = ring;
    assert_eq!(ring.drain(), [b"by the child"]);
    assert!(Mapping::new(&ring.map).is_ok(), "the child's claim ended with it");
}

/// A process that holds the claim of `map` is killed, while a child of it lives that made something: who has the claim
/// then, and the child's pid.
fn after_the_parent_of_a_child<T>(map: &Map, hold: impl FnOnce() -> T) -> (Claimant, u32) {
    let line = Line::new();
    let parent = fork(|| {
        let _mapping = Mapping::new(map).unwrap();
        let child = holding(hold);
        line.say(child.pid());
        forever();
    });
    let child = line.hear();
    match map.claimant() {
        Ok(Claimant::Process(holder)) => assert!([parent.pid(), child].contains(&holder.pid()), "{holder}"),
        other => panic!("{other:?}"),
    }
    parent.kill();
    (map.claimant().unwrap(), child)
}

fn kill(pid: u32) {
    let pid = rustix::process::Pid::from_raw(i32::try_from(pid).unwrap()).unwrap();
    rustix::process::kill_process(pid, rustix::process::Signal::KILL).unwrap();
}

#[test]
fn the_claim_ends_with_the_parent_if_its_child_uses_the_library() {
    needs_bpf!();
    let (map, other) = (Map::create("claimed", 1).unwrap(), Map::create("other", 1).unwrap());
    let (claimant, child) = after_the_parent_of_a_child(&map, || Mapping::new(&other).unwrap());
    assert_eq!(claimant, Claimant::Nobody);
    assert!(matches!(other.claimant(), Ok(Claimant::Process(holder)) if holder.pid() == child));
    kill(child);
    soon("free", || other.claimant() == Ok(Claimant::Nobody));
}

/// The limit that the documentation names.
#[test]
fn the_claim_of_a_dead_parent_stays_until_its_idle_child_ends() {
    needs_bpf!();
    let map = Map::create("claimed", 1).unwrap();
    let (claimant, child) = after_the_parent_of_a_child(&map, || ());
    assert!(matches!(claimant, Claimant::Process(holder) if holder.pid() == child), "{claimant:?}");
    kill(child);
    soon("free", || map.claimant() == Ok(Claimant::Nobody));
    assert!(Mapping::new(&map).is_ok());
}

#[test]
fn a_child_that_executes_a_program_keeps_no_claim_and_the_parent_goes_on() {
    needs_bpf!();
    let mut ring = Ring::of_a_page();
    let mut producer = ring.producer();
    let mut sample = producer.reserve_detached(5).unwrap();
    sample.copy_from_slice(b"first");
    assert!(Command::new("true").status().unwrap().success());
    sample.submit();
    goes_on(&mut ring, &mut producer, &[b"first"]);

    let (line, map) = (Line::new(), Map::create("claimed", 1).unwrap());
    let parent = fork(|| {
        let _mapping = Mapping::new(&map).unwrap();
        let mut child = Command::new("sleep");
        line.say(child.arg("20").spawn().unwrap().id());
        forever();
    });
    let child = line.hear();
    assert!(matches!(map.claimant(), Ok(Claimant::Process(holder)) if holder.pid() == parent.pid()));
    parent.kill();
    assert_eq!(map.claimant(), Ok(Claimant::Nobody));
    // It is still there: else this would fail.
    kill(child);
}
