//! `repair`: only if the user confirms, only what a dry run showed, and samples that can be reached are kept.

use serde_json::json;
use user_ringbuf_kit::needs_admin;
use user_ringbuf_linux::{Map, Mapping, Producer};

use crate::support::{drain, has, run, run_with};

/// A ring whose producer is gone with two records busy, between samples.
fn abandoned() -> Map {
    let map = Map::create("abandoned", 4096).unwrap();
    let mapping = Mapping::new(&map).unwrap();
    let mut producer = Producer::attach(&mapping).unwrap();
    producer.push(b"1").unwrap();
    std::mem::forget(producer.reserve_detached(100).unwrap());
    producer.push(b"2").unwrap();
    std::mem::forget(producer.reserve_detached(0).unwrap());
    producer.push(b"3").unwrap();
    map
}

#[test]
fn without_confirmation_it_is_wrong_usage_that_says_why() {
    for args in [&["repair", "--id", "1"][..], &["repair", "--pin", "/nowhere", "--json"]] {
        let run = run(args);
        run.failed(2, &["--producer-is-gone", "destroys its samples"]);
        assert_eq!(run.stdout, "");
    }
}

#[test]
fn a_dry_run_says_what_a_repair_would_do_and_does_not() {
    needs_admin!();
    let map = abandoned();
    let id = map.id().to_string();
    for word in [&[][..], &["--producer-is-gone"]] {
        let plan = run(&[&["repair", "--id", &id, "--dry-run"], word].concat()).quiet();
        assert!(plan.stdout.contains("would discard the busy record of 100 bytes at 16 (offset 16)"), "{plan:?}");
        assert!(plan.stdout.contains("would discard 2 busy records (120 bytes); nothing was changed"), "{plan:?}");
    }
    assert_eq!(run(&["inspect", "--id", &id, "--json"]).json()["busy"]["records"], 2);
}

#[test]
fn a_repair_names_what_it_did_and_frees_the_ring() {
    needs_admin!();
    let map = abandoned();
    let id = map.id().to_string();
    let json = run(&["repair", "--id", &id, "--producer-is-gone", "--json", "--records", "1"]).json();
    let first = json!({"did": "discarded", "position": 16, "offset": 16, "len": 100, "bytes": 112, "state": "busy"});
    has(&json, json!({"discarded": 2, "discarded_bytes": 120, "filled": 0, "repairs": [first], "omitted": 1}));
    has(&json, json!({"after": "flowing", "dry_run": false}));
    assert!(json["before"].as_str().unwrap().contains("held by the busy record at 16"), "{json}");
    assert_eq!(drain(&map), [b"1", b"2", b"3"]);

    let again = run(&["repair", "--id", &id, "--producer-is-gone"]).quiet();
    assert!(again.stdout.contains("nothing to repair"), "{again:?}");
}

#[test]
fn sending_into_an_abandoned_ring_names_inspect_and_repair() {
    needs_admin!();
    let map = abandoned();
    let id = map.id().to_string();
    let refused = run_with(&["send", "--id", &id], b"x\n");
    refused.failed(
        1,
        &[
            "the record of 100 bytes at 16 is busy",
            &format!("user-ringbuf inspect --id {id}"),
            &format!("user-ringbuf repair --id {id} --producer-is-gone"),
        ],
    );
    assert_eq!(run(&["repair", "--id", &id, "--producer-is-gone"]).status, 0);
    assert_eq!(run_with(&["send", "--id", &id], b"4\n").status, 0);
    assert_eq!(drain(&map), [b"1", b"2", b"3", b"4"]);
}
