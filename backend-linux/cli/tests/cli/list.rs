//! `list`: every ring, and the exit status of a health check.

use std::os::unix::ffi::OsStrExt;
use std::time::{Duration, Instant};

use serde_json::{Value, json};
use user_ringbuf_kit::{needs_admin, patience};
use user_ringbuf_linux::{Map, Mapping, Producer};

use crate::support::{Bpffs, Run, drain, has, producer, run, run_without_rights};

/// Lists the rings with this name.
fn list(name: &str, more: &[&str]) -> Run {
    run(&[&["list", "--name", name], more].concat())
}

/// The one ring of this name, with what it says of the exit status.
fn only(name: &str) -> Value {
    let run = list(name, &["--json"]);
    let listing = run.json();
    assert_eq!(listing["rings"].as_array().map(Vec::len), Some(1), "{listing}");
    let ring = listing["rings"][0].clone();
    let stuck = ring["stuck"].as_bool().unwrap();
    assert_eq!(run.status, i32::from(stuck), "{run:?}");
    assert_eq!(listing["stuck"], if stuck { json!([ring["id"]]) } else { json!([]) });
    ring
}

/// Leaves a busy record whose producer is gone.
fn abandon(map: &Map) {
    let mapping = Mapping::new(map).unwrap();
    let mut producer = Producer::attach(&mapping).unwrap();
    std::mem::forget(producer.reserve_detached(100).unwrap());
}

#[test]
fn a_ring_is_listed_with_its_size_verdict_producer_holders_and_pins() {
    needs_admin!();
    let bpffs = Bpffs::mount();
    let map = Map::create("list_one", 4096).unwrap();
    std::fs::create_dir(bpffs.path("below")).unwrap();
    for name in ["ring", "below/again"] {
        map.pin(bpffs.path(name)).unwrap();
    }
    let empty = only("list_one");
    has(
        &empty,
        json!({"id": map.id(), "size": map.size(), "used": 0, "verdict": "empty", "producer": {"state": "none"}}),
    );
    let mut pins: Vec<&str> = empty["pins"].as_array().unwrap().iter().map(|pin| pin.as_str().unwrap()).collect();
    pins.sort_unstable();
    assert_eq!(pins, [bpffs.text("below/again"), bpffs.text("ring")]);
    let pid = std::process::id();
    assert!(empty["holders"].as_array().unwrap().iter().any(|holder| holder["pid"] == pid), "{empty}");

    let mut producer = producer(&map);
    producer.push(b"sample").unwrap();
    let held = producer.reserve_detached(8).unwrap();
    let alive = only("list_one");
    has(&alive, json!({"verdict": "held", "used": 32, "stuck": false}));
    has(&alive["producer"], json!({"state": "alive", "pid": pid}));
    drop(held);
    assert_eq!(only("list_one")["verdict"], "flowing");
    while producer.push(&[0; 40]).is_ok() {}
    assert_eq!(only("list_one")["verdict"], "full");

    let words = list("list_one", &[]);
    assert_eq!(words.status, 0);
    assert!(words.stdout.contains(&bpffs.text("ring")) && words.stdout.contains("1 ring\n"), "{words:?}");
    assert!(!words.stdout.contains('\x1b'), "no colours where it is not a terminal: {words:?}");
    assert_eq!(drain(&map)[0], b"sample", "looking changed nothing");
}

#[test]
fn a_stuck_ring_is_named_and_makes_the_exit_status_1() {
    needs_admin!();
    let maps = [(); 3].map(|()| Map::create("list_stuck", 4096).unwrap());
    assert_eq!(list("list_stuck", &[]).status, 0);
    abandon(&maps[1]);
    let run = list("list_stuck", &["--json"]);
    let id = maps[1].id();
    run.failed(1, &[&format!("stuck: ring {id} (list_stuck), held by the busy record at 0")]);
    assert_eq!(run.json()["stuck"], json!([id]));
    let words = list("list_stuck", &[]);
    let line = words.stdout.lines().find(|line| line.trim_start().starts_with(&id.to_string())).unwrap();
    assert!(line.contains("held, stuck") && line.contains("gone"), "{words:?}");
    assert!(words.stdout.contains("\n3 rings, 1 stuck\n"), "{words:?}");

    let metrics = list("list_stuck", &["--prometheus"]);
    assert_eq!(metrics.status, 1);
    for (id, stuck) in [(maps[0].id(), 0), (id, 1)] {
        let line = format!("user_ringbuf_stuck{{id=\"{id}\",name=\"list_stuck\",pin=\"\"}} {stuck}\n");
        assert!(metrics.stdout.contains(&line), "{metrics:?}");
    }
}

#[test]
fn a_watched_ring_that_nothing_drains_becomes_stuck_and_one_that_moves_has_rates() {
    needs_admin!();
    let map = Map::create("list_watch", 4096).unwrap();
    let mut producer = producer(&map);
    producer.push(&[0; 8]).unwrap();
    let watch = |times: &str, every: &str| {
        let run = list("list_watch", &["--watch", "--times", times, "--every", every, "--json"]);
        let looks: Vec<Value> = run.stdout.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
        (run.status, looks.into_iter().map(|look| look["rings"][0].clone()).collect::<Vec<Value>>())
    };
    let (status, looks) = watch("3", "1100");
    assert_eq!((status, looks.len()), (1, 3));
    let seen: Vec<(&str, bool)> =
        looks.iter().map(|look| (look["verdict"].as_str().unwrap(), look["stuck"].as_bool().unwrap())).collect();
    assert_eq!(seen, [("flowing", false), ("flowing", false), ("undrained", true)]);
    assert!(looks[2]["unchanged_seconds"].as_f64().unwrap() >= 2.0, "{looks:?}");
    assert!(looks[0]["drained_bytes_per_second"].is_null() && looks[1]["drained_bytes_per_second"] == 0.0, "{looks:?}");

    let rates = std::thread::scope(|scope| {
        let watching = scope.spawn(|| watch("2", "1000").1);
        while !watching.is_finished() {
            producer.push(&[0; 8]).unwrap();
            drain(&map);
            std::thread::sleep(Duration::from_millis(20));
        }
        watching.join().unwrap()
    });
    for key in ["produced_bytes_per_second", "drained_bytes_per_second"] {
        assert!(rates[1][key].as_f64().unwrap() > 0.0, "{rates:?}");
    }
}

#[test]
fn pins_that_are_not_utf_8_are_escaped() {
    needs_admin!();
    let bpffs = Bpffs::mount();
    let map = Map::create("list_bytes", 4096).unwrap();
    map.pin(bpffs.path("").join(std::ffi::OsStr::from_bytes(b"a\x1b\xffb"))).unwrap();
    let ring = only("list_bytes");
    assert_eq!(ring["pins"], json!([bpffs.text("a\\u{1b}\\xffb")]));
    let words = list("list_bytes", &[]);
    assert!(words.stdout.contains("a\\u{1b}\\xffb") && !words.stdout.contains('\x1b'), "{words:?}");
}

#[test]
fn of_a_thousand_rings_the_stuck_one_is_named() {
    needs_admin!();
    // Pins keep them, so that this process need not hold a thousand descriptors.
    let bpffs = Bpffs::mount();
    let mut stuck = 0;
    for number in 0..1000 {
        let map = Map::create("list_many", 4096).unwrap();
        map.pin(bpffs.path(number.to_string())).unwrap();
        if number == 500 {
            abandon(&map);
            stuck = map.id();
        }
    }
    let began = Instant::now();
    let run = list("list_many", &["--json"]);
    let took = began.elapsed();
    assert_eq!(run.status, 1);
    let listing = run.json();
    assert_eq!((listing["rings"].as_array().map(Vec::len), &listing["stuck"]), (Some(1000), &json!([stuck])));
    let pins: Vec<_> = listing["rings"].as_array().unwrap().iter().filter(|ring| ring["pins"] != json!([])).collect();
    assert_eq!(pins.len(), 1000);
    assert!(took < patience() / 2, "{took:?} also unoptimised, on a busy machine");
}

#[test]
fn rings_that_come_and_go_meanwhile_are_no_error() {
    needs_admin!();
    let stop = std::sync::atomic::AtomicBool::new(false);
    std::thread::scope(|scope| {
        scope.spawn(|| {
            // Relaxed: it orders nothing.
            while !stop.load(std::sync::atomic::Ordering::Relaxed) {
                let maps = [(); 20].map(|()| Map::create("list_brief", 4096).unwrap());
                drop(maps);
            }
        });
        let runs = [(); 20].map(|()| list("list_brief", &["--json"]));
        // Before anything fails, so that the thread ends.
        stop.store(true, std::sync::atomic::Ordering::Relaxed);
        for run in runs {
            let listing = run.quiet().json();
            assert!(listing["vanished"].is_u64(), "{listing}");
            assert_eq!(listing["unreadable"], json!([]), "{listing}");
        }
    });
}

#[test]
fn without_rights_the_capability_is_named() {
    needs_admin!();
    let run = run_without_rights(&["list", "--json"]);
    run.failed(1, &["cannot list the rings: not permitted: it needs CAP_SYS_ADMIN"]);
    assert!(run.json()["error"].is_string());
}
