//! `probe`: what it shows with rights and without.

use serde_json::json;
use user_ringbuf_kit::needs_admin;
use user_ringbuf_linux::rounded_size;

use crate::support::{has, run, run_without_rights};

#[test]
fn a_probe_with_rights_says_yes_to_everything() {
    needs_admin!();
    let release = std::fs::read_to_string("/proc/sys/kernel/osrelease").unwrap();
    let probed = run(&["probe", "--json"]).quiet().json();
    has(&probed, json!({"kernel": release.trim(), "page_size": rounded_size(1).unwrap()}));
    has(&probed, json!({"map_type": "yes", "drain_helper": "yes", "may_create": true, "obstacle": null}));
}

#[test]
fn a_probe_without_rights_names_the_capability() {
    let json = run_without_rights(&["--json", "probe"]).json();
    // Where the system lets everybody make maps, that is the truth.
    let open =
        std::fs::read_to_string("/proc/sys/kernel/unprivileged_bpf_disabled").is_ok_and(|text| text.trim() == "0");
    if !open && json["map_type"] != "no" {
        assert_eq!(json["may_create"], false);
        assert!(json["obstacle"].as_str().unwrap().contains("CAP_BPF"), "{json}");
    }
    let words = run_without_rights(&["probe"]);
    assert_eq!(words.status, 0);
    assert!(words.stdout.contains("page size"), "{words:?}");
}
