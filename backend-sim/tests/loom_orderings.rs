//! Every ordering of the protocol is needed, and no model fails for another reason: the ordering table, as a test.
#![cfg(all(feature = "loom", feature = "proof"))]

use std::process::Command;
use std::{env, io, thread};

use user_ringbuf_sim::Role;
use user_ringbuf_sim::proof::loom::models::{Depth, Model};
use user_ringbuf_sim::proof::loom::table::{self, Change};
use user_ringbuf_sim::proof::loom::{Ending, run_alone, run_if_asked};

/// The test that processes of one model each run; by itself it shows that they say what came of it.
#[test]
fn a_model_in_a_process_of_its_own_tells_how_it_went() {
    run_if_asked();
    let submit = Model::by_name("submit").expect("a model of this name");
    let passed = run(submit, Change::Unchanged, Depth::Quick).expect("a process");
    assert!(matches!(passed, Ending::Passed { interleavings: 2.. }), "{passed:?}");
    let weakened = run(submit, Change::Weakened(Role::PublishProducer), Depth::Quick).expect("a process");
    let Ending::Caught(finding) = weakened else { panic!("a relaxed store of producer_pos goes unnoticed") };
    assert_eq!(finding.how, "stale header", "{finding}");
}

fn run(model: &'static Model, change: Change, depth: Depth) -> io::Result<Ending> {
    let mut command = Command::new(env::current_exe()?);
    command.args(["--exact", "a_model_in_a_process_of_its_own_tells_how_it_went", "--nocapture"]);
    run_alone(&mut command, model, change, depth)
}

#[test]
fn every_weakened_ordering_is_caught_and_every_control_passes() {
    let workers = thread::available_parallelism().map_or(1, usize::from);
    let rows = table::check(Role::ALL, workers, run).expect("every process tells its outcome");
    for row in &rows {
        println!("{row:?}");
    }
    let wrong: Vec<_> = rows.iter().filter(|row| !row.is_as_it_must_be()).collect();
    assert!(wrong.is_empty(), "nothing notices a relaxed role, or a control fails: {wrong:#?}");
}
