//! Many rings under one registration.

use user_ringbuf_kit::usage::open_descriptors;

use super::*;

/// Half-full rings in one set.
fn rings_in<R: Runtime>(set: &AsyncSet<R::Reactor>, count: usize) -> Vec<(Map, Ring<R>, DrainProgram)> {
    let ring = |_| {
        let (map, shared, program) = sync_ring();
        shared.push(&[0; HALF]).unwrap();
        let ring = AsyncShared::in_set(shared, &map, set).unwrap();
        (map, ring, program)
    };
    (0..count).map(ring).collect()
}

fn set<R: Runtime>(recheck: Recheck) -> AsyncSet<R::Reactor> {
    R::block_on(async { AsyncSet::with_recheck(recheck) }).unwrap()
}

over_each_reactor! {
    fn a_drain_wakes_the_task_of_its_ring_and_no_other<R>() {
        let set = set::<R>(Recheck::Never);
        let mut rings = rings_in::<R>(&set, 100);
        assert_eq!(set.len(), 100);
        scope(|scope| {
            let (drained, left): (Vec<_>, Vec<_>) = rings.iter_mut().enumerate().partition(|(at, _)| at % 10 == 3);
            let wait = |ring: &'_ Ring<R>| -> () { R::block_on(ring.reserve(WANTED)).map(drop).unwrap() };
            let mut threads = Vec::new();
            for (_, (_, ring, program)) in drained {
                let ring = &*ring;
                threads.push((scope.spawn(move || wait(ring)), program));
            }
            let last = left.into_iter().next().unwrap().1;
            let ring = &last.1;
            let other = scope.spawn(move || wait(ring));
            sleep(50 * MS);
            for (thread, program) in threads {
                assert!(!thread.is_finished(), "there was no room");
                drain(program, WAKING);
                thread.join().unwrap();
            }
            sleep(20 * MS);
            assert!(!other.is_finished(), "its ring was not drained");
            drain(&mut last.2, WAKING);
            other.join().unwrap();
        });
    }

    fn silent_drains_are_noticed_at_each_ring_by_the_recheck<R>() {
        let set = set::<R>(Recheck::default());
        let mut rings = rings_in::<R>(&set, 8);
        scope(|scope| {
            let mut threads = Vec::new();
            for (_, ring, program) in &mut rings {
                let ring = &*ring;
                threads.push((scope.spawn(move || R::block_on(ring.reserve(WANTED)).map(drop)), program));
            }
            for (thread, program) in threads {
                sleep(10 * MS);
                assert!(!thread.is_finished(), "there was no room");
                drain(program, SILENT);
                thread.join().unwrap().unwrap();
            }
        });
    }

    fn a_ring_that_is_dropped_leaves_the_set_and_the_others_go_on<R>() {
        let set = set::<R>(Recheck::Never);
        let mut rings = rings_in::<R>(&set, 3);
        let (map, ring, mut dropped) = rings.remove(1);
        {
            let mut waiting = pin!(ring.reserve(WANTED));
            R::block_on(async { assert!(poll_once(&mut waiting).await.is_none()) });
        }
        let shared = ring.into_shared();
        assert_eq!(set.len(), 2);
        drain(&mut dropped, WAKING);
        let (_, ring, program) = &mut rings[1];
        drop(waits_until::<R, _>(|| _ = drain(program, WAKING), ring.reserve(WANTED)).unwrap());
        // The producer may come back, and the set may go before its producers.
        let ring = AsyncShared::in_set(shared, &map, &set).unwrap();
        drop((set, rings));
        R::block_on(ring.push(&[0; WANTED])).unwrap();
        let map_of_another = Map::create("another", RING).unwrap();
        let set = self::set::<R>(Recheck::Never);
        let Err(refused) = AsyncShared::in_set(ring.into_shared(), &map_of_another, &set) else { panic!("another map") };
        assert!(matches!(refused.error(), ReactorError::OtherRing { .. }), "{refused}");
        assert!(set.is_empty());
    }
}

#[test]
fn a_ring_in_a_set_takes_one_descriptor_beside_its_map() {
    needs_bpf!();
    // In a process of its own, so that no other test's descriptors are counted.
    if std::env::var_os("COUNT_DESCRIPTORS").is_none() {
        let mut child = std::process::Command::new(std::env::current_exe().unwrap());
        child.args(["--exact", "set::a_ring_in_a_set_takes_one_descriptor_beside_its_map"]);
        assert!(child.env("COUNT_DESCRIPTORS", "1").status().unwrap().success());
        return;
    }
    let set = set::<Tokio>(Recheck::default());
    let before = open_descriptors();
    let rings: Vec<_> = (0..100)
        .map(|_| {
            let map = Map::create("in_a_set", RING).unwrap();
            let shared = Shared::attach(Mapping::new(&map).unwrap()).unwrap();
            (AsyncShared::in_set(shared, &map, &set).unwrap(), map)
        })
        .collect();
    // The first claim of a process opens a few of its own.
    let taken = open_descriptors() - before;
    assert!((200..=206).contains(&taken), "{taken} descriptors for 100 maps and their places in the set");
    drop(rings);
    assert!(open_descriptors() <= before + 6, "they are closed");
}
