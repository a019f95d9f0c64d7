//! `repair`: only if the user confirms, only what a dry run showed, and samples that can be reached are kept.

use user_ringbuf_kit::needs_admin;
use user_ringbuf_linux::{Map, Mapping, Producer};

use crate::support::{drain, run, run_with};

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
        let error = run.failed(2);
        assert!(error.contains("--producer-is-gone") && error.contains("destroys its samples"), "{error}");
        assert_eq!(run.stdout, "");
    }
}

#[test]
fn a_dry_run_says_what_a_repair_would_do_and_does_not() {
    needs_admin!();
    let map = abandoned();
    let id = map.id().to_string();
    for word in [&[][..], &["--producer-is-gone"]] {
        let plan = run(&[&["repair", "--id", &id, "--dry-run"], word].concat());
        assert_eq!((plan.status, plan.stderr.as_str()), (0, ""));
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
    assert_eq!((&json["discarded"], &json["discarded_bytes"], &json["filled"]), (&2.into(), &120.into(), &0.into()));
    assert_eq!((&json["after"], &json["dry_run"]), (&"flowing".into(), &false.into()));
    assert!(json["before"].as_str().unwrap().contains("held by the busy record at 16"), "{json}");
    assert_eq!(
        json["repairs"],
        serde_json::json!([{"did": "discarded", "position": 16, "offset": 16, "len": 100, "bytes": 112, "state": "busy"}])
    );
    assert_eq!(json["omitted"], 1);
    assert_eq!(drain(&map), [b"1", b"2", b"3"]);

    let again = run(&["repair", "--id", &id, "--producer-is-gone"]);
    assert_eq!((again.status, again.stderr.as_str()), (0, ""));
    assert!(again.stdout.contains("nothing to repair"), "{again:?}");
}

#[test]
fn sending_into_an_abandoned_ring_names_inspect_and_repair() {
    needs_admin!();
    let map = abandoned();
    let id = map.id().to_string();
    let refused = run_with(&["send", "--id", &id], b"x\n");
    let error = refused.failed(1);
    assert!(error.contains("the record of 100 bytes at 16 is busy"), "{error}");
    assert!(error.contains(&format!("user-ringbuf inspect --id {id}")), "{error}");
    assert!(error.contains(&format!("user-ringbuf repair --id {id} --producer-is-gone")), "{error}");
    assert_eq!(run(&["repair", "--id", &id, "--producer-is-gone"]).status, 0);
    assert_eq!(run_with(&["send", "--id", &id], b"4\n").status, 0);
    assert_eq!(drain(&map), [b"1", b"2", b"3", b"4"]);
}
