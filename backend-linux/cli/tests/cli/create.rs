//! `create`: a ring that stays, and every way to fail.

use user_ringbuf_kit::needs_admin;
use user_ringbuf_linux::{Map, rounded_size};

use crate::support::{Bpffs, Directory, run, run_without_rights};

#[test]
fn a_created_ring_is_pinned_rounded_and_named() {
    needs_admin!();
    let page = rounded_size(1).unwrap();
    let bpffs = Bpffs::mount();
    let size = (page + 1).to_string();
    let run = run(&["create", "--pin", &bpffs.text("ring"), "--size", &size, "--name", "made", "--json"]);
    assert_eq!((run.status, run.stderr.as_str()), (0, ""));
    let json = run.json();
    let map = Map::from_pin(bpffs.path("ring")).unwrap();
    assert_eq!(json["id"], map.id());
    assert_eq!(json["size"], 2 * page);
    assert_eq!((json["name"].as_str(), map.name()), (Some("made"), "made"));
    assert_eq!(json["pin"], bpffs.text("ring"));
    assert_eq!(map.size(), 2 * page);
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
    let error = run.failed(1).to_owned();
    assert!(error.contains("mount -t bpf") && error.contains(&directory.text("ring")), "{error}");
    assert!(error.contains(run.json()["error"].as_str().unwrap()), "{run:?}");
}

#[test]
fn sizes_and_names_that_can_not_be_are_refused_with_the_limit() {
    let bpffs = "/nowhere/ring";
    for (size, limit) in [("0", "size 0"), ("2147483649", "2147483648"), ("3G", "2147483648")] {
        let run = run(&["create", "--pin", bpffs, "--size", size]);
        assert!(run.failed(2).contains(limit), "{run:?}");
    }
    let run_name = run(&["create", "--pin", bpffs, "--size", "4096", "--name", "sixteen_bytes_xy"]);
    assert!(run_name.failed(2).contains("limit is 15"), "{run_name:?}");
    let run_name = run(&["create", "--pin", bpffs, "--size", "4096", "--name", "a b"]);
    assert!(run_name.failed(2).contains("allowed are letters"), "{run_name:?}");
}

#[test]
fn a_taken_a_missing_and_a_dotted_path_are_told_apart() {
    needs_admin!();
    let bpffs = Bpffs::mount();
    let _map = bpffs.ring(4096);
    for (name, why) in [("ring", "taken"), ("no/ring", "the directory does not exist"), ("ring.1", "dot")] {
        let run = run(&["create", "--pin", &bpffs.text(name), "--size", "4096"]);
        assert!(run.failed(1).contains(why), "{run:?}");
        assert_eq!(run.failed(1).matches(&bpffs.text(name)).count(), 1, "the path is told once: {run:?}");
    }
}

#[test]
fn without_rights_the_error_names_the_capability() {
    needs_admin!();
    let directory = Directory::new();
    let run = run_without_rights(&["create", "--pin", &directory.text("ring"), "--size", "4096"]);
    assert!(run.failed(1).contains("CAP_BPF"), "{run:?}");
    assert_eq!(run.failed(1).matches("BPF_MAP_CREATE failed").count(), 1, "the cause is told once: {run:?}");
}
