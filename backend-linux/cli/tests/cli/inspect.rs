//! `inspect`: a picture, an object, and nothing changed. The jams themselves are in the tests across the crates.

use std::time::Instant;

use user_ringbuf_kit::needs_admin;
use user_ringbuf_linux::{DetachedSample, Map, Mapping, Producer};

use crate::support::{Bpffs, Directory, Run, drain, run, run_without_rights};

fn json(map: &Map, more: &[&str]) -> serde_json::Value {
    let id = map.id().to_string();
    let run = run(&[&["inspect", "--id", &id, "--json"], more].concat());
    assert_eq!((run.status, run.stderr.as_str()), (0, ""));
    run.json()
}

/// Three samples, a discarded and a busy record, and one more sample: the busy one stays while it lives.
fn mixed(mapping: &Mapping) -> DetachedSample<&Mapping> {
    let mut producer = Producer::attach(mapping).unwrap();
    for sample in [&b"1"[..], b"22", b"333"] {
        producer.push(sample).unwrap();
    }
    producer.reserve_detached(50).unwrap().discard();
    let busy = producer.reserve_detached(100).unwrap();
    producer.push(b"behind").unwrap();
    busy
}

#[test]
fn an_object_has_all_counts_positions_and_records() {
    needs_admin!();
    let map = Map::create("looked_at", 4096).unwrap();
    let empty = json(&map, &[]);
    assert_eq!((&empty["verdict"], &empty["free"]), (&"empty".into(), &map.size().into()));
    assert_eq!(empty["first_records"], serde_json::json!([]));
    assert!(empty["repair"].is_null() && empty["obstacle"].is_null() && empty["unchanged_seconds"].is_null());

    let mapping = Mapping::new(&map).unwrap();
    let busy = mixed(&mapping);
    let held = json(&map, &["--records", "2"]);
    assert_eq!(
        (&held["id"], &held["name"], &held["size"]),
        (&map.id().into(), &"looked_at".into(), &map.size().into())
    );
    assert_eq!((held["consumer_pos"].as_u64(), held["producer_pos"].as_u64()), (Some(0), Some(240)));
    assert_eq!((held["used"].as_u64(), held["free"].as_u64()), (Some(240), Some(u64::from(map.size()) - 240)));
    assert_eq!(held["bytes_per_mark"].as_u64(), Some(u64::from(map.size()) / 64));
    assert_eq!(held["submitted"], serde_json::json!({"records": 4, "bytes": 64}));
    assert_eq!(held["discarded"], serde_json::json!({"records": 1, "bytes": 64}));
    assert_eq!(held["busy"], serde_json::json!({"records": 1, "bytes": 112}));
    assert_eq!(held["damaged"], serde_json::json!({"records": 0, "bytes": 0}));
    assert_eq!((&held["verdict"], &held["obstacle"], &held["ready"]), (&"held".into(), &112.into(), &4.into()));
    assert!(held["kernel_error"].is_null());
    assert_eq!(held["first_records"][1]["position"], 16);
    assert_eq!(
        held["last_records"],
        serde_json::json!([
            {"position": 112, "offset": 112, "len": 100, "bytes": 112, "state": "busy"},
            {"position": 224, "offset": 224, "len": 6, "bytes": 16, "state": "submitted"},
        ])
    );
    assert_eq!(held["repair"]["discarded"], 1);

    drop(busy);
    assert_eq!(json(&map, &[])["verdict"], "flowing");
    assert_eq!(drain(&map), [&b"1"[..], b"22", b"333", b"behind"], "looking changed nothing");
}

#[test]
fn a_picture_marks_head_tail_and_records_and_has_no_colour_where_it_is_no_terminal() {
    needs_admin!();
    let bpffs = Bpffs::mount();
    let map = bpffs.ring(4096);
    let mapping = Mapping::new(&map).unwrap();
    let _busy = mixed(&mapping);
    let path = bpffs.text("ring");
    let run = run(&["inspect", "--pin", &path]);
    assert_eq!((run.status, run.stderr.as_str()), (0, ""));
    let cell = map.size() / 64;
    if cell == 64 {
        assert!(run.stdout.contains(&format!(" |#BBB{}|\n", ".".repeat(60))), "{}", run.stdout);
        assert!(run.stdout.contains("  v head at position 0, offset 0\n"), "{}", run.stdout);
        assert!(run.stdout.contains("     ^ tail at position 240, offset 240\n"), "{}", run.stdout);
    }
    for text in ["held: ", "to do: ", "repair --pin ", &path, "discarded", "free", "busy"] {
        assert!(run.stdout.contains(text), "{text}: {}", run.stdout);
    }
    assert!(!run.stdout.contains('\x1b'), "{}", run.stdout);
}

#[test]
fn records_that_wrap_are_drawn_at_both_ends() {
    needs_admin!();
    let map = Map::create("wraps", 4096).unwrap();
    let mapping = Mapping::new(&map).unwrap();
    let mut producer = Producer::attach(&mapping).unwrap();
    let size = usize::try_from(map.size()).unwrap();
    producer.push(&vec![0; size - 208]).unwrap();
    drain(&map);
    producer.push(&vec![0; 392]).unwrap();
    let run = run(&["inspect", "--id", &map.id().to_string()]);
    let bar = run.stdout.lines().find(|line| line.starts_with(" |")).unwrap();
    assert!(bar.starts_with(" |#") && bar.ends_with("#|") && bar.contains('.'), "{}", run.stdout);
}

#[test]
fn watching_looks_again_and_says_for_how_long_nothing_changed() {
    needs_admin!();
    let map = Map::create("watched", 4096).unwrap();
    let mapping = Mapping::new(&map).unwrap();
    let _busy = mixed(&mapping);
    let id = map.id().to_string();
    let run = run(&["inspect", "--id", &id, "--watch", "--every", "50", "--times", "3", "--json"]);
    assert_eq!((run.status, run.stderr.as_str()), (0, ""));
    let looks: Vec<serde_json::Value> = run.stdout.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let seconds: Vec<f64> = looks.iter().map(|look| look["unchanged_seconds"].as_f64().unwrap()).collect();
    assert_eq!(seconds.len(), 3);
    assert!(seconds[0] == 0.0 && seconds[1] >= 0.05 && seconds[2] >= 0.1, "{seconds:?}");
    assert!(looks[2]["words"].as_str().unwrap().contains("Unchanged for"), "{}", looks[2]);
}

#[test]
fn a_ring_of_64_mib_full_of_the_smallest_samples_is_counted_whole() {
    needs_admin!();
    let map = Map::create("large", 64 << 20).unwrap();
    let mapping = Mapping::new(&map).unwrap();
    let mut producer = Producer::attach(&mapping).unwrap();
    while producer.push(&[7; 8]).is_ok() {}
    let began = Instant::now();
    let look = json(&map, &[]);
    let took = began.elapsed();
    assert_eq!(look["submitted"]["records"], (64 << 20) / 16);
    assert_eq!((&look["free"], &look["last_records"][9]["offset"]), (&0.into(), &((64 << 20) - 16).into()));
    assert!(took.as_secs() < 10, "{took:?} also unoptimised, on a busy machine");
}

#[test]
fn what_is_no_ring_or_not_ours_is_an_error() {
    needs_admin!();
    let bpffs = Bpffs::mount();
    let directory = Directory::new();
    for command in [&["inspect"][..], &["repair", "--dry-run"], &["repair", "--producer-is-gone"]] {
        let with = |more: &[&str]| -> Run { run(&[command, more].concat()) };
        let hint = format!("no such path; no ring is pinned on the bpffs at {}", bpffs.text("").trim_end_matches('/'));
        assert!(with(&["--pin", &bpffs.text("nothing")]).failed(1).contains(&hint));
        let (run, path) = (with(&["--pin", &directory.text("nothing")]), directory.text("nothing"));
        assert!(run.failed(1).contains("no such path"), "{run:?}");
        assert_eq!(run.failed(1).matches(&path).count(), 1, "the path is told once: {run:?}");
        assert!(with(&["--pin", "/dev/null"]).failed(1).contains("not on a bpffs"));
        let run = with(&["--id", "4294967294", "--json"]);
        assert!(run.failed(1).contains("no map has the id 4294967294"));
        assert!(run.json()["error"].is_string());
    }
    let map = Map::create("cli_test", 1).unwrap();
    let run = run_without_rights(&["inspect", "--id", &map.id().to_string()]);
    assert!(run.failed(1).contains("CAP_SYS_ADMIN"), "{run:?}");
}
