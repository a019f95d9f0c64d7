//! Every ordering of the protocol is needed, and no model fails for another reason: the ordering table, as a test.
#![cfg(feature = "loom")]

use std::process::{Command, Stdio};
use std::{env, io, thread};

use user_ringbuf_sim::core::Role;
use user_ringbuf_sim::loom::models::{Depth, Model};
use user_ringbuf_sim::loom::table::{self, Change};
use user_ringbuf_sim::loom::{Outcome, run_and_exit};
use user_ringbuf_sim::role_by_name;

/// Set in the processes that run one model each: model, depth, change, role.
const CHILD: &str = "USER_RINGBUF_LOOM_MODEL";

/// The test that those processes run; by itself it shows that they say what came of it.
#[test]
fn a_model_in_a_process_of_its_own_tells_how_it_went() {
    if let Ok(job) = env::var(CHILD) {
        let words: Vec<&str> = job.split(' ').collect();
        let model = Model::by_name(words[0]).expect("a model of this name");
        let depth = if words[1] == "quick" { Depth::Quick } else { Depth::Full };
        let role = |name| role_by_name(name).expect("a role of this name");
        let change = match words[2..] {
            ["weakened", name] => Change::Weakened(role(name)),
            ["strengthened", name] => Change::Strengthened(role(name)),
            _ => Change::Unchanged,
        };
        run_and_exit(model, change.orderings(), depth);
    }
    let submit = Model::by_name("submit").expect("a model of this name");
    let passed = run_alone(submit, Change::Unchanged, Depth::Quick).expect("a process");
    assert!(matches!(passed, Outcome::Passed { interleavings: 2.. }), "{passed:?}");
    let weakened = run_alone(submit, Change::Weakened(Role::PublishProducer), Depth::Quick).expect("a process");
    let Outcome::Caught(finding) = weakened else { panic!("a relaxed store of producer_pos goes unnoticed") };
    assert_eq!(finding.how, "stale header", "{finding}");
}

fn run_alone(model: &'static Model, change: Change, depth: Depth) -> io::Result<Outcome> {
    let depth = if depth == Depth::Quick { "quick" } else { "full" };
    let change = match change {
        Change::Unchanged => "unchanged".to_owned(),
        Change::Weakened(role) => format!("weakened {role}"),
        Change::Strengthened(role) => format!("strengthened {role}"),
    };
    let output = Command::new(env::current_exe()?)
        .args(["--exact", "a_model_in_a_process_of_its_own_tells_how_it_went", "--nocapture"])
        .env(CHILD, format!("{} {depth} {change}", model.name()))
        .stdin(Stdio::null())
        .output()?;
    Outcome::from_output(&String::from_utf8_lossy(&output.stdout)).map_err(io::Error::other)
}

#[test]
fn every_weakened_ordering_is_caught_and_every_control_passes() {
    let workers = thread::available_parallelism().map_or(1, usize::from);
    let table = table::check(Role::ALL, workers, run_alone).expect("every process tells its outcome");
    for row in &table.rows {
        let (model, finding) = row.caught.as_ref().unwrap_or_else(|| panic!("nothing notices a relaxed {}", row.role));
        println!("{}: caught by {}: {finding}", row.role, model.name());
    }
    for control in &table.controls {
        assert!(control.failed.is_none(), "{control:?}");
    }
    assert!(table.is_clean());
}
