//! Who produces: `inspect` tells a living producer from one that is gone and from none, and `send` and `repair` refuse a ring
//! that is claimed.

use std::path::Path;
use std::process::{Command, Stdio};

use serde_json::{Value, json};
use user_ringbuf_kit::raw::{BUSY, RawProducer};
use user_ringbuf_kit::{needs_admin, soon};
use user_ringbuf_linux::{Claimant, Map, Mapping, Producer};

use crate::support::{Bpffs, Directory, Run, Running, drain, has, run, run_with, run_without_rights};

/// A `send` that claims a ring and waits for input, and a busy record that lies in the ring as if it were its own. It is
/// killed in the end.
struct Holder(Running);

impl Holder {
    fn of(map: &Map) -> Self {
        Self::with(map, env!("CARGO_BIN_EXE_user-ringbuf").as_ref())
    }

    fn with(map: &Map, command: &Path) -> Self {
        let mut sending = Running::of(Command::new(command).args(["send", "--id", &map.id().to_string()]));
        let mut raw = RawProducer::new(map);
        sending.write(b"before\n");
        soon("sent", || raw.producer_pos() > raw.next);
        raw.next = raw.producer_pos();
        raw.write(BUSY, &[0; 100]);
        raw.write(0, b"behind");
        raw.publish();
        Self(sending)
    }

    /// Its pid and name, as `inspect` reports them.
    fn json(&self) -> Value {
        json!({"pid": self.0.pid(), "name": self.name()})
    }

    fn name(&self) -> String {
        std::fs::read_to_string(format!("/proc/{}/comm", self.0.pid())).unwrap().trim_end().to_owned()
    }

    /// As the command names it in words.
    fn words(&self) -> String {
        format!("{} (pid {})", self.name(), self.0.pid())
    }
}

fn look(map: &Map) -> Value {
    let run = run(&["inspect", "--id", &map.id().to_string(), "--json"]);
    let look = run.json();
    let status = i32::from(look["stuck"].as_bool().unwrap());
    assert_eq!((run.status, run.stderr.as_str()), (status, ""));
    look
}

fn repair(map: &Map, more: &[&str]) -> Run {
    run(&[&["repair", "--id", &map.id().to_string()], more].concat())
}

#[test]
fn no_producer_a_living_one_and_a_killed_one_are_three_answers_and_repair_keeps_to_them() {
    needs_admin!();
    let map = Map::create("claimed", 4096).unwrap();
    has(&look(&map), json!({"producer": {"state": "none"}, "verdict": "empty", "stuck": false}));
    assert_eq!(repair(&map, &["--producer-is-gone"]).status, 0);

    let holder = Holder::of(&map);
    let alive = look(&map);
    let claimant = json!({"state": "alive", "pid": holder.0.pid(), "name": holder.name()});
    has(&alive, json!({"producer": claimant, "verdict": "held", "stuck": false}));
    let (words, todo) = (alive["words"].as_str().unwrap(), alive["todo"].as_str().unwrap());
    assert!(words.contains(&format!("{}, is alive and has yet to submit it", holder.words())), "{words}");
    assert!(!words.contains("gone") && todo.contains(&format!("end {}", holder.words())), "{words} {todo}");
    assert!(alive["holders"].as_array().unwrap().contains(&holder.json()), "{alive}");
    let in_words = run(&["inspect", "--id", &map.id().to_string()]).stdout;
    assert!(in_words.contains(&format!("producer: {}, alive\n", holder.words())), "{in_words}");
    for flags in [&["--producer-is-gone"][..], &["--producer-is-gone", "--records", "1"], &["--dry-run"]] {
        let refused = repair(&map, flags);
        refused.failed(1, &[&format!("claimed by {}", holder.words())]);
        assert_eq!(refused.stdout, "");
        assert!(repair(&map, &[flags, &["--json"]].concat()).json()["error"].is_string());
    }
    assert_eq!(look(&map)["busy"]["records"], 1, "nothing was repaired");

    drop(holder);
    let gone = look(&map);
    has(&gone, json!({"producer": {"state": "gone"}, "verdict": "held", "stuck": true}));
    let words = gone["words"].as_str().unwrap();
    assert!(words.contains("no process claims the ring, so its producer is gone"), "{words}");
    assert!(!words.contains("has yet to"), "{words}");
    // The user must still confirm.
    repair(&map, &[]).failed(2, &["--producer-is-gone"]);
    assert_eq!(repair(&map, &["--dry-run"]).status, 0);
    assert_eq!(repair(&map, &["--producer-is-gone", "--json"]).json()["discarded"], 1);
    assert_eq!(look(&map)["producer"], json!({"state": "none"}));
    assert_eq!(drain(&map), [b"before", b"behind"]);
}

/// Runs the command where nothing is mounted at `/proc`.
fn without_proc(args: &[&str]) -> Run {
    let script = r#"mount -t tmpfs none /proc && exec "$@""#;
    let mut run = Command::new("unshare");
    run.args(["--mount", "sh", "-c", script, "sh", env!("CARGO_BIN_EXE_user-ringbuf")]).args(args);
    Run::of(&run.stdin(Stdio::null()).output().unwrap())
}

#[test]
fn without_proc_a_claim_is_still_seen_and_nobody_is_named() {
    needs_admin!();
    let map = Map::create("no_proc", 4096).unwrap();
    let id = map.id().to_string();
    let none = without_proc(&["inspect", "--id", &id, "--json"]).json();
    assert_eq!(none["producer"], json!({"state": "none"}));
    assert!(none["holders"].is_null() && none["holders_unreadable"].is_null(), "{none}");
    without_proc(&["send", "--id", &id]).quiet();

    let _holder = Holder::of(&map);
    let alive = without_proc(&["inspect", "--id", &id, "--json"]).json();
    assert_eq!(alive["producer"], json!({"state": "alive"}));
    let words = without_proc(&["inspect", "--id", &id]).stdout;
    assert!(words.contains("producer: a process that /proc does not show, alive\n"), "{words}");
    assert!(words.contains("held open by: unknown: reading /proc/self failed"), "{words}");
    for args in [&["send"][..], &["repair", "--producer-is-gone"], &["repair", "--dry-run"]] {
        without_proc(&[args, &["--id", &id]].concat()).failed(1, &["claimed by a process that /proc does not show"]);
    }
}

#[test]
fn without_rights_a_claim_is_still_seen_and_what_can_not_be_looked_at_is_counted() {
    use std::os::unix::fs::PermissionsExt;
    needs_admin!();
    let (bpffs, map, path) = Bpffs::with_ring(4096);
    std::fs::set_permissions(bpffs.path(""), PermissionsExt::from_mode(0o755)).unwrap();
    std::fs::set_permissions(&path, PermissionsExt::from_mode(0o666)).unwrap();
    let holder = Holder::of(&map);
    let alive = run_without_rights(&["inspect", "--pin", &path, "--json"]).json();
    has(&alive, json!({"producer": {"state": "alive"}, "holders": []}));
    assert!(alive["holders_unreadable"].as_u64() > Some(0), "{alive}");
    drop(holder);
    let gone = run_without_rights(&["inspect", "--pin", &path, "--json"]).json();
    assert_eq!(gone["producer"], json!({"state": "gone"}));
}

#[test]
fn a_producer_can_not_draw_on_the_terminal_with_its_name() {
    needs_admin!();
    let map = Map::create("named", 4096).unwrap();
    // A process has the name under which it was executed.
    let directory = Directory::new();
    let command = directory.path("\x1b[31m\"red");
    std::os::unix::fs::symlink(env!("CARGO_BIN_EXE_user-ringbuf"), &command).unwrap();
    let holder = Holder::with(&map, &command);
    let look = look(&map);
    assert_eq!(look["producer"]["name"], "?[31m\"red");
    let id = map.id().to_string();
    for args in [&["inspect"][..], &["repair", "--producer-is-gone"], &["send"]] {
        let run = run(&[args, &["--id", &id]].concat());
        let said = run.stdout + &run.stderr;
        assert!(!said.contains('\x1b') && said.contains(&format!("?[31m\"red (pid {})", holder.0.pid())), "{said}");
    }
}

#[test]
fn a_repair_has_the_claim_while_it_works() {
    needs_admin!();
    // A pipe takes so much.
    let pipe = 16 * rustix::param::page_size();
    let map = Map::create("long_repair", u64::try_from(pipe).unwrap()).unwrap();
    let mapping = Mapping::new(&map).unwrap();
    let mut producer = Producer::attach(&mapping).unwrap();
    let mut busy: u64 = 0;
    while let Ok(held) = producer.reserve_detached(8) {
        std::mem::forget(held);
        busy += 1;
    }
    drop(producer);
    drop(mapping);
    // It has to report more than a pipe takes, so it can't end before it is read from.
    let id = map.id().to_string();
    let repair = Running::start(&["repair", "--id", &id, "--producer-is-gone", "--records", "1000000", "--json"]);
    soon(
        "claimed: nothing would have kept a producer out",
        || matches!(map.claimant().unwrap(), Claimant::Process(holder) if holder.pid() == repair.pid()),
    );
    let run = repair.end();
    assert!(run.stdout.len() > 2 * pipe, "{}", run.stdout.len());
    assert_eq!(run.json()["discarded"], busy);
    assert_eq!(map.claimant().unwrap(), Claimant::Nobody);
}

#[test]
fn who_holds_the_ring_open_is_named_and_the_command_itself_is_not() {
    needs_admin!();
    let map = Map::create("held_open", 4096).unwrap();
    let name = std::fs::read_to_string(format!("/proc/{}/comm", std::process::id())).unwrap();
    let seen = look(&map);
    assert!(seen["holders_unreadable"].is_u64(), "{seen}");
    let this_process = json!({"pid": std::process::id(), "name": name.trim_end()});
    let holders = seen["holders"].as_array().unwrap();
    assert!(holders.contains(&this_process), "{seen}");
    // A child that another test forks has our descriptors until it executes.
    let commands = holders.iter().filter(|holder| holder["name"] == "user-ringbuf");
    assert_eq!(commands.count(), 0, "{seen}");
    let words = run(&["inspect", "--id", &map.id().to_string()]).stdout;
    assert!(words.contains(&format!("{} (pid {})", name.trim_end(), std::process::id())), "{words}");
    assert!(words.contains("producer: no process claims the ring\nheld open by: "), "{words}");
}

#[test]
fn a_ring_that_is_held_open_without_a_claim_is_sent_to_and_standard_error_says_by_whom() {
    needs_admin!();
    let map = Map::create("held_open", 4096).unwrap();
    let sent = run_with(&["send", "--id", &map.id().to_string()], b"x\n");
    let note = format!("(pid {})", std::process::id());
    assert_eq!(sent.status, 0);
    assert!(sent.stderr.contains(&note) && sent.stderr.contains("the ring open without a claim"), "{sent:?}");
    assert_eq!(sent.unnoted(), "");
    assert_eq!(drain(&map), [b"x"]);

    // No process holds it: a pin does. Made by the command, since a child that another test forks has our descriptors
    // until it executes.
    let bpffs = Bpffs::mount();
    let path = bpffs.text("ring");
    assert_eq!(run(&["create", "--pin", &path, "--size", "4096"]).status, 0);
    run_with(&["send", "--pin", &path], b"x\n").quiet();
}
