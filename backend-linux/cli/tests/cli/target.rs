//! How commands find their ring: by pin, id or name.

use user_ringbuf_kit::needs_admin;
use user_ringbuf_linux::Map;

use crate::support::{Bpffs, Directory, run, run_without_rights};

const COMMANDS: [&[&str]; 5] =
    [&["inspect"], &["drain"], &["send"], &["repair", "--dry-run"], &["repair", "--producer-is-gone"]];

#[test]
fn a_ring_that_is_not_there_is_told_apart_from_what_is_no_ring() {
    needs_admin!();
    let (bpffs, directory) = (Bpffs::mount(), Directory::new());
    std::fs::write(directory.path("file"), b"").unwrap();
    let on_bpffs = format!("no such path; no ring is pinned on the bpffs at {}", bpffs.text("").trim_end_matches('/'));
    for command in COMMANDS {
        for (path, why) in [
            (bpffs.text("nothing"), on_bpffs.as_str()),
            (directory.text("nothing"), "no such path"),
            (directory.text("file"), "not on a bpffs"),
            ("/dev/null".to_owned(), "not on a bpffs"),
        ] {
            let run = run(&[command, &["--pin", &path, "--json"]].concat());
            let error = run.failed(1, &[why, run.json()["error"].as_str().unwrap()]);
            assert_eq!(error.matches(&path).count(), 1, "the path is told once: {error}");
        }
        let run = run(&[command, &["--id", "4294967294", "--json"]].concat());
        run.failed(1, &["no map has the id 4294967294", run.json()["error"].as_str().unwrap()]);
    }
}

#[test]
fn a_ring_is_found_by_its_name_if_it_is_the_only_one() {
    needs_admin!();
    let one = Map::create("by_name", 4096).unwrap();
    assert_eq!(run(&["inspect", "--name", "by_name", "--json"]).quiet().json()["id"], one.id());
    let two = Map::create("by_name", 4096).unwrap();
    let ids = format!("2 rings have this name: choose one with --id ({}, {})", one.id(), two.id());
    for command in COMMANDS {
        for (name, why) in [("by_name", ids.as_str()), ("no_such_ring", "no ring has this name")] {
            run(&[command, &["--name", name]].concat()).failed(1, &[why]);
        }
    }
}

#[test]
fn without_rights_an_id_needs_a_capability_and_a_pin_its_permissions() {
    needs_admin!();
    let (_bpffs, map, path) = Bpffs::with_ring(4096);
    for command in COMMANDS {
        run_without_rights(&[command, &["--id", &map.id().to_string()]].concat())
            .failed(1, &["it needs CAP_SYS_ADMIN"]);
        let run = run_without_rights(&[command, &["--pin", &path]].concat());
        run.failed(1, &["permissions"]);
    }
}
