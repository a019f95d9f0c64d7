//! A model in a process of its own: a program that calls itself again.
//!
//! Loom ends a model by panicking in the middle of it, and what it leaves behind can't be used again nor always be
//! cleaned up; the end of the process is the one clean end.

use std::process::{self, Command, Stdio};
use std::{env, io, panic};

use user_ringbuf_core::Role;

use super::finding::{Ending, Finding};
use super::models::{self, Depth, Model};
use super::table::{Change, changes};

/// Tells the process what to run: the [`job`].
const JOB: &str = "USER_RINGBUF_LOOM_MODEL";

/// A job's name: model, depth, and what is different from the protocol's orderings.
fn job(model: &Model, change: Change, depth: Depth) -> String {
    format!("{} {depth:?} {change:?}", model.name())
}

/// Has `command`, a program that calls [`run_if_asked`], run one model.
///
/// # Errors
/// If there is no such process, or it ended without saying how: by other means, or by a panic that names no harm.
pub fn run_alone(command: &mut Command, model: &Model, change: Change, depth: Depth) -> io::Result<Ending> {
    let output = command.env(JOB, job(model, change, depth)).stdin(Stdio::null()).output()?;
    let output = String::from_utf8_lossy(&output.stdout);
    output
        .lines()
        .find_map(Ending::from_line)
        .ok_or_else(|| io::Error::other(format!("the run of a model ended without an outcome; it printed {output:?}")))
}

/// In a process that [`run_alone`] has started: runs the model, tells the outcome, and ends the process. Returns in any
/// other.
///
/// # Panics
/// If it is asked for something that `run_alone` does not ask for.
pub fn run_if_asked() {
    let Ok(asked) = env::var(JOB) else { return };
    let (model, change, depth) = find(&asked).unwrap_or_else(|| panic!("{JOB} asks for {asked:?}"));
    panic::set_hook(Box::new(|panic| {
        let payload = panic.payload();
        let message = payload
            .downcast_ref::<String>()
            .map(String::as_str)
            .or_else(|| payload.downcast_ref::<&str>().copied())
            .unwrap_or("panic without a message");
        match Finding::from_panic(message) {
            Some(finding) => finish(&Ending::Caught(finding)),
            None => {
                println!("\n{panic}");
                process::exit(1);
            }
        }
    }));
    finish(&Ending::Passed { interleavings: model.check(change.orderings(), depth) })
}

fn finish(outcome: &Ending) -> ! {
    // In a line of its own: a test harness may have begun one.
    println!("\n{}", outcome.line());
    process::exit(0)
}

/// The job of this name.
fn find(name: &str) -> Option<(&'static Model, Change, Depth)> {
    let model = models::ALL.iter().find(|model| name.starts_with(&format!("{} ", model.name())))?;
    let jobs =
        changes(Role::ALL).into_iter().flat_map(|change| [Depth::Quick, Depth::Full].map(|depth| (change, depth)));
    let (change, depth) = jobs.into_iter().find(|(change, depth)| job(model, *change, *depth) == name)?;
    Some((model, change, depth))
}
