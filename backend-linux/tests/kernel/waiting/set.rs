//! One thread that waits for many rings.

use user_ringbuf_linux::{RingSet, RingSetError};

use super::*;

const NOW: Option<Duration> = Some(Duration::ZERO);

/// Half-full rings in a set, each named by its index, with the events of the registrations fetched.
fn quiet_set(rings: usize) -> (RingSet, Vec<(Map, Producer<Mapping>, DrainProgram)>) {
    let mut set = RingSet::with_recheck(Recheck::Never).unwrap();
    let rings: Vec<_> = (0..rings).map(|_| half_full()).collect();
    for (key, (map, ..)) in (0..).zip(&rings) {
        set.add(map, key).unwrap();
    }
    while !named(&mut set).is_empty() {}
    (set, rings)
}

/// What has come, sorted.
fn named(set: &mut RingSet) -> Vec<u64> {
    let mut keys = [0; 64];
    let woken = set.wait(&mut keys, 0, NOW).unwrap();
    assert!(!woken.look && !woken.cancelled);
    let mut keys = woken.rings.to_vec();
    keys.sort_unstable();
    keys
}

#[test]
fn a_set_names_the_rings_that_were_drained_and_no_others() {
    needs_bpf!();
    let (mut set, mut rings) = quiet_set(5);
    assert_eq!(named(&mut set), [0; 0], "nothing was drained");
    for key in [3, 1] {
        assert_eq!(drain(&mut rings[key].2, WAKING), 1);
    }
    // The kernel wakes a moment after the drain has returned.
    let mut seen = Vec::new();
    soon("both named, where there is a place for one", || {
        seen.extend_from_slice(set.wait(&mut [0], 0, NOW).unwrap().rings);
        seen.len() >= 2
    });
    seen.sort_unstable();
    assert_eq!(seen, [1, 3]);
    assert_eq!(named(&mut set), [0; 0], "each once");
    assert_eq!(drain(&mut rings[4].2, SILENT), 1);
    sleep(20 * MS);
    assert_eq!(named(&mut set), [0; 0], "that drain woke nobody");
}

#[test]
fn a_drain_of_any_ring_ends_the_wait_and_there_is_room_in_that_one() {
    needs_bpf!();
    let (mut set, mut rings) = quiet_set(100);
    let programs: Vec<_> = rings.iter_mut().map(|(.., program)| program).collect();
    std::thread::scope(|scope| {
        let thread = scope.spawn(|| {
            let mut keys = [0; 64];
            set.wait(&mut keys, 0, None).map(|woken| woken.rings.to_vec())
        });
        sleep(50 * MS);
        assert!(!thread.is_finished());
        for program in programs.into_iter().skip(77).take(1) {
            drain(program, WAKING);
        }
        assert_eq!(joined_scoped(thread), Ok(vec![77]));
    });
    assert!(rings[77].1.push(&[0; WANTED]).is_ok());
}

#[test]
fn all_of_many_rings_are_named_however_few_at_a_time() {
    needs_bpf!();
    let (mut set, mut rings) = quiet_set(200);
    for (.., program) in &mut rings {
        drain(program, WAKING);
    }
    let (mut seen, mut rounds) = (Vec::new(), 0);
    soon("all named", || {
        seen.extend(named(&mut set));
        rounds += 1;
        seen.len() >= 200
    });
    seen.sort_unstable();
    assert!(seen.iter().copied().eq(0..200), "{seen:?}");
    assert!(rounds >= 4, "64 at a time");
}

#[test]
fn a_set_asks_for_a_look_where_drains_wake_nobody_also_beside_one_that_does() {
    needs_bpf!();
    let pause = 30 * MS;
    let began = Instant::now();
    let mut set = RingSet::with_recheck(Recheck::Backoff { first: pause, longest: pause }).unwrap();
    let (loud, silent) = (half_full(), half_full());
    set.add(&loud.0, 1).unwrap();
    set.add(&silent.0, 2).unwrap();
    let (mut producer, mut program) = (loud.1, loud.2);
    let mut keys = [0; 8];
    let mut looks = 0;
    // The loud ring's events come far more often than the pause is long.
    while looks < 3 {
        assert!(began.elapsed() < patience(), "the loud ring hid the looks");
        drain(&mut program, WAKING);
        producer.push(b"more").unwrap();
        looks += u32::from(set.wait(&mut keys, 0, Some(MS)).unwrap().look);
    }
    assert!(began.elapsed() >= 3 * pause - MS, "looks came too often");
}

#[test]
fn a_set_keeps_its_time_and_can_be_cancelled() {
    needs_bpf!();
    let (mut set, _rings) = quiet_set(2);
    let mut keys = [0; 8];
    let began = Instant::now();
    let woken = set.wait(&mut keys, 0, Some(50 * MS)).unwrap();
    assert!(woken.rings.is_empty() && !woken.look && !woken.cancelled);
    assert!(began.elapsed() >= 50 * MS);
    set.canceller().unwrap().cancel().unwrap();
    assert!(set.wait(&mut keys, 0, None).unwrap().cancelled);
    assert!(set.wait(&mut keys, 0, None).unwrap().cancelled, "it stays so");
    set.reset().unwrap();
    assert!(!set.wait(&mut keys, 0, NOW).unwrap().cancelled);
}

#[test]
fn a_ring_stays_in_the_set_when_its_map_is_closed_and_goes_when_removed() {
    needs_bpf!();
    let (mut set, mut rings) = quiet_set(2);
    let (map, producer, mut program) = rings.remove(0);
    let ring = map.try_clone().unwrap();
    drop((map, producer));
    drain(&mut program, WAKING);
    soon("named", || named(&mut set) == [0]);
    set.remove(&ring).unwrap();
    let other = half_full();
    let id = |map: &Map| RingId::new(map.id().into());
    assert_eq!(set.remove(&other.0), Err(RingSetError::NotThere { ring: id(&other.0) }));
    let mut producer = Producer::attach(Mapping::new(&ring).unwrap()).unwrap();
    producer.push(b"sample").unwrap();
    drain(&mut program, WAKING);
    sleep(20 * MS);
    assert_eq!(named(&mut set), [0; 0], "it was removed");
    assert_eq!(set.len(), 1);
}

#[test]
fn what_a_set_can_not_do_is_refused() {
    needs_bpf!();
    let mut set = RingSet::with_recheck(Recheck::Never).unwrap();
    assert_eq!(set.wait(&mut [0], 0, None), Err(RingSetError::Empty), "it would never end");
    let (map, ..) = half_full();
    set.add(&map, 7).unwrap();
    let again = RingSetError::AlreadyThere { ring: RingId::new(map.id().into()) };
    assert_eq!(set.add(&map, 7), Err(again));
    let id = map.id();
    assert_eq!(set.add(&map.try_clone().unwrap(), 8), Err(again), "another handle of the same");
    assert_eq!(again.to_string(), format!("ring {id} is in the set already"));
    assert_eq!(set.wait(&mut [], 0, None), Err(RingSetError::NoPlaceForKeys));
    set.remove(&map).unwrap();
    assert!(set.is_empty());
    set.add(&map, 9).unwrap();
    soon("named by its new key", || named(&mut set) == [9]);
}
