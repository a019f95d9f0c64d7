//! Who produces: `inspect` tells a living producer from one that is gone and from none, and `send` and `repair` refuse a ring
//! that is claimed.

use std::io::{BufRead, BufReader};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use serde_json::{Value, json};
use user_ringbuf_kit::{needs_admin, patience};
use user_ringbuf_linux::{Claimant, Map, Mapping, Producer};

use crate::support::{Bpffs, Run, command, drain, run, run_with, run_without_rights};

/// The environment variable with the id of the ring in which this test program is to hold a busy record.
const HOLD: &str = "USER_RINGBUF_TEST_HOLD";

/// And the name that the process is to have.
const NAME: &str = "USER_RINGBUF_TEST_NAME";

/// What [`Holder`] runs in another process; by itself it does nothing.
#[test]
fn a_producer_that_holds_a_record() {
    let Some(id) = std::env::var(HOLD).ok() else { return };
    if let Ok(name) = std::env::var(NAME) {
        std::fs::write("/proc/self/comm", name).unwrap();
    }
    let map = Map::from_id(id.parse().unwrap()).unwrap();
    let mapping = Mapping::new(&map).unwrap();
    let mut producer = Producer::attach(&mapping).unwrap();
    producer.push(b"before").unwrap();
    let _held = producer.reserve_detached(100).unwrap();
    producer.push(b"behind").unwrap();
    // The harness writes in front of it, on the same line.
    println!("\nholding");
    std::thread::sleep(Duration::from_secs(60));
}

/// A process that claims a ring and holds a busy record in it, until it is killed.
struct Holder(Child);

impl Holder {
    fn of(map: &Map) -> Self {
        Self::with(map, &[])
    }

    fn with(map: &Map, more: &[(&str, &str)]) -> Self {
        let mut child = Command::new(std::env::current_exe().unwrap())
            .args(["--exact", "producer::a_producer_that_holds_a_record", "--nocapture"])
            .env(HOLD, map.id().to_string())
            .envs(more.iter().copied())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut lines = BufReader::new(child.stdout.as_mut().unwrap()).lines();
        assert!(lines.any(|line| line.unwrap() == "holding"));
        Self(child)
    }

    /// Its pid and name, as `inspect` reports them.
    fn json(&self) -> Value {
        json!({"pid": self.0.id(), "name": self.name()})
    }

    fn name(&self) -> String {
        std::fs::read_to_string(format!("/proc/{}/comm", self.0.id())).unwrap().trim_end().to_owned()
    }

    /// As the command names it in words.
    fn words(&self) -> String {
        format!("{} (pid {})", self.name(), self.0.id())
    }
}

impl Drop for Holder {
    fn drop(&mut self) {
        self.0.kill().unwrap();
        self.0.wait().unwrap();
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
    let none = look(&map);
    assert_eq!((&none["producer"], &none["verdict"]), (&json!({"state": "none"}), &"empty".into()));
    assert_eq!(none["stuck"], false);
    assert_eq!(repair(&map, &["--producer-is-gone"]).status, 0);

    let holder = Holder::of(&map);
    let alive = look(&map);
    let Value::Object(mut producer) = holder.json() else { unreachable!() };
    producer.insert("state".into(), "alive".into());
    assert_eq!((&alive["producer"], &alive["verdict"]), (&Value::from(producer), &"held".into()));
    let (words, todo) = (alive["words"].as_str().unwrap(), alive["todo"].as_str().unwrap());
    assert!(words.contains(&format!("{}, is alive and has yet to submit it", holder.words())), "{words}");
    assert!(!words.contains("gone") && todo.contains(&format!("end {}", holder.words())), "{words} {todo}");
    assert!(alive["holders"].as_array().unwrap().contains(&holder.json()), "{alive}");
    let in_words = run(&["inspect", "--id", &map.id().to_string()]).stdout;
    assert!(in_words.contains(&format!("producer: {}, alive\n", holder.words())), "{in_words}");
    for flags in [&["--producer-is-gone"][..], &["--producer-is-gone", "--records", "1"], &["--dry-run"]] {
        let refused = repair(&map, flags);
        let error = refused.failed(1);
        assert!(error.contains(&format!("claimed by {}", holder.words())), "{error}");
        assert_eq!(refused.stdout, "");
        assert!(repair(&map, &[flags, &["--json"]].concat()).json()["error"].is_string());
    }
    assert_eq!(look(&map)["busy"]["records"], 1, "nothing was repaired");

    drop(holder);
    let gone = look(&map);
    assert_eq!((&gone["producer"], &gone["verdict"]), (&json!({"state": "gone"}), &"held".into()));
    let words = gone["words"].as_str().unwrap();
    assert!(words.contains("no process claims the ring, so its producer is gone"), "{words}");
    assert!(!words.contains("has yet to"), "{words}");
    assert_eq!((&alive["stuck"], &gone["stuck"]), (&false.into(), &true.into()));
    // The user must still confirm.
    assert!(repair(&map, &[]).failed(2).contains("--producer-is-gone"));
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
    let sent = without_proc(&["send", "--id", &id]);
    assert_eq!((sent.status, sent.stderr.as_str()), (0, ""));

    let _holder = Holder::of(&map);
    let alive = without_proc(&["inspect", "--id", &id, "--json"]).json();
    assert_eq!(alive["producer"], json!({"state": "alive"}));
    let words = without_proc(&["inspect", "--id", &id]).stdout;
    assert!(words.contains("producer: a process that /proc does not show, alive\n"), "{words}");
    assert!(words.contains("held open by: unknown: reading /proc/self failed"), "{words}");
    for args in [&["send"][..], &["repair", "--producer-is-gone"], &["repair", "--dry-run"]] {
        let refused = without_proc(&[args, &["--id", &id]].concat());
        assert!(refused.failed(1).contains("claimed by a process that /proc does not show"), "{refused:?}");
    }
}

#[test]
fn without_rights_a_claim_is_still_seen_and_what_can_not_be_looked_at_is_counted() {
    use std::os::unix::fs::PermissionsExt;
    needs_admin!();
    let bpffs = Bpffs::mount();
    let map = bpffs.ring(4096);
    let path = bpffs.text("ring");
    std::fs::set_permissions(bpffs.path(""), PermissionsExt::from_mode(0o755)).unwrap();
    std::fs::set_permissions(&path, PermissionsExt::from_mode(0o666)).unwrap();
    let holder = Holder::of(&map);
    let alive = run_without_rights(&["inspect", "--pin", &path, "--json"]).json();
    assert_eq!((&alive["producer"], &alive["holders"]), (&json!({"state": "alive"}), &json!([])));
    assert!(alive["holders_unreadable"].as_u64() > Some(0), "{alive}");
    drop(holder);
    let gone = run_without_rights(&["inspect", "--pin", &path, "--json"]).json();
    assert_eq!(gone["producer"], json!({"state": "gone"}));
}

#[test]
fn a_producer_can_not_draw_on_the_terminal_with_its_name() {
    needs_admin!();
    let map = Map::create("named", 4096).unwrap();
    let holder = Holder::with(&map, &[(NAME, "\x1b[31m\"red")]);
    let look = look(&map);
    assert_eq!(look["producer"]["name"], "?[31m\"red");
    let id = map.id().to_string();
    for args in [&["inspect"][..], &["repair", "--producer-is-gone"], &["send"]] {
        let run = run(&[args, &["--id", &id]].concat());
        let said = run.stdout + &run.stderr;
        assert!(!said.contains('\x1b') && said.contains(&format!("?[31m\"red (pid {})", holder.0.id())), "{said}");
    }
}

#[test]
fn a_repair_has_the_claim_while_it_works() {
    needs_admin!();
    let map = Map::create("long_repair", 64 << 10).unwrap();
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
    let child = command()
        .args(["repair", "--id", &map.id().to_string(), "--producer-is-gone", "--records", "1000000", "--json"])
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let patience = Instant::now() + patience();
    while !matches!(map.claimant().unwrap(), Claimant::Process(holder) if holder.pid() == child.id()) {
        assert!(Instant::now() < patience, "nothing would have kept a producer out");
    }
    let output = child.wait_with_output().unwrap();
    assert!(output.stdout.len() > 200_000, "{}", output.stdout.len());
    assert_eq!(Run::of(&output).json()["discarded"], busy);
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
    let sent = run_with(&["send", "--pin", &path], b"x\n");
    assert_eq!((sent.status, sent.stderr.as_str()), (0, ""));
}
