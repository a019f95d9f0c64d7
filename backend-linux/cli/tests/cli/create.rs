//! `create`: a ring that stays, and what keeps it from being made. Sizes and names that can not be are in `usage`.

use serde_json::json;
use user_ringbuf_kit::needs_admin;
use user_ringbuf_linux::{Map, rounded_size};

use crate::support::{Bpffs, Directory, has, run, run_without_rights};

#[test]
fn a_created_ring_is_pinned_rounded_and_named() {
    needs_admin!();
    let page = rounded_size(1).unwrap();
    let bpffs = Bpffs::mount();
    let size = (page + 1).to_string();
    let made = run(&["create", "--pin", &bpffs.text("ring"), "--size", &size, "--name", "made", "--json"]).quiet();
    let map = Map::from_pin(bpffs.path("ring")).unwrap();
    assert_eq!((map.name(), map.size()), ("made", 2 * page));
    has(&made.json(), json!({"id": map.id(), "size": 2 * page, "name": "made", "pin": bpffs.text("ring")}));
}

#[test]
fn in_words_it_says_what_was_rounded() {
    needs_admin!();
    let bpffs = Bpffs::mount();
    let run = run(&["create", "--pin", &bpffs.text("ring"), "--size", "65537"]);
    assert_eq!(run.status, 0);
    assert!(run.stdout.contains("131072 bytes (rounded up from 65537)"), "{run:?}");
}

#[test]
fn where_no_bpffs_is_mounted_the_error_says_how_to_mount_one() {
    needs_admin!();
    let directory = Directory::new();
    let run = run(&["create", "--pin", &directory.text("ring"), "--size", "4096", "--json"]);
    run.failed(1, &["mount -t bpf", &directory.text("ring"), run.json()["error"].as_str().unwrap()]);
}

#[test]
fn a_taken_a_missing_and_a_dotted_path_are_told_apart() {
    needs_admin!();
    let (bpffs, _map, _path) = Bpffs::with_ring(4096);
    for (name, why) in [("ring", "taken"), ("no/ring", "the directory does not exist"), ("ring.1", "dot")] {
        let run = run(&["create", "--pin", &bpffs.text(name), "--size", "4096"]);
        assert_eq!(run.failed(1, &[why]).matches(&bpffs.text(name)).count(), 1, "the path is told once: {run:?}");
    }
}

#[test]
fn without_rights_the_error_names_the_capability() {
    needs_admin!();
    let directory = Directory::new();
    let run = run_without_rights(&["create", "--pin", &directory.text("ring"), "--size", "4096"]);
    let error = run.failed(1, &["CAP_BPF"]);
    assert_eq!(error.matches("BPF_MAP_CREATE failed").count(), 1, "the cause is told once: {error}");
}
