//! `inspect`: a picture, an object, and nothing changed. The jams themselves are in the tests across the crates.

use std::sync::Arc;
use std::time::Instant;

use serde_json::{Value, json};
use user_ringbuf_kit::needs_admin;
use user_ringbuf_linux::{DetachedSample, Map, Mapping};

use crate::support::{Bpffs, drain, has, producer, run};

fn look(map: &Map, more: &[&str]) -> Value {
    let id = map.id().to_string();
    run(&[&["inspect", "--id", &id, "--json"], more].concat()).quiet().json()
}

/// Three samples, a discarded and a busy record, and one more sample: the busy one stays while it lives.
fn mixed(map: &Map) -> DetachedSample<Arc<Mapping>> {
    let mut producer = producer(map);
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
    let size = map.size();
    has(
        &look(&map, &[]),
        json!({
            "verdict": "empty", "free": size, "first_records": [],
            "repair": null, "obstacle": null, "unchanged_seconds": null,
        }),
    );
    let busy = mixed(&map);
    let held = look(&map, &["--records", "2"]);
    has(
        &held,
        json!({
            "id": map.id(), "name": "looked_at", "size": size, "bytes_per_mark": size / 64,
            "consumer_pos": 0, "producer_pos": 240, "used": 240, "free": size - 240,
            "submitted": {"records": 4, "bytes": 64},
            "discarded": {"records": 1, "bytes": 64},
            "busy": {"records": 1, "bytes": 112},
            "damaged": {"records": 0, "bytes": 0},
            "verdict": "held", "obstacle": 112, "ready": 4, "kernel_error": null,
            "last_records": [
                {"position": 112, "offset": 112, "len": 100, "bytes": 112, "state": "busy"},
                {"position": 224, "offset": 224, "len": 6, "bytes": 16, "state": "submitted"},
            ],
        }),
    );
    assert_eq!((&held["first_records"][1]["position"], &held["repair"]["discarded"]), (&json!(16), &json!(1)));

    drop(busy);
    assert_eq!(look(&map, &[])["verdict"], "flowing");
    assert_eq!(drain(&map), [&b"1"[..], b"22", b"333", b"behind"], "looking changed nothing");
}

#[test]
fn a_picture_marks_head_tail_and_records_and_has_no_colour_where_it_is_no_terminal() {
    needs_admin!();
    let (_bpffs, map, path) = Bpffs::with_ring(4096);
    let _busy = mixed(&map);
    let run = run(&["inspect", "--pin", &path]).quiet();
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
fn watching_looks_again_and_says_for_how_long_nothing_changed() {
    needs_admin!();
    let map = Map::create("watched", 4096).unwrap();
    let _busy = mixed(&map);
    let id = map.id().to_string();
    let run = run(&["inspect", "--id", &id, "--watch", "--every", "50", "--times", "3", "--json"]).quiet();
    let looks: Vec<Value> = run.stdout.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let seconds: Vec<f64> = looks.iter().map(|look| look["unchanged_seconds"].as_f64().unwrap()).collect();
    assert_eq!(seconds.len(), 3);
    assert!(seconds[0] == 0.0 && seconds[1] >= 0.05 && seconds[2] >= 0.1, "{seconds:?}");
    assert!(looks[2]["words"].as_str().unwrap().contains("Unchanged for"), "{}", looks[2]);
}

#[test]
fn a_ring_of_64_mib_full_of_the_smallest_samples_is_counted_whole() {
    needs_admin!();
    let map = Map::create("large", 64 << 20).unwrap();
    let mut producer = producer(&map);
    while producer.push(&[7; 8]).is_ok() {}
    let began = Instant::now();
    let look = look(&map, &[]);
    let took = began.elapsed();
    assert_eq!(look["submitted"]["records"], (64 << 20) / 16);
    assert_eq!((&look["free"], &look["last_records"][9]["offset"]), (&0.into(), &((64 << 20) - 16).into()));
    assert!(took.as_secs() < 10, "{took:?} also unoptimised, on a busy machine");
}
