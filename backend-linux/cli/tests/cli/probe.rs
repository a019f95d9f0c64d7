//! `probe`: what it shows with rights and without.

use user_ringbuf_kit::needs_admin;

use crate::support::{run, run_without_rights};

#[test]
fn a_probe_with_rights_says_yes_to_everything() {
    needs_admin!();
    let run = run(&["probe", "--json"]);
    assert_eq!((run.status, run.stderr.as_str()), (0, ""));
    let json = run.json();
    assert_eq!(json["map_type"], "yes");
    assert_eq!(json["drain_helper"], "yes");
    assert_eq!(json["may_create"], true);
    assert!(json["obstacle"].is_null());
    assert!(json["page_size"].as_u64().is_some_and(u64::is_power_of_two));
    let release = std::fs::read_to_string("/proc/sys/kernel/osrelease").unwrap();
    assert_eq!(json["kernel"], release.trim());
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
